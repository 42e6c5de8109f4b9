//! Ports that somebody else has, found before anything starts.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Failure;
use crate::output;
use crate::up::layout::{Layout, Member, Role};
use crate::up::processes::ProcessEntry;

/// How long the processes of an earlier run may take to stop.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// How often a port in use is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks at every port that will be listened on. A port that belongs to a process of an earlier, killed run is
/// waited for: such processes stop by themselves.
pub(crate) async fn check(layout: &Layout, earlier: &[ProcessEntry]) -> Result<(), Failure> {
    let deadline = Instant::now() + WAIT_MAX;
    let mut told = false;
    for member in layout.members() {
        let may_be_stopping = earlier.iter().any(|entry| entry.address == member.address);
        while let Err(error) = TcpListener::bind(&member.address) {
            let in_use = error.kind() == io::ErrorKind::AddrInUse;
            if !in_use || !may_be_stopping || Instant::now() >= deadline {
                return Err(explain(layout, member, &error));
            }
            if !told {
                output::note("waiting for the processes of an earlier run to stop");
                told = true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

fn explain(layout: &Layout, member: &Member, error: &io::Error) -> Failure {
    let what = format!("{} {} cannot listen on {}: {error}", member.role.name(), member.id, member.address);
    let remedy = match member.role {
        Role::Router => "choose another address with --listen".to_owned(),
        Role::Node => format!(
            "the address comes from {}; stop what uses it, or choose another --data-dir with another --node-port",
            layout.cluster_file().display()
        ),
    };
    Failure::Other(format!("{what}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanation_names_process_address_and_remedy() {
        let layout = Layout { data_dir: "/d".into(), nodes: Vec::new(), routers: Vec::new() };
        let member = |role| Member { role, id: "x1".into(), address: "127.0.0.1:1".into() };
        let error = io::Error::from(io::ErrorKind::AddrInUse);
        let router = explain(&layout, &member(Role::Router), &error).to_string();
        assert!(router.starts_with("router x1 cannot listen on 127.0.0.1:1") && router.ends_with("--listen"));
        let node = explain(&layout, &member(Role::Node), &error).to_string();
        assert!(node.contains("/d/cluster.toml") && node.contains("--node-port"), "{node}");
    }
}
