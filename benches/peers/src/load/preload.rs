//! Writes every key once and reads some back, before anything is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::task::JoinSet;

use crate::case::System;
use crate::connection::{CallError, Connection};
use crate::failure::{Doing as _, Failure};
use crate::workload::Workload;

/// How many writes are under way at once.
const CONNECTIONS: u32 = 64;

/// Of how many keys one is read back.
const CHECK_EVERY: usize = 97;

/// Writes every key, then reads some of them: a system that does not keep what it acknowledges is not measured.
pub(crate) async fn preload(system: System, address: SocketAddr, workload: &Workload) -> Result<(), Failure> {
    let writing = || format!("writing {} keys into {}", workload.keys(), system.name());
    let next = Arc::new(AtomicU32::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        writers.spawn(write_keys(system, address, workload.clone(), Arc::clone(&next)));
    }
    while let Some(joined) = writers.join_next().await {
        joined.doing(writing)?.doing(writing)?;
    }
    check(system, address, workload).await.doing(|| format!("reading keys from {}", system.name()))
}

async fn write_keys(
    system: System,
    address: SocketAddr,
    workload: Workload,
    next: Arc<AtomicU32>,
) -> Result<(), CallError> {
    let mut connection = Connection::open(system, address).await?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= workload.keys() {
            return Ok(());
        }
        connection.put(&Workload::key(number), workload.value(number)).await?;
    }
}

async fn check(system: System, address: SocketAddr, workload: &Workload) -> Result<(), CallError> {
    let mut connection = Connection::open(system, address).await?;
    for number in (0..workload.keys()).step_by(CHECK_EVERY) {
        let key = Workload::key(number);
        if connection.get(&key).await? != workload.value(number) {
            return Err(CallError(format!("{key} has another value than was written")));
        }
    }
    Ok(())
}
