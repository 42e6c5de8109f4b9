//! Writes and their options.

use std::time::Duration;

use bytes::Bytes;

use crate::etag::ETag;
use crate::idempotency::IdempotencyKey;

/// What must hold of the key for a write to be applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// It stands at exactly this version: compare-and-set.
    Matches(ETag),
    /// It exists: replace only.
    Present,
    /// It does not exist: create only.
    Absent,
}

/// How long a key lives from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// This long, to the millisecond, from the moment at which the router takes the request.
    After(Duration),
    /// For ever.
    Never,
}

impl Ttl {
    /// The value of the `ttl` parameter.
    pub(crate) fn parameter(self) -> String {
        match self {
            Self::After(duration) => format!("{}ms", duration.as_millis()),
            Self::Never => "none".to_owned(),
        }
    }
}

/// A value to be written, and how.
///
/// Text and bytes turn into one by themselves: `client.put("key", "value")`.
#[derive(Debug, Clone)]
pub struct Put {
    pub(crate) value: Bytes,
    pub(crate) content_type: Option<Bytes>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) condition: Condition,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

impl Put {
    /// Writes this value, whatever the key holds, without expiry, as `application/octet-stream`.
    #[must_use]
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self {
            value: value.into(),
            content_type: None,
            ttl: None,
            condition: Condition::Always,
            idempotency_key: None,
        }
    }

    /// Keeps this content type with the value: 1 to 255 bytes without control characters.
    #[must_use]
    pub fn content_type(mut self, content_type: impl AsRef<[u8]>) -> Self {
        self.content_type = Some(Bytes::copy_from_slice(content_type.as_ref()));
        self
    }

    /// Lets the key expire this long from now, to the millisecond.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Writes only if this holds.
    #[must_use]
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// Names the operation, to repeat one that is in doubt. Everything else must be as it was.
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

impl<T: Into<Bytes>> From<T> for Put {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct Delete {
    pub(crate) condition: Condition,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

impl Delete {
    /// Deletes whatever is there.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Deletes only if this holds; [`Condition::Absent`] makes no sense here and is refused.
    #[must_use]
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// Names the operation, to repeat one that is in doubt.
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

/// How to change a counter.
#[derive(Debug, Clone)]
pub struct Increment {
    pub(crate) by: i64,
    pub(crate) ttl: Option<Duration>,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

impl Increment {
    /// Adds this much; an absent key counts as 0.
    #[must_use]
    pub fn by(by: i64) -> Self {
        Self { by, ttl: None, idempotency_key: None }
    }

    /// If the increment creates the counter, lets it expire this long from now.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Names the operation, to repeat one that is in doubt.
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

impl From<i64> for Increment {
    fn from(by: i64) -> Self {
        Self::by(by)
    }
}

/// How to renew a key's time to live.
#[derive(Debug, Clone)]
pub struct Touch {
    pub(crate) ttl: Ttl,
    pub(crate) condition: Condition,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

impl Touch {
    /// Gives the key this time to live; the value stays.
    #[must_use]
    pub fn new(ttl: Ttl) -> Self {
        Self { ttl, condition: Condition::Always, idempotency_key: None }
    }

    /// Renews only if this holds; [`Condition::Absent`] makes no sense here and is refused.
    #[must_use]
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// Names the operation, to repeat one that is in doubt.
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

impl From<Ttl> for Touch {
    fn from(ttl: Ttl) -> Self {
        Self::new(ttl)
    }
}

impl From<Duration> for Touch {
    fn from(ttl: Duration) -> Self {
        Self::new(Ttl::After(ttl))
    }
}
