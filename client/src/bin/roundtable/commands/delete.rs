//! `roundtable delete`.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use roundtable_client::{Client, Delete, ETag, IdempotencyKey, Listing};

use super::match_condition;
use super::range::RangeArgs;
use crate::connect::Connect;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The key
    #[arg(required_unless_present_any = ["prefix", "start", "end", "tag"])]
    #[arg(conflicts_with_all = ["prefix", "start", "end", "tag", "yes"])]
    key: Option<OsString>,

    #[command(flatten)]
    range: RangeArgs,

    /// Delete the keys of a range without asking
    #[arg(long, short)]
    yes: bool,

    /// Delete only if the key stands at this ETag
    #[arg(long, value_name = "ETAG", conflicts_with_all = ["prefix", "start", "end", "tag"])]
    if_match: Option<ETag>,

    /// Repeat an operation that is in doubt under its old name: a UUIDv7 or a ULID
    #[arg(long, value_name = "KEY", conflicts_with_all = ["prefix", "start", "end", "tag"])]
    idempotency_key: Option<IdempotencyKey>,

    #[command(flatten)]
    connect: Connect,
}

pub(crate) async fn run(args: DeleteArgs) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let Some(key) = args.key else { return delete_range(&client, args.range.listing(), args.yes).await };
    let key = output::bytes_of(&key);
    let mut delete = Delete::new().condition(match_condition(args.if_match));
    if let Some(name) = args.idempotency_key {
        delete = delete.idempotency_key(name);
    }
    if client.delete_with(key, delete).await? { Ok(()) } else { Err(Failure::NotFound(output::display(key))) }
}

/// Deletes all keys of a range, after asking whoever sits at the terminal.
async fn delete_range(client: &Client, range: Listing, is_agreed: bool) -> Result<(), Failure> {
    if !is_agreed {
        if !std::io::stdin().is_terminal() {
            let text = "deleting many keys asks first, and standard input is not a terminal; --yes deletes without asking";
            return Err(Failure::Usage(text.to_owned()));
        }
        let keys = client.count(&range).await?;
        if !ask(&format!("delete {keys} keys? [y/N] "))? {
            return Err(Failure::Other("nothing was deleted".to_owned()));
        }
    }
    let mut deletion = client.delete_range(range);
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    while let Some(deleted) = deletion.next().await? {
        bar.set_position(deleted);
    }
    bar.finish_and_clear();
    output::note(&format!("{} keys deleted", deletion.deleted()));
    Ok(())
}

/// Asks on standard error; anything but `y` or `yes` is a no.
fn ask(question: &str) -> Result<bool, Failure> {
    let failed = |error| Failure::io("asking on the terminal", error);
    let mut terminal = std::io::stderr().lock();
    terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()).map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
