//! A client that knows of each request whether it was sent, answered, or lost on the way.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// One request, to be sent as often as its sender likes.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// It was answered.
    Answer(Response<Bytes>),
    /// It never left.
    NotSent,
    /// It left, and no whole answer came.
    Lost,
}

/// A client's connection to one router, made when needed.
#[derive(Debug)]
pub(super) struct Connection {
    address: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// A client of the router at `address`.
    pub(super) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), sender: None }
    }

    /// Sends a request and waits this long for its answer.
    ///
    /// # Panics
    /// When the request is malformed.
    pub(super) async fn send(&mut self, call: Call, patience: Duration) -> Reply {
        let Ok(Some(mut sender)) = timeout(patience, self.connected()).await else { return Reply::NotSent };
        let mut request =
            Request::builder().method(call.method).uri(call.target).header("host", &self.address);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(call.body))).unwrap();
        let exchange = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>(Response::from_parts(head, body.collect().await?.to_bytes()))
        };
        // A connection whose answer did not come in time is not used again.
        match timeout(patience, exchange).await {
            Ok(Ok(answer)) => {
                self.sender = Some(sender);
                Reply::Answer(answer)
            }
            Ok(Err(error)) if error.is_canceled() => Reply::NotSent,
            Ok(Err(_)) | Err(_) => Reply::Lost,
        }
    }

    async fn connected(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Some(sender);
        }
        let stream = TcpStream::connect(&self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }
}
