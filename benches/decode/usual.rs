//! What one would write first: serde_json into a struct, and a regex with captures.

use std::borrow::Cow;
use std::net::IpAddr;

use beaconfire_model::{Client, EventTime, Request, TargetForm};
use jiff::Timestamp;
use regex::Regex;
use serde::Deserialize;

use crate::Usual;

/// serde_json, typed. What a sender writes may hold escapes, so it is `Cow`; the rest is the server's own.
pub(crate) struct Typed;

#[derive(Deserialize)]
struct Access<'a> {
    time_iso8601: &'a str,
    remote_addr: &'a str,
    #[serde(borrow)]
    request_method: Cow<'a, str>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    request_uri: Cow<'a, str>,
    server_protocol: &'a str,
    status: &'a str,
    body_bytes_sent: &'a str,
    request_time: &'a str,
    #[serde(borrow)]
    http_user_agent: Cow<'a, str>,
}

impl Usual for Typed {
    fn read(&mut self, payload: &[u8], each: &mut dyn FnMut(&Request<'_>)) {
        let text = std::str::from_utf8(payload).expect("the corpus is text");
        let access: Access<'_> = serde_json::from_str(text).expect("the corpus is JSON");
        let time: Timestamp = access.time_iso8601.parse().expect("a time");
        let (path, query) = access.request_uri.split_once('?').unwrap_or((&access.request_uri, ""));
        let seconds: f64 = access.request_time.parse().expect("a number");
        each(&Request {
            time: EventTime::from_millis(time.as_millisecond()),
            client: client(access.remote_addr),
            service: "",
            method: &access.request_method,
            host: &access.host,
            path,
            query,
            http_version: access.server_protocol.strip_prefix("HTTP/").unwrap_or_default(),
            status: access.status.parse().expect("a status"),
            bytes_sent: access.body_bytes_sent.parse().expect("a number"),
            duration_micros: Some((seconds * 1e6).round() as u64),
            user_agent: some(&access.http_user_agent),
            request_id: "",
            target: TargetForm::Path,
        });
    }
}

/// One regex, compiled once, with a capture for each field.
pub(crate) struct Captures(Regex);

impl Captures {
    pub(crate) fn new() -> Self {
        let pattern = concat!(
            r#"^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) (\S+) HTTP/([^"]+)" "#,
            r#"(\d{3}) (\d+|-) "[^"]*" "([^"]*)"$"#
        );
        Self(Regex::new(pattern).expect("a regex"))
    }
}

impl Usual for Captures {
    fn read(&mut self, payload: &[u8], each: &mut dyn FnMut(&Request<'_>)) {
        let text = std::str::from_utf8(payload).expect("the corpus is text");
        let captures = self.0.captures(text).expect("the corpus is combined");
        let [address, time, method, target, version, status, bytes, agent] = captures.extract().1;
        let time = Timestamp::strptime("%d/%b/%Y:%H:%M:%S %z", time).expect("a time");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        each(&Request {
            time: EventTime::from_millis(time.as_millisecond()),
            client: client(address),
            service: "",
            method,
            host: "",
            path,
            query,
            http_version: version,
            status: status.parse().expect("a status"),
            bytes_sent: bytes.parse().unwrap_or(0),
            duration_micros: None,
            user_agent: some(agent),
            request_id: "",
            target: TargetForm::Path,
        });
    }
}

fn client(address: &str) -> Option<Client> {
    address.parse::<IpAddr>().ok().map(Client::of)
}

/// Servers write `-` for nothing.
fn some(text: &str) -> &str {
    if text == "-" { "" } else { text }
}
