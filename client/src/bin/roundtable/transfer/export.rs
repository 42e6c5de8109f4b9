//! `roundtable export`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use roundtable_client::{Client, Item, Listing, Scanner};

use crate::connect::Routers;
use crate::duration;
use crate::failure::Failure;
use crate::output;
use crate::transfer::format::{FormatArgs, Layout};
use crate::transfer::progress::Progress;
use crate::transfer::tally::Tally;
use crate::transfer::{Record, RecordError, ndjson};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file, put in place when it is complete; "-" is standard output
    #[arg(default_value = "-")]
    file: PathBuf,

    #[command(flatten)]
    format: FormatArgs,

    /// Only keys from this one on, prefix included
    #[arg(long, value_name = "KEY")]
    start: Option<String>,

    /// Only keys before this one, prefix included
    #[arg(long, value_name = "KEY")]
    end: Option<String>,

    /// Stop at the first key that cannot be written in this format
    #[arg(long)]
    stop_on_error: bool,

    /// Print the summary as one JSON object, on standard error if the export goes to standard output
    #[arg(long)]
    json: bool,

    /// How long a broken stream is tried again before the export fails
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,

    #[command(flatten)]
    routers: Routers,
}

pub(crate) async fn run(args: ExportArgs) -> Result<(), Failure> {
    let client = args.routers.client(args.timeout)?;
    let lines = Lines::prepare(&args.format, &client).await?;
    let mut listing = Listing::new().values(true).prefix(args.format.key_prefix.clone());
    if let Some(start) = &args.start {
        listing = listing.start(start.clone());
    }
    if let Some(end) = &args.end {
        listing = listing.end(end.clone());
    }
    let mut sink = Sink::open(&args.file)?;
    let begun = Instant::now();
    let mut tally = write_all(client.scan(listing), lines, &mut sink, args.stop_on_error).await?;
    tally.seconds = begun.elapsed().as_secs_f64();
    let to_stdout = sink.partial.is_none();
    sink.finish(&args.file)?;
    report(&tally, args.json, to_stdout)?;
    match tally.failed {
        0 => Ok(()),
        failed => Err(Failure::Records { failed, total: tally.total() }),
    }
}

async fn write_all(
    mut scanner: Scanner,
    mut lines: Lines,
    sink: &mut Sink,
    stop_on_error: bool,
) -> Result<Tally, Failure> {
    let progress = Progress::new(None);
    let mut tally = Tally::default();
    while let Some(item) = scanner.next().await? {
        match lines.push(&item) {
            Ok(false) => {}
            Ok(true) => tally.count(item.value.as_ref().map_or(0, Bytes::len), Duration::ZERO),
            Err(error) => {
                tally.failed += 1;
                progress.note(&format!("key {}: {error}", output::display(&item.key)));
                if stop_on_error {
                    break;
                }
            }
        }
        sink.write(&lines.buffer)?;
        lines.buffer.clear();
        progress.show(sink.bytes, &tally);
    }
    // A header line alone is waiting still if there was no record.
    sink.write(&lines.buffer)?;
    progress.finish();
    Ok(tally)
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

impl Lines {
    /// Fetches the header line, if the format has one, and begins with it.
    async fn prepare(format: &FormatArgs, client: &Client) -> Result<Self, Failure> {
        let layout = format.layout()?;
        let mut lines =
            Self { layout, key_prefix: format.key_prefix.clone().into(), key_field: 1, buffer: Vec::new() };
        let Layout::Delimited { dialect, key_column, header_key } = &lines.layout else { return Ok(lines) };
        let header = match header_key {
            None => None,
            Some(key) => {
                let key = [&lines.key_prefix[..], key.as_bytes()].concat();
                let entry = client.get(&key).await?.ok_or_else(|| {
                    let key = output::display(&key);
                    Failure::Other(format!(
                        "no header line is stored at {key}; name its key with --header-key"
                    ))
                })?;
                Some(entry.value)
            }
        };
        let no_column = || {
            Failure::Other("the stored header line has no column with the name of --key-column".to_owned())
        };
        lines.key_field = key_column.number(*dialect, header.as_deref()).ok_or_else(no_column)?;
        if let Some(header) = header {
            lines.buffer.extend_from_slice(&header);
            lines.buffer.push(b'\n');
        }
        Ok(lines)
    }

    /// Appends an item's line to the buffer. Whether it is a record: the header line is none.
    fn push(&mut self, item: &Item) -> Result<bool, RecordError> {
        let key = item.key.slice(self.key_prefix.len().min(item.key.len())..);
        let value = item.value.clone().ok_or(RecordError::NoValue)?;
        if key.is_empty() {
            return Err(RecordError::EmptyKey);
        }
        match &self.layout {
            Layout::Ndjson => {
                ndjson::write(&Record { key, value, expires_at_ms: item.expires_at_ms }, &mut self.buffer);
            }
            Layout::Delimited { header_key: Some(header), .. } if header.as_bytes() == key => {
                return Ok(false);
            }
            Layout::Delimited { dialect, .. } => {
                dialect.check(&key, &value, self.key_field)?;
                self.buffer.extend_from_slice(&value);
                self.buffer.push(b'\n');
            }
        }
        Ok(true)
    }
}

/// Where the export goes: a file beside the one asked for until it is complete, or standard output.
struct Sink {
    out: BufWriter<Box<dyn Write>>,
    partial: Option<PathBuf>,
    bytes: u64,
}

impl Sink {
    fn open(path: &Path) -> Result<Self, Failure> {
        let (out, partial): (Box<dyn Write>, _) = if path.as_os_str() == "-" {
            (Box::new(io::stdout()), None)
        } else {
            let mut name = path.as_os_str().to_owned();
            name.push(".partial");
            let partial = PathBuf::from(name);
            let file = File::create(&partial)
                .map_err(|error| Failure::io(format!("creating {}", partial.display()), error))?;
            (Box::new(file), Some(partial))
        };
        Ok(Self { out: BufWriter::with_capacity(1 << 16, out), partial, bytes: 0 })
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.bytes += u64::try_from(line.len()).unwrap_or(0);
        self.out.write_all(line).map_err(|error| Failure::io("writing the export", error))
    }

    fn finish(mut self, path: &Path) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::io("writing the export", error))?;
        match &self.partial {
            None => Ok(()),
            Some(partial) => fs::rename(partial, path)
                .map_err(|error| Failure::io(format!("putting {} in place", path.display()), error)),
        }
    }
}
