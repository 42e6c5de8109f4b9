//! Files that commands write, whatever is at their path already.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{MemoryStore, command, finish, must_end_with, names};

/// What each command writes.
const LINE: &str = "{\"key\":\"k\",\"value\":\"new\"}\n";

/// Every command that writes a file: its arguments for a path, and the contents that the file gets.
fn writers(path: &Path) -> Vec<(Vec<String>, &'static str)> {
    let path = path.display().to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    vec![(words(&["export", &path]), LINE), (words(&["get", "k", "--file", &path]), "new")]
}

fn store() -> MemoryStore {
    let store = MemoryStore::start();
    must_end_with(store.run(&["put", "k", "new"], b""), 0);
    store
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn new_files_are_private_and_old_ones_keep_their_mode() {
    let store = store();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for (arguments, contents) in writers(&path) {
        for old_mode in [None, Some(0o600), Some(0o640), Some(0o666)] {
            if let Some(old_mode) = old_mode {
                fs::write(&path, "a longer text that was there before").unwrap();
                fs::set_permissions(&path, Permissions::from_mode(old_mode)).unwrap();
            }
            must_end_with(store.run(&arguments, b""), 0);
            assert_eq!(fs::read_to_string(&path).unwrap(), contents);
            assert_eq!(mode(&path), old_mode.unwrap_or(0o600), "{arguments:?}");
        }
        assert_eq!(names(folder.path()), ["file"]);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn links_stay_and_their_targets_are_written() {
    let store = store();
    for target_is_there in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        symlink("target", &link).unwrap();
        for (arguments, contents) in writers(&link) {
            if target_is_there {
                fs::write(&target, "old").unwrap();
            }
            must_end_with(store.run(&arguments, b""), 0);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "{arguments:?}");
            assert_eq!(fs::read_to_string(&target).unwrap(), contents);
            fs::remove_file(&target).unwrap();
        }
    }
}

#[test]
fn pipes_and_devices_are_written_to() {
    let store = store();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (arguments, contents) in writers(&pipe) {
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        must_end_with(store.run(&arguments, b""), 0);
        assert_eq!(reader.join().unwrap(), contents);
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    }
    for (arguments, contents) in writers(Path::new("/dev/stdout")) {
        assert_eq!(must_end_with(store.run(&arguments, b""), 0).stdout, contents.as_bytes());
        // Also where standard output is a file, after what is in it already.
        let mut file = tempfile::tempfile().unwrap();
        let mut shell = Command::new("sh");
        let script = "echo before; \"$@\"; echo after";
        shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_roundtable")]);
        shell.args(store.with_router(&arguments)).stdin(Stdio::piped()).stderr(Stdio::piped());
        must_end_with(finish(shell.stdout(file.try_clone().unwrap()).spawn().unwrap(), b""), 0);
        let mut written = String::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut written).unwrap();
        assert_eq!(written, format!("before\n{contents}after\n"));
    }
    for (arguments, _) in writers(Path::new("/dev/null")) {
        must_end_with(store.run(&arguments, b""), 0);
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
    for (arguments, _) in writers(Path::new("/dev/full")) {
        must_end_with(store.run(&arguments, b""), 1);
    }
}

#[test]
fn file_that_cannot_be_written_is_named_and_left_as_it_was() {
    let store = store();
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/proc/file"), &folder.path().join("missing/file")] {
        for (arguments, _) in writers(path) {
            let said = must_end_with(store.run(&arguments, b""), 1).stderr;
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(said.contains(&format!("writing {}: ", path.display())), "{said}");
        }
    }
    assert_eq!(names(folder.path()), [""; 0]);
    // An export that fails on the way.
    let path = folder.path().join("backup");
    fs::write(&path, "old").unwrap();
    let nobody = ["export", path.to_str().unwrap(), "--router", "http://127.0.0.1:1", "--timeout", "50ms"];
    must_end_with(finish(command(&nobody).spawn().unwrap(), b""), 5);
    assert_eq!(
        (fs::read_to_string(&path).unwrap().as_str(), names(folder.path())),
        ("old", vec!["backup".into()])
    );
}

#[test]
fn completions_are_written_whole_or_fail() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = command(&["completions", "bash"]).stdout(full).spawn().unwrap();
    must_end_with(finish(child, b""), 1);
}
