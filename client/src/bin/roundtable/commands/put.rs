//! `roundtable put`.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use roundtable_client::{Condition, ETag, IdempotencyKey, Put};

use crate::connect::Connect;
use crate::duration;
use crate::failure::Failure;
use crate::json::KeyLine;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The key
    key: OsString,

    /// The value; "-", or neither this nor --file: standard input, read to its end
    value: Option<OsString>,

    /// Read the value from this file; "-" is standard input
    #[arg(long, value_name = "PATH", conflicts_with = "value")]
    file: Option<PathBuf>,

    /// Write only if the key stands at this ETag: compare-and-set
    #[arg(long, value_name = "ETAG", conflicts_with_all = ["create", "replace"])]
    if_match: Option<ETag>,

    /// Write only if the key does not exist
    #[arg(long, conflicts_with = "replace")]
    create: bool,

    /// Write only if the key exists
    #[arg(long)]
    replace: bool,

    /// Let the key expire this long from now (ms, s, m, h, d)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    ttl: Option<Duration>,

    /// Keep this content type with the value
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// Repeat an operation that is in doubt under its old name: a UUIDv7 or a ULID
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,

    /// Print one JSON object with key, ETag and whether the key is new
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connect: Connect,
}

pub(crate) async fn run(args: PutArgs) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let key = output::bytes_of(&args.key);
    let mut put = Put::new(value(args.value, args.file)?).condition(match args.if_match {
        Some(etag) => Condition::Matches(etag),
        None if args.create => Condition::Absent,
        None if args.replace => Condition::Present,
        None => Condition::Always,
    });
    if let Some(ttl) = args.ttl {
        put = put.ttl(ttl);
    }
    if let Some(content_type) = args.content_type {
        put = put.content_type(content_type);
    }
    if let Some(name) = args.idempotency_key {
        put = put.idempotency_key(name);
    }
    let written = client.put(key, put).await?;
    if args.json {
        let etag = Some(written.etag.to_string());
        let line = KeyLine { etag, created: Some(written.created), ..KeyLine::of(key) };
        return output::print_line(&line.line());
    }
    output::print_line(written.etag.as_str())
}

fn value(argument: Option<OsString>, file: Option<PathBuf>) -> Result<Bytes, Failure> {
    if let Some(argument) = argument.filter(|argument| argument != "-") {
        return Ok(argument.into_vec().into());
    }
    if let Some(path) = file.filter(|path| path.as_os_str() != "-") {
        let read = std::fs::read(&path);
        return read
            .map(Bytes::from)
            .map_err(|error| Failure::io(format!("reading {}", path.display()), error));
    }
    let mut value = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut value)
        .map_err(|error| Failure::io("reading standard input", error))?;
    Ok(value.into())
}
