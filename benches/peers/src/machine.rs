//! The machine on which is measured.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use procfs::process::{MountInfo, Process};
use procfs::{CpuInfo, Current as _, LoadAverage, Meminfo};
use rustix::fs::{fdatasync, statfs};
use serde::{Deserialize, Serialize};

use crate::failure::{Doing as _, Failure};

/// Of `statfs(2)`: what lies there is gone with the power, and costs nothing to sync.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// How long the disk is tried.
const DISK_TRIAL: Duration = Duration::from_secs(1);

/// What is appended and synced in that trial.
const DISK_TRIAL_BYTES: usize = 1024;

/// What a reader needs to know to judge the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) distribution: String,
    pub(crate) kernel: String,
    pub(crate) disk: String,
    /// Appends of 1 KiB, each synced before the next.
    pub(crate) syncs_per_s: f64,
    /// The load average of the minute before the run.
    pub(crate) load_before: f32,
}

impl Machine {
    /// This one, with the disk under this folder.
    pub(crate) fn this(folder: &Path) -> Result<Self, Failure> {
        let looking = || "looking at the machine";
        let processors = CpuInfo::current().doing(looking)?;
        let memory = Meminfo::current().doing(looking)?;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").doing(looking)?;
        Ok(Self {
            processor: processors.model_name(0).unwrap_or("unknown").to_owned(),
            cores: processors.num_cores(),
            memory_gib: memory.mem_total as f64 / f64::from(1 << 30),
            distribution: distribution(),
            kernel: kernel.trim().to_owned(),
            disk: disk(folder)?,
            syncs_per_s: syncs_per_second(folder).doing(|| "trying the disk")?,
            load_before: LoadAverage::current().doing(looking)?.one,
        })
    }
}

/// An error if the folder lies in memory: nobody's syncs would cost anything.
pub(crate) fn refuse_memory(folder: &Path) -> Result<(), Failure> {
    let trying = || format!("looking at {}", folder.display());
    match statfs(folder).doing(trying)?.f_type {
        TMPFS_MAGIC => Err(Failure::new(trying(), "it lies in memory (tmpfs); choose a folder on a disk")),
        _ => Ok(()),
    }
}

fn distribution() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown distribution").trim_matches('"').to_owned()
}

/// The file system under the folder: the mount with the longest path above it.
fn disk(folder: &Path) -> Result<String, Failure> {
    let looking = || format!("finding the disk of {}", folder.display());
    let folder = folder.canonicalize().doing(looking)?;
    let mounts = Process::myself().and_then(|process| process.mountinfo()).doing(looking)?;
    let mount = mounts
        .into_iter()
        .filter(|mount| folder.starts_with(&mount.mount_point))
        .max_by_key(|mount| mount.mount_point.components().count());
    Ok(mount.map_or_else(|| "unknown".to_owned(), |mount| describe(&mount)))
}

fn describe(mount: &MountInfo) -> String {
    let device = mount.mount_source.as_deref().unwrap_or("unknown device");
    format!("{} on {device}", mount.fs_type)
}

fn syncs_per_second(folder: &Path) -> std::io::Result<f64> {
    let path = folder.join("disk-trial");
    let mut file = File::create(&path)?;
    let begun = Instant::now();
    let mut count = 0_u32;
    while begun.elapsed() < DISK_TRIAL {
        file.write_all(&[0x5a; DISK_TRIAL_BYTES])?;
        fdatasync(&file)?;
        count += 1;
    }
    let took = begun.elapsed();
    fs::remove_file(&path)?;
    Ok(f64::from(count) / took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_refused_as_a_disk() {
        let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { return };
        assert!(refuse_memory(folder.path()).unwrap_err().to_string().contains("tmpfs"));
    }

    #[test]
    fn machine_is_described() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::this(folder.path()).unwrap();
        assert!(machine.cores > 0 && machine.memory_gib > 0.1 && machine.syncs_per_s > 0.0, "{machine:?}");
        assert!(machine.disk.contains(" on "), "{machine:?}");
    }
}
