//! The fields of a request that rules may name.

use std::borrow::Cow;

use beaconfire_model::{Request, SubjectKind, TargetForm};

/// A field of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The client, after the trust rule.
    Client,
    /// Its /24 or /48.
    Prefix,
    /// The service.
    Service,
    /// The Host header.
    Host,
    /// The path without the query string.
    Path,
    /// The method.
    Method,
    /// The User-Agent header.
    UserAgent,
    /// The response's status.
    Status,
    /// The query string.
    Query,
    /// The last segment of the path.
    File,
    /// `true` for files that browsers fetch along with a page.
    Static,
    /// The HTTP version, without `HTTP/`.
    HttpVersion,
    /// `true` for requests to pass something on to somewhere else, as one asks a proxy.
    Elsewhere,
}

/// What a page pulls in: images, styles, scripts, fonts, media.
const STATIC: [&str; 26] = [
    "avif", "bmp", "css", "eot", "flac", "gif", "ico", "jpeg", "jpg", "js", "m4a", "map", "mjs", "mp3",
    "mp4", "ogg", "otf", "png", "svg", "ttf", "wasm", "wav", "webm", "webp", "woff", "woff2",
];

impl Field {
    /// All fields.
    pub const ALL: [Self; 13] = [
        Self::Client,
        Self::Prefix,
        Self::Service,
        Self::Host,
        Self::Path,
        Self::Method,
        Self::UserAgent,
        Self::Status,
        Self::Query,
        Self::File,
        Self::Static,
        Self::HttpVersion,
        Self::Elsewhere,
    ];

    /// The name in rules.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Prefix => "prefix",
            Self::Service => "service",
            Self::Host => "host",
            Self::Path => "path",
            Self::Method => "method",
            Self::UserAgent => "user_agent",
            Self::Status => "status",
            Self::Query => "query",
            Self::File => "file",
            Self::Static => "static",
            Self::HttpVersion => "http_version",
            Self::Elsewhere => "elsewhere",
        }
    }

    /// The field with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// What a subject counted by this field is; `None` for fields that rules cannot count by.
    pub const fn subject(self) -> Option<SubjectKind> {
        Some(match self {
            Self::Client => SubjectKind::Client,
            Self::Prefix => SubjectKind::Prefix,
            Self::Service => SubjectKind::Service,
            Self::Host => SubjectKind::Host,
            Self::Path => SubjectKind::Path,
            Self::Method => SubjectKind::Method,
            Self::UserAgent => SubjectKind::UserAgent,
            Self::Status => SubjectKind::Status,
            Self::Query | Self::File | Self::Static | Self::HttpVersion | Self::Elsewhere => return None,
        })
    }

    /// The field's text in a request that was answered by `service`; empty where it has none.
    pub fn text<'r>(self, request: &Request<'r>, service: &'r str) -> Cow<'r, str> {
        match self {
            Self::Client => request.client.map_or(Cow::Borrowed(""), |client| client.to_string().into()),
            Self::Prefix => {
                request.client.map_or(Cow::Borrowed(""), |client| client.prefix().to_string().into())
            }
            Self::Service => service.into(),
            Self::Host => request.host.into(),
            Self::Path => request.path.into(),
            Self::Method => request.method.into(),
            Self::UserAgent => request.user_agent.into(),
            Self::Status => request.status.to_string().into(),
            Self::Query => request.query.into(),
            Self::File => file(request.path).into(),
            Self::Static => if is_static(request.path) { "true" } else { "false" }.into(),
            Self::HttpVersion => request.http_version.into(),
            Self::Elsewhere => if is_elsewhere(request) { "true" } else { "false" }.into(),
        }
    }
}

/// How servers say that they are no proxy, or do not know that host. Not 404: whoever asks its own host by whole URLs,
/// as clients behind odd proxies do, comes upon missing pages as anybody does.
const REFUSALS: [u16; 6] = [400, 403, 405, 407, 421, 501];

/// Whether a request asks to be passed on: by CONNECT, but for WebSocket over HTTP/2, which has a path; or by a whole
/// URL that names another host than the one that answered, or, where the record does not tell, was refused.
pub(crate) fn is_elsewhere(request: &Request<'_>) -> bool {
    match request.target {
        TargetForm::Path => request.method == "CONNECT" && !request.path.starts_with('/'),
        TargetForm::Url => REFUSALS.contains(&request.status),
        TargetForm::Elsewhere => true,
    }
}

/// The last segment of a path.
pub(crate) fn file(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Whether a path ends like a file that a page pulls in.
pub(crate) fn is_static(path: &str) -> bool {
    let file = file(path);
    let Some((_, extension)) = file.rsplit_once('.') else { return false };
    STATIC.iter().any(|known| extension.eq_ignore_ascii_case(known))
}
