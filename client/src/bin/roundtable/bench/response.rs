//! The head of an answer.

/// Headers of an answer at most.
const HEADERS_MAX: usize = 64;

/// What of an answer's head matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Length of head and body together.
    pub(crate) whole_bytes: usize,
    /// The connection ends with this answer.
    pub(crate) closes: bool,
}

/// An answer that is not HTTP, or is of a form that routers never send, such as a body without a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Reads the head if all of it was received, and puts the answer's `ETag`, empty if there is none, into `etag`.
pub(crate) fn parse(received: &[u8], etag: &mut Vec<u8>) -> Result<Option<Head>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(received) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Unreadable),
    };
    let status = response.code.ok_or(Unreadable)?;
    let mut length = None;
    let mut closes = false;
    etag.clear();
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).map_err(|_| Unreadable)?;
            length = Some(text.trim().parse::<usize>().map_err(|_| Unreadable)?);
        } else if header.name.eq_ignore_ascii_case("etag") {
            etag.extend_from_slice(header.value);
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes |= header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let body_bytes = match (status, length) {
        (204 | 304, _) => 0,
        (200.., Some(length)) => length,
        _ => return Err(Unreadable),
    };
    Ok(Some(Head { status, whole_bytes: head_bytes.checked_add(body_bytes).ok_or(Unreadable)?, closes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_tells_status_length_and_etag() {
        let mut etag = b"old".to_vec();
        let text = b"HTTP/1.1 200 OK\r\nETag: \"1f\"\r\nContent-Length: 5\r\n\r\nhel";
        for cut in 0..text.len() - 3 {
            assert_eq!(parse(&text[..cut], &mut etag), Ok(None), "{cut}");
        }
        let head = Head { status: 200, whole_bytes: text.len() + 2, closes: false };
        assert_eq!(parse(text, &mut etag), Ok(Some(head)));
        assert_eq!(etag, b"\"1f\"");
        let text = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        let head = Head { status: 204, whole_bytes: text.len(), closes: true };
        assert_eq!(parse(text, &mut etag), Ok(Some(head)));
        assert!(etag.is_empty());
    }

    #[test]
    fn answer_of_another_form_is_unreadable() {
        for text in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes(), &mut Vec::new()), Err(Unreadable), "{text}");
        }
    }
}
