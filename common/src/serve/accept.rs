//! Accepts connections, also when the process has no file descriptors left.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::failures::Failures;

/// The pause after a failed accept: trying again at once would only use up the processor.
const PAUSE: Duration = Duration::from_millis(50);

/// The listening side of a server.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    failures: Failures,
}

impl Acceptor {
    /// Accepts from a listener that does not block.
    ///
    /// # Errors
    /// When the runtime can't take the listener.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::from_std(listener)?, failures: Failures::default() })
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection. While none can be accepted it tries again and again, and logs one line at the start of the
    /// trouble and one at its end.
    ///
    /// # Cancel safety
    /// Cancel safe: no connection is lost.
    pub async fn accept(&mut self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.accepted();
                    return stream;
                }
                Err(error) if is_of_the_connection(&error) => {
                    debug!(%error, "connection lost before it was accepted");
                }
                Err(error) => {
                    if self.failures.failed(Instant::now(), &error) {
                        warn!(%error, "connections cannot be accepted; trying again");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn accepted(&mut self) {
        if let Some(over) = self.failures.accepted(Instant::now()) {
            let lasted_ms = over.lasted.as_millis();
            info!(failures = over.failures, lasted_ms, "connections are accepted again");
        }
    }

    /// Stops listening. Returns the connections that the system had established already: their clients may have sent
    /// requests.
    #[must_use]
    pub fn close(self) -> Vec<TcpStream> {
        let mut established = Vec::new();
        // Asked directly: the runtime may not have heard of the latest yet.
        if let Ok(listener) = self.listener.into_std() {
            while let Ok((stream, _)) = listener.accept() {
                let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                established.extend(stream);
            }
        }
        established
    }
}

/// A connection that broke before it was accepted says nothing about the next one.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn connections_that_were_established_before_the_end_are_taken_over() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let acceptor = Acceptor::new(listener).unwrap();
        let address = acceptor.local_addr().unwrap();
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                std::io::Write::write_all(&mut client, b"request").unwrap();
                client
            })
            .collect();
        let established = acceptor.close();
        assert_eq!(established.len(), clients.len());
        for mut stream in established {
            let mut bytes = [0; 7];
            stream.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"request");
        }
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
