//! A node from start to end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roundtable_common::listen::{self, HostPort, ListenError};
use roundtable_common::serve::{Acceptor, Stage};
use roundtable_consensus::{Configuration, NodeId};
use tokio::time::{MissedTickBehavior, interval};

use crate::budget::Budget;
use crate::config::Config;
use crate::disk_watch::DiskWatch;
use crate::fault::{Fault, FaultWatch};
use crate::membership::{Membership, MembershipError};
use crate::metrics::Metrics;
use crate::node::{Node, Parts};
use crate::pipeline::{Pipeline, StartError};
use crate::reclaimer::{self, Reclaimer};
use crate::server;
use crate::store::{OpenError, Store, StoreError};

/// How often the shards raise their horizons.
const TICK_SHARDS_EVERY: Duration = Duration::from_millis(100);
/// How often deletions are looked for that the next listing would have to read.
const READ_AHEAD_EVERY: Duration = Duration::from_millis(500);
/// How often free disk space is asked for.
const POLL_DISK_EVERY: Duration = Duration::from_secs(1);

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its id.
    pub id: NodeId,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// The content of its `cluster.toml`.
    pub file: Configuration,
    /// The settings.
    pub config: Config,
    /// Whether it may listen where other machines reach it.
    pub insecure_listen: bool,
}

/// Why a node did not start, or ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// `cluster.toml` doesn't have the node, and no address to listen on was given.
    #[error("cluster.toml has no node {0}: its nodes are {1}. Choose one with --id")]
    UnknownId(NodeId, String),
    /// The node's address in `cluster.toml` cannot be listened on as written.
    #[error("the address {address:?} of node {id} in cluster.toml: {source}")]
    Address {
        /// The node.
        id: NodeId,
        /// The address.
        address: String,
        /// What is wrong.
        source: listen::ParseAddressError,
    },
    /// It does not listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The runtime does not take the socket.
    #[error("cannot listen: {0}")]
    Socket(std::io::Error),
    /// The data directory was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The free disk space cannot be asked for.
    #[error("cannot ask for the free disk space: {0}")]
    Disk(std::io::Error),
    /// `cluster.toml` and the data directory don't go together.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The threads did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node had to stop: a commit failed or a thread died.
    #[error("the node had to stop: {0}")]
    Fault(Arc<str>),
    /// The last flush failed; everything answered is durable all the same.
    #[error("stopped, but the last flush failed: {0}")]
    Flush(StoreError),
}

/// A node that listens.
#[derive(Debug)]
pub struct Running {
    node: Arc<Node>,
    acceptor: Acceptor,
    address: SocketAddr,
    fault: Fault,
    watch: FaultWatch,
    peer_timeout: Duration,
    reclaimer: Reclaimer,
}

impl Running {
    /// Opens the data directory and the socket, and starts the threads. Blocks while the store is opened.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// See [`NodeError`]; nothing runs then.
    pub fn start(start: Start) -> Result<Self, NodeError> {
        let Start { id, data_dir, file, config, insecure_listen } = start;
        let bind = listen_address(&id, &file, &config)?;
        // Before the data directory is touched: a second node on the same port must change nothing.
        let listener = listen::bind(&bind, insecure_listen)?;
        let acceptor = Acceptor::new(listener).map_err(NodeError::Socket)?;
        let address = acceptor.local_addr().map_err(NodeError::Socket)?;
        let store = Arc::new(Store::open(&data_dir, &config.store)?);
        let disk = Arc::new(DiskWatch::new(&data_dir, config.free_bytes_min).map_err(NodeError::Disk)?);
        let membership = Membership::new(id.clone(), &store, file)?;
        let metrics = Arc::new(Metrics::new());
        let budget = Budget::new(config.server.in_flight_bytes_max);
        let (fault, watch) = Fault::new();
        let pipeline = Pipeline::start(&store, &config.pipeline, &disk, &budget, &metrics, &fault)?;
        let reclaimer = Reclaimer::start(&store, &disk, &metrics, &fault)
            .map_err(|source| StartError::Thread { name: reclaimer::THREAD, source })?;
        let parts = Parts { id, store, pipeline, membership, metrics, budget, disk, fault: watch.clone() };
        let peer_timeout = config.peer_timeout;
        let node = Arc::new(Node::new(parts, &config));
        tracing::info!(
            node_id = %node.id,
            storage_id = %node.store.storage(),
            data_dir = %data_dir.display(),
            %address,
            shards = config.pipeline.shards,
            "node listens"
        );
        Ok(Self { node, acceptor, address, fault, watch, peer_timeout, reclaimer })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` comes true, then drains, flushes and closes the store.
    ///
    /// # Errors
    /// When the node had to stop by itself, at once and without draining, or when the last flush failed.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
        let helpers = [
            tokio::spawn(join_cluster(Arc::clone(&self.node), self.peer_timeout, self.fault.clone())),
            tokio::spawn(watch_disk(Arc::clone(&self.node))),
            tokio::spawn(tick_shards(Arc::clone(&self.node))),
            tokio::spawn(read_ahead(Arc::clone(&self.node))),
        ];
        let served = server::serve(Arc::clone(&self.node), self.acceptor, stop);
        let ended = tokio::select! {
            // A fault must win: nothing more may be answered.
            biased;
            reason = self.watch.raised() => Err(NodeError::Fault(reason)),
            cut_off = served => Ok(cut_off),
        };
        for helper in &helpers {
            helper.abort();
        }
        let cut_off = match ended {
            Ok(cut_off) => cut_off,
            Err(fault) => {
                tracing::error!(reason = %fault, "the node answers nothing any more and ends");
                // Whoever waits for a reply gets none: the connection is closed. The threads end before the process
                // does, because RocksDB is not safe to use while the process takes itself down.
                self.node.stop.advance(Stage::Stopping);
                stop_threads(&self.node).await;
                stop_reclaimer(self.reclaimer).await;
                return Err(fault);
            }
        };
        if cut_off > 0 {
            tracing::warn!(connections = cut_off, "connections were cut off at the end of the drain time");
        }
        close(self.node, self.reclaimer, &self.watch).await
    }
}

/// Ends the threads, flushes, and closes the store.
async fn close(node: Arc<Node>, reclaimer: Reclaimer, watch: &FaultWatch) -> Result<(), NodeError> {
    stop_threads(&node).await;
    let store = Arc::clone(&node.store);
    let flushed =
        tokio::task::spawn_blocking(move || store.flush()).await.unwrap_or(Err(StoreError::Poisoned));
    stop_reclaimer(reclaimer).await;
    if let Some(reason) = watch.reason() {
        return Err(NodeError::Fault(reason));
    }
    flushed.map_err(NodeError::Flush)?;
    tracing::info!(node_id = %node.id, "node stopped");
    Ok(())
}

/// Ends the threads after everything queued was answered, or after a fault was dropped.
async fn stop_threads(node: &Arc<Node>) {
    let node = Arc::clone(node);
    let stopped = tokio::task::spawn_blocking(move || node.pipeline.stop());
    if let Err(error) = stopped.await {
        tracing::error!(%error, "the threads did not end as they should");
    }
}

/// Ends its thread; a compaction under way is given up.
async fn stop_reclaimer(reclaimer: Reclaimer) {
    let stopped = tokio::task::spawn_blocking(move || reclaimer.stop());
    if let Err(error) = stopped.await {
        tracing::error!(%error, "the threads did not end as they should");
    }
}

fn listen_address(id: &NodeId, file: &Configuration, config: &Config) -> Result<HostPort, NodeError> {
    let Some(member) = file.member(id) else {
        let names: Vec<String> = file.ids().map(ToString::to_string).collect();
        return Err(NodeError::UnknownId(id.clone(), names.join(", ")));
    };
    match &config.listen {
        Some(address) => Ok(address.clone()),
        None => member.address.parse().map_err(|source| NodeError::Address {
            id: id.clone(),
            address: member.address.clone(),
            source,
        }),
    }
}

async fn join_cluster(node: Arc<Node>, peer_timeout: Duration, fault: Fault) {
    node.membership.run(&node.store, peer_timeout, &fault).await;
}

async fn tick_shards(node: Arc<Node>) {
    let mut ticks = interval(TICK_SHARDS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        node.pipeline.tick();
    }
}

/// After many deletions, reads what they left behind before somebody has to wait for it.
async fn read_ahead(node: Arc<Node>) {
    let mut ticks = interval(READ_AHEAD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let store = Arc::clone(&node.store);
        match tokio::task::spawn_blocking(move || store.read_ahead_of_listings()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot read ahead of listings"),
            Err(_) => return,
        }
    }
}

async fn watch_disk(node: Arc<Node>) {
    let mut ticks = interval(POLL_DISK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let disk = Arc::clone(&node.disk);
        if tokio::task::spawn_blocking(move || disk.poll_or_log()).await.is_err() {
            return;
        }
    }
}
