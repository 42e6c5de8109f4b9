//! Keys: 1 to 4096 bytes of any kind.

use std::fmt;

use bytes::Bytes;

/// A key. Clones share the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

/// A key of a length that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No bytes at all.
    #[error("the key is empty; a key has 1 to {} bytes", Key::BYTES_MAX)]
    Empty,
    /// More than [`Key::BYTES_MAX`] bytes.
    #[error("the key has {0} bytes; a key has 1 to {max} bytes", max = Key::BYTES_MAX)]
    TooLong(usize),
}

impl Key {
    /// The longest key in bytes.
    pub const BYTES_MAX: usize = 4096;

    /// A key of these bytes.
    ///
    /// # Errors
    /// When there are no bytes, or more than [`Self::BYTES_MAX`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, KeyError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(KeyError::Empty),
            len if len > Self::BYTES_MAX => Err(KeyError::TooLong(len)),
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// A copy that keeps nothing else alive: the bytes may be a slice of a much larger body.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The part that chooses the partition: what stands between the first `{` and the next `}` if that is not
    /// empty, else the whole key (the hash tags of Redis Cluster's specification).
    #[must_use]
    pub fn routing_part(&self) -> &[u8] {
        let tag = self.0.iter().position(|&b| b == b'{').and_then(|open| {
            let rest = self.0.get(open + 1..)?;
            let close = rest.iter().position(|&b| b == b'}')?;
            rest.get(..close)
        });
        match tag {
            Some(tag) if !tag.is_empty() => tag,
            _ => &self.0,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_length_is_bounded() {
        assert_eq!(Key::new(""), Err(KeyError::Empty));
        assert!(Key::new(vec![0; Key::BYTES_MAX]).is_ok());
        assert_eq!(Key::new(vec![0; Key::BYTES_MAX + 1]), Err(KeyError::TooLong(4097)));
    }

    #[test]
    fn routing_part_is_the_first_tag_or_the_whole_key() {
        let table = [
            ("plain", "plain"),
            ("{user42}/cart", "user42"),
            ("a{b}c{d}", "b"),
            ("{}x", "{}x"),
            ("a{b", "a{b"),
            ("a}b{c}", "c"),
            ("{{x}}", "{x"),
            ("{}{x}", "{}{x}"),
        ];
        for (key, part) in table {
            assert_eq!(Key::new(key).unwrap().routing_part(), part.as_bytes(), "{key}");
        }
    }
}
