//! Locks: nobody holds one while another does, and tokens tell the order.

use super::recorder::Hold;

/// Pairs of holds of one lock that cannot both be: their times overlap, or their tokens contradict their times.
pub(super) fn conflicts(holds: &[Hold]) -> Vec<String> {
    let mut sorted = holds.to_vec();
    sorted.sort_by_key(|hold| hold.token);
    let mut conflicts = Vec::new();
    for (place, later) in sorted.iter().enumerate() {
        for earlier in sorted.iter().take(place) {
            if earlier.token == later.token {
                conflicts.push(format!("two holds with one token: {earlier:?}, {later:?}"));
            } else if later.from < earlier.invoked {
                conflicts.push(format!("the higher token was given first: {earlier:?}, {later:?}"));
            } else if later.from < earlier.until && earlier.from < later.until {
                conflicts.push(format!("held by two at once: {earlier:?}, {later:?}"));
            }
        }
    }
    conflicts
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Ballot, Hlc, ProposerId, Version};

    use super::*;

    fn hold(token: u64, invoked: u64, until: u64) -> Hold {
        let token = Version { ballot: Ballot::new(Hlc(token), ProposerId(1)), index: 0 };
        Hold { client: 1, token, invoked, from: invoked + 5, until }
    }

    #[test]
    fn holds_one_after_another_are_fine() {
        assert!(conflicts(&[hold(1, 0, 100), hold(2, 95, 200), hold(3, 195, 300)]).is_empty());
    }

    #[test]
    fn two_holders_at_once_are_found() {
        let found = conflicts(&[hold(1, 0, 100), hold(2, 20, 200)]);
        assert!(found.len() == 1 && found[0].starts_with("held by two at once"), "{found:?}");
    }

    #[test]
    fn a_token_out_of_order_is_found() {
        let found = conflicts(&[hold(2, 0, 100), hold(1, 150, 200)]);
        assert!(found.len() == 1 && found[0].starts_with("the higher token was given first"), "{found:?}");
    }

    #[test]
    fn one_token_for_two_is_found() {
        assert_eq!(conflicts(&[hold(1, 0, 10), hold(1, 50, 60)]).len(), 1);
    }
}
