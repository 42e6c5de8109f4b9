//! `roundtable get`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use roundtable_client::Consistency;
use roundtable_common::files;

use crate::connect::Connect;
use crate::failure::Failure;
use crate::json::KeyLine;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The key
    key: OsString,

    /// Write the value to this file rather than to standard output, whole or not at all; "-" is standard output
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Print one JSON object with key, ETag, content type, expiry and value
    #[arg(long, conflicts_with = "file")]
    json: bool,

    /// Ask any one replica; the answer may be stale
    #[arg(long)]
    eventual: bool,

    #[command(flatten)]
    connect: Connect,
}

pub(crate) async fn run(args: GetArgs) -> Result<(), Failure> {
    let key = output::bytes_of(&args.key);
    let consistency = if args.eventual { Consistency::Eventual } else { Consistency::Linearizable };
    let entry = args.connect.client()?.get_with(key, consistency).await?;
    let entry = entry.ok_or_else(|| Failure::NotFound(output::display(key)))?;
    if args.json {
        let line = KeyLine {
            etag: Some(entry.etag.to_string()),
            content_type: Some(&entry.content_type),
            expires: entry.expires_at_ms,
            size: u64::try_from(entry.value.len()).ok(),
            ..KeyLine::of(key)
        };
        return output::print_line(&line.value(&entry.value).line());
    }
    match args.file.filter(|path| path.as_os_str() != "-") {
        None => output::print(&entry.value),
        Some(path) => tokio::task::spawn_blocking(move || {
            files::replace(&path, &entry.value)
                .map_err(|error| Failure::io(format!("writing {}", path.display()), error))
        })
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())),
    }
}
