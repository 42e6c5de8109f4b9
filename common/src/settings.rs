//! The settings of one binary: what stands in its file, overridden by environment variables and flags.
//!
//! The file is flat TOML with `snake_case` keys. The flag of `max_clock_skew` is `--max-clock-skew`, its
//! environment variable `ROUNDTABLE_NODE_MAX_CLOCK_SKEW`. A flag goes before the variable, the variable before
//! the file, the file before the default. `clap` settles the first two and shows both in `--help`; so it hands
//! over text, which is checked here by the same rules as the file, and every problem of every source is
//! reported at once.
//!
//! ```
//! # use roundtable_common::settings::Settings;
//! # use roundtable_common::units::Duration;
//! let flags = [("max_clock_skew", Some("2s".to_owned())), ("shards", None)];
//! let mut settings = Settings::parse("shards = 4", "ROUNDTABLE_NODE_", flags);
//! let skew = settings.get("max_clock_skew", Duration::from_secs(5), "a duration");
//! let shards = settings.get_within("shards", 1u16, 1..=64);
//! settings.finish()?;
//! assert_eq!((skew, shards), (Duration::from_secs(2), 4));
//! # Ok::<(), roundtable_common::problems::Problems>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::document::{self, Entry};
use crate::problems::{Problem, Problems};

/// A settings file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the settings file {path}", path = path.display())]
pub struct ReadSettingsError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Settings on their way to a checked configuration: every key is asked for once, then [`Settings::finish`].
#[derive(Debug)]
pub struct Settings {
    variable_prefix: &'static str,
    overrides: BTreeMap<&'static str, String>,
    file: BTreeMap<String, FileValue>,
    known: BTreeSet<&'static str>,
    problems: Problems,
}

#[derive(Debug)]
struct FileValue {
    line: usize,
    /// `None` for what no setting can be: an array, a table, a date.
    text: Option<String>,
    /// As the file's writer would recognise it.
    shown: String,
}

/// A value as text, and where it came from.
struct Given {
    line: Option<usize>,
    key: String,
    text: Option<String>,
    shown: String,
}

impl Settings {
    /// Takes the settings of a file, or of none, and what flags and environment variables say.
    ///
    /// `variable_prefix` stands before the names of environment variables in messages: `ROUNDTABLE_NODE_`.
    ///
    /// # Errors
    /// When there is a file that can't be read. That it is not TOML is one of the problems that
    /// [`Self::finish`] reports.
    pub fn load(
        path: Option<&Path>,
        variable_prefix: &'static str,
        overrides: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> Result<Self, ReadSettingsError> {
        let read = path.map_or_else(|| Ok(String::new()), std::fs::read_to_string);
        let refused = |source| ReadSettingsError { path: path.unwrap_or(Path::new("")).into(), source };
        Ok(Self::parse(&read.map_err(refused)?, variable_prefix, overrides))
    }

    /// Like [`Self::load`], with the file's text.
    #[must_use]
    pub fn parse(
        text: &str,
        variable_prefix: &'static str,
        overrides: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> Self {
        let mut problems = Problems::default();
        let (lines, table) = document::parse(text, &mut problems);
        let file = document::entries(&lines, &table);
        Self {
            variable_prefix,
            overrides: overrides.into_iter().filter_map(|(key, text)| Some((key, text?))).collect(),
            file: file.map(|entry| (entry.key.clone(), FileValue::of(&entry))).collect(),
            known: BTreeSet::new(),
            problems,
        }
    }

    /// The value of `key`, or `default` when nobody gives one or what is given isn't accepted. `accepted` tells
    /// people what is.
    pub fn get<T: FromStr>(&mut self, key: &'static str, default: T, accepted: &str) -> T {
        self.get_optional(key, accepted).unwrap_or(default)
    }

    /// The value of `key`, if one is given and accepted.
    pub fn get_optional<T: FromStr>(&mut self, key: &'static str, accepted: &str) -> Option<T> {
        let given = self.given(key)?;
        let value = given.text.as_ref().and_then(|text| text.parse().ok());
        if value.is_none() {
            self.refuse(given, format!("accepted is {accepted}"));
        }
        value
    }

    /// The value of `key`, which must lie in `range`; else `default`.
    pub fn get_within<T: FromStr + PartialOrd + Display>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> T {
        let Some(given) = self.given(key) else { return default };
        let value = given.text.as_ref().and_then(|text| text.parse().ok());
        value.filter(|value| range.contains(value)).unwrap_or_else(|| {
            self.refuse(given, format!("accepted is {} to {}", range.start(), range.end()));
            default
        })
    }

    /// Ends the asking: keys of the file that nobody asked for are problems too.
    ///
    /// # Errors
    /// Everything that is wrong, from all sources.
    pub fn finish(mut self) -> Result<(), Problems> {
        let known: Vec<&str> = self.known.iter().copied().collect();
        for (key, value) in self.file.iter().filter(|(key, _)| !self.known.contains(key.as_str())) {
            self.problems.push(Problem {
                line: Some(value.line),
                key: key.clone(),
                found: "is unknown".into(),
                accepted: format!("known are {}", known.join(", ")),
            });
        }
        self.problems.into_result(())
    }

    fn given(&mut self, key: &'static str) -> Option<Given> {
        self.known.insert(key);
        if let Some(text) = self.overrides.get(key) {
            let flag = key.replace('_', "-");
            let variable = key.to_ascii_uppercase();
            return Some(Given {
                line: None,
                key: format!("--{flag} (or {}{variable})", self.variable_prefix),
                text: Some(text.clone()),
                shown: format!("{:?}", text.chars().take(80).collect::<String>()),
            });
        }
        let value = self.file.get(key)?;
        let (text, shown) = (value.text.clone(), value.shown.clone());
        Some(Given { line: Some(value.line), key: key.into(), text, shown })
    }

    fn refuse(&mut self, given: Given, accepted: String) {
        let found = format!("= {}", given.shown);
        self.problems.push(Problem { line: given.line, key: given.key, found, accepted });
    }
}

impl FileValue {
    fn of(entry: &Entry<'_>) -> Self {
        Self { line: entry.line, text: entry.text(), shown: entry.shown() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{ByteSize, Duration};

    fn settings(text: &str, overrides: &[(&'static str, &str)]) -> Settings {
        let overrides = overrides.iter().map(|(key, text)| (*key, Some((*text).to_owned())));
        Settings::parse(text, "ROUNDTABLE_TEST_", overrides)
    }

    #[test]
    fn settings_flag_goes_before_file_before_default() {
        let mut settings = settings("a = 1\nb = 2", &[("a", "3")]);
        let values = ["a", "b", "c"].map(|key| settings.get_within(key, 9u8, 0..=10));
        assert_eq!(values, [3, 2, 9]);
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn settings_of_every_type_are_read() {
        let text = "time = \"2s\"\nsize = \"1 MiB\"\nplain = 7\nflag = true\nhex = 0x10";
        let mut settings = settings(text, &[]);
        assert_eq!(settings.get("time", Duration::default(), "x"), Duration::from_secs(2));
        assert_eq!(settings.get("size", ByteSize::default(), "x"), ByteSize::mib(1));
        assert_eq!(settings.get("plain", ByteSize::default(), "x"), ByteSize::new(7));
        assert!(settings.get("flag", false, "x"));
        assert_eq!(settings.get_within("hex", 0u8, 0..=99), 16);
        assert_eq!(settings.get_optional::<u8>("none", "x"), None);
        assert_eq!(settings.finish(), Ok(()));
    }

    #[test]
    fn settings_problems_of_all_sources_come_at_once() {
        let text = "shards = 0\ntypo = 1\nskew = 5\nlist = [1]\n";
        let mut settings = settings(text, &[("size", "much")]);
        assert_eq!(settings.get_within("shards", 2u8, 1..=64), 2);
        settings.get("skew", Duration::from_secs(5), "a duration such as \"5s\"");
        settings.get("list", 1u8, "a number");
        settings.get("size", ByteSize::default(), "a size such as \"1 MiB\"");
        let told = settings.finish().unwrap_err().to_string();
        for part in [
            "5 problems",
            "line 1: shards = 0: accepted is 1 to 64",
            "line 2: typo is unknown: known are list, shards, size, skew",
            "line 3: skew = 5: accepted is a duration such as \"5s\"",
            "line 4: list = (an array): accepted is a number",
            "--size (or ROUNDTABLE_TEST_SIZE) = \"much\": accepted is a size such as \"1 MiB\"",
        ] {
            assert!(told.contains(part), "{part:?} is missing in {told}");
        }
    }

    #[test]
    fn settings_file_that_is_not_toml_is_a_problem_with_its_line() {
        let told = settings("a = 1\nb = = 2\n", &[]).finish().unwrap_err();
        assert!(told.as_slice().iter().any(|problem| problem.line == Some(2)), "{told}");
    }

    #[test]
    fn settings_file_that_is_missing_is_named() {
        let missing = Settings::load(Some(Path::new("/nonexistent/node.toml")), "X_", []);
        assert!(missing.unwrap_err().to_string().contains("/nonexistent/node.toml"));
        assert_eq!(Settings::load(None, "X_", []).unwrap().finish(), Ok(()));
    }
}
