//! Addresses that cannot be listened on, found before anything is written or started.

use std::error::Error as _;

use roundtable_common::listen::{self, ListenError};

use crate::failure::Failure;
use crate::up::layout::{Layout, Member, Role};

/// Listens for a moment on every address that will be listened on, all at once, as the programs will.
pub(crate) fn check(layout: &Layout, insecure_listen: bool) -> Result<(), Failure> {
    let mut listeners = Vec::new();
    for member in layout.members() {
        let listener = listen::bind(&member.address, insecure_listen);
        listeners.push(listener.map_err(|error| explain(layout, member, &error))?);
    }
    Ok(())
}

fn explain(layout: &Layout, member: &Member, error: &ListenError) -> Failure {
    let cause = error.source().map_or(String::new(), |cause| format!(": {cause}"));
    let remedy = match member.role {
        _ if matches!(error, ListenError::NotLoopback { .. }) => String::new(),
        Role::Router => "; --listen chooses another address".to_owned(),
        Role::Node if layout.new_cluster_file.is_some() => "; --node-port chooses other ports".to_owned(),
        Role::Node => format!(
            "; the address is in {}, so only another --data-dir with another --node-port has another one",
            layout.cluster_file().display()
        ),
    };
    Failure::Other(format!("{} {}: {error}{cause}{remedy}", member.role.name(), member.id))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;

    fn layout(role: Role, address: &str, new_cluster_file: Option<String>) -> Layout {
        let member = Member { role, id: "x1".into(), address: address.parse().unwrap() };
        let (nodes, routers) = match role {
            Role::Node => (vec![member], Vec::new()),
            Role::Router => (Vec::new(), vec![member]),
        };
        Layout { nodes, routers, new_cluster_file, ..Layout::empty(Path::new("/d")) }
    }

    #[test]
    fn port_in_use_is_named_with_process_and_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let said = |role, new: Option<&str>| {
            check(&layout(role, &address, new.map(str::to_owned)), false).unwrap_err().to_string()
        };
        let router = said(Role::Router, None);
        assert!(router.starts_with(&format!("router x1: {address} is in use")), "{router}");
        assert!(router.ends_with("--listen chooses another address"), "{router}");
        let new = said(Role::Node, Some("version = 1"));
        assert!(new.ends_with("--node-port chooses other ports"), "{new}");
        let old = said(Role::Node, None);
        assert!(old.contains("/d/cluster.toml") && old.contains("another --data-dir"), "{old}");
    }

    #[test]
    fn addresses_that_others_reach_need_consent() {
        let open = layout(Role::Router, "0.0.0.0:1", None);
        let message = check(&open, false).unwrap_err().to_string();
        assert!(message.contains("--insecure-listen"), "{message}");
    }
}
