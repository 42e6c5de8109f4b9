//! What the tests of the command line share: a store in memory that speaks as much HTTP as they need.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;
use tokio::net::TcpListener;
use url::form_urlencoded;

type Keys = Arc<Mutex<BTreeMap<Vec<u8>, (u64, Bytes)>>>;

/// A store in memory behind a router's address: put with conditions, get, delete, listing, readiness.
pub(crate) struct MemoryStore {
    address: String,
    keys: Keys,
    _runtime: tokio::runtime::Runtime,
}

impl MemoryStore {
    /// Listens on a free port.
    pub(crate) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let keys = Keys::default();
        let shared = Arc::clone(&keys);
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let keys = Arc::clone(&shared);
                let service = service_fn(move |request| answer(request, Arc::clone(&keys)));
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, keys, _runtime: runtime }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.lock().unwrap().len()
    }

    /// A key's value.
    pub(crate) fn value(&self, key: &[u8]) -> Option<Bytes> {
        self.keys.lock().unwrap().get(key).map(|(_, value)| value.clone())
    }

    /// Runs `roundtable` against the store with this standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut all = arguments.to_vec();
        all.extend(["--router", &self.address]);
        run(&all, input)
    }

    /// Runs `roundtable` against the store with a terminal as its standard input, on which somebody types this.
    pub(crate) fn run_on_terminal(&self, arguments: &[&str], typed: &str) -> Output {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let path = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let terminal = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let mut keyboard = std::fs::File::from(keyboard);
        keyboard.write_all(typed.as_bytes()).unwrap();
        let mut all = arguments.to_vec();
        all.extend(["--router", &self.address]);
        command(&all).stdin(Stdio::from(terminal)).output().unwrap()
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command
        .args(arguments)
        .env_remove("ROUNDTABLE_ROUTERS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs `roundtable` to its end.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that ends early does not read all of its input.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    })
}

/// Requires an exit code, printing what was said otherwise.
#[track_caller]
pub(crate) fn must_end_with(output: Output, code: i32) -> Output {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    output
}

async fn answer(request: Request<Incoming>, keys: Keys) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut keys = keys.lock().unwrap();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
    if path == "/readyz" {
        return Ok(respond(200, None, "ready".into()));
    }
    if path == "/v1/kv" && parts.method == Method::DELETE {
        let prefix = prefix_of(query);
        let before = keys.len();
        keys.retain(|key, _| !key.starts_with(prefix.as_bytes()));
        let line = json!({ "deleted": before - keys.len(), "next": null });
        return Ok(respond(200, None, format!("{line}\n").into()));
    }
    if path == "/v1/kv" && query.contains("count=true") {
        let prefix = prefix_of(query);
        let count = keys.keys().filter(|key| key.starts_with(prefix.as_bytes())).count();
        return Ok(respond(200, None, json!({ "count": count }).to_string().into()));
    }
    if path == "/v1/kv" {
        return Ok(respond(200, None, listing(&keys, query).into()));
    }
    let key: Vec<u8> = if let Some(key) = path.strip_prefix("/v1/kv/") {
        percent_encoding::percent_decode_str(key).collect()
    } else if let Some(key) = path.strip_prefix("/v1/kvb/") {
        URL_SAFE_NO_PAD.decode(key).unwrap()
    } else {
        return Ok(problem(404, "no_such_route"));
    };
    let present = keys.get(&key).cloned();
    Ok(match parts.method {
        Method::GET => match present {
            Some((version, value)) => respond(200, Some(version), value),
            None => problem(404, "not_found"),
        },
        Method::PUT if parts.headers.contains_key("if-none-match") && present.is_some() => {
            problem(412, "precondition_failed")
        }
        Method::PUT => {
            let version = present.as_ref().map_or(1, |(version, _)| version + 1);
            keys.insert(key, (version, body));
            respond(if present.is_some() { 204 } else { 201 }, Some(version), Bytes::new())
        }
        Method::DELETE if keys.remove(&key).is_some() => respond(204, None, Bytes::new()),
        Method::DELETE => problem(404, "not_found"),
        _ => problem(405, "method_not_allowed"),
    })
}

fn prefix_of(query: &str) -> String {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    parameters.find(|(name, _)| name == "prefix").map(|(_, prefix)| prefix.into_owned()).unwrap_or_default()
}

/// The keys with a prefix as NDJSON.
fn listing(keys: &BTreeMap<Vec<u8>, (u64, Bytes)>, query: &str) -> String {
    let prefix = prefix_of(query);
    let with_values = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "values");
    let member = |name: &str, bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => (name.to_owned(), json!(text)),
        Err(_) => (format!("{name}_b64"), json!(STANDARD.encode(bytes))),
    };
    let mut lines = String::new();
    for (key, (version, value)) in keys.iter().filter(|(key, _)| key.starts_with(prefix.as_bytes())) {
        let mut item =
            serde_json::Map::from_iter([member("key", key), ("etag".into(), json!(etag(*version)))]);
        item.insert("size".into(), json!(value.len()));
        if with_values {
            item.extend([member("value", value)]);
        }
        lines.push_str(&format!("{}\n", serde_json::Value::from(item)));
    }
    lines
}

fn etag(version: u64) -> String {
    format!("{version:016x}")
}

fn respond(status: u16, version: Option<u64>, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    if let Some(version) = version {
        response = response.header("etag", format!("\"{}\"", etag(version)));
    }
    response.body(Full::new(body)).unwrap()
}

fn problem(status: u16, code: &str) -> Response<Full<Bytes>> {
    respond(status, None, json!({ "code": code, "status": status }).to_string().into())
}
