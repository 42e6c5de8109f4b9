//! Numbers of bytes.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::ParseUnitError;

/// A number of bytes: `4096`, `64KiB`, `1 MiB`, `10 GB`. Units ending in `iB` are powers of 1024, others of 1000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    const ACCEPTED: &'static str = "a whole number of bytes, or one with a unit (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB), such as \"64 KiB\"";
    /// Units with their sizes. The binary ones, largest first, are those that are written.
    const UNITS: [(&'static str, u64); 9] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];

    /// That many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// That many KiB (1024 bytes).
    #[must_use]
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// That many MiB (1024 KiB).
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// That many GiB (1024 MiB).
    #[must_use]
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// The bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The bytes as a length in memory; the largest length if memory can't hold them.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let text = text.trim();
            let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (digits, unit) = text.split_at_checked(digits_end)?;
            let unit = match unit.trim_start() {
                "" => 1,
                unit => Self::UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
            };
            digits.parse::<u64>().ok()?.checked_mul(unit).map(Self)
        };
        parse().ok_or_else(|| ParseUnitError::new("size", text, Self::ACCEPTED))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |size: &u64| *size == 1 || (self.0 != 0 && self.0.is_multiple_of(*size));
        match Self::UNITS.iter().find(|(_, size)| divides(size)) {
            Some((name, size)) => write!(f, "{} {name}", self.0 / size),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ByteSize::ACCEPTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom(ByteSize::ACCEPTED))
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn size_text_with_or_without_a_unit_is_taken() {
        let table = [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 64 << 10),
            ("1 MiB", 1 << 20),
            (" 2 gib ", 2 << 30),
            ("10 GB", 10_000_000_000),
            ("7B", 7),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(ByteSize::new(bytes)), "{text}");
        }
    }

    #[test]
    fn size_text_of_another_form_is_refused_with_what_is_accepted() {
        for bad in ["", "MiB", "-1", "1.5 MiB", "1 XiB", "1 MiB MiB", "99999999999 TiB", "é"] {
            let refused = bad.parse::<ByteSize>().unwrap_err().to_string();
            assert!(refused.contains("KiB"), "{bad}: {refused}");
        }
    }

    #[test]
    fn sizes_print_in_the_largest_unit_that_loses_nothing() {
        let table =
            [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1 << 20, "1 MiB"), ((1 << 20) + 1, "1048577 B")];
        for (bytes, text) in table {
            assert_eq!(ByteSize::new(bytes).to_string(), text);
        }
    }

    #[test]
    fn size_in_toml_is_a_text_or_a_number() {
        #[derive(serde::Deserialize)]
        struct File {
            size: ByteSize,
        }
        let read = |text: &str| toml::from_str::<File>(text).map(|file| file.size);
        assert_eq!(read("size = \"2 MiB\"").unwrap(), ByteSize::mib(2));
        assert_eq!(read("size = 17").unwrap(), ByteSize::new(17));
        assert!(read("size = -1").is_err());
    }

    proptest! {
        #[test]
        fn size_round_trips_through_text(bytes in any::<u64>()) {
            let size = ByteSize::new(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
