//! The breaker: when an endpoint is given up for the moment, and when it is asked again.

use beaconfire_outbox::{Breaker, Outcome, Switch};

use crate::support::{secs, wall};

fn failed() -> Outcome {
    Outcome::Deferred { after: None, said: "HTTP 503".into() }
}

/// Opened at second 0 by five failures about three matters.
fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    for matter in ["a", "b", "c", "a"] {
        assert_eq!(breaker.heed(matter, &failed(), wall(0)), Switch::Stays);
        assert_eq!(breaker.allows(wall(0)), Ok(()));
    }
    assert_eq!(breaker.heed("b", &failed(), wall(0)), Switch::Opened);
    breaker
}

#[test]
fn five_failures_in_a_row_open_it_and_one_probe_goes_at_a_time() {
    let mut breaker = opened();
    let mut now = wall(0);
    for wait in [5, 10, 20, 40, 60, 60, 60] {
        assert_eq!(breaker.allows(now), Err(now.plus(secs(wait))), "{wait}");
        now = now.plus(secs(wait));
        assert_eq!(breaker.allows(now), Ok(()));
        assert!(breaker.is_open(), "half open");
        assert_eq!(breaker.heed("d", &failed(), now), Switch::Stays);
    }
    assert_eq!(breaker.heed("e", &Outcome::accepted(None), now), Switch::Closed);
    assert_eq!((breaker.allows(now), breaker.is_open()), (Ok(()), false));
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn a_message_that_an_endpoint_chokes_on_does_not_open_it() {
    let mut breaker = Breaker::default();
    for _ in 0..50 {
        assert_eq!(breaker.heed("a", &failed(), wall(0)), Switch::Stays);
        assert_eq!(breaker.heed("b", &failed(), wall(0)), Switch::Stays);
    }
    assert_eq!(breaker.allows(wall(0)), Ok(()), "the next page is tried at once");
    assert_eq!(breaker.heed("c", &failed(), wall(0)), Switch::Opened);
}

#[test]
fn any_answer_of_the_endpoint_ends_the_row_of_failures() {
    for answer in [
        Outcome::Limited { after: None },
        Outcome::Rejected { said: "no".into() },
        Outcome::Misconfigured { said: "no".into() },
        Outcome::Gone,
    ] {
        let mut breaker = opened();
        assert_eq!(breaker.heed("c", &answer, wall(5_000)), Switch::Stays, "{answer:?}");
        assert_eq!(breaker.allows(wall(5_000)), Ok(()), "{answer:?}");
        for _ in 0..4 {
            assert_eq!(breaker.heed("c", &failed(), wall(6_000)), Switch::Stays, "{answer:?}");
        }
        // What waits has been deferred by an outage all the same.
        assert_eq!(breaker.heed("a", &Outcome::accepted(None), wall(7_000)), Switch::Closed, "{answer:?}");
    }
}
