//! Where a path leads.

/// A path, told apart before anything else of the request is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v1/kv/{key}`, the key as it stands in the path.
    Key(&'a str),
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
    /// `/v1/cluster/where/{key}`, the key as it stands in the path.
    Where(&'a str),
    /// Anything else.
    Unknown,
}

impl<'a> Route<'a> {
    /// The route of a path.
    #[must_use]
    pub fn of(path: &'a str) -> Self {
        if let Some(key) = path.strip_prefix("/v1/kv/") {
            return Self::Key(key);
        }
        if let Some(key) = path.strip_prefix("/v1/cluster/where/") {
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
