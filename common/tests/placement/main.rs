//! Placement: routers and nodes of every build agree on it, and it spreads the data as it should.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod clusters;
mod properties;
mod vectors;
