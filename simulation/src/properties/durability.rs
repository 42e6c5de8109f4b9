//! Durability: what was told survives any minority of disks lost and any number of crashes.

use std::collections::BTreeMap;

use roundtable_consensus::{Key, Register, Version, majority_of};

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

    /// Judges what is on the disks of all nodes, of which `lost` lost their first directory. A change that was told
    /// was once on a majority; whoever lost a disk since holds nothing of it until another round passes.
    pub(crate) fn judge(&self, disks: &[&BTreeMap<Key, Register>], lost: usize) -> Result<(), Violation> {
        let expected = majority_of(disks.len()).saturating_sub(lost).max(1);
        for (key, told) in &self.told {
            let holds = |disk: &&&BTreeMap<Key, Register>| {
                disk.get(key).map_or(Version::ZERO, |register| register.version) >= *told
            };
            let found = disks.iter().filter(holds).count();
            if found < expected {
                return Err(Violation::Durability(format!(
                    "{key:?} was told at version {told:?}, which {found} disks hold, or a later one, instead of {expected}"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Hlc, ProposerId};

    use super::*;

    fn version(ms: u64) -> Version {
        Version { ballot: Ballot::new(Hlc::from_millis(ms), ProposerId(1)), index: 0 }
    }

    fn disk(ms: u64) -> BTreeMap<Key, Register> {
        let register = Register { version: version(ms), ..Register::absent(Ballot::ZERO) };
        BTreeMap::from([(Key::new("k").unwrap(), register)])
    }

    #[test]
    fn a_version_told_and_not_on_a_majority_of_the_disks_is_noticed() {
        let mut watch = Durability::default();
        watch.on_told(&Key::new("k").unwrap(), version(5));
        watch.on_told(&Key::new("k").unwrap(), version(3));
        let (empty, older, same, newer) = (BTreeMap::new(), disk(4), disk(5), disk(6));
        assert_eq!(watch.judge(&[&same, &newer, &empty], 0), Ok(()));
        assert!(watch.judge(&[&same, &older, &empty], 0).is_err());
        assert_eq!(watch.judge(&[&same, &older, &empty], 1), Ok(()), "the other copy was lost with its disk");
        assert!(watch.judge(&[&older, &older, &empty], 1).is_err());
    }
}
