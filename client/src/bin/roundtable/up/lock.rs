//! One `up` per folder.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use roundtable_common::files;

use crate::failure::Failure;

/// The folder is ours while this lives; the system takes the lock away when the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder, made if it is not there.
    pub(crate) fn take(folder: &Path) -> Result<Self, Failure> {
        files::make_private_directory(folder)
            .map_err(|error| Failure::io(format!("making {}", folder.display()), error))?;
        let path = folder.join("up.lock");
        let failed = |error| Failure::io(format!("locking {}", path.display()), error);
        let mut file = files::private_options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // The number is only for the message.
                let _unreadable = file.read_to_string(&mut owner);
                let owner = if owner.trim().is_empty() { "?" } else { owner.trim() };
                return Err(Failure::Other(format!(
                    "another `roundtable up` (process {owner}) already runs on {}; stop it, or choose another \
                     folder with --data-dir and other ports with --listen and --node-port",
                    folder.display()
                )));
            }
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_on_a_folder_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let message = Lock::take(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        drop(first);
        assert!(Lock::take(folder.path()).is_ok());
    }
}
