//! The hash that tells whether two requests with one idempotency key are the same request.

use bytes::Bytes;
use roundtable_consensus::{Condition, Key};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::http::endpoint::Action;

/// Hashes what the request asks for: method and operation, key, value, content type, time to live, conditions. Every
/// part has its length before it, so that no two different requests are the same bytes.
#[must_use]
pub fn fingerprint(key: &Key, action: &Action, condition: &Condition, value: &Bytes) -> u64 {
    let mut hasher = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    part(key.as_bytes());
    match action {
        Action::Put { content_type, ttl_ms } => {
            part(b"put");
            part(&xxh3_64(value).to_be_bytes());
            part(content_type.as_bytes());
            part(&optional(*ttl_ms));
        }
        Action::Delete => part(b"delete"),
        Action::Increment { by, ttl_ms } => {
            part(b"increment");
            part(&by.to_be_bytes());
            part(&optional(*ttl_ms));
        }
        Action::Touch { ttl_ms } => {
            part(b"touch");
            part(&optional(*ttl_ms));
        }
    }
    match condition {
        Condition::None => part(b"none"),
        Condition::Exists => part(b"exists"),
        Condition::Absent => part(b"absent"),
        Condition::Matches(versions) => {
            part(b"matches");
            versions.iter().for_each(|version| part(version.to_string().as_bytes()));
        }
    }
    hasher.digest()
}

fn optional(ttl_ms: Option<u64>) -> Vec<u8> {
    ttl_ms.map(|ms| ms.to_be_bytes().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use roundtable_consensus::{ContentType, Version};

    use super::*;

    #[test]
    fn every_difference_changes_the_fingerprint() {
        let key = |text: &'static str| Key::new(text).unwrap();
        let put = |content_type: &'static str, ttl_ms| Action::Put {
            content_type: ContentType::new(content_type).unwrap(),
            ttl_ms,
        };
        let table = [
            (key("k"), put("", None), Condition::None, "v"),
            (key("l"), put("", None), Condition::None, "v"),
            (key("k"), put("a", None), Condition::None, "v"),
            (key("k"), put("", Some(0)), Condition::None, "v"),
            (key("k"), put("", None), Condition::None, "w"),
            (key("k"), put("", None), Condition::Absent, "v"),
            (key("k"), put("", None), Condition::Exists, "v"),
            (key("k"), put("", None), Condition::Matches(vec![]), "v"),
            (key("k"), put("", None), Condition::Matches(vec![Version::ZERO]), "v"),
            (key("k"), Action::Delete, Condition::None, ""),
            (key("k"), Action::Touch { ttl_ms: None }, Condition::None, ""),
            (key("k"), Action::Touch { ttl_ms: Some(1) }, Condition::None, ""),
            (key("k"), Action::Increment { by: 1, ttl_ms: None }, Condition::None, ""),
            (key("k"), Action::Increment { by: 2, ttl_ms: None }, Condition::None, ""),
        ];
        let hash = |(key, action, condition, value): &(Key, Action, Condition, &'static str)| {
            fingerprint(key, action, condition, &Bytes::from_static(value.as_bytes()))
        };
        let distinct: BTreeSet<u64> = table.iter().map(hash).collect();
        assert_eq!(distinct.len(), table.len());
        assert_eq!(hash(&table[0]), hash(&table[0]));
    }
}
