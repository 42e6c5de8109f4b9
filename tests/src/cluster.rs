//! A cluster of real processes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::http::Http;
use crate::ports::{Port, free_port};
use crate::process::Process;

/// What a cluster consists of.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Storage nodes, called n1, n2, …
    pub nodes: usize,
    /// Routers, called r1, r2, …
    pub routers: usize,
    /// Environment variables of every node.
    pub node_env: Vec<(&'static str, String)>,
    /// Environment variables of every router.
    pub router_env: Vec<(&'static str, String)>,
}

impl Default for Layout {
    fn default() -> Self {
        Self { nodes: 3, routers: 1, node_env: Vec::new(), router_env: Vec::new() }
    }
}

/// Nodes and routers as child processes on ports of their own, with data in a temporary folder.
///
/// Dropping it kills them all; if the test fails it prints the ends of their logs first.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Process>,
    routers: Vec<Process>,
    folder: TempDir,
    ports: Vec<Port>,
}

impl Cluster {
    /// Three nodes and a router, ready.
    pub async fn start() -> Self {
        Self::start_with(Layout::default()).await
    }

    /// A cluster of another layout, ready.
    pub async fn start_with(layout: Layout) -> Self {
        let mut cluster = Self::prepare(&layout);
        cluster.start_all();
        cluster.ready().await;
        cluster
    }

    /// A cluster of which nothing runs yet.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn prepare(layout: &Layout) -> Self {
        let folder = TempDir::with_prefix("roundtable-test-").unwrap();
        let ports: Vec<Port> = (0..layout.nodes + layout.routers).map(|_| free_port()).collect();
        let (node_ports, router_ports) = ports.split_at(layout.nodes);
        let file = folder.path().join("cluster.toml");
        let addresses: Vec<String> = node_ports.iter().map(Port::address).collect();
        std::fs::write(&file, cluster_toml(&addresses)).unwrap();

        let mut nodes: Vec<Process> = (1..)
            .zip(&addresses)
            .map(|(number, address)| node(folder.path(), &format!("n{number}"), address))
            .collect();
        for (name, value) in &layout.node_env {
            nodes.iter_mut().for_each(|node| node.set_env(name, value));
        }
        let mut routers: Vec<Process> = (1..)
            .zip(router_ports)
            .map(|(number, port)| router(folder.path(), &file, &format!("r{number}"), &port.address()))
            .collect();
        for (name, value) in &layout.router_env {
            routers.iter_mut().for_each(|router| router.set_env(name, value));
        }
        Self { nodes, routers, folder, ports }
    }

    /// Starts every process that does not run.
    pub fn start_all(&mut self) {
        for process in self.nodes.iter_mut().chain(&mut self.routers) {
            if process.exited().is_some() {
                process.kill();
            }
            process.start();
        }
    }

    /// Waits until every process is ready.
    pub async fn ready(&mut self) {
        for process in self.nodes.iter_mut().chain(&mut self.routers) {
            process.ready().await;
        }
    }

    /// SIGKILL to every process, at once.
    pub fn kill_all(&mut self) {
        for process in self.nodes.iter().chain(&self.routers) {
            process.signal(rustix::process::Signal::KILL);
        }
        self.nodes.iter_mut().chain(&mut self.routers).for_each(Process::kill);
    }

    /// A node, counted from 1 as in its name.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node(&mut self, number: usize) -> &mut Process {
        self.nodes.get_mut(number - 1).unwrap()
    }

    /// A router's process, counted from 1.
    ///
    /// # Panics
    /// When there is no such router.
    pub fn router_process(&mut self, number: usize) -> &mut Process {
        self.routers.get_mut(number - 1).unwrap()
    }

    /// A client of a router, counted from 1.
    ///
    /// # Panics
    /// When there is no such router.
    #[must_use]
    pub fn router(&self, number: usize) -> Http {
        self.routers.get(number - 1).unwrap().http()
    }

    /// Adds a router that reads another `cluster.toml`; it is not started.
    pub fn add_router(&mut self, cluster_file: &Path) -> &mut Process {
        let port = free_port();
        let name = format!("r{}", self.routers.len() + 1);
        self.routers.push(router(self.folder.path(), cluster_file, &name, &port.address()));
        self.ports.push(port);
        self.routers.last_mut().unwrap()
    }

    /// The folder of the cluster's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The `cluster.toml` that its processes read.
    #[must_use]
    pub fn cluster_file(&self) -> PathBuf {
        self.folder.path().join("cluster.toml")
    }

    /// A node's data folder, counted from 1.
    #[must_use]
    pub fn data_dir(&self, number: usize) -> PathBuf {
        data_dir(self.folder.path(), &format!("n{number}"))
    }

    /// Where the nodes listen, in order.
    #[must_use]
    pub fn node_addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address().to_owned()).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.nodes.iter().chain(&self.routers).for_each(Process::print_log);
        }
    }
}

/// The text of a `cluster.toml` with nodes n1, n2, … at these addresses.
pub(crate) fn cluster_toml(addresses: &[String]) -> String {
    let mut text = String::from("version = 1\nreplication_factor = 3\npartitions = 64\n");
    for (number, address) in (1..).zip(addresses) {
        write!(text, "\n[[nodes]]\nid = \"n{number}\"\naddress = \"{address}\"\n").unwrap();
    }
    text
}

fn data_dir(folder: &Path, id: &str) -> PathBuf {
    folder.join(id)
}

fn node(folder: &Path, id: &str, address: &str) -> Process {
    let cluster_file = folder.join("cluster.toml");
    let flags = [
        ("--cluster", cluster_file.display().to_string()),
        ("--id", id.to_owned()),
        ("--data-dir", data_dir(folder, id).display().to_string()),
    ];
    process(folder, "roundtable-node", id, address, flags)
}

fn router(folder: &Path, cluster_file: &Path, name: &str, address: &str) -> Process {
    let flags = [("--cluster", cluster_file.display().to_string()), ("--listen", address.to_owned())];
    process(folder, "roundtable-router", name, address, flags)
}

fn process<const N: usize>(
    folder: &Path,
    program: &str,
    name: &str,
    address: &str,
    flags: [(&str, String); N],
) -> Process {
    let arguments = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
    Process::new(name, program, arguments, &folder.join(format!("{name}.log")), address)
}
