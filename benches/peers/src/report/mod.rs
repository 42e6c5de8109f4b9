//! The page: targets, plots, all figures, and how they came about.

mod figures;
mod method;
mod targets;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::failure::{Doing as _, Failure};
use crate::plot;
use crate::results::Results;

/// Writes the page and its plots into the folder.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
    let mut pictures = Vec::new();
    for (name, caption, drawing) in plot::plots(results)? {
        let path = folder.join(format!("{name}.svg"));
        fs::write(&path, drawing).doing(|| format!("writing {}", path.display()))?;
        pictures.push((caption, format!("{name}.svg")));
    }
    let path = folder.join("peers.md");
    fs::write(&path, page(results, &pictures)).doing(|| format!("writing {}", path.display()))
}

fn page(results: &Results, pictures: &[(String, String)]) -> String {
    let pictures: Vec<String> =
        pictures.iter().map(|(caption, file)| format!("![{caption}]({file})\n")).collect();
    let parts = [
        "# Roundtable beside etcd and Redis\n".to_owned(),
        method::opening(results),
        targets::section(results),
        figures::glance(results),
        pictures.join("\n"),
        figures::tables(results),
        method::section(results),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// A figure for people: three significant digits below a hundred, whole above, thousands apart.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        below if below < 9.995 => 2,
        below if below < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = whole.len();
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0
            && digit.is_ascii_digit()
            && (digits - place).is_multiple_of(3)
            && !grouped.ends_with('-')
        {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// Today, as `2026-01-31`, in UTC.
pub(crate) fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Operation, System};
    use crate::results::tests::{results, row, window};

    #[test]
    fn numbers_are_for_people() {
        let cases = [
            (0.0, "0"),
            (0.654, "0.65"),
            (9.999, "10.0"),
            (12.34, "12.3"),
            (99.96, "100"),
            (110.4, "110"),
            (1234.5, "1,234"),
            (14_784.4, "14,784"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected, "{value}");
        }
    }

    #[test]
    fn page_has_its_parts_and_every_picture_it_shows() {
        let rows = [System::Roundtable, System::Redis].into_iter().flat_map(|system| {
            [1, 64].map(|count| row(system, Operation::Put, count, vec![window(1000, 900, 2000, 60.0)]))
        });
        let results = results(rows.collect());
        let folder = tempfile::tempdir().unwrap();
        write(&results, folder.path()).unwrap();
        let page = fs::read_to_string(folder.path().join("peers.md")).unwrap();
        for heading in ["# Roundtable beside", "## Targets", "## At a glance", "## All figures", "## Method"]
        {
            assert!(page.contains(heading), "{heading} is missing in {page}");
        }
        let shown: Vec<&str> = page
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(".svg)"))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(shown.len(), 3, "{page}");
        assert!(shown.iter().all(|name| folder.path().join(format!("{name}.svg")).exists()), "{shown:?}");
    }

    #[test]
    fn today_is_a_date() {
        assert_eq!(today().len(), 10);
        assert!(today().starts_with("20"));
    }
}
