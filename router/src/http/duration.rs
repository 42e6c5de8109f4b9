//! Durations as clients write them: `1500ms`, `30s`, `5m`, `2h`, `7d`; a bare number is seconds.

/// The longest time to live: ten years of 365 days, in milliseconds.
pub(crate) const TTL_MS_MAX: u64 = 10 * 365 * 24 * 3_600 * 1_000;
/// The longest time that one request may ask for, in milliseconds.
pub(crate) const TIMEOUT_MS_MAX: u64 = 60_000;

/// A text that is not a duration, or one out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    /// Not a number with a unit.
    #[error("is not a whole number followed by one of ms, s, m, h, d (a bare number is seconds)")]
    Malformed,
    /// Zero.
    #[error("is zero; the shortest is 1ms")]
    Zero,
    /// More than the limit.
    #[error("is longer than {}", describe(*max_ms))]
    TooLong {
        /// The longest that is accepted, in milliseconds.
        max_ms: u64,
    },
}

/// Milliseconds of a duration between 1 ms and `max_ms`.
///
/// # Errors
/// When the text is not a duration, or out of range.
pub(crate) fn parse_millis(text: &str, max_ms: u64) -> Result<u64, DurationError> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(DurationError::Malformed),
    };
    if digits.is_empty() {
        return Err(DurationError::Malformed);
    }
    // All characters are digits, so a failure can only be a number of more than 64 bits.
    let count: u64 = digits.parse().map_err(|_| DurationError::TooLong { max_ms })?;
    match count.checked_mul(unit_ms) {
        Some(0) => Err(DurationError::Zero),
        Some(ms) if ms <= max_ms => Ok(ms),
        _ => Err(DurationError::TooLong { max_ms }),
    }
}

fn describe(ms: u64) -> String {
    match ms {
        TTL_MS_MAX => "10 years (3650d)".to_owned(),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let table = [
            ("1500ms", 1_500),
            ("30s", 30_000),
            ("30", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("3650d", TTL_MS_MAX),
            ("007", 7_000),
        ];
        for (text, ms) in table {
            assert_eq!(parse_millis(text, TTL_MS_MAX), Ok(ms), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_by_reason() {
        let too_long = DurationError::TooLong { max_ms: TTL_MS_MAX };
        for text in ["", "s", "-1s", "+1", "1.5s", "1 s", "1S", "1w", "one", "1s1", "٣s", "1\u{0}"] {
            assert_eq!(parse_millis(text, TTL_MS_MAX), Err(DurationError::Malformed), "{text:?}");
        }
        for text in ["0", "0ms", "000d"] {
            assert_eq!(parse_millis(text, TTL_MS_MAX), Err(DurationError::Zero), "{text}");
        }
        for text in ["3651d", "99999999999999999999", "18446744073709551615d"] {
            assert_eq!(parse_millis(text, TTL_MS_MAX), Err(too_long), "{text}");
        }
        assert_eq!(too_long.to_string(), "is longer than 10 years (3650d)");
    }
}
