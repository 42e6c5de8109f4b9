//! Keys and parameters as parts of a request target.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::error::RequestError;

/// Everything but the characters that RFC 3986 calls unreserved.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A key's slashes stand for themselves, so that addresses stay readable.
const KEY: &AsciiSet = &PARAMETER.remove(b'/');

/// The longest key in bytes.
const KEY_BYTES_MAX: usize = 4096;

/// The request path of a key below `prefix`, such as `/v1/kv`.
///
/// A key with a segment `.` or `..` takes the second form, `/v1/kvb/` and the key in base64url: URL libraries and proxies
/// would leave such a segment out, however it is escaped (WHATWG URL standard, "single-dot" and "double-dot URL path
/// segment").
///
/// # Errors
/// When the key has no bytes or more than 4096.
pub(crate) fn key_path(prefix: &str, key: &[u8]) -> Result<String, RequestError> {
    match key.len() {
        0 => Err(RequestError::EmptyKey),
        length if length > KEY_BYTES_MAX => Err(RequestError::KeyTooLong { length }),
        _ if has_dot_segment(key) => Ok(format!("{prefix}b/{}", URL_SAFE_NO_PAD.encode(key))),
        _ => Ok(format!("{prefix}/{}", percent_encode(key, KEY))),
    }
}

fn has_dot_segment(key: &[u8]) -> bool {
    key.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b".."))
}

/// A query under construction.
#[derive(Debug, Default)]
pub(crate) struct Query(String);

impl Query {
    /// With one more parameter, its value percent-encoded.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(percent_encode(value.as_ref(), PARAMETER));
        self
    }

    /// With one more parameter if there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The text, beginning with `?` unless it is empty.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_path_encodes_every_byte_that_a_url_cannot_hold() {
        let table: [(&[u8], &str); 9] = [
            (b"plain-key_1.~", "/v1/kv/plain-key_1.~"),
            (b"a/b//c", "/v1/kv/a/b//c"),
            (b"...", "/v1/kv/..."),
            (b"..", "/v1/kvb/Li4"),
            (b"a/./b", "/v1/kvb/YS8uL2I"),
            (b"%2e%2E", "/v1/kv/%252e%252E"),
            (b"a b?c#d%e+f&g", "/v1/kv/a%20b%3Fc%23d%25e%2Bf%26g"),
            (b"{tag}/x", "/v1/kv/%7Btag%7D/x"),
            (b"\0\xff", "/v1/kv/%00%FF"),
        ];
        for (key, path) in table {
            assert_eq!(key_path("/v1/kv", key).unwrap(), path);
        }
        assert_eq!(key_path("/v1/cluster/where", b"..").unwrap(), "/v1/cluster/whereb/Li4");
    }

    #[test]
    fn key_path_goes_through_a_url_library_unchanged() {
        let url = |path: &str| url::Url::parse(&format!("http://router{path}")).unwrap();
        for key in [
            "a", ".", "..", "a/..", "../a", "a/./b", "a/../b", "./", "/..", "..a", ".a.", "%2e", ".%2E",
            "%2e%2e/x", "a\\..\\b", "\t..", "..\n", "//", "a//", "?..", "#..", " ..", ".. ",
        ] {
            let path = key_path("/v1/kv", key.as_bytes()).unwrap();
            assert_eq!(url(&path).path(), path, "{key:?}");
        }
        // What the second form is for.
        assert_eq!(url("/v1/kv/a/%2e%2e/b").path(), "/v1/kv/b");
    }

    #[test]
    fn key_path_of_unfit_length_is_refused() {
        assert!(matches!(key_path("", b""), Err(RequestError::EmptyKey)));
        assert!(key_path("", &[0; 4096]).is_ok());
        assert!(matches!(key_path("", &[0; 4097]), Err(RequestError::KeyTooLong { length: 4097 })));
    }

    #[test]
    fn query_encodes_values_and_leaves_out_what_is_absent() {
        let query =
            Query::default().with("prefix", b"a/b=\xff").with_some("end", None::<&str>).with("limit", "5");
        assert_eq!(query.as_str(), "?prefix=a%2Fb%3D%FF&limit=5");
        assert_eq!(Query::default().as_str(), "");
    }
}
