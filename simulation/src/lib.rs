//! Whole clusters in one process from one seed, and the judge of what their clients saw.
//!
//! The replica, the coordinator and the failure detection are those that ship (crate `consensus`); around them stand
//! models of what the machine gives: a network that loses, delays, repeats and cuts, disks that keep only what was
//! synced, clocks that jump, processes that die or stand still. [`run`] plays one [`Plan`] and holds it against every
//! property; [`Variant`] breaks the cluster on purpose, to see that the properties notice.

mod breakage;
pub mod checker;
mod clock;
mod disk;
mod faults;
mod network;
mod node;
mod properties;
mod report;
mod router;
mod variant;
mod workload;
mod world;

pub use faults::FaultMix;
pub use properties::Violation;
pub use report::{Paths, Report};
pub use variant::Variant;
pub use workload::WorkloadConfig;
pub use world::{Plan, run};
