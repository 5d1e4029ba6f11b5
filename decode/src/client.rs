//! Who sent a request: the trust rule.
//!
//! X-Forwarded-For is written by whoever sends it, and each proxy adds the address it was called from at the right.
//! So it is believed from the right, as far as the addresses are our own proxies': the first that is not is the
//! client. Taking the leftmost address instead would let an attacker be a new client with each request, or be
//! their victim.

mod plain;

use std::net::IpAddr;

use beaconfire_model::Client;
use ipnet::IpNet;

use crate::DecodeKnobs;

/// Addresses of X-Forwarded-For that are looked at, from the right.
const HOPS_MAX: usize = 32;
/// Bytes of X-Forwarded-For that are looked at, from the right.
const FORWARDED_BYTES_MAX: usize = 1024;

/// How the client was found, for `explain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The record's address is already the client's, says the configuration or the record.
    Resolved,
    /// The peer, which is no proxy of ours.
    Peer,
    /// The peer is a proxy of ours, but sent no address that can be believed.
    Proxy,
    /// This hop of X-Forwarded-For, counted from 1 at the right.
    Hop(usize),
    /// There is no address, or it does not parse.
    Nobody,
}

/// The client of a request whose socket's other end was `peer`, or who was `resolved` before it was logged.
#[inline(always)]
pub(crate) fn client(
    knobs: &DecodeKnobs,
    resolved: bool,
    peer: &str,
    forwarded: &str,
) -> (Option<Client>, Found) {
    // Where nobody is trusted there is nothing else to know, and most have such an address.
    if knobs.trusted_proxies.is_empty()
        && let Some(peer) = plain::v4(peer.as_bytes())
    {
        let found = if resolved || knobs.client_resolved { Found::Resolved } else { Found::Peer };
        return (Some(Client::of(IpAddr::V4(peer))), found);
    }
    any_client(knobs, resolved, peer, forwarded)
}

#[inline(never)]
fn any_client(knobs: &DecodeKnobs, resolved: bool, peer: &str, forwarded: &str) -> (Option<Client>, Found) {
    let Some(peer) = address(peer) else { return (None, Found::Nobody) };
    if resolved || knobs.client_resolved {
        return (Some(Client::of(peer)), Found::Resolved);
    }
    if !is_trusted(&knobs.trusted_proxies, peer) {
        return (Some(Client::of(peer)), Found::Peer);
    }
    let (client, found) = walk(knobs, forwarded).unwrap_or((peer, Found::Proxy));
    (Some(Client::of(client)), found)
}

/// The client of a request whose server logs no peer, but adds it to X-Forwarded-For, if the operator says so.
pub(crate) fn appended(knobs: &DecodeKnobs, forwarded: &str) -> (Option<Client>, Found) {
    match walk(knobs, forwarded).filter(|_| knobs.client_resolved) {
        Some((client, found)) => (Some(Client::of(client)), found),
        None => (None, Found::Nobody),
    }
}

/// The first address from the right that is no proxy of ours, or the last that can be believed.
fn walk(knobs: &DecodeKnobs, forwarded: &str) -> Option<(IpAddr, Found)> {
    let mut client = None;
    // Cutting inside a token or character makes that token unreadable, which ends the walk there.
    let cut = forwarded.len().saturating_sub(FORWARDED_BYTES_MAX);
    let tail = forwarded.as_bytes().get(cut..).unwrap_or_default();
    for (hop, token) in tail.rsplit(|byte| *byte == b',').take(HOPS_MAX).enumerate() {
        let whole = cut == 0 || token.as_ptr() != tail.as_ptr();
        let Some(next) = std::str::from_utf8(token).ok().filter(|_| whole).and_then(address) else { break };
        client = Some((next, Found::Hop(hop + 1)));
        if !is_trusted(&knobs.trusted_proxies, next) {
            break;
        }
    }
    client
}

/// An address as logs write it: with or without port, brackets, quotes and zone. IPv4-mapped IPv6 is IPv4.
#[inline]
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    plain::address(text.as_bytes()).or_else(|| dressed(text))
}

#[cold]
fn dressed(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t', '"']);
    let plain = |text: &str| text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    // An address with port has at most 63 bytes; longer text is not worth a look.
    if text.len() > 64 {
        return None;
    }
    plain(text).or_else(|| {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (host, if port.is_empty() { "0" } else { port.strip_prefix(':')? })
            }
            None if text.contains('.') && text.matches(':').count() == 1 => text.split_once(':')?,
            None => (text, "0"),
        };
        let host = host.split_once('%').map_or(host, |(host, _)| host);
        port.parse::<u16>().ok().and_then(|_| plain(host))
    })
}

/// `address:port` without its port, in formats that always have one: the last colon parts them, also where the address
/// is IPv6 and has no brackets.
pub(crate) fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => {
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
        }
        _ => text,
    }
}

fn is_trusted(proxies: &[IpNet], address: IpAddr) -> bool {
    proxies.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn knobs(trusted: &[&str]) -> DecodeKnobs {
        DecodeKnobs {
            trusted_proxies: trusted.iter().map(|network| network.parse().unwrap()).collect(),
            ..DecodeKnobs::default()
        }
    }

    fn who(trusted: &[&str], peer: &str, forwarded: &str) -> String {
        client(&knobs(trusted), false, peer, forwarded).0.map_or("nobody".into(), |client| client.to_string())
    }

    #[test]
    fn addresses_lose_their_dress() {
        for (text, meant) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("203.0.113.7:4711", Some("203.0.113.7")),
            (" 203.0.113.7 ", Some("203.0.113.7")),
            ("\"203.0.113.7\"", Some("203.0.113.7")),
            ("2001:db8::9", Some("2001:db8::9")),
            ("[2001:db8::9]", Some("2001:db8::9")),
            ("[2001:db8::9]:443", Some("2001:db8::9")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("::ffff:203.0.113.7", Some("203.0.113.7")),
            ("[::ffff:203.0.113.7]:80", Some("203.0.113.7")),
            ("", None),
            ("-", None),
            ("unix:", None),
            ("unknown", None),
            ("_hidden", None),
            ("203.0.113.7:port", None),
            ("203.0.113.7:70000", None),
            ("[2001:db8::9", None),
            ("203.0.113", None),
            ("3.4.5.6.7", None),
        ] {
            assert_eq!(address(text), meant.map(|meant| meant.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_last_colon_parts_address_and_port() {
        for (text, meant) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::9:4711", "2001:db8::9"),
            ("[2001:db8::9]:4711", "2001:db8::9"),
            ("-:4711", "-"),
            ("unix:1", "unix"),
            ("-", "-"),
            ("", ""),
        ] {
            assert_eq!(without_port(text), meant);
        }
    }

    #[test]
    fn forwarded_addresses_are_believed_from_the_right_through_our_proxies() {
        let ours = &["10.0.0.0/8", "2001:db8:ff::/48"][..];
        for (trusted, peer, forwarded, meant) in [
            (&[][..], "203.0.113.7", "198.51.100.1", "203.0.113.7"),
            (ours, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
            (ours, "10.0.0.1", "", "10.0.0.1"),
            (ours, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
            (ours, "10.0.0.1:80", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
            (ours, "10.0.0.1", "6.6.6.6,198.51.100.1 , 10.9.9.9", "198.51.100.1"),
            (ours, "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            (ours, "10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", "10.0.0.2"),
            (ours, "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
            (ours, "2001:db8:ff::1", "[2001:db8:1:2::3]:5", "2001:db8:1:2::/64"),
            (ours, "::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
            (ours, "-", "198.51.100.1", "nobody"),
            (ours, "unix:", "198.51.100.1", "nobody"),
        ] {
            assert_eq!(who(trusted, peer, forwarded), meant, "{peer} after {forwarded:?}");
        }
    }

    #[test]
    fn a_resolved_address_is_taken_as_it_is() {
        let knobs = DecodeKnobs { client_resolved: true, ..knobs(&["10.0.0.0/8"]) };
        assert_eq!(client(&knobs, false, "10.0.0.1", "198.51.100.1").0.unwrap().to_string(), "10.0.0.1");
    }

    #[test]
    fn the_walk_is_bounded() {
        let hops = |count: usize| format!("6.6.6.6{}", ", 10.0.0.2".repeat(count));
        assert_eq!(who(&["10.0.0.0/8"], "10.0.0.1", &hops(31)), "6.6.6.6");
        assert_eq!(who(&["10.0.0.0/8"], "10.0.0.1", &hops(32)), "10.0.0.2");
        // A cut token must not pass for another address: the tail of 1,024 bytes begins inside "106.6.6.6".
        let padded = format!("106.6.6.6{},10.0.0.2", " ".repeat(1024 - 7 - 9));
        assert_eq!(who(&["10.0.0.0/8"], "10.0.0.1", &padded), "10.0.0.2");
    }

    proptest! {
        /// Whatever a sender writes to the left of what our proxy added is without effect.
        #[test]
        fn nobody_can_choose_their_address(junk in ".{0,200}") {
            prop_assert_eq!(who(&["10.0.0.0/8"], "10.0.0.1", &format!("{junk}, 198.51.100.1")), "198.51.100.1");
            prop_assert_eq!(who(&["10.0.0.0/8"], "203.0.113.7", &junk), "203.0.113.7");
        }
    }
}
