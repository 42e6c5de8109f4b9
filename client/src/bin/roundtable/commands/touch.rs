//! `roundtable touch`.

use std::ffi::OsString;

use clap::Args;
use roundtable_client::{ETag, IdempotencyKey, Touch, Ttl};

use super::match_condition;
use crate::connect::Connect;
use crate::duration;
use crate::failure::Failure;
use crate::json::KeyLine;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct TouchArgs {
    /// The key
    key: OsString,

    /// How long the key lives from now on (ms, s, m, h, d), or "none" for ever
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_ttl)]
    ttl: Ttl,

    /// Renew only if the key stands at this ETag
    #[arg(long, value_name = "ETAG")]
    if_match: Option<ETag>,

    /// Repeat an operation that is in doubt under its old name: a UUIDv7 or a ULID
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,

    /// Print one JSON object with key and ETag
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connect: Connect,
}

pub(crate) async fn run(args: TouchArgs) -> Result<(), Failure> {
    let key = output::bytes_of(&args.key);
    let mut touch = Touch::new(args.ttl).condition(match_condition(args.if_match));
    if let Some(name) = args.idempotency_key {
        touch = touch.idempotency_key(name);
    }
    let etag = args.connect.client()?.touch(key, touch).await?;
    let etag = etag.ok_or_else(|| Failure::NotFound(output::display(key)))?;
    if args.json {
        let line = KeyLine { etag: Some(etag.to_string()), ..KeyLine::of(key) };
        return output::print_line(&line.line());
    }
    output::print_line(etag.as_str())
}
