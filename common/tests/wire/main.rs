//! Wire bodies: what is written is read back, what is damaged is refused, and the bytes stay as documented.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod damage;
mod golden;
mod round_trip;
mod samples;
mod strategies;
