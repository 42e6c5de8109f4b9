//! The load driver for systems that don't speak HTTP: a closed loop as `wrk`'s, over the system's own protocol.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum as _};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::case::System;
use crate::connection::{CallError, Connection};
use crate::failure::{Doing as _, Failure};
use crate::load::report::LoadReport;
use crate::workload::Workload;

/// Longer latencies are recorded as this one.
const LATENCY_US_MAX: u64 = 60_000_000;

/// What the driver is told, by the program that started it.
#[derive(Debug, Clone, PartialEq, Args)]
pub(crate) struct DriveArgs {
    #[arg(long, value_enum)]
    pub(crate) system: System,
    #[arg(long)]
    pub(crate) address: SocketAddr,
    #[arg(long)]
    pub(crate) keys: u32,
    #[arg(long)]
    pub(crate) value_bytes: u32,
    /// Every how manieth request is a write; 0 for none
    #[arg(long)]
    pub(crate) put_every: u32,
    #[arg(long)]
    pub(crate) connections: u32,
    #[arg(long)]
    pub(crate) threads: u32,
    #[arg(long)]
    pub(crate) seconds: u32,
    /// A file with the numbers of the keys to ask for
    #[arg(long)]
    pub(crate) draws: PathBuf,
}

impl DriveArgs {
    /// As the words of a command line.
    pub(crate) fn to_words(&self) -> Vec<String> {
        let system = self.system.to_possible_value().map(|value| value.get_name().to_owned());
        vec![
            format!("--system={}", system.unwrap_or_default()),
            format!("--address={}", self.address),
            format!("--keys={}", self.keys),
            format!("--value-bytes={}", self.value_bytes),
            format!("--put-every={}", self.put_every),
            format!("--connections={}", self.connections),
            format!("--threads={}", self.threads),
            format!("--seconds={}", self.seconds),
            format!("--draws={}", self.draws.display()),
        ]
    }
}

/// What all connections of a thread count together.
#[derive(Debug)]
struct Counts {
    latencies: Histogram<u64>,
    refused: u64,
    /// The first error, for the person who wants to know.
    first_error: Option<CallError>,
}

/// What to send.
#[derive(Debug)]
struct Plan {
    args: DriveArgs,
    /// The keys and their values, in the order in which they are asked for.
    draws: Vec<(String, Bytes)>,
}

/// Puts the load on the system and prints the report.
pub(crate) fn drive(args: &DriveArgs) -> Result<(), Failure> {
    let reading = || format!("reading {}", args.draws.display());
    let text = std::fs::read_to_string(&args.draws).doing(reading)?;
    let workload = Workload::new(args.keys, args.value_bytes);
    let mut draws = Vec::new();
    for line in text.lines() {
        let number = line.parse().doing(reading)?;
        draws.push((Workload::key(number), workload.value(number)));
    }
    let plan = Arc::new(Plan { args: args.clone(), draws });
    let threads: Vec<_> = (0..args.threads)
        .map(|thread| {
            let plan = Arc::clone(&plan);
            std::thread::spawn(move || on_one_thread(&plan, thread))
        })
        .collect();
    let mut all = Counts::new();
    let mut duration = Duration::ZERO;
    for thread in threads {
        let (counts, took) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        all.latencies += &counts.latencies;
        all.refused += counts.refused;
        all.first_error = all.first_error.or(counts.first_error);
        duration = duration.max(took);
    }
    let stderr = std::io::stderr();
    if let Some(error) = &all.first_error {
        // Printing is a courtesy: the count is in the report.
        let _shown = writeln!(stderr.lock(), "{}: {error}", plan.args.system.name());
    }
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let connections = u64::from(plan.args.connections);
    let report = LoadReport::of_latencies(&all.latencies, all.refused, 0, connections, duration_us);
    let line = serde_json::to_string(&report).doing(|| "writing the report")?;
    writeln!(std::io::stdout(), "{line}").doing(|| "writing the report")
}

impl Counts {
    fn new() -> Self {
        #[expect(clippy::expect_used, reason = "constant bounds that the type accepts")]
        let latencies = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("constant bounds");
        Self { latencies, refused: 0, first_error: None }
    }

    fn record(&mut self, took: Duration, result: Result<(), CallError>) {
        match result {
            Ok(()) => {
                self.latencies.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            }
            Err(error) => {
                self.refused += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }
}

/// This thread's share of the connections, on a runtime of its own: nothing is shared between threads, as in `wrk`.
fn on_one_thread(plan: &Arc<Plan>, thread: u32) -> Result<(Counts, Duration), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "starting the async runtime")?;
    let counts = Rc::new(RefCell::new(Counts::new()));
    let took = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut connections = Vec::new();
        for number in (thread..plan.args.connections).step_by(usize::try_from(plan.args.threads).unwrap_or(1))
        {
            let open = Connection::open(plan.args.system, plan.args.address).await;
            connections.push((number, open.doing(|| "connecting")?));
        }
        let begun = Instant::now();
        let until = begun + Duration::from_secs(plan.args.seconds.into());
        let mut workers = JoinSet::new();
        for (number, connection) in connections {
            workers.spawn_local(worker(Arc::clone(plan), number, connection, until, Rc::clone(&counts)));
        }
        while let Some(joined) = workers.join_next().await {
            joined.doing(|| "waiting for a connection to end")?;
        }
        Ok(begun.elapsed())
    })?;
    Ok((counts.replace(Counts::new()), took))
}

/// One request after the other over one connection, until the time is over. Connections begin at different places of
/// the same order, and their writes come at different times.
async fn worker(
    plan: Arc<Plan>,
    number: u32,
    mut connection: Connection,
    until: Instant,
    counts: Rc<RefCell<Counts>>,
) {
    let offset = usize::try_from(number).unwrap_or(0).wrapping_mul(7919) % plan.draws.len().max(1);
    let mut turn = number;
    for (key, value) in plan.draws.iter().cycle().skip(offset) {
        let begun = Instant::now();
        if begun >= until {
            return;
        }
        turn = turn.wrapping_add(1);
        let is_write = plan.args.put_every != 0 && turn.is_multiple_of(plan.args.put_every);
        let result = match is_write {
            true => connection.put(key, value.clone()).await,
            false => read(&mut connection, key, value).await,
        };
        let failed = result.is_err();
        counts.borrow_mut().record(begun.elapsed(), result);
        if failed {
            // What is left of a connection after an error is not known: the next request has a new one.
            match Connection::open(plan.args.system, plan.args.address).await {
                Ok(open) => connection = open,
                Err(_gone) => return,
            }
        }
    }
}

/// A read that brings something of another length is an error.
async fn read(connection: &mut Connection, key: &str, expected: &Bytes) -> Result<(), CallError> {
    let found = connection.get(key).await?;
    match found.len() == expected.len() {
        true => Ok(()),
        false => Err(CallError(format!("{key} has {} bytes instead of {}", found.len(), expected.len()))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: DriveArgs,
    }

    fn args(address: SocketAddr, draws: PathBuf) -> DriveArgs {
        DriveArgs {
            system: System::Redis,
            address,
            keys: 1,
            value_bytes: 3,
            put_every: 1,
            connections: 2,
            threads: 2,
            seconds: 1,
            draws,
        }
    }

    #[test]
    fn arguments_come_through_the_command_line() {
        let args = args("127.0.0.1:1".parse().unwrap(), "a b".into());
        let words = ["drive".to_owned()].into_iter().chain(args.to_words());
        assert_eq!(Line::parse_from(words).args, args);
    }

    #[test]
    fn load_counts_answers_and_refusals() {
        // A server that acknowledges each write, but has no replica for every second one.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let mut number = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                number += 1;
                let replicas = number % 2;
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                        stream.write_all(format!("+OK\r\n:{replicas}\r\n").as_bytes()).await.unwrap();
                    }
                });
            }
        });
        let plan = Arc::new(Plan {
            args: args(address, PathBuf::new()),
            draws: vec![("k".to_owned(), Bytes::from_static(b"abc"))],
        });
        let (counts, took) = on_one_thread(&plan, 0).unwrap();
        assert!(took >= Duration::from_secs(1));
        assert!(!counts.latencies.is_empty() || counts.refused > 0, "{counts:?}");
        let (more, _) = on_one_thread(&plan, 1).unwrap();
        let error = counts.first_error.or(more.first_error).unwrap();
        assert_eq!(error, CallError::of("WAIT: no replica in time"));
        assert!(counts.latencies.len() + more.latencies.len() > 0);
    }
}
