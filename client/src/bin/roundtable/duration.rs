//! Durations on the command line, in the grammar of the HTTP API.

use std::time::Duration;

use roundtable_client::Ttl;

/// Reads `500ms`, `30s`, `5m`, `12h`, `7d`; a bare number is seconds.
///
/// # Errors
/// A sentence that says what is accepted.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(accepted()),
    };
    let milliseconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    match milliseconds {
        Some(0) | None => Err(accepted()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
    }
}

/// Reads a time to live: a duration, or `none` for ever.
///
/// # Errors
/// A sentence that says what is accepted.
pub(crate) fn parse_ttl(text: &str) -> Result<Ttl, String> {
    if text == "none" {
        return Ok(Ttl::Never);
    }
    parse(text).map(Ttl::After).map_err(|accepted| format!("{accepted}; or \"none\""))
}

fn accepted() -> String {
    "expected a whole number above zero and a unit: ms, s, m, h or d, such as 30s".to_owned()
}

/// A duration for people: `1h 02m`, `3m 20s`, `12s`, `0.85s`.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.2}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_units_are_those_of_the_api() {
        let table = [
            ("5", 5_000),
            ("250ms", 250),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
        ];
        for (text, milliseconds) in table {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "s", "0", "0s", "-1s", "1.5s", "5 s", "1w", "99999999999999999999d"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn short_duration_fits_its_size() {
        assert_eq!(short(Duration::from_millis(850)), "0.85s");
        assert_eq!(short(Duration::from_secs(200)), "3m 20s");
        assert_eq!(short(Duration::from_secs(3720)), "1h 02m");
    }
}
