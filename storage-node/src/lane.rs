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

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A connection that `first` was sent over: the node's end and the router's.
    async fn connection(first: &[u8]) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut router = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        router.write_all(first).await.unwrap();
        (listener.accept().await.unwrap().0, router)
    }

    #[tokio::test]
    async fn connection_is_told_by_its_first_bytes_and_keeps_them() {
        let durable = format!("POST {DURABLE_BATCH_PATH} HTTP/1.1\r\n");
        let table = [
            (durable.as_str(), true),
            ("POST /replica/v1/batch HTTP/1.1\r\nhost: a-name-of-some-length\r\n", false),
            ("POST /rep", false),
            ("", false),
        ];
        for (first, expected) in table {
            let (mut node, router) = connection(first.as_bytes()).await;
            assert_eq!(is_durable(&node).await, expected, "{first}");
            drop(router);
            let mut left = String::new();
            node.read_to_string(&mut left).await.unwrap();
            assert_eq!(left, first);
        }
    }

    #[tokio::test]
    async fn connection_goes_on_in_another_runtime() {
        let (node, mut router) = connection(b"ping").await;
        let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut node = hand_over(node, other.handle()).unwrap();
        let serving = thread::spawn(move || {
            other.block_on(async {
                let mut bytes = [0; 4];
                node.read_exact(&mut bytes).await.unwrap();
                node.write_all(&bytes).await.unwrap();
            });
        });
        let mut bytes = [0; 4];
        router.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
        serving.join().unwrap();
    }
}
