//! Copies of a data directory as a crash leaves it, while a node works in it.

use std::fs;
use std::path::Path;

/// Copies a database that may be flushing or compacting.
///
/// What its list of files names is copied before the list, or after it if it is newer or was still being written.
pub fn copy_database(from: &Path, into: &Path) {
    fs::create_dir_all(into).unwrap();
    let is_data = |name: &str| name.ends_with(".sst") || name.ends_with(".blob");
    for wants_data in [true, false, true] {
        for entry in fs::read_dir(from).unwrap().flatten() {
            let target = into.join(entry.file_name());
            let bytes = |path: &Path| fs::metadata(path).map(|found| found.len()).ok();
            let is_wanted = is_data(&entry.file_name().to_string_lossy()) == wants_data;
            if is_wanted && bytes(&target) != bytes(&entry.path()) {
                // It may have been removed since the folder was listed.
                drop(fs::copy(entry.path(), target));
            }
        }
    }
}
