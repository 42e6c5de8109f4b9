//! What a client asks a listing for.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header;
use roundtable_consensus::{Key, KeyRange};

use crate::http::duration::{TIMEOUT_MS_MAX, parse_millis};
use crate::http::problem::{Code, Problem};
use crate::http::query::{Query, shown};
use crate::listing::cursor::Cursor;

/// Items of a page unless the client says otherwise.
const LIMIT_DEFAULT: usize = 100;
/// Items of a page at most.
const LIMIT_MAX: usize = 10_000;

const PARAMETERS: [&str; 9] =
    ["prefix", "start", "end", "limit", "cursor", "reverse", "values", "tag", "timeout"];

/// A listing, understood: one stretch of keys, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// The keys that are left to tell.
    pub range: KeyRange,
    /// From the end of the range to its start.
    pub reverse: bool,
    /// Whether values are told.
    pub values: bool,
    /// Items at most; `None` for a stream of the whole range.
    pub limit: Option<usize>,
    /// The tag that all keys share, as a key: only its partition is asked.
    pub tag: Option<Key>,
    /// One item a line, as a stream.
    pub stream: bool,
    /// The time that one page may take, if the client says so.
    pub timeout_ms: Option<u64>,
}

impl ListRequest {
    /// Reads query and `Accept`.
    ///
    /// # Errors
    /// When a parameter is not acceptable, by name.
    pub fn parse(query: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut query = Query::parse(query, &PARAMETERS)?;
        let stream = accepts_stream(headers)?;
        let reverse = query.flag("reverse")?;
        let values = query.flag("values")?;
        let prefix = bound(&mut query, "prefix")?.unwrap_or_default();
        let mut range = KeyRange { start: prefix.clone(), end: after_all_with(&prefix) };
        if let Some(start) = bound(&mut query, "start")? {
            range.start = range.start.max(start);
        }
        if let Some(end) = bound(&mut query, "end")? {
            range.end = Some(range.end.map_or(end.clone(), |other| other.min(end)));
        }
        if let Some(cursor) = parse_cursor(&mut query)? {
            if cursor.reverse != reverse {
                return Err(Problem::new(Code::BadCursor, "the cursor was given for the other direction"));
            }
            advance(&mut range, &cursor.last, reverse);
        }
        let tag = match query.bytes("tag") {
            Some(tag) => Some(tagged(&tag).ok_or_else(|| bad_tag(&tag))?),
            None => tag_in(&prefix),
        };
        let limit = parse_limit(&mut query)?.or((!stream).then_some(LIMIT_DEFAULT));
        let timeout_ms = query
            .text("timeout")?
            .map(|text| {
                parse_millis(&text, TIMEOUT_MS_MAX).map_err(|error| {
                    Problem::new(Code::BadTimeout, format!("timeout {} {error}", shown(&text)))
                })
            })
            .transpose()?;
        Ok(Self { range, reverse, values, limit, tag, stream, timeout_ms })
    }

    /// Whether a key belongs into the listing.
    #[must_use]
    pub fn wants(&self, key: &Key) -> bool {
        self.range.contains(key.as_bytes())
            && self.tag.as_ref().is_none_or(|tag| tag.routing_part() == key.routing_part())
    }
}

/// Shrinks a range to what comes after `last` in the direction of the listing.
pub fn advance(range: &mut KeyRange, last: &Key, reverse: bool) {
    if reverse {
        range.end = Some(last.bytes().clone());
    } else {
        range.start = just_after(last).unwrap_or_default();
        if range.start.is_empty() {
            range.end = Some(Bytes::new());
        }
    }
}

/// The smallest bound above a key; `None` when no key can be larger.
fn just_after(key: &Key) -> Option<Bytes> {
    if key.as_bytes().len() < Key::BYTES_MAX {
        let mut bytes = key.as_bytes().to_vec();
        bytes.push(0);
        Some(bytes.into())
    } else {
        after_all_with(key.bytes())
    }
}

/// The smallest bound above every key that begins with `prefix`; `None` when there is none.
fn after_all_with(prefix: &Bytes) -> Option<Bytes> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if let Some(next) = last.checked_add(1) {
            bytes.push(next);
            return Some(bytes.into());
        }
    }
    None
}

fn bound(query: &mut Query, name: &str) -> Result<Option<Bytes>, Problem> {
    match query.bytes(name) {
        Some(bytes) if bytes.len() > Key::BYTES_MAX => Err(Problem::new(
            Code::BadRequest,
            format!("{name} has {} bytes; at most {} are accepted", bytes.len(), Key::BYTES_MAX),
        )),
        found => Ok(found.map(Bytes::from)),
    }
}

fn parse_cursor(query: &mut Query) -> Result<Option<Cursor>, Problem> {
    query
        .text("cursor")?
        .map(|text| Cursor::parse(&text).map_err(|error| Problem::new(Code::BadCursor, error.to_string())))
        .transpose()
}

fn parse_limit(query: &mut Query) -> Result<Option<usize>, Problem> {
    let Some(text) = query.text("limit")? else { return Ok(None) };
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(limit @ 1..=LIMIT_MAX) if digits_only => Ok(Some(limit)),
        _ => {
            let detail = format!("limit is {}; 1 to {LIMIT_MAX} is accepted", shown(&text));
            Err(Problem::new(Code::BadRequest, detail))
        }
    }
}

/// The tag that every key with this prefix has.
fn tag_in(prefix: &Bytes) -> Option<Key> {
    let key = Key::new(prefix.clone()).ok()?;
    let has_tag = key.routing_part().len() < prefix.len();
    has_tag.then(|| tagged(key.routing_part())).flatten()
}

/// A key whose routing part is this tag.
fn tagged(tag: &[u8]) -> Option<Key> {
    let key = Key::new([b"{", tag, b"}"].concat()).ok()?;
    (key.routing_part() == tag).then_some(key)
}

fn bad_tag(tag: &[u8]) -> Problem {
    let detail = format!(
        "tag is {}; the text between the braces is accepted: not empty, without '}}', at most {} bytes",
        shown(&String::from_utf8_lossy(tag)),
        Key::BYTES_MAX - 2
    );
    Problem::new(Code::BadRequest, detail)
}

/// Whether the client wants one item a line.
fn accepts_stream(headers: &HeaderMap) -> Result<bool, Problem> {
    let lines: Vec<String> = headers
        .get_all(header::ACCEPT)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase())
        .collect();
    let accepted: Vec<&str> = lines
        .iter()
        .flat_map(|line| line.split(','))
        .filter_map(|range| range.split(';').next())
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .collect();
    if accepted.contains(&"application/x-ndjson") {
        return Ok(true);
    }
    if accepted.is_empty()
        || accepted.iter().any(|r| matches!(*r, "*/*" | "application/*" | "application/json"))
    {
        return Ok(false);
    }
    Err(Problem::new(Code::NotAcceptable, "a listing is application/json or application/x-ndjson"))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parse(query: &str) -> Result<ListRequest, Problem> {
        ListRequest::parse(Some(query), &HeaderMap::new())
    }

    fn range_of(query: &str) -> (Bytes, Option<Bytes>) {
        let range = parse(query).unwrap().range;
        (range.start, range.end)
    }

    #[test]
    fn prefix_start_and_end_make_one_range() {
        type Row<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
        let table: [Row<'_>; 8] = [
            ("", b"", None),
            ("prefix=ab", b"ab", Some(b"ac")),
            ("prefix=a%ff", b"a\xff", Some(b"b")),
            ("prefix=%ff", b"\xff", None),
            ("start=b&end=d", b"b", Some(b"d")),
            ("prefix=a&start=ab&end=z", b"ab", Some(b"b")),
            ("prefix=b&start=a&end=bb", b"b", Some(b"bb")),
            ("start=", b"", None),
        ];
        for (query, start, end) in table {
            assert_eq!(range_of(query), (start.to_vec().into(), end.map(|e| e.to_vec().into())), "{query}");
        }
    }

    #[test]
    fn cursor_goes_on_after_the_last_key() {
        let last = Key::new("k").unwrap();
        let forward = Cursor { last: last.clone(), reverse: false }.to_text();
        let backward = Cursor { last, reverse: true }.to_text();
        assert_eq!(range_of(&format!("cursor={forward}")).0, &b"k\0"[..]);
        assert_eq!(range_of(&format!("reverse=true&cursor={backward}")).1.unwrap(), &b"k"[..]);
        let other_direction = parse(&format!("reverse=true&cursor={forward}")).unwrap_err();
        assert_eq!(other_direction.code(), Code::BadCursor);
        assert_eq!(parse("cursor=nonsense").unwrap_err().code(), Code::BadCursor);
    }

    #[test]
    fn nothing_is_left_after_the_last_possible_key() {
        let mut range = KeyRange::default();
        advance(&mut range, &Key::new(vec![0xff; Key::BYTES_MAX]).unwrap(), false);
        assert_eq!(range.end, Some(Bytes::new()));
        let mut range = KeyRange::default();
        advance(&mut range, &Key::new(vec![7; Key::BYTES_MAX]).unwrap(), false);
        assert!(range.start.len() <= Key::BYTES_MAX && range.start > vec![7; Key::BYTES_MAX]);
    }

    #[test]
    fn tag_is_named_or_stands_whole_in_the_prefix() {
        let tag = |query: &str| parse(query).unwrap().tag.map(|key| key.to_string());
        assert_eq!(tag("tag=u"), Some("{u}".to_owned()));
        assert_eq!(tag("prefix=%7Bu%7D/x"), Some("{u}".to_owned()));
        assert_eq!(tag("prefix=a%7Bu%7D"), Some("{u}".to_owned()));
        assert_eq!(tag("prefix=%7Bu"), None);
        assert_eq!(tag("prefix=%7B%7D"), None);
        assert_eq!(tag("prefix=plain"), None);
        assert!(parse("tag=").is_err());
        assert!(parse("tag=a%7Db").is_err());
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let long = format!("start={}", "a".repeat(4097));
        for query in
            ["limit=0", "limit=10001", "limit=+5", "limit=x", "values=1", "wait=1", "timeout=2h", &long]
        {
            assert!(parse(query).is_err(), "{query}");
        }
        assert_eq!(parse("limit=10000").unwrap().limit, Some(10_000));
        assert_eq!(parse("").unwrap().limit, Some(100));
    }

    #[test]
    fn accept_chooses_page_or_stream() {
        let table = [
            ("application/x-ndjson", Some(true)),
            ("text/html, application/X-NDJSON;q=0.9", Some(true)),
            ("*/*", Some(false)),
            ("application/json; charset=utf-8", Some(false)),
            ("text/csv", None),
        ];
        for (accept, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(ListRequest::parse(None, &headers).ok().map(|r| r.stream), expected, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn keys_after_a_bound_are_exactly_the_larger_ones(
            last in prop::collection::vec(any::<u8>(), 1..4),
            other in prop::collection::vec(any::<u8>(), 1..4),
            reverse: bool,
        ) {
            let mut range = KeyRange::default();
            advance(&mut range, &Key::new(last.clone()).unwrap(), reverse);
            let comes_after = if reverse { other < last } else { other > last };
            prop_assert_eq!(range.contains(&other), comes_after);
        }

        #[test]
        fn prefix_range_holds_exactly_the_prefixed_keys(
            prefix in prop::collection::vec(250_u8..=255, 0..4),
            key in prop::collection::vec(250_u8..=255, 1..5),
        ) {
            let prefix = Bytes::from(prefix);
            let range = KeyRange { start: prefix.clone(), end: after_all_with(&prefix) };
            prop_assert_eq!(range.contains(&key), key.starts_with(&prefix));
        }
    }
}
