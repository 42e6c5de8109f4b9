//! Availability: every call ends by its deadline, whatever is wrong; nobody waits for a dead node.

use super::Violation;

/// What a call may take beyond its deadline: timers are exact in simulated time.
const GRACE_US: u64 = 1_000;

/// Judges how long one call took.
pub(crate) fn ended_in_time(took_us: u64, timeout_us: u64) -> Result<(), Violation> {
    if took_us <= timeout_us + GRACE_US {
        Ok(())
    } else {
        Err(Violation::Unserved(format!("a call of {timeout_us} us was answered after {took_us} us")))
    }
}
