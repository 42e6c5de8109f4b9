//! A connection to etcd over gRPC, with the crate that Rust programs use.

use std::net::SocketAddr;

use bytes::Bytes;
use etcd_client::Client;

use crate::connection::CallError;

/// One client with one connection: as many connections as the load has clients, as with the other systems.
pub(crate) struct EtcdConnection {
    client: Client,
}

impl EtcdConnection {
    /// Opens one.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, CallError> {
        let client = Client::connect([address.to_string()], None).await.map_err(CallError::of)?;
        Ok(Self { client })
    }

    /// Writes a key.
    pub(crate) async fn put(&mut self, key: &str, value: &[u8]) -> Result<(), CallError> {
        self.client.put(key, value, None).await.map(drop).map_err(CallError::of)
    }

    /// Reads a key, linearizably (etcd's default).
    pub(crate) async fn get(&mut self, key: &str) -> Result<Bytes, CallError> {
        let found = self.client.get(key, None).await.map_err(CallError::of)?;
        let entry = found.kvs().first().ok_or_else(|| CallError::of("no such key"))?;
        Ok(Bytes::copy_from_slice(entry.value()))
    }
}
