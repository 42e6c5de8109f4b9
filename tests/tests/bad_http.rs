//! Bytes that no proper client sends: refused or cut off, nothing changed, and the server lives on.

use roundtable_tests::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_no_url_may_have_are_refused() {
    let scene = Scene::start().await;
    for target in [
        &b"/v1/kv/a b"[..],
        b"/v1/kv/a\0b",
        b"/v1/kv/a\x01b",
        b"/v1/kv/a\x7fb",
        b"/v1/kv/a\rb",
        b"/v1/kv/\tanchor",
    ] {
        let mut request = b"PUT ".to_vec();
        request.extend_from_slice(target);
        request.extend_from_slice(b" HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nlost");
        assert_eq!(scene.raw().write(request).status(), Some(400), "{}", target.escape_ascii());
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_bytes_above_ascii_are_a_key_or_refused_but_never_garbled() {
    let scene = Scene::start().await;
    // Not allowed by RFC 3986, sent by some clients nevertheless.
    let status = scene
        .raw()
        .write(b"PUT /v1/kv/\xff\xc3\x28 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nkept")
        .status()
        .unwrap();
    match status {
        201 => {
            assert_eq!(scene.router().read([0xff, 0xc3, 0x28]).send().await.must_be(200).text(), "kept");
            scene.router().delete([0xff, 0xc3, 0x28]).send().await.must_be(204);
        }
        _ => assert_eq!(status, 400),
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_value_within_the_limit_is_stored_whole() {
    let scene = Scene::start().await;
    let mut chunked = scene.raw();
    chunked.write("PUT /v1/kv/chunked HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    chunked.write("3\r\nabc\r\n").write("1;extension=1\r\nd\r\n").write("0\r\ntrailer: x\r\n\r\n");
    assert_eq!(chunked.status(), Some(201));
    assert_eq!(scene.router().read("chunked").send().await.must_be(200).text(), "abcd");
    scene.router().delete("chunked").send().await.must_be(204);
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_chunks_change_nothing() {
    let scene = Scene::start().await;
    for body in ["zz\r\nabc\r\n0\r\n\r\n", "-1\r\n", "fffffffffffffffff\r\nabc", "3\r\nabcdef\r\n0\r\n\r\n"] {
        let mut chunked = scene.raw();
        chunked
            .write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            .write(body);
        let status = chunked.finish().status();
        assert!(matches!(status, None | Some(400 | 413)), "{body:?}: {status:?}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_requests_change_nothing() {
    let scene = Scene::start().await;
    let whole = "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\nonly a part of";
    for length in [1, 3, 10, 25, 40, 60, whole.len() - 1, whole.len()] {
        let status = scene.raw().write(&whole[..length]).finish().status();
        assert!(matches!(status, None | Some(400)), "{length} bytes: {status:?}");
    }
    let mut half_chunk = scene.raw();
    half_chunk.write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab");
    let status = half_chunk.finish().status();
    assert!(matches!(status, None | Some(400)), "{status:?}");
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused() {
    let scene = Scene::start().await;
    for request in [
        "\r\n\r\nhello\r\n\r\n",
        "PUT\r\n\r\n",
        "PUT /v1/kv/anchor\r\n\r\n",
        "PUT /v1/kv/anchor HTTP/9.9\r\n\r\n",
        "PUT /v1/kv/anchor HTTP/1.1\r\nno colon\r\n\r\n",
        "PUT /v1/kv/anchor HTTP/1.1\r\n: nameless\r\n\r\n",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: four\r\n\r\nlost",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: -4\r\n\r\nlost",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nlost!",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551616\r\n\r\nlost",
        "PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\nlost",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}hello tls",
    ] {
        let status = scene.raw().write(request).finish().status();
        assert!(matches!(status, None | Some(400 | 411 | 413 | 501 | 505)), "{request:?}: {status:?}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_with_a_length_and_chunks_at_once_is_not_smuggled() {
    let scene = Scene::start().await;
    let mut both = scene.raw();
    both.write(
        "PUT /v1/kv/smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    both.write("0\r\n\r\nDELETE /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n\r\n");
    let status = both.status();
    // RFC 9112 section 6.3: chunked wins and the connection ends, or the request is refused.
    if status == Some(201) {
        scene.router().delete("smuggled").send().await.must_be(204);
    } else {
        assert!(matches!(status, None | Some(400)), "{status:?}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_the_limit_are_refused() {
    let scene = Scene::start().await;
    let mut large = scene.raw();
    large
        .write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\nfiller: ")
        .write("x".repeat(1 << 20))
        .write("\r\n\r\n");
    let status = large.status();
    assert!(matches!(status, None | Some(431)), "{status:?}");

    for headers in [80, 2_000] {
        let mut many = scene.raw();
        many.write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n");
        for number in 0..headers {
            many.write(format!("h{number}: x\r\n"));
        }
        assert_eq!(many.write("\r\n").status(), Some(431), "{headers}");
    }
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_body_is_never_taken_for_a_request() {
    let scene = Scene::start().await;
    let mut kept = 0;
    for _ in 0..10 {
        let mut connection = scene.raw();
        let body = "DELETE /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n\r\n";
        let length = body.len();
        connection.write(format!(
            "PUT /v1/kv/anchor?ttl=never HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
        ));
        connection.write(body).write("GET /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n\r\n");
        let (status, problem) = connection.answer().unwrap();
        assert_eq!(status, 400);
        assert!(problem.contains("bad_ttl"), "{problem}");
        // Refused before its body was there, the request may have cost the connection.
        if let Some(answer) = connection.answer() {
            assert_eq!(answer, (200, "untouched".to_owned()));
            kept += 1;
        }
    }
    assert!(kept > 0, "a body that is there already is passed over");
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let scene = Scene::start().await;
    let mut connection = scene.raw();
    connection.write(
        "PUT /v1/kv/p HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n1GET /v1/kv/p HTTP/1.1\r\nhost: x\r\n\r\n\
         DELETE /v1/kv/p HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/kv/anchor HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    assert_eq!(connection.answer().unwrap().0, 201);
    assert_eq!(connection.answer().unwrap(), (200, "1".to_owned()));
    assert_eq!(connection.answer().unwrap().0, 204);
    assert_eq!(connection.answer().unwrap(), (200, "untouched".to_owned()));
    scene.must_be_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_client_keeps_nobody_else_waiting() {
    let scene = Scene::start().await;
    // Five hundred clients that begin a request and never go on.
    let mut idle = Vec::new();
    for _ in 0..500 {
        let mut connection = scene.raw();
        connection.write("PUT /v1/kv/anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nslow");
        idle.push(connection);
    }
    scene.router().read("anchor").send().await.must_be(200);
    drop(idle);
    scene.must_be_unharmed().await;
}
