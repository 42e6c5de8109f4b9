//! A TOML file whose every key and value knows its line.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problems::{Problem, Problems};

/// Finds the line of a place in a text.
pub(crate) struct Lines<'t> {
    text: &'t str,
}

impl Lines<'_> {
    /// The line, from 1, of the byte at `at`.
    fn of(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Parses a file's text. Syntax errors are noted as problems, all that the parser can find.
pub(crate) fn parse<'t>(text: &'t str, problems: &mut Problems) -> (Lines<'t>, Spanned<DeTable<'t>>) {
    let lines = Lines { text };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        problems.push(Problem {
            line: error.span().map(|span| lines.of(span.start)),
            key: String::new(),
            found: "not TOML".into(),
            accepted: error.message().into(),
        });
    }
    (lines, table)
}

/// One value of the file.
pub(crate) struct Entry<'t> {
    /// Its key with its place, for messages.
    pub(crate) key: String,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// The value.
    pub(crate) value: &'t DeValue<'t>,
}

impl Entry<'_> {
    /// Says that the value is not accepted.
    pub(crate) fn refuse(&self, problems: &mut Problems, accepted: impl Into<String>) {
        problems.push(Problem {
            line: Some(self.line),
            key: self.key.clone(),
            found: format!("= {}", self.shown()),
            accepted: accepted.into(),
        });
    }

    /// The value as text: strings without quotes, numbers in decimal, booleans.
    pub(crate) fn text(&self) -> Option<String> {
        match self.value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
                Some(number.to_string())
            }
            DeValue::Boolean(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// The value as the file's writer would recognise it.
    pub(crate) fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) => format!("{:?}", text.chars().take(80).collect::<String>()),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Array(_) => "(an array)".into(),
            DeValue::Table(_) => "(a table)".into(),
            DeValue::Datetime(date) => date.to_string(),
        }
    }

    /// The value as a whole number that is not negative.
    pub(crate) fn number(&self) -> Option<u64> {
        let number = self.value.as_integer()?;
        u64::from_str_radix(number.as_str(), number.radix()).ok()
    }
}

/// All values at the file's top level.
pub(crate) fn entries<'t>(
    lines: &'t Lines<'t>,
    table: &'t Spanned<DeTable<'t>>,
) -> impl Iterator<Item = Entry<'t>> {
    table.get_ref().iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        line: lines.of(key.span().start),
        value: value.get_ref(),
    })
}

/// A table of the file, from which known keys are taken; what is left in the end is unknown.
pub(crate) struct Section<'t> {
    lines: &'t Lines<'t>,
    table: &'t DeTable<'t>,
    /// Stands before the keys in messages: empty, or `nodes[2].`.
    prefix: String,
    line: usize,
    known: BTreeSet<&'static str>,
}

impl<'t> Section<'t> {
    /// The file's top level.
    pub(crate) fn top(lines: &'t Lines<'t>, table: &'t Spanned<DeTable<'t>>) -> Self {
        Self { lines, table: table.get_ref(), prefix: String::new(), line: 1, known: BTreeSet::new() }
    }

    /// A table inside the file; `name` is what messages call it.
    pub(crate) fn inner(lines: &'t Lines<'t>, table: &'t DeTable<'t>, at: usize, name: &str) -> Self {
        let line = lines.of(at);
        Self { lines, table, prefix: format!("{name}."), line, known: BTreeSet::new() }
    }

    /// The key's value, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Entry<'t>> {
        self.known.insert(key);
        let value = self.table.get(key)?;
        let line = self.lines.of(value.span().start);
        Some(Entry { key: format!("{}{key}", self.prefix), line, value: value.get_ref() })
    }

    /// The key's value, which must be there.
    pub(crate) fn require(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
        accepted: &str,
    ) -> Option<Entry<'t>> {
        let entry = self.take(key);
        if entry.is_none() {
            problems.push(Problem {
                line: Some(self.line),
                key: format!("{}{key}", self.prefix),
                found: "is missing".into(),
                accepted: accepted.into(),
            });
        }
        entry
    }

    /// Notes every key that nobody asked for.
    pub(crate) fn finish(self, problems: &mut Problems) {
        let known: Vec<&str> = self.known.iter().copied().collect();
        for key in self.table.keys() {
            if !self.known.contains(key.get_ref().as_ref()) {
                problems.push(Problem {
                    line: Some(self.lines.of(key.span().start)),
                    key: format!("{}{}", self.prefix, key.get_ref()),
                    found: "is unknown".into(),
                    accepted: format!("known here are {}", known.join(", ")),
                });
            }
        }
    }
}
