//! Hosts and ports as people write them.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// A host and a port as people write them: `127.0.0.1:7400`, `[::1]:7400`, `node-1.example:7411`.
///
/// A host name isn't resolved when it is parsed but each time when it is used, so that a change of its address
/// is noticed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: Box<str>,
    port: u16,
}

/// A text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not an address: {accepted}", accepted = HostPort::ACCEPTED)]
pub struct ParseAddressError {
    found: String,
}

impl HostPort {
    const ACCEPTED: &'static str =
        "host:port with a port of 1 to 65535, such as 127.0.0.1:7400, [::1]:7400 or node-1.example:7400";
    /// The longest host in bytes, as in the domain name system.
    pub const HOST_BYTES_MAX: usize = 253;

    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; zero lets the system choose when listening, and is parsed only by [`Self::parse_listen`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port }
    }

    /// Parses an address to listen on: port 0, "any free port", is accepted too.
    ///
    /// # Errors
    /// When the text is not `host:port`.
    pub fn parse_listen(text: &str) -> Result<Self, ParseAddressError> {
        Self::parse(text).ok_or_else(|| ParseAddressError { found: text.chars().take(80).collect() })
    }

    /// Asks the system for the host's addresses. Blocks while a name server is asked.
    ///
    /// # Errors
    /// When the name can't be resolved, or has no address.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<_> = (&*self.host, self.port).to_socket_addrs()?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.host)));
        }
        Ok(addresses)
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let all_digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|_| all_digits)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => {
                let inner = bracketed.strip_suffix(']')?;
                inner.parse::<Ipv6Addr>().ok()?;
                inner
            }
            None => Some(host).filter(|host| is_host_name(host))?,
        };
        Some(Self { host: host.into(), port })
    }
}

/// Letters, digits, hyphens and underscores between dots: names, and IPv4 addresses.
fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= HostPort::HOST_BYTES_MAX && host.split('.').all(is_label)
}

impl FromStr for HostPort {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_listen(text).and_then(|parsed| match parsed.port {
            0 => Err(ParseAddressError { found: text.chars().take(80).collect() }),
            _ => Ok(parsed),
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_text_is_parsed_and_printed_alike() {
        for good in ["127.0.0.1:7400", "[::1]:7400", "localhost:1", "node-1.rack_2.example:65535"] {
            assert_eq!(good.parse::<HostPort>().unwrap().to_string(), good);
        }
        assert_eq!("[::1]:7400".parse::<HostPort>().unwrap().host(), "::1");
    }

    #[test]
    fn address_text_of_another_form_is_refused_with_what_is_accepted() {
        let long = format!("{}:1", "a.".repeat(200));
        let table = [
            "",
            ":",
            "host",
            "host:",
            ":7400",
            "host:0",
            "host:65536",
            "host:+1",
            "host:7400x",
            "::1:7400",
            "[::1]",
            "[::1]7400",
            "[host]:7400",
            "a b:1",
            "http://host:1",
            "a..b:1",
            "hö:1",
            &long,
        ];
        for bad in table {
            let refused = bad.parse::<HostPort>().unwrap_err().to_string();
            assert!(refused.contains("host:port"), "{bad}: {refused}");
        }
    }
}
