//! What a node is asked over HTTP.

use hyper::Method;
use roundtable_common::wire::{BATCH_PATH, HELLO_PATH, SCAN_PATH};

/// A request's head, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A batch of requests on keys.
    Batch,
    /// A page of registers.
    Scan,
    /// Who are you?
    Hello,
    /// Is the process alive?
    Live,
    /// Does the node vote?
    Ready,
    /// The metrics.
    Metrics,
    /// The path exists, for this method.
    WrongMethod {
        /// The method that it takes.
        allowed: &'static str,
    },
    /// There is no such path.
    Unknown,
}

impl Endpoint {
    /// Reads method and path. The query of a hello names whom the asker expects; the answer names who is here, so
    /// nothing hangs on it.
    pub(crate) fn parse(method: &Method, path: &str) -> Self {
        let (endpoint, allowed) = match path {
            BATCH_PATH => (Self::Batch, "POST"),
            SCAN_PATH => (Self::Scan, "POST"),
            HELLO_PATH => (Self::Hello, "GET"),
            "/livez" => (Self::Live, "GET"),
            "/readyz" => (Self::Ready, "GET"),
            "/metrics" => (Self::Metrics, "GET"),
            _ => return Self::Unknown,
        };
        let is_head = allowed == "GET" && method == Method::HEAD;
        if is_head || method.as_str() == allowed { endpoint } else { Self::WrongMethod { allowed } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_is_told_by_method_and_path() {
        let table = [
            (Method::POST, "/replica/v1/batch", Endpoint::Batch),
            (Method::GET, "/replica/v1/batch", Endpoint::WrongMethod { allowed: "POST" }),
            (Method::POST, "/replica/v1/scan", Endpoint::Scan),
            (Method::GET, "/replica/v1/hello", Endpoint::Hello),
            (Method::HEAD, "/readyz", Endpoint::Ready),
            (Method::DELETE, "/metrics", Endpoint::WrongMethod { allowed: "GET" }),
            (Method::GET, "/replica/v2/hello", Endpoint::Unknown),
            (Method::GET, "/", Endpoint::Unknown),
        ];
        for (method, path, expected) in table {
            assert_eq!(Endpoint::parse(&method, path), expected, "{method} {path}");
        }
    }
}
