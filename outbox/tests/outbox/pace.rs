//! How fast an endpoint is told, by a clock that the test owns.

use beaconfire_outbox::{IntegrationKind, Lane, Pace, Rate};
use proptest::prelude::*;

use crate::support::{millis, secs, wall};

/// How many go within these milliseconds, each as soon as it may.
fn sent(pace: &mut Pace, from: i64, until: i64) -> u32 {
    let (mut now, mut sent) = (from, 0);
    while now < until {
        match pace.take(Lane::Ticket, wall(now)) {
            Ok(()) => sent += 1,
            Err(again) => {
                assert!(millis(again) > now, "asked to come back at once");
                now = millis(again);
            }
        }
    }
    sent
}

#[test]
fn it_begins_with_one_and_saves_up_the_burst() {
    let mut pace = Pace::new(Rate { per_minute: 60, burst: 5 }, wall(0));
    assert_eq!(pace.take(Lane::Ticket, wall(0)), Ok(()));
    assert_eq!(pace.take(Lane::Ticket, wall(0)), Err(wall(1_000)));
    let mut saved = Pace::new(Rate { per_minute: 60, burst: 5 }, wall(0));
    assert_eq!(sent(&mut saved, 100_000, 100_001), 3, "two are for pages");
}

#[test]
fn two_fifths_of_the_burst_are_for_pages_and_the_rate_is_for_all() {
    let rate = Rate { per_minute: 60, burst: 5 };
    let mut pace = Pace::new(rate, wall(0));
    assert_eq!(sent(&mut pace, 100_000, 160_000), 3 + 59, "what pages leave, others use");
    for _ in 0..2 {
        assert_eq!(
            pace.take(Lane::Page, wall(159_999)),
            Ok(()),
            "at once, though others have had all they may"
        );
    }
    assert!(pace.take(Lane::Page, wall(159_999)).is_err());
    // A burst of one cannot be shared out.
    let mut narrow = Pace::new(Rate { per_minute: 60, burst: 1 }, wall(0));
    assert_eq!(narrow.take(Lane::Info, wall(0)), Ok(()));
}

#[test]
fn another_process_goes_on_where_this_one_stopped() {
    let rate = Rate { per_minute: 60, burst: 5 };
    let mut pace = Pace::new(rate, wall(0));
    pace.limited(Some(secs(60)), wall(1_000));
    let mut next = Pace::new(rate, wall(2_000));
    next.resume(pace.state());
    assert_eq!(next.paused_until(wall(2_000)), Some(wall(61_000)));
    assert_eq!(next.share(wall(2_000)), 0.5);
    assert_eq!(next.take(Lane::Page, wall(2_000)), Err(wall(61_000)));

    let mut spent = Pace::new(rate, wall(0));
    sent(&mut spent, 0, 10_000);
    while spent.take(Lane::Page, wall(10_000)).is_ok() {}
    let mut next = Pace::new(rate, wall(10_000));
    next.resume(spent.state());
    assert!(next.take(Lane::Page, wall(10_000)).is_err(), "a restart gives no free page either");
}

#[test]
fn a_told_pause_is_kept_to_the_millisecond() {
    let mut pace = Pace::new(Rate { per_minute: 60_000, burst: 100 }, wall(0));
    pace.limited(Some(secs(5)), wall(10_000));
    assert_eq!(pace.take(Lane::Ticket, wall(14_999)), Err(wall(15_000)));
    assert_eq!(pace.paused_until(wall(14_999)), Some(wall(15_000)));
    assert_eq!(pace.take(Lane::Ticket, wall(15_000)), Ok(()));
    assert_eq!(pace.paused_until(wall(15_000)), None);
}

#[test]
fn an_absurd_wish_is_cut_at_a_quarter_of_an_hour() {
    let mut pace = Pace::new(Rate { per_minute: 60, burst: 5 }, wall(0));
    pace.limited(Some(secs(u64::MAX)), wall(0));
    assert_eq!(pace.take(Lane::Ticket, wall(0)), Err(wall(900_000)));
}

#[test]
fn without_a_wish_the_pause_doubles() {
    for (kind, pauses) in [
        (IntegrationKind::Slack, vec![1, 2, 4, 8]),
        (IntegrationKind::PagerDuty, vec![30, 60, 120, 240, 300, 300]),
    ] {
        let mut pace = Pace::of(kind, wall(0));
        let mut now = 0;
        for pause in pauses {
            pace.limited(None, wall(now));
            assert_eq!(pace.paused_until(wall(now)), Some(wall(now + pause * 1_000)));
            now += pause * 1_000;
        }
        pace.limited(None, wall(now + 30_000));
        let first = pace.paused_until(wall(now + 30_000)).map(|until| millis(until) - now - 30_000);
        assert_eq!(first, Some(if kind == IntegrationKind::Slack { 1_000 } else { 30_000 }), "forgotten");
    }
}

#[test]
fn too_many_halves_the_share_down_to_a_sixteenth_and_time_gives_it_back() {
    let mut pace = Pace::new(Rate { per_minute: 60, burst: 5 }, wall(0));
    let mut now = 0;
    for share in [0.5, 0.25, 0.125, 0.0625, 0.0625] {
        pace.limited(Some(secs(1)), wall(now));
        assert_eq!(pace.share(wall(now)), share);
        now += 1_000;
    }
    now -= 1_000;
    for (after, share) in
        [(29_999, 0.0625), (30_000, 0.1625), (60_000, 0.2625), (299_999, 0.9625), (300_000, 1.0)]
    {
        assert_eq!(pace.share(wall(now + after)), share);
    }
}

#[test]
fn several_answers_to_one_burst_halve_once() {
    let mut pace = Pace::new(Rate { per_minute: 60, burst: 5 }, wall(0));
    pace.limited(Some(secs(5)), wall(0));
    pace.limited(Some(secs(2)), wall(10));
    assert_eq!(pace.share(wall(10)), 0.5);
    assert_eq!(pace.paused_until(wall(10)), Some(wall(5_000)), "the longer wish");
}

#[test]
fn beneath_a_whole_share_there_are_no_bursts() {
    let mut pace = Pace::new(Rate { per_minute: 60, burst: 5 }, wall(0));
    pace.limited(Some(secs(1)), wall(100_000));
    assert_eq!(pace.take(Lane::Ticket, wall(101_000)), Ok(()));
    assert_eq!(pace.take(Lane::Ticket, wall(101_000)), Err(wall(103_000)));
}

#[test]
fn a_clock_that_is_set_back_gives_nothing_away() {
    let mut pace = Pace::new(Rate { per_minute: 60, burst: 1 }, wall(100_000));
    assert_eq!(pace.take(Lane::Ticket, wall(100_000)), Ok(()));
    assert!(pace.take(Lane::Ticket, wall(0)).is_err());
}

proptest! {
    #[test]
    fn never_more_than_the_ceiling(
        per_minute in 0..2_000u32,
        burst in 0..30u32,
        minutes in 1..20i64,
        limited in prop::collection::vec((0..60_000i64, prop::option::of(0..40u64)), 0..4),
    ) {
        let mut pace = Pace::new(Rate { per_minute, burst }, wall(0));
        let (mut now, mut count) = (0, 0);
        let until = minutes * 60_000;
        for (after, wish) in limited {
            let next = (now + after).min(until);
            count += sent(&mut pace, now, next);
            pace.limited(wish.map(secs), wall(next));
            now = next;
        }
        count += sent(&mut pace, now, until);
        let ceiling = i64::from(per_minute.max(1)) * minutes + 1;
        prop_assert!(i64::from(count) <= ceiling, "{count} of at most {ceiling}");
    }
}
