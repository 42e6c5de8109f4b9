//! The bytes of one example of each body, pinned: a change of the format is noticed, and then needs a new version.

use std::fmt::Write as _;
use std::path::Path;

use crate::samples;

const PINNED: &str = include_str!("../data/wire_bodies.txt");

fn rendered() -> String {
    let mut out = String::from(
        "# One example of each body of format version 1, in hexadecimal, 32 bytes a line.\n\
         # Compared with the code by a test. Bytes that change need a new format version.\n",
    );
    for (name, body) in samples::all() {
        write!(out, "\n{name} ({} bytes)\n", body.len()).unwrap();
        for line in body.chunks(32) {
            let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(out, "{hex}").unwrap();
        }
    }
    out
}

#[test]
fn wire_bodies_are_the_pinned_bytes() {
    let rendered = rendered();
    if rendered != PINNED {
        let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wire_bodies.txt");
        std::fs::write(&actual, rendered).unwrap();
        panic!("the bytes of wire bodies changed; what the code writes now is in {}", actual.display());
    }
}
