//! What the tests of the command line share: a store in memory that speaks as much HTTP as they need.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

type Keys = Arc<Mutex<BTreeMap<Vec<u8>, Stored>>>;

/// What the store keeps of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) version: u64,
    pub(crate) value: Bytes,
    pub(crate) content_type: Option<Vec<u8>>,
    /// Unix milliseconds.
    pub(crate) expires: Option<u64>,
}

/// A store in memory behind a router's address: put with conditions, get, delete, listing, readiness.
pub(crate) struct MemoryStore {
    address: String,
    keys: Keys,
    refuses_deletes: Arc<AtomicBool>,
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
        let refuses_deletes = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&keys), Arc::clone(&refuses_deletes));
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (keys, refuses_deletes) = shared.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let refuses =
                        *request.method() == Method::DELETE && refuses_deletes.load(Ordering::Relaxed);
                    let keys = Arc::clone(&keys);
                    async move {
                        if refuses { Ok(problem(503, "no_quorum")) } else { answer(request, keys).await }
                    }
                });
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, keys, refuses_deletes, _runtime: runtime }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.lock().unwrap().len()
    }

    /// A key's value.
    pub(crate) fn value(&self, key: &[u8]) -> Option<Bytes> {
        self.stored(key).map(|stored| stored.value)
    }

    /// What is kept of a key.
    pub(crate) fn stored(&self, key: &[u8]) -> Option<Stored> {
        self.keys.lock().unwrap().get(key).cloned()
    }

    /// Puts a key in by another way than over HTTP.
    pub(crate) fn store(&self, key: &[u8], stored: Stored) {
        self.keys.lock().unwrap().insert(key.to_vec(), stored);
    }

    /// Answers every delete with 503 from now on.
    pub(crate) fn refuse_deletes(&self) {
        self.refuses_deletes.store(true, Ordering::Relaxed);
    }

    /// Where it listens, as a URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Runs `roundtable` against the store with this standard input.
    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Output {
        run(&self.with_router(arguments), input)
    }

    /// These arguments and the store's address.
    pub(crate) fn with_router(&self, arguments: &[impl AsRef<OsStr>]) -> Vec<OsString> {
        let all = arguments.iter().map(|argument| argument.as_ref().to_owned());
        all.chain(["--router".into(), (&self.address).into()]).collect()
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

/// `roundtable` with these arguments, not yet started.
pub(crate) fn command(arguments: &[impl AsRef<OsStr>]) -> Command {
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
pub(crate) fn run(arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Output {
    finish(command(arguments).spawn().unwrap(), input)
}

/// Gives a program its standard input and waits for its end.
pub(crate) fn finish(mut child: Child, input: &[u8]) -> Output {
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that ends early does not read all of its input.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    })
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal by its name, such as `INT`.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The names in a folder, in order.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
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
        let prefix = parameter(query, "prefix").unwrap_or_default();
        let before = keys.len();
        keys.retain(|key, _| !key.starts_with(&prefix));
        let line = json!({ "deleted": before - keys.len(), "next": null });
        return Ok(respond(200, None, format!("{line}\n").into()));
    }
    if path == "/v1/kv" && query.contains("count=true") {
        let prefix = parameter(query, "prefix").unwrap_or_default();
        let count = keys.keys().filter(|key| key.starts_with(&prefix)).count();
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
            Some(stored) => respond(200, Some(stored.version), stored.value),
            None => problem(404, "not_found"),
        },
        Method::PUT if parts.headers.contains_key("if-none-match") && present.is_some() => {
            problem(412, "precondition_failed")
        }
        Method::PUT => {
            let version = present.as_ref().map_or(1, |stored| stored.version + 1);
            let content_type = parts.headers.get("content-type").map(|value| value.as_bytes().to_vec());
            let ttl = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ttl");
            let expires = ttl.map(|(_, ttl)| now_ms() + ttl.trim_end_matches("ms").parse::<u64>().unwrap());
            keys.insert(key, Stored { version, value: body, content_type, expires });
            respond(if present.is_some() { 204 } else { 201 }, Some(version), Bytes::new())
        }
        Method::DELETE if keys.remove(&key).is_some() => respond(204, None, Bytes::new()),
        Method::DELETE => problem(404, "not_found"),
        _ => problem(405, "method_not_allowed"),
    })
}

/// The bytes of a parameter, if it is there.
fn parameter(query: &str, name: &str) -> Option<Vec<u8>> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(key, _)| *key == name)
        .map(|(_, value)| percent_encoding::percent_decode_str(value).collect())
}

/// The keys of a range as NDJSON.
fn listing(keys: &BTreeMap<Vec<u8>, Stored>, query: &str) -> String {
    let of = |name: &str| parameter(query, name);
    let (prefix, start, end) = (of("prefix").unwrap_or_default(), of("start").unwrap_or_default(), of("end"));
    let is_listed =
        |key: &Vec<u8>| key.starts_with(&prefix) && *key >= start && end.as_ref().is_none_or(|end| key < end);
    let member = |name: &str, bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => (name.to_owned(), json!(text)),
        Err(_) => (format!("{name}_b64"), json!(STANDARD.encode(bytes))),
    };
    let mut lines = String::new();
    for (key, stored) in keys.iter().filter(|(key, _)| is_listed(key)) {
        let mut item =
            serde_json::Map::from_iter([member("key", key), ("etag".into(), json!(etag(stored.version)))]);
        item.insert("size".into(), json!(stored.value.len()));
        if let Some(expires) = stored.expires {
            item.insert("expires".into(), json!(expires));
        }
        if of("values").is_some() {
            item.extend([member("value", &stored.value)]);
            item.extend(stored.content_type.as_deref().map(|bytes| member("content_type", bytes)));
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
