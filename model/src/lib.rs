//! The protocol under a model checker.
//!
//! Three real acceptors and real rounds and reads of one key, driven through *every* order of events that a scope
//! allows: messages delivered, delayed for ever, delivered twice, lost with or without effect; replicas slow, so
//! that a further one is asked; nodes restarted, so that their promises are gone and their horizon is left. A
//! proposer that stops at any point is among the orders too: nothing forces an event to happen.
//!
//! A reply reaches its proposer in the step in which its request is delivered. That loses no behaviour: what the
//! proposer does on it is to send messages, which may be delayed as long as one likes, or to answer a client, and
//! an earlier answer only asks more of what comes later.
//!
//! What must hold in every state, and what must be reached in some, is in `properties.rs`; the operations' meaning is [`Counter`], checked by
//! stateright's linearizability tester. An operation without an answer may take effect later, or never.

mod acceptor;
mod counter;
mod model;
mod network;
mod properties;
mod proposer;
mod variant;

pub use counter::{Counter, Op, Ret};
pub use model::{Action, Protocol, Scope, State};
pub use network::Letter;
pub use properties::{AGREEMENT, LINEARIZABLE, Reach};
pub use variant::Variant;
