//! One client's connection to a system: what loads the keys and checks them, and what the drivers drive.

#[cfg(feature = "etcd-grpc")]
mod etcd;
mod http;
mod redis;

use std::net::SocketAddr;

use bytes::Bytes;

use crate::case::System;
#[cfg(feature = "etcd-grpc")]
pub(crate) use crate::connection::etcd::EtcdConnection;
pub(crate) use crate::connection::http::{
    Gateway, HttpConnection, gateway_put, gateway_range, roundtable_path,
};
pub(crate) use crate::connection::redis::RedisConnection;

/// A call that did not do what it should, in a few words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CallError(pub(crate) String);

impl CallError {
    /// Of whatever went wrong.
    pub(crate) fn of(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// One connection, with at most one call under way.
pub(crate) enum Connection {
    /// To a Roundtable router.
    Roundtable(HttpConnection),
    /// To etcd's HTTP gateway.
    Gateway(Gateway),
    /// To etcd over gRPC.
    #[cfg(feature = "etcd-grpc")]
    Etcd(Box<EtcdConnection>),
    /// To a Redis primary.
    Redis(RedisConnection),
}

impl Connection {
    /// Opens one, of the kind that the measured load uses.
    pub(crate) async fn open(system: System, address: SocketAddr) -> Result<Self, CallError> {
        Ok(match system {
            System::Roundtable => Self::Roundtable(HttpConnection::open(address).await?),
            System::EtcdHttp => Self::Gateway(Gateway::open(address).await?),
            #[cfg(feature = "etcd-grpc")]
            System::EtcdGrpc => Self::Etcd(Box::new(EtcdConnection::open(address).await?)),
            #[cfg(not(feature = "etcd-grpc"))]
            System::EtcdGrpc => return Err(CallError::of("built without the feature etcd-grpc")),
            System::Redis => Self::Redis(RedisConnection::open(address).await?),
        })
    }

    /// Writes a key: done when the system says that it is durable as far as it promises.
    pub(crate) async fn put(&mut self, key: &str, value: Bytes) -> Result<(), CallError> {
        match self {
            Self::Roundtable(connection) => connection.put(key, value).await,
            Self::Gateway(connection) => connection.put(key, &value).await,
            #[cfg(feature = "etcd-grpc")]
            Self::Etcd(connection) => connection.put(key, &value).await,
            Self::Redis(connection) => connection.put(key, &value).await,
        }
    }

    /// Reads a key that is there.
    pub(crate) async fn get(&mut self, key: &str) -> Result<Bytes, CallError> {
        match self {
            Self::Roundtable(connection) => connection.get(key).await,
            Self::Gateway(connection) => connection.get(key).await,
            #[cfg(feature = "etcd-grpc")]
            Self::Etcd(connection) => connection.get(key).await,
            Self::Redis(connection) => connection.get(key).await,
        }
    }
}
