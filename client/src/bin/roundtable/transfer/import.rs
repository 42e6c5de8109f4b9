//! `roundtable import`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use roundtable_client::Ttl;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::connect::Routers;
use crate::duration;
use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;
use crate::transfer::format::FormatArgs;
use crate::transfer::progress::Progress;
use crate::transfer::reader::{Entry, Located, ReadError, RecordReader};
use crate::transfer::storing::{Done, Storing};
use crate::transfer::tally::Tally;

/// Records read ahead of the calls.
const READ_AHEAD: usize = 256;

/// How long records that are under way may take to end once a signal came.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file; "-" is standard input
    #[arg(default_value = "-")]
    file: PathBuf,

    /// How many records are under way at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,

    /// Leave keys that exist as they are, and count them as failed
    #[arg(long)]
    create: bool,

    /// Let every key expire this long from its import (ms, s, m, h, d), or never ("none"), whatever the file says
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_ttl)]
    ttl: Option<Ttl>,

    /// Keep this content type with every value, whatever the file says
    #[arg(long, value_name = "TYPE")]
    content_type: Option<OsString>,

    /// Stop at the first record that fails; those under way are finished
    #[arg(long)]
    stop_on_error: bool,

    /// Print the summary as one JSON object on standard output
    #[arg(long)]
    json: bool,

    /// How long each record is tried again under its idempotency key before it counts as failed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,

    #[command(flatten)]
    format: FormatArgs,

    #[command(flatten)]
    routers: Routers,
}

pub(crate) async fn run(args: ImportArgs) -> Result<(), Failure> {
    let layout = args.format.layout()?;
    let (input, bytes_total) = open(&args.file)?;
    let reader = RecordReader::new(input, layout);
    let storing = Storing {
        client: args.routers.client(args.timeout)?,
        key_prefix: args.format.key_prefix(),
        create: args.create,
        ttl: args.ttl,
        content_type: args.content_type.map(|text| text.into_vec().into()),
    };
    // Only from here on: until then Ctrl-C has nothing to sum up.
    let mut signals = Signals::listen()?;
    let mut import = Import {
        storing: Arc::new(storing),
        concurrency: usize::from(args.concurrency),
        stop_on_error: args.stop_on_error,
        progress: Progress::new(bytes_total),
        tally: Tally::default(),
        under_way: JoinSet::new(),
        busy: HashSet::new(),
        out_of_reach: 0,
        bytes_done: 0,
    };
    let begun = Instant::now();
    let (read, interrupted) = tokio::select! {
        read = import.run(reader) => (read, false),
        () = signals.next() => (Ok(()), true),
    };
    if interrupted {
        import.end_early(&mut signals).await;
    }
    if import.out_of_reach >= import.concurrency {
        import.progress.note("the cluster is out of reach: stopped; start the import again later");
    }
    import.tally.seconds = begun.elapsed().as_secs_f64();
    import.progress.finish();
    if args.json || read.is_ok() || import.tally.total() > 0 {
        report(&import.tally, args.json)?;
    }
    let file =
        if args.file.as_os_str() == "-" { "standard input".into() } else { args.file.display().to_string() };
    read.map_err(|error| match error {
        ReadError::Io(error) => Failure::io(format!("reading {file}"), error),
        error => Failure::Other(format!("{file}: {error}")),
    })?;
    if interrupted {
        return Err(Failure::Interrupted(
            "interrupted: the file was not imported to its end; the same import can be started again"
                .to_owned(),
        ));
    }
    match import.tally.failed {
        0 => Ok(()),
        failed => Err(Failure::Records { failed, total: import.tally.total() }),
    }
}

fn report(tally: &Tally, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(tally);
    }
    output::note(&tally.summary("imported"));
    Ok(())
}

fn open(path: &Path) -> Result<(Box<dyn BufRead + Send>, Option<u64>), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(BufReader::new(std::io::stdin())), None));
    }
    let failed = |error| Failure::io(format!("opening {}", path.display()), error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let bytes_total = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(BufReader::with_capacity(1 << 16, file)), bytes_total))
}

/// An import under way. Records run side by side, except that two with the same key keep the order of the file.
struct Import {
    storing: Arc<Storing>,
    concurrency: usize,
    stop_on_error: bool,
    progress: Progress,
    tally: Tally,
    under_way: JoinSet<Done>,
    busy: HashSet<Bytes>,
    /// How many calls ran into their timeout since one succeeded.
    out_of_reach: usize,
    bytes_done: u64,
}

impl Import {
    async fn run(&mut self, mut reader: RecordReader<Box<dyn BufRead + Send>>) -> Result<(), ReadError> {
        let (sender, mut entries) = mpsc::channel(READ_AHEAD);
        // A pipe may block for ever: a thread that nobody waits for reads it, as far ahead as the channel allows.
        std::thread::spawn(move || {
            while let Some(next) = reader.next().transpose() {
                let failed = next.is_err();
                if sender.blocking_send(next).is_err() || failed {
                    break;
                }
            }
        });
        let mut read = Ok(());
        while let Some(next) = entries.recv().await {
            match next {
                Ok(located) => self.take(located).await,
                Err(error) => read = Err(error),
            }
            if self.stops() {
                break;
            }
        }
        while self.finish_one().await {}
        read
    }

    /// Lets the records that are under way end, unless that takes too long or a further signal comes.
    async fn end_early(&mut self, signals: &mut Signals) {
        if !self.under_way.is_empty() {
            self.progress
                .note("interrupted: ending the records that are under way; Ctrl-C again stops at once");
        }
        tokio::select! {
            () = async { while self.finish_one().await {} } => {}
            () = signals.next() => {}
            () = tokio::time::sleep(GRACE) => {}
        }
        self.tally.unfinished = u64::try_from(self.under_way.len()).unwrap_or(u64::MAX);
    }

    async fn take(&mut self, located: Located) {
        let Located { line, offset, entry } = located;
        match entry {
            Entry::Blank => self.tally.skipped += 1,
            Entry::Record(Err(error)) => {
                let place = error.column().map_or(String::new(), |column| format!(", column {column}"));
                self.failed(&format!("line {line}{place}"), None, &error.to_string());
            }
            Entry::Record(Ok(record)) => {
                while self.under_way.len() >= self.concurrency || self.busy.contains(&record.key) {
                    self.finish_one().await;
                }
                if self.stops() {
                    return;
                }
                self.busy.insert(record.key.clone());
                let storing = Arc::clone(&self.storing);
                self.under_way.spawn(async move { storing.store(line, offset, record).await });
            }
        }
    }

    /// Waits for one record. Whether there was one under way.
    async fn finish_one(&mut self) -> bool {
        let done = match self.under_way.join_next().await {
            None => return false,
            Some(Ok(done)) => done,
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        };
        self.busy.remove(&done.key);
        self.bytes_done = self.bytes_done.max(done.offset);
        match done.result {
            Ok(true) => {
                self.out_of_reach = 0;
                self.tally.count(done.value_bytes, done.took);
            }
            Ok(false) => self.tally.skipped += 1,
            Err(error) => {
                self.out_of_reach += usize::from(error.is_retryable());
                self.failed(&format!("line {}", done.line), Some(&done.key), &error.to_string());
            }
        }
        self.progress.show(self.bytes_done, &self.tally);
        true
    }

    /// Whether no further record is begun: one failed and that was to be the end, or the cluster was out of reach for
    /// a whole timeout.
    fn stops(&self) -> bool {
        (self.stop_on_error && self.tally.failed > 0) || self.out_of_reach >= self.concurrency
    }

    fn failed(&mut self, place: &str, key: Option<&[u8]>, why: &str) {
        self.tally.failed += 1;
        let key = key.map_or_else(String::new, |key| format!(" key {}:", output::display(key)));
        self.progress.note(&format!("{place}:{key} {why}"));
    }
}
