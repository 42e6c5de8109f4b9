//! A cluster that bad input must leave as it was.

use crate::cluster::Cluster;
use crate::http::{Answer, Http};
use crate::raw::Raw;

/// A cluster with one key, and what stood there before the bad input came.
#[derive(Debug)]
pub struct Scene {
    cluster: Cluster,
    router: Http,
    before: Answer,
}

impl Scene {
    /// Starts it. The key `anchor` holds `untouched`.
    pub async fn start() -> Self {
        let cluster = Cluster::start().await;
        let router = cluster.router(1);
        router.put("anchor", "untouched").header("content-type", "text/plain").send().await.must_be(201);
        let before = router.get("/v1/kv").query("values", "true").send().await.must_be(200);
        Self { cluster, router, before }
    }

    /// A client of the router.
    #[must_use]
    pub fn router(&self) -> &Http {
        &self.router
    }

    /// A client of a node, counted from 1.
    pub fn node(&mut self, number: usize) -> Http {
        self.cluster.node(number).http()
    }

    /// A connection to the router on which anything may be written.
    #[must_use]
    pub fn raw(&self) -> Raw {
        Raw::connect(self.router.address())
    }

    /// Requires that nothing has changed and that every process still serves.
    ///
    /// # Panics
    /// When something has.
    pub async fn must_be_unharmed(mut self) {
        let after = self.router.get("/v1/kv").query("values", "true").send().await.must_be(200);
        assert_eq!(after.text(), self.before.text());
        assert_eq!(self.router.read("anchor").send().await.must_be(200).text(), "untouched");
        for number in 1..=3 {
            assert!(self.cluster.node(number).exited().is_none());
        }
        assert!(self.cluster.router_process(1).exited().is_none());
        self.router.put("new", "x").send().await.must_be(201);
    }
}
