//! Requests as bytes, made from parts that are ready beforehand.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// A key's slashes stand for themselves.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// One request, apart from its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// Reads a key.
    Get { key: u64 },
    /// Writes so many bytes to a key.
    Put { key: u64, value_bytes: usize, condition: Condition<'a> },
    /// Deletes a key.
    Delete { key: u64 },
    /// Reads up to so many keys and values from this key on.
    Scan { start: u64, limit: u32 },
}

/// What a write asks of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition<'a> {
    /// Nothing.
    Any,
    /// That it stands at this `ETag`, quotes included.
    Match(&'a [u8]),
    /// That it does not exist.
    Absent,
}

/// What requests are made from.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    key_path: String,
    scan_path: String,
}

impl Requests {
    /// For keys that begin with this prefix.
    pub(crate) fn new(key_prefix: &[u8]) -> Self {
        let in_path = percent_encode(key_prefix, PATH);
        let in_query = percent_encode(key_prefix, NON_ALPHANUMERIC);
        Self {
            key_path: format!("/v1/kv/{in_path}"),
            scan_path: format!("/v1/kv?values=true&prefix={in_query}&start={in_query}"),
        }
    }

    /// Writes a request's head to the end of `out`; the value follows it.
    pub(crate) fn write(&self, out: &mut Vec<u8>, host: &str, request: &Request<'_>) {
        match *request {
            Request::Get { key } => {
                self.write_line(out, "GET ", key, host);
            }
            Request::Delete { key } => {
                self.write_line(out, "DELETE ", key, host);
            }
            Request::Put { key, value_bytes, condition } => {
                self.write_line(out, "PUT ", key, host);
                out.extend_from_slice(b"content-length: ");
                write_number(out, value_bytes as u64, 1);
                out.extend_from_slice(b"\r\n");
                match condition {
                    Condition::Any => {}
                    Condition::Match(etag) => {
                        out.extend_from_slice(b"if-match: ");
                        out.extend_from_slice(etag);
                        out.extend_from_slice(b"\r\n");
                    }
                    Condition::Absent => out.extend_from_slice(b"if-none-match: *\r\n"),
                }
            }
            Request::Scan { start, limit } => {
                out.extend_from_slice(b"GET ");
                out.extend_from_slice(self.scan_path.as_bytes());
                write_number(out, start, KEY_DIGITS);
                out.extend_from_slice(b"&limit=");
                write_number(out, u64::from(limit), 1);
                write_host(out, host);
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_line(&self, out: &mut Vec<u8>, method: &str, key: u64, host: &str) {
        out.extend_from_slice(method.as_bytes());
        out.extend_from_slice(self.key_path.as_bytes());
        write_number(out, key, KEY_DIGITS);
        write_host(out, host);
    }
}

/// Keys are numbers of so many digits, so that their order is that of their numbers.
pub(crate) const KEY_DIGITS: usize = 10;

fn write_host(out: &mut Vec<u8>, host: &str) {
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A decimal number with at least so many digits.
fn write_number(out: &mut Vec<u8>, mut number: u64, digits_min: usize) {
    let begin = out.len();
    while number > 0 || out.len() - begin < digits_min {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
    }
    if let Some(digits) = out.get_mut(begin..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(prefix: &str, request: &Request<'_>) -> String {
        let mut out = Vec::new();
        Requests::new(prefix.as_bytes()).write(&mut out, "localhost:1", request);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_are_plain_http() {
        let table = [
            (Request::Get { key: 3 }, "GET /v1/kv/a%20b/0000000003 HTTP/1.1\r\nhost: localhost:1\r\n\r\n"),
            (
                Request::Delete { key: 3 },
                "DELETE /v1/kv/a%20b/0000000003 HTTP/1.1\r\nhost: localhost:1\r\n\r\n",
            ),
            (
                Request::Put { key: 12_345_678_901, value_bytes: 0, condition: Condition::Any },
                "PUT /v1/kv/a%20b/12345678901 HTTP/1.1\r\nhost: localhost:1\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                Request::Put { key: 0, value_bytes: 120, condition: Condition::Match(b"\"f\"") },
                "PUT /v1/kv/a%20b/0000000000 HTTP/1.1\r\nhost: localhost:1\r\ncontent-length: 120\r\n\
                 if-match: \"f\"\r\n\r\n",
            ),
            (
                Request::Put { key: 0, value_bytes: 1, condition: Condition::Absent },
                "PUT /v1/kv/a%20b/0000000000 HTTP/1.1\r\nhost: localhost:1\r\ncontent-length: 1\r\n\
                 if-none-match: *\r\n\r\n",
            ),
            (
                Request::Scan { start: 7, limit: 100 },
                "GET /v1/kv?values=true&prefix=a%20b%2F&start=a%20b%2F0000000007&limit=100 HTTP/1.1\r\n\
                 host: localhost:1\r\n\r\n",
            ),
        ];
        for (request, expected) in table {
            assert_eq!(written("a b/", &request), expected);
        }
    }

    #[test]
    fn prefix_may_hold_any_bytes() {
        let mut out = Vec::new();
        Requests::new(b"\xf0\0").write(&mut out, "h:1", &Request::Scan { start: 1, limit: 2 });
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("prefix=%F0%00&start=%F0%000000000001&"), "{text}");
    }
}
