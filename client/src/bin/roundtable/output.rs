//! Standard output and standard error.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::failure::Failure;

/// Writes all of this to standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::io("writing to standard output", error))
}

/// Writes this and a line end to standard output.
pub(crate) fn print_line(line: &str) -> Result<(), Failure> {
    print(format!("{line}\n").as_bytes())
}

/// Writes this as one JSON value on one line to standard output.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value).map_err(|error| Failure::Other(error.to_string()))?;
    print_line(&line)
}

/// Standard output with a buffer, for many small writes.
pub(crate) fn buffered() -> BufWriter<io::Stdout> {
    BufWriter::with_capacity(1 << 16, io::stdout())
}

/// Tells the user something, beside the output proper. A closed standard error is no reason to fail.
pub(crate) fn note(text: &str) {
    let _ignored = writeln!(io::stderr().lock(), "roundtable: {text}");
}

/// The bytes of an argument, whatever they are.
pub(crate) fn bytes_of(argument: &OsStr) -> &[u8] {
    argument.as_bytes()
}

/// A key or another text of any bytes, for a message.
pub(crate) fn display(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// How long it is until this Unix time in milliseconds, for people.
pub(crate) fn time_left(expires_at_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = std::time::Duration::from_millis(expires_at_ms).saturating_sub(now);
    crate::duration::short(left)
}

/// Columns padded to their widest cell, two spaces apart.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_pads_columns_and_trims_line_ends() {
        let rows = [vec!["id".into(), "state".into()], vec!["node-1".into(), "up".into()]];
        assert_eq!(table(&rows), "id      state\nnode-1  up\n");
    }

    #[test]
    fn display_escapes_what_a_terminal_cannot_show() {
        assert_eq!(display(b"a\n\xff"), "\"a\\n\\xff\"");
    }
}
