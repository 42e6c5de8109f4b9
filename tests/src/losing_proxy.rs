//! A proxy that loses the answers to writes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A proxy between clients and a router. It passes every request on. When a write comes on a kept connection, one that
/// has served a request before, it waits for the router's answer and then closes the connection without passing
/// the answer on: to the client it looks as if the connection had been closed while idle. It does so once for each
/// method and target.
#[derive(Debug)]
pub struct LosingProxy {
    address: String,
    state: Arc<State>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    router: String,
    lost: Mutex<HashSet<String>>,
    writes: AtomicUsize,
}

impl LosingProxy {
    /// Starts one in front of the router at this address.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(router: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = State { router: router.to_owned(), lost: Mutex::default(), writes: AtomicUsize::new(0) };
        let state = Arc::new(state);
        let listening = tokio::spawn(listen(listener, Arc::clone(&state)));
        Self { address, state, listening }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Writes whose answers it has lost, and writes that it has passed on, since the start.
    ///
    /// # Panics
    /// When the proxy has panicked.
    #[must_use]
    pub fn lost_and_passed_on(&self) -> (usize, usize) {
        (self.state.lost.lock().unwrap().len(), self.state.writes.load(Ordering::Relaxed))
    }
}

impl Drop for LosingProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&state)));
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let served = AtomicUsize::new(0);
    let service = service_fn(|request| {
        let is_kept = served.fetch_add(1, Ordering::Relaxed) > 0;
        state.answer(request, is_kept)
    });
    // It ends with an error when an answer is lost.
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

impl State {
    async fn answer(
        &self,
        request: Request<Incoming>,
        is_kept: bool,
    ) -> Result<Response<Full<Bytes>>, AnyError> {
        let is_write = request.method() != Method::GET;
        let name = format!("{} {}", request.method(), request.uri());
        let answer = self.pass_on(request).await?;
        if is_write {
            self.writes.fetch_add(1, Ordering::Relaxed);
            if is_kept && self.lost.lock().unwrap().insert(name) {
                return Err("the answer is lost".into());
            }
        }
        Ok(answer)
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, AnyError> {
        let stream = TcpStream::connect(&self.router).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let (mut head, body) = request.into_parts();
        head.headers.insert(HOST, self.router.parse()?);
        let body = body.collect().await?.to_bytes();
        let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        driver.abort();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}
