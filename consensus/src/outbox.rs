//! Natural batching of one lane of a node link.
//!
//! Requests to a node leave together: while a small fixed number of batches (the *depth*) is on its way, further
//! requests wait in a bounded queue and leave as one body when a batch returns. There is no timer, so an idle
//! link adds no latency, and a busy one makes larger batches by itself.

use std::collections::VecDeque;

/// The bounds of an [`Outbox`]. All are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutboxLimits {
    /// Batches on their way at once.
    pub depth: usize,
    /// Requests waiting at most.
    pub queue_items_max: usize,
    /// Bytes of requests waiting at most; a single request may exceed it when nothing else waits.
    pub queue_bytes_max: usize,
    /// Requests in one batch at most.
    pub batch_items_max: usize,
    /// Bytes of requests in one batch at most; a single larger request travels alone.
    pub batch_bytes_max: usize,
}

/// The queue of one lane: what waits, and how many batches are on their way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outbox<T> {
    limits: OutboxLimits,
    queue: VecDeque<(T, usize)>,
    queued_bytes: usize,
    in_flight: usize,
}

impl<T> Outbox<T> {
    /// An empty outbox.
    ///
    /// # Panics
    /// When a limit is zero: nothing could ever leave.
    #[must_use]
    pub fn new(limits: OutboxLimits) -> Self {
        let OutboxLimits { depth, queue_items_max, queue_bytes_max, batch_items_max, batch_bytes_max } =
            limits;
        let all_positive = [depth, queue_items_max, queue_bytes_max, batch_items_max, batch_bytes_max]
            .iter()
            .all(|&n| n > 0);
        assert!(all_positive, "an outbox limit is zero: {limits:?}");
        Self { limits, queue: VecDeque::new(), queued_bytes: 0, in_flight: 0 }
    }

    /// Lets a request of about `bytes` bytes wait for the next batch.
    ///
    /// # Errors
    /// Gives the request back when the queue is full; nothing changed.
    pub fn push(&mut self, item: T, bytes: usize) -> Result<(), T> {
        let bytes_after = self.queued_bytes.saturating_add(bytes);
        let too_many = self.queue.len() >= self.limits.queue_items_max;
        let too_large = bytes_after > self.limits.queue_bytes_max && !self.queue.is_empty();
        if too_many || too_large {
            return Err(item);
        }
        self.queued_bytes = bytes_after;
        self.queue.push_back((item, bytes));
        Ok(())
    }

    /// The next batch, in the order of arrival; `None` when nothing waits or `depth` batches are on their way.
    /// Every batch taken is given back by one call of [`Self::returned`].
    pub fn take(&mut self) -> Option<Vec<T>> {
        if self.in_flight >= self.limits.depth || self.queue.is_empty() {
            return None;
        }
        let mut batch = Vec::with_capacity(self.queue.len().min(self.limits.batch_items_max));
        let mut batch_bytes = 0_usize;
        while batch.len() < self.limits.batch_items_max {
            let Some((_, bytes)) = self.queue.front() else { break };
            let bytes_after = batch_bytes.saturating_add(*bytes);
            if bytes_after > self.limits.batch_bytes_max && !batch.is_empty() {
                break;
            }
            batch_bytes = bytes_after;
            batch.extend(self.queue.pop_front().map(|(item, _)| item));
        }
        self.queued_bytes = self.queued_bytes.saturating_sub(batch_bytes);
        self.in_flight += 1;
        Some(batch)
    }

    /// A batch came back, answered or lost.
    ///
    /// # Panics
    /// When no batch was on its way.
    pub fn returned(&mut self) {
        assert!(self.in_flight > 0, "a batch returned that never left");
        self.in_flight -= 1;
    }

    /// Takes back all that waits, in the order of arrival: the node became unusable.
    pub fn drain(&mut self) -> Vec<T> {
        self.queued_bytes = 0;
        self.queue.drain(..).map(|(item, _)| item).collect()
    }

    /// Whether a batch could leave now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.in_flight < self.limits.depth && !self.queue.is_empty()
    }

    /// Requests waiting.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of requests waiting.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Batches on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: OutboxLimits = OutboxLimits {
        depth: 2,
        queue_items_max: 4,
        queue_bytes_max: 100,
        batch_items_max: 3,
        batch_bytes_max: 50,
    };

    fn filled(sizes: &[usize]) -> Outbox<usize> {
        let mut outbox = Outbox::new(LIMITS);
        for (place, &bytes) in sizes.iter().enumerate() {
            outbox.push(place, bytes).unwrap();
        }
        outbox
    }

    #[test]
    fn idle_outbox_lets_a_request_leave_at_once() {
        let mut outbox = filled(&[10]);
        assert_eq!(outbox.take(), Some(vec![0]));
        assert_eq!(outbox.take(), None);
    }

    #[test]
    fn requests_wait_while_depth_batches_are_on_their_way() {
        let mut outbox = Outbox::new(LIMITS);
        for expected in [Some(vec![0]), Some(vec![1]), None, None] {
            let next = outbox.in_flight() + outbox.queued();
            outbox.push(next, 1).unwrap();
            assert_eq!(outbox.take(), expected);
        }
        outbox.returned();
        assert_eq!(outbox.take(), Some(vec![2, 3]), "what waited leaves together");
        assert_eq!(outbox.queued_bytes(), 0);
    }

    #[test]
    fn batches_are_bounded_in_items_and_bytes() {
        let table: [(&[usize], &[usize]); 4] =
            [(&[1, 1, 1, 1], &[0, 1, 2]), (&[30, 20, 1], &[0, 1]), (&[30, 30], &[0]), (&[90, 1], &[0])];
        for (sizes, first) in table {
            assert_eq!(filled(sizes).take().unwrap(), first, "{sizes:?}");
        }
    }

    #[test]
    fn full_queue_gives_the_request_back() {
        let mut by_items = filled(&[1, 1, 1, 1]);
        assert_eq!(by_items.push(9, 1), Err(9));
        let mut by_bytes = filled(&[60]);
        assert_eq!(by_bytes.push(9, 41), Err(9));
        assert_eq!(by_bytes.push(9, 40), Ok(()));
        let mut one_large = Outbox::new(LIMITS);
        assert_eq!(one_large.push(0, 1000), Ok(()), "a large request alone is not refused for ever");
    }

    #[test]
    fn drained_outbox_is_empty_and_keeps_its_batches() {
        let mut outbox = filled(&[1, 1]);
        outbox.take().unwrap();
        outbox.push(7, 1).unwrap();
        assert_eq!(outbox.drain(), vec![7]);
        assert_eq!((outbox.queued(), outbox.queued_bytes(), outbox.in_flight()), (0, 0, 1));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_reordered(steps in prop::collection::vec((0_u8..4, 0_usize..70), 0..200)) {
            let mut outbox = Outbox::new(LIMITS);
            let (mut pushed, mut taken) = (Vec::new(), Vec::new());
            for (step, bytes) in steps {
                match step {
                    0 | 1 => {
                        let next = pushed.len();
                        if outbox.push(next, bytes).is_ok() { pushed.push(next); }
                    }
                    2 => taken.extend(outbox.take().unwrap_or_default()),
                    _ => if outbox.in_flight() > 0 { outbox.returned(); },
                }
                prop_assert!(outbox.queued() <= LIMITS.queue_items_max);
                prop_assert!(outbox.in_flight() <= LIMITS.depth);
            }
            taken.extend(outbox.drain());
            prop_assert_eq!(taken, pushed);
        }
    }
}
