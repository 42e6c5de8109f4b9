//! Names of things: nodes, directories, clusters, partitions, configurations, operations.

use std::fmt;
use std::str::FromStr;

/// A text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a {what}: {accepted}")]
pub struct ParseIdError {
    /// The kind of identifier that was asked for.
    pub what: &'static str,
    /// The text that was found, cut to 80 characters.
    pub found: String,
    /// What would have been accepted.
    pub accepted: &'static str,
}

impl ParseIdError {
    pub(crate) fn new(what: &'static str, found: &str, accepted: &'static str) -> Self {
        Self { what, found: found.chars().take(80).collect(), accepted }
    }
}

/// A storage node's name in `cluster.toml`: 1 to 63 characters `a-z 0-9 - _ .`, a letter or digit first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Box<str>);

impl NodeId {
    /// The longest name in bytes.
    pub const BYTES_MAX: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let all_allowed = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
        if starts_well && all_allowed && text.len() <= Self::BYTES_MAX {
            Ok(Self(text.into()))
        } else {
            Err(ParseIdError::new(
                "node id",
                text,
                "1 to 63 characters of a-z, 0-9, '-', '_' and '.', beginning with a letter or a digit",
            ))
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node as the running process numbers it; the number means nothing to another process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u16);

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One slice of the key space, below the cluster's fixed number of partitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Debug for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The `version` number of a chosen configuration. Successive epochs may skip numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let parsed = (text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()))
                    .then(|| u128::from_str_radix(text, 16).ok())
                    .flatten();
                parsed.map(Self).ok_or_else(|| ParseIdError::new($what, text, "32 hexadecimal digits"))
            }
        }
    };
}

id128!(
    /// A data directory's random name, drawn once when the directory is made: it tells a lost disk from a kept one.
    StorageId,
    "storage id"
);
id128!(
    /// A cluster's name: the hash of its first configuration, storage ids included.
    ClusterId,
    "cluster id"
);
id128!(
    /// A client's name for one operation: the 128 bits of its `Idempotency-Key`.
    OpId,
    "operation id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_id_text_is_checked() {
        for good in ["n1", "0", "store-7.rack_b", &"a".repeat(63)] {
            assert_eq!(good.parse::<NodeId>().unwrap().to_string(), good);
        }
        for bad in ["", "N1", "-n", "n 1", "n/1", "é", &"a".repeat(64)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn wide_ids_print_and_parse_alike() {
        let id = StorageId(0x0123_4567_89ab_cdef);
        assert_eq!(id.to_string().parse::<StorageId>().unwrap(), id);
        assert!("+123456789abcdef0123456789abcdef".parse::<OpId>().is_err());
    }
}
