//! The register: one key's state at one replica.

use bytes::Bytes;

use crate::ballot::{Ballot, Version};
use crate::history::History;

/// A media type as the client sent it, at most [`ContentType::BYTES_MAX`] bytes; empty means none was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ContentType(Bytes);

impl ContentType {
    /// The longest media type in bytes.
    pub const BYTES_MAX: usize = 255;

    /// Keeps a media type, or refuses one that is too long.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() <= Self::BYTES_MAX).then_some(Self(bytes))
    }

    /// The media type of counters.
    #[must_use]
    pub fn text() -> Self {
        Self(Bytes::from_static(b"text/plain"))
    }

    /// A copy that keeps nothing else alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The bytes; empty when the client sent none.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a client stored: bytes and their media type. Clones share the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Value {
    /// The bytes, none to 16 MiB.
    pub bytes: Bytes,
    /// How the client described them.
    pub content_type: ContentType,
}

/// Whether a key has a value, and which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// Deleted, expired, or never written.
    Tombstone,
    /// There is a value.
    Live(Value),
    /// There is a value of this many bytes, which the asker did not ask for. Never stored, never accepted.
    Withheld {
        /// Length of the value in bytes.
        value_bytes: u32,
    },
}

impl Content {
    /// Whether there is a value, here or withheld.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Tombstone)
    }

    /// Bytes of the value and its media type, if they are here.
    #[must_use]
    pub fn bytes_here(&self) -> usize {
        self.value().map_or(0, |value| value.bytes.len() + value.content_type.as_bytes().len())
    }

    /// The value, if it is here.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Live(value) => Some(value),
            Self::Tombstone | Self::Withheld { .. } => None,
        }
    }
}

/// One key's state: what the highest accepted round left.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Register {
    /// The round that wrote this copy; a round that only carries the state forward raises it too.
    pub accepted: Ballot,
    /// The last change: the ETag.
    pub version: Version,
    /// How long after its ballot's time that change was made, in milliseconds. A round that begins at its Accept has a
    /// ballot of a while before; for any other it is zero.
    pub lag_ms: u32,
    /// The value, if any.
    pub content: Content,
    /// When the value ends, in unix milliseconds; `None` for a value without an end and for a tombstone.
    pub expires_at: Option<u64>,
    /// What took effect lately.
    pub history: History,
}

impl Register {
    /// The register of a key that this replica has never written, or has purged. `purge_floor` is what the
    /// replica reports for the partition: no operation born at or below it can be told applied from not.
    #[must_use]
    pub fn absent(purge_floor: Ballot) -> Self {
        Self {
            accepted: Ballot::ZERO,
            version: Version::ZERO,
            lag_ms: 0,
            content: Content::Tombstone,
            expires_at: None,
            history: History::with_floor(purge_floor),
        }
    }

    /// When the last change was made, in unix milliseconds, by the clock of the router that made it.
    #[must_use]
    pub fn changed_ms(&self) -> u64 {
        self.version.ballot.hlc.millis().saturating_add(self.lag_ms.into())
    }

    /// Bytes of memory that value, media type and history take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.content.bytes_here() + self.history.memory_bytes()
    }

    /// Whether no round has written this copy. An absent key and a tombstone are different things.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.accepted.is_zero()
    }

    /// Whether there is a value that has ended by `now_ms`.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.content.is_live() && self.expires_at.is_some_and(|end| end <= now_ms)
    }

    /// The same register without the value's bytes.
    #[must_use]
    pub fn without_value(&self) -> Self {
        let content = match &self.content {
            Content::Live(value) => {
                Content::Withheld { value_bytes: u32::try_from(value.bytes.len()).unwrap_or(u32::MAX) }
            }
            other => other.clone(),
        };
        Self {
            accepted: self.accepted,
            version: self.version,
            lag_ms: self.lag_ms,
            content,
            expires_at: self.expires_at,
            history: self.history.clone(),
        }
    }

    /// What a reader is told: the same register without its history.
    #[must_use]
    pub fn without_history(self) -> Self {
        Self { history: History::default(), ..self }
    }

    /// A copy for a reader, like [`Self::without_history`], that does not copy the history first.
    #[must_use]
    pub fn told(&self) -> Self {
        Self {
            accepted: self.accepted,
            version: self.version,
            lag_ms: self.lag_ms,
            content: self.content.clone(),
            expires_at: self.expires_at,
            history: History::default(),
        }
    }

    /// The same register with a value that keeps nothing else alive: its bytes may be a slice of a much larger body.
    #[must_use]
    pub fn detached(mut self) -> Self {
        if let Content::Live(value) = &mut self.content {
            value.bytes = Bytes::copy_from_slice(&value.bytes);
            value.content_type = value.content_type.detached();
        }
        self
    }

    /// The current ETag: `None` when there is no value.
    #[must_use]
    pub fn etag(&self) -> Option<Version> {
        self.content.is_live().then_some(self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_judged_only_on_values() {
        let mut register = Register::absent(Ballot::ZERO);
        register.expires_at = Some(10);
        assert!(!register.is_expired(10));
        register.content = Content::Withheld { value_bytes: 1 };
        assert!(!register.is_expired(9));
        assert!(register.is_expired(10));
    }

    #[test]
    fn a_register_without_its_value_keeps_everything_else() {
        let mut register = Register::absent(Ballot::ZERO);
        register.content = Content::Live(Value { bytes: "abc".into(), content_type: ContentType::default() });
        let bare = register.without_value();
        assert_eq!(bare.content, Content::Withheld { value_bytes: 3 });
        assert_eq!(Register { content: register.content.clone(), ..bare }, register);
    }
}
