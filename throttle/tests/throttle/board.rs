//! What readers see of the board.

use beaconfire_throttle::{Action, Board, Change, Decision, Mode};
use proptest::prelude::*;

use crate::support::{decision, net, wall};

fn ids(decisions: &[Decision]) -> Vec<i64> {
    decisions.iter().map(|decision| decision.id).collect()
}

#[track_caller]
fn check(change: &Change, new: &[i64], deleted: &[i64]) {
    assert_eq!((ids(&change.new), ids(&change.deleted)), (new.to_vec(), deleted.to_vec()));
}

/// Puts in what has just changed.
fn put(board: &Board, decision: Decision) {
    let now = decision.changed;
    board.put(decision, now);
}

fn lifted(decision: Decision, second: i64) -> Decision {
    Decision { deleted: Some(wall(second)), changed: wall(second), ..decision }
}

#[test]
fn enforcers_never_see_a_dry_run() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.7", Mode::Enforce, 0, 600));
    put(&board, decision(2, "203.0.113.7", Mode::DryRun, 0, 600));
    assert_eq!(ids(&board.active(wall(1))), [1, 2]);
    assert_eq!(ids(&board.enforced(wall(1))), [1]);
    assert_eq!(ids(&board.matching(net("203.0.113.7"), wall(1))), [1]);
    assert_eq!(ids(&board.within(net("0.0.0.0/0"), wall(1))), [1]);
    check(&board.changes(wall(0), wall(1)), &[1], &[]);
    check(&board.changes(wall(0), wall(601)), &[], &[1]);
}

#[test]
fn an_address_is_matched_by_every_network_around_it() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.7", Mode::Enforce, 0, 600));
    put(&board, decision(2, "203.0.113.0/24", Mode::Enforce, 0, 600));
    put(&board, decision(3, "2001:db8:1:2::/64", Mode::Enforce, 0, 600));
    for (network, expected) in [
        ("203.0.113.7", &[1, 2][..]),
        ("203.0.113.8", &[2]),
        ("::ffff:203.0.113.8", &[2]),
        ("203.0.113.128/25", &[2]),
        ("203.0.0.0/16", &[]),
        ("2001:db8:1:2:3::4", &[3]),
        ("2001:db8:1:3::", &[]),
    ] {
        assert_eq!(ids(&board.matching(net(network), wall(1))), expected, "{network}");
    }
    assert_eq!(ids(&board.within(net("203.0.0.0/16"), wall(1))), [1, 2]);
    assert_eq!(ids(&board.within(net("203.0.113.128/25"), wall(1))), []);
}

#[test]
fn a_poll_hears_what_came_and_what_ended_since() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.1", Mode::Enforce, 0, 100));
    put(&board, decision(2, "203.0.113.2", Mode::Enforce, 50, 600));
    check(&board.changes(wall(0), wall(60)), &[1, 2], &[]);
    check(&board.changes(wall(60), wall(99)), &[], &[]);
    check(&board.changes(wall(60), wall(100)), &[], &[1]);
    put(&board, lifted(decision(2, "203.0.113.2", Mode::Enforce, 50, 600), 120));
    check(&board.changes(wall(110), wall(121)), &[], &[2]);
    check(&board.changes(wall(121), wall(130)), &[], &[]);
}

#[test]
fn a_new_expiry_is_taken_back_and_given_in_one_answer() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.1", Mode::Enforce, 0, 600));
    put(&board, decision(2, "203.0.113.1", Mode::Enforce, 400, 1_000));
    check(&board.changes(wall(300), wall(401)), &[2], &[1]);
    check(&board.changes(wall(401), wall(402)), &[], &[]);
    // The same row with a longer expiry.
    put(&board, Decision { changed: wall(500), ..decision(2, "203.0.113.1", Mode::Enforce, 400, 2_000) });
    check(&board.changes(wall(450), wall(501)), &[2], &[2]);
}

#[test]
fn the_longest_stands_and_its_end_is_the_end() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.1", Mode::Enforce, 0, 3_600));
    put(&board, decision(2, "203.0.113.1", Mode::Enforce, 10, 600));
    assert_eq!(ids(&board.enforced(wall(20))), [1]);
    put(&board, lifted(decision(1, "203.0.113.1", Mode::Enforce, 0, 3_600), 30));
    assert_eq!(ids(&board.enforced(wall(31))), []);
    put(&board, decision(3, "203.0.113.1", Mode::Enforce, 40, 640));
    check(&board.changes(wall(35), wall(41)), &[3], &[1]);
}

#[test]
fn taken_back_and_decided_anew_between_two_polls_is_both() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.1", Mode::Enforce, 0, 3_600));
    put(&board, lifted(decision(1, "203.0.113.1", Mode::Enforce, 0, 3_600), 30));
    put(&board, decision(2, "203.0.113.1", Mode::Enforce, 40, 640));
    check(&board.changes(wall(20), wall(41)), &[2], &[1]);
}

#[test]
fn less_than_a_second_is_not_handed_out() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.1", Mode::Enforce, 0, 600));
    let late = beaconfire_model::Wall::from_millis(wall(599).millis() + 1);
    assert_eq!(ids(&board.enforced(wall(599))), [1]);
    assert_eq!(ids(&board.enforced(late)), []);
    check(&board.changes(wall(0), late), &[], &[]);
}

#[test]
fn what_the_store_no_longer_has_counts_as_taken_back() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.1", Mode::Enforce, 0, 600));
    put(&board, decision(2, "203.0.113.2", Mode::Enforce, 0, 600));
    board.replace_all([decision(2, "203.0.113.2", Mode::Enforce, 0, 600)], wall(50), wall(50));
    assert_eq!(ids(&board.enforced(wall(51))), [2]);
    check(&board.changes(wall(40), wall(51)), &[], &[1]);
}

/// The store's commit takes its time, and what another process decides comes a second or minutes later.
#[test]
fn a_poll_hears_of_what_the_board_learned_late() {
    let board = Board::default();
    let (made, ban) = (0, decision(1, "203.0.113.1", Mode::Enforce, 0, 600));
    check(&board.changes(wall(made), wall(3)), &[], &[]);
    board.put(ban.clone(), wall(4));
    check(&board.changes(wall(3), wall(5)), &[1], &[]);
    // Read again by the next round: no news.
    board.put(ban.clone(), wall(6));
    check(&board.changes(wall(5), wall(7)), &[], &[]);
    board.put(lifted(ban, 8), wall(290));
    check(&board.changes(wall(288), wall(291)), &[], &[1]);
    check(&board.changes(wall(291), wall(292)), &[], &[]);
    board.replace_all([decision(2, "203.0.113.2", Mode::Enforce, 100, 900)], wall(300), wall(305));
    check(&board.changes(wall(304), wall(306)), &[2], &[]);
}

#[test]
fn what_came_while_the_store_was_asked_is_not_taken_back() {
    let board = Board::default();
    board.put(decision(1, "203.0.113.1", Mode::Enforce, 49, 600), wall(51));
    board.replace_all([], wall(50), wall(52));
    assert_eq!(ids(&board.enforced(wall(53))), [1]);
}

#[test]
fn what_ended_is_remembered_for_a_day() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.1", Mode::Enforce, 0, 600));
    assert_eq!(board.sweep(wall(600 + 86_400)), 0);
    assert_eq!(board.sweep(wall(601 + 86_400)), 1);
    check(&board.changes(wall(0), wall(602 + 86_400)), &[], &[]);
    assert_eq!(board.forgotten(), 0);
}

#[test]
fn a_full_board_forgets_what_ends_first_and_counts_it() {
    let board = Board::default();
    for n in 0..100_001u32 {
        let address = std::net::Ipv4Addr::from(0xcb00_0000 + n).to_string();
        put(&board, decision(i64::from(n) + 1, &address, Mode::Enforce, 0, 600 + i64::from(n)));
    }
    assert_eq!(board.forgotten(), 10_001);
    let held = board.enforced(wall(1));
    assert_eq!((held.len(), held[0].id), (90_000, 10_002));
}

#[test]
fn the_census_names_every_action_and_mode() {
    let board = Board::default();
    put(&board, decision(1, "203.0.113.1", Mode::Enforce, 0, 600));
    put(&board, decision(2, "203.0.113.2", Mode::DryRun, 0, 600));
    put(&board, decision(3, "203.0.113.3", Mode::DryRun, 0, 10));
    let census = board.census(wall(20));
    assert_eq!(census.len(), 6);
    assert!(census.contains(&(Action::Ban, Mode::Enforce, 1)));
    assert!(census.contains(&(Action::Ban, Mode::DryRun, 1)));
    assert!(census.contains(&(Action::Captcha, Mode::Enforce, 0)));
}

proptest! {
    /// An enforcer that polls and does as told, deletes first, holds what the board says.
    #[test]
    fn polling_keeps_up(
        steps in prop::collection::vec((0..3u8, 0..3u8, 1..200i64, prop::bool::ANY), 1..40),
    ) {
        let board = Board::default();
        let mut stored: Vec<Decision> = Vec::new();
        let mut held: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
        let (mut now, mut last) = (0, -1);
        for (what, client, amount, poll) in steps {
            now += amount / 3 + 1;
            let address = format!("203.0.113.{client}");
            let active = |decision: &&mut Decision| decision.active(wall(now)) && decision.value() == address;
            match what {
                0 => now += amount,
                1 => if let Some(found) = stored.iter_mut().find(active) {
                    *found = lifted(found.clone(), now);
                    put(&board, found.clone());
                },
                _ => {
                    let longest = stored.iter().filter(|held| held.active(wall(now)) && held.value() == address);
                    let longest = longest.map(|held| held.expires).max().unwrap_or(wall(now));
                    // As the throttle does: what comes next ends later.
                    let until = (longest.millis() - wall(0).millis()) / 1_000 + amount;
                    for held in stored.iter_mut().filter(active) {
                        *held = lifted(held.clone(), now);
                    }
                    let id = stored.len() as i64 + 1;
                    stored.push(decision(id, &address, Mode::Enforce, now, until));
                    put(&board, decision(id, &address, Mode::Enforce, now, until));
                }
            }
            if poll {
                let change = board.changes(wall(last), wall(now));
                for gone in &change.deleted {
                    held.remove(&gone.value());
                }
                for come in &change.new {
                    // Enforcers skip an address that they hold.
                    held.entry(come.value()).or_insert(come.expires.millis());
                }
                last = now;
                held.retain(|_, expires| *expires > wall(now).millis());
                let expected: std::collections::BTreeMap<_, _> = board
                    .enforced(wall(now))
                    .iter()
                    .map(|decision| (decision.value(), decision.expires.millis()))
                    .collect();
                prop_assert_eq!(&held, &expected);
            }
        }
    }
}
