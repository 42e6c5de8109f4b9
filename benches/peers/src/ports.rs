//! Free ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use crate::failure::Failure;

/// Below the ports that Linux gives to outgoing connections, so that no load takes one of them in between.
const PORTS: Range<u16> = 21_000..31_000;

/// The first of `count` successive loopback ports on which nobody listens.
pub(crate) fn free_block(count: u16) -> Result<u16, Failure> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    PORTS
        .step_by(usize::from(count.max(1)))
        .find(|&first| (first..first + count).all(is_free))
        .ok_or_else(|| Failure::new("looking for free ports", format!("none in {PORTS:?}")))
}

/// This port on the loopback interface.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_avoids_a_port_in_use() {
        let first = free_block(3).unwrap();
        let _taken = TcpListener::bind(loopback(first + 1)).unwrap();
        let next = free_block(3).unwrap();
        assert!(next != first, "{next}");
    }
}
