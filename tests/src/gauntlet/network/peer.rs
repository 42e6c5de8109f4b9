//! Who is at the other end of a connection on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use crate::gauntlet::Party;

/// A process may call before the one who started it has told its id.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// The cluster's processes by their ids.
#[derive(Debug, Default)]
pub(in crate::gauntlet) struct Processes(Mutex<BTreeMap<i32, Party>>);

impl Processes {
    /// A party runs under this process id from now on.
    pub(in crate::gauntlet) fn register(&self, party: Party, pid: i32) {
        let mut processes = self.0.lock().unwrap();
        processes.retain(|_, known| *known != party);
        processes.insert(pid, party);
    }

    /// The party that connected from `from` to this machine's port `to`; `None` when it is gone or none of ours.
    pub(super) async fn at(&self, from: SocketAddr, to: u16) -> Option<Party> {
        for _ in 0..ATTEMPTS {
            if let Some(party) = socket_inode(from.port(), to).and_then(|inode| self.owner(inode)) {
                return Some(party);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    fn owner(&self, inode: u64) -> Option<Party> {
        let socket = format!("socket:[{inode}]");
        let holds = |pid: &i32| {
            let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut targets = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
            targets.any(|target| target.as_os_str() == socket.as_str())
        };
        let processes = self.0.lock().unwrap().clone();
        processes.into_iter().find(|(pid, _)| holds(pid)).map(|(_, party)| party)
    }
}

/// The inode of the socket that is bound to the port `local` and connected to the port `remote`, both IPv4.
fn socket_inode(local: u16, remote: u16) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().skip(1).find_map(|line| {
        // "sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …"
        let mut fields = line.split_ascii_whitespace().skip(1);
        let ports = [fields.next()?, fields.next()?].map(port_of);
        (ports == [Some(local), Some(remote)]).then(|| fields.nth(6)?.parse().ok()).flatten()
    })
}

/// The port in `0100007F:1F90`.
fn port_of(address: &str) -> Option<u16> {
    u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_connection_of_this_process_is_recognised() {
        let processes = Processes::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let _caller = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (_accepted, from) = listener.accept().await.unwrap();
        assert_eq!(processes.at(from, port).await, None);
        processes.register(Party::Router(2), i32::try_from(std::process::id()).unwrap());
        assert_eq!(processes.at(from, port).await, Some(Party::Router(2)));
    }
}
