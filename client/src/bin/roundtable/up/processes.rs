//! `processes.json`: which processes run, for other tools.

use std::fs;
use std::io;
use std::path::Path;

use roundtable_common::files;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::up::layout::Layout;

/// One running process, as `processes.json` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessEntry {
    /// `node` or `router`.
    pub(crate) role: String,
    /// Its name, such as `n1` or `r1`.
    pub(crate) id: String,
    /// The system's number for it.
    pub(crate) pid: u32,
    /// Where it listens.
    pub(crate) address: String,
}

/// Puts the list in place, whole or not at all.
pub(crate) fn write(layout: &Layout, entries: &[ProcessEntry]) -> Result<(), Failure> {
    let path = layout.processes_file();
    let text = serde_json::to_string_pretty(entries).map_err(|error| Failure::Other(error.to_string()))?;
    files::replace(&path, (text + "\n").as_bytes())
        .map_err(|error| Failure::io(format!("writing {}", path.display()), error))
}

/// Takes the list away: nothing runs.
pub(crate) fn remove(layout: &Layout) -> Result<(), Failure> {
    let path = layout.processes_file();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io(format!("removing {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Reads a list.
pub(crate) fn read(path: &Path) -> Result<Vec<ProcessEntry>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("reading {}", path.display()), error))?;
    serde_json::from_str(&text).map_err(|error| Failure::Other(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_written_whole_read_back_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::empty(folder.path());
        let entry =
            ProcessEntry { role: "node".into(), id: "n1".into(), pid: 7, address: "127.0.0.1:7411".into() };
        write(&layout, std::slice::from_ref(&entry)).unwrap();
        assert_eq!(read(&layout.processes_file()).unwrap(), [entry]);
        remove(&layout).unwrap();
        remove(&layout).unwrap();
        assert!(read(&layout.processes_file()).is_err());
    }
}
