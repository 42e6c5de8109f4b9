//! Who is at the other end of a connection: known by its address where every process has one of its own, otherwise
//! asked of the kernel.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::spawn_blocking;

use super::socket_inode::socket_inode;
use super::wires;
use crate::gauntlet::Party;

/// A process may call before the one who started it has told its id.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// The cluster's processes and how they are recognised.
#[derive(Debug, Default)]
pub(in crate::gauntlet) struct Callers {
    /// By process id.
    processes: Mutex<BTreeMap<i32, Party>>,
}

impl Callers {
    /// A party runs under this process id from now on.
    pub(in crate::gauntlet) fn register(&self, party: Party, pid: i32) {
        let mut processes = self.processes.lock().unwrap();
        processes.retain(|_, known| *known != party);
        processes.insert(pid, party);
    }

    /// The party at the other end of an accepted connection; `None` when it is gone or none of ours.
    pub(super) async fn at(self: &Arc<Self>, stream: &TcpStream) -> Option<Party> {
        let (from, to) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
        if !from.ip().is_loopback() {
            return self
                .processes
                .lock()
                .unwrap()
                .values()
                .copied()
                .find(|party| wires::is_at(*party, from.ip()));
        }
        for _ in 0..ATTEMPTS {
            let callers = Arc::clone(self);
            if let Some(party) =
                spawn_blocking(move || callers.owner(socket_inode(from, to)?)).await.ok().flatten()
            {
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
        let processes = self.processes.lock().unwrap().clone();
        processes.into_iter().find(|(pid, _)| holds(pid)).map(|(_, party)| party)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_of_this_process_is_recognised() {
        let callers = Arc::new(Callers::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(callers.at(&accepted).await, None);
        callers.register(Party::Router(2), i32::try_from(std::process::id()).unwrap());
        assert_eq!(callers.at(&accepted).await, Some(Party::Router(2)));
    }
}
