//! What runs where, and which files belong to it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Failure;
use crate::up::UpArgs;

/// A node or a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Node,
    Router,
}

impl Role {
    /// As `processes.json` and messages say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Router => "router",
        }
    }
}

/// One process of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) id: String,
    pub(crate) address: String,
}

/// What runs where.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) data_dir: PathBuf,
    pub(crate) nodes: Vec<Member>,
    pub(crate) routers: Vec<Member>,
}

/// What is read of `cluster.toml`: nodes and routers check the rest.
#[derive(Deserialize)]
struct ClusterFile {
    #[serde(default)]
    nodes: Vec<NodeEntry>,
}

#[derive(Deserialize)]
struct NodeEntry {
    id: String,
    address: String,
}

impl Layout {
    /// Makes the folder and its `cluster.toml` unless they are there.
    pub(crate) fn prepare(args: &UpArgs) -> Result<Self, Failure> {
        let data_dir = std::path::absolute(&args.data_dir)
            .map_err(|error| Failure::io(format!("finding {}", args.data_dir.display()), error))?;
        for folder in [data_dir.clone(), data_dir.join("logs"), data_dir.join("nodes")] {
            fs::create_dir_all(&folder)
                .map_err(|error| Failure::io(format!("making {}", folder.display()), error))?;
        }
        let path = data_dir.join("cluster.toml");
        if !path.exists() {
            let text = new_cluster_file(args)?;
            let partial = path.with_extension("toml.partial");
            fs::write(&partial, text)
                .and_then(|()| fs::rename(&partial, &path))
                .map_err(|error| Failure::io(format!("writing {}", path.display()), error))?;
        }
        let nodes = read_nodes(&path)?;
        check_against(args, &path, &nodes)?;
        Ok(Self { data_dir, nodes, routers: routers(args)? })
    }

    /// The topology file.
    pub(crate) fn cluster_file(&self) -> PathBuf {
        self.data_dir.join("cluster.toml")
    }

    /// A node's data.
    pub(crate) fn node_dir(&self, id: &str) -> PathBuf {
        self.data_dir.join("nodes").join(id)
    }

    /// A process's log.
    pub(crate) fn log_file(&self, id: &str) -> PathBuf {
        self.data_dir.join("logs").join(format!("{id}.log"))
    }

    /// The list of running processes.
    pub(crate) fn processes_file(&self) -> PathBuf {
        self.data_dir.join("processes.json")
    }

    /// Nodes first, then routers: the order in which they start.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.nodes.iter().chain(&self.routers)
    }
}

fn new_cluster_file(args: &UpArgs) -> Result<String, Failure> {
    let nodes = args.nodes.unwrap_or(3);
    let replication_factor = args.replication_factor.unwrap_or(nodes.min(3));
    if replication_factor == 0 || replication_factor > nodes {
        return Err(Failure::Usage(format!(
            "--replication-factor {replication_factor} does not fit {nodes} node(s): 1 to {nodes}"
        )));
    }
    let mut text = format!(
        "# The cluster's topology. To change it, edit this file and increase `version`.\n\
         version = 1\nreplication_factor = {replication_factor}\npartitions = 256\n"
    );
    for number in 1..=nodes {
        let port = port_above(args.node_port, number, "--node-port")?;
        let address = SocketAddr::new(args.listen.ip(), port);
        text.push_str(&format!("\n[[nodes]]\nid = \"n{number}\"\naddress = \"{address}\"\n"));
    }
    Ok(text)
}

fn read_nodes(path: &Path) -> Result<Vec<Member>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("reading {}", path.display()), error))?;
    let file: ClusterFile =
        toml::from_str(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    if file.nodes.is_empty() {
        return Err(Failure::Usage(format!("{} names no nodes", path.display())));
    }
    let member = |entry: NodeEntry| Member { role: Role::Node, id: entry.id, address: entry.address };
    Ok(file.nodes.into_iter().map(member).collect())
}

/// An existing topology file rules; options that say otherwise are not passed over in silence.
fn check_against(args: &UpArgs, path: &Path, nodes: &[Member]) -> Result<(), Failure> {
    match args.nodes {
        Some(wanted) if usize::from(wanted) != nodes.len() => Err(Failure::Usage(format!(
            "{} names {} node(s), --nodes says {wanted}; leave --nodes out, or choose another --data-dir for \
             another cluster",
            path.display(),
            nodes.len()
        ))),
        _ => Ok(()),
    }
}

fn routers(args: &UpArgs) -> Result<Vec<Member>, Failure> {
    (0..args.routers)
        .map(|above| {
            let port = port_above(args.listen.port(), above, "--listen")?;
            let address = SocketAddr::new(args.listen.ip(), port).to_string();
            Ok(Member { role: Role::Router, id: format!("r{}", above + 1), address })
        })
        .collect()
}

fn port_above(port: u16, above: u16, option: &str) -> Result<u16, Failure> {
    port.checked_add(above).ok_or_else(|| {
        Failure::Usage(format!("{option}: port {port} leaves no room for {above} port(s) above it"))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(folder: &Path, more: &[&str]) -> UpArgs {
        let folder = folder.to_str().expect("a plain path");
        let words = ["roundtable", "up", "--data-dir", folder].into_iter().chain(more.iter().copied());
        match Cli::try_parse_from(words).expect("a good command line").command {
            Command::Up(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn new_folder_gets_a_topology_with_successive_ports() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(&args(folder.path(), &["--routers", "2"])).unwrap();
        let members: Vec<_> = layout.members().map(|m| (m.id.as_str(), m.address.as_str())).collect();
        let expected = [
            ("n1", "127.0.0.1:7411"),
            ("n2", "127.0.0.1:7412"),
            ("n3", "127.0.0.1:7413"),
            ("r1", "127.0.0.1:7400"),
            ("r2", "127.0.0.1:7401"),
        ];
        assert_eq!(members, expected);
        let text = fs::read_to_string(layout.cluster_file()).unwrap();
        assert!(text.contains("version = 1\nreplication_factor = 3\npartitions = 256\n"), "{text}");
    }

    #[test]
    fn topology_of_a_folder_is_kept_and_contradicting_options_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        Layout::prepare(&args(folder.path(), &["--nodes", "5"])).unwrap();
        assert_eq!(Layout::prepare(&args(folder.path(), &[])).unwrap().nodes.len(), 5);
        let message = Layout::prepare(&args(folder.path(), &["--nodes", "3"])).unwrap_err().to_string();
        assert!(message.contains("names 5 node(s)"), "{message}");
    }

    #[test]
    fn one_node_holds_each_key_once() {
        let folder = tempfile::tempdir().unwrap();
        let layout =
            Layout::prepare(&args(folder.path(), &["--nodes", "1", "--listen", "[::1]:7400"])).unwrap();
        assert_eq!(layout.nodes[0].address, "[::1]:7411");
        assert!(fs::read_to_string(layout.cluster_file()).unwrap().contains("replication_factor = 1\n"));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Layout::prepare(&args(folder.path(), &["--replication-factor", "4"])).is_err());
        assert!(Layout::prepare(&args(folder.path(), &["--node-port", "65534"])).is_err());
        assert!(!folder.path().join("cluster.toml").exists());
    }
}
