//! A router of the tests: it answers as a script says and remembers what it was asked.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What happens to one request.
pub(crate) enum Step {
    /// This answer.
    Answer(u16, Vec<(&'static str, String)>, &'static str),
    /// The request is read, then the connection ends.
    Lose,
    /// No answer ever comes.
    Hang,
    /// A success whose body ends before it should.
    Truncate(&'static str),
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A listening router with a script; when it ends, every further answer is 500.
pub(crate) struct TestRouter {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl TestRouter {
    /// Listens on a free port.
    pub(crate) async fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, seen) = (Arc::clone(&script), Arc::clone(&remembered));
                let service =
                    service_fn(move |request| answer(request, Arc::clone(&script), Arc::clone(&seen)));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, seen }
    }

    /// What it was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// The address of a port at which nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

type Body = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

async fn answer(
    request: Request<Incoming>,
    script: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<hyper::Response<Body>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = parts.uri.path_and_query().unwrap().to_string();
    seen.lock().unwrap().push(Seen { method: parts.method, target, headers: parts.headers, body });
    let step = script.lock().unwrap().pop_front();
    let full = |text: &'static str| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    match step {
        Some(Step::Answer(status, headers, text)) => {
            let mut response = hyper::Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(full(text)).unwrap())
        }
        Some(Step::Lose) => Err(std::io::Error::other("the script says so")),
        Some(Step::Hang) => std::future::pending().await,
        Some(Step::Truncate(text)) => {
            let length = text.len() + 1;
            let cut = Cut(Some(Bytes::from(text)), false);
            Ok(hyper::Response::builder().header("content-length", length).body(cut.boxed()).unwrap())
        }
        None => Ok(hyper::Response::builder().status(500).body(full("the script is over")).unwrap()),
    }
}

/// A body that fails after its only piece has been sent.
struct Cut(Option<Bytes>, bool);

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(piece) = self.0.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if !std::mem::replace(&mut self.1, true) {
            // One more turn, in which the server writes the piece out.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(std::io::Error::other("cut"))))
    }
}
