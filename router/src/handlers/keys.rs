//! Reads and changes of one key.

use bytes::Bytes;
use hyper::header::HeaderValue;
use roundtable_consensus::{
    Answer, Change, ClientKey, Expiry, Failure, Key, NodeIndex, Operation, PartitionId, Register, ReplicaSet,
    Task, Value,
};

use crate::app::App;
use crate::handlers::{Reply, deadline_us};
use crate::http::reply::{CONSISTENCY, not_modified, outcome_reply, value_reply};
use crate::http::{Action, Code, Get, Problem, TagList, Write, fingerprint};
use crate::topology::Cluster;

/// Reads one key.
///
/// # Errors
/// `not_found`, or why the state is not known.
pub(super) async fn get(app: &App, cluster: &Cluster, get: Get) -> Result<Reply, Problem> {
    let deadline_us = deadline_us(app, get.timeout_ms);
    let register = read(cluster, &get.key, get.eventual, deadline_us).await?;
    let full = value_reply(&register)?;
    let is_known = register.etag().is_some_and(|version| {
        get.if_none_match.as_ref().is_some_and(|list: &TagList| list.names_weakly(version))
    });
    let mut response = if is_known { not_modified(full) } else { full };
    if get.eventual {
        response.headers_mut().insert(CONSISTENCY, HeaderValue::from_static("eventual"));
    }
    Ok(Reply::Whole(response))
}

/// The state of one key, linearizable or not.
pub(super) async fn read(
    cluster: &Cluster,
    key: &Key,
    eventual: bool,
    deadline_us: u64,
) -> Result<Register, Problem> {
    let (partition, replicas) = cluster.place(key).ok_or_else(|| no_partition(key))?;
    let task = if eventual { Task::ReadEventual } else { Task::Read };
    let engine = cluster.engine();
    match engine.submit(key.clone(), partition, replicas.clone(), task, deadline_us).await {
        Ok(Answer::State(register)) if eventual && register.is_expired(engine.hybrid_ms(key)) => {
            Err(Problem::new(
                Code::NotFound,
                "the key has no value: it has expired at the replica that was asked",
            ))
        }
        Ok(Answer::State(register)) => Ok(*register),
        // A read has no client's key and makes no change.
        Ok(Answer::Settled(_) | Answer::KeyReused | Answer::Forgotten | Answer::NoRoom) => {
            Err(Problem::new(Code::Timeout, "the value could not be read: the read was not settled"))
        }
        Err(failure) => Err(read_problem(failure, cluster, partition, &replicas)),
    }
}

/// Changes one key.
///
/// # Errors
/// Why the change was refused, or why its outcome is not known.
pub async fn write(app: &App, cluster: &Cluster, write: Write, value: Bytes) -> Result<Reply, Problem> {
    let (partition, replicas) = cluster.place(&write.key).ok_or_else(|| no_partition(&write.key))?;
    let engine = cluster.engine();
    let now_ms = engine.hybrid_ms(&write.key);
    let client_key = client_key(&write, &value, now_ms)?;
    let expires =
        |ttl_ms: Option<u64>| ttl_ms.map_or(Expiry::Never, |ttl| Expiry::At(now_ms.saturating_add(ttl)));
    let change = match write.action {
        Action::Put { content_type, ttl_ms } => {
            Change::Put { value: Value { bytes: value, content_type }, expiry: expires(ttl_ms) }
        }
        Action::Delete => Change::Delete,
        Action::Increment { by, ttl_ms } => Change::Increment { by, expiry: expires(ttl_ms) },
        Action::Touch { ttl_ms } => Change::Touch { expiry: expires(ttl_ms) },
    };
    let task = Task::Change(Operation { change, condition: write.condition, client_key });
    let deadline_us = deadline_us(app, write.timeout_ms);
    let named = client_key.is_some();
    match engine.submit(write.key, partition, replicas.clone(), task, deadline_us).await {
        Ok(Answer::Settled(outcome)) => outcome_reply(&outcome).map(Reply::Whole),
        Ok(Answer::KeyReused) => Err(Problem::new(
            Code::IdempotencyKeyReused,
            "the Idempotency-Key was used for another request on this key; nothing changed",
        )),
        Ok(Answer::Forgotten) => Err(Problem::new(
            Code::OutcomeUnknown,
            "the key's history no longer reaches back to the time in the Idempotency-Key: the operation may have \
             been applied before, and is not applied again",
        )),
        Ok(Answer::NoRoom) => Err(refusal(Failure::DiskReserve, cluster, partition, &replicas)),
        // A change is answered with its outcome.
        Ok(Answer::State(_)) => Err(unknown(named)),
        Err(failure) => Err(write_problem(failure, named, cluster, partition, &replicas)),
    }
}

fn client_key(write: &Write, value: &Bytes, now_ms: u64) -> Result<Option<ClientKey>, Problem> {
    write
        .idempotency
        .map(|key| {
            let fingerprint = fingerprint(&write.key, &write.action, &write.condition, value);
            key.to_client_key(now_ms, fingerprint)
        })
        .transpose()
}

fn read_problem(
    failure: Failure,
    cluster: &Cluster,
    partition: PartitionId,
    replicas: &ReplicaSet,
) -> Problem {
    let problem = match failure {
        // A read changes nothing, so it is never in doubt.
        Failure::Timeout | Failure::Unknown => Problem::new(Code::Timeout, Failure::Timeout.to_string()),
        other => refusal(other, cluster, partition, replicas),
    };
    problem.within("the value could not be read")
}

fn write_problem(
    failure: Failure,
    named: bool,
    cluster: &Cluster,
    partition: PartitionId,
    replicas: &ReplicaSet,
) -> Problem {
    match failure {
        Failure::Timeout | Failure::Unknown => unknown(named),
        other => refusal(other, cluster, partition, replicas),
    }
}

/// The problem of a request that is never applied.
fn refusal(failure: Failure, cluster: &Cluster, partition: PartitionId, replicas: &ReplicaSet) -> Problem {
    let code = match failure {
        Failure::NoQuorum => {
            return Problem::new(Code::NoQuorum, no_quorum_detail(cluster, partition, replicas));
        }
        Failure::ClockSkew => Code::ClockSkew,
        Failure::DiskReserve => Code::DiskReserve,
        Failure::Contention | Failure::Overloaded => Code::Overloaded,
        Failure::Unknown | Failure::Timeout => Code::OutcomeUnknown,
    };
    Problem::new(code, failure.to_string())
}

fn unknown(named: bool) -> Problem {
    let advice = if named {
        "repeat the request with the same Idempotency-Key to learn it"
    } else {
        "read the key to see its state; a request with an Idempotency-Key could be repeated"
    };
    let detail = format!(
        "too few replicas answered in time: the change may be applied, now, later or never; {advice}"
    );
    Problem::new(Code::OutcomeUnknown, detail).with_retryable(named)
}

fn no_quorum_detail(cluster: &Cluster, partition: PartitionId, replicas: &ReplicaSet) -> String {
    let describe = |node: &NodeIndex| {
        let link = cluster.engine().link(*node)?;
        let status = link.status();
        (!status.standing.is_usable()).then(|| format!("{} ({})", link.target.node, status.detail))
    };
    let unusable: Vec<String> = replicas.members().iter().filter_map(describe).collect();
    let because = if unusable.is_empty() { String::new() } else { format!(": {}", unusable.join(", ")) };
    format!("{} of partition {partition}{because}", Failure::NoQuorum)
}

fn no_partition(key: &Key) -> Problem {
    Problem::new(Code::NoQuorum, format!("there is no partition for the key {key}"))
}
