//! The network between routers and nodes: each node is reached only through a gate, which passes bytes on, delays,
//! holds, loses or repeats them, or cuts connections, for each sender and direction apart.
//!
//! A gate is an address of the test that forwards to the node's own; `cluster.toml` tells everyone the gates'
//! addresses, so every process can read the same file. Who is at the other end of a connection is found out
//! ([`callers`]).
//!
//! Where the machine allows it, every process is in a network namespace of its own ([`wires`]), so that packets can
//! be lost beneath TCP too, on both sides of the gates and between clients and routers. Elsewhere all is on loopback.

mod callers;
mod gate;
mod pipe;
mod rules;
mod socket_inode;
mod wires;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::gauntlet::Party;
use crate::ports::{Port, free_port};
pub(super) use callers::Callers;
use gate::Gate;
pub(super) use rules::{Direction, Rule, Rules, Span};
pub(super) use wires::{Disturbance, Wires, address};

/// The gates of all nodes.
#[derive(Debug)]
pub(super) struct Network {
    /// The namespaces, where there are some.
    pub(super) wires: Option<Wires>,
    addresses: Vec<String>,
    _ports: Vec<Port>,
    /// What happens on which way.
    pub(super) rules: Arc<Rules>,
    /// Who calls.
    pub(super) callers: Arc<Callers>,
    gates: Vec<JoinHandle<()>>,
}

impl Network {
    /// A gate for each of `nodes` nodes, closed until [`Self::open`].
    pub(super) fn prepare(nodes: usize, wires: Option<Wires>) -> Self {
        let ports: Vec<Port> =
            if wires.is_some() { Vec::new() } else { (0..nodes).map(|_| free_port()).collect() };
        let addresses = match wires {
            Some(_) => (1..=nodes).map(|number| wires::gate_address(Party::Node(number))).collect(),
            None => ports.iter().map(Port::address).collect(),
        };
        let (rules, callers) = (Arc::default(), Arc::default());
        Self { wires, addresses, _ports: ports, rules, callers, gates: Vec::new() }
    }

    /// The addresses of the gates, in the order of their nodes.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Opens the gates to the nodes that listen at `addresses`.
    ///
    /// # Panics
    /// When a port was taken meanwhile.
    pub(super) async fn open(&mut self, addresses: &[String]) {
        for (node, (own, address)) in (1..).zip(self.addresses.iter().zip(addresses)) {
            let listener = TcpListener::bind(own).await.unwrap();
            let gate = Gate {
                node: Party::Node(node),
                address: address.clone(),
                rules: Arc::clone(&self.rules),
                callers: Arc::clone(&self.callers),
            };
            self.gates.push(tokio::spawn(gate.serve(listener)));
        }
    }
}

impl Network {
    /// Lets something go wrong beneath TCP, or makes it good again. `number` is this disturbance's alone meanwhile.
    pub(super) fn disturb(&self, number: usize, disturbance: Disturbance, begins: bool) {
        if let Some(wires) = &self.wires {
            wires.disturb(number, disturbance, begins);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.gates.iter().for_each(JoinHandle::abort);
    }
}
