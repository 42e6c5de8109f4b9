//! Labels beside the ends of lines, moved apart where they would cover each other.

/// Moves positions apart until neighbours have at least this distance, as little as need be, within the bounds if there is
/// room for all. The order stays.
pub(crate) fn spread(wanted: &[i32], distance: i32, bounds: (i32, i32)) -> Vec<i32> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&index| wanted.get(index));
    // Groups of neighbours that touch are moved together, so that their centre stays where it was.
    let mut groups: Vec<Group> = Vec::new();
    for &index in &order {
        let wish = wanted.get(index).copied().unwrap_or_default();
        groups.push(Group { sum_of_starts: wish.into(), count: 1 });
        while let [.., before, last] = groups.as_slice()
            && before.start() + before.count * i64::from(distance) > last.start()
        {
            let merged = before.with(*last, distance.into());
            groups.truncate(groups.len() - 2);
            groups.push(merged);
        }
    }
    let mut placed = vec![0; wanted.len()];
    let mut indices = order.into_iter();
    for group in groups {
        let length = (group.count - 1) * i64::from(distance);
        let (low, high) = (i64::from(bounds.0), i64::from(bounds.1) - length);
        let start = group.start().min(high).max(low);
        for place in 0..group.count {
            let position = start + place * i64::from(distance);
            if let Some(slot) = indices.next().and_then(|index| placed.get_mut(index)) {
                *slot = i32::try_from(position).unwrap_or_default();
            }
        }
    }
    placed
}

/// Labels one below the other at the distance. What is summed up is where each would have the first of them.
#[derive(Debug, Clone, Copy)]
struct Group {
    sum_of_starts: i64,
    count: i64,
}

impl Group {
    fn start(&self) -> i64 {
        self.sum_of_starts / self.count
    }

    fn with(self, next: Self, distance: i64) -> Self {
        let moved = next.sum_of_starts - next.count * self.count * distance;
        Self { sum_of_starts: self.sum_of_starts + moved, count: self.count + next.count }
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
    }
}
