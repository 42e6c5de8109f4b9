//! A router in this process, and nodes whose replicas live in memory behind the real wire bodies.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod client;
pub(crate) mod node;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use roundtable_common::settings::Settings;
use roundtable_consensus::{Adopted, Configuration, Epoch, Member, StorageId};
use roundtable_router::app::App;
use roundtable_router::clock::Clock;
use roundtable_router::config::{Config, VARIABLE_PREFIX};
use roundtable_router::http::Server;
use roundtable_router::metrics::Metrics;
use roundtable_router::topology::{ClusterSeed, Seeker};
use tokio::sync::oneshot;

use client::Client;
use node::TestNode;

/// Three nodes and a router.
pub(crate) struct TestCluster {
    pub(crate) nodes: Vec<TestNode>,
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    pub(crate) configuration: Configuration,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) stopped: oneshot::Receiver<usize>,
}

impl TestCluster {
    pub(crate) async fn start(settings: &str) -> Self {
        let mut nodes = Vec::new();
        for place in 1..=3 {
            nodes.push(TestNode::start(&format!("n{place}"), StorageId(place)).await);
        }
        let member = |node: &TestNode| Member {
            id: node.id.clone(),
            address: node.address.to_string(),
            zone: None,
            weight: 1,
        };
        let configuration = Configuration {
            epoch: Epoch(1),
            replication_factor: 3,
            partitions: 8,
            nodes: nodes.iter().map(member).collect(),
        };
        let storage: BTreeMap<_, _> = nodes.iter().map(|node| (node.id.clone(), node.storage)).collect();
        let adopted = Adopted::first(configuration.clone(), storage);
        nodes.iter().for_each(|node| node.adopt(&adopted));
        let config = config(settings);
        let (address, stop, stopped) = start_router(&config, configuration.clone());
        let client = Client::new(address);
        let cluster = Self { nodes, client, address, configuration, stop: Some(stop), stopped };
        cluster.ready().await;
        cluster
    }

    /// Waits until all nodes are usable.
    pub(crate) async fn ready(&self) {
        self.until(|readyz| readyz["ready"] == true && readyz["nodes"].as_object().unwrap().is_empty()).await;
    }

    /// Waits until `/readyz` says so.
    pub(crate) async fn until(&self, holds: impl Fn(&serde_json::Value) -> bool) {
        let mut last = serde_json::Value::Null;
        for _ in 0..500 {
            let answer = self.client.request("GET", "/readyz", &[], b"").await;
            last = answer.json();
            if holds(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain: {last}");
    }
}

/// The settings of a router on a free port.
pub(crate) fn config(settings: &str) -> Arc<Config> {
    let text = format!("listen = \"127.0.0.1:0\"\n{settings}");
    Arc::new(Config::new(Settings::parse(&text, VARIABLE_PREFIX, [])).unwrap())
}

/// A router on a free port.
pub(crate) fn start_router(
    config: &Arc<Config>,
    file: Configuration,
) -> (SocketAddr, oneshot::Sender<()>, oneshot::Receiver<usize>) {
    let listener = roundtable_common::listen::bind(&config.listen, false).unwrap();
    let seed =
        ClusterSeed { config: Arc::clone(config), clock: Clock::start(), metrics: Arc::new(Metrics::new()) };
    let (clock, metrics) = (seed.clock, Arc::clone(&seed.metrics));
    let (seeker, phase) = Seeker::new(file, seed);
    let app = Arc::new(App::new(Arc::clone(config), clock, metrics, phase));
    let server = Server::new(app, listener, config.drain).unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(seeker.run());
    let (stop, stopping) = oneshot::channel::<()>();
    let (ended, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let cut = server
            .run(async {
                let _ = stopping.await;
            })
            .await;
        let _ = ended.send(cut);
    });
    (address, stop, stopped)
}
