//! etcd: three members. The load goes to the leader, which saves etcd the way from a follower to it.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::connection::{CallError, Gateway};
use crate::failure::Failure;
use crate::ports::{free_block, loopback};
use crate::process::Processes;
use crate::system::{Cluster, make_folder, until_ready};

/// How many members.
const MEMBERS: u16 = 3;

/// Room for what a run writes: the default of 2 GiB would end it with "database space exceeded".
const QUOTA_BYTES: u64 = 8 << 30;

pub(crate) async fn start(folder: TempDir) -> Result<Cluster, Failure> {
    let first = free_block(2 * MEMBERS)?;
    let client_url = |member| format!("http://{}", loopback(first + member));
    let peer_url = |member| format!("http://{}", loopback(first + MEMBERS + member));
    let name = |member| format!("etcd-{member}");
    let everyone: Vec<String> =
        (0..MEMBERS).map(|member| format!("{}={}", name(member), peer_url(member))).collect();
    let mut processes = Processes::default();
    let mut servers = Vec::new();
    for member in 0..MEMBERS {
        let data_dir = make_folder(folder.path(), &format!("data-{member}"))?;
        let arguments = [
            format!("--name={}", name(member)),
            format!("--data-dir={}", data_dir.display()),
            format!("--listen-client-urls={}", client_url(member)),
            format!("--advertise-client-urls={}", client_url(member)),
            format!("--listen-peer-urls={}", peer_url(member)),
            format!("--initial-advertise-peer-urls={}", peer_url(member)),
            format!("--initial-cluster={}", everyone.join(",")),
            "--initial-cluster-state=new".to_owned(),
            format!("--quota-backend-bytes={QUOTA_BYTES}"),
            "--logger=zap".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        servers.push(processes.start(&name(member), Path::new("etcd"), arguments, folder.path())?);
    }
    let members: Vec<SocketAddr> = (0..MEMBERS).map(|member| loopback(first + member)).collect();
    let address = until_ready("etcd", &mut processes, async || leader(&members).await).await?;
    Ok(Cluster { processes, servers, address, members, _folder: folder })
}

/// The member that all members take for the leader.
pub(crate) async fn leader(members: &[SocketAddr]) -> Result<SocketAddr, CallError> {
    let mut believed = Vec::new();
    for &address in members {
        let (member, leader) = Gateway::open(address).await?.member_and_leader().await?;
        believed.push((address, member, leader));
    }
    let agreed = believed.iter().find(|(_, member, _)| believed.iter().all(|(.., leader)| leader == member));
    agreed.map(|(address, ..)| *address).ok_or_else(|| CallError::of("the members don't agree on a leader"))
}
