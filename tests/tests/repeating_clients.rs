//! Clients that repeat writes by themselves when a kept connection ends without an answer: with an `Idempotency-Key`
//! nothing is done twice, and the answer is that of the first attempt. `docs/http-api.md` says which do.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]
#![expect(clippy::print_stdout, reason = "whoever runs the tests must see what was skipped")]

use std::path::PathBuf;
use std::process::Command;

use roundtable_tests::{Cluster, Http, LosingProxy, checkout, idempotency_key};

async fn behind_a_losing_proxy() -> (Cluster, Http, LosingProxy) {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let proxy = LosingProxy::start(router.address()).await;
    (cluster, router, proxy)
}

/// Runs a program to its end and returns what it printed.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8(output.stdout).unwrap();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

/// A read with curl, and on the same connection a write with these options. Returns the write's status and body.
fn read_and_write_with_curl(url: &str, options: &[&str]) -> String {
    let key = format!("Idempotency-Key: {}", idempotency_key());
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "-o", "/dev/null", url, "--next", "-sS", "-w", " %{http_code}", "-H", &key]);
    output(curl.args(options)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_curl_repeats_with_a_key_takes_effect_once() {
    let (_cluster, router, proxy) = behind_a_losing_proxy().await;
    let key = |name: &str| format!("http://{}/v1/kv/{name}", proxy.address());
    let (lock, visits) = (key("lock"), format!("{}?op=increment&by=1", key("visits")));

    let incremented = read_and_write_with_curl(&key("visits"), &["-X", "POST", &visits]);
    assert_eq!(incremented, "1 200");
    assert_eq!(proxy.lost_and_passed_on(), (1, 2), "curl repeats a POST");
    assert_eq!(router.read("visits").send().await.text(), "1");

    let create = ["-X", "PUT", "-H", "If-None-Match: *", "--data-binary", "holder", &lock];
    assert_eq!(read_and_write_with_curl(&lock, &create), " 201");
    assert_eq!(proxy.lost_and_passed_on(), (2, 4), "curl repeats a PUT");
    assert_eq!(router.read("lock").send().await.text(), "holder");

    assert_eq!(read_and_write_with_curl(&lock, &["-X", "DELETE", &lock]), " 204");
    assert_eq!(proxy.lost_and_passed_on(), (3, 6), "curl repeats a DELETE");
}

/// The Python that has the clients.
fn python() -> Result<PathBuf, String> {
    let printed = output(&mut Command::new(checkout().join("scripts/test-clients.sh")))?;
    Ok(printed.trim().into())
}

async fn write_that_python_repeats_takes_effect_once(library: &str) {
    let python = match python() {
        Ok(python) => python,
        Err(error) => return println!("SKIPPED: {library} was not tried: {error}"),
    };
    let (_cluster, router, proxy) = behind_a_losing_proxy().await;
    let mut client = Command::new(python);
    client
        .arg(checkout().join("tests/native/repeating_client.py"))
        .args([library, &format!("http://{}/v1/kv/lock", proxy.address())])
        .args([idempotency_key(), idempotency_key()]);
    assert_eq!(output(&mut client).unwrap(), "201 204\n");
    assert_eq!(proxy.lost_and_passed_on(), (2, 4), "{library} repeats PUT and DELETE");
    router.read("lock").send().await.must_be(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_urllib3_repeats_with_a_key_takes_effect_once() {
    write_that_python_repeats_takes_effect_once("urllib3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_aiohttp_repeats_with_a_key_takes_effect_once() {
    write_that_python_repeats_takes_effect_once("aiohttp").await;
}
