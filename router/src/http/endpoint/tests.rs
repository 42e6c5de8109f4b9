use hyper::Request;
use proptest::prelude::*;

use super::*;

fn parse(method: &str, address: &str, headers: &[(&str, &str)]) -> Result<Endpoint, Problem> {
    let mut request = Request::builder().method(method).uri(address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Endpoint::parse(&Route::of(parts.uri.path()), &parts)
}

fn code(method: &str, address: &str, headers: &[(&str, &str)]) -> &'static str {
    parse(method, address, headers).unwrap_err().code().as_str()
}

fn written(method: &str, address: &str, headers: &[(&str, &str)]) -> Write {
    match parse(method, address, headers) {
        Ok(Endpoint::Write(write)) => write,
        other => panic!("{address}: {other:?}"),
    }
}

#[test]
fn key_is_all_that_follows_percent_decoded() {
    let table: [(&str, &[u8]); 7] = [
        ("/v1/kv/a", b"a"),
        ("/v1/kv/a/b//c", b"a/b//c"),
        ("/v1/kv/a%2Fb%00%ff", b"a/b\0\xff"),
        ("/v1/kv/a+b", b"a+b"),
        ("/v1/kv/{t}x", b"{t}x"),
        ("/v1/kv//", b"/"),
        ("/v1/kv/%25", b"%"),
    ];
    for (address, key) in table {
        let Ok(Endpoint::Get(get)) = parse("GET", address, &[]) else { panic!("{address}") };
        assert_eq!(get.key.as_bytes(), key, "{address}");
    }
}

#[test]
fn key_in_base64url_is_the_same_key_on_every_request() {
    let table: [(&str, &[u8]); 5] =
        [("Lg", b"."), ("Li4", b".."), ("YS8uLi9i", b"a/../b"), ("AP8", b"\0\xff"), ("-_8", b"\xfb\xff")];
    for (text, key) in table {
        let Ok(Endpoint::Get(get)) = parse("GET", &format!("/v1/kvb/{text}"), &[]) else { panic!("{text}") };
        assert_eq!(get.key.as_bytes(), key, "{text}");
        for (method, query) in [("PUT", ""), ("DELETE", ""), ("POST", "?op=increment&by=1")] {
            assert_eq!(written(method, &format!("/v1/kvb/{text}{query}"), &[]).key.as_bytes(), key);
        }
        let place = parse("GET", &format!("/v1/cluster/whereb/{text}"), &[]);
        assert_eq!(place, Ok(Endpoint::Where(get.key)));
    }
    for text in ["", "Li4=", "L", "a/b", "%4c", "Lh"] {
        assert_eq!(code("GET", &format!("/v1/kvb/{text}"), &[]), "bad_key", "{text}");
    }
    let long = URL_SAFE_NO_PAD.encode(vec![b'k'; 4097]);
    assert_eq!(code("GET", &format!("/v1/kvb/{long}"), &[]), "key_too_long");
}

#[test]
fn bad_keys_are_refused_by_kind() {
    let whole = format!("/v1/kv/{}", "a".repeat(4096));
    assert!(parse("GET", &whole, &[]).is_ok());
    assert_eq!(code("GET", &format!("{whole}a"), &[]), "key_too_long");
    assert_eq!(code("GET", &format!("/v1/kv/{}", "%61".repeat(4097)), &[]), "key_too_long");
    for address in ["/v1/kv/", "/v1/kv/%", "/v1/kv/%4", "/v1/kv/%zz", "/v1/kv/a%+1", "/v1/cluster/where/"] {
        assert_eq!(code("GET", address, &[]), "bad_key", "{address}");
    }
}

#[test]
fn methods_and_paths_are_told_apart() {
    for (method, address, expected) in [
        ("PATCH", "/v1/kv/a", "method_not_allowed"),
        ("OPTIONS", "/v1/kv/a", "method_not_allowed"),
        ("POST", "/v1/kv", "method_not_allowed"),
        ("PUT", "/livez", "method_not_allowed"),
        ("GET", "/", "no_such_route"),
        ("PUT", "/v1/kvx/a", "no_such_route"),
        ("PUT", "/v1/kvb", "no_such_route"),
        ("GET", "/v1/kvbx/a", "no_such_route"),
        ("GET", "/v1/batch", "no_such_route"),
        ("GET", "/v1/cluster/", "no_such_route"),
    ] {
        assert_eq!(code(method, address, &[]), expected, "{method} {address}");
    }
    let refused = parse("PATCH", "/v1/kv/a", &[]).unwrap_err().to_response("r");
    assert_eq!(refused.headers()["allow"], "GET, HEAD, PUT, POST, DELETE");
}

#[test]
fn operators_paths_take_no_parameters() {
    for address in ["/livez", "/readyz", "/metrics", "/v1/cluster", "/v1/cluster/where/k"] {
        assert!(parse("GET", address, &[]).is_ok(), "{address}");
        assert!(parse("HEAD", address, &[]).is_ok(), "{address}");
        assert_eq!(code("GET", &format!("{address}?x=1"), &[]), "bad_request", "{address}");
    }
}

#[test]
fn reads_take_consistency_timeout_and_if_none_match() {
    let etag = format!("\"{}\"", "0".repeat(40));
    let Ok(Endpoint::Get(get)) =
        parse("GET", "/v1/kv/k?consistency=eventual&timeout=2s", &[("if-none-match", &etag)])
    else {
        panic!("not a get")
    };
    assert!(get.eventual && get.if_none_match.is_some());
    assert_eq!(get.timeout_ms, Some(2_000));
    for (query, expected) in [
        ("consistency=strong", "bad_request"),
        ("wait=60s", "bad_request"),
        ("timeout=61s", "bad_timeout"),
        ("timeout=0", "bad_timeout"),
        ("timeout=1&timeout=1", "bad_request"),
        ("ttl=1", "bad_request"),
    ] {
        assert_eq!(code("GET", &format!("/v1/kv/k?{query}"), &[]), expected, "{query}");
    }
}

#[test]
fn writes_become_actions() {
    let ttl_ms = Some(30_000);
    let put = written("PUT", "/v1/kv/k?ttl=30s", &[("content-type", "text/x"), ("if-none-match", "*")]);
    assert_eq!(put.action, Action::Put { content_type: ContentType::new("text/x").unwrap(), ttl_ms });
    assert_eq!(put.condition, Condition::Absent);
    assert_eq!(written("DELETE", "/v1/kv/k", &[("if-match", "*")]).condition, Condition::Exists);
    let increment = written("POST", "/v1/kv/k?op=increment&by=-9223372036854775808&ttl=30s", &[]);
    assert_eq!(increment.action, Action::Increment { by: i64::MIN, ttl_ms });
    assert_eq!(written("POST", "/v1/kv/k?op=touch&ttl=none", &[]).action, Action::Touch { ttl_ms: None });
    assert_eq!(written("POST", "/v1/kv/k?ttl=30&op=touch", &[]).action, Action::Touch { ttl_ms });
}

#[test]
fn bad_writes_are_refused_by_kind() {
    let long = "x".repeat(256);
    let key = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);
    let table: [Row<'_>; 20] = [
        ("PUT", "?ttl=none", &[], "bad_ttl"),
        ("PUT", "?ttl=", &[], "bad_ttl"),
        ("PUT", "?ttl=11y", &[], "bad_ttl"),
        ("PUT", "?ttl=3651d", &[], "bad_ttl"),
        ("PUT", "?op=touch", &[], "bad_request"),
        ("PUT", "", &[("content-type", &long)], "bad_content_type"),
        ("PUT", "", &[("content-type", "a"), ("content-type", "b")], "bad_content_type"),
        ("PUT", "", &[("content-encoding", "gzip")], "unsupported_content_encoding"),
        ("PUT", "", &[("content-range", "bytes 0-1/2")], "bad_request"),
        ("PUT", "", &[("idempotency-key", "x")], "bad_idempotency_key"),
        ("PUT", "", &[("idempotency-key", key), ("idempotency-key", key)], "bad_idempotency_key"),
        ("POST", "", &[], "bad_request"),
        ("POST", "?op=append", &[], "bad_request"),
        ("POST", "?op=increment", &[], "bad_request"),
        ("POST", "?op=increment&by=1.5", &[], "bad_request"),
        ("POST", "?op=increment&by=9223372036854775808", &[], "bad_request"),
        ("POST", "?op=increment&by=1", &[("if-match", "*")], "bad_condition"),
        ("POST", "?op=touch", &[], "bad_ttl"),
        ("POST", "?op=touch&ttl=1&by=1", &[], "bad_request"),
        ("DELETE", "", &[("if-none-match", "*")], "bad_condition"),
    ];
    for (method, query, headers, expected) in table {
        assert_eq!(
            code(method, &format!("/v1/kv/k{query}"), headers),
            expected,
            "{method} {query} {headers:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_request_is_understood_or_refused(
        method in "GET|PUT|POST|DELETE|HEAD|PATCH|[A-Z]{1,8}",
        path in "/(v1/kv/)?[ -~]{0,40}",
        query in "[ -~]{0,40}",
        name in "if-match|if-none-match|idempotency-key|content-type|accept",
        value in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let request = Request::builder().method(method.as_str()).uri(format!("{path}?{query}")).header(&name, value);
        if let Ok(request) = request.body(()) {
            let (parts, ()) = request.into_parts();
            if let Err(problem) = Endpoint::parse(&Route::of(parts.uri.path()), &parts) {
                prop_assert!(problem.code().status().is_client_error());
                prop_assert!(!problem.to_json("r").is_empty());
            }
        }
    }
}
