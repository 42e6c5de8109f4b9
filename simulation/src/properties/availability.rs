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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_after_the_deadline_is_noticed() {
        assert_eq!(ended_in_time(500_000, 500_000), Ok(()));
        assert!(ended_in_time(502_000, 500_000).is_err());
    }
}
