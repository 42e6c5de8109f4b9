//! Ports that somebody else has, found before anything starts.

use std::io;
use std::net::TcpListener;

use crate::failure::Failure;
use crate::up::layout::{Layout, Member, Role};

/// Looks at every port that will be listened on.
pub(crate) fn check(layout: &Layout) -> Result<(), Failure> {
    for member in layout.members() {
        TcpListener::bind(&member.address).map_err(|error| explain(layout, member, &error))?;
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
