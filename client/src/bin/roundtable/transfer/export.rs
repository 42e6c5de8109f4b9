//! `roundtable export`.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use roundtable_client::{Client, Item, Listing, Scanner};

use crate::connect::Routers;
use crate::duration;
use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;
use crate::transfer::attributes::{self, Attributes};
use crate::transfer::format::{FormatArgs, Layout};
use crate::transfer::progress::Progress;
use crate::transfer::sink::Sink;
use crate::transfer::tally::Tally;
use crate::transfer::{Record, RecordError, ndjson};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file, put in place when it is complete (a pipe or a device is written to as it is); "-" is standard output
    #[arg(default_value = "-")]
    file: PathBuf,

    /// Only keys from this one on: a whole key, with the prefix
    #[arg(long, value_name = "KEY")]
    start: Option<OsString>,

    /// Only keys before this one: a whole key, with the prefix
    #[arg(long, value_name = "KEY")]
    end: Option<OsString>,

    /// Stop at the first key that cannot be written in this format; the file is then left as it was
    #[arg(long)]
    stop_on_error: bool,

    /// Print the summary as one JSON object, on standard error if the export goes to standard output
    #[arg(long)]
    json: bool,

    /// How long a broken stream is tried again before the export fails
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,

    #[command(flatten)]
    format: FormatArgs,

    #[command(flatten)]
    routers: Routers,
}

pub(crate) async fn run(args: ExportArgs) -> Result<(), Failure> {
    let client = args.routers.client(args.timeout)?;
    let mut signals = Signals::listen()?;
    let mut listing = Listing::new().values(true).prefix(args.format.key_prefix());
    if let Some(start) = args.start {
        listing = listing.start(start.into_vec());
    }
    if let Some(end) = args.end {
        listing = listing.end(end.into_vec());
    }
    let begun = Instant::now();
    let mut export = Export { tally: Tally::default(), bare: 0, stop_on_error: args.stop_on_error };
    let writing = async {
        let lines = Lines::prepare(&args.format, &client).await?;
        let sink = Sink::open(&args.file).await?;
        export.run(client.scan(listing), lines, sink).await
    };
    let ended = tokio::select! {
        ended = writing => ended,
        () = signals.next() => Err(Failure::Interrupted("interrupted: the export is not complete".to_owned())),
    };
    // Not of an export that failed before anything was written, nor of one whose reader went away.
    if matches!(ended, Ok(()) | Err(Failure::Interrupted(_))) {
        export.tally.seconds = begun.elapsed().as_secs_f64();
        let to_stdout = args.file.as_os_str() == "-";
        report(&export.tally, args.json, to_stdout)?;
    }
    if export.bare > 0 {
        output::note(&format!(
            "{} value(s) have a content type or an expiry, which this file does not carry; --attributes adds them",
            export.bare
        ));
    }
    ended?;
    match export.tally.failed {
        0 => Ok(()),
        failed => Err(Failure::Records { failed, total: export.tally.total() }),
    }
}

/// An export under way.
struct Export {
    tally: Tally,
    /// Records written without the content type or the expiry that they have.
    bare: u64,
    stop_on_error: bool,
}

impl Export {
    async fn run(&mut self, mut scanner: Scanner, mut lines: Lines, mut sink: Sink) -> Result<(), Failure> {
        let progress = Progress::new(None);
        while let Some(item) = scanner.next().await? {
            match lines.push(&item) {
                Ok(Pushed::Header) => {}
                Ok(Pushed::Record { is_bare }) => {
                    self.tally.count(item.value.as_ref().map_or(0, Bytes::len), Duration::ZERO);
                    self.bare += u64::from(is_bare);
                }
                Err(error) => {
                    self.tally.failed += 1;
                    progress.note(&format!("key {}: {error}", output::display(&item.key)));
                    if self.stop_on_error {
                        progress.finish();
                        return sink.leave_incomplete().await;
                    }
                }
            }
            sink.write(&lines.buffer).await?;
            lines.buffer.clear();
            progress.show(sink.bytes(), &self.tally);
        }
        // A header line alone is waiting still if there was no record.
        sink.write(&lines.buffer).await?;
        progress.finish();
        sink.finish().await
    }
}

fn report(tally: &Tally, json: bool, to_stdout: bool) -> Result<(), Failure> {
    if !json {
        output::note(&tally.summary("exported"));
        return Ok(());
    }
    let line = serde_json::to_string(tally).map_err(|error| Failure::Other(error.to_string()))?;
    if !to_stdout {
        return output::print_line(&line);
    }
    writeln!(io::stderr().lock(), "{line}").map_err(|error| Failure::io("writing to standard error", error))
}

/// Turns listed keys into lines of the file.
struct Lines {
    layout: Layout,
    key_prefix: Bytes,
    key_field: usize,
    buffer: Vec<u8>,
}

/// What an item became.
enum Pushed {
    /// Nothing: the header line, which is written already.
    Header,
    /// A line.
    Record {
        /// Without the content type or the expiry that it has.
        is_bare: bool,
    },
}

impl Lines {
    /// Fetches the header line, if the format has one, and begins with it.
    async fn prepare(format: &FormatArgs, client: &Client) -> Result<Self, Failure> {
        let layout = format.layout()?;
        let mut lines = Self { layout, key_prefix: format.key_prefix(), key_field: 1, buffer: Vec::new() };
        let Layout::Delimited { dialect, key_column, header_key, attributes } = &lines.layout else {
            return Ok(lines);
        };
        let header = match header_key {
            None => None,
            Some(key) => Some(stored_header(client, &[&lines.key_prefix[..], &key[..]].concat()).await?),
        };
        let no_column = || {
            Failure::Other("the stored header line has no column with the name of --key-column".to_owned())
        };
        lines.key_field = key_column.number(*dialect, header.as_deref()).ok_or_else(no_column)?;
        match header {
            Some(header) if *attributes => attributes::write_names(*dialect, &header, &mut lines.buffer)
                .map_err(|error| Failure::Other(error.to_string()))?,
            Some(header) => {
                lines.buffer.extend_from_slice(&header);
                lines.buffer.push(b'\n');
            }
            None => {}
        }
        Ok(lines)
    }

    /// Appends an item's line to the buffer.
    fn push(&mut self, item: &Item) -> Result<Pushed, RecordError> {
        let key = item.key.slice(self.key_prefix.len().min(item.key.len())..);
        let value = item.value.clone().ok_or(RecordError::NoValue)?;
        if key.is_empty() {
            return Err(RecordError::EmptyKey);
        }
        let (content_type, expires_at_ms) = (item.content_type.clone(), item.expires_at_ms);
        match &self.layout {
            Layout::Ndjson => {
                ndjson::write(&Record { key, value, content_type, expires_at_ms }, &mut self.buffer);
                Ok(Pushed::Record { is_bare: false })
            }
            Layout::Delimited { header_key: Some(header), .. } if *header == key => Ok(Pushed::Header),
            Layout::Delimited { dialect, attributes, .. } => {
                dialect.check(&key, &value, self.key_field)?;
                let has_attributes = content_type.is_some() || expires_at_ms.is_some();
                if *attributes {
                    let attributes = Attributes { content_type, expires_at_ms };
                    attributes::write(*dialect, &value, &attributes, &mut self.buffer)?;
                } else {
                    self.buffer.extend_from_slice(&value);
                    self.buffer.push(b'\n');
                }
                Ok(Pushed::Record { is_bare: has_attributes && !attributes })
            }
        }
    }
}

async fn stored_header(client: &Client, key: &[u8]) -> Result<Bytes, Failure> {
    let entry = client.get(key).await?.ok_or_else(|| {
        let key = output::display(key);
        Failure::Other(format!("no header line is stored at {key}; name its key with --header-key"))
    })?;
    Ok(entry.value)
}
