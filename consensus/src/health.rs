//! Failure detection of one node, as a router sees it.
//!
//! A node whose answer is overdue, or whose connection broke with a batch on it, is suspected: it is skipped at once,
//! and its late answers still count. Only a probe decides that it can't be reached. Probes in the background, with a
//! jittered and growing pause, find out when it can be used again. How long an answer may take adapts to the answers
//! seen (the estimator of Jacobson and Karels, "Congestion Avoidance and Control", 1988), between two limits.

use std::collections::BTreeMap;

use crate::rng::Rng;

/// The times of a [`Health`], in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HealthConfig {
    /// An answer is never overdue before this.
    pub suspect_after_us: u64,
    /// An answer is always overdue after this, however slow the node has been.
    pub suspect_after_us_max: u64,
    /// The pause between probes of a usable node.
    pub probe_interval_us: u64,
    /// The first pause between probes of an unusable node; it doubles with each failure.
    pub probe_backoff_us_min: u64,
    /// The longest pause between probes of an unusable node.
    pub probe_backoff_us_max: u64,
}

/// What is known about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// No probe has come back yet.
    Unknown,
    /// It answers.
    Up,
    /// An answer is overdue or was lost: it is skipped, and its late answers count. A probe is on its way.
    Suspect,
    /// It can't be reached: a probe failed.
    Down,
    /// It can be reached and can't be used: another node, another cluster, or not ready to vote.
    Refused,
}

impl Standing {
    /// Whether requests should go there.
    #[must_use]
    pub fn is_usable(self) -> bool {
        self == Self::Up
    }

    /// Whether the node can be reached as far as is known. One that is merely slow can.
    #[must_use]
    pub fn is_reachable(self) -> bool {
        matches!(self, Self::Up | Self::Suspect)
    }

    /// What a coordinator may count on.
    #[must_use]
    pub fn reach(self) -> Reach {
        match self {
            Self::Up => Reach::Usable,
            Self::Unknown | Self::Suspect => Reach::Doubtful,
            Self::Down | Self::Refused => Reach::Unreachable,
        }
    }
}

/// How far a coordinator may count on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Requests go there.
    Usable,
    /// It is passed over where others suffice, and may answer all the same.
    Doubtful,
    /// It is known not to serve: nothing waits for it.
    Unreachable,
}

/// The two kinds of batches: their answers take different times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Answered from memory or by reading.
    Quick,
    /// Answered after a disk's sync.
    Durable,
}

/// Why a node is suspected, in words.
const OVERDUE: &str = "an answer is overdue";

/// One node's standing, and when to probe it. Times are microseconds of one monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Health {
    config: HealthConfig,
    standing: Standing,
    detail: String,
    rng: Rng,
    backoff_us: u64,
    next_probe_us: u64,
    probe_sent_us: Option<u64>,
    last_answer_us: Option<u64>,
    quick: Estimate,
    durable: Estimate,
    waiting: BTreeMap<u64, Waiting>,
    next_batch: u64,
}

/// A batch without an answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Waiting {
    lane: Lane,
    sent_us: u64,
    suspect_at_us: u64,
}

impl Health {
    /// A node that nobody has asked yet: its first probe is due at once.
    #[must_use]
    pub fn new(config: HealthConfig, seed: u64) -> Self {
        Self {
            config,
            standing: Standing::Unknown,
            detail: "not asked yet".to_owned(),
            rng: Rng::new(seed),
            backoff_us: config.probe_backoff_us_min,
            next_probe_us: 0,
            probe_sent_us: None,
            last_answer_us: None,
            quick: Estimate::default(),
            durable: Estimate::default(),
            waiting: BTreeMap::new(),
            next_batch: 0,
        }
    }

    /// What is known about the node.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Why it is unusable, in words; empty for a usable node.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// How long an answer in this lane may take before the node is suspected.
    #[must_use]
    pub fn suspect_after_us(&self, lane: Lane) -> u64 {
        let estimate = match lane {
            Lane::Quick => &self.quick,
            Lane::Durable => &self.durable,
        };
        estimate.bound_us().clamp(
            self.config.suspect_after_us,
            self.config.suspect_after_us_max.max(self.config.suspect_after_us),
        )
    }

    /// A batch leaves. Returns its number and when its answer is overdue: call [`Self::tick`] then.
    pub fn batch_sent(&mut self, now_us: u64, lane: Lane) -> (u64, u64) {
        let batch = self.next_batch;
        self.next_batch += 1;
        let suspect_at_us = now_us.saturating_add(self.suspect_after_us(lane));
        self.waiting.insert(batch, Waiting { lane, sent_us: now_us, suspect_at_us });
        (batch, suspect_at_us)
    }

    /// A batch was answered, perhaps late. Returns the new reach if it changed.
    pub fn batch_answered(&mut self, now_us: u64, batch: u64) -> Option<Reach> {
        let waiting = self.waiting.remove(&batch)?;
        let took_us = now_us.saturating_sub(waiting.sent_us);
        match waiting.lane {
            Lane::Quick => self.quick.observe(took_us),
            Lane::Durable => self.durable.observe(took_us),
        }
        self.last_answer_us = Some(now_us);
        if now_us < waiting.suspect_at_us {
            self.backoff_us = self.config.probe_backoff_us_min;
        }
        match self.standing {
            Standing::Suspect | Standing::Down if !self.is_any_overdue(now_us) => {
                self.stand(Standing::Up, String::new())
            }
            Standing::Down => self.stand(Standing::Suspect, OVERDUE.to_owned()),
            _ => None,
        }
    }

    /// A batch was lost: the connection was refused, broke, or timed out. Returns the new reach if it changed.
    ///
    /// The node is suspected until the probe that is due now tells whether it can be reached: a connection may break
    /// although both ends live on.
    pub fn batch_lost(&mut self, now_us: u64, batch: u64, detail: String) -> Option<Reach> {
        self.waiting.remove(&batch)?;
        self.probe_soon(now_us);
        if self.standing.is_reachable() { self.stand(Standing::Suspect, detail) } else { None }
    }

    /// The node closed a connection that nothing was under way on: it may have ended, so a usable node's next probe is
    /// due at once.
    pub fn connection_closed(&mut self, now_us: u64) {
        self.probe_soon(now_us);
    }

    /// The node answered that it will not serve the batch. Returns the new reach if it changed.
    pub fn batch_refused(&mut self, now_us: u64, batch: u64, detail: String) -> Option<Reach> {
        self.waiting.remove(&batch)?;
        self.last_answer_us = Some(now_us);
        self.probe_soon(now_us);
        self.stand(Standing::Refused, detail)
    }

    /// The probe was answered: usable, or not and why. Returns the new reach if it changed.
    pub fn probe_answered(&mut self, now_us: u64, verdict: Result<(), String>) -> Option<Reach> {
        self.probe_sent_us = None;
        self.last_answer_us = Some(now_us);
        match verdict {
            // A node whose disk hangs still answers probes: it stays suspected while batches are overdue.
            Ok(()) if self.is_any_overdue(now_us) => {
                self.pause(now_us);
                self.stand(Standing::Suspect, "batches are overdue, probes are answered".to_owned())
            }
            Ok(()) => {
                let pause_us = self.jittered(self.config.probe_interval_us);
                self.next_probe_us = now_us.saturating_add(pause_us);
                self.stand(Standing::Up, String::new())
            }
            Err(detail) => {
                self.pause(now_us);
                self.stand(Standing::Refused, detail)
            }
        }
    }

    /// The probe was not answered. Returns the new reach if it changed.
    ///
    /// A node that answered a batch since the probe left is only busy, and stays what it is.
    pub fn probe_failed(&mut self, now_us: u64, detail: String) -> Option<Reach> {
        let sent_us = self.probe_sent_us.take();
        let is_alive = self.standing.is_reachable() && sent_us.is_some() && self.last_answer_us >= sent_us;
        self.pause(now_us);
        if is_alive { None } else { self.stand(Standing::Down, detail) }
    }

    /// Time has passed: suspects the node if an answer is overdue. Returns the new reach if it changed.
    pub fn tick(&mut self, now_us: u64) -> Option<Reach> {
        if !self.standing.is_usable() || !self.is_any_overdue(now_us) {
            return None;
        }
        self.probe_soon(now_us);
        self.stand(Standing::Suspect, OVERDUE.to_owned())
    }

    /// The node is missed, since another became unusable: if it is unusable itself, it may be back by now, so its
    /// next probe is due at once and the pauses begin anew. Returns whether that brought a probe forward.
    pub fn missed(&mut self, now_us: u64) -> bool {
        if self.standing.is_usable() {
            return false;
        }
        self.backoff_us = self.config.probe_backoff_us_min;
        self.next_probe_us = self.next_probe_us.min(now_us);
        true
    }

    /// Whether a probe is due. If so it counts as sent: the caller sends it and reports how it went.
    pub fn start_probe(&mut self, now_us: u64) -> bool {
        let is_due = self.probe_sent_us.is_none() && self.next_probe_us <= now_us;
        if is_due {
            self.probe_sent_us = Some(now_us);
        }
        is_due
    }

    /// When [`Self::tick`] or [`Self::start_probe`] is wanted next; `None` while a probe is out and no answer can become overdue.
    #[must_use]
    pub fn next_timer_us(&self) -> Option<u64> {
        let probe = self.probe_sent_us.is_none().then_some(self.next_probe_us);
        let overdue = self.waiting.values().map(|waiting| waiting.suspect_at_us).min();
        probe.into_iter().chain(overdue.filter(|_| self.standing.is_usable())).min()
    }

    fn is_any_overdue(&self, now_us: u64) -> bool {
        self.waiting.values().any(|waiting| waiting.suspect_at_us <= now_us)
    }

    fn probe_soon(&mut self, now_us: u64) {
        if self.standing.is_usable() {
            self.next_probe_us = now_us;
        }
    }

    fn pause(&mut self, now_us: u64) {
        let pause_us = self.jittered(self.backoff_us);
        self.next_probe_us = now_us.saturating_add(pause_us);
        self.backoff_us = self.backoff_us.saturating_mul(2).min(self.config.probe_backoff_us_max);
    }

    /// Between half of `middle_us` and one and a half times it, so that routers don't probe in step.
    fn jittered(&mut self, middle_us: u64) -> u64 {
        middle_us / 2 + self.rng.up_to(middle_us)
    }

    fn stand(&mut self, standing: Standing, detail: String) -> Option<Reach> {
        let (was, is) = (self.standing.reach(), standing.reach());
        self.standing = standing;
        self.detail = detail;
        (was != is).then_some(is)
    }
}

/// Smoothed time of answers and its deviation, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Estimate {
    mean_us: u64,
    deviation_us: u64,
}

impl Estimate {
    fn observe(&mut self, took_us: u64) {
        if self.mean_us == 0 {
            (self.mean_us, self.deviation_us) = (took_us, took_us / 2);
            return;
        }
        let off_us = self.mean_us.abs_diff(took_us);
        self.deviation_us = self.deviation_us - self.deviation_us / 4 + off_us / 4;
        self.mean_us = self.mean_us - self.mean_us / 8 + took_us / 8;
    }

    fn bound_us(&self) -> u64 {
        self.mean_us.saturating_add(self.deviation_us.saturating_mul(4))
    }
}

#[cfg(test)]
mod tests;
