//! The nodes of a local cluster: as options ask for them, and as a `cluster.toml` has them.

use std::fmt::Write as _;
use std::path::Path;

use roundtable_common::cluster_file::{Configuration, Member};
use roundtable_common::listen::HostPort;

use crate::failure::Failure;
use crate::up::UpArgs;
use crate::up::layout::port_above;

/// Nodes of a new cluster, and the most copies that it keeps of a key, unless options say otherwise.
const NODES_DEFAULT: u16 = 3;
/// Node 1 listens one port above this unless an option says otherwise.
const NODE_PORT_DEFAULT: u16 = 7410;

/// Who the nodes are, and how many of them hold each key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    /// Names and addresses.
    pub(crate) nodes: Vec<(String, HostPort)>,
    replication_factor: u16,
}

impl Topology {
    /// Of a new cluster with these options.
    ///
    /// # Errors
    /// When the numbers do not go together.
    pub(crate) fn of(args: &UpArgs) -> Result<Self, Failure> {
        let count = args.nodes.unwrap_or(NODES_DEFAULT);
        let replication_factor = args.replication_factor.unwrap_or(count.min(NODES_DEFAULT));
        if replication_factor == 0 || replication_factor > count {
            return Err(Failure::Usage(format!(
                "--replication-factor {replication_factor} does not fit {count} node(s): 1 to {count}"
            )));
        }
        let node = |number| {
            let port = port_above(args.node_port.unwrap_or(NODE_PORT_DEFAULT), number, "--node-port")?;
            Ok((format!("n{number}"), args.listen.with_port(port)))
        };
        let nodes = (1..=count).map(node).collect::<Result<_, Failure>>()?;
        Ok(Self { nodes, replication_factor })
    }

    /// As the text of a `cluster.toml`.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!(
            "# The cluster's nodes, written by `roundtable up` when it made this folder. They are fixed from the first start on.\n\
             version = 1\nreplication_factor = {}\npartitions = 256\n",
            self.replication_factor
        );
        for (id, address) in &self.nodes {
            // Writing to a string cannot fail.
            let _written = write!(text, "\n[[nodes]]\nid = \"{id}\"\naddress = \"{address}\"\n");
        }
        text
    }

    /// Refuses options that say otherwise than this, which `path` has: they would be ignored.
    pub(crate) fn check_against(&self, args: &UpArgs, path: &Path) -> Result<(), Failure> {
        let differs = |option: &str, wanted: u16, held: String| {
            Err(Failure::Usage(format!(
                "--{option} {wanted} is for a new folder: in this one {} says that {held}. Leave --{option} out, or \
                 choose another --data-dir for another cluster; `export` and `import` carry keys over",
                path.display()
            )))
        };
        let count = self.nodes.len();
        if let Some(wanted) = args.nodes.filter(|wanted| usize::from(*wanted) != count) {
            return differs("nodes", wanted, format!("there are {count} node(s)"));
        }
        let factor = self.replication_factor;
        if let Some(wanted) = args.replication_factor.filter(|wanted| *wanted != factor) {
            return differs("replication-factor", wanted, format!("replication_factor is {factor}"));
        }
        let Some(wanted) = args.node_port else { return Ok(()) };
        let is_elsewhere = |(id, address): &&(String, HostPort)| {
            let number = id.strip_prefix('n').and_then(|number| number.parse::<u16>().ok());
            number.and_then(|number| wanted.checked_add(number)) != Some(address.port())
        };
        match self.nodes.iter().find(is_elsewhere) {
            Some((id, address)) => differs("node-port", wanted, format!("{id} listens on {address}")),
            None => Ok(()),
        }
    }
}

impl From<Configuration> for Topology {
    fn from(file: Configuration) -> Self {
        let node = |member: Member| {
            // The file's reader has checked the address.
            Some((member.id.to_string(), member.address.parse().ok()?))
        };
        Self {
            nodes: file.nodes.into_iter().filter_map(node).collect(),
            replication_factor: file.replication_factor.into(),
        }
    }
}
