//! `docs/http-api.md` against the code.

use std::collections::BTreeSet;

use roundtable_router::http::Code;

const HTTP_API: &str = include_str!("../../docs/http-api.md");

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn document_lists_every_code_beside_its_status() {
    let table = HTTP_API.split("\n## Outcomes\n").nth(1).expect("the section on outcomes");
    let rows =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let mut listed = BTreeSet::new();
    for row in rows.skip(2) {
        let cells: Vec<&str> = row.split('|').collect();
        let [_, statuses, codes, ..] = cells.as_slice() else { panic!("{row}") };
        for code in quoted(codes) {
            listed.extend(statuses.split(',').map(|status| (code.to_owned(), status.trim().to_owned())));
        }
    }
    let has = |code: &Code| (code.as_str().to_owned(), code.status().as_str().to_owned());
    let missing: Vec<_> = Code::ALL.iter().map(has).filter(|code| !listed.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let known: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let unknown: Vec<_> = listed.iter().filter(|(code, _)| !known.contains(code.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
