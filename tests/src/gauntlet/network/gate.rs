//! One node's gate.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::callers::Callers;
use super::pipe::{Pipe, passes};
use super::rules::{Direction, Rule, Rules, count};
use crate::gauntlet::Party;

/// Takes connections for one node and forwards them as the rules say.
#[derive(Debug)]
pub(super) struct Gate {
    /// The node behind it.
    pub(super) node: Party,
    /// Where the node listens.
    pub(super) address: String,
    /// The rules.
    pub(super) rules: Arc<Rules>,
    /// Who calls.
    pub(super) callers: Arc<Callers>,
}

impl Gate {
    /// Serves until it is dropped, which breaks all connections.
    pub(super) async fn serve(self, listener: TcpListener) {
        let gate = Arc::new(self);
        let mut connections = JoinSet::new();
        while let Ok((caller, _)) = listener.accept().await {
            let gate = Arc::clone(&gate);
            connections.spawn(async move {
                if let Some(party) = gate.callers.at(&caller).await {
                    gate.forward(caller, party).await;
                }
            });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn forward(&self, caller: TcpStream, party: Party) {
        let way = |direction| self.rules.on(party, self.node, direction);
        let (mut there, back) = (way(Direction::There), way(Direction::Back));
        if there.rule() == Rule::Cut {
            count(&self.rules.effects.cut);
            return;
        }
        // A node that refuses is seen as a connection that closes at once.
        let Ok(node) = TcpStream::connect(&self.address).await else { return };
        if caller.set_nodelay(true).and_then(|()| node.set_nodelay(true)).is_err() {
            return;
        }
        let (caller_out, caller_in) = caller.into_split();
        let (node_out, node_in) = node.into_split();
        let pipe = |way| Pipe { way, address: &self.address, effects: &self.rules.effects };
        passes(pipe(there).requests(caller_out, node_in), pipe(back).answers(node_out, caller_in)).await;
    }
}
