//! Ballots order rounds; versions order the changes that rounds make.

use std::fmt;
use std::str::FromStr;

use crate::ids::ParseIdError;

/// A hybrid logical clock reading: 48 bits of unix milliseconds above 16 bits of counter.
///
/// Source: Kulkarni et al., "Logical Physical Clocks", 2014.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Bits of the counter below the milliseconds.
    pub const COUNTER_BITS: u32 = 16;
    /// The last millisecond that fits (in the year 10889).
    pub const MILLIS_MAX: u64 = (1 << (64 - Self::COUNTER_BITS)) - 1;

    /// The first reading of a millisecond; times past [`Self::MILLIS_MAX`] are held there.
    #[must_use]
    pub const fn from_millis(unix_ms: u64) -> Self {
        let held = if unix_ms > Self::MILLIS_MAX { Self::MILLIS_MAX } else { unix_ms };
        Self(held << Self::COUNTER_BITS)
    }

    /// The unix milliseconds of this reading.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.millis(), self.0 & ((1 << Self::COUNTER_BITS) - 1))
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A proposer's random name, drawn at process start and again whenever its clock is set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProposerId(pub u64);

/// The number of one round. No two rounds on a key share one: a proposer never uses a clock reading twice
/// under one [`ProposerId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ballot {
    /// When, by the proposer's hybrid clock.
    pub hlc: Hlc,
    /// Who.
    pub proposer: ProposerId,
}

impl Ballot {
    /// Below every round's ballot: the accepted ballot of an absent key.
    pub const ZERO: Self = Self { hlc: Hlc(0), proposer: ProposerId(0) };
    /// Above every round's ballot.
    pub const MAX: Self = Self { hlc: Hlc(u64::MAX), proposer: ProposerId(u64::MAX) };

    /// A ballot from its parts.
    #[must_use]
    pub const fn new(hlc: Hlc, proposer: ProposerId) -> Self {
        Self { hlc, proposer }
    }

    /// The lowest ballot of a clock reading: at or below every ballot that a proposer makes then or later.
    #[must_use]
    pub const fn floor_of(hlc: Hlc) -> Self {
        Self { hlc, proposer: ProposerId(0) }
    }

    /// Whether this is [`Self::ZERO`].
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}", self.hlc.0, self.proposer.0)
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}@{:x}", self.hlc, self.proposer.0)
    }
}

/// What a change made: the round that made it and the change's place in that round.
///
/// Strictly increases in a key's life. Its text is the ETag: 40 hexadecimal digits whose order as text is the
/// order of versions, so it serves as a fencing token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// The round.
    pub ballot: Ballot,
    /// The change's place in the round, from 0.
    pub index: u32,
}

impl Version {
    /// The version of a key that no round has changed.
    pub const ZERO: Self = Self { ballot: Ballot::ZERO, index: 0 };
    /// Hexadecimal digits of the text form.
    pub const TEXT_LEN: usize = 40;
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}{:08x}", self.ballot.hlc.0, self.ballot.proposer.0, self.index)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.ballot, self.index)
    }
}

impl FromStr for Version {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParseIdError::new("version", text, "40 lowercase hexadecimal digits");
        let lowercase_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != Self::TEXT_LEN || !text.bytes().all(lowercase_hex) {
            return Err(malformed());
        }
        let field = |range| text.get(range).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let hlc = field(0..16).ok_or_else(malformed)?;
        let proposer = field(16..32).ok_or_else(malformed)?;
        let index = field(32..40).and_then(|n| u32::try_from(n).ok()).ok_or_else(malformed)?;
        Ok(Self { ballot: Ballot::new(Hlc(hlc), ProposerId(proposer)), index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version() -> impl Strategy<Value = Version> {
        (any::<u64>(), any::<u64>(), any::<u32>())
            .prop_map(|(h, p, index)| Version { ballot: Ballot::new(Hlc(h), ProposerId(p)), index })
    }

    proptest! {
        #[test]
        fn version_text_round_trips_and_keeps_the_order(a in version(), b in version()) {
            prop_assert_eq!(a.to_string().parse::<Version>().unwrap(), a);
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }
    }

    #[test]
    fn version_text_of_another_form_is_refused() {
        for bad in
            ["", "0", &"A".repeat(40), &"0".repeat(41), &format!("+{}", "0".repeat(39)), &"é".repeat(20)]
        {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hlc_holds_times_past_the_end() {
        assert_eq!(Hlc::from_millis(u64::MAX).millis(), Hlc::MILLIS_MAX);
        assert_eq!(Hlc::from_millis(1_790_000_000_000).millis(), 1_790_000_000_000);
    }
}
