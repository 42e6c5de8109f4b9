//! When a server is told to stop: a signal, or the end of its standard input.

use std::future::Future;
use std::io::Read;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The flags of stopping, the same for every server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::Args)]
pub struct StopArgs {
    /// Stop when standard input reaches its end, as well as on SIGTERM and SIGINT: for a server that must not outlive
    /// whoever started it and holds the other end
    #[arg(long)]
    pub stop_on_stdin_close: bool,
}

/// Comes true when the process is told to stop, with the reason in a word.
///
/// # Errors
/// When the process cannot listen for signals.
///
/// # Panics
/// Outside a tokio runtime.
pub fn told(args: StopArgs) -> std::io::Result<impl Future<Output = &'static str> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let input_closed = args.stop_on_stdin_close.then(stdin_closed);
    Ok(async move {
        let input = async {
            match input_closed {
                Some(closed) => closed.await.unwrap_or(()),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = input => "standard input closed",
        }
    })
}

/// Reads standard input to its end on a thread of its own: the runtime must be able to end while the read blocks.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (closed, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 512];
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut ignored), Ok(1..)) {}
        // Nobody listens any more when the process is stopping for another reason.
        let _ = closed.send(());
    });
    told
}
