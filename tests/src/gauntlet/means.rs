//! What this machine lets a run do to its processes.

use std::path::PathBuf;

use super::fault::Kind;
use super::network::Wires;
use super::{Gauntlet, Party};
use crate::disk::Disk;
use crate::faketime;

/// Far more than a run needs; only what is used takes memory.
const DISK_BYTES: u64 = 1 << 30;

/// The tools of a run, and what it must do without.
#[derive(Debug)]
pub(super) struct Means {
    /// A network namespace for each process.
    pub(super) wires: Option<Wires>,
    /// The disk of [`super::SMALL_DISK`].
    pub(super) disk: Option<Disk>,
    /// What makes clocks wrong.
    pub(super) clocks: Option<PathBuf>,
    /// Faults that cannot be played, and why.
    pub(super) skipped: Vec<(Kind, String)>,
}

impl Means {
    /// Takes what there is for these processes.
    pub(super) fn gather(gauntlet: &Gauntlet, parties: &[Party]) -> Self {
        let mut skipped = Vec::new();
        let wires = if gauntlet.namespaces {
            Wires::lay(parties).map_err(|error| format!("no network namespaces: {error}"))
        } else {
            Err("no network namespaces wanted".to_owned())
        };
        if let Err(why) = &wires {
            skipped.extend([Kind::Unplug, Kind::Drop, Kind::Narrow].map(|kind| (kind, why.clone())));
        }
        if wires.as_ref().is_ok_and(|wires| wires.discipline().is_none()) {
            skipped
                .push((Kind::Narrow, "this kernel can neither lose packets nor slow them down".to_owned()));
        }
        let disk = Disk::new(DISK_BYTES);
        if let Err(error) = &disk {
            skipped.push((Kind::FillDisk, format!("no disk of a node's own: {error}")));
        }
        let clocks = faketime::library();
        if clocks.is_none() {
            skipped.push((Kind::SkewClock, "libfaketime is not installed (make setup)".to_owned()));
        }
        Self { wires: wires.ok(), disk: disk.ok(), clocks, skipped }
    }

    /// What the network of the run consists of.
    pub(super) fn network(&self) -> String {
        match self.wires.as_ref().map(Wires::discipline) {
            Some(Some(discipline)) => format!("a namespace for each process; narrow cables: {discipline}"),
            Some(None) => "a namespace for each process".to_owned(),
            None => "loopback; what goes wrong is done by gates alone".to_owned(),
        }
    }

    /// The faults that can be played.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let is_skipped = |kind: &Kind| self.skipped.iter().any(|(skipped, _)| skipped == kind);
        Kind::ALL.into_iter().filter(|kind| !is_skipped(kind)).collect()
    }
}
