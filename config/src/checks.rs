//! What only shows when several sections are seen together.

use crate::config::Config;
use crate::judge::{Judge, is_loopback};
use crate::raw::Raw;

/// Doubts about a configuration whose sections are each in order.
pub(crate) fn across(judge: &mut Judge<'_>, raw: &Raw, config: &Config) {
    loopback_links(judge, raw, config);
    proxies(judge, raw, config);
    ages(judge, raw);
}

/// Messages that leave this machine hold links; a link to loopback leads each reader to his own machine.
fn loopback_links(judge: &mut Judge<'_>, raw: &Raw, config: &Config) {
    let url = &raw.http.external_url;
    let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let bare =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(bare, _)| bare);
    if is_loopback(bare) && !config.receivers.is_empty() {
        judge.warn(
            url.place,
            "`http.external_url` is loopback, and it goes into the links of every message",
            "set it to the address under which the people who are told reach the console",
        );
    }
}

/// Without trusted proxies the client is whoever connected: behind a load balancer that is the load balancer.
fn proxies(judge: &mut Judge<'_>, raw: &Raw, config: &Config) {
    let Some(topic) = raw.kafka.topics.iter().find(|topic| !topic.client_resolved) else { return };
    if config.kafka.is_some() && raw.clients.trusted_proxies.is_empty() {
        judge.warn(
            topic.place,
            "`clients.trusted_proxies` is empty: the client is the address that connected, and X-Forwarded-For is not read",
            "name the networks of your proxies, or set `client_resolved: true` where the log already has the real client",
        );
    }
}

/// Facts that are stale before they can be found tell nobody.
fn ages(judge: &mut Judge<'_>, raw: &Raw) {
    let max_age = &raw.incidents.max_age;
    let lateness = raw.kafka.topics.iter().filter_map(|topic| topic.lateness.as_ref());
    let longest = lateness.map(|lateness| lateness.duration).chain([raw.limits.lateness.duration]).max();
    let window = raw.rules.iter().filter(|rule| rule.enabled).map(|rule| rule.window.duration).max();
    let needed = longest.unwrap_or_default() + window.unwrap_or_default();
    if max_age.duration <= needed {
        judge.warn(
            max_age.place,
            format!(
                "`incidents.max_age` ({}) is not above the longest window and lateness together",
                max_age.value
            ),
            "what a slow topic or a long rule finds would be too old to tell anybody",
        );
    }
}
