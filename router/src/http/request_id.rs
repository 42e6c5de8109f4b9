//! The request's name in answers and logs.

use hyper::HeaderMap;
use uuid::Uuid;

use crate::http::reply::REQUEST_ID;

/// The longest name that is taken from a request, in characters.
const CHARACTERS_MAX: usize = 128;

/// The name that the request brings if it is one line of 1 to 128 visible ASCII characters, else a new one.
#[must_use]
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let mut lines = headers.get_all(REQUEST_ID).iter();
    let brought = lines.next().and_then(|line| line.to_str().ok()).filter(|text| {
        (1..=CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match (brought, lines.next()) {
        (Some(text), None) => text.to_owned(),
        _ => Uuid::now_v7().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn name_of_the_request_is_kept_if_it_can_be() {
        let mut headers = HeaderMap::new();
        assert_eq!(request_id(&headers).len(), 36);
        headers.insert(REQUEST_ID, HeaderValue::from_static("mine-7"));
        assert_eq!(request_id(&headers), "mine-7");
        headers.append(REQUEST_ID, HeaderValue::from_static("other"));
        assert_ne!(request_id(&headers), "mine-7");
        for bad in ["", "a b", &"x".repeat(129)] {
            headers.insert(REQUEST_ID, HeaderValue::from_str(bad).unwrap());
            assert_eq!(request_id(&headers).len(), 36, "{bad}");
        }
    }
}
