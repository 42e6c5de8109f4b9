//! No zombies: a deleted or expired key never returns without a new put.
//!
//! Judged answer by answer: what is shown after somebody was told that there is nothing must be younger than that, and
//! come from a put that could still take effect.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_consensus::{Key, Version};

use super::Violation;

/// What was told of each key.
#[derive(Debug, Default)]
pub(crate) struct NoZombies {
    keys: BTreeMap<Key, Past>,
}

#[derive(Debug, Default)]
struct Past {
    /// Values that some put may have stored.
    begun: BTreeSet<i64>,
    /// When the put of a value was known to have taken effect.
    stored: BTreeMap<i64, u64>,
    /// When a deletion's version was told, with the highest told so far.
    gone: Vec<(u64, Version)>,
    /// When somebody was told that there is nothing, with the latest beginning of such a call so far.
    nothing: Vec<(u64, u64)>,
}

/// One answer's place in time: when its call began, and when it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) begun_us: u64,
    pub(crate) told_us: u64,
}

impl NoZombies {
    /// A put of a value begins.
    pub(crate) fn on_begun(&mut self, key: &Key, value: i64) {
        self.past(key).begun.insert(value);
    }

    /// A put is never applied.
    pub(crate) fn on_never_applied(&mut self, key: &Key, value: i64) {
        self.past(key).begun.remove(&value);
    }

    /// A put has taken effect.
    pub(crate) fn on_stored(&mut self, key: &Key, value: i64, span: Span) {
        self.past(key).stored.entry(value).or_insert(span.told_us);
    }

    /// Somebody is told that there is nothing, perhaps since which version.
    pub(crate) fn on_nothing(&mut self, key: &Key, since: Option<Version>, span: Span) {
        let past = self.past(key);
        if let Some(version) = since
            && past.gone.last().is_none_or(|(_, last)| *last < version)
        {
            past.gone.push((span.told_us, version));
        }
        if past.nothing.last().is_none_or(|(_, last)| *last < span.begun_us) {
            past.nothing.push((span.told_us, span.begun_us));
        }
    }

    /// Somebody is shown a value under a version; `value` where it is known and no other call stores it.
    pub(crate) fn on_shown(
        &mut self,
        key: &Key,
        value: Option<i64>,
        version: Version,
        span: Span,
    ) -> Result<(), Violation> {
        let past = self.past(key);
        if let Some(gone) = before(&past.gone, span.begun_us)
            && version <= gone
        {
            let what = format!("{key:?} was gone at {gone:?}, and shown at {version:?} afterwards");
            return Err(Violation::Zombie(what));
        }
        let Some(value) = value else { return Ok(()) };
        if !past.begun.contains(&value) {
            let what = format!("{key:?} shows {value}, which nobody stored, or whose put is never applied");
            return Err(Violation::Zombie(what));
        }
        if let (Some(stored_us), Some(nothing_us)) =
            (past.stored.get(&value), before(&past.nothing, span.begun_us))
            && *stored_us < nothing_us
        {
            let what = format!("{key:?} shows {value}, although it was gone after that was stored");
            return Err(Violation::Zombie(what));
        }
        Ok(())
    }

    fn past(&mut self, key: &Key) -> &mut Past {
        self.keys.entry(key.clone()).or_default()
    }
}

/// The last of what was told before this time.
fn before<T: Copy>(told: &[(u64, T)], time_us: u64) -> Option<T> {
    told.iter().rev().find(|(told_us, _)| *told_us < time_us).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Hlc, ProposerId};

    use super::*;

    fn version(ms: u64) -> Version {
        Version { ballot: Ballot::new(Hlc::from_millis(ms), ProposerId(1)), index: 0 }
    }

    fn span(begun_us: u64) -> Span {
        Span { begun_us, told_us: begun_us + 5 }
    }

    fn stored() -> (NoZombies, Key) {
        let key = Key::new("k").unwrap();
        let mut watch = NoZombies::default();
        watch.on_begun(&key, 1);
        watch.on_stored(&key, 1, span(0));
        (watch, key)
    }

    #[test]
    fn a_version_at_or_below_a_deletion_told_before_is_noticed() {
        let (mut watch, key) = stored();
        watch.on_nothing(&key, Some(version(5)), span(10));
        assert!(watch.on_shown(&key, None, version(5), span(20)).is_err());
        assert_eq!(watch.on_shown(&key, None, version(5), span(12)), Ok(()), "it began before that was told");
        assert_eq!(watch.on_shown(&key, None, version(6), span(20)), Ok(()));
    }

    #[test]
    fn a_value_stored_before_somebody_found_nothing_is_noticed_without_versions() {
        let (mut watch, key) = stored();
        assert_eq!(watch.on_shown(&key, Some(1), version(1), span(7)), Ok(()));
        watch.on_nothing(&key, None, span(10));
        assert!(watch.on_shown(&key, Some(1), version(9), span(20)).is_err());
        watch.on_begun(&key, 2);
        assert_eq!(watch.on_shown(&key, Some(2), version(9), span(20)), Ok(()), "in doubt: it came later");
    }

    #[test]
    fn a_value_that_nobody_stored_or_that_is_never_applied_is_noticed() {
        let (mut watch, key) = stored();
        assert!(watch.on_shown(&key, Some(3), version(9), span(20)).is_err());
        watch.on_begun(&key, 3);
        assert_eq!(watch.on_shown(&key, Some(3), version(9), span(20)), Ok(()));
        watch.on_never_applied(&key, 3);
        assert!(watch.on_shown(&key, Some(3), version(9), span(20)).is_err());
    }
}
