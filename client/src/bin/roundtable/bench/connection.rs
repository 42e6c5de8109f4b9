//! One connection to a router, as cheap in CPU time as can be: for each request one write and, as a rule, one read, in
//! buffers that stay; no pool, no redirects, no retries.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::bench::request::{Request, Requests};
use crate::bench::response::{self, Head};
use crate::failure::Failure;

/// An answer that takes longer counts as an error.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Room for an answer that is read at once.
const RECEIVE_BYTES: usize = 16 << 10;

/// A router.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    authority: String,
}

/// A call that brought no answer: a short name to count it under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot connect")]
    Connect,
    #[error("connection lost")]
    Lost,
    #[error("no answer within 30 s")]
    TimedOut,
    #[error("answer not understood")]
    Unreadable,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    authority: String,
    sent: Vec<u8>,
    received: BytesMut,
    etag: Vec<u8>,
    closes: bool,
}

impl Endpoint {
    /// Of an address like `http://127.0.0.1:7400`.
    pub(crate) fn parse(address: &str) -> Result<Self, Failure> {
        let refuse =
            || Failure::Usage(format!("{address:?} is not a router's address: expected http://HOST:PORT"));
        let url = Url::parse(address).map_err(|_| refuse())?;
        let (Some(host), Some(port), "http") = (url.host_str(), url.port_or_known_default(), url.scheme())
        else {
            return Err(refuse());
        };
        Ok(Self { authority: format!("{host}:{port}") })
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Connection, CallError> {
        let connecting = tokio::time::timeout(CALL_TIMEOUT, TcpStream::connect(&self.authority));
        let stream = connecting.await.map_err(|_| CallError::TimedOut)?.map_err(|_| CallError::Connect)?;
        stream.set_nodelay(true).map_err(|_| CallError::Connect)?;
        Ok(Connection {
            stream,
            authority: self.authority.clone(),
            sent: Vec::with_capacity(512),
            received: BytesMut::with_capacity(RECEIVE_BYTES),
            etag: Vec::with_capacity(64),
            closes: false,
        })
    }
}

impl Connection {
    /// Whether it can take a request: the router did not close it since the last answer.
    pub(crate) fn is_open(&self) -> bool {
        let nothing_came = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        !self.closes && self.stream.try_read(&mut [0]).is_err_and(nothing_came)
    }

    /// The `ETag` of the last answer, quotes included; empty if it had none.
    pub(crate) fn etag(&self) -> &[u8] {
        &self.etag
    }

    /// One request; the answer is read to its end, and its status returned. After an error the connection is of no
    /// further use.
    pub(crate) async fn call(
        &mut self,
        requests: &Requests,
        request: Request<'_>,
        value: Bytes,
    ) -> Result<u16, CallError> {
        self.sent.clear();
        requests.write(&mut self.sent, &self.authority, &request);
        match tokio::time::timeout(CALL_TIMEOUT, self.exchange(value)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(CallError::TimedOut),
        }
    }

    async fn exchange(&mut self, value: Bytes) -> Result<u16, CallError> {
        let mut message = Buf::chain(self.sent.as_slice(), value);
        self.stream.write_all_buf(&mut message).await.map_err(|_| CallError::Lost)?;
        self.received.clear();
        let head = loop {
            self.receive().await?;
            let parsed = response::parse(&self.received, &mut self.etag);
            if let Some(head) = parsed.map_err(|_| CallError::Unreadable)? {
                break head;
            }
        };
        self.skip_body(&head).await?;
        self.closes = head.closes;
        Ok(head.status)
    }

    async fn receive(&mut self) -> Result<usize, CallError> {
        self.received.reserve(RECEIVE_BYTES / 4);
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) | Err(_) => Err(CallError::Lost),
            Ok(bytes) => Ok(bytes),
        }
    }

    /// Reads an answer to its end; more than it is not an answer to one request.
    async fn skip_body(&mut self, head: &Head) -> Result<(), CallError> {
        let mut left = head.whole_bytes.checked_sub(self.received.len()).ok_or(CallError::Unreadable)?;
        while left > 0 {
            self.received.clear();
            left = left.checked_sub(self.receive().await?).ok_or(CallError::Unreadable)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn endpoint_is_host_and_port() {
        assert_eq!(Endpoint::parse("http://[::1]:7400").unwrap().authority, "[::1]:7400");
        assert!(Endpoint::parse("https://x:1").is_err());
        assert!(Endpoint::parse("localhost:7400").is_err());
    }

    #[tokio::test]
    async fn connection_to_nobody_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert_eq!(Endpoint::parse(&address).unwrap().connect().await.err(), Some(CallError::Connect));
    }

    /// Answers each request on one connection with the next of these pieces, then closes.
    async fn router(answers: Vec<&'static [&'static str]>) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for pieces in answers {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        Endpoint { authority }
    }

    #[tokio::test]
    async fn answers_are_read_to_their_end_and_a_closed_connection_is_noticed() {
        let requests = Requests::new(b"k");
        const LONG: &[&str] = &["HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-le", "ngth: 6\r\n\r\nabc", "def"];
        let answers: Vec<&'static [&'static str]> = vec![&["HTTP/1.1 204 No Content\r\n\r\n"], LONG];
        let mut connection = router(answers).await.connect().await.unwrap();
        let request = Request::Get { key: 1 };
        assert_eq!(connection.call(&requests, request, Bytes::new()).await, Ok(204));
        assert!(connection.is_open() && connection.etag().is_empty());
        assert_eq!(connection.call(&requests, request, Bytes::new()).await, Ok(200));
        assert_eq!(connection.etag(), b"\"1\"");
        while connection.is_open() {
            tokio::task::yield_now().await;
        }
        assert_eq!(connection.call(&requests, request, Bytes::new()).await, Err(CallError::Lost));
    }

    #[tokio::test]
    async fn more_than_one_answer_is_not_understood() {
        let endpoint = router(vec![&["HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1"]]).await;
        let mut connection = endpoint.connect().await.unwrap();
        let called = connection.call(&Requests::new(b"k"), Request::Get { key: 1 }, Bytes::new()).await;
        assert_eq!(called, Err(CallError::Unreadable));
    }
}
