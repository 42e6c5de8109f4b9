//! `roundtable` against a running cluster: what it prints and how it ends.

use roundtable_tests::{Cluster, Finished, Http, program, run, run_with_input};

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

#[tokio::test(flavor = "multi_thread")]
async fn backup_brings_back_bytes_content_types_and_expiries() {
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let text = "text/plain; charset=utf-8";
    let _ = roundtable(&router, &["put", "plain", "1"]).must_end_with(0);
    let _ = roundtable(&router, &["put", "text", "é\n", "--content-type", text]).must_end_with(0);
    let _ = with_input(&router, &["put", "lease", "--ttl", "1h", "--content-type", "x/é"], b"\xff\0")
        .must_end_with(0);
    let _ = roundtable(&router, &["increment", "n", "--by", "7"]).must_end_with(0);
    let expires = router.read("lease").send().await.must_be(200).expires().unwrap();
    let backup = roundtable(&router, &["export"]).must_end_with(0).stdout;
    for key in ["plain", "text", "lease", "n"] {
        let _ = roundtable(&router, &["delete", key]).must_end_with(0);
    }
    assert!(roundtable(&router, &["list"]).must_end_with(0).stdout.is_empty());

    let _ = with_input(&router, &["import"], &backup).must_end_with(0);
    let again = router.read("text").send().await.must_be(200);
    assert_eq!((again.header("content-type"), again.text().as_str()), (Some(text), "é\n"));
    let again = router.read("lease").send().await.must_be(200);
    assert_eq!(&again.body[..], b"\xff\0");
    assert!(again.expires().unwrap().abs_diff(expires) < 30_000);
    assert_eq!(roundtable(&router, &["increment", "n"]).must_end_with(0).text(), "8\n");
    let _ = roundtable(&router, &["increment", "n", "--by", "-1"]).must_end_with(0);
    let second = roundtable(&router, &["export"]).must_end_with(0).text();
    let content_types = |backup: &str| {
        let lines = backup.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| (line["key"].clone(), line["content_type"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(content_types(&second), content_types(&String::from_utf8(backup).unwrap()));
}

#[test]
fn environment_variables_that_are_set_to_nothing_count_as_unset() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cluster.toml");
    let text = "version = 1\nreplication_factor = 1\n[[nodes]]\nid = \"n1\"\naddress = \"127.0.0.1:1\"\n";
    std::fs::write(&file, text).unwrap();
    for (name, variables, more) in [
        (
            "roundtable-node",
            ["ROUNDTABLE_NODE_CONFIG", "ROUNDTABLE_NODE_SHARDS"],
            &["--id", "n1", "--data-dir", "d"][..],
        ),
        ("roundtable-router", ["ROUNDTABLE_ROUTER_CONFIG", "ROUNDTABLE_ROUTER_LISTEN"], &[]),
    ] {
        let mut command = std::process::Command::new(program(name));
        command.arg("--check").arg("--cluster").arg(&file).args(more);
        let output = command.envs(variables.map(|variable| (variable, ""))).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run("roundtable", &["completions", shell]).must_end_with(0).text();
        assert!(script.contains("import") && script.contains("router"), "{shell}");
    }
}
