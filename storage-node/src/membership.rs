//! The shell around the choice of the first configuration: asks the other nodes, writes what is decided.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use roundtable_common::view::View;
use roundtable_consensus::{
    Bootstrap, BootstrapEffect, Configuration, FileStanding, Hello, Membership as Found, NodeId, Status,
    StorageId,
};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::unix_ms;
use crate::fault::Fault;
use crate::peers::{AskError, ask_hello};
use crate::store::{Store, StoreError};

/// How often nodes that stand in the way are asked again.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// How far the node is on its way into the cluster.
#[derive(Debug)]
pub struct Membership {
    me: NodeId,
    bootstrap: Mutex<Bootstrap>,
    /// Set once, when a configuration is adopted.
    view: OnceLock<Arc<View>>,
}

/// Why a node does not start with its `cluster.toml`.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// What the data directory knows cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file's content was changed and its version was not.
    #[error(
        "cluster.toml was changed without a higher version: {difference}. To change the topology, increase version; otherwise undo the change"
    )]
    ChangedWithoutVersion {
        /// The first difference.
        difference: String,
    },
}

impl Membership {
    /// Takes up what the data directory knows.
    ///
    /// # Errors
    /// When it cannot be read, or when the file contradicts what was adopted.
    pub fn new(me: NodeId, store: &Store, file: Configuration) -> Result<Self, MembershipError> {
        let found = Found { bound: store.bound()?, adopted: store.adopted()?.pop() };
        let bootstrap = Bootstrap::new(me.clone(), store.storage(), file, found);
        let membership = Self { me, bootstrap: Mutex::new(bootstrap), view: OnceLock::new() };
        membership.adopt_if_chosen();
        match membership.file_standing() {
            Some(FileStanding::ChangedWithoutVersion { difference }) => {
                return Err(MembershipError::ChangedWithoutVersion { difference });
            }
            standing => warn_of(standing.as_ref()),
        }
        Ok(membership)
    }

    /// The adopted configuration, once there is one that this node votes in.
    #[must_use]
    pub fn view(&self) -> Option<&Arc<View>> {
        self.view.get()
    }

    /// How far the node is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lock().status()
    }

    /// What this node says of itself.
    #[must_use]
    pub fn hello(&self, obstacle: Option<String>) -> Hello {
        self.lock().hello(unix_ms(), obstacle.is_none(), obstacle.unwrap_or_default())
    }

    /// Asks and writes until a configuration is adopted, or for ever when this node must not vote.
    pub async fn run(&self, store: &Arc<Store>, peer_timeout: Duration, fault: &Fault) {
        let (heard, mut answers) = mpsc::unbounded_channel();
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = String::new();
        while self.view.get().is_none() {
            let mut effects = Vec::new();
            tokio::select! {
                _ = ticks.tick() => self.lock().tick(&mut effects),
                Some((node, answer)) = answers.recv() => self.note(&node, answer, &mut effects),
            }
            while let Some(effect) = effects.pop() {
                if let Err(error) = self.carry_out(effect, store, peer_timeout, &heard, &mut effects).await {
                    fault.raise(&format!("cannot write the membership: {error}"));
                    return;
                }
            }
            self.adopt_if_chosen();
            self.report(&mut reported);
        }
        warn_of(self.file_standing().as_ref());
    }

    fn note(&self, node: &NodeId, answer: Result<Hello, AskError>, effects: &mut Vec<BootstrapEffect>) {
        let mut bootstrap = self.lock();
        match answer {
            Ok(hello) => bootstrap.on_hello(node, hello, effects),
            Err(error) => bootstrap.on_unreachable(node, error.to_string()),
        }
    }

    async fn carry_out(
        &self,
        effect: BootstrapEffect,
        store: &Arc<Store>,
        peer_timeout: Duration,
        heard: &mpsc::UnboundedSender<(NodeId, Result<Hello, AskError>)>,
        effects: &mut Vec<BootstrapEffect>,
    ) -> Result<(), StoreError> {
        match effect {
            BootstrapEffect::Ask { node, address } => {
                // At most one question to each node is under way: the state machine sees to it.
                let heard = heard.clone();
                tokio::spawn(async move {
                    let answer = ask_hello(&address, &node, peer_timeout).await;
                    drop(heard.send((node, answer)));
                });
                Ok(())
            }
            BootstrapEffect::Bind(first) => {
                write(store, move |store| store.write_bound(&first)).await?;
                self.lock().synced(effects);
                Ok(())
            }
            BootstrapEffect::Adopt(adopted) => {
                write(store, move |store| store.write_adopted(&adopted)).await?;
                self.lock().synced(effects);
                Ok(())
            }
        }
    }

    fn adopt_if_chosen(&self) {
        let adopted = self.lock().adopted().cloned();
        if let Some(adopted) = adopted {
            let view = self.view.get_or_init(|| Arc::new(View::new(&self.me, &adopted)));
            tracing::info!(
                node_id = %self.me,
                cluster_id = %adopted.cluster,
                epoch = %adopted.configuration.epoch,
                partitions_held = view.held(),
                "configuration adopted"
            );
        }
    }

    /// Logs the status when it changed.
    fn report(&self, reported: &mut String) {
        let status = self.status();
        let text = status.to_string();
        if text != *reported {
            match status {
                Status::Refused(_) => tracing::error!(reason = %text, "node must not vote"),
                Status::Adopted(_) => {}
                _ => tracing::info!(status = %text, "waiting for the first configuration"),
            }
            *reported = text;
        }
    }

    fn file_standing(&self) -> Option<FileStanding> {
        self.lock().file_standing()
    }

    fn lock(&self) -> MutexGuard<'_, Bootstrap> {
        // A panic inside the state machine ends the process by way of the fault guard or the runtime's own panic.
        self.bootstrap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data directory's name.
    #[must_use]
    pub fn storage(&self) -> StorageId {
        self.hello(None).storage
    }
}

/// A synced write, off the async threads.
async fn write(
    store: &Arc<Store>,
    write: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let store = Arc::clone(store);
    match tokio::task::spawn_blocking(move || write(&store)).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Poisoned),
    }
}

fn warn_of(standing: Option<&FileStanding>) {
    match standing {
        None | Some(FileStanding::Same) => {}
        Some(FileStanding::Older) => {
            tracing::warn!(
                "cluster.toml is older than the adopted configuration: only its addresses are used"
            );
        }
        Some(FileStanding::Newer) => {
            tracing::warn!(
                "cluster.toml has a higher version that is not adopted: the node stays with the adopted one"
            );
        }
        Some(FileStanding::ChangedWithoutVersion { difference }) => {
            tracing::error!(%difference, "cluster.toml was changed without a higher version: the adopted one rules");
        }
    }
}
