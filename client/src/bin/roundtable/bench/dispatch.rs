//! The clock of an open loop: hands each request to the backlog at the moment when it is due.

use std::thread;

use tokio::time::Instant;

use crate::bench::arrivals::Schedule;
use crate::bench::backlog::Backlog;
use crate::bench::window::Window;

/// Hands over requests from `begin` on until the window ends or its requests are spent; then no connection waits any
/// longer. Returns how many of those that count were due.
///
/// Blocks, on a thread of its own: the system's sleep is exact to some ten microseconds, while timers of the async
/// runtime have a grain of a millisecond, which is more than many a request takes.
pub(crate) fn dispatch(
    schedule: Schedule,
    begin: Instant,
    window: &Window,
    backlog: &Backlog,
    connections: usize,
) -> u64 {
    let mut due = 0;
    for offset in schedule {
        let at = begin + offset;
        let Some(counted) = window.admit(at) else { break };
        sleep_until(at);
        if counted && due == 0 {
            // What the warm-up left would take the place of requests that count.
            backlog.cut_off(window.measure_from);
        }
        due += u64::from(counted);
        backlog.push(at, counted);
    }
    if let Some(until) = window.until {
        sleep_until(until);
        backlog.cut_off(window.measure_from);
    }
    backlog.finish(connections);
    due
}

fn sleep_until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::args::Arrivals;

    #[tokio::test]
    async fn requests_are_due_at_the_rate_and_those_left_at_the_end_are_counted() {
        let begin = Instant::now();
        let measure_from = begin + Duration::from_millis(20);
        let until = measure_from + Duration::from_millis(100);
        let window = Window::new(measure_from, Some(until), None);
        let backlog = Backlog::new(1_000);
        let due = dispatch(Schedule::new(1_000, Arrivals::Constant, 1), begin, &window, &backlog, 1);
        assert_eq!((due, backlog.not_started()), (100, 100), "nobody took any");
        assert!(Instant::now() >= until);
        assert_eq!(backlog.take().await, None);
    }

    #[tokio::test]
    async fn what_the_warmup_left_is_not_in_the_way() {
        let begin = Instant::now();
        let measure_from = begin + Duration::from_millis(30);
        let window = Window::new(measure_from, None, Some(5));
        let backlog = Backlog::new(10);
        let due = dispatch(Schedule::new(1_000, Arrivals::Constant, 1), begin, &window, &backlog, 1);
        assert_eq!((due, backlog.not_started()), (5, 0), "the warm-up alone filled the backlog");
        assert_eq!(backlog.take().await, Some(measure_from));
    }

    #[tokio::test]
    async fn counted_requests_are_all_handed_over_when_their_number_is_given() {
        let begin = Instant::now();
        let window = Window::new(begin, None, Some(30));
        let backlog = Backlog::new(1_000);
        let due = dispatch(Schedule::new(100_000, Arrivals::Poisson, 1), begin, &window, &backlog, 1);
        assert_eq!((due, backlog.not_started()), (30, 0));
        let mut taken = 0;
        while let Some(at) = backlog.take().await {
            assert!(at <= Instant::now(), "handed over before it was due");
            taken += 1;
        }
        assert_eq!(taken, 30);
    }
}
