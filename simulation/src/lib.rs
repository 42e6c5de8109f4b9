//! Whole clusters in one process from one seed, and the judge of what their clients saw.
//!
//! What decides is what ships: replicas, coordinators, outboxes, failure detection and the choice of the first
//! configuration (crate `consensus`), the bodies and checks between programs (crate `common`), the plan and the merge of
//! listings (crate `router`). Around them stand models of what the machine gives: a network that loses, delays, repeats,
//! damages and cuts, disks that keep only what was synced, clocks that jump and drift, processes that die or stand
//! still. [`run`] plays one [`Plan`] and holds it against every property; [`Variant`] breaks the cluster on purpose, to
//! see that the properties notice.

mod breakage;
pub mod checker;
mod clock;
mod cluster;
mod disk;
mod exchange;
mod faults;
mod listing;
mod network;
mod node;
mod plan;
mod properties;
mod report;
mod router;
mod variant;
mod workload;
mod world;

pub use faults::FaultMix;
pub use plan::Plan;
pub use properties::Violation;
pub use report::{Mishap, Paths, Report};
pub use variant::Variant;
pub use workload::WorkloadConfig;
pub use world::run;
