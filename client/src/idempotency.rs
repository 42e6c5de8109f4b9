//! The name of one write, the same in all its attempts.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;
use uuid::Uuid;

/// The client's name for one write: a UUIDv7 or a ULID. A router that meets it again answers what the first attempt
/// answered, or will answer, and changes nothing a second time.
///
/// It holds the time of its making: routers refuse one made more than a second ahead of their clock, and a key's
/// history forgets it after a minute at the earliest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Box<str>);

/// A text that is neither a UUIDv7 nor a ULID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an idempotency key: a UUID of version 7 or a ULID")]
pub struct ParseIdempotencyKeyError(String);

impl IdempotencyKey {
    /// A new key, for one new operation.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// The key as the header carries it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = ParseIdempotencyKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_uuid = Uuid::try_parse(text).is_ok_and(|uuid| uuid.get_version_num() == 7);
        let is_ulid = || text.len() == 26 && Ulid::from_string(text).is_ok();
        if is_uuid || is_ulid() {
            Ok(Self(text.into()))
        } else {
            Err(ParseIdempotencyKeyError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_key_parses_what_it_generates_and_ulids() {
        let key = IdempotencyKey::generate();
        assert_eq!(key.as_str().parse::<IdempotencyKey>().unwrap(), key);
        assert!("01ARZ3NDEKTSV4RRFFQ69G5FAV".parse::<IdempotencyKey>().is_ok());
    }

    #[test]
    fn idempotency_key_of_another_form_is_refused() {
        for bad in ["", "retry-1", "8c7e6b64-2f1c-4c0e-9f5e-0d9f4a1f2b3c", "01ARZ3NDEKTSV4RRFFQ69G5FA"] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad}");
        }
    }
}
