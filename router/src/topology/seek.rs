//! Asks the nodes of `cluster.toml` until it is known which configuration they have adopted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roundtable_common::listen::HostPort;
use roundtable_common::wire::{HELLO_PATH, decode_hello};
use roundtable_consensus::{Adopted, Configuration, FileStanding, Hello, NodeId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::links::NodeClient;
use crate::topology::choose::choose;
use crate::topology::cluster::{Cluster, ClusterSeed};

/// The pause between two times that all nodes are asked.
const PAUSE: Duration = Duration::from_millis(200);

/// How far the router is.
#[derive(Clone)]
pub enum Phase {
    /// It doesn't know its cluster yet.
    Seeking {
        /// Why, in words.
        reason: String,
        /// What each node of the file said last, in words.
        nodes: BTreeMap<NodeId, String>,
    },
    /// It serves a cluster.
    Serving(Arc<Cluster>),
}

/// Finds the cluster of a file.
pub struct Seeker {
    file: Configuration,
    clients: Vec<(NodeId, Arc<NodeClient>)>,
    seed: ClusterSeed,
    phase: watch::Sender<Phase>,
}

impl Seeker {
    /// A seeker, and where its progress is told. Nodes of the file whose address can't be parsed are not asked.
    #[must_use]
    pub fn new(file: Configuration, seed: ClusterSeed) -> (Self, watch::Receiver<Phase>) {
        let (phase, progress) = watch::channel(Phase::Seeking {
            reason: "no node has been asked yet".to_owned(),
            nodes: BTreeMap::new(),
        });
        let client = |address: HostPort| Arc::new(NodeClient::new(address, seed.config.link.connect_timeout));
        let clients = file
            .nodes
            .iter()
            .filter_map(|member| Some((member.id.clone(), client(member.address.parse().ok()?))))
            .collect();
        (Self { file, clients, seed, phase }, progress)
    }

    /// Asks until the cluster is found, then sets it going.
    pub async fn run(self) {
        let mut told = String::new();
        loop {
            match self.ask_all().await {
                Ok(adopted) => {
                    self.warn_about_file(&adopted);
                    info!(cluster_id = %adopted.cluster, epoch = %adopted.configuration.epoch, "cluster found");
                    match Cluster::start(adopted, &self.seed) {
                        Ok(cluster) => {
                            self.phase.send_replace(Phase::Serving(Arc::new(cluster)));
                            return;
                        }
                        Err(error) => error!(%error, "adopted configuration is malformed"),
                    }
                }
                Err((reason, nodes)) => {
                    if reason != told {
                        warn!(reason, "cluster not found yet");
                        told.clone_from(&reason);
                    }
                    self.phase.send_replace(Phase::Seeking { reason, nodes });
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks every node once, and chooses as soon as enough have answered.
    async fn ask_all(&self) -> Result<Adopted, (String, BTreeMap<NodeId, String>)> {
        let mut asks = JoinSet::new();
        for (node, client) in &self.clients {
            let (node, client, limit) =
                (node.clone(), Arc::clone(client), self.seed.config.link.probe_timeout);
            asks.spawn(async move {
                let path = format!("{HELLO_PATH}?node={node}");
                let hello = client.ask(&path, None, limit).await.and_then(|body| Ok(decode_hello(body)?));
                (node, hello)
            });
        }
        let (mut hellos, mut nodes) = (BTreeMap::new(), BTreeMap::new());
        while let Some(asked) = asks.join_next().await {
            let Ok((node, hello)) = asked else { continue };
            nodes.insert(node.clone(), describe(&node, hello.as_ref().map_err(ToString::to_string)));
            let Ok(hello) = hello else { continue };
            hellos.insert(node, hello);
            if let Ok(adopted) = choose(&self.file, &hellos, false) {
                return Ok(adopted);
            }
        }
        choose(&self.file, &hellos, true).map_err(|not_chosen| (not_chosen.to_string(), nodes))
    }

    fn warn_about_file(&self, adopted: &Adopted) {
        let (file, epoch) = (self.file.epoch, adopted.configuration.epoch);
        let meaning = match adopted.judge_file(&self.file) {
            FileStanding::Newer => "its version is newer and not adopted",
            FileStanding::Older => "its version is older: it only gave addresses",
            FileStanding::Same | FileStanding::ChangedWithoutVersion { .. } => return,
        };
        warn!(version = %file, adopted = %epoch, meaning, "cluster file is not the adopted configuration");
    }
}

fn describe(expected: &NodeId, hello: Result<&Hello, String>) -> String {
    match hello {
        Ok(hello) if hello.node != *expected => {
            format!("another node answers at this address: it is {}, not {expected}", hello.node)
        }
        Ok(hello) if hello.adopted.is_none() => {
            format!("it has not adopted a configuration: {}", hello.reason)
        }
        Ok(_) => "it answers".to_owned(),
        Err(error) => error,
    }
}
