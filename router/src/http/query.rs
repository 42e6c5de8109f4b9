//! The query part of an address: every parameter is known, and stands once.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::http::problem::{Code, Problem};

/// Parameters by name, as the endpoint takes them out one by one.
#[derive(Debug)]
pub(crate) struct Query {
    parameters: Vec<(String, Vec<u8>)>,
}

impl Query {
    /// Reads `name=value&…`. Values are percent-decoded and may be any bytes; `+` means a space, as HTML forms and
    /// the usual libraries write it.
    ///
    /// # Errors
    /// When an escape is broken, a name is not in `known`, or stands twice: the name is in the detail.
    pub(crate) fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, Vec<u8>)> = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8_lossy(&decode_form(name)?).into_owned();
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Problem::new(
                    Code::BadRequest,
                    format!("the query parameter {name:?} stands more than once; it is taken once"),
                ));
            }
            parameters.push((name, decode_form(value)?));
        }
        Ok(Self { parameters })
    }

    /// Whether a parameter is given and was not taken out yet.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(other, _)| other == name)
    }

    /// The bytes of a parameter.
    pub(crate) fn bytes(&mut self, name: &str) -> Option<Vec<u8>> {
        let place = self.parameters.iter().position(|(other, _)| other == name)?;
        Some(self.parameters.swap_remove(place).1)
    }

    /// The text of a parameter.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        self.bytes(name)
            .map(|bytes| {
                String::from_utf8(bytes).map_err(|_| {
                    Problem::new(Code::BadRequest, format!("the query parameter {name:?} is not UTF-8 text"))
                })
            })
            .transpose()
    }

    /// A parameter that is `true` or `false`; absent means `false`.
    ///
    /// # Errors
    /// When it is another text.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.text(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Problem::new(
                Code::BadRequest,
                format!("the query parameter {name:?} is {}; true or false is accepted", shown(other)),
            )),
        }
    }
}

/// A text of the client in a detail: quoted, escaped, and cut to 80 characters.
#[must_use]
pub(crate) fn shown(text: &str) -> String {
    if text.chars().count() > 80 {
        let head: String = text.chars().take(80).collect();
        format!("{head:?}…")
    } else {
        format!("{text:?}")
    }
}

/// Percent-decodes strictly: a `%` without two hexadecimal digits is `None`.
#[must_use]
pub(crate) fn decode_percent(text: &[u8]) -> Option<Vec<u8>> {
    let escapes_are_whole = text.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(place, _)| {
        text.get(place + 1..place + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    escapes_are_whole.then(|| percent_decode(text).collect())
}

fn decode_form(text: &str) -> Result<Vec<u8>, Problem> {
    let spaced: Cow<'_, str> =
        if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    decode_percent(spaced.as_bytes()).ok_or_else(|| {
        Problem::new(
            Code::BadRequest,
            format!("the query has a '%' without two hexadecimal digits after it: {}", shown(text)),
        )
    })
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let accepted = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let detail = format!("the query parameter {} is not known here; accepted: {accepted}", shown(name));
    Problem::new(Code::BadRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_decoded_and_taken_by_name() {
        let mut query = Query::parse(Some("a=x%2Fy+z&&b=%ff&c"), &["a", "b", "c"]).unwrap();
        assert_eq!(query.text("a").unwrap().unwrap(), "x/y z");
        assert!(query.text("b").unwrap_err().detail().contains("\"b\""));
        assert_eq!(query.bytes("c").unwrap(), b"");
        assert_eq!(query.bytes("d"), None);
    }

    #[test]
    fn unknown_doubled_and_broken_parameters_are_refused_by_name() {
        let table = [
            ("tll=3s", "\"tll\" is not known here; accepted: ttl"),
            ("ttl=1&ttl=1", "\"ttl\" stands more than once"),
            ("ttl=%4", "\"%4\""),
            ("ttl=%zz", "\"%zz\""),
            ("%=1", "\"%\""),
        ];
        for (text, part) in table {
            let problem = Query::parse(Some(text), &["ttl"]).unwrap_err();
            assert!(problem.detail().contains(part), "{text}: {}", problem.detail());
            assert_eq!(problem.code(), Code::BadRequest);
        }
        assert!(Query::parse(Some("x=1"), &[]).unwrap_err().detail().ends_with("accepted: none"));
    }

    #[test]
    fn flags_are_true_or_false() {
        let mut query = Query::parse(Some("a=true&b=false&c=1"), &["a", "b", "c"]).unwrap();
        assert_eq!((query.flag("a"), query.flag("b"), query.flag("z")), (Ok(true), Ok(false), Ok(false)));
        assert!(query.flag("c").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Query::parse(Some(&text), &["a", ""]);
        }

        #[test]
        fn any_bytes_come_back_from_their_escapes(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode_percent(escaped.as_bytes()).unwrap(), bytes);
        }
    }
}
