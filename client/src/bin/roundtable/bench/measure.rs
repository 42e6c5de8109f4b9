//! One measurement: so many connections, a warm-up, and a window in which everything counts.

use std::sync::Arc;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::bench::args::{Arrivals, BenchArgs};
use crate::bench::arrivals::Schedule;
use crate::bench::backlog::{BACKLOG_MAX, Backlog};
use crate::bench::dispatch::dispatch;
use crate::bench::interval::IntervalLine;
use crate::bench::plan::Plan;
use crate::bench::recorder::{Counts, Recorder};
use crate::bench::usage::{Used, Watched};
use crate::bench::window::Window;
use crate::bench::worker::{Shared, worker};
use crate::failure::Failure;

/// What a measurement saw.
#[derive(Debug)]
pub(crate) struct Measured {
    /// From the end of the warm-up to the last answer.
    pub(crate) seconds: f64,
    pub(crate) counts: Counts,
    pub(crate) used: Vec<Used>,
    pub(crate) open_loop: Option<OpenLoopMeasured>,
}

/// What an open loop saw beside.
#[derive(Debug)]
pub(crate) struct OpenLoopMeasured {
    pub(crate) rate: u32,
    pub(crate) arrivals: Arrivals,
    /// How many operations were due.
    pub(crate) due: u64,
    /// How many of them never began.
    pub(crate) not_started: u64,
}

/// Measures over so many connections; `run` is the number of the run, from 1, and gives it a chance of its own.
pub(crate) async fn measure(
    args: &BenchArgs,
    plan: &Arc<Plan>,
    watched: &Watched,
    connections: u16,
    run: u16,
) -> Result<Measured, Failure> {
    let begin = Instant::now();
    let measure_from = begin + args.warmup;
    let until = args.ops.is_none().then(|| measure_from + args.duration);
    let shared = Shared {
        plan: Arc::clone(plan),
        window: Arc::new(Window::new(measure_from, until, args.ops)),
        recorder: Arc::new(Recorder::new(args.interval.is_some())),
        backlog: args.rate.map(|_| Arc::new(Backlog::new(BACKLOG_MAX))),
    };
    let seed = plan.seed.wrapping_add(u64::from(run) << 32);
    let mut workers = JoinSet::new();
    for number in 0..u64::from(connections) {
        workers.spawn(worker(shared.clone(), number, seed.wrapping_add(number + 1)));
    }
    let arrivals = args.arrivals.unwrap_or(Arrivals::Constant);
    let clock = args.rate.zip(shared.backlog.clone()).map(|(rate, backlog)| {
        let (schedule, window) = (Schedule::new(rate, arrivals, seed), Arc::clone(&shared.window));
        let connections = usize::from(connections);
        spawn_blocking(move || dispatch(schedule, begin, &window, &backlog, connections))
    });

    tokio::time::sleep_until(measure_from).await;
    let before = watched.sample();
    wait_for(&mut workers, args, &shared.recorder, watched, measure_from).await?;
    let seconds = measure_from.elapsed().as_secs_f64();
    let used = watched.used(&before, &watched.sample());

    let open_loop = match (args.rate, clock) {
        (Some(rate), Some(clock)) => Some(OpenLoopMeasured {
            rate,
            arrivals,
            due: clock.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())),
            not_started: shared.backlog.as_ref().map_or(0, |backlog| backlog.not_started()),
        }),
        _ => None,
    };
    let counts = shared.recorder.take();
    if counts.answered() == 0 {
        let why = counts.errors.keys().next().map_or("nothing was measured", String::as_str);
        return Err(Failure::NotReady(format!("no request succeeded: {why}")));
    }
    Ok(Measured { seconds, counts, used, open_loop })
}

/// Waits until all connections have ended; prints a line at the end of each interval, if asked to.
async fn wait_for(
    workers: &mut JoinSet<()>,
    args: &BenchArgs,
    recorder: &Recorder,
    watched: &Watched,
    measure_from: Instant,
) -> Result<(), Failure> {
    let period = args.interval.unwrap_or(args.duration);
    let mut ticks = interval_at(measure_from + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut since, mut before) = (measure_from, watched.sample());
    loop {
        let at = tokio::select! {
            joined = workers.join_next() => match joined {
                None => return Ok(()),
                Some(Ok(())) => continue,
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            },
            at = ticks.tick(), if args.interval.is_some() => at,
        };
        let Some(slice) = recorder.take_slice() else { continue };
        let after = watched.sample();
        let used = watched.used(&before, &after);
        IntervalLine::new(at - measure_from, at - since, &slice, &used).print(args.json)?;
        (since, before) = (at, after);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;
    use hdrhistogram::Histogram;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::cli::{Cli, Command};

    /// A router that takes so long for the request with this number, counted over all connections, from 0.
    async fn router(pause: fn(u64) -> Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::new(std::sync::atomic::AtomicU64::new(0));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&served), pause));
            }
        });
        address
    }

    async fn serve(
        mut stream: TcpStream,
        served: Arc<std::sync::atomic::AtomicU64>,
        pause: fn(u64) -> Duration,
    ) {
        let mut request = Vec::new();
        while stream.read_buf(&mut request).await.is_ok_and(|bytes| bytes > 0) {
            if request.ends_with(b"\r\n\r\n") {
                request.clear();
                let number = served.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if !pause(number).is_zero() {
                    tokio::time::sleep(pause(number)).await;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
        }
    }

    async fn measure_gets(router: &str, options: &str) -> Measured {
        let arguments = ["roundtable", "bench", "--workload", "get", "--warmup", "1ms", "--router", router];
        let arguments = arguments.into_iter().chain(options.split_whitespace());
        let Command::Bench(args) = Cli::try_parse_from(arguments).unwrap().command else { panic!("a bench") };
        let plan = Arc::new(Plan::new(&args).unwrap());
        measure(&args, &plan, &Watched::new(None).unwrap(), args.connections[0], 1).await.unwrap()
    }

    /// Operations that took at least so long.
    fn slower_than(latencies: &Histogram<u64>, milliseconds: u64) -> u64 {
        latencies.count_between(milliseconds * 1_000, u64::MAX)
    }

    #[tokio::test]
    async fn pause_shows_in_every_operation_that_was_due_in_it_and_in_one_of_a_closed_loop() {
        let pauses_once = |number| Duration::from_millis(if number == 200 { 300 } else { 0 });
        let open = measure_gets(&router(pauses_once).await, "--connections 1 --ops 600 --rate 1000").await;
        assert_eq!((open.counts.answered(), open.open_loop.unwrap().due), (600, 600));
        // 300 were due in the pause; those of its first 200 ms took longer than 100 ms.
        let slow = slower_than(&open.counts.latencies[0], 100);
        assert!((150..350).contains(&slow), "{slow}");

        let closed = measure_gets(&router(pauses_once).await, "--connections 1 --ops 600").await;
        assert_eq!(slower_than(&closed.counts.latencies[0], 200), 1);
    }

    #[tokio::test]
    async fn operations_that_found_no_connection_until_the_end_are_counted() {
        let slow = router(|_| Duration::from_millis(40)).await;
        let measured = measure_gets(&slow, "--connections 1 --duration 200ms --rate 1000").await;
        let open_loop = measured.open_loop.unwrap();
        assert_eq!(open_loop.due, 200);
        assert_eq!(open_loop.not_started + measured.counts.answered(), 200);
        assert!(open_loop.not_started >= 190, "{}", open_loop.not_started);
    }
}
