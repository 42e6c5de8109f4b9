//! The network: delays, losses, repeats, damage, and cuts, also in one direction only.

use std::collections::BTreeSet;

use bytes::Bytes;
use roundtable_consensus::Rng;

use crate::exchange::Party;
use crate::report::Mishap;

/// How bad the network is.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) delay_us_max: u64,
    pub(crate) loss_percent: u64,
    pub(crate) repeat_percent: u64,
    pub(crate) damage_permille: u64,
    /// Directions, from and to, in which nothing arrives.
    pub(crate) cut: BTreeSet<(Party, Party)>,
}

/// What happens to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Each copy that arrives: after which delay, in microseconds, and with which bytes.
    pub(crate) arrives: Vec<(u64, Bytes)>,
    /// The asker's connection breaks after this delay: it waits no longer.
    pub(crate) breaks_us: Option<u64>,
    pub(crate) mishaps: Vec<Mishap>,
}

impl Network {
    pub(crate) fn calm() -> Self {
        Self {
            delay_us_max: 2_000,
            loss_percent: 0,
            repeat_percent: 0,
            damage_permille: 0,
            cut: BTreeSet::new(),
        }
    }

    /// Decides what becomes of a message. Whoever is cut off notices nothing but silence.
    pub(crate) fn fate(&self, rng: &mut Rng, from: Party, to: Party, body: Bytes) -> Fate {
        let mut fate = Fate { arrives: Vec::new(), breaks_us: None, mishaps: Vec::new() };
        if self.cut.contains(&(from, to)) {
            fate.mishaps.push(Mishap::MessageCut);
            return fate;
        }
        let delay_us = 50 + rng.up_to(self.delay_us_max);
        let body = if rng.up_to(999) < self.damage_permille {
            fate.mishaps.push(Mishap::MessageDamaged);
            damaged(&body, rng)
        } else {
            body
        };
        if rng.up_to(99) < self.loss_percent {
            fate.breaks_us = Some(50_000 + rng.up_to(450_000));
            if rng.up_to(1) == 0 {
                fate.mishaps.push(Mishap::MessageLate);
                fate.arrives.push((delay_us + rng.up_to(3_000_000), body));
            } else {
                fate.mishaps.push(Mishap::MessageLost);
            }
            return fate;
        }
        if rng.up_to(99) < self.repeat_percent {
            fate.mishaps.push(Mishap::MessageRepeated);
            fate.arrives.push((delay_us + rng.up_to(1_000_000), body.clone()));
        }
        fate.arrives.push((delay_us, body));
        fate
    }
}

/// Bytes with one of them changed, or cut.
fn damaged(body: &Bytes, rng: &mut Rng) -> Bytes {
    let last = body.len().saturating_sub(1) as u64;
    let place = usize::try_from(rng.up_to(last)).unwrap_or(0);
    if rng.up_to(1) == 0 {
        return body.slice(..place);
    }
    let mut bytes = body.to_vec();
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 1 << rng.up_to(7);
    }
    bytes.into()
}
