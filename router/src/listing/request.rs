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

const LIST_PARAMETERS: [&str; 10] =
    ["prefix", "start", "end", "limit", "cursor", "reverse", "values", "tag", "count", "timeout"];
const REMOVE_PARAMETERS: [&str; 6] = ["prefix", "start", "end", "cursor", "tag", "timeout"];
/// Headers of a write that mean one key.
const ONE_KEY_HEADERS: [&str; 4] = ["idempotency-key", "if-match", "if-none-match", "content-type"];

/// The media type of one answer.
const JSON: &str = "application/json";
/// The media type of one answer a line.
const LINES: &str = "application/x-ndjson";

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
    /// Whether every key with the prefix has the tag.
    pub prefix_has_tag: bool,
    /// Only their number is wanted.
    pub count: bool,
    /// One item a line, as a stream.
    pub stream: bool,
    /// The time that one page may take, if the client says so.
    pub timeout_ms: Option<u64>,
}

impl ListRequest {
    /// Reads query and `Accept` of a listing or a count.
    ///
    /// # Errors
    /// When a parameter is not acceptable, by name.
    pub fn parse(query: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut query = Query::parse(query, &LIST_PARAMETERS)?;
        let count = query.flag("count")?;
        let given = ["limit", "cursor", "reverse", "values"].into_iter().find(|name| query.has(name));
        if let (true, Some(name)) = (count, given) {
            let detail =
                format!("{name} does not go with count; prefix, start, end, tag and timeout are accepted");
            return Err(Problem::new(Code::BadRequest, detail));
        }
        let stream = !count && accepts(headers, LINES, &[JSON])?;
        if count {
            accepts(headers, JSON, &[])?;
        }
        let (reverse, values) = (query.flag("reverse")?, query.flag("values")?);
        let limit = parse_limit(&mut query)?.or((!stream).then_some(LIMIT_DEFAULT));
        let range = Self::parse_range(&mut query, reverse)?;
        Ok(Self { values, limit, stream, count, ..range })
    }

    /// Reads query and headers of a deletion of many keys.
    ///
    /// # Errors
    /// When a parameter or header is not acceptable, by name, or no range is given.
    pub fn parse_removal(query: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut query = Query::parse(query, &REMOVE_PARAMETERS)?;
        if !["prefix", "start", "end", "tag"].into_iter().any(|name| query.has(name)) {
            let detail = "a deletion of many keys needs prefix, start, end or tag; \
                          one key is deleted at /v1/kv/{key}, and all with start=";
            return Err(Problem::new(Code::BadRequest, detail));
        }
        if let Some(name) = ONE_KEY_HEADERS.into_iter().find(|name| headers.contains_key(*name)) {
            let detail = format!("{name} is for one key; a deletion of many keys takes none");
            return Err(Problem::new(Code::BadRequest, detail));
        }
        accepts(headers, LINES, &[])?;
        Self::parse_range(&mut query, false)
    }

    /// Prefix, bounds, cursor, tag and timeout.
    fn parse_range(query: &mut Query, reverse: bool) -> Result<Self, Problem> {
        let prefix = bound(query, "prefix")?.unwrap_or_default();
        let mut range = KeyRange { start: prefix.clone(), end: after_all_with(&prefix) };
        if let Some(start) = bound(query, "start")? {
            range.start = range.start.max(start);
        }
        if let Some(end) = bound(query, "end")? {
            range.end = Some(range.end.map_or(end.clone(), |other| other.min(end)));
        }
        if let Some(cursor) = parse_cursor(query)? {
            if cursor.reverse != reverse {
                return Err(Problem::new(Code::BadCursor, "the cursor was given for the other direction"));
            }
            advance(&mut range, &cursor.last, reverse);
        }
        let tag = match query.bytes("tag") {
            Some(tag) => Some(tagged(&tag).ok_or_else(|| bad_tag(&tag))?),
            None => tag_in(&prefix),
        };
        let prefix_has_tag = tag.is_some() && tag_in(&prefix) == tag;
        let timeout_ms = query
            .text("timeout")?
            .map(|text| {
                parse_millis(&text, TIMEOUT_MS_MAX).map_err(|error| {
                    Problem::new(Code::BadTimeout, format!("timeout {} {error}", shown(&text)))
                })
            })
            .transpose()?;
        let (values, limit, count, stream) = (false, None, false, false);
        Ok(Self { range, reverse, values, limit, tag, prefix_has_tag, count, stream, timeout_ms })
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

/// Whether the client accepts `wanted` by its own name. It may leave the choice open, or name one of `others`.
fn accepts(headers: &HeaderMap, wanted: &str, others: &[&str]) -> Result<bool, Problem> {
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
    if accepted.contains(&wanted) {
        return Ok(true);
    }
    if accepted.is_empty()
        || accepted.iter().any(|r| matches!(*r, "*/*" | "application/*") || others.contains(r))
    {
        return Ok(false);
    }
    let offered: Vec<&str> = others.iter().copied().chain([wanted]).collect();
    Err(Problem::new(Code::NotAcceptable, format!("the answer is {}", offered.join(" or "))))
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
    fn count_goes_with_a_range_alone() {
        assert!(parse("count=true&prefix=a&end=b&tag=u&timeout=1s").unwrap().count);
        assert!(!parse("count=false&limit=3").unwrap().count);
        for query in ["limit=3", "cursor=AQBh", "reverse=true", "values=false"] {
            let problem = parse(&format!("count=true&{query}")).unwrap_err();
            assert!(problem.detail().contains("count"), "{}", problem.detail());
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        let refused = ListRequest::parse(Some("count=true"), &headers).unwrap_err();
        assert_eq!(refused.code(), Code::NotAcceptable);
    }

    #[test]
    fn removal_needs_a_range_and_no_header_of_one_key() {
        let removal = |query: &str, headers: &HeaderMap| ListRequest::parse_removal(Some(query), headers);
        let none = HeaderMap::new();
        for query in ["prefix=a", "start=a", "end=b", "tag=u", "start=", "prefix="] {
            assert!(removal(query, &none).is_ok(), "{query}");
        }
        for query in ["", "timeout=1s", "cursor=AQBh", "prefix=a&limit=3", "prefix=a&reverse=true"] {
            assert_eq!(removal(query, &none).unwrap_err().code(), Code::BadRequest, "{query}");
        }
        for name in ONE_KEY_HEADERS {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("x"));
            let problem = removal("prefix=a", &headers).unwrap_err();
            assert!(problem.detail().contains(name), "{}", problem.detail());
        }
    }

    #[test]
    fn prefix_with_a_whole_tag_has_it() {
        let has_tag = |query: &str| parse(query).unwrap().prefix_has_tag;
        assert!(has_tag("prefix=%7Bu%7D/") && has_tag("prefix=%7Bu%7D/&tag=u"));
        assert!(!has_tag("tag=u") && !has_tag("tag=u&prefix=%7Bv%7D") && !has_tag("prefix=u"));
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
