//! What a reader needs to judge the figures: machine, method, caveats.

use crate::case::System;
use crate::matrix::Matrix;
use crate::report::number;
use crate::results::Results;

/// What this page is, in two sentences.
pub(crate) fn opening(results: &Results) -> String {
    let systems: Vec<&str> = results.systems().into_iter().map(System::name).collect();
    let machine = &results.machine;
    let selection = match (results.settings.is_selection, results.settings.matrix) {
        (true, _) => " This was a partial run.",
        (false, Matrix::Full) => " Every combination was measured.",
        (false, _) => "",
    };
    format!(
        "Measured on {} in one run, one system after the other ({}), on one machine with {} cores that servers and load \
         tool share. Quote ratios, not absolute figures: the machine is small.{selection} Written by `make bench-peers`; \
         [Method](#method) tells how and what to keep in mind.\n",
        results.date,
        systems.join("; "),
        machine.cores,
    )
}

/// Machine, versions, method, caveats.
pub(crate) fn section(results: &Results) -> String {
    let notes: Vec<String> = results.notes.iter().map(|note| format!("- In this run: {note}.\n")).collect();
    [
        "## Method\n".to_owned(),
        machine(results),
        systems().to_owned(),
        load(results),
        format!("{CAVEATS}{}", notes.concat()),
        DATA.to_owned(),
    ]
    .join("\n")
}

fn machine(results: &Results) -> String {
    let machine = &results.machine;
    let versions: Vec<String> =
        results.versions.iter().map(|(name, version)| format!("| {name} | {version} |\n")).collect();
    format!(
        "| | |\n|---|---|\n\
         | processor | {}, {} cores |\n\
         | memory | {} GiB |\n\
         | disk | {}; {} appends of 1 KiB per second by one thread, each synced |\n\
         | system | {}, Linux {} |\n\
         | load average before | {:.2} |\n{}",
        machine.processor,
        machine.cores,
        number(machine.memory_gib),
        machine.disk,
        number(machine.syncs_per_s),
        machine.distribution,
        machine.kernel,
        machine.load_before,
        versions.concat()
    )
}

fn systems() -> &'static str {
    "Every system starts fresh, keeps three copies on the same disk, talks over the loopback interface, and has a write \
     durable before it answers, as far as it can promise that:\n\n\
     | system | servers | a put is answered when | a get |\n|---|---|---|---|\n\
     | Roundtable | 3 nodes, 1 router, shipped configuration, by `roundtable up` | a majority of the nodes has synced it | \
     linearizable |\n\
     | etcd, gRPC; etcd, HTTP | 3 members; all load goes to the leader | a majority of the members has synced it | \
     linearizable |\n\
     | Redis, WAIT 1 | a primary and 2 replicas, `appendonly yes`, `appendfsync always`, no snapshots | `SET`: the primary \
     has synced it; `WAIT 1`, sent along with it: one replica has *received* it. Redis 7.0 does not wait for the \
     replica's sync | at the primary, **not linearizable**: there is no consensus, and a failover may lose \
     acknowledged writes |\n"
}

fn load(results: &Results) -> String {
    let settings = &results.settings;
    format!(
        "A closed loop: each connection has one request under way and sends the next when the answer is there. {} keys are \
         written first, and some read back and compared. Then, for each case, {} s of warm-up, then windows of {} s, {} of them. \
         Values are random bytes; zipfian keys have the exponent 0.99; both are the same for all systems, as is the sequence \
         from which the connections draw their keys. Reads are measured before writes.\n\n\
         `wrk` drives Roundtable and etcd's HTTP gateway, with requests made ahead; own drivers drive etcd over gRPC (crate \
         `etcd-client`, one client with one connection each) and Redis (its protocol, written directly). Threads of each: \
         {}. Latencies are those that `wrk` computes: stalls are filled in with the requests that a stalled \
         connection did not send (\"coordinated omission\"), and the drivers do the same. In the mixed load they are over \
         reads and writes together.\n\n\
         CPU is user and system time from `/proc`, of all server processes and of children that they waited for, from \
         before the load tool starts until it has ended.\n",
        number(f64::from(settings.keys)),
        settings.warmup_s,
        settings.window_s,
        settings.windows,
        settings.load_threads,
    )
}

const CAVEATS: &str = "Caveats:\n\n\
    - Servers and load tool share the cores, so throughput is what is left after the load tool's own work, which stands in \
    its own column. CPU per operation is blurred least by that.\n\
    - One machine, one disk, no network. Between machines every round trip costs more: behind the router a put of \
    Roundtable takes up to two (prepare, accept) and a get one, behind the leader a put or a get of etcd takes one.\n\
    - One connection mostly measures how fast idle processes wake up.\n\
    - etcd gets no compaction during the run and a quota of 8 GiB, so that nothing interrupts it; its memory grows with what \
    was written. Over gRPC each client has a connection of its own; fewer, shared connections would cost it less CPU.\n\
    - The driver of etcd over gRPC uses more of the shared processors than `wrk` does (its column says how much), which \
    lowers etcd's throughput there, not its CPU per operation. Over HTTP the load tool is the same as Roundtable's.\n\
    - Redis reads from memory alone; its append-only file may be rewritten during the run, as its default says.\n\
    - `wrk` counts answers from status 400 on as errors; figures of cases with errors are shown, marked, and not judged.\n";

const DATA: &str = "Raw results, window by window: [data/peers.json](data/peers.json); the tables' figures: [data/peers.csv](data/peers.csv).\n";
