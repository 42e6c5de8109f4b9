//! Convergence: when faults stop, all replicas of a key hold equal registers, and tables and queues are at their floor.
//!
//! Today a replica learns of a key with the next round on it, whose Accept goes to every usable one; so each key gets
//! one more round before this is judged. Without traffic replicas will only converge once they follow each other's log.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_consensus::{Key, NodeIndex, Register};

use super::Violation;

/// Judges the disks of the nodes that vote.
pub(crate) fn judge_replicas(disks: &[(NodeIndex, &BTreeMap<Key, Register>)]) -> Result<(), Violation> {
    let keys: BTreeSet<&Key> = disks.iter().flat_map(|(_, disk)| disk.keys()).collect();
    let Some((first, model)) = disks.first() else { return Ok(()) };
    for key in keys {
        if let Some((other, disk)) = disks.iter().find(|(_, disk)| disk.get(key) != model.get(key)) {
            return Err(Violation::Diverged(format!(
                "{key:?} is {:?} at {first:?} and {:?} at {other:?}",
                model.get(key),
                disk.get(key)
            )));
        }
    }
    Ok(())
}

/// Judges what is left in tables and queues, each with its name.
pub(crate) fn judge_leftovers(leftovers: impl IntoIterator<Item = (String, usize)>) -> Result<(), Violation> {
    match leftovers.into_iter().find(|(_, count)| *count > 0) {
        Some((name, count)) => {
            Err(Violation::Diverged(format!("{count} left in {name} after everything ended")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Hlc};

    use super::*;

    fn disk(hlc: u64) -> BTreeMap<Key, Register> {
        let register = Register { accepted: Ballot::floor_of(Hlc(hlc)), ..Register::absent(Ballot::ZERO) };
        BTreeMap::from([(Key::new("k").unwrap(), register)])
    }

    #[test]
    fn replicas_that_differ_or_lack_a_key_are_noticed() {
        let (one, same, other, none) = (disk(1), disk(1), disk(2), BTreeMap::new());
        let at = |place: u16, disk| (NodeIndex(place), disk);
        assert_eq!(judge_replicas(&[at(0, &one), at(1, &same)]), Ok(()));
        assert!(judge_replicas(&[at(0, &one), at(1, &other)]).is_err());
        assert!(judge_replicas(&[at(0, &none), at(1, &one)]).is_err());
        assert!(judge_replicas(&[at(0, &one), at(1, &none)]).is_err());
    }

    #[test]
    fn anything_left_behind_is_noticed() {
        assert_eq!(judge_leftovers([("a queue".to_owned(), 0)]), Ok(()));
        assert!(judge_leftovers([("a queue".to_owned(), 0), ("a table".to_owned(), 1)]).is_err());
    }
}
