//! `roundtable where`.

use std::ffi::OsString;

use clap::Args;
use roundtable_client::{KeyPlace, ReplicaView};

use crate::connect::Connect;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct WhereArgs {
    /// The key
    key: OsString,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connect: Connect,
}

pub(crate) async fn run(args: WhereArgs) -> Result<(), Failure> {
    let place = args.connect.client()?.locate(output::bytes_of(&args.key)).await?;
    if args.json {
        return output::print_json(&place);
    }
    output::print(render(&place).as_bytes())
}

fn render(place: &KeyPlace) -> String {
    let header = ["NODE", "STATE", "BALLOT", "ETAG", "SIZE", "EXPIRES IN", "ERROR"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(place.replicas.iter().map(replica_row));
    format!("partition {}\n\n{}", place.partition, output::table(&rows))
}

fn replica_row(replica: &ReplicaView) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        replica.node.clone(),
        replica.state.clone(),
        or_dash(&replica.ballot),
        or_dash(&replica.etag),
        replica.size.map_or_else(|| "-".to_owned(), |size| size.to_string()),
        replica.expires.map_or_else(|| "-".to_owned(), output::time_left),
        replica.error.clone().unwrap_or_default(),
    ]
}
