//! `roundtable list`.

use std::io::Write as _;

use clap::Args;
use roundtable_client::Item;

use super::range::RangeArgs;
use crate::connect::Connect;
use crate::failure::Failure;
use crate::json::KeyLine;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    range: RangeArgs,

    /// At most this many keys
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// From the last key to the first
    #[arg(long)]
    reverse: bool,

    /// Only how many keys there are
    #[arg(long, conflicts_with_all = ["limit", "reverse", "long", "null", "json"])]
    count: bool,

    /// ETag, size in bytes, time left to live, and the key
    #[arg(long, short, conflicts_with_all = ["json", "null"])]
    long: bool,

    /// End each key with a NUL byte instead of a line end
    #[arg(long, short = '0', conflicts_with = "json")]
    null: bool,

    /// One JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connect: Connect,
}

pub(crate) async fn run(args: ListArgs) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let range = args.range.listing();
    if args.count {
        return output::print_line(&client.count(&range).await?.to_string());
    }
    let mut scanner = client.scan(range.reverse(args.reverse));
    let mut out = output::buffered();
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(item) = scanner.next().await? else { break };
        let line = if args.json {
            json_line(&item).into_bytes()
        } else if args.long {
            long_line(&item).into_bytes()
        } else {
            item.key.to_vec()
        };
        let end = if args.null { b"\0" } else { b"\n" };
        out.write_all(&line)
            .and_then(|()| out.write_all(end))
            .map_err(|error| Failure::io("writing to standard output", error))?;
        left -= 1;
    }
    out.flush().map_err(|error| Failure::io("writing to standard output", error))
}

fn json_line(item: &Item) -> String {
    let etag = Some(item.etag.to_string());
    KeyLine { etag, expires: item.expires_at_ms, size: item.size, ..KeyLine::of(&item.key) }.line()
}

fn long_line(item: &Item) -> String {
    let size = item.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    let left = item.expires_at_ms.map_or_else(|| "-".to_owned(), output::time_left);
    format!("{}  {size:>10}  {left:>8}  {}", item.etag, item.key.escape_ascii())
}
