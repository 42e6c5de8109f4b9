//! Which thread serves a connection.
//!
//! A router sends what has to be committed over a connection of its own. The node serves it on the thread that commits:
//! a batch is decided, made durable and answered without a switch between threads. What waits for the disk there would
//! have waited for it anyway; reads and promises are never behind it.

use std::io;
use std::time::Duration;

use roundtable_common::wire::DURABLE_BATCH_PATH;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long a new connection's first bytes are awaited. A router connects when it has something to send.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_millis(100);

/// Whether the connection's first request names the durable lane. What comes later than a moment, or in pieces, is
/// taken for something else, which is answered as well wherever it is served.
pub(crate) async fn is_durable(stream: &TcpStream) -> bool {
    let expected = ["POST ", DURABLE_BATCH_PATH, " "].concat();
    let mut first = vec![0; expected.len()];
    match timeout(FIRST_BYTES_TIMEOUT, stream.peek(&mut first)).await {
        Ok(Ok(_)) => first == expected.as_bytes(),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Lets another runtime wait for the connection's bytes.
///
/// # Errors
/// When the system does not let it.
pub(crate) fn hand_over(stream: TcpStream, to: &Handle) -> io::Result<TcpStream> {
    let stream = stream.into_std()?;
    let _entered = to.enter();
    TcpStream::from_std(stream)
}
