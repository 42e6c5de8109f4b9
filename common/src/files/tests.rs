use std::io::Read;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn new_file_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    replace(&path, b"secret").unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"secret".to_vec(), 0o600));
    assert_eq!(names(folder.path()), ["new"]);
}

#[test]
fn replaced_file_keeps_its_mode_and_its_place_until_the_new_one_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for kept in [0o600, 0o640, 0o644, 0o666] {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
        let mut replacement = Replacement::begin(&path).unwrap();
        assert!(!replacement.is_direct());
        replacement.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        replacement.commit().unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), kept));
    }
}

#[test]
fn dropped_replacement_leaves_the_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    Replacement::begin(&path).unwrap().write_all(b"half of").unwrap();
    drop(Replacement::begin(&folder.path().join("new")).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn owner_and_group_are_kept_where_the_system_permits_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    // Only the superuser can give files away; others test that it stays theirs.
    let given_away = std::os::unix::fs::chown(&path, Some(12_345), Some(12_346)).is_ok();
    replace(&path, b"new").unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!(mode(&path), 0o640);
    if given_away {
        assert_eq!((found.uid(), found.gid()), (12_345, 12_346));
    }
}

#[test]
fn symbolic_links_stay_and_their_targets_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (inner, target) = (folder.path().join("inner"), folder.path().join("inner/target"));
    fs::create_dir(&inner).unwrap();
    fs::write(&target, "old").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    symlink("inner/target", &near).unwrap();
    symlink(&near, &far).unwrap();
    replace(&far, b"new").unwrap();
    assert_eq!(fs::read_link(&far).unwrap(), near);
    assert_eq!(fs::read_link(&near).unwrap(), Path::new("inner/target"));
    assert_eq!((fs::read(&target).unwrap(), mode(&target)), (b"new".to_vec(), 0o640));
    assert_eq!(names(&inner), ["target"]);
}

#[test]
fn dangling_link_gets_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink("later", &link).unwrap();
    replace(&link, b"new").unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("later"));
    let target = folder.path().join("later");
    assert_eq!((fs::read(&target).unwrap(), mode(&target)), (b"new".to_vec(), 0o600));

    let nowhere = folder.path().join("nowhere");
    symlink("missing/file", &nowhere).unwrap();
    assert_eq!(replace(&nowhere, b"new").unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn links_in_a_circle_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    symlink(&one, &other).unwrap();
    symlink(&other, &one).unwrap();
    assert!(replace(&one, b"x").unwrap_err().to_string().contains("too many symbolic links"));
}

#[test]
fn pipe_is_written_to_and_stays_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    let mut replacement = Replacement::begin(&pipe).unwrap();
    assert!(replacement.is_direct());
    replacement.write_all(b"through the pipe").unwrap();
    replacement.commit().unwrap();
    assert_eq!(reader.join().unwrap(), b"through the pipe");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(names(folder.path()), ["pipe"]);
}

#[test]
fn device_is_written_to_and_stays_a_device() {
    replace(Path::new("/dev/null"), b"gone").unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn open_file_by_its_descriptor_is_appended_to() {
    use std::os::fd::AsRawFd;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"before ").unwrap();
    replace(Path::new(&format!("/dev/fd/{}", file.as_raw_fd())), b"after").unwrap();
    let mut text = String::new();
    io::Seek::rewind(&mut file).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "before after");
}

#[test]
fn directory_that_takes_no_file_is_named() {
    // Nobody can make a file there, not even the superuser.
    let message = replace(Path::new("/proc/file"), b"x").unwrap_err().to_string();
    assert!(message.contains("cannot make a file in /proc"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    // The superuser writes it all the same.
    if open_to_write(&path).is_err() {
        assert_eq!(replace(&path, b"new").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
        let message = replace(&path, b"new").unwrap_err().to_string();
        assert!(message.contains("cannot make a file in"), "{message}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}

#[test]
fn path_that_is_no_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/"), Path::new("")] {
        assert!(replace(path, b"x").is_err(), "{}", path.display());
    }
    let message = replace(&folder.path().join("missing/file"), b"x").unwrap_err();
    assert_eq!(message.kind(), io::ErrorKind::NotFound);
}

#[test]
fn name_of_the_greatest_length_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n".repeat(255));
    replace(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}
