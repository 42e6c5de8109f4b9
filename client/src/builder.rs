//! How a client is made.

use std::time::Duration;

use rand::RngExt;
use url::Url;

use crate::client::Client;
use crate::engine::Engine;
use crate::routers::Routers;

/// Where a router listens unless something else is said.
pub(crate) const DEFAULT_ROUTER: &str = "http://127.0.0.1:7400";

/// A client that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An address that is not a router's.
    #[error(
        "{found:?} is not a router's address: {problem}; expected http://HOST:PORT, such as {DEFAULT_ROUTER}"
    )]
    Address {
        /// What was given.
        found: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A time of zero.
    #[error("{what} must be longer than zero")]
    ZeroTime {
        /// Which one.
        what: &'static str,
    },
}

/// Makes a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    routers: Vec<String>,
    attempt_timeout: Duration,
    deadline: Duration,
    first: Option<usize>,
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self {
            routers: Vec::new(),
            attempt_timeout: Duration::from_secs(2),
            deadline: Duration::from_secs(10),
            first: None,
        }
    }

    /// Adds a router, such as `http://127.0.0.1:7400` (the default when none is given).
    #[must_use]
    pub fn router(mut self, address: impl Into<String>) -> Self {
        self.routers.push(address.into());
        self
    }

    /// How long one attempt waits for its answer before another router is asked (default 2 s, at most 60 s).
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// How long a call tries in all, its pauses included (default 10 s).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Begins with the router at this place, rather than with one drawn at random (which spreads many clients).
    #[must_use]
    pub fn first_router(mut self, place: usize) -> Self {
        self.first = Some(place);
        self
    }

    /// The client. Nothing is connected yet.
    ///
    /// # Errors
    /// When an address is not `http://HOST:PORT`, or a time is zero.
    pub fn build(self) -> Result<Client, BuildError> {
        for (what, time) in [("the attempt timeout", self.attempt_timeout), ("the deadline", self.deadline)] {
            if time.is_zero() {
                return Err(BuildError::ZeroTime { what });
            }
        }
        let mut addresses: Vec<Box<str>> = Vec::new();
        for router in &self.routers {
            let address = checked_address(router)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            addresses.push(DEFAULT_ROUTER.into());
        }
        let first = self.first.unwrap_or_else(|| rand::rng().random_range(0..addresses.len()));
        let routers = Routers::new(addresses, first);
        Ok(Client::new(Engine::new(routers, self.attempt_timeout, self.deadline)))
    }
}

/// Scheme, host and port of an address that has nothing else.
fn checked_address(found: &str) -> Result<Box<str>, BuildError> {
    let refuse = |problem: &str| BuildError::Address { found: found.to_owned(), problem: problem.to_owned() };
    let url = Url::parse(found).map_err(|error| refuse(&error.to_string()))?;
    if url.scheme() != "http" {
        return Err(refuse("only http is spoken"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it holds a user name or a password"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it holds more than host and port"));
    }
    let host = url.host_str().ok_or_else(|| refuse("it has no host"))?;
    let port = url.port_or_known_default().ok_or_else(|| refuse("it has no port"))?;
    Ok(format!("http://{host}:{port}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_reduced_to_host_and_port() {
        assert_eq!(&*checked_address("http://localhost:7400/").unwrap(), "http://localhost:7400");
        assert_eq!(&*checked_address("http://[::1]:7400").unwrap(), "http://[::1]:7400");
        assert_eq!(&*checked_address("http://store.example").unwrap(), "http://store.example:80");
    }

    #[test]
    fn address_of_another_form_is_refused() {
        for bad in [
            "",
            "127.0.0.1:7400",
            "https://a:1",
            "http://a:1/v1",
            "http://a:1/?x",
            "http://u:p@a:1",
            "http://:1",
        ] {
            assert!(checked_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn builder_refuses_a_zero_deadline() {
        let refused = Client::builder().deadline(Duration::ZERO).build();
        assert_eq!(refused.err(), Some(BuildError::ZeroTime { what: "the deadline" }));
    }
}
