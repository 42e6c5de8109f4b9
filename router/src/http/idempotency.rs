//! The `Idempotency-Key` header: a UUIDv7 or a ULID, whose time is the operation's birth.

use roundtable_consensus::{ClientKey, Hlc, OpId};
use ulid::Ulid;
use uuid::{Uuid, Variant};

use crate::http::problem::{Code, Problem};
use crate::http::query::shown;

/// How far ahead of the router's clock the time in a key may be, in milliseconds.
pub(super) const AHEAD_MS_MAX: u64 = 1_000;

/// A client's name for one operation, and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    id: OpId,
    birth_ms: u64,
}

impl IdempotencyKey {
    /// Reads a UUIDv7 (with or without hyphens) or a ULID.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let parsed = match text.len() {
            26 => from_ulid(text),
            32 | 36 => from_uuid(text),
            _ => None,
        };
        parsed.ok_or_else(|| {
            let detail = format!(
                "Idempotency-Key is {}; a UUID of version 7 or a ULID is accepted, made by the client for this one \
                 operation",
                shown(text)
            );
            Problem::new(Code::BadIdempotencyKey, detail)
        })
    }

    /// The key as the register's history keeps it.
    ///
    /// # Errors
    /// When its time is more than a second ahead of `now_ms`, the router's hybrid clock.
    pub fn to_client_key(self, now_ms: u64, fingerprint: u64) -> Result<ClientKey, Problem> {
        if self.birth_ms > now_ms.saturating_add(AHEAD_MS_MAX) {
            let detail = format!(
                "the time in Idempotency-Key is {} ms ahead of the router's clock; at most {AHEAD_MS_MAX} ms is accepted",
                self.birth_ms - now_ms
            );
            return Err(Problem::new(Code::BadIdempotencyKey, detail));
        }
        Ok(ClientKey { id: self.id, birth: Hlc::from_millis(self.birth_ms), fingerprint })
    }
}

fn from_uuid(text: &str) -> Option<IdempotencyKey> {
    let uuid = Uuid::try_parse(text).ok()?;
    let is_v7 = uuid.get_version_num() == 7 && uuid.get_variant() == Variant::RFC4122;
    let bits = uuid.as_u128();
    is_v7.then(|| IdempotencyKey { id: OpId(bits), birth_ms: millis_of(bits) })
}

fn from_ulid(text: &str) -> Option<IdempotencyKey> {
    // 26 characters hold 130 bits: a first character above 7 would lose the upper two.
    let fits = text.starts_with(|first: char| ('0'..='7').contains(&first));
    let bits = u128::from(Ulid::from_string(text).ok().filter(|_| fits)?);
    Some(IdempotencyKey { id: OpId(bits), birth_ms: millis_of(bits) })
}

/// Both forms begin with 48 bits of unix milliseconds.
fn millis_of(bits: u128) -> u64 {
    u64::try_from(bits >> 80).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_give_id_and_birth() {
        let uuid = IdempotencyKey::parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f").unwrap();
        assert_eq!(uuid.birth_ms, 0x017f_22e2_79b0);
        assert_eq!(uuid, IdempotencyKey::parse("017F22E279B07CC398C4DC0C0C07398F").unwrap());
        let ulid = IdempotencyKey::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        assert_eq!(ulid.birth_ms, 1_469_922_850_259);
    }

    #[test]
    fn everything_else_is_refused_and_told_what_is_accepted() {
        let table = [
            "",
            "abc",
            "550e8400-e29b-41d4-a716-446655440000",
            "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU!",
            "01ARZ3NDEKTSV4RRFFQ69G5FA!",
            "{17f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
            "\"17f22e2-79b0-7cc3-98c4-dc0c0c07398f\"",
        ];
        for text in table {
            let problem = IdempotencyKey::parse(text).unwrap_err();
            assert_eq!(problem.code(), Code::BadIdempotencyKey, "{text}");
            assert!(problem.detail().contains("ULID"), "{text}");
        }
    }

    #[test]
    fn key_from_the_future_is_refused() {
        let key = IdempotencyKey { id: OpId(1), birth_ms: 10_000 };
        assert!(key.to_client_key(9_000, 7).is_ok());
        assert!(key.to_client_key(8_999, 7).unwrap_err().detail().contains("1001 ms ahead"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-zA-Z{}-]{20,40}|.*") {
            let _ = IdempotencyKey::parse(&text);
        }
    }
}
