//! One connection to a router, as cheap in CPU time as hyper allows: no pool, no redirects, no retries.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use crate::failure::Failure;

/// An answer that takes longer counts as an error.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A router.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    authority: String,
    host: HeaderValue,
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
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
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
        let authority = format!("{host}:{port}");
        let host = HeaderValue::from_str(&authority).map_err(|_| refuse())?;
        Ok(Self { authority, host })
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Connection, CallError> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|_| CallError::Connect)?;
        stream.set_nodelay(true).map_err(|_| CallError::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| CallError::Connect)?;
        // Its end shows in the next call.
        tokio::spawn(connection);
        Ok(Connection { sender, host: self.host.clone() })
    }
}

impl Connection {
    /// One request; the answer is read to its end. After an error the connection is of no further use.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: String,
        body: Bytes,
    ) -> Result<StatusCode, CallError> {
        match tokio::time::timeout(CALL_TIMEOUT, self.exchange(method, path, body)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(CallError::TimedOut),
        }
    }

    async fn exchange(&mut self, method: Method, path: String, body: Bytes) -> Result<StatusCode, CallError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| CallError::Lost)?;
        request.headers_mut().insert(HOST, self.host.clone());
        self.sender.ready().await.map_err(|_| CallError::Lost)?;
        let response = self.sender.send_request(request).await.map_err(|_| CallError::Lost)?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|_| CallError::Lost)?;
        }
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
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
}
