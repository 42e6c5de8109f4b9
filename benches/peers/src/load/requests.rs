//! HTTP requests made ahead, so that the load tool has nothing to do but send them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::case::System;
use crate::connection::{gateway_put, gateway_range, roundtable_path};
use crate::failure::{Doing as _, Failure};
use crate::workload::Workload;

/// The script that sends them.
const SCRIPT: &str = include_str!("wrk.lua");

/// The script and its requests, on disk.
#[derive(Debug)]
pub(crate) struct RequestFiles {
    pub(crate) script: PathBuf,
    pub(crate) writes: PathBuf,
    pub(crate) reads: PathBuf,
}

impl RequestFiles {
    /// Writes the script, a write and a read for each key.
    pub(crate) fn write(
        system: System,
        address: SocketAddr,
        workload: &Workload,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let path = |name| folder.join(name);
        let files = Self { script: path("wrk.lua"), writes: path("writes"), reads: path("reads") };
        let put = |number| write_request(system, address, number, &workload.value(number));
        let get = |number| read_request(system, address, number);
        std::fs::write(&files.script, SCRIPT)
            .and_then(|()| write_all(&files.writes, (0..workload.keys()).map(put)))
            .and_then(|()| write_all(&files.reads, (0..workload.keys()).map(get)))
            .doing(|| format!("writing requests into {}", folder.display()))?;
        Ok(files)
    }
}

fn write_all(path: &Path, requests: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for request in requests {
        writeln!(file, "{}", request.len())?;
        file.write_all(&request)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn write_request(system: System, address: SocketAddr, number: u32, value: &[u8]) -> Vec<u8> {
    let key = Workload::key(number);
    match system {
        System::EtcdHttp => {
            let (path, body) = gateway_put(&key, value);
            request("POST", path, address, body.as_bytes())
        }
        _ => request("PUT", &roundtable_path(&key), address, value),
    }
}

fn read_request(system: System, address: SocketAddr, number: u32) -> Vec<u8> {
    let key = Workload::key(number);
    match system {
        System::EtcdHttp => {
            let (path, body) = gateway_range(&key);
            request("POST", path, address, body.as_bytes())
        }
        _ => format!("GET {} HTTP/1.1\r\nHost: {address}\r\n\r\n", roundtable_path(&key)).into_bytes(),
    }
}

fn request(method: &str, path: &str, address: SocketAddr, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::loopback;

    #[test]
    fn requests_are_whole() {
        let text = |request| String::from_utf8(request).unwrap();
        let put = text(write_request(System::Roundtable, loopback(80), 7, b"abc"));
        assert_eq!(
            put,
            "PUT /v1/kv/bench/00000007 HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 3\r\n\r\nabc"
        );
        let get = text(read_request(System::Roundtable, loopback(80), 7));
        assert_eq!(get, "GET /v1/kv/bench/00000007 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n");
        let range = text(read_request(System::EtcdHttp, loopback(80), 7));
        assert!(range.starts_with("POST /v3/kv/range HTTP/1.1\r\n"), "{range}");
        assert!(
            range.ends_with("\r\nContent-Length: 30\r\n\r\n{\"key\":\"YmVuY2gvMDAwMDAwMDc=\"}"),
            "{range}"
        );
    }

    #[test]
    fn files_hold_a_request_for_each_key_behind_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let workload = Workload::new(2, 3);
        let files = RequestFiles::write(System::Roundtable, loopback(80), &workload, folder.path()).unwrap();
        let written = std::fs::read(&files.writes).unwrap();
        let first = write_request(System::Roundtable, loopback(80), 0, &workload.value(0));
        let second = write_request(System::Roundtable, loopback(80), 1, &workload.value(1));
        let expected = [
            format!("{}\n", first.len()).as_bytes(),
            &first,
            format!("\n{}\n", second.len()).as_bytes(),
            &second,
            b"\n",
        ]
        .concat();
        assert_eq!(written, expected);
    }
}
