//! What a bouncer asks for.

use std::net::IpAddr;

use beaconfire_model::Wall;
use beaconfire_throttle::{Board, Decision, Scope};
use ipnet::IpNet;

/// A request's parameters, read. What we do not know is ignored: bouncers send a good deal that is for others.
#[derive(Debug, Default)]
pub(super) struct Filter {
    network: Option<IpNet>,
    /// Whether decisions that contain `network` are asked for (the default), or those within it.
    contains: bool,
    scopes: Option<Vec<String>>,
    value: Option<String>,
    action: Option<String>,
    origins: Option<Vec<String>>,
    scenarios: Vec<String>,
    not_scenarios: Vec<String>,
}

impl Filter {
    /// Reads the parameters; the error is for the bouncer's log.
    pub(super) fn parse(parameters: &[(String, String)], stream: bool) -> Result<Self, String> {
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .map(|item| item.trim().to_ascii_lowercase())
                .filter(|item| !item.is_empty())
                .collect()
        };
        let mut filter = Self { contains: true, ..Self::default() };
        for (name, value) in parameters {
            match name.as_str() {
                "ip" | "range" if !value.is_empty() => filter.network = Some(network(value)?),
                "contains" => filter.contains = !value.eq_ignore_ascii_case("false"),
                "scope" | "scopes" if !value.is_empty() => filter.scopes = Some(list(value)),
                "value" if !value.is_empty() => filter.value = Some(value.to_ascii_lowercase()),
                "type" if !value.is_empty() => filter.action = Some(value.to_ascii_lowercase()),
                "origins" if !value.is_empty() => filter.origins = Some(list(value)),
                "scenarios_containing" => filter.scenarios = list(value),
                "scenarios_not_containing" => filter.not_scenarios = list(value),
                _ => {}
            }
        }
        if stream {
            // Without scopes a stream is for firewalls, and one value that is no address loses them the whole batch.
            filter.scopes.get_or_insert_with(|| vec!["ip".to_owned(), "range".to_owned()]);
        }
        Ok(filter)
    }

    /// The decisions of the board that can pass. Bouncers ask for one address with each request they let in: that is
    /// looked up, however many decisions there are.
    pub(super) fn of(&self, board: &Board, now: Wall) -> Vec<Decision> {
        match self.network {
            Some(asked) if self.contains => board.matching(asked, now),
            Some(asked) => board.within(asked, now),
            None => board.enforced(now),
        }
    }

    pub(super) fn passes(&self, decision: &Decision) -> bool {
        let held = decision.key.network;
        let scenario = decision.scenario.to_ascii_lowercase();
        let scope = match decision.scope() {
            Scope::Ip => "ip",
            Scope::Range => "range",
        };
        let within = |asked: &IpNet| if self.contains { held.contains(asked) } else { asked.contains(&held) };
        self.network.as_ref().is_none_or(within)
            && self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|asked| asked == scope))
            && self.value.as_ref().is_none_or(|value| *value == decision.value().to_ascii_lowercase())
            && self.action.as_ref().is_none_or(|action| action == decision.key.action.name())
            && self
                .origins
                .as_ref()
                .is_none_or(|origins| origins.iter().any(|asked| asked == super::wire::ORIGIN))
            && (self.scenarios.is_empty()
                || self.scenarios.iter().any(|part| scenario.contains(part.as_str())))
            && !self.not_scenarios.iter().any(|part| scenario.contains(part.as_str()))
    }
}

/// An address or a network; an IPv4 address in IPv6's clothes is IPv4.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.or_else(|_| text.parse::<IpNet>().map(|network| network.trunc())).map_err(|_| {
        let shown = beaconfire_model::Untrusted::new(text, 64);
        format!("unable to convert '{}' to an address or range", shown.clean())
    })
}
