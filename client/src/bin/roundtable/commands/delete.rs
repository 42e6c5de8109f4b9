//! `roundtable delete`.

use std::ffi::OsString;

use clap::Args;
use roundtable_client::{Delete, ETag, IdempotencyKey};

use super::match_condition;
use crate::connect::Connect;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The key
    key: OsString,

    /// Delete only if the key stands at this ETag
    #[arg(long, value_name = "ETAG")]
    if_match: Option<ETag>,

    /// Repeat an operation that is in doubt under its old name: a UUIDv7 or a ULID
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,

    #[command(flatten)]
    connect: Connect,
}

pub(crate) async fn run(args: DeleteArgs) -> Result<(), Failure> {
    let key = output::bytes_of(&args.key);
    let mut delete = Delete::new().condition(match_condition(args.if_match));
    if let Some(name) = args.idempotency_key {
        delete = delete.idempotency_key(name);
    }
    if args.connect.client()?.delete_with(key, delete).await? {
        Ok(())
    } else {
        Err(Failure::NotFound(output::display(key)))
    }
}
