//! Answers that no handler gives, and the orderly end of a connection.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::Response;
use hyper::header::{CONNECTION, CONTENT_LENGTH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a client may take to receive its last answer and to close its side.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);

/// What arrived in place of a request. The connection ends with the answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BareRequest {
    /// Not HTTP/1.1; what is wrong, in words.
    Malformed(String),
    /// The address is longer than hyper reads.
    UriTooLong,
    /// The head has more bytes than are read.
    HeadTooLong,
    /// The head has more headers than are read.
    TooManyHeaders,
    /// The head began to arrive and was not whole in time.
    TooSlow,
    /// A part of the head has arrived, and the server stops.
    Stopping,
}

/// Sends an answer over a connection that hyper does not drive, and closes it. An answer that is not taken within a
/// second is given up.
pub async fn send_and_close(mut stream: TcpStream, answer: Response<Bytes>) {
    let text = render(&answer);
    if matches!(timeout(FAREWELL_TIME_MAX, stream.write_all(&text)).await, Ok(Ok(()))) {
        close(stream).await;
    }
}

/// Closes a connection after its last answer: closing with unread bytes would reset it, and the client might lose the
/// answer. So it is closed for writing, and read until the client closes its side.
pub(super) async fn close(mut stream: TcpStream) {
    let farewell = async {
        stream.shutdown().await?;
        let mut rest = BytesMut::with_capacity(8 << 10);
        while stream.read_buf(&mut rest).await? > 0 {
            rest.clear();
        }
        Ok::<(), std::io::Error>(())
    };
    // A client that holds its side open has had the time to read its answer; one that broke off wants none.
    let _ = timeout(FAREWELL_TIME_MAX, farewell).await;
}

fn render(answer: &Response<Bytes>) -> Bytes {
    let (status, body) = (answer.status(), answer.body());
    let mut text = BytesMut::new();
    let reason = status.canonical_reason().unwrap_or_default();
    text.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in answer.headers() {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    text.put_slice(format!("{CONNECTION}: close\r\n{CONTENT_LENGTH}: {}\r\n\r\n", body.len()).as_bytes());
    text.put_slice(body);
    text.freeze()
}
