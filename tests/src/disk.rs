//! A small disk that really fills up: a file system in memory that only this test sees.
//!
//! It is mounted nowhere. It lives as long as something is open in it, so nothing of it outlasts the test and the
//! processes that it started, however they end.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::fs::fstatvfs;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, fsconfig_create, fsconfig_reconfigure,
    fsconfig_set_string, fsmount, fsopen, fspick,
};

/// Attempts at filling it while others write.
const ATTEMPTS: usize = 100;

/// A disk of its own for one process.
#[derive(Debug)]
pub struct Disk {
    root: OwnedFd,
    bytes: u64,
}

impl Disk {
    /// An empty one of this size.
    ///
    /// # Errors
    /// When this machine, or what this process may do, does not allow it.
    pub fn new(bytes: u64) -> io::Result<Self> {
        let kind = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(kind.as_fd(), "size", bytes.to_string())?;
        fsconfig_create(kind.as_fd())?;
        let root = fsmount(kind.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        Ok(Self { root, bytes })
    }

    /// A folder on it, under which this and other processes find it.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}/data", std::process::id(), self.root.as_raw_fd()))
    }

    /// Takes all that is free: it has no byte left for anyone, as if another had written so much.
    ///
    /// # Errors
    /// When it cannot.
    pub fn fill(&self) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            let disk = fstatvfs(&self.root)?;
            let used = (disk.f_blocks - disk.f_bfree).saturating_mul(disk.f_frsize);
            match self.resize(used) {
                // Somebody has just written something.
                Err(Errno::INVAL) => {}
                ended => return Ok(ended?),
            }
        }
        Err(io::Error::other("others write faster than the disk can be filled"))
    }

    /// Gives back what was taken.
    ///
    /// # Errors
    /// When it cannot.
    pub fn relieve(&self) -> io::Result<()> {
        Ok(self.resize(self.bytes)?)
    }

    /// Bytes that nothing takes.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let disk = fstatvfs(&self.root)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn resize(&self, bytes: u64) -> rustix::io::Result<()> {
        let disk = fspick(&self.root, "", FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC)?;
        fsconfig_set_string(disk.as_fd(), "size", bytes.to_string())?;
        fsconfig_reconfigure(disk.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_until_it_is_relieved() {
        let disk = match Disk::new(1 << 20) {
            Ok(disk) => disk,
            Err(error) => return println!("skipped: no disk of its own: {error}"),
        };
        std::fs::create_dir(disk.folder()).unwrap();
        let mut file = File::create(disk.folder().join("file")).unwrap();
        file.write_all(b"before").unwrap();
        disk.fill().unwrap();
        assert_eq!(disk.free_bytes().unwrap(), 0);
        assert_eq!(file.write_all(&[1; 8192]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.relieve().unwrap();
        file.write_all(&[1; 8192]).unwrap();
    }
}
