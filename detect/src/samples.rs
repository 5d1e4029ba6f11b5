//! A few raw records of what has raised, copied by workers: evidence for people, outside the determinism promise.

use std::collections::HashMap;
use std::sync::Arc;

use beaconfire_model::{Client, EventTime, Request, RuntimeEvent, Specimen, Untrusted};

use crate::hash::Seeded;
use crate::parcel::{Sample, shard_of};
use crate::pile::RawKey;
use crate::plan::{FINDING, Plan};
use crate::services::{ServiceId, UNKNOWN};
use crate::{Key, Watch};

/// Copied for one parcel at most.
const SAMPLES_MAX: usize = 256;
/// Copied of one key in one minute of event time.
const EACH: u8 = 5;
/// A minute, in milliseconds.
const MINUTE: i64 = 60_000;
/// Findings of which the minute's copies are counted; beyond that, counting begins anew.
const FINDINGS_MAX: usize = 1_024;

/// What is left of a key's copies.
#[derive(Debug, Clone, Copy)]
struct Quota {
    until: EventTime,
    minute: i64,
    left: u8,
}

impl Quota {
    fn spend(&mut self, at: EventTime) -> bool {
        if at > self.until {
            return false;
        }
        let minute = at.millis().div_euclid(MINUTE);
        if minute != self.minute {
            (self.minute, self.left) = (minute, EACH);
        }
        let spent = self.left > 0;
        self.left = self.left.saturating_sub(1);
        spent
    }
}

/// The worker's copies, and what it copies.
#[derive(Debug)]
pub(crate) struct Samples {
    watch: Arc<Watch>,
    seen: u64,
    watched: HashMap<(u16, ServiceId, Key), Quota, Seeded>,
    /// By the rule's place in the plan: whether anything of it is watched.
    rules: Vec<bool>,
    findings: HashMap<Key, Quota, Seeded>,
    taken: Vec<Sample>,
}

impl Samples {
    pub(crate) fn new(watch: Arc<Watch>, rules: usize, seeded: Seeded) -> Self {
        Self {
            watch,
            seen: 0,
            watched: HashMap::with_hasher(seeded),
            rules: vec![false; rules],
            findings: HashMap::with_hasher(seeded),
            taken: Vec::new(),
        }
    }

    /// Looks up what is watched now; what was watched before keeps its count.
    pub(crate) fn look(&mut self) {
        let Some(watched) = self.watch.changed(&mut self.seen) else { return };
        let seeded = *self.watched.hasher();
        let before = std::mem::replace(&mut self.watched, HashMap::with_hasher(seeded));
        self.rules.fill(false);
        for (found, until) in watched {
            let Some(rule) = self.rules.get_mut(usize::from(found.rule)) else { continue };
            *rule = true;
            let key = (found.rule, found.service, found.key);
            let quota = before.get(&key).copied().unwrap_or(Quota { until, minute: i64::MIN, left: 0 });
            self.watched.insert(key, Quota { until, ..quota });
        }
    }

    /// Whether records of any rule are wanted.
    pub(crate) fn wants_any(&self) -> bool {
        !self.watched.is_empty() && self.taken.len() < SAMPLES_MAX
    }

    /// Whether records of a rule are wanted.
    pub(crate) fn wants(&self, rule: u16) -> bool {
        self.rules.get(usize::from(rule)).copied().unwrap_or(false) && self.taken.len() < SAMPLES_MAX
    }

    /// Copies a request, where its key is watched.
    pub(crate) fn request(
        &mut self,
        rule: u16,
        service: ServiceId,
        key: &RawKey<'_>,
        name: &str,
        request: &Request<'_>,
    ) {
        let key = (rule, service, key.raises());
        let Some(quota) = self.watched.get_mut(&key) else { return };
        if quota.spend(request.time) {
            let shard = shard_of(&key.2, name);
            self.taken.push(Sample { shard, rule, service, key: key.2, specimen: of_request(request) });
        }
    }

    /// Copies a finding: the first raises, so none waits to be watched.
    pub(crate) fn finding(&mut self, key: &RawKey<'_>, event: &RuntimeEvent<'_>) {
        if self.taken.len() >= SAMPLES_MAX {
            return;
        }
        if self.findings.len() >= FINDINGS_MAX {
            self.findings.clear();
        }
        let key = key.raises();
        let quota = self.findings.entry(key.clone()).or_insert(Quota {
            until: EventTime::MAX,
            minute: i64::MIN,
            left: 0,
        });
        if quota.spend(event.time) {
            let shard = shard_of(&key, UNKNOWN.0);
            let specimen = of_finding(event);
            self.taken.push(Sample { shard, rule: FINDING, service: Plan::no_service(), key, specimen });
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.taken)
    }
}

fn of_request(request: &Request<'_>) -> Specimen {
    let Request { method, path, query, status, user_agent, .. } = *request;
    let mark = if query.is_empty() { "" } else { "?" };
    // What does not fit is not even copied.
    let short = |text: &'_ str| text[..text.floor_char_boundary(512)].to_owned();
    let asked = format!("{} {}{mark}{}", short(method), short(path), short(query));
    specimen(request.time, request.client, &format!("{} {status}", one_word(&asked)), user_agent)
}

/// The line with no blank in its query, as it should have been sent: whoever cuts queries out must see where one ends.
fn one_word(asked: &str) -> String {
    let (before, query) = asked.split_at(asked.find('?').unwrap_or(asked.len()));
    let mut line = before.to_owned();
    for c in query.chars() {
        if c.is_whitespace() {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| line.push_str(&format!("%{byte:02X}")));
        } else {
            line.push(c);
        }
    }
    line
}

fn of_finding(event: &RuntimeEvent<'_>) -> Specimen {
    let said = [event.cmdline, event.path, event.domain, event.remote];
    let line = said.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    specimen(event.time, None, line, event.process)
}

fn specimen(time: EventTime, client: Option<Client>, text: &str, by: &str) -> Specimen {
    Specimen { time, client, text: Untrusted::new(text, 512), by: Untrusted::new(by, 256) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_with_blanks_is_one_word() {
        for (asked, line) in [
            ("GET /s?q=jane doe", "GET /s?q=jane%20doe"),
            ("GET /s?q=jane\tdoe\u{a0}x", "GET /s?q=jane%09doe%C2%A0x"),
            ("GET /a b?q=c", "GET /a b?q=c"),
            // A request line without a method: its query stands in the method's place.
            ("/s?q=jane doe x", "/s?q=jane%20doe%20x"),
            ("GET /", "GET /"),
        ] {
            assert_eq!(one_word(asked), line);
        }
    }
}
