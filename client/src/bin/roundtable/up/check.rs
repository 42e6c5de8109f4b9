//! Lets the programs check their settings before anything is written or started.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::failure::Failure;
use crate::up::UpArgs;
use crate::up::binaries::Binaries;
use crate::up::child::Invocation;
use crate::up::layout::Layout;

/// How long a program may take.
const CHECK_MAX: Duration = Duration::from_secs(10);

/// Runs a node and a router with `--check`: the others differ from them in names and addresses alone.
pub(crate) async fn settings(args: &UpArgs, binaries: &Binaries, layout: &Layout) -> Result<(), Failure> {
    let failed = |error| Failure::io("writing a temporary file", error);
    let mut temporary = None;
    if let Some(text) = &layout.new_cluster_file {
        let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        temporary = Some(file.into_temp_path());
    }
    let written = layout.cluster_file();
    let cluster_file: &Path = temporary.as_deref().unwrap_or(&written);
    for member in layout.nodes.first().into_iter().chain(layout.routers.first()) {
        let invocation = Invocation::new(member, args, binaries, layout, cluster_file);
        check(&member.id, &invocation).await?;
    }
    Ok(())
}

async fn check(id: &str, invocation: &Invocation) -> Result<(), Failure> {
    let program = invocation.program.display();
    let running = Command::new(&invocation.program)
        .args(&invocation.arguments)
        .arg("--check")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(CHECK_MAX, running)
        .await
        .map_err(|_elapsed| Failure::Other(format!("{program} --check takes longer than {CHECK_MAX:?}")))?
        .map_err(|error| Failure::io(format!("starting {program}"), error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(Failure::Process(format!("{id} cannot start ({}):\n{}", output.status, said.trim_end())))
}
