//! Quorum arithmetic: the only place that knows what a majority is.
//!
//! A key's replicas form one set, or two while the partition moves. A phase is complete when it has a majority of
//! each set; a node in both counts in both.

use crate::ids::NodeIndex;

/// The smallest number that is more than half of `members`.
#[must_use]
pub fn majority_of(members: usize) -> usize {
    members / 2 + 1
}

/// Replicas of a partition, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplicaSet {
    /// Every node that is asked, each once; those of the newest set first.
    members: Vec<NodeIndex>,
    /// The sets of which a majority each is needed: one, or the old and the new.
    sets: Vec<Vec<NodeIndex>>,
}

impl ReplicaSet {
    /// The replicas of a partition that does not move.
    ///
    /// # Panics
    /// When there is no node, or one is named twice.
    #[must_use]
    pub fn single(nodes: Vec<NodeIndex>) -> Self {
        Self::of(vec![nodes])
    }

    /// The replicas of a partition on the move: both sets decide.
    ///
    /// # Panics
    /// When a set is empty or names a node twice.
    #[must_use]
    pub fn joint(old: Vec<NodeIndex>, new: Vec<NodeIndex>) -> Self {
        if old == new { Self::of(vec![new]) } else { Self::of(vec![new, old]) }
    }

    fn of(sets: Vec<Vec<NodeIndex>>) -> Self {
        let mut members = Vec::new();
        for set in &sets {
            assert!(!set.is_empty(), "a replica set has members");
            for (place, node) in set.iter().enumerate() {
                assert!(
                    !set.iter().take(place).any(|other| other == node),
                    "a replica set names a node once"
                );
                if !members.contains(node) {
                    members.push(*node);
                }
            }
        }
        Self { members, sets }
    }

    /// Every node of any set, each once, in order of preference.
    #[must_use]
    pub fn members(&self) -> &[NodeIndex] {
        &self.members
    }

    /// Whether the partition is on the move.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.sets.len() > 1
    }

    /// Whether the nodes for which `has` holds are a majority of every set.
    pub fn is_quorum(&self, has: impl Fn(NodeIndex) -> bool) -> bool {
        self.sets.iter().all(|set| set.iter().filter(|node| has(**node)).count() >= majority_of(set.len()))
    }

    /// The largest `value` such that nodes reporting at least it form a quorum; nodes without one report nothing.
    /// For instance the latest ballot time that a quorum would take.
    pub fn quorum_value<T: Ord + Copy>(&self, value: impl Fn(NodeIndex) -> Option<T>) -> Option<T> {
        let mut candidates: Vec<T> = self.members.iter().filter_map(|node| value(*node)).collect();
        candidates.sort_unstable();
        candidates
            .into_iter()
            .rev()
            .find(|limit| self.is_quorum(|node| value(node).is_some_and(|v| v >= *limit)))
    }

    /// The fewest members, in order of `preferred` first, that form a quorum: whom to ask first.
    pub fn first_quorum(&self, preferred: impl Fn(NodeIndex) -> bool) -> Vec<NodeIndex> {
        let (first, rest): (Vec<NodeIndex>, Vec<NodeIndex>) =
            self.members.iter().partition(|node| preferred(**node));
        let mut chosen = Vec::new();
        for node in first.into_iter().chain(rest) {
            if self.is_quorum(|member| chosen.contains(&member)) {
                break;
            }
            let helps = self.sets.iter().any(|set| {
                let have = set.iter().filter(|member| chosen.contains(member)).count();
                set.contains(&node) && have < majority_of(set.len())
            });
            if helps {
                chosen.push(node);
            }
        }
        chosen
    }
}

/// What each member of a replica set has said in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tally<T> {
    replies: Vec<(NodeIndex, T)>,
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self { replies: Vec::new() }
    }
}

impl<T> Tally<T> {
    /// Notes a member's word; a second word of the same member is ignored.
    pub fn insert(&mut self, node: NodeIndex, word: T) {
        if self.get(node).is_none() {
            self.replies.push((node, word));
        }
    }

    /// What a member has said.
    #[must_use]
    pub fn get(&self, node: NodeIndex) -> Option<&T> {
        self.replies.iter().find(|(member, _)| *member == node).map(|(_, word)| word)
    }

    /// All words for good, in order of arrival.
    pub fn into_words(self) -> impl Iterator<Item = (NodeIndex, T)> {
        self.replies.into_iter()
    }

    /// All words, in order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIndex, &T)> + Clone {
        self.replies.iter().map(|(node, word)| (*node, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(numbers: &[u16]) -> Vec<NodeIndex> {
        numbers.iter().map(|n| NodeIndex(*n)).collect()
    }

    #[test]
    fn majority_is_more_than_half() {
        let table = [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)];
        for (members, majority) in table {
            assert_eq!(majority_of(members), majority);
        }
    }

    #[test]
    fn joint_quorum_needs_a_majority_of_both_sets() {
        let set = ReplicaSet::joint(nodes(&[1, 2, 3]), nodes(&[2, 3, 4]));
        let table: [(&[u16], bool); 7] = [
            (&[2, 3], true),
            (&[1, 2], false),
            (&[1, 3], false),
            (&[3, 4], false),
            (&[1, 2, 4], true),
            (&[1, 4], false),
            (&[1, 2, 3, 4], true),
        ];
        for (have, quorum) in table {
            assert_eq!(set.is_quorum(|node| have.contains(&node.0)), quorum, "{have:?}");
        }
        assert_eq!(set.members(), nodes(&[2, 3, 4, 1]));
    }

    #[test]
    fn any_two_quorums_meet_in_every_set() {
        for set in [
            ReplicaSet::single(nodes(&[1, 2, 3, 4])),
            ReplicaSet::single(nodes(&[1, 2, 3, 4, 5])),
            ReplicaSet::joint(nodes(&[1, 2, 3]), nodes(&[3, 4, 5])),
        ] {
            for a in 0_u16..64 {
                for b in 0_u16..64 {
                    let quorum = |mask: u16| set.is_quorum(|node| mask >> node.0 & 1 == 1);
                    if quorum(a) && quorum(b) {
                        assert_ne!(a & b, 0);
                    }
                }
            }
        }
    }

    #[test]
    fn first_quorum_prefers_and_is_minimal() {
        let single = ReplicaSet::single(nodes(&[1, 2, 3]));
        assert_eq!(single.first_quorum(|_| true), nodes(&[1, 2]));
        assert_eq!(single.first_quorum(|node| node.0 != 1), nodes(&[2, 3]));
        assert_eq!(single.first_quorum(|_| false), nodes(&[1, 2]));
        let joint = ReplicaSet::joint(nodes(&[1, 2, 3]), nodes(&[4, 5, 6]));
        assert_eq!(joint.first_quorum(|_| true), nodes(&[4, 5, 1, 2]));
    }

    #[test]
    fn quorum_value_is_what_a_majority_reaches() {
        let set = ReplicaSet::single(nodes(&[1, 2, 3]));
        assert_eq!(set.quorum_value(|node| Some(node.0)), Some(2));
        assert_eq!(set.quorum_value(|node| (node.0 != 2).then_some(node.0)), Some(1));
        assert_eq!(set.quorum_value(|node| (node.0 == 2).then_some(node.0)), None);
    }

    #[test]
    fn tally_keeps_the_first_word() {
        let mut tally = Tally::default();
        tally.insert(NodeIndex(1), "first");
        tally.insert(NodeIndex(1), "second");
        assert_eq!(tally.get(NodeIndex(1)), Some(&"first"));
        assert_eq!(tally.iter().count(), 1);
    }
}
