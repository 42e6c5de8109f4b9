//! Wakes one coordinator when it wants to be woken.

use std::sync::Arc;

use roundtable_consensus::Coordinator;
use tokio::time::sleep_until;

use crate::engine::Engine;

/// Runs until the task is dropped: one task per coordinator.
pub async fn run_timer(engine: Arc<Engine>, place: usize) {
    let Some(shard) = engine.shards.get(place) else { return };
    loop {
        let wanted_us = shard.with(|state| {
            let wanted_us = state.coordinator.next_timer_us();
            state.armed_us = wanted_us.unwrap_or(u64::MAX);
            wanted_us
        });
        match wanted_us {
            Some(at_us) if at_us <= engine.clock.mono_us() => {
                engine.event(place, Coordinator::tick);
            }
            Some(at_us) => tokio::select! {
                () = sleep_until(engine.clock.instant(at_us)) => {}
                () = shard.timer_moved.notified() => {}
            },
            None => shard.timer_moved.notified().await,
        }
    }
}
