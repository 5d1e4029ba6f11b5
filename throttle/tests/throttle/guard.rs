//! What is never throttled, and the budgets.

use beaconfire_throttle::{Guard, Never, Refusal};
use proptest::prelude::*;

use crate::support::net;

#[track_caller]
fn check(network: &str, expected: Result<(), Refusal>) {
    let never = Never::new([net("198.51.100.0/25"), net("2001:db8:f::7/128"), net("192.0.2.9/24")]);
    let guard = Guard { never, ..Guard::default() };
    assert_eq!(guard.check(net(network), 0, 0), expected, "{network}");
}

#[test]
fn clients_and_their_networks_may_be_throttled() {
    for network in
        ["203.0.113.7", "203.0.113.0/24", "198.51.100.128", "2001:db8:1:2::/64", "2001:db8:1::/48", "8.8.8.8"]
    {
        check(network, Ok(()));
    }
}

#[test]
fn whoever_is_ourselves_a_neighbour_or_a_crowd_is_never() {
    for network in [
        "0.0.0.0",
        "0.1.2.3",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.0/24",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::/64",
        "fc00::/64",
        "fd12:3456::/48",
        "fe80::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.0/120",
        "64:ff9b::1",
        "64:ff9b::/64",
    ] {
        check(network, Err(Refusal::Never));
    }
}

#[test]
fn their_neighbours_are_not() {
    for network in [
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
    ] {
        check(network, Ok(()));
    }
}

#[test]
fn what_is_listed_is_never_in_any_clothes() {
    for network in
        ["198.51.100.7", "198.51.100.0/24", "::ffff:198.51.100.7", "2001:db8:f::/64", "192.0.2.200"]
    {
        check(network, Err(Refusal::Never));
    }
}

#[test]
fn nothing_wider_than_allowed() {
    check("203.0.112.0/23", Err(Refusal::TooWide));
    check("2001:db8::/47", Err(Refusal::TooWide));
    check("::ffff:203.0.112.0/119", Err(Refusal::TooWide));
    check("0.0.0.0/0", Err(Refusal::Never));
    check("::/0", Err(Refusal::Never));
}

#[test]
fn budgets_end() {
    let guard = Guard { per_minute: 2, active: 3, ..Guard::default() };
    let check = |active, made| guard.check(net("203.0.113.7"), active, made);
    assert_eq!(check(2, 1), Ok(()));
    assert_eq!(check(2, 2), Err(Refusal::MinuteBudget));
    assert_eq!(check(3, 1), Err(Refusal::ActiveBudget));
}

proptest! {
    /// No network that passes holds a protected address.
    #[test]
    fn no_protected_address_is_ever_inside(address in any::<u32>(), length in 0..=32u8, listed in any::<u32>()) {
        let listed = std::net::Ipv4Addr::from(listed);
        let guard = Guard { never: Never::new([listed.to_string().parse::<std::net::IpAddr>().map(Into::into).expect("an address")]), max_prefix_v4: 0, ..Guard::default() };
        let network = ipnet::IpNet::new(std::net::Ipv4Addr::from(address).into(), length).expect("a network");
        if guard.check(network, 0, 0).is_ok() {
            prop_assert!(!network.contains(&std::net::IpAddr::from(listed)));
            for address in [network.network(), network.broadcast()] {
                let std::net::IpAddr::V4(address) = address else { unreachable!("an IPv4 network") };
                prop_assert!(!address.is_private() && !address.is_loopback() && !address.is_link_local());
                prop_assert!(!address.is_multicast() && !address.is_unspecified() && !address.is_broadcast());
            }
        }
    }
}
