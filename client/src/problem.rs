//! A router's description of what went wrong.

use std::fmt;

use serde::Deserialize;

/// An error answer (RFC 9457 with the members that Roundtable adds). Of an answer that is not one, such as a proxy's,
/// only the status is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code, such as `no_quorum`; empty when the answer had none.
    pub code: String,
    /// What happened, where, and what would be accepted.
    pub detail: String,
    /// Whether the router says that a repeat may succeed; absent when it says nothing.
    pub retryable: Option<bool>,
    /// The request's name in the router's logs.
    pub request_id: Option<String>,
}

/// The members as they arrive: whatever is missing or of another type in a foreign body is left out.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Members {
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    retryable: Option<bool>,
    request_id: Option<String>,
}

impl Problem {
    /// Reads the body of an answer with this status.
    pub(crate) fn from_body(status: u16, body: &[u8]) -> Self {
        let members: Members = serde_json::from_slice(body).unwrap_or_default();
        let detail = members.detail.or(members.title).unwrap_or_else(|| {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            text.trim().to_owned()
        });
        Self {
            status,
            code: members.code.unwrap_or_default(),
            detail,
            retryable: members.retryable,
            request_id: members.request_id,
        }
    }

    /// Whether the answer says that the *key* does not exist, rather than the address.
    pub(crate) fn says_key_absent(&self) -> bool {
        self.status == 404 && self.code == "not_found"
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_of_a_router_keeps_its_members() {
        let body = br#"{"type":"x","title":"No quorum","status":503,"detail":"p12","code":"no_quorum",
                        "outcome":"not_applied","retryable":true,"request_id":"r-1"}"#;
        let problem = Problem::from_body(503, body);
        assert_eq!((problem.code.as_str(), problem.retryable), ("no_quorum", Some(true)));
        assert_eq!(problem.to_string(), "503 no_quorum: p12 (request r-1)");
    }

    #[test]
    fn problem_of_a_foreign_body_keeps_status_and_text() {
        let problem = Problem::from_body(502, b"<html>bad gateway</html>\n");
        assert_eq!(problem.to_string(), "502: <html>bad gateway</html>");
        assert_eq!(Problem::from_body(500, b"").to_string(), "500");
    }
}
