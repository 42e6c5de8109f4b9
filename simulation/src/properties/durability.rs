//! Durability: what was told survives any minority of disks lost and any number of crashes.

use std::collections::BTreeMap;

use roundtable_consensus::{Key, Version, majority_of};

use super::Violation;

/// The highest version of each key that anyone was told.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    told: BTreeMap<Key, Version>,
}

impl Durability {
    /// Takes note of a version in an answer.
    pub(crate) fn on_told(&mut self, key: &Key, version: Version) {
        let told = self.told.entry(key.clone()).or_default();
        *told = (*told).max(version);
    }

    /// Judges what is on the disks of a key's replicas: a version of each that has the key, and how many of them lost
    /// their first directory. A change that was told was once on a majority; whoever lost a disk since holds nothing
    /// of it until another round passes.
    pub(crate) fn judge(&self, copies_of: impl Fn(&Key) -> Copies) -> Result<(), Violation> {
        for (key, told) in &self.told {
            let Copies { replicas, lost, versions } = copies_of(key);
            let expected = majority_of(replicas).saturating_sub(lost).max(1);
            let found = versions.iter().filter(|version| *version >= told).count();
            if found < expected && *told > Version::ZERO {
                return Err(Violation::Durability(format!(
                    "{key:?} was told at version {told:?}, which {found} disks hold, or a later one, instead of {expected}"
                )));
            }
        }
        Ok(())
    }
}

/// A key on the disks of its replicas.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies {
    pub(crate) replicas: usize,
    pub(crate) lost: usize,
    pub(crate) versions: Vec<Version>,
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Hlc, ProposerId};

    use super::*;

    fn version(ms: u64) -> Version {
        Version { ballot: Ballot::new(Hlc::from_millis(ms), ProposerId(1)), index: 0 }
    }

    #[test]
    fn a_version_told_and_not_on_a_majority_of_the_disks_is_noticed() {
        let mut watch = Durability::default();
        watch.on_told(&Key::new("k").unwrap(), version(5));
        watch.on_told(&Key::new("k").unwrap(), version(3));
        let judge = |versions: &[u64], lost| {
            let versions: Vec<_> = versions.iter().map(|ms| version(*ms)).collect();
            watch.judge(|_| Copies { replicas: 3, lost, versions: versions.clone() })
        };
        assert_eq!(judge(&[5, 6], 0), Ok(()));
        assert!(judge(&[5, 4], 0).is_err());
        assert_eq!(judge(&[5, 4], 1), Ok(()), "the other copy was lost with its disk");
        assert!(judge(&[4, 4], 1).is_err());
    }
}
