//! `wrk` as the load tool.

use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use crate::case::Case;
use crate::load::requests::RequestFiles;

/// An answer that takes longer counts as an error, in seconds. As long as `WAIT` waits in the driver of Redis.
const TIMEOUT_S: u32 = 10;

/// The command that puts this load on the system for so many seconds.
pub(crate) fn command(
    address: SocketAddr,
    case: &Case,
    threads: u32,
    seconds: u32,
    requests: &RequestFiles,
    draws: &Path,
) -> Command {
    let put_every = case.operation.put_every();
    let mut command = Command::new("wrk");
    command
        .arg(format!("--threads={threads}"))
        .arg(format!("--connections={}", case.connections))
        .arg(format!("--duration={seconds}s"))
        .arg(format!("--timeout={TIMEOUT_S}s"))
        .arg("--latency")
        .arg("--script")
        .arg(&requests.script)
        .arg(format!("http://{address}"))
        .arg("--")
        // What is not sent is not loaded.
        .arg(if put_every == 0 { Path::new("-") } else { &requests.writes })
        .arg(if put_every == 1 { Path::new("-") } else { &requests.reads })
        .arg(draws)
        .arg(put_every.to_string());
    command
}
