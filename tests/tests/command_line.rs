//! `roundtable` against a running cluster: what it prints and how it ends.

use roundtable_tests::{Cluster, Finished, Http, run, run_with_input};

fn roundtable(router: &Http, arguments: &[&str]) -> Finished {
    with_input(router, arguments, b"")
}

fn with_input(router: &Http, arguments: &[&str], input: &[u8]) -> Finished {
    let address = format!("http://{}", router.address());
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--router", &address]).collect();
    run_with_input("roundtable", &arguments, input)
}

#[tokio::test(flavor = "multi_thread")]
async fn values_pass_through_the_command_line_unchanged() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let bytes: Vec<u8> = (0..=255).collect();
    let etag = with_input(&router, &["put", "a b/ü", "-"], &bytes).must_end_with(0).text();
    assert_eq!(roundtable(&router, &["get", "a b/ü"]).must_end_with(0).stdout, bytes);
    assert_eq!(
        router.read("a b/ü").send().await.must_be(200).etag().trim_matches('"'),
        etag.trim().trim_matches('"')
    );

    assert_eq!(roundtable(&router, &["increment", "n"]).must_end_with(0).text(), "1\n");
    let _ = roundtable(&router, &["touch", "n", "--ttl", "1h"]).must_end_with(0);
    assert!(router.read("n").send().await.expires().is_some());
    let _ = roundtable(&router, &["delete", "n"]).must_end_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_apart_what_a_script_must_know() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    let missing = roundtable(&router, &["get", "missing"]).must_end_with(3);
    assert!(missing.stdout.is_empty() && !missing.stderr.is_empty());
    let _ = roundtable(&router, &["put", "a", "one", "--create"]).must_end_with(0);
    let _ = roundtable(&router, &["put", "a", "two", "--create"]).must_end_with(4);
    let _ = roundtable(&router, &["nonsense"]).must_end_with(2);
    let _ = roundtable(&router, &["increment", "a"]).must_end_with(1);
    cluster.node(1).kill();
    cluster.node(2).kill();
    let _ = roundtable(&router, &["put", "a", "lost", "--timeout", "1s"]).must_end_with(5);
    cluster.router_process(1).kill();
    let _ = roundtable(&router, &["get", "a", "--timeout", "1s"]).must_end_with(5);
}

#[tokio::test(flavor = "multi_thread")]
async fn import_reports_each_bad_line_and_stores_the_others() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let long = "k".repeat(4097);
    let lines = format!(
        "{{\"key\":\"a\",\"value\":\"1\"}}\nnot json\n{{\"key\":\"b\"}}\n{{\"key\":\"{long}\",\"value\":\"x\"}}\n{{\"key\":\"c\",\"value\":\"3\"}}\n"
    );
    let ended = with_input(&router, &["import", "-"], lines.as_bytes()).must_end_with(7);
    for line in ["line 2", "line 3", "line 4"] {
        assert!(ended.stderr.contains(line), "{}", ended.stderr);
    }
    assert_eq!(router.read("a").send().await.must_be(200).text(), "1");
    assert_eq!(router.read("c").send().await.must_be(200).text(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn export_in_each_format_is_what_was_imported() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let files: [(&[&str], &str); 3] = [
        (
            &["--format", "ndjson"],
            "{\"key\":\"1\",\"value\":\"a\\n\\\"\"}\n{\"key_b64\":\"/w==\",\"value_b64\":\"gA==\"}\n",
        ),
        (&["--format", "csv", "--key-column", "code"], "name,code\n\"x,\"\"y\"\"\",c1\nplain,c2\n"),
        (&["--format", "tsv", "--key-column", "2"], "x\tt1\ny\tt2\t\"\n"),
    ];
    for (number, (format, text)) in files.iter().enumerate() {
        let prefix = format!("file{number}/");
        let options: Vec<&str> = format.iter().copied().chain(["--key-prefix", &prefix]).collect();
        let import: Vec<&str> = ["import", "-"].into_iter().chain(options.iter().copied()).collect();
        let _ = with_input(&router, &import, text.as_bytes()).must_end_with(0);
        let export: Vec<&str> = ["export", "-"].into_iter().chain(options.iter().copied()).collect();
        assert_eq!(roundtable(&router, &export).must_end_with(0).text(), *text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_where_tell_an_operator_what_is() {
    let mut cluster = Cluster::start().await;
    let router = cluster.router(1);
    router.put("a", "one").send().await.must_be(201);
    let status = roundtable(&router, &["status"]).must_end_with(0).text();
    for word in ["n1", "n2", "n3", "up"] {
        assert!(status.contains(word), "{word}: {status}");
    }
    let located = roundtable(&router, &["where", "a"]).must_end_with(0).text();
    assert!(["n1", "n2", "n3"].iter().all(|node| located.contains(node)), "{located}");

    cluster.node(3).kill();
    roundtable_tests::eventually("n3 is shown as down", async || {
        roundtable(&router, &["status"]).text().contains("down").then_some(())
    })
    .await;
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run("roundtable", &["completions", shell]).must_end_with(0).text();
        assert!(script.contains("import") && script.contains("router"), "{shell}");
    }
}
