//! The protocol under a model checker.
//!
//! Three real acceptors and real rounds and reads of one key, driven through *every* order of events that a scope
//! allows: messages delivered, delayed for ever, delivered twice, lost with or without effect; replicas slow, so
//! that a further one is asked; nodes restarted, so that their promises are gone and their horizon is left;
//! proposers that stop in any phase and start again under a new name with other operations, their clocks set back;
//! clocks that differ in whether a value has ended.
//!
//! A reply that arrives does so in the step in which its request is delivered. What the proposer does on it is to
//! send messages, which may be delayed as long as one likes, or to answer a client, and an earlier answer only asks
//! more of what comes later. A reply that is overtaken by those of nodes that were asked later is one that stays
//! away; scopes with silences have it.
//!
//! What must hold in every state, and what must be reached in some, is in `properties`; the operations' meaning is
//! [`Counter`], checked by stateright's linearizability tester. An operation without an answer may take effect later,
//! or never.

mod acceptor;
mod counter;
mod head_start;
mod model;
mod network;
mod operation;
mod properties;
mod proposer;
mod rashness;
mod scope;
mod variant;

pub use counter::Counter;
pub use head_start::HeadStarts;
pub use model::{Action, Protocol, State};
pub use network::Letter;
pub use operation::{Op, Ret, What};
pub use properties::{AGREEMENT, FENCING, LINEAGE, LINEARIZABLE, Reach};
pub use scope::{Budget, Scope};
pub use variant::Variant;
