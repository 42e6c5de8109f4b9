//! What a request asks for: method, path, query and headers become one [`Endpoint`], or a problem.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};
use roundtable_consensus::{Condition, ContentType, Key, KeyError};

use crate::http::conditions::{self, TagList};
use crate::http::duration::{TIMEOUT_MS_MAX, TTL_MS_MAX, parse_millis};
use crate::http::idempotency::IdempotencyKey;
use crate::http::problem::{Code, Problem};
use crate::http::query::{Query, decode_percent, shown};
use crate::http::route::{RawKey, Route};
use crate::listing::ListRequest;

/// One request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Read one key.
    Get(Get),
    /// Change one key.
    Write(Write),
    /// List keys.
    List(ListRequest),
    /// Count keys.
    Count(ListRequest),
    /// Delete the keys of a range.
    DeleteRange(ListRequest),
    /// Is the process alive?
    Livez,
    /// Can it serve?
    Readyz,
    /// Prometheus text.
    Metrics,
    /// Topology and node health.
    Cluster,
    /// A key's replicas, each asked.
    Where(Key),
}

/// A read of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    /// The key.
    pub key: Key,
    /// Any one replica's answer will do.
    pub eventual: bool,
    /// Versions that the client has.
    pub if_none_match: Option<TagList>,
    /// The time that the request may take, if it says so.
    pub timeout_ms: Option<u64>,
}

/// A change of one key. A put's value is still in the request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Key,
    /// What to do.
    pub action: Action,
    /// What must hold.
    pub condition: Condition,
    /// The client's name for the operation.
    pub idempotency: Option<IdempotencyKey>,
    /// The time that the request may take, if it says so.
    pub timeout_ms: Option<u64>,
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Store the body.
    Put {
        /// The body's media type.
        content_type: ContentType,
        /// Time to live.
        ttl_ms: Option<u64>,
    },
    /// Remove the value.
    Delete,
    /// Add to a counter.
    Increment {
        /// What to add.
        by: i64,
        /// Time to live if this creates the counter.
        ttl_ms: Option<u64>,
    },
    /// Give the value a new end; `None` for never.
    Touch {
        /// Time to live.
        ttl_ms: Option<u64>,
    },
}

macro_rules! endpoint_names {
    ($($name:ident = $text:literal;)*) => {
        /// An endpoint's name in metrics and logs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names of the endpoints")]
        pub enum EndpointName {
            $($name,)*
            /// Refused before it was understood.
            Other,
        }

        impl EndpointName {
            /// Every endpoint.
            pub const ALL: &'static [Self] = &[$(Self::$name,)* Self::Other];

            /// The text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other => "other",
                }
            }
        }
    };
}

endpoint_names! {
    Get = "get";
    Put = "put";
    Delete = "delete";
    Increment = "increment";
    Touch = "touch";
    List = "list";
    Count = "count";
    DeleteRange = "delete_range";
    Livez = "livez";
    Readyz = "readyz";
    Metrics = "metrics";
    Cluster = "cluster";
    Where = "where";
}

impl EndpointName {
    /// Whether its answers tell of keys and values, and not of the router and its cluster.
    #[must_use]
    pub fn is_of_keys(self) -> bool {
        match self {
            Self::Get | Self::Put | Self::Delete | Self::Increment | Self::Touch => true,
            Self::List | Self::Count | Self::DeleteRange => true,
            Self::Livez | Self::Readyz | Self::Metrics | Self::Cluster | Self::Where | Self::Other => false,
        }
    }
}

impl Endpoint {
    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> EndpointName {
        match self {
            Self::Get(_) => EndpointName::Get,
            Self::Write(write) => match write.action {
                Action::Put { .. } => EndpointName::Put,
                Action::Delete => EndpointName::Delete,
                Action::Increment { .. } => EndpointName::Increment,
                Action::Touch { .. } => EndpointName::Touch,
            },
            Self::List(_) => EndpointName::List,
            Self::Count(_) => EndpointName::Count,
            Self::DeleteRange(_) => EndpointName::DeleteRange,
            Self::Livez => EndpointName::Livez,
            Self::Readyz => EndpointName::Readyz,
            Self::Metrics => EndpointName::Metrics,
            Self::Cluster => EndpointName::Cluster,
            Self::Where(_) => EndpointName::Where,
        }
    }

    /// Understands a request whose route is known.
    ///
    /// # Errors
    /// When the method, a parameter or a header is not acceptable. Nothing was done.
    pub fn parse(route: &Route<'_>, parts: &Parts) -> Result<Self, Problem> {
        let (method, query, allow) = (&parts.method, parts.uri.query(), route.allow());
        if allow.is_some_and(|allow| allow.split(", ").all(|allowed| allowed != method.as_str())) {
            let detail = format!("{method} is not available here; accepted: {}", allow.unwrap_or_default());
            return Err(Problem::new(Code::MethodNotAllowed, detail).with_allow(allow));
        }
        match route {
            Route::Key(raw) => key_endpoint(method, parse_key(*raw)?, parts),
            Route::List if *method == Method::DELETE => {
                Ok(Self::DeleteRange(ListRequest::parse_removal(query, &parts.headers)?))
            }
            Route::List => {
                let request = ListRequest::parse(query, &parts.headers)?;
                Ok(if request.count { Self::Count(request) } else { Self::List(request) })
            }
            Route::Where(raw) => without_query(query, Self::Where(parse_key(*raw)?)),
            Route::Livez => without_query(query, Self::Livez),
            Route::Readyz => without_query(query, Self::Readyz),
            Route::Metrics => without_query(query, Self::Metrics),
            Route::Cluster => without_query(query, Self::Cluster),
            Route::Unknown => Err(Problem::new(
                Code::NoSuchRoute,
                format!("there is nothing at {}; keys are at /v1/kv/{{key}}", shown(parts.uri.path())),
            )),
        }
    }
}

fn without_query(query: Option<&str>, endpoint: Endpoint) -> Result<Endpoint, Problem> {
    Query::parse(query, &[]).map(|_| endpoint)
}

/// Decodes a key.
fn parse_key(raw: RawKey<'_>) -> Result<Key, Problem> {
    let bytes = match raw {
        RawKey::Percent(raw) => decode_percent(raw.as_bytes()).ok_or_else(|| {
            let found = shown(raw);
            format!("the key has a '%' without two hexadecimal digits after it: {found}")
        }),
        RawKey::Base64(raw) => URL_SAFE_NO_PAD.decode(raw).map_err(|error| {
            format!("the key is {}: {error}; base64url without padding is accepted here", shown(raw))
        }),
    };
    let bytes = bytes.map_err(|detail| Problem::new(Code::BadKey, detail))?;
    Key::new(bytes).map_err(|error| match error {
        KeyError::Empty => Problem::new(Code::BadKey, error.to_string()),
        KeyError::TooLong(_) => {
            let limit = u64::try_from(Key::BYTES_MAX).unwrap_or(u64::MAX);
            Problem::new(Code::KeyTooLong, error.to_string()).with_limit(limit)
        }
    })
}

fn key_endpoint(method: &Method, key: Key, parts: &Parts) -> Result<Endpoint, Problem> {
    let (query, headers) = (parts.uri.query(), &parts.headers);
    match *method {
        Method::PUT => parse_put(key, query, headers),
        Method::DELETE => {
            let mut query = Query::parse(query, &["timeout"])?;
            let condition = conditions::match_only_condition(headers)?;
            write(key, Action::Delete, condition, headers, &mut query)
        }
        Method::POST => parse_post(key, query, headers),
        _ => parse_get(key, query, headers),
    }
}

fn parse_get(key: Key, query: Option<&str>, headers: &HeaderMap) -> Result<Endpoint, Problem> {
    let mut query = Query::parse(query, &["consistency", "timeout", "wait"])?;
    if query.bytes("wait").is_some() {
        return Err(Problem::new(
            Code::BadRequest,
            "the query parameter \"wait\" (long poll) is not available in this version",
        ));
    }
    let eventual = match query.text("consistency")?.as_deref() {
        None | Some("linearizable") => false,
        Some("eventual") => true,
        Some(other) => {
            let detail = format!("consistency is {}; linearizable or eventual is accepted", shown(other));
            return Err(Problem::new(Code::BadRequest, detail));
        }
    };
    let if_none_match = conditions::read_condition(headers)?;
    Ok(Endpoint::Get(Get { key, eventual, if_none_match, timeout_ms: timeout(&mut query)? }))
}

fn parse_put(key: Key, query: Option<&str>, headers: &HeaderMap) -> Result<Endpoint, Problem> {
    let mut query = Query::parse(query, &["ttl", "timeout"])?;
    let content_type = content_type(headers)?;
    // What is stored is returned as it is: an encoding or a range would be lost.
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Problem::new(
            Code::UnsupportedContentEncoding,
            "Content-Encoding is not kept with the value; send the bytes without it",
        ));
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Problem::new(Code::BadRequest, "Content-Range: a value is written whole"));
    }
    let ttl_ms = query.text("ttl")?.map(|text| ttl(&text)).transpose()?;
    let condition = conditions::put_condition(headers)?;
    write(key, Action::Put { content_type, ttl_ms }, condition, headers, &mut query)
}

fn parse_post(key: Key, query: Option<&str>, headers: &HeaderMap) -> Result<Endpoint, Problem> {
    let mut query = Query::parse(query, &["op", "by", "ttl", "timeout"])?;
    let op = query.text("op")?;
    let ttl_text = query.text("ttl")?;
    let by_text = query.text("by")?;
    match op.as_deref() {
        Some("increment") => {
            conditions::no_condition(headers)?;
            let ttl_ms = ttl_text.map(|text| ttl(&text)).transpose()?;
            let action = Action::Increment { by: parse_by(by_text.as_deref())?, ttl_ms };
            write(key, action, Condition::None, headers, &mut query)
        }
        Some("touch") => {
            if by_text.is_some() {
                return Err(Problem::new(Code::BadRequest, "the query parameter \"by\" is for op=increment"));
            }
            let condition = conditions::match_only_condition(headers)?;
            let ttl_ms = match ttl_text.as_deref() {
                None => {
                    return Err(Problem::new(
                        Code::BadTtl,
                        "op=touch takes ttl=30s (for example) or ttl=none",
                    ));
                }
                Some("none") => None,
                Some(text) => Some(ttl(text)?),
            };
            write(key, Action::Touch { ttl_ms }, condition, headers, &mut query)
        }
        other => {
            let found = other.map_or_else(|| "missing".to_owned(), shown);
            let detail = format!("op is {found}; op=increment&by=N or op=touch&ttl=30s is accepted");
            Err(Problem::new(Code::BadRequest, detail))
        }
    }
}

fn parse_by(text: Option<&str>) -> Result<i64, Problem> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let found = text.map_or_else(|| "missing".to_owned(), shown);
        Problem::new(Code::BadRequest, format!("by is {found}; a decimal signed 64-bit integer is accepted"))
    })
}

fn write(
    key: Key,
    action: Action,
    condition: Condition,
    headers: &HeaderMap,
    query: &mut Query,
) -> Result<Endpoint, Problem> {
    let idempotency = single(headers, &HeaderName::from_static("idempotency-key"), Code::BadIdempotencyKey)?
        .map(|bytes| IdempotencyKey::parse(&String::from_utf8_lossy(bytes)))
        .transpose()?;
    Ok(Endpoint::Write(Write { key, action, condition, idempotency, timeout_ms: timeout(query)? }))
}

fn ttl(text: &str) -> Result<u64, Problem> {
    parse_millis(text, TTL_MS_MAX)
        .map_err(|error| Problem::new(Code::BadTtl, format!("ttl {} {error}", shown(text))))
}

fn timeout(query: &mut Query) -> Result<Option<u64>, Problem> {
    query
        .text("timeout")?
        .map(|text| {
            parse_millis(&text, TIMEOUT_MS_MAX)
                .map_err(|error| Problem::new(Code::BadTimeout, format!("timeout {} {error}", shown(&text))))
        })
        .transpose()
}

fn content_type(headers: &HeaderMap) -> Result<ContentType, Problem> {
    let bytes = single(headers, &header::CONTENT_TYPE, Code::BadContentType)?.unwrap_or_default();
    ContentType::new(bytes.to_vec()).ok_or_else(|| {
        let detail = format!(
            "Content-Type has {} bytes; at most {} are accepted",
            bytes.len(),
            ContentType::BYTES_MAX
        );
        Problem::new(Code::BadContentType, detail)
    })
}

/// The value of a header that stands once at most.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName, code: Code) -> Result<Option<&'a [u8]>, Problem> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next();
    if lines.next().is_some() {
        return Err(Problem::new(code, format!("the header {name} stands more than once; it is taken once")));
    }
    Ok(first.map(HeaderValue::as_bytes))
}

#[cfg(test)]
mod tests;
