//! How a run ends: the faults are over, and the cluster must settle, serve, agree, and survive one more crash of all.

use roundtable_consensus::{HeadStart, Key, NodeIndex, Register};

use super::{Event, World};
use crate::checker::{Call, Demand};
use crate::exchange::Path;
use crate::node::Node;
use crate::properties::{
    Copies, Violation, judge_founding, judge_histories, judge_last, judge_leftovers, judge_replicas,
};
use crate::report::Report;
use crate::router::Router;
use crate::workload::Client;

/// Long enough for everything that was under way to arrive, for every restarted node to vote, and for head starts of that
/// time to be over: their ballots may lie below the horizon of a node that was restarted since, which then refuses the
/// round that is to bring all replicas to one state.
const SETTLE_US: u64 = 1_000 * (HeadStart::AGE_MS_MAX + 5_000);

/// The longest that a router takes to count on a node again that answers it.
const NOTICE_US: u64 = 10_000_000;

impl World {
    /// Ends the faults and judges what has come of everything.
    pub(super) fn end(mut self) -> Result<Report, Violation> {
        self.end_faults();
        // A node whose clock was ahead may have promised as far ahead, and keeps that promise.
        let ahead_ms = self.plan.node_skew_ms.iter().copied().max().unwrap_or(0).max(0).unsigned_abs();
        self.run_for(SETTLE_US + ahead_ms * 1_000)?;
        self.judge_founding()?;
        // Also those of which no call was ever answered: a round that was given up leaves promises behind.
        let keys = self.plan.workload.keys();
        for router in 0..self.routers.len() {
            self.audit(router, &keys)?;
        }
        self.converge(&keys)?;
        self.crash_all()?;
        self.audit(self.routers.len() - 1, &keys)?;
        self.report.undecided = judge_histories(&self.record.histories)?;
        (0..self.routers.len()).for_each(|router| self.note_stats(router));
        self.report.calls = self.record.calls;
        self.report.in_doubt = self.record.in_doubt;
        self.report.never_applied = self.record.never_applied;
        self.report.simulated_ms = self.now_us / 1_000;
        Ok(self.report)
    }

    /// Whoever still has the directory that it began with is in the one cluster.
    fn judge_founding(&self) -> Result<(), Violation> {
        let whole = self.nodes.iter().filter(|node| node.is_whole());
        judge_founding(whole.map(|node| node.disk.membership.adopted.as_ref()))
    }

    /// Each key is read through a router. Each read must be answered, and belongs to the histories that are judged.
    fn audit(&mut self, router: usize, keys: &[Key]) -> Result<(), Violation> {
        keys.iter().try_for_each(|key| self.ask_once(router, key, Call::Read))
    }

    /// One more round on each key, with everyone there: it brings all replicas to one state, and every table and queue
    /// to its floor.
    fn converge(&mut self, keys: &[Key]) -> Result<(), Violation> {
        let voters: Vec<usize> = (0..self.nodes.len()).filter(|node| self.is_voter(*node)).collect();
        for (number, key) in (0..).zip(keys) {
            self.await_usable(&voters)?;
            let counter = key.as_bytes().starts_with(b"counter");
            let call = if counter { Call::Increment(1) } else { Call::Put(number, Demand::None) };
            self.ask_once(0, key, call)?;
        }
        self.run_until(World::is_drained)?;
        for (key, history) in &self.record.histories {
            let copies: Vec<_> = (self.layout.place(key).1.members().iter())
                .filter(|node| voters.contains(&usize::from(node.0)))
                .map(|node| (*node, self.register(*node, key)))
                .collect();
            let borrowed: Vec<_> = copies.iter().map(|(node, copy)| (*node, copy.as_ref())).collect();
            judge_replicas(key, &borrowed)?;
            judge_last(key, history, borrowed.first().and_then(|(_, copy)| *copy))?;
        }
        let routers = self.routers.iter().map(|router| ("router", router.leftovers()));
        let nodes = self.nodes.iter_mut().map(|node| ("node", node.leftovers()));
        judge_leftovers(routers.chain(nodes).flat_map(|(whose, left)| {
            left.into_iter().map(move |(what, count)| (format!("{whose}: {what}"), count))
        }))
    }

    fn register(&self, node: NodeIndex, key: &Key) -> Option<Register> {
        Some(self.nodes.get(usize::from(node.0))?.disk.read(key)?.register)
    }

    /// Waits until every router counts on every voter.
    fn await_usable(&mut self, voters: &[usize]) -> Result<(), Violation> {
        let notice_us = self.now_us + NOTICE_US;
        let is_noticed = |world: &Self| {
            let counts_on = |router: &Router| voters.iter().all(|node| router.is_usable(index(*node)));
            world.routers.iter().all(counts_on)
        };
        self.run_until(|world| is_noticed(world) || world.now_us >= notice_us)?;
        if is_noticed(self) {
            Ok(())
        } else {
            Err(Violation::Unserved("a router does not count on a node that is back".to_owned()))
        }
    }

    /// Everything crashes at once, and what was told must be on the disks.
    fn crash_all(&mut self) -> Result<(), Violation> {
        for number in 0..self.nodes.len() {
            self.kill_node(number, 500_000);
        }
        self.watch.durability.judge(|key| {
            let (_, replicas) = self.layout.place(key);
            let members = replicas.members();
            Copies {
                replicas: members.len(),
                lost: members.iter().filter(|node| !self.is_voter(usize::from(node.0))).count(),
                versions: members
                    .iter()
                    .filter_map(|node| Some(self.register(*node, key)?.version))
                    .collect(),
            }
        })?;
        self.run_for(SETTLE_US)
    }

    fn is_voter(&self, number: usize) -> bool {
        self.nodes.get(number).is_some_and(Node::is_whole)
    }

    /// One call through a router, which must be answered.
    fn ask_once(&mut self, router: usize, key: &Key, call: Call) -> Result<(), Violation> {
        let number = self.clients.len();
        let calls = self.record.histories.get(key).map_or(0, Vec::len);
        let name = u32::try_from(number).unwrap_or(u32::MAX);
        self.clients.push(Client::auditor(name, key.clone(), call, self.now_us));
        self.call(number, router);
        self.run_until(|world| world.clients.iter().all(Client::is_done))?;
        let history = self.record.histories.get(key).map_or(&[][..], Vec::as_slice);
        if history.len() > calls && history.last().is_some_and(|last| last.ended.is_some()) {
            Ok(())
        } else {
            Err(Violation::Unserved(format!(
                "{call:?} on {key:?} through router {router} failed although all is well"
            )))
        }
    }

    fn run_for(&mut self, time_us: u64) -> Result<(), Violation> {
        let until_us = self.now_us + time_us;
        self.run_until(|world| world.now_us >= until_us)
    }

    /// Whether nothing is on its way any more: what is left are the nodes' own clocks and the routers' probes.
    fn is_drained(&self) -> bool {
        self.events.values().all(|event| match event {
            Event::NodeTick(..) | Event::Call(_) => true,
            Event::Arrive(exchange, _) | Event::Return(exchange, _) | Event::Broken(exchange) => {
                exchange.path == Path::Hello
            }
            _ => false,
        })
    }
}

fn index(node: usize) -> NodeIndex {
    NodeIndex(u16::try_from(node).unwrap_or(u16::MAX))
}
