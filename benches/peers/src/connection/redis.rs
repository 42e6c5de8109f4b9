//! A connection to Redis in its own protocol (RESP2): two commands, written and read without detours.

use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::connection::CallError;

/// How long `WAIT` waits for a replica, in milliseconds.
const WAIT_MS: &[u8] = b"10000";

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reply {
    /// `+OK`
    Status(Bytes),
    /// `-ERR …`
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$5…`, or nothing for a key that is not there
    Bulk(Option<Bytes>),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct RedisConnection {
    stream: TcpStream,
    received: BytesMut,
    to_send: BytesMut,
}

impl RedisConnection {
    /// Opens one.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, CallError> {
        let stream = TcpStream::connect(address).await.map_err(CallError::of)?;
        stream.set_nodelay(true).map_err(CallError::of)?;
        Ok(Self { stream, received: BytesMut::new(), to_send: BytesMut::new() })
    }

    /// `SET`, then `WAIT 1`, in one write to the socket. Done when the primary has synced its append-only file and a
    /// replica has received the write; whether the replica has synced it, Redis 7.0 does not tell.
    pub(crate) async fn put(&mut self, key: &str, value: &[u8]) -> Result<(), CallError> {
        encode(&mut self.to_send, &[b"SET", key.as_bytes(), value]);
        encode(&mut self.to_send, &[b"WAIT", b"1", WAIT_MS]);
        self.send().await?;
        let (set, wait) = (self.receive().await?, self.receive().await?);
        match (set, wait) {
            (Reply::Status(ok), Reply::Integer(1..)) if ok == "OK" => Ok(()),
            (Reply::Status(_), Reply::Integer(_)) => Err(CallError::of("WAIT: no replica in time")),
            (set, wait) => Err(CallError(format!("SET: {set:?}, WAIT: {wait:?}"))),
        }
    }

    /// `GET` at the primary.
    pub(crate) async fn get(&mut self, key: &str) -> Result<Bytes, CallError> {
        match self.call(&[b"GET", key.as_bytes()]).await? {
            Reply::Bulk(Some(value)) => Ok(value),
            Reply::Bulk(None) => Err(CallError::of("no such key")),
            other => Err(CallError(format!("GET: {other:?}"))),
        }
    }

    /// A section of `INFO`.
    pub(crate) async fn info(&mut self, section: &str) -> Result<String, CallError> {
        match self.call(&[b"INFO", section.as_bytes()]).await? {
            Reply::Bulk(Some(text)) => Ok(String::from_utf8_lossy(&text).into_owned()),
            other => Err(CallError(format!("INFO: {other:?}"))),
        }
    }

    async fn call(&mut self, words: &[&[u8]]) -> Result<Reply, CallError> {
        encode(&mut self.to_send, words);
        self.send().await?;
        self.receive().await
    }

    async fn send(&mut self) -> Result<(), CallError> {
        self.stream.write_all_buf(&mut self.to_send).await.map_err(CallError::of)
    }

    async fn receive(&mut self) -> Result<Reply, CallError> {
        loop {
            if let Some(reply) = decode(&mut self.received)? {
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.received).await.map_err(CallError::of)? == 0 {
                return Err(CallError::of("connection lost"));
            }
        }
    }
}

/// Appends a command.
fn encode(buffer: &mut BytesMut, words: &[&[u8]]) {
    buffer.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        buffer.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        buffer.extend_from_slice(word);
        buffer.extend_from_slice(b"\r\n");
    }
}

/// Takes the first reply out of what was received, once it is there to its end.
fn decode(received: &mut BytesMut) -> Result<Option<Reply>, CallError> {
    let Some(line_end) = received.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let line = received.get(..line_end).unwrap_or_default();
    let (kind, text) = line.split_first().ok_or_else(|| CallError::of("an empty reply"))?;
    let number = || {
        let text = std::str::from_utf8(text).map_err(CallError::of)?;
        text.parse::<i64>().map_err(CallError::of)
    };
    let body_start = line_end + 2;
    let reply = match kind {
        b'+' => Reply::Status(Bytes::copy_from_slice(text)),
        b'-' => Reply::Error(String::from_utf8_lossy(text).into_owned()),
        b':' => Reply::Integer(number()?),
        b'$' => match usize::try_from(number()?) {
            Err(_negative) => Reply::Bulk(None),
            Ok(length) => {
                if received.len() < body_start + length + 2 {
                    return Ok(None);
                }
                received.advance(body_start);
                let body = received.split_to(length).freeze();
                received.advance(2);
                return Ok(Some(Reply::Bulk(Some(body))));
            }
        },
        other => return Err(CallError(format!("a reply of an unexpected kind: {}", other.escape_ascii()))),
    };
    received.advance(body_start);
    Ok(Some(reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut buffer = BytesMut::new();
        encode(&mut buffer, &[b"SET", b"k", b"a\r\nb"]);
        assert_eq!(&buffer[..], b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n");
    }

    #[test]
    fn replies_are_taken_one_by_one_and_only_whole() {
        let all = b"+OK\r\n:1\r\n$4\r\na\r\nb\r\n$-1\r\n-ERR no\r\n";
        let expected = [
            Reply::Status("OK".into()),
            Reply::Integer(1),
            Reply::Bulk(Some("a\r\nb".into())),
            Reply::Bulk(None),
            Reply::Error("ERR no".into()),
        ];
        let mut received = BytesMut::new();
        let mut replies = Vec::new();
        for byte in all {
            received.extend_from_slice(&[*byte]);
            replies.extend(decode(&mut received).unwrap());
        }
        assert_eq!(replies, expected);
        assert!(received.is_empty());
    }

    #[test]
    fn reply_of_an_unknown_kind_is_an_error() {
        assert!(decode(&mut BytesMut::from(&b"*1\r\n"[..])).is_err());
        assert!(decode(&mut BytesMut::from(&b":x\r\n"[..])).is_err());
    }
}
