//! What goes wrong, and when: drawn from the seed, bounded so that a majority could always work in the end.

use roundtable_consensus::{DiskSpace, Rng};

use crate::exchange::Party;

/// One thing that goes wrong, or comes right again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The node's process is killed; it starts again after this time.
    KillNode(usize, u64),
    /// Every node is killed at once; they start again after this time.
    KillAll(u64),
    /// The node stands still for this time.
    FreezeNode(usize, u64),
    /// The router's process is killed and starts again at once, knowing nothing.
    KillRouter(usize),
    /// The router stands still for this time.
    FreezeRouter(usize, u64),
    /// Messages between somebody who asks and a node are cut for a time, in one direction or both.
    Cut(Party, usize, Direction, u64),
    /// The network gets worse or better.
    Weather,
    /// A node's clock jumps by so many milliseconds off the true time, and drifts by so many parts in a million.
    NodeClock(usize, i64, i64),
    /// A router's clock does.
    RouterClock(usize, i64, i64),
    /// The node's next sync fails: it stops.
    FailSync(usize),
    /// The node's disk has this much room from now on.
    Space(usize, DiskSpace),
    /// The node's directory is lost for good.
    LoseDirectory(usize),
}

/// Which way a cut goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToNode,
    ToAsker,
    Both,
}

/// Which faults strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultMix {
    /// All kinds.
    #[default]
    All,
    /// Nodes are killed and start again at once: what they promised and had not written is put to the test.
    Restarts,
    /// Routers' clocks jump and drift, and nothing else.
    Clocks,
}

/// Draws the next fault.
pub(crate) fn draw(mix: FaultMix, rng: &mut Rng, nodes: usize, routers: usize) -> Fault {
    let node = below(rng, nodes);
    if mix == FaultMix::Restarts {
        return Fault::KillNode(node, 500 + rng.up_to(5_000));
    }
    let router = below(rng, routers);
    let skew_ms = i64::try_from(rng.up_to(16_000)).unwrap_or(0) - 8_000;
    let drift_ppm = i64::try_from(rng.up_to(100_000)).unwrap_or(0) - 50_000;
    if mix == FaultMix::Clocks {
        return Fault::RouterClock(router, skew_ms, drift_ppm);
    }
    match rng.up_to(20) {
        0..=4 => {
            let down_us_max = if rng.up_to(1) == 0 { 20_000 } else { 2_000_000 };
            Fault::KillNode(node, 1_000 + rng.up_to(down_us_max))
        }
        5 => Fault::KillAll(1_000 + rng.up_to(500_000)),
        6..=8 => Fault::FreezeNode(node, 10_000 + rng.up_to(2_000_000)),
        9 => Fault::KillRouter(router),
        10 if rng.up_to(1) == 0 => Fault::KillRouter(router),
        10 => Fault::FreezeRouter(router, 10_000 + rng.up_to(1_000_000)),
        11..=13 => {
            let direction = match rng.up_to(2) {
                0 => Direction::ToNode,
                1 => Direction::ToAsker,
                _ => Direction::Both,
            };
            let asker = if rng.up_to(4) == 0 {
                Party::Node((node + 1 + below(rng, nodes - 1)) % nodes)
            } else {
                Party::Router(router)
            };
            Fault::Cut(asker, node, direction, 10_000 + rng.up_to(2_000_000))
        }
        14 | 15 => Fault::Weather,
        16 => Fault::NodeClock(node, skew_ms / 8, drift_ppm),
        17 => Fault::RouterClock(router, skew_ms, drift_ppm),
        18 => {
            let space = match rng.up_to(2) {
                0 => DiskSpace::Enough,
                1 => DiskSpace::Low,
                _ => DiskSpace::Critical,
            };
            Fault::Space(node, space)
        }
        19 => Fault::FailSync(node),
        _ => Fault::LoseDirectory(node),
    }
}

fn below(rng: &mut Rng, count: usize) -> usize {
    usize::try_from(rng.up_to(count as u64 - 1)).unwrap_or(0)
}
