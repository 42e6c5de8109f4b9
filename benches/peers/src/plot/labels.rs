//! Labels beside the ends of lines, moved apart where they would cover each other.

/// Moves positions apart until neighbours have at least this distance, as little as need be, within the bounds if there is
/// room for all. The order stays.
pub(crate) fn spread(wanted: &[i32], distance: i32, bounds: (i32, i32)) -> Vec<i32> {
    let room = Room { distance: distance.into(), low: bounds.0.into(), high: bounds.1.into() };
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&index| wanted.get(index));
    // Neighbours that touch become a group that moves as one, so that its centre stays where it was.
    let mut groups: Vec<Group> = Vec::new();
    for &index in &order {
        let wish = wanted.get(index).copied().unwrap_or_default();
        groups.push(Group { sum_of_starts: wish.into(), count: 1 });
        while let [.., before, last] = groups.as_slice()
            && room.start(before) + before.count * room.distance > room.start(last)
        {
            let merged = room.merge(before, last);
            groups.truncate(groups.len() - 2);
            groups.push(merged);
        }
    }
    let positions = groups.iter().flat_map(|group| {
        let start = room.start(group);
        (0..group.count).map(move |place| start + place * room.distance)
    });
    let mut placed = vec![0; wanted.len()];
    for (index, position) in order.into_iter().zip(positions) {
        if let Some(slot) = placed.get_mut(index) {
            *slot = i32::try_from(position).unwrap_or_default();
        }
    }
    placed
}

/// Labels one below the other. What is summed up is where each would have the first of them.
#[derive(Debug, Clone, Copy)]
struct Group {
    sum_of_starts: i64,
    count: i64,
}

/// Where labels may be.
#[derive(Debug, Clone, Copy)]
struct Room {
    distance: i64,
    low: i64,
    high: i64,
}

impl Room {
    /// Where the first label of the group is.
    fn start(self, group: &Group) -> i64 {
        let length = (group.count - 1) * self.distance;
        (group.sum_of_starts / group.count).min(self.high - length).max(self.low)
    }

    fn merge(self, group: &Group, next: &Group) -> Group {
        let moved = next.sum_of_starts - next.count * group.count * self.distance;
        Group { sum_of_starts: group.sum_of_starts + moved, count: group.count + next.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_room_stay() {
        assert_eq!(spread(&[100, 10, 50], 15, (0, 200)), [100, 10, 50]);
        assert!(spread(&[], 15, (0, 200)).is_empty());
    }

    #[test]
    fn labels_on_top_of_each_other_move_apart_around_their_centre() {
        assert_eq!(spread(&[100, 100], 10, (0, 200)), [95, 105]);
        assert_eq!(spread(&[100, 104, 50], 10, (0, 200)), [97, 107, 50]);
    }

    #[test]
    fn labels_keep_their_distance_within_the_bounds() {
        let wanted = [198, 199, 200, 3];
        let placed = spread(&wanted, 14, (0, 200));
        assert_eq!(placed, [172, 186, 200, 3]);
        // Held up by the bound, a group must not cover the next label either.
        assert_eq!(spread(&[0, 0, 0, 35], 15, (10, 200)), [10, 25, 40, 55]);
        assert_eq!(spread(&[160, 200, 200, 200], 15, (10, 200)), [155, 170, 185, 200]);
    }
}
