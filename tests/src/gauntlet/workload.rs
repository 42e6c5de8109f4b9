//! What the clients do: few keys, many hands.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use roundtable_consensus::Version;
use roundtable_simulation::checker::{Call, Demand, Ending, Operation};
use tokio::time::sleep;

use super::caller::{Caller, Style};
use super::recorder::Hold;

/// Keys of each kind at a time.
const REGISTERS: usize = 3;
const COUNTERS: usize = 2;
const LOCKS: usize = 2;
/// All keys are exchanged for new ones after this, so that no history grows beyond what can be judged quickly.
const GENERATION: Duration = Duration::from_secs(20);
/// Between two calls of a client.
const PAUSE_MS: std::ops::Range<u64> = 0..20;
/// Time to live of locks. Some end before their holders are done.
const LOCK_TTL_MS: std::ops::Range<u64> = 400..1_500;

/// Goes on until `length` is over.
pub(super) async fn work(mut caller: Caller, length: Duration) {
    let mut seen = Seen::new();
    loop {
        let now = Duration::from_micros(caller.recorder.now_us());
        if now >= length {
            return;
        }
        let generation = now.as_millis() / GENERATION.as_millis();
        let pick = caller.rng.random_range(0..REGISTERS * 2 + COUNTERS * 2 + LOCKS);
        let slot = |kind: &str, count: usize| format!("{kind}-{}.{generation}", pick % count + 1);
        if pick < REGISTERS * 2 {
            register(&mut caller, &slot("register", REGISTERS), &mut seen).await;
        } else if pick < REGISTERS * 2 + COUNTERS * 2 {
            counter(&mut caller, &slot("counter", COUNTERS)).await;
        } else {
            lock(&mut caller, &slot("lock", LOCKS)).await;
        }
        sleep(Duration::from_millis(caller.rng.random_range(PAUSE_MS))).await;
    }
}

/// The versions that a client saw last.
type Seen = BTreeMap<String, Version>;

/// One call on a plain register.
async fn register(caller: &mut Caller, key: &str, seen: &mut Seen) {
    let demand = seen.get(key).copied().map_or(Demand::Exists, Demand::Version);
    let value = caller.recorder.fresh_value();
    let call = match caller.rng.random_range(0..100) {
        0..35 => Call::Read,
        35..53 => Call::Put(value, Demand::None),
        53..72 => Call::Put(value, demand),
        72..80 => Call::Put(value, Demand::Absent),
        80..87 => Call::Delete(Demand::None),
        87..92 => Call::Delete(demand),
        92..97 => Call::Touch(Demand::None),
        _ => Call::Touch(demand),
    };
    let style = if call == Call::Read { Style::Once } else { style(caller) };
    if let Some(version) = caller.call(key, call, None, style).await.and_then(version_of) {
        seen.insert(key.to_owned(), version);
    }
}

/// One call on a counter.
async fn counter(caller: &mut Caller, key: &str) {
    let (call, style) = match caller.rng.random_range(0..100) {
        0..30 => (Call::Read, Style::Once),
        30..80 => (Call::Increment(1), style(caller)),
        _ => (Call::Increment(10), style(caller)),
    };
    caller.call(key, call, None, style).await;
}

/// Tries to take a lock; who has it holds it for a while, may renew it, and releases it or walks away.
async fn lock(caller: &mut Caller, key: &str) {
    let Some(mut hold) = acquire(caller, key, Demand::Absent).await else { return };
    loop {
        let left_us = hold.until.saturating_sub(caller.recorder.now_us());
        sleep(Duration::from_micros(caller.rng.random_range(0..=left_us))).await;
        if caller.rng.random_bool(0.3) {
            // The old token ends with the request for a new one.
            hold.until = hold.until.min(caller.recorder.now_us());
            let renewed = acquire(caller, key, Demand::Version(hold.token)).await;
            caller.recorder.hold(key, hold);
            let Some(renewed) = renewed else { return };
            hold = renewed;
        } else {
            break;
        }
    }
    if caller.rng.random_bool(0.6) {
        hold.until = hold.until.min(caller.recorder.now_us());
        let style = style(caller);
        caller.call(key, Call::Delete(Demand::Version(hold.token)), None, style).await;
    }
    caller.recorder.hold(key, hold);
}

async fn acquire(caller: &mut Caller, key: &str, demand: Demand) -> Option<Hold> {
    let ttl_ms = caller.rng.random_range(LOCK_TTL_MS);
    let value = caller.recorder.fresh_value();
    let style = style(caller);
    let operation = caller.call(key, Call::Put(value, demand), Some(ttl_ms), style).await?;
    let Some((from, Ending::Wrote { version, .. })) = operation.ended else { return None };
    let until = caller.recorder.earliest_expiry_us(operation.invoked, ttl_ms);
    Some(Hold { client: caller.number(), token: version, invoked: operation.invoked, from, until })
}

fn style(caller: &mut Caller) -> Style {
    let styles = [Style::Once, Style::Once, Style::Once, Style::Repeated, Style::Repeated, Style::Twice];
    styles.choose(&mut caller.rng).copied().unwrap_or(Style::Once)
}

fn version_of(operation: Operation) -> Option<Version> {
    match operation.ended?.1 {
        Ending::Found(_, version) | Ending::Wrote { version, .. } | Ending::Counted(_, version) => {
            Some(version)
        }
        Ending::Refused(version) => version,
        Ending::Nothing | Ending::Removed => None,
    }
}
