//! Convergence: when faults stop, all replicas of a key hold equal registers, and tables and queues are at their floor.
//!
//! Today a replica learns of a key with the next round on it, whose Accept goes to every usable one; so each key gets
//! one more round before this is judged. Without traffic replicas will only converge once they follow each other's log.

use roundtable_consensus::{Key, NodeIndex, Register};

use super::Violation;

/// Judges the copies of a key on the disks of those of its replicas that vote.
pub(crate) fn judge_replicas(key: &Key, copies: &[(NodeIndex, Option<&Register>)]) -> Result<(), Violation> {
    let Some((first, model)) = copies.first() else { return Ok(()) };
    match copies.iter().find(|(_, copy)| copy != model) {
        None => Ok(()),
        Some((other, copy)) => Err(Violation::Diverged(format!(
            "{key:?} is {model:?} at node {first:?} and {copy:?} at node {other:?}"
        ))),
    }
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

    #[test]
    fn replicas_that_differ_or_lack_a_key_are_noticed() {
        let key = Key::new("k").unwrap();
        let register =
            |hlc| Register { accepted: Ballot::floor_of(Hlc(hlc)), ..Register::absent(Ballot::ZERO) };
        let (one, same, other) = (register(1), register(1), register(2));
        let judge = |copies: [Option<&Register>; 2]| {
            judge_replicas(&key, &[(NodeIndex(0), copies[0]), (NodeIndex(1), copies[1])])
        };
        assert_eq!(judge([Some(&one), Some(&same)]), Ok(()));
        assert_eq!(judge([None, None]), Ok(()));
        assert!(judge([Some(&one), Some(&other)]).is_err());
        assert!(judge([None, Some(&one)]).is_err());
    }

    #[test]
    fn anything_left_behind_is_noticed() {
        assert_eq!(judge_leftovers([("a queue".to_owned(), 0)]), Ok(()));
        assert!(judge_leftovers([("a queue".to_owned(), 0), ("a table".to_owned(), 1)]).is_err());
    }
}
