//! Spans of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration as StdDuration;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::ParseUnitError;

/// A span of time: `100ms`, `5s`, `1h 30m`. A number without a unit is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(StdDuration);

impl Duration {
    const ACCEPTED: &'static str =
        "a number with a unit (us, ms, s, m, h, d), such as \"100ms\" or \"1h 30m\"";

    /// That many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(StdDuration::from_millis(millis))
    }

    /// That many seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(StdDuration::from_secs(secs))
    }

    /// The form that the standard library works with.
    #[must_use]
    pub const fn get(self) -> StdDuration {
        self.0
    }

    /// Whole milliseconds; the largest number if there are more than 64 bits hold.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whole microseconds; the largest number if there are more than 64 bits hold.
    #[must_use]
    pub fn as_micros(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }
}

impl From<StdDuration> for Duration {
    fn from(duration: StdDuration) -> Self {
        Self(duration)
    }
}

impl FromStr for Duration {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text.trim())
            .map(Self)
            .map_err(|_| ParseUnitError::new("duration", text, Self::ACCEPTED))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&humantime::format_duration(self.0), f)
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Duration::ACCEPTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn duration_text_with_a_unit_is_taken() {
        let table = [("100ms", 100), ("5s", 5_000), ("1h 30m", 5_400_000), (" 2m ", 120_000), ("0s", 0)];
        for (text, millis) in table {
            assert_eq!(text.parse(), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn duration_text_of_another_form_is_refused_with_what_is_accepted() {
        for bad in ["", "5", "s", "-1s", "5 parsecs", "99999999999999999999s"] {
            let refused = bad.parse::<Duration>().unwrap_err().to_string();
            assert!(refused.contains("100ms"), "{bad}: {refused}");
        }
    }

    #[test]
    fn duration_in_toml_is_a_text() {
        #[derive(serde::Deserialize)]
        struct File {
            time: Duration,
        }
        assert_eq!(toml::from_str::<File>("time = \"3s\"").unwrap().time, Duration::from_secs(3));
        assert!(toml::from_str::<File>("time = 3").is_err());
    }

    proptest! {
        #[test]
        fn duration_round_trips_through_text(millis in 0u64..1 << 50) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
