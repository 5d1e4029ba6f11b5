//! Times and addresses, read naively.

use std::net::IpAddr;

use beaconfire_model::Client;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Milliseconds since 1970 of a time in any of the ways that logs write one; UTC where it does not say.
pub(crate) fn time(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    match (text.as_bytes().get(2), text.as_bytes().get(4)) {
        (Some(b'/'), _) => clf(text),
        (_, Some(b'-')) => iso(text),
        _ => number(text),
    }
}

/// What a pattern finds: `0` stands for a digit, `a` for any character, others for themselves. The digits come back
/// as numbers, one for each run, and what is behind the pattern.
fn matches<'t>(text: &'t str, pattern: &str) -> Option<(Vec<i64>, &'t str)> {
    let mut numbers = Vec::new();
    let mut before = ' ';
    let mut rest = text.chars();
    for wanted in pattern.chars() {
        let c = rest.next()?;
        match wanted {
            '0' => {
                if before != '0' {
                    numbers.push(0);
                }
                let last = numbers.last_mut()?;
                *last = *last * 10 + i64::from(c.to_digit(10)?);
            }
            'a' => {}
            _ if c == wanted => {}
            _ => return None,
        }
        before = wanted;
    }
    Some((numbers, rest.as_str()))
}

fn clf(text: &str) -> Option<i64> {
    let (found, rest) = matches(text, "00/aaa/0000:00:00:00")?;
    let month = MONTHS.iter().position(|month| text.get(3..6) == Some(month))? as i64 + 1;
    let (millis, zone) = fraction(rest)?;
    let offset = if zone.is_empty() { 0 } else { offset(zone.strip_prefix(' ')?, "00", "00")? };
    Some(moment([found[1], month, found[0], found[2], found[3], found[4]])? + millis - offset)
}

fn iso(text: &str) -> Option<i64> {
    let (found, rest) = matches(text, "0000-00-00a00:00:00")?;
    if !text[10..].starts_with(['T', 't', ' ']) {
        return None;
    }
    let (millis, zone) = fraction(rest)?;
    let offset = match zone {
        "" | "Z" | "z" | " UTC" => 0,
        _ => offset(zone, "00", ":00")
            .or_else(|| offset(zone.strip_prefix(' ').unwrap_or(zone), "00", "00"))
            .or_else(|| offset(zone, "00", ""))?,
    };
    Some(moment(found.try_into().ok()?)? + millis - offset)
}

fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return Some((0, text)) };
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &rest[..rest.len() - behind.len()];
    (!digits.is_empty()).then(|| (format!("{digits}00")[..3].parse().unwrap(), behind))
}

fn offset(text: &str, hours: &str, minutes: &str) -> Option<i64> {
    let behind = text.strip_prefix(['+', '-'])?;
    let (found, rest) = matches(behind, hours)?;
    let (more, rest) = matches(rest, minutes)?;
    let (hours, minutes) = (found[0], more.first().copied().unwrap_or(0));
    let size = (hours * 60 + minutes) * 60_000;
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(if text.starts_with('-') {
        -size
    } else {
        size
    })
}

/// Counts the days from 1970 on, one year and one month after the other.
fn moment([year, month, day, hour, minute, second]: [i64; 6]) -> Option<i64> {
    let is_leap = |year: i64| year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = lengths.get(usize::try_from(month - 1).ok()?)?;
    if year < 1970 || day < 1 || day > *length || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let years: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let days = years + lengths[..month as usize - 1].iter().sum::<i64>() + day - 1;
    // A leap second counts as the one before it.
    Some((((days * 24 + hour) * 60 + minute) * 60 + second.min(59)) * 1000)
}

/// Seconds, or by their magnitude milli-, micro- or nanoseconds.
fn number(text: &str) -> Option<i64> {
    let (whole, parts) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || whole.len() > 19 || !is_digits(whole) || !is_digits(parts) {
        let number: f64 = text.parse().ok().filter(|number| *number >= 0.0 && *number < 1e19)?;
        let scale = [(1e11, 1e3), (1e14, 1.0), (1e17, 1e-3), (1e19, 1e-6)];
        let (_, scale) = scale.into_iter().find(|(below, _)| number < *below)?;
        return text.contains(['e', 'E']).then_some((number * scale) as i64);
    }
    let number: i64 = whole.parse().ok()?;
    let millis: i64 = format!("{parts}000")[..3].parse().unwrap();
    [(100_000_000_000, number.saturating_mul(1000).saturating_add(millis)), (100_000_000_000_000, number)]
        .into_iter()
        .chain([(100_000_000_000_000_000, number / 1000), (i64::MAX, number / 1_000_000)])
        .find(|(below, _)| number < *below)
        .map(|(_, millis)| millis)
}

/// Whom to believe.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trust {
    /// 10.0.0.0/8 are proxies of ours.
    pub(crate) has_proxies: bool,
    /// The peer is the client.
    pub(crate) is_resolved: bool,
}

/// Who sent a request that came from `peer`.
pub(crate) fn client(trust: Trust, peer: &str, forwarded: &str) -> Option<Client> {
    let peer = address(peer)?;
    let is_ours =
        |address: IpAddr| trust.has_proxies && matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
    let mut client = peer;
    if !trust.is_resolved && is_ours(peer) {
        // Of what is longer than the 1,024 bytes that are looked at, what begins with those may begin before.
        let mut left = if forwarded.len() > 1024 { 1023 } else { 1024 };
        for (hop, token) in forwarded.rsplit(',').enumerate() {
            let Some(next) = address(token).filter(|_| hop < 32 && token.len() <= left) else { break };
            client = next;
            let Some(less) = left.checked_sub(token.len() + 1).filter(|_| is_ours(next)) else { break };
            left = less;
        }
    }
    Some(Client::of(client))
}

/// An address with or without quotes, brackets, zone and port.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t', '"']);
    let host_only = |host: &str| {
        let host = host.split('%').next().unwrap_or_default();
        host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if text.len() > 64 {
        None
    } else if let Some(rest) = text.strip_prefix('[') {
        let (host, behind) = rest.split_once(']')?;
        host_only(host).filter(|_| behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port))
    } else {
        match text.split_once(':') {
            Some((host, port)) if host.contains('.') => host_only(host).filter(|_| is_port(port)),
            _ => host_only(text),
        }
    }
}
