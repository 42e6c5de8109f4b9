//! Roundtable: three nodes and a router, as `roundtable up` starts them, with the configuration that ships.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use tempfile::TempDir;

use crate::connection::{CallError, HttpConnection};
use crate::failure::{Doing as _, Failure};
use crate::ports::{free_block, loopback};
use crate::process::Processes;
use crate::system::{Cluster, Places, until_ready};

/// The router, and the nodes on the ports above it.
const PORTS: u16 = 4;

/// What is read of an entry of `processes.json`.
#[derive(Deserialize)]
struct ProcessEntry {
    pid: u32,
}

pub(crate) async fn start(places: &Places, folder: TempDir) -> Result<Cluster, Failure> {
    let router = free_block(PORTS)?;
    let address = loopback(router);
    let data_dir = folder.path().join("data");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let arguments = [
        "up".to_owned(),
        "--nodes=3".to_owned(),
        format!("--listen={address}"),
        format!("--node-port={router}"),
        format!("--data-dir={}", text(&data_dir)),
        format!("--bin-dir={}", text(&places.bin_dir)),
        format!("--node-config={}", text(&places.config_dir.join("node.toml"))),
        format!("--router-config={}", text(&places.config_dir.join("router.toml"))),
    ];
    let mut processes = Processes::default();
    processes.start("up", &places.bin_dir.join("roundtable"), arguments, folder.path())?;
    until_ready("Roundtable", &mut processes, async || {
        let mut connection = HttpConnection::open(address).await?;
        connection.call(Method::GET, "/readyz", Bytes::new()).await
    })
    .await?;
    // `up` writes the list when it has seen the router ready itself.
    let list = data_dir.join("processes.json");
    let servers = until_ready("roundtable up", &mut processes, async || {
        let text = fs::read_to_string(&list).map_err(CallError::of)?;
        let entries: Vec<ProcessEntry> = serde_json::from_str(&text).map_err(CallError::of)?;
        Ok(entries.into_iter().map(|entry| entry.pid).collect::<Vec<u32>>())
    })
    .await?;
    if servers.len() != usize::from(PORTS) {
        return Err(Failure::new("reading processes.json", format!("{} processes", servers.len())));
    }
    processes.check().doing(|| "starting Roundtable")?;
    Ok(Cluster { processes, servers, address, members: Vec::new(), _folder: folder })
}
