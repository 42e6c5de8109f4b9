//! Executions that broke earlier drafts of the protocol, played message by message against the real acceptors,
//! rounds and reads. Each is named after its story and fails when the rule that it is about is taken out.
//!
//! Nodes are A, B, C (and D where a partition moves), routers R1, R2; the number of a round is its ballot's
//! millisecond.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it finds something amiss"
)]

mod accepts;
mod exactly_once;
mod expiry_and_deletes;
mod fairness;
mod script;
mod world;
