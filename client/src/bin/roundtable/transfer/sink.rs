//! Where an export goes.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use roundtable_common::files::Replacement;
use tokio::io::{AsyncWriteExt as _, BufWriter};

use crate::failure::Failure;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 16;

/// A file that is put in place when it is complete, or a pipe, a device or standard output, which is written to as the
/// export goes on. Writing runs on a thread of its own: a pipe that nobody reads keeps no signal waiting.
#[derive(Debug)]
pub(crate) struct Sink {
    out: BufWriter<tokio::fs::File>,
    path: PathBuf,
    /// `None` for standard output.
    replacement: Option<Replacement>,
    bytes: u64,
}

impl Sink {
    /// Opens what the export goes to; `-` is standard output.
    pub(crate) async fn open(path: &Path) -> Result<Self, Failure> {
        let path = path.to_owned();
        let opened = blocking(move || {
            if path.as_os_str() == "-" {
                let file = io::stdout().as_fd().try_clone_to_owned().map(File::from);
                return file
                    .map(|file| (file, None, "standard output".into()))
                    .map_err(|error| Failure::io("opening standard output", error));
            }
            let failed = |error| Failure::io(format!("writing {}", path.display()), error);
            let replacement = Replacement::begin(&path).map_err(failed)?;
            Ok((replacement.handle().map_err(failed)?, Some(replacement), path))
        });
        let (file, replacement, path) = opened.await?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, tokio::fs::File::from_std(file));
        Ok(Self { out, path, replacement, bytes: 0 })
    }

    /// How many bytes were written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes further bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        self.out.write_all(bytes).await.map_err(|error| failed(&self.path, error))
    }

    /// Ends an export that is not complete: a file stays as it was, others get what was written so far.
    pub(crate) async fn leave_incomplete(mut self) -> Result<(), Failure> {
        self.flush().await
    }

    /// Puts the file in place.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        self.flush().await?;
        let Some(replacement) = self.replacement else { return Ok(()) };
        blocking(move || replacement.commit().map_err(|error| failed(&self.path, error))).await
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().await.map_err(|error| failed(&self.path, error))
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::io(format!("writing {}", path.display()), error)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
