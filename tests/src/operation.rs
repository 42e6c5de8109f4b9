//! Names of operations, as clients make them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An `Idempotency-Key` for one operation, made now.
#[must_use]
pub fn idempotency_key() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// An `Idempotency-Key` made at another time.
#[must_use]
pub fn idempotency_key_made(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let time = uuid::Timestamp::from_unix(uuid::NoContext, since.as_secs(), since.subsec_nanos());
    uuid::Uuid::new_v7(time).to_string()
}

/// Unix milliseconds by this machine's clock.
///
/// # Panics
/// When the clock stands before 1970.
#[must_use]
pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
