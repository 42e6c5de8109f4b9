//! Where the programs of nodes and routers are.

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
    if path.is_file() {
        return std::path::absolute(&path).map_err(|error| Failure::io(format!("finding {name}"), error));
    }
    Err(Failure::Other(format!(
        "there is no {name} in {}; build it (`make build`), or name the folder that has it with --bin-dir",
        folder.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_named_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("roundtable-node"), "").unwrap();
        let message = Binaries::find(Some(folder.path())).unwrap_err().to_string();
        assert!(message.contains("roundtable-router") && message.contains("--bin-dir"), "{message}");
        std::fs::write(folder.path().join("roundtable-router"), "").unwrap();
        assert!(Binaries::find(Some(folder.path())).unwrap().node.is_absolute());
    }
}
