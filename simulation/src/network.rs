//! The network between routers and nodes: delays, losses, repeats and cuts, also in one direction only.

use std::collections::BTreeSet;

use roundtable_consensus::Rng;

/// How bad the network is.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) delay_us_max: u64,
    pub(crate) loss_percent: u64,
    pub(crate) repeat_percent: u64,
    /// Cut directions: (router, node, toward the node).
    pub(crate) cut: BTreeSet<(usize, usize, bool)>,
}

/// What happens to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives after each of these delays, in microseconds.
    Arrives(Vec<u64>),
    /// The sender gives up on it after this delay; it may still arrive later.
    Lost {
        /// When the sender gives up.
        after_us: u64,
        /// When it arrives nevertheless.
        arrives_us: Option<u64>,
    },
}

impl Network {
    pub(crate) fn calm() -> Self {
        Self { delay_us_max: 2_000, loss_percent: 0, repeat_percent: 0, cut: BTreeSet::new() }
    }

    pub(crate) fn fate(&self, rng: &mut Rng, router: usize, node: usize, toward_node: bool) -> Fate {
        if self.cut.contains(&(router, node, toward_node)) {
            return Fate::Lost { after_us: 200_000 + rng.up_to(800_000), arrives_us: None };
        }
        let delay_us = 50 + rng.up_to(self.delay_us_max);
        if rng.up_to(99) < self.loss_percent {
            let late = rng.up_to(1) == 0;
            let after_us = 100_000 + rng.up_to(400_000);
            return Fate::Lost { after_us, arrives_us: late.then(|| delay_us + rng.up_to(3_000_000)) };
        }
        let mut delays = vec![delay_us];
        if rng.up_to(99) < self.repeat_percent {
            delays.push(delay_us + rng.up_to(1_000_000));
        }
        Fate::Arrives(delays)
    }
}
