//! Where a listing goes on: opaque to clients, good for any router.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roundtable_consensus::Key;

/// The form of the bytes; another form is another number.
const FORMAT: u8 = 1;

/// The last key that was told, and the direction. As text: base64url of a format byte, a direction byte, and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last key that was told.
    pub last: Key,
    /// Whether the listing runs from the end to the start.
    pub reverse: bool,
}

/// A text that this API did not give out as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that a listing gave as \"next\"")]
pub struct CursorError;

impl Cursor {
    /// Reads the text form.
    ///
    /// # Errors
    /// When the text is of another form.
    pub fn parse(text: &str) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        match bytes.split_first_chunk::<2>() {
            Some(([FORMAT, direction @ (0 | 1)], key)) => {
                let last = Key::new(key.to_vec()).map_err(|_| CursorError)?;
                Ok(Self { last, reverse: *direction == 1 })
            }
            _ => Err(CursorError),
        }
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = vec![FORMAT, u8::from(self.reverse)];
        bytes.extend_from_slice(self.last.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursor_round_trips(key in prop::collection::vec(any::<u8>(), 1..60), reverse: bool) {
            let cursor = Cursor { last: Key::new(key).unwrap(), reverse };
            let text = cursor.to_text();
            prop_assert_eq!(Cursor::parse(&text).unwrap(), cursor);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Cursor::parse(&text);
        }
    }

    #[test]
    fn foreign_text_is_refused() {
        for text in ["", "x", "AAA", "AgBh", "AQJh", "AQA", "AQBh="] {
            assert_eq!(Cursor::parse(text), Err(CursorError), "{text}");
        }
        assert!(Cursor::parse("AQBh").is_ok());
    }
}
