//! Which socket of this machine is one end of a connection: asked of the kernel for exactly that connection (sock_diag(7)).
//!
//! `/proc/net/tcp` tells the same, but reading it takes milliseconds of processor time on a machine with much memory:
//! the kernel walks through a table whose size follows the memory.

use std::net::{IpAddr, SocketAddr};

use rustix::io;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, netlink, recv, send, socket};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const TCP: u8 = 6;
/// Header, families and states, and the connection.
const REQUEST_BYTES: u32 = 16 + 8 + 48;
/// Where an answer has its inode: behind its header, the connection and four figures.
const INODE_AT: usize = 16 + 4 + 48 + 16;

/// The inode of the IPv4 socket that is bound to `local` and connected to `remote`; `None` when there is none.
pub(super) fn socket_inode(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let answer = ask(&question(local, remote)?).ok()?;
    let is_answer = answer.get(4..6)? == SOCK_DIAG_BY_FAMILY.to_ne_bytes();
    let inode = u32::from_ne_bytes(answer.get(INODE_AT..INODE_AT + 4)?.try_into().ok()?);
    // A connection that nobody holds any more has none.
    (is_answer && inode != 0).then_some(u64::from(inode))
}

/// A `struct nlmsghdr` and a `struct inet_diag_req_v2`.
fn question(local: SocketAddr, remote: SocketAddr) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.extend(REQUEST_BYTES.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // Its number, and whose it is: the kernel fills that in.
    bytes.extend([0; 8]);
    bytes.extend([AF_INET, TCP, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(remote.port().to_be_bytes());
    for end in [local, remote] {
        let IpAddr::V4(address) = end.ip() else { return None };
        bytes.extend(address.octets());
        bytes.extend([0; 12]);
    }
    // On any interface, under any cookie.
    bytes.extend([0; 4]);
    bytes.extend([0xff; 8]);
    Some(bytes)
}

fn ask(question: &[u8]) -> io::Result<Vec<u8>> {
    let kernel = socket(AddressFamily::NETLINK, SocketType::DGRAM, Some(netlink::SOCK_DIAG))?;
    send(&kernel, question, SendFlags::empty())?;
    let mut answer = vec![0; 4096];
    let (length, _) = recv(&kernel, answer.as_mut_slice(), RecvFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}
