//! Figures that are committed, and what a new measurement says of them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How far a figure may be above the committed one, in percent; as far below it is worth committing.
pub const TOLERANCE_PERCENT: u64 = 10;

/// What is committed of one path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Instructions for one operation.
    pub instructions: u64,
    /// Why it is what it is, in one line: written with every new figure.
    pub reason: String,
}

/// What a measurement says of a committed figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// About the same.
    Kept,
    /// Far enough above it to be a regression.
    Regressed,
    /// Far enough below it that the figure should follow, or it would hide the next regression.
    Improved,
}

/// Reads the committed figures by name.
///
/// # Errors
/// When the text is not what is expected, or a reason is missing.
pub fn parse(text: &str) -> Result<BTreeMap<String, Figure>, String> {
    let figures: BTreeMap<String, Figure> = toml::from_str(text).map_err(|error| error.to_string())?;
    match figures.iter().find(|(_, figure)| figure.reason.trim().is_empty() || figure.instructions == 0) {
        Some((name, _)) => Err(format!("{name}: expected a figure above zero and a reason")),
        None => Ok(figures),
    }
}

/// Compares.
#[must_use]
pub fn judge(committed: u64, measured: u64) -> Verdict {
    let (committed, measured) = (u128::from(committed) * 100, u128::from(measured) * 100);
    let tolerance = committed / 100 * u128::from(TOLERANCE_PERCENT);
    if measured > committed + tolerance {
        Verdict::Regressed
    } else if measured < committed - tolerance {
        Verdict::Improved
    } else {
        Verdict::Kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_changes_beyond_ten_percent() {
        for (measured, verdict) in [
            (1_000, Verdict::Kept),
            (1_100, Verdict::Kept),
            (1_101, Verdict::Regressed),
            (900, Verdict::Kept),
            (899, Verdict::Improved),
            (u64::MAX, Verdict::Regressed),
            (0, Verdict::Improved),
        ] {
            assert_eq!(judge(1_000, measured), verdict, "{measured}");
        }
    }

    #[test]
    fn figure_without_a_reason_is_refused() {
        assert!(parse("[put]\ninstructions = 5\nreason = \"first\"\n").is_ok());
        for text in [
            "[put]\ninstructions = 5\n",
            "[put]\ninstructions = 5\nreason = \" \"\n",
            "[put]\ninstructions = -1\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
