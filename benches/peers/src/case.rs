//! What is measured: a system under one load.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A system, as its clients reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum System {
    /// Three nodes and a router, over HTTP
    Roundtable,
    /// Three members, over gRPC
    EtcdGrpc,
    /// Three members, over the HTTP gateway with its JSON
    EtcdHttp,
    /// A primary and two replicas, over Redis's own protocol
    Redis,
}

impl System {
    /// As the tables say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Roundtable => "Roundtable",
            Self::EtcdGrpc => "etcd, gRPC",
            Self::EtcdHttp => "etcd, HTTP",
            Self::Redis => "Redis, WAIT 1",
        }
    }

    /// Whether `wrk` drives it; the others have drivers of their own.
    pub(crate) fn speaks_http(self) -> bool {
        matches!(self, Self::Roundtable | Self::EtcdHttp)
    }
}

/// What the requests do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    /// Reads alone
    Get,
    /// 19 reads, then a write
    Mixed,
    /// Writes alone
    Put,
    /// Writes of one single key
    Hot,
}

impl Operation {
    /// As the tables say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Mixed => "95 % get, 5 % put",
            Self::Put => "put",
            Self::Hot => "put, one hot key",
        }
    }

    /// Every how manieth request is a write; 0 for none.
    pub(crate) fn put_every(self) -> u32 {
        match self {
            Self::Get => 0,
            Self::Mixed => 20,
            Self::Put | Self::Hot => 1,
        }
    }
}

/// How often each key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Distribution {
    /// Every key alike
    Uniform,
    /// The key of rank r with weight 1/r^0.99
    Zipfian,
}

/// One load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Case {
    /// The size of each value.
    pub(crate) value_bytes: u32,
    /// What the requests do.
    pub(crate) operation: Operation,
    /// How keys are drawn. A hot key is uniform over one key.
    pub(crate) distribution: Distribution,
    /// How many connections, each with one request under way.
    pub(crate) connections: u32,
}

impl Case {
    /// For messages: `put, 1024 B, uniform, 64 connections`.
    pub(crate) fn describe(&self) -> String {
        let keys = match (self.operation, self.distribution) {
            (Operation::Hot, _) => "",
            (_, Distribution::Uniform) => ", uniform",
            (_, Distribution::Zipfian) => ", zipfian",
        };
        let connections = match self.connections {
            1 => "1 connection".to_owned(),
            count => format!("{count} connections"),
        };
        format!("{}, {} B{keys}, {connections}", self.operation.name(), self.value_bytes)
    }
}
