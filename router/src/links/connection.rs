//! One HTTP/1.1 connection to a node, driven by the task that uses it.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use roundtable_common::listen::HostPort;
use roundtable_common::wire::{BODY_BYTES_MAX, CONTENT_TYPE, WireError};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why a node gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection within the time.
    #[error("no connection to {address} within {after:?}")]
    ConnectTimeout {
        /// Where.
        address: HostPort,
        /// How long.
        after: Duration,
    },
    /// The connection was refused, or the name not resolved.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where.
        address: HostPort,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the node broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The other side closed the connection.
    #[error("the node closed the connection")]
    Closed,
    /// The answer has another status than 200.
    #[error("the node answered with status {0}")]
    Status(StatusCode),
    /// The answer's body is too large or broke off.
    #[error("the node's answer broke off: {0}")]
    Body(String),
    /// The answer's body is not what was asked for.
    #[error("the node's answer is malformed: {0}")]
    Malformed(#[from] WireError),
    /// No answer within the time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection. Its protocol runs inside [`Self::exchange`] and [`Self::closed`], so no other task stands between
/// a node's answer and who waits for it.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended: a request that it has not taken is answered by an error only when it is dropped.
    driver: Option<Pin<Box<Driver>>>,
    host: HeaderValue,
}

impl Connection {
    /// Connects. A host name is resolved anew each time, and all its addresses are tried.
    ///
    /// # Errors
    /// When no connection stands within `connect_timeout`.
    pub async fn open(address: &HostPort, connect_timeout: Duration) -> Result<Self, LinkError> {
        let connect = TcpStream::connect((address.host(), address.port()));
        let stream = timeout(connect_timeout, connect)
            .await
            .map_err(|_| LinkError::ConnectTimeout { address: address.clone(), after: connect_timeout })?
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| LinkError::Connect { address: address.clone(), source })?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let host = HeaderValue::from_str(&address.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        Ok(Self { sender, driver: Some(Box::pin(driver)), host })
    }

    /// Sends one request and waits for the whole answer.
    ///
    /// # Errors
    /// When there is none, or its status is not 200. The connection is of no use then.
    ///
    /// # Cancel safety
    /// Not cancel safe: drop the connection too.
    pub async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> Result<Bytes, LinkError> {
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        let driver = self.driver.as_mut().ok_or(LinkError::Closed)?;
        let sender = &mut self.sender;
        let answer = async move {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
            let bytes = body.map_err(|error| LinkError::Body(error.to_string()))?.to_bytes();
            if status == StatusCode::OK { Ok(bytes) } else { Err(LinkError::Status(status)) }
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            result = &mut answer => return result,
            // The connection ended, perhaps with the answer: it lies ready then.
            _ = driver => {}
        }
        self.driver = None;
        answer.await
    }

    /// Whether another request can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }

    /// Waits until the other side closes the idle connection. The connection is of no use then.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn closed(&mut self) {
        if let Some(driver) = &mut self.driver {
            // How it ended doesn't matter: nothing was under way.
            let _ = driver.await;
        }
        self.driver = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A probe of a node that had just been killed took its whole second, and a batch two: the connection had ended before
    /// the request was written, and nobody said so.
    #[tokio::test]
    async fn request_on_a_connection_that_the_node_has_closed_fails_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let node = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend_from_slice(&byte);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        });
        let patience = Duration::from_secs(30);
        let mut connection = Connection::open(&address.to_string().parse().unwrap(), patience).await.unwrap();
        assert_eq!(connection.exchange(Request::default()).await.unwrap(), "ok");
        // It has closed its side now.
        node.join().unwrap();
        let again = timeout(patience, connection.exchange(Request::default())).await;
        assert!(matches!(again, Ok(Err(_))), "{again:?}");
    }
}
