//! Listening, on loopback addresses unless told otherwise.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::address::HostPort;

/// Connections that may wait to be accepted; the kernel's own limit (`net.core.somaxconn`) applies too.
const BACKLOG: i32 = 4096;

/// Why a process does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host name has no address.
    #[error("cannot resolve {address}")]
    Resolve {
        /// The address as written.
        address: HostPort,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could reach the address, and nothing would authenticate them.
    #[error(
        "{address} ({resolved}) can be reached from other machines, and requests are not authenticated yet: \
         listen on a loopback address such as 127.0.0.1, or pass --insecure-listen if the network is trusted"
    )]
    NotLoopback {
        /// The address as written.
        address: HostPort,
        /// What it stands for.
        resolved: SocketAddr,
    },
    /// Another process listens there.
    #[error("{address} is in use: another process listens there; stop it or choose another port")]
    InUse {
        /// The address as written.
        address: HostPort,
    },
    /// The system refused for another reason.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address as written.
        address: HostPort,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Listens on the first address that `address` stands for and that the system grants, without blocking, ready
/// for an async runtime.
///
/// Unless `insecure` is set, every address that it stands for must be a loopback address.
///
/// # Errors
/// See [`ListenError`]; nothing is listened on then.
pub fn bind(address: &HostPort, insecure: bool) -> Result<TcpListener, ListenError> {
    let unresolved = |source| ListenError::Resolve { address: address.clone(), source };
    let addresses = address.resolve().map_err(unresolved)?;
    if !insecure && let Some(resolved) = first_reachable(&addresses) {
        return Err(ListenError::NotLoopback { address: address.clone(), resolved });
    }
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for resolved in addresses {
        match bind_one(resolved) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(match refused.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address: address.clone() },
        _ => ListenError::Bind { address: address.clone(), source: refused },
    })
}

/// The first address that other machines can reach.
fn first_reachable(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    addresses.iter().copied().find(|address| !address.ip().to_canonical().is_loopback())
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted process must not wait for connections of the one before to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_beyond_loopback_needs_the_insecure_flag() {
        let anywhere = HostPort::parse_listen("0.0.0.0:0").unwrap();
        let refused = bind(&anywhere, false).unwrap_err();
        assert!(matches!(refused, ListenError::NotLoopback { .. }));
        assert!(refused.to_string().contains("--insecure-listen"));
        bind(&anywhere, true).unwrap();
    }

    #[test]
    fn mapped_loopback_addresses_count_as_loopback() {
        let of = |text: &str| first_reachable(&[text.parse().unwrap()]);
        assert_eq!(of("[::ffff:127.0.0.1]:1"), None);
        assert_eq!(of("127.8.9.1:1"), None);
        assert!(of("[::ffff:10.0.0.1]:1").is_some());
        assert!(of("[::]:1").is_some());
    }

    #[test]
    fn port_in_use_is_named() {
        let first = bind(&HostPort::parse_listen("127.0.0.1:0").unwrap(), false).unwrap();
        let address: HostPort = first.local_addr().unwrap().to_string().parse().unwrap();
        assert!(matches!(bind(&address, false), Err(ListenError::InUse { .. })));
    }
}
