//! Conditional requests (RFC 9110, section 13) on versions.

use hyper::HeaderMap;
use hyper::header::{self, HeaderName};
use roundtable_consensus::{Condition, Version};

use crate::http::problem::{Code, Problem};
use crate::http::query::shown;

/// What `If-Match` or `If-None-Match` lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagList {
    /// `*`: any value.
    Any,
    /// Entity tags; repeated header lines are one list.
    Tags(Vec<EntityTag>),
}

/// One entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag {
    /// Whether it has the `W/` prefix.
    pub weak: bool,
    /// The version that it names; `None` for a tag that no version has.
    pub version: Option<Version>,
}

impl TagList {
    /// Whether a value of this version is named, `W/` or not: the weak comparison that `If-None-Match` asks for.
    #[must_use]
    pub fn names_weakly(&self, version: Version) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag.version == Some(version)),
        }
    }

    /// The versions named without `W/`: the strong comparison that `If-Match` asks for.
    fn strong_versions(&self) -> Vec<Version> {
        match self {
            Self::Any => Vec::new(),
            Self::Tags(tags) => tags.iter().filter(|tag| !tag.weak).filter_map(|tag| tag.version).collect(),
        }
    }
}

/// The condition of a write: `If-Match: *`, `If-Match` with tags, or `If-None-Match: *`.
///
/// # Errors
/// When a header is malformed, both stand, or `If-None-Match` lists tags.
pub(super) fn put_condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    refuse_dates(headers)?;
    let if_match = tag_list(headers, &header::IF_MATCH)?;
    match (if_match, tag_list(headers, &header::IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::None),
        (Some(list), None) => Ok(match_condition(&list)),
        (None, Some(TagList::Any)) => Ok(Condition::Absent),
        (None, Some(TagList::Tags(_))) => {
            Err(Problem::new(Code::BadCondition, "If-None-Match on a write takes * alone (create only)"))
        }
        (Some(_), Some(_)) => Err(Problem::new(
            Code::BadCondition,
            "If-Match and If-None-Match stand together; one of them is accepted",
        )),
    }
}

/// The condition of a delete or a touch: `If-Match` alone.
///
/// # Errors
/// When the header is malformed, or another conditional header stands.
pub(super) fn match_only_condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    refuse_dates(headers)?;
    refuse(headers, &header::IF_NONE_MATCH)?;
    Ok(tag_list(headers, &header::IF_MATCH)?.as_ref().map_or(Condition::None, match_condition))
}

/// Refuses every conditional header, for writes that take none.
///
/// # Errors
/// When one stands.
pub(super) fn no_condition(headers: &HeaderMap) -> Result<(), Problem> {
    refuse_dates(headers)?;
    refuse(headers, &header::IF_MATCH)?;
    refuse(headers, &header::IF_NONE_MATCH)
}

/// `If-None-Match` of a read. A date in `If-Modified-Since` cannot tell two writes of one second apart and is not
/// judged, as RFC 9110 allows.
///
/// # Errors
/// When it is malformed, or `If-Match` stands.
pub(super) fn read_condition(headers: &HeaderMap) -> Result<Option<TagList>, Problem> {
    refuse(headers, &header::IF_MATCH)?;
    tag_list(headers, &header::IF_NONE_MATCH)
}

fn match_condition(list: &TagList) -> Condition {
    match list {
        TagList::Any => Condition::Exists,
        tags @ TagList::Tags(_) => Condition::Matches(tags.strong_versions()),
    }
}

/// A write whose condition were ignored would be made unconditionally: it is refused instead.
fn refuse_dates(headers: &HeaderMap) -> Result<(), Problem> {
    refuse(headers, &header::IF_UNMODIFIED_SINCE)?;
    refuse(headers, &header::IF_MODIFIED_SINCE)
}

fn refuse(headers: &HeaderMap, name: &HeaderName) -> Result<(), Problem> {
    if headers.contains_key(name) {
        return Err(Problem::new(Code::BadCondition, format!("the header {name} is not available here")));
    }
    Ok(())
}

fn tag_list(headers: &HeaderMap, name: &HeaderName) -> Result<Option<TagList>, Problem> {
    let malformed = |found: &str| {
        let detail = format!(
            "{name} has {}; accepted: * alone, or ETags in double quotes, separated by commas",
            shown(found)
        );
        Problem::new(Code::BadCondition, detail)
    };
    let mut stars = 0_usize;
    let mut tags = Vec::new();
    for line in headers.get_all(name) {
        let text = String::from_utf8_lossy(line.as_bytes());
        let mut rest = text.trim_matches([' ', '\t', ',']);
        if rest == "*" {
            stars += 1;
            continue;
        }
        if rest.is_empty() {
            return Err(malformed(&text));
        }
        while !rest.is_empty() {
            let (tag, after) = entity_tag(rest).ok_or_else(|| malformed(&text))?;
            tags.push(tag);
            rest = after;
        }
    }
    match (stars, tags.is_empty()) {
        (0, true) => Ok(None),
        (0, false) => Ok(Some(TagList::Tags(tags))),
        (1, true) => Ok(Some(TagList::Any)),
        _ => Err(malformed("* beside something else")),
    }
}

/// Takes one entity tag off the front, with the comma after it.
fn entity_tag(text: &str) -> Option<(EntityTag, &str)> {
    let (weak, text) = match text.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (opaque, rest) = text.strip_prefix('"')?.split_once('"')?;
    if opaque.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return None;
    }
    let after = rest.trim_start_matches([' ', '\t']);
    let next =
        if after.is_empty() { after } else { after.strip_prefix(',')?.trim_start_matches([' ', '\t', ',']) };
    Some((EntityTag { weak, version: opaque.parse().ok() }, next))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn version(index: u32) -> Version {
        Version { index, ..Version::ZERO }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn put_conditions_are_read() {
        let (a, b) = (version(1), version(2));
        let list = format!("\"{a}\" , W/\"{b}\",\"other\"");
        let table: [(&[(&'static str, &str)], Condition); 6] = [
            (&[], Condition::None),
            (&[("if-match", "*")], Condition::Exists),
            (&[("if-none-match", " * ")], Condition::Absent),
            (&[("if-match", &list)], Condition::Matches(vec![a])),
            (
                &[("if-match", &format!("\"{a}\"")), ("if-match", &format!("\"{b}\""))],
                Condition::Matches(vec![a, b]),
            ),
            (&[("if-match", "\"foreign\",\"\"")], Condition::Matches(vec![])),
        ];
        for (pairs, expected) in table {
            assert_eq!(put_condition(&headers(pairs)), Ok(expected), "{pairs:?}");
        }
    }

    #[test]
    fn malformed_conditions_are_refused() {
        let table: [&[(&'static str, &str)]; 13] = [
            &[("if-match", "\"a b\"")],
            &[("if-match", "")],
            &[("if-match", "abc")],
            &[("if-match", "\"abc")],
            &[("if-match", "\"a\" \"b\"")],
            &[("if-match", "w/\"a\"")],
            &[("if-match", "*, \"a\"")],
            &[("if-match", "*"), ("if-match", "*")],
            &[("if-match", "*"), ("if-none-match", "*")],
            &[("if-none-match", "\"a\"")],
            &[("if-unmodified-since", "Sat, 29 Oct 1994 19:43:31 GMT")],
            &[("if-modified-since", "x")],
            &[("if-match", "0000000000000000000000000000000000000000")],
        ];
        for pairs in table {
            assert_eq!(put_condition(&headers(pairs)).unwrap_err().code(), Code::BadCondition, "{pairs:?}");
        }
    }

    #[test]
    fn conditions_stand_only_where_they_are_judged() {
        let none_match = headers(&[("if-none-match", "*")]);
        assert!(match_only_condition(&none_match).is_err());
        assert!(no_condition(&headers(&[("if-match", "*")])).is_err());
        assert_eq!(no_condition(&headers(&[])), Ok(()));
        assert!(read_condition(&headers(&[("if-match", "*")])).is_err());
        assert_eq!(read_condition(&none_match), Ok(Some(TagList::Any)));
    }

    #[test]
    fn reads_compare_weakly() {
        let text = format!("W/\"{}\"", version(4));
        let list = read_condition(&headers(&[("if-none-match", &text)])).unwrap().unwrap();
        assert!(list.names_weakly(version(4)));
        assert!(!list.names_weakly(version(5)));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut map = HeaderMap::new();
                map.insert(header::IF_MATCH, value.clone());
                let _ = put_condition(&map);
                map.insert(header::IF_NONE_MATCH, value);
                map.remove(header::IF_MATCH);
                let _ = read_condition(&map);
            }
        }
    }
}
