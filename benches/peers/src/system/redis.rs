//! Redis: a primary and two replicas, each with its append-only file synced at every write.

use std::path::Path;

use tempfile::TempDir;

use crate::connection::{CallError, RedisConnection};
use crate::failure::Failure;
use crate::ports::{free_block, loopback};
use crate::process::Processes;
use crate::system::{Cluster, make_folder, until_ready};

/// How many replicas beside the primary.
const REPLICAS: u16 = 2;

pub(crate) async fn start(folder: TempDir) -> Result<Cluster, Failure> {
    let primary = free_block(1 + REPLICAS)?;
    let mut processes = Processes::default();
    let mut servers = Vec::new();
    for number in 0..=REPLICAS {
        let name = format!("redis-{number}");
        let data_dir = make_folder(folder.path(), &format!("data-{number}"))?;
        let mut arguments: Vec<String> = [
            ("--port", (primary + number).to_string()),
            ("--bind", loopback(primary).ip().to_string()),
            ("--dir", data_dir.display().to_string()),
            ("--appendonly", "yes".to_owned()),
            ("--appendfsync", "always".to_owned()),
            // The append-only file is all that is needed; no snapshots come in between.
            ("--save", String::new()),
            ("--repl-diskless-sync-delay", "0".to_owned()),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect();
        if number > 0 {
            let address = loopback(primary);
            arguments.extend(["--replicaof".into(), address.ip().to_string(), address.port().to_string()]);
        }
        servers.push(processes.start(&name, Path::new("redis-server"), arguments, folder.path())?);
    }
    let address = loopback(primary);
    until_ready("Redis", &mut processes, async || {
        let info = RedisConnection::open(address).await?.info("replication").await?;
        let online = info.lines().filter(|line| line.contains("state=online")).count();
        if online < usize::from(REPLICAS) {
            return Err(CallError(format!("{online} replicas are online")));
        }
        Ok(())
    })
    .await?;
    for number in 0..=REPLICAS {
        let member = loopback(primary + number);
        until_ready("Redis's append-only file", &mut processes, async || {
            let info = RedisConnection::open(member).await?.info("persistence").await?;
            // Right after a full copy from the primary a replica rewrites its file first.
            let is_settled = |line: &str| info.lines().any(|found| found == line);
            match is_settled("aof_enabled:1") && is_settled("aof_rewrite_in_progress:0") {
                true => Ok(()),
                false => Err(CallError::of("it is not in use yet")),
            }
        })
        .await?;
    }
    Ok(Cluster { processes, servers, address, members: Vec::new(), _folder: folder })
}
