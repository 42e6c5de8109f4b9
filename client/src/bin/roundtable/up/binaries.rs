//! Where the programs of nodes and routers are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The programs of nodes and routers.
#[derive(Debug)]
pub(crate) struct Binaries {
    pub(crate) node: PathBuf,
    pub(crate) router: PathBuf,
}

impl Binaries {
    /// Finds both in this folder, or beside the running program.
    pub(crate) fn find(folder: Option<&Path>) -> Result<Self, Failure> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => beside_this_program()?,
        };
        Ok(Self { node: find(&folder, "roundtable-node")?, router: find(&folder, "roundtable-router")? })
    }
}

fn beside_this_program() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::io("finding this program", error))?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

fn find(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    let is_program = |found: std::fs::Metadata| found.is_file() && found.permissions().mode() & 0o111 != 0;
    let what = match std::fs::metadata(&path).map(is_program) {
        Ok(true) => {
            return std::path::absolute(&path).map_err(|error| Failure::io(format!("finding {name}"), error));
        }
        Ok(false) => "is no program",
        Err(_) => "is not there",
    };
    Err(Failure::Other(format!(
        "{} {what}; build it (`make build`), or name the folder that has it with --bin-dir",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_named_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        make("roundtable-node");
        let message = Binaries::find(Some(folder.path())).unwrap_err().to_string();
        assert!(message.contains("roundtable-router is not there; "), "{message}");
        std::fs::write(folder.path().join("roundtable-router"), "").unwrap();
        let message = Binaries::find(Some(folder.path())).unwrap_err().to_string();
        assert!(message.contains("is no program") && message.contains("--bin-dir"), "{message}");
        make("roundtable-router");
        assert!(Binaries::find(Some(folder.path())).unwrap().node.is_absolute());
    }
}
