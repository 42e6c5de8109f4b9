//! What of a journal is on the disk, and what a power cut would take: for tests.
//!
//! Every write and sync of the journals in a folder is noted: the bytes that are durable, and behind them, in their
//! order, the writes that are not. Before each of them the test may look: that is a moment at which power may fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// One file of a journal.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Recorded {
    /// What it holds for certain.
    pub(in super::super) durable: Vec<u8>,
    /// Where something else was written since, and what.
    pub(in super::super) pending: Vec<(usize, Vec<u8>)>,
}

/// The files of a journal by name.
pub(in super::super) type Files = BTreeMap<PathBuf, Recorded>;

type Look = Box<dyn FnMut(&Files) + Send>;

struct Recording {
    folder: PathBuf,
    files: Files,
    look: Look,
}

type Shared = Arc<Mutex<Recording>>;

static RECORDINGS: Mutex<Vec<(PathBuf, Shared)>> = Mutex::new(Vec::new());

/// A journal is recorded as long as this lives.
pub(in super::super) struct Recorder {
    folder: PathBuf,
    shared: Shared,
}

impl Recorder {
    /// Records the journal in `folder`. `look` is called with every write and sync, before it is made; a write that is
    /// about to be made is the last of those pending.
    pub(in super::super) fn start(folder: &Path, look: impl FnMut(&Files) + Send + 'static) -> Self {
        let folder = folder.to_owned();
        let recording = Recording { folder: folder.clone(), files: Files::new(), look: Box::new(look) };
        let shared = Arc::new(Mutex::new(recording));
        recordings(|all| all.push((folder.clone(), Arc::clone(&shared))));
        Self { folder, shared }
    }

    /// The files as they are now.
    pub(in super::super) fn files(&self) -> Files {
        let mut recording = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        recording.find_new();
        recording.files.clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        recordings(|all| all.retain(|(folder, _)| *folder != self.folder));
    }
}

fn recordings<T>(act: impl FnOnce(&mut Vec<(PathBuf, Shared)>) -> T) -> T {
    act(&mut RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Recording {
    /// Files that were made since: they are durable before they get their names.
    fn find_new(&mut self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_segment(path)).collect();
        self.files.retain(|path, _| paths.contains(path));
        for path in paths {
            if !self.files.contains_key(&path)
                && let Ok(durable) = fs::read(&path)
            {
                self.files.insert(path, Recorded { durable, pending: Vec::new() });
            }
        }
    }
}

impl Recorded {
    /// The first `count` of what is pending are durable.
    fn sync(&mut self, count: usize) {
        for (position, bytes) in self.pending.drain(..count) {
            self.durable[position..position + bytes.len()].copy_from_slice(&bytes);
        }
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "journal")
}

/// A file whose writes and syncs are noted, if somebody records its folder.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// Whether a write is durable when it returns.
    writes_durably: bool,
}

impl Watched {
    pub(super) fn new(path: &Path, writes_durably: bool) -> Self {
        Self { path: path.to_owned(), writes_durably }
    }

    pub(super) fn before_write(&self, bytes: &[u8], position: u64) {
        self.with(|recording| {
            recording.find_new();
            if let Some(file) = recording.files.get_mut(&self.path) {
                file.pending.push((usize::try_from(position).unwrap(), bytes.to_vec()));
            }
            (recording.look)(&recording.files);
        });
    }

    pub(super) fn after_write(&self) {
        if self.writes_durably {
            self.with(|recording| {
                if let Some(file) = recording.files.get_mut(&self.path) {
                    file.sync(file.pending.len());
                }
            });
        }
    }

    /// Returns how many pending writes the sync makes durable.
    pub(super) fn before_sync(&self) -> usize {
        let mut pending = 0;
        self.with(|recording| {
            recording.find_new();
            pending = recording.files.get(&self.path).map_or(0, |file| file.pending.len());
            (recording.look)(&recording.files);
        });
        pending
    }

    pub(super) fn after_sync(&self, pending: usize) {
        self.with(|recording| {
            if let Some(file) = recording.files.get_mut(&self.path) {
                // Another sync may have been faster.
                file.sync(pending.min(file.pending.len()));
            }
        });
    }

    fn with(&self, act: impl FnOnce(&mut Recording)) {
        let find = |all: &mut Vec<(PathBuf, Shared)>| {
            let found = all.iter().find(|(folder, _)| self.path.parent() == Some(folder))?;
            Some(Arc::clone(&found.1))
        };
        if is_segment(&self.path)
            && let Some(shared) = recordings(find)
        {
            act(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
