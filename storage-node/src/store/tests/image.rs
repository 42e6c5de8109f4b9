//! A data directory as a power cut leaves it.
//!
//! The database's files are taken as they are: RocksDB syncs what its list of files names before it names it. Of the
//! journal that is taken which was synced, and of what was written since anything: nothing, all, or any of its pieces.

use std::fs;
use std::path::Path;

use roundtable_consensus::Rng;
use roundtable_tests::copy_database;

use super::super::journal::recorder::{Files, Recorded};

/// What is there of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survives {
    /// Nothing.
    Nothing,
    /// All: the process alone was killed.
    Everything,
    /// Pieces of this many bytes, each by chance.
    Pieces(usize),
}

/// Makes the image in `into`. The database is copied first: of the journal there may be what came later, not less.
pub(super) fn make(from: &Path, journal: &Files, survives: Survives, rng: &mut Rng, into: &Path) {
    copy_database(&from.join("db"), &into.join("db"));
    let identity = from.join("IDENTITY");
    if identity.exists() {
        fs::copy(identity, into.join("IDENTITY")).unwrap();
    }
    fs::create_dir_all(into.join("journal")).unwrap();
    for (path, recorded) in journal {
        let bytes = remains(recorded, survives, rng);
        fs::write(into.join("journal").join(path.file_name().unwrap()), bytes).unwrap();
    }
}

fn remains(recorded: &Recorded, survives: Survives, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = recorded.durable.clone();
    for (position, written) in &recorded.pending {
        let piece_bytes = if let Survives::Pieces(bytes) = survives { bytes } else { written.len() };
        let places = (*position..).step_by(piece_bytes);
        for (at, piece) in places.zip(written.chunks(piece_bytes)) {
            let is_there = match survives {
                Survives::Nothing => false,
                Survives::Everything => true,
                Survives::Pieces(_) => rng.up_to(1) == 1,
            };
            if is_there {
                bytes[at..at + piece.len()].copy_from_slice(piece);
            }
        }
    }
    bytes
}
