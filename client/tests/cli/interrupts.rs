//! Commands that are ended by a signal.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use crate::support::{MemoryStore, command, must_end_with, names, signal, until};

const RECORDS: &[u8] = b"{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n";

#[test]
fn import_ended_by_a_signal_sums_up_what_it_did() {
    for (name, options) in [("INT", &["import"][..]), ("TERM", &["import", "--json"])] {
        let store = MemoryStore::start();
        let mut import = command(&store.with_router(options)).spawn().unwrap();
        let mut stdin = import.stdin.take().unwrap();
        stdin.write_all(RECORDS).unwrap();
        until("both records are stored", || store.len() == 2);
        // Answered, too: nothing is under way any more once the next was stored.
        signal(&import, name);
        let output = must_end_with(import.wait_with_output().unwrap(), 130);
        drop(stdin);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("interrupted: the file was not imported to its end"), "{said}");
        if options.contains(&"--json") {
            let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!((&summary["done"], &summary["unfinished"]), (&2.into(), &0.into()));
        } else {
            assert!(said.contains("imported 2 record(s)"), "{said}");
        }
    }
}

#[test]
fn import_ended_by_a_signal_says_what_is_in_doubt() {
    // A router that takes requests and answers none.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let router = format!("http://{}", listener.local_addr().unwrap());
    let mut import = command(&["import", "--router", &router]).spawn().unwrap();
    let mut stdin = import.stdin.take().unwrap();
    stdin.write_all(RECORDS).unwrap();
    let mut connections: Vec<_> = (0..2).map(|_| listener.accept().unwrap().0).collect();
    for connection in &mut connections {
        assert!(connection.read(&mut [0; 64]).unwrap() > 0);
    }
    signal(&import, "INT");
    let mut said = [0; 40];
    import.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    // A second one does not wait for the records that are under way.
    signal(&import, "INT");
    let output = must_end_with(import.wait_with_output().unwrap(), 130);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("imported 0 record(s)") && said.contains("2 in doubt, which were under way"),
        "{said}"
    );
}

#[test]
fn export_ended_by_a_signal_sums_up_and_leaves_the_file_as_it_was() {
    // A router whose listing stops after one key.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let router = format!("http://{}", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    std::fs::write(&file, "old").unwrap();
    let arguments = ["export", file.to_str().unwrap(), "--router", &router];
    let export = command(&arguments).spawn().unwrap();
    let (mut connection, _) = listener.accept().unwrap();
    assert!(connection.read(&mut [0; 64]).unwrap() > 0);
    let line = "{\"key\":\"a\",\"etag\":\"01\",\"value\":\"1\"}\n";
    let answer =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{line}\r\n", line.len());
    connection.write_all(answer.as_bytes()).unwrap();
    until("the new file has begun", || names(folder.path()).len() == 2);
    signal(&export, "INT");
    let output = must_end_with(export.wait_with_output().unwrap(), 130);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("exported ") && said.contains("interrupted: the export is not complete"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(names(folder.path()), ["backup"]);
}

#[test]
fn export_into_a_pipe_that_nobody_reads_ends_by_a_signal() {
    let store = MemoryStore::start();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let export = command(&store.with_router(&["export", pipe.to_str().unwrap()])).spawn().unwrap();
    let signals = format!("/proc/{}/status", export.id());
    until("it handles signals", || {
        let status = std::fs::read_to_string(&signals).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
        u64::from_str_radix(caught, 16).unwrap() & 0b10 != 0
    });
    signal(&export, "INT");
    must_end_with(export.wait_with_output().unwrap(), 130);
}
