//! The version of a key's value.

use std::fmt;
use std::str::FromStr;

/// The version of a key's value, as the router names it: opaque, strictly increasing in a key's life when compared
/// as text (a fencing token), changed by every write of the key and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag(Box<str>);

/// A text that cannot be an ETag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ETag: 1 to 255 visible ASCII characters, with or without the quotes around them")]
pub struct ParseETagError(String);

impl ETag {
    /// The text without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as HTTP headers carry it.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl FromStr for ETag {
    type Err = ParseETagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let fits = (1..=255).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        fits.then(|| Self(bare.into())).ok_or_else(|| ParseETagError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etag_with_and_without_quotes_is_the_same() {
        let bare: ETag = "00ab-1".parse().unwrap();
        assert_eq!("\"00ab-1\"".parse::<ETag>().unwrap(), bare);
        assert_eq!((bare.to_string().as_str(), bare.quoted().as_str()), ("00ab-1", "\"00ab-1\""));
    }

    #[test]
    fn etag_of_unfit_text_is_refused() {
        for bad in ["", "\"\"", "a b", "a\"b", "W/\"x\"", "é", &"x".repeat(256)] {
            assert!(bad.parse::<ETag>().is_err(), "{bad}");
        }
    }
}
