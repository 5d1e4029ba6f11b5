//! What a record says, borrowed from its bytes: nothing here outlives the batch it came in.

use crate::{Client, EventTime, ResourceSample, RuntimeEvent};

/// One thing that happened, decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'b> {
    /// A request that a service answered.
    Request(Request<'b>),
    /// What a container or host used at one moment.
    Resource(ResourceSample<'b>),
    /// Something a sensor saw at run time.
    Runtime(RuntimeEvent<'b>),
    /// A scan of an image for known vulnerabilities.
    Image(ImageScan<'b>),
}

impl Event<'_> {
    /// When it happened.
    pub fn time(&self) -> EventTime {
        match self {
            Self::Request(request) => request.time,
            Self::Resource(sample) => sample.time,
            Self::Runtime(event) => event.time,
            Self::Image(scan) => scan.time,
        }
    }

    /// The same event at another time: for records whose clock runs ahead of the log's.
    #[must_use]
    pub fn at(mut self, time: EventTime) -> Self {
        match &mut self {
            Self::Request(request) => request.time = time,
            Self::Resource(sample) => sample.time = time,
            Self::Runtime(event) => event.time = time,
            Self::Image(scan) => scan.time = time,
        }
        self
    }
}

/// Whom a request line names beside what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetForm {
    /// Nobody: a path, or the record does not show its request line as it was sent.
    #[default]
    Path,
    /// A host in a whole URL, as proxies are asked. Whether it is ours the record does not tell: servers take the Host
    /// header from such a URL, so that the two being the same says little.
    Url,
    /// A host in a whole URL that is not the host which answered.
    Elsewhere,
}

/// A request that a service answered. Text that the record does not have is empty.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Request<'b> {
    /// When it was received or answered, by the log's clock.
    pub time: EventTime,
    /// Who sent it, after the trust rule; `None` where the address is missing or does not parse.
    pub client: Option<Client>,
    /// The service the record itself names (upstream, Kubernetes, our own format); empty where it names none.
    pub service: &'b str,
    /// The method, as it came.
    pub method: &'b str,
    /// The Host header, as it came: what a sender makes up.
    pub host: &'b str,
    /// The path without the query string.
    pub path: &'b str,
    /// The query string without the question mark.
    pub query: &'b str,
    /// The version as in the request line, without `HTTP/`; empty where the format does not have it.
    pub http_version: &'b str,
    /// The response's status; 0 where there was none.
    pub status: u16,
    /// Bytes sent to the client.
    pub bytes_sent: u64,
    /// How long the answer took, in microseconds.
    pub duration_micros: Option<u64>,
    /// The User-Agent header.
    pub user_agent: &'b str,
    /// The request id of the proxy or mesh.
    pub request_id: &'b str,
    /// What its request line names.
    pub target: TargetForm,
}

/// A scan of an image for known vulnerabilities, reduced to what decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageScan<'b> {
    /// When it was scanned.
    pub time: EventTime,
    /// The image's normalised name.
    pub image: &'b str,
    /// Its digest, `sha256:…`.
    pub digest: &'b str,
    /// Vulnerabilities rated critical.
    pub critical: u32,
    /// Vulnerabilities rated high.
    pub high: u32,
    /// Critical ones that a newer package mends.
    pub fixable_critical: u32,
}
