//! `roundtable increment`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use roundtable_client::{IdempotencyKey, Increment};

use crate::connect::Connect;
use crate::duration;
use crate::failure::Failure;
use crate::json::KeyLine;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct IncrementArgs {
    /// The key of the counter; an absent one counts as 0
    key: OsString,

    /// How much to add; may be negative
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    by: i64,

    /// If this creates the counter, let it expire this long from now (ms, s, m, h, d)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    ttl: Option<Duration>,

    /// Repeat an operation that is in doubt under its old name: a UUIDv7 or a ULID
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,

    /// Print one JSON object with key, ETag and the counter's value
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connect: Connect,
}

pub(crate) async fn run(args: IncrementArgs) -> Result<(), Failure> {
    let key = output::bytes_of(&args.key);
    let mut increment = Increment::by(args.by);
    if let Some(ttl) = args.ttl {
        increment = increment.ttl(ttl);
    }
    if let Some(name) = args.idempotency_key {
        increment = increment.idempotency_key(name);
    }
    let counter = args.connect.client()?.increment(key, increment).await?;
    if args.json {
        let etag = Some(counter.etag.to_string());
        let line = KeyLine { etag, counter: Some(counter.value), ..KeyLine::of(key) };
        return output::print_line(&line.line());
    }
    output::print_line(&counter.value.to_string())
}
