//! Addresses: where to listen and whom to call.

mod address;
mod bind;

pub use address::{HostPort, ParseAddressError};
pub use bind::{ListenError, bind};
