//! `throttle`, and the `throttle` of rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use beaconfire_throttle::{Action, Guard, Mode, Never, RuleThrottle};
use ipnet::IpNet;

use crate::judge::Judge;
use crate::raw::{self, Raw};

/// The never-list, the widest prefixes and the budgets. Trusted proxies are never throttled.
pub(crate) fn guard(judge: &mut Judge<'_>, raw: &Raw, proxies: &[IpNet]) -> Guard {
    let throttle = &raw.throttle;
    let mut never = judge.networks(&throttle.never);
    never.extend(proxies);
    for (name, prefix, max) in
        [("ipv4", &throttle.max_prefix.ipv4, 32), ("ipv6", &throttle.max_prefix.ipv6, 128)]
    {
        if !(8..=max).contains(&prefix.value) {
            let said = format!("`throttle.max_prefix.{name}` is out of range: /{}", prefix.value);
            judge.error(prefix.place, said, &format!("write a prefix length from 8 to {max}"));
        }
    }
    if throttle.max_prefix.ipv6.value > 64 {
        let said = "an IPv6 client is its /64, so with this `max_prefix` no IPv6 client is ever throttled";
        judge.warn(throttle.max_prefix.ipv6.place, said, "write 64 or less");
    }
    let enforced = throttle.mode.value == raw::Mode::Enforce;
    if enforced && proxies.is_empty() {
        judge.warn(
            throttle.mode.place,
            "`throttle.mode: enforce` without `clients.trusted_proxies`: behind a proxy, the proxy itself would be throttled",
            "name the networks of your proxies and load balancers under `clients.trusted_proxies`",
        );
    }
    if enforced && throttle.never.is_empty() {
        judge.warn(
            throttle.mode.place,
            "`throttle.mode: enforce` without `throttle.never`: your own offices and monitoring are throttled like anyone",
            "name their networks under `throttle.never`; private networks and loopback are never throttled anyway",
        );
    }
    Guard {
        never: Never::new(never),
        max_prefix_v4: throttle.max_prefix.ipv4.value.min(32),
        max_prefix_v6: throttle.max_prefix.ipv6.value.min(128),
        per_minute: throttle.budget.per_minute,
        active: throttle.budget.active,
    }
}

/// What each rule that is switched on asks for.
pub(crate) fn throttle_rules(judge: &mut Judge<'_>, raw: &Raw) -> BTreeMap<Arc<str>, RuleThrottle> {
    let mut rules = BTreeMap::new();
    for rule in raw.rules.iter().filter(|rule| rule.enabled) {
        let Some(throttle) = &rule.throttle else { continue };
        let names = Action::ALL.map(Action::name);
        let action = judge.word("action", &throttle.action, Action::parse, &names);
        let duration = judge.span("throttle.for", &throttle.duration, "1s"..="24h");
        let mode = throttle.mode.as_ref().unwrap_or(&raw.throttle.mode);
        if let Some(own) = &throttle.mode
            && own.value == raw::Mode::Enforce
            && raw.throttle.mode.value == raw::Mode::DryRun
        {
            let said = format!("the rule `{}` enforces although `throttle.mode` is dry_run", rule.name.value);
            judge.warn(own.place, said, "take `mode` out of the rule unless that is meant");
        }
        // Whoever is counted by two fields is named by the first.
        let is_address = |field: &str| matches!(field, "client" | "prefix");
        let place = rule.by.iter().position(|field| is_address(field.as_str()));
        if place != Some(0) {
            let mend = match place {
                Some(at) => format!(
                    "write `by: [{}, {}]`: who is throttled stands first",
                    rule.by[at].as_str(),
                    rule.by[0].as_str()
                ),
                None => "take `throttle` out, or count by client or prefix".to_owned(),
            };
            judge.error(
                throttle.place,
                format!(
                    "the rule `{}` counts by {}: there is no address to throttle",
                    rule.name.value,
                    by(rule)
                ),
                &mend,
            );
        }
        if let Some(action) = action {
            rules.insert(
                Arc::from(rule.name.as_str()),
                RuleThrottle { action, duration, mode: mode_of(mode.value) },
            );
        }
    }
    rules
}

fn by(rule: &raw::Rule) -> String {
    rule.by.iter().map(|field| field.as_str()).collect::<Vec<_>>().join(" and ")
}

pub(crate) const fn mode_of(mode: raw::Mode) -> Mode {
    match mode {
        raw::Mode::DryRun => Mode::DryRun,
        raw::Mode::Enforce => Mode::Enforce,
    }
}
