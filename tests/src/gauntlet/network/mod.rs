//! The network between routers and nodes, on one machine: each node is reached only through a gate, which passes
//! bytes on, delays, holds, loses or repeats them, or cuts connections, for each sender and direction apart.
//!
//! A gate is a port that forwards to the node's own. `cluster.toml` tells everyone the gates' addresses; who is at
//! the other end of a connection is asked of the kernel ([`peer`]), so every process can read the same file.

mod gate;
mod peer;
mod pipe;
mod rules;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::gauntlet::Party;
use crate::ports::{Port, free_port};
use gate::Gate;
pub(super) use peer::Processes;
pub(super) use rules::{Direction, Effects, Rule, Rules, Span};

/// The gates of all nodes.
#[derive(Debug)]
pub(super) struct Network {
    ports: Vec<Port>,
    /// What happens on which way.
    pub(super) rules: Arc<Rules>,
    /// Who runs under which process id.
    pub(super) processes: Arc<Processes>,
    gates: Vec<JoinHandle<()>>,
}

impl Network {
    /// A gate for each of `nodes` nodes, closed until [`Self::open`].
    pub(super) fn prepare(nodes: usize) -> Self {
        let ports = (0..nodes).map(|_| free_port()).collect();
        Self { ports, rules: Arc::default(), processes: Arc::default(), gates: Vec::new() }
    }

    /// The addresses of the gates, in the order of their nodes.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.ports.iter().map(Port::address).collect()
    }

    /// Opens the gates to the nodes that listen at `addresses`.
    ///
    /// # Panics
    /// When a port was taken meanwhile.
    pub(super) async fn open(&mut self, addresses: &[String]) {
        for (node, (port, address)) in (1..).zip(self.ports.iter().zip(addresses)) {
            let listener = TcpListener::bind(port.address()).await.unwrap();
            let gate = Gate {
                node: Party::Node(node),
                port: port.number(),
                address: address.clone(),
                rules: Arc::clone(&self.rules),
                processes: Arc::clone(&self.processes),
            };
            self.gates.push(tokio::spawn(gate.serve(listener)));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.gates.iter().for_each(JoinHandle::abort);
    }
}
