//! Whether the routers are ready.

use std::time::Duration;

use roundtable_client::Client;

use crate::failure::Failure;
use crate::up::layout::Layout;

/// Asks the routers of a starting cluster.
#[derive(Debug)]
pub(crate) struct Readiness {
    routers: Vec<(String, Client)>,
}

impl Readiness {
    /// Of these routers.
    pub(crate) fn new(layout: &Layout) -> Result<Self, Failure> {
        let mut routers = Vec::new();
        for router in &layout.routers {
            let client = Client::builder()
                .router(format!("http://{}", router.address))
                .attempt_timeout(Duration::from_secs(1))
                .build()?;
            routers.push((router.id.clone(), client));
        }
        Ok(Self { routers })
    }

    /// Nothing if all are ready, else who is not, and why.
    pub(crate) async fn obstacle(&self) -> Option<String> {
        for (id, client) in &self.routers {
            match client.readiness().await {
                Ok(readiness) if readiness.ready => {}
                Ok(readiness) => return Some(format!("{id} is {readiness}")),
                Err(error) => return Some(format!("{id} does not answer: {error}")),
            }
        }
        None
    }
}
