//! Deletes the keys of a range: those that a listing shows, each by itself.

use std::sync::Arc;

use roundtable_consensus::{Answer, Change, Condition, Failure, Key, Operation, Outcome, PageEnd, Task};
use tokio::task::JoinSet;

use crate::http::{Code, Problem};
use crate::listing::request::ListRequest;
use crate::listing::scanner::{Found, Page, Scanner, key_problem};
use crate::topology::Cluster;

/// Keys that one step deletes.
const STEP_KEYS: usize = 1_000;
/// Keys that are deleted at once.
const DELETES_MAX: usize = 64;

/// A deletion on its way through its range.
pub struct Removal {
    cluster: Arc<Cluster>,
    scanner: Scanner,
    keys: Vec<Key>,
    end: PageEnd,
}

/// What one step did.
#[derive(Debug)]
pub struct Removed {
    /// Keys that it deleted.
    pub deleted: u64,
    /// Up to which key everything is deleted; `None` when the step failed before its end.
    pub end: Option<PageEnd>,
    /// Why it failed. Of the keys whose deletion failed, some may still be deleted.
    pub problem: Option<Problem>,
}

impl Removal {
    /// Finds the first keys. Nothing is deleted yet.
    ///
    /// # Errors
    /// When the keys can't be listed.
    pub async fn begin(
        cluster: Arc<Cluster>,
        request: ListRequest,
        deadline_us: u64,
    ) -> Result<Self, Problem> {
        let scanner = Scanner::new(Arc::clone(&cluster), request);
        let mut removal = Self { cluster, scanner, keys: Vec::new(), end: PageEnd::Exhausted };
        removal.find(deadline_us).await?;
        Ok(removal)
    }

    /// Deletes the keys that were found, and finds the next ones. Lists and deletes by `deadline_us`.
    pub async fn step(&mut self, deadline_us: u64) -> Removed {
        let keys = std::mem::take(&mut self.keys);
        let end = self.end.clone();
        let (deleted, problem) = self.delete(keys, deadline_us).await;
        if problem.is_some() {
            return Removed { deleted, end: None, problem };
        }
        let problem = match end {
            PageEnd::Exhausted => None,
            PageEnd::Through(_) => self.find(deadline_us).await.err(),
        };
        Removed { deleted, end: Some(end), problem }
    }

    async fn find(&mut self, deadline_us: u64) -> Result<(), Problem> {
        let Page { items, end } = self.scanner.next_page(STEP_KEYS, deadline_us).await?;
        self.keys = items.into_iter().map(|Found { key, .. }| key).collect();
        self.end = end;
        Ok(())
    }

    /// Deletes keys, some at once; after a failure begins no more. Returns how many it deleted.
    async fn delete(&self, keys: Vec<Key>, deadline_us: u64) -> (u64, Option<Problem>) {
        let mut keys = keys.into_iter();
        let mut deletes: JoinSet<Result<Answer, Failure>> = JoinSet::new();
        let (mut deleted, mut problem) = (0, None);
        loop {
            while problem.is_none() && deletes.len() < DELETES_MAX {
                let Some(key) = keys.next() else { break };
                let Some((partition, replicas)) = self.cluster.place(&key) else { continue };
                let engine = Arc::clone(self.cluster.engine());
                let operation =
                    Operation { change: Change::Delete, condition: Condition::None, client_key: None };
                let task = Task::Change(operation);
                deletes
                    .spawn(async move { engine.submit(key, partition, replicas, task, deadline_us).await });
            }
            match deletes.join_next().await {
                None => return (deleted, problem),
                Some(Ok(Ok(Answer::Settled(Outcome::Deleted(_))))) => deleted += 1,
                // Somebody else deleted it first.
                Some(Ok(Ok(Answer::Settled(_)))) => {}
                Some(Ok(Ok(Answer::NoRoom))) => problem = Some(key_problem(Failure::DiskReserve, "deleted")),
                Some(Ok(Err(failure))) => problem = Some(key_problem(failure, "deleted")),
                Some(Ok(Ok(_)) | Err(_)) => {
                    problem = Some(Problem::new(Code::Timeout, "a key's deletion was not settled"));
                }
            }
        }
    }
}
