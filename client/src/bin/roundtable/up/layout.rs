//! What runs where, and which files belong to it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use roundtable_common::cluster_file;
use roundtable_common::files;
use roundtable_common::listen::HostPort;

use crate::failure::Failure;
use crate::up::UpArgs;
use crate::up::topology::Topology;

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
    pub(crate) address: HostPort,
}

/// What runs where.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) data_dir: PathBuf,
    pub(crate) nodes: Vec<Member>,
    pub(crate) routers: Vec<Member>,
    /// The text of a `cluster.toml` that is yet to be written; `None` if the folder has one.
    pub(crate) new_cluster_file: Option<String>,
}

impl Layout {
    /// Reads the folder's `cluster.toml`, or makes a new one up. Writes nothing.
    ///
    /// # Errors
    /// When the options contradict the file, each other, or what is possible.
    pub(crate) fn plan(args: &UpArgs) -> Result<Self, Failure> {
        let data_dir = std::path::absolute(&args.data_dir)
            .map_err(|error| Failure::io(format!("finding {}", args.data_dir.display()), error))?;
        let path = cluster_file_of(&data_dir);
        let (text, is_new) = match fs::read_to_string(&path) {
            Ok(text) => (text, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Topology::of(args)?.to_text(), true),
            Err(error) => return Err(Failure::io(format!("reading {}", path.display()), error)),
        };
        let configuration = cluster_file::parse(&text)
            .map_err(|problems| Failure::Usage(format!("{} is not accepted: {problems}", path.display())))?;
        let topology = Topology::from(configuration);
        if !is_new {
            topology.check_against(args, &path)?;
        }
        let node = |(id, address)| Member { role: Role::Node, id, address };
        let nodes = topology.nodes.into_iter().map(node).collect();
        let layout =
            Self { data_dir, nodes, routers: routers(args)?, new_cluster_file: is_new.then_some(text) };
        layout.refuse_shared_addresses()?;
        Ok(layout)
    }

    /// Makes the folder what it must be: once everything that can be checked was checked.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        for folder in [self.data_dir.join("logs"), self.data_dir.join("nodes")] {
            files::make_private_directory(&folder)
                .map_err(|error| Failure::io(format!("making {}", folder.display()), error))?;
        }
        let path = self.cluster_file();
        match &self.new_cluster_file {
            // Somebody else took the folder while it was not there to be locked.
            Some(_) if path.exists() => Err(Failure::Other(format!(
                "{} was made by another `roundtable up` in this moment; start this one again",
                path.display()
            ))),
            Some(text) => files::replace(&path, text.as_bytes())
                .map_err(|error| Failure::io(format!("writing {}", path.display()), error)),
            None => Ok(()),
        }
    }

    /// The topology file.
    pub(crate) fn cluster_file(&self) -> PathBuf {
        cluster_file_of(&self.data_dir)
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

    fn refuse_shared_addresses(&self) -> Result<(), Failure> {
        let mut seen = BTreeMap::new();
        for member in self.members() {
            if let Some(first) = seen.insert(&member.address, member) {
                return Err(Failure::Usage(format!(
                    "{} {} and {} {} would both listen on {}: choose other ports with --listen or --node-port",
                    first.role.name(),
                    first.id,
                    member.role.name(),
                    member.id,
                    member.address
                )));
            }
        }
        Ok(())
    }

    /// Nothing, in this folder.
    #[cfg(test)]
    pub(crate) fn empty(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.into(), nodes: Vec::new(), routers: Vec::new(), new_cluster_file: None }
    }
}

fn cluster_file_of(data_dir: &Path) -> PathBuf {
    data_dir.join("cluster.toml")
}

fn routers(args: &UpArgs) -> Result<Vec<Member>, Failure> {
    let router = |above| {
        let port = port_above(args.listen.port(), above, "--listen")?;
        let address = args.listen.with_port(port);
        Ok(Member { role: Role::Router, id: format!("r{}", above + 1), address })
    };
    (0..args.routers).map(router).collect()
}

/// A port so far above one that an option gives.
pub(crate) fn port_above(port: u16, above: u16, option: &str) -> Result<u16, Failure> {
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

    fn plan(folder: &Path, more: &[&str]) -> Result<Layout, Failure> {
        Layout::plan(&args(folder, more))
    }

    fn written(folder: &Path, more: &[&str]) -> Layout {
        let layout = plan(folder, more).unwrap();
        layout.write().unwrap();
        layout
    }

    #[test]
    fn new_folder_gets_a_topology_with_successive_ports() {
        let folder = tempfile::tempdir().unwrap();
        let layout = written(folder.path(), &["--routers", "2"]);
        let members: Vec<_> = layout.members().map(|m| format!("{} {}", m.id, m.address)).collect();
        let expected = [
            "n1 127.0.0.1:7411",
            "n2 127.0.0.1:7412",
            "n3 127.0.0.1:7413",
            "r1 127.0.0.1:7400",
            "r2 127.0.0.1:7401",
        ];
        assert_eq!(members, expected);
        let text = fs::read_to_string(layout.cluster_file()).unwrap();
        assert!(text.contains("version = 1\nreplication_factor = 3\npartitions = 256\n"), "{text}");
    }

    #[test]
    fn plan_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        plan(&data, &[]).unwrap();
        assert!(!data.exists());
    }

    #[test]
    fn topology_of_a_folder_is_kept_and_options_that_it_contradicts_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), &["--nodes", "5", "--node-port", "22470"]);
        let same = ["--nodes", "5", "--node-port", "22470", "--replication-factor", "3"];
        for accepted in [&[][..], &same, &["--listen", "127.0.0.1:22400"]] {
            let layout = plan(folder.path(), accepted).unwrap();
            assert_eq!((layout.nodes.len(), layout.new_cluster_file), (5, None));
        }
        for (refused, held) in [
            (["--nodes", "3"], "5 node(s)"),
            (["--node-port", "22480"], "n1 listens on 127.0.0.1:22471"),
            (["--replication-factor", "5"], "replication_factor is 3"),
        ] {
            let message = plan(folder.path(), &refused).unwrap_err().to_string();
            for part in [held, &refused.join(" "), "cluster.toml", "another --data-dir"] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }

    #[test]
    fn host_names_and_ipv6_addresses_can_be_listened_on() {
        let folder = tempfile::tempdir().unwrap();
        for (listen, node) in [("localhost:7400", "localhost:7411"), ("[::1]:7400", "[::1]:7411")] {
            let layout = plan(folder.path(), &["--nodes", "1", "--listen", listen]).unwrap();
            assert_eq!(layout.routers[0].address.to_string(), listen);
            assert_eq!(layout.nodes[0].address.to_string(), node);
            assert!(layout.new_cluster_file.unwrap().contains("replication_factor = 1\n"));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(plan(folder.path(), &["--replication-factor", "4"]).is_err());
        assert!(plan(folder.path(), &["--node-port", "65534"]).is_err());
        let message = plan(folder.path(), &["--listen", "127.0.0.1:7412"]).unwrap_err().to_string();
        assert!(message.contains("node n2 and router r1 would both listen on 127.0.0.1:7412"), "{message}");
    }

    #[test]
    fn cluster_file_that_is_damaged_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cluster.toml"), "version = 1\nnodes = 3\n").unwrap();
        let message = plan(folder.path(), &[]).unwrap_err().to_string();
        assert!(message.contains("line 2"), "{message}");
    }
}
