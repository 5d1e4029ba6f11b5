//! Times, networks and decisions to play with.

use beaconfire_model::Wall;
use beaconfire_throttle::{Action, Decision, DecisionKey, Mode, Origin};
use ipnet::IpNet;

pub(crate) fn wall(second: i64) -> Wall {
    Wall::from_millis(1_700_000_000_000 + second * 1_000)
}

/// A network, or one address.
pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap_or_else(|_| IpNet::from(text.parse::<std::net::IpAddr>().expect("an address")))
}

pub(crate) fn decision(id: i64, network: &str, mode: Mode, from: i64, until: i64) -> Decision {
    Decision {
        id,
        key: DecisionKey { network: net(network), action: Action::Ban, mode },
        scenario: "requests-per-client".into(),
        origin: Origin::Rule,
        incident: None,
        reason: String::new(),
        created: wall(from),
        expires: wall(until),
        deleted: None,
        changed: wall(from),
    }
}
