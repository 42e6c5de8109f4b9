//! Where a path leads.

/// A key as it stands in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawKey<'a> {
    /// Percent-encoded, with slashes that may stand for themselves.
    Percent(&'a str),
    /// In base64url without padding: the form for keys that a URL library would rewrite.
    Base64(&'a str),
}

/// A path, told apart before anything else of the request is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v1/kv/{key}` or `/v1/kvb/{key}`.
    Key(RawKey<'a>),
    /// `/v1/kv`.
    List,
    /// `/livez`.
    Livez,
    /// `/readyz`.
    Readyz,
    /// `/metrics`.
    Metrics,
    /// `/v1/cluster`.
    Cluster,
    /// `/v1/cluster/where/{key}` or `/v1/cluster/whereb/{key}`.
    Where(RawKey<'a>),
    /// Anything else.
    Unknown,
}

impl<'a> Route<'a> {
    /// The route of a path.
    #[must_use]
    pub fn of(path: &'a str) -> Self {
        if let Some(key) = raw_key(path, "/v1/kv") {
            return Self::Key(key);
        }
        if let Some(key) = raw_key(path, "/v1/cluster/where") {
            return Self::Where(key);
        }
        match path {
            "/v1/kv" => Self::List,
            "/livez" => Self::Livez,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            "/v1/cluster" => Self::Cluster,
            _ => Self::Unknown,
        }
    }

    /// The methods that it takes, as the `Allow` header lists them; `None` where there is nothing.
    #[must_use]
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Key(_) => Some("GET, HEAD, PUT, POST, DELETE"),
            Self::List => Some("GET, HEAD, DELETE"),
            Self::Unknown => None,
            _ => Some("GET, HEAD"),
        }
    }

    /// Whether it answers although the router has no cluster, too much to do, or is stopping.
    #[must_use]
    pub fn is_for_operators(&self) -> bool {
        matches!(self, Self::Livez | Self::Readyz | Self::Metrics | Self::Cluster)
    }
}

/// The key behind one of the two forms of a path.
fn raw_key<'a>(path: &'a str, prefix: &str) -> Option<RawKey<'a>> {
    let rest = path.strip_prefix(prefix)?;
    let percent = rest.strip_prefix('/').map(RawKey::Percent);
    percent.or_else(|| rest.strip_prefix("b/").map(RawKey::Base64))
}
