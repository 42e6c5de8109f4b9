//! Connections over HTTP: to a Roundtable router, and to etcd's gateway with its JSON.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::connection::CallError;

/// A plain HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl HttpConnection {
    /// Opens one.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, CallError> {
        let stream = TcpStream::connect(address).await.map_err(CallError::of)?;
        stream.set_nodelay(true).map_err(CallError::of)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(CallError::of)?;
        // Its end shows in the next call.
        tokio::spawn(connection);
        Ok(Self { sender, host: HeaderValue::try_from(address.to_string()).map_err(CallError::of)? })
    }

    /// Roundtable's write.
    pub(crate) async fn put(&mut self, key: &str, value: Bytes) -> Result<(), CallError> {
        self.call(Method::PUT, &roundtable_path(key), value).await.map(drop)
    }

    /// Roundtable's read.
    pub(crate) async fn get(&mut self, key: &str) -> Result<Bytes, CallError> {
        self.call(Method::GET, &roundtable_path(key), Bytes::new()).await
    }

    /// One request and its whole answer; a status other than 2xx is an error.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(CallError::of)?;
        request.headers_mut().insert(HOST, self.host.clone());
        self.sender.ready().await.map_err(CallError::of)?;
        let response = self.sender.send_request(request).await.map_err(CallError::of)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(CallError::of)?.to_bytes();
        refuse_other_than_success(status, &body)?;
        Ok(body)
    }
}

fn refuse_other_than_success(status: StatusCode, body: &[u8]) -> Result<(), CallError> {
    if status.is_success() {
        return Ok(());
    }
    Err(CallError(format!("{status}: {}", String::from_utf8_lossy(body))))
}

/// Where a key lies in Roundtable's HTTP API; keys of this benchmark need no encoding.
pub(crate) fn roundtable_path(key: &str) -> String {
    format!("/v1/kv/{key}")
}

/// The path and body with which etcd's gateway writes a key.
pub(crate) fn gateway_put(key: &str, value: &[u8]) -> (&'static str, String) {
    ("/v3/kv/put", json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) }).to_string())
}

/// The path and body with which etcd's gateway reads a key, linearizably.
pub(crate) fn gateway_range(key: &str) -> (&'static str, String) {
    ("/v3/kv/range", json!({ "key": STANDARD.encode(key) }).to_string())
}

/// A connection to etcd's HTTP gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    connection: HttpConnection,
}

impl Gateway {
    /// Opens one.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, CallError> {
        Ok(Self { connection: HttpConnection::open(address).await? })
    }

    /// Writes a key.
    pub(crate) async fn put(&mut self, key: &str, value: &[u8]) -> Result<(), CallError> {
        let (path, body) = gateway_put(key, value);
        self.connection.call(Method::POST, path, body.into()).await.map(drop)
    }

    /// Reads a key, linearizably.
    pub(crate) async fn get(&mut self, key: &str) -> Result<Bytes, CallError> {
        let (path, body) = gateway_range(key);
        let answer = self.connection.call(Method::POST, path, body.into()).await?;
        value_of(&serde_json::from_slice(&answer).map_err(CallError::of)?)
    }

    /// The member's id and the one that it takes for the leader's.
    pub(crate) async fn member_and_leader(&mut self) -> Result<(String, String), CallError> {
        let answer = self.connection.call(Method::POST, "/v3/maintenance/status", "{}".into()).await?;
        let answer: Value = serde_json::from_slice(&answer).map_err(CallError::of)?;
        let text = |pointer| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        text("/header/member_id")
            .zip(text("/leader"))
            .ok_or_else(|| CallError(format!("no leader known: {answer}")))
    }
}

fn value_of(range: &Value) -> Result<Bytes, CallError> {
    // A field at its default is left out of this JSON: an empty value as well.
    let entry = range.pointer("/kvs/0").ok_or_else(|| CallError::of("no such key"))?;
    let encoded = entry.get("value").and_then(Value::as_str).unwrap_or_default();
    STANDARD.decode(encoded).map(Bytes::from).map_err(CallError::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_bodies_are_base64_in_json() {
        let (path, body) = gateway_put("k", b"\xff\x00");
        assert_eq!((path, body.as_str()), ("/v3/kv/put", r#"{"key":"aw==","value":"/wA="}"#));
        assert_eq!(gateway_range("k").1, r#"{"key":"aw=="}"#);
    }

    #[test]
    fn gateway_answers_are_read() {
        let found = json!({ "header": {}, "kvs": [{ "key": "aw==", "value": "/wA=" }], "count": "1" });
        assert_eq!(value_of(&found).unwrap(), b"\xff\x00".as_slice());
        assert_eq!(value_of(&json!({ "header": {} })).unwrap_err(), CallError::of("no such key"));
    }
}
