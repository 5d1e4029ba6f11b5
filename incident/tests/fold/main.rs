//! What facts, people and time do to the episodes of one fingerprint.
//!
//! Unless a script says otherwise: `resolve_after` and `flap_window` 5 min each (so that a gap of 600 s ends an
//! episode), acknowledgements for 4 h, facts older than 1 h tell nobody.

mod properties;
mod support;

use beaconfire_incident::{
    Actor, Command, Incident, Relation, ServiceFacts, Status, fold_command, fold_signals, link, title,
};
use beaconfire_model::{Crowd, EventTime, Kind, Labels, Subject, SubjectKind};
use support::{Book, event, name, parse, wall};

/// Plays a script, one step a line, and compares what happened and what stands at the end.
///
/// `FACT & FACT …` folds in one batch (see `support::parse`), at the wall time the last of them holds until;
/// `clear S` says that nothing older than S will come; `now S` moves the wall clock; `ack WHO`, `resolve WHO`,
/// `reopen WHO`, `accept WHO`; `again` folds all facts so far once more.
#[track_caller]
fn check(script: &str, happened: &str, stands: &str) {
    let book = play(script);
    assert_eq!(book.log.join(", "), happened, "what happened");
    assert_eq!(book.shown().join("; "), stands, "what stands");
}

fn play(script: &str) -> Book {
    let mut book = Book::new();
    let (mut now, mut clear) = (0, EventTime::MIN);
    let mut all = Vec::new();
    for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        match word {
            "clear" => {
                clear = event(rest.parse().expect("a second"));
                book.time(clear, wall(now));
            }
            "now" => {
                now = rest.parse().expect("a second");
                book.time(clear, wall(now));
            }
            "patience" => clear = EventTime::MAX,
            "ack" => book.command(rest, Command::Acknowledge, wall(now)),
            "resolve" => book.command(rest, Command::Resolve, wall(now)),
            "reopen" => book.command(rest, Command::Reopen, wall(now)),
            "accept" => book.command(rest, Command::Accept, wall(now)),
            _ => {
                let facts = if word == "again" { all.clone() } else { step.split('&').map(parse).collect() };
                now =
                    facts.iter().map(|fact| support::seconds(fact.holds_until.0)).max().unwrap_or(0).max(now);
                all.extend(facts.clone());
                let waiting = book.facts(facts, clear, wall(now));
                book.log.extend(waiting.iter().map(|_| "waits".to_owned()));
            }
        }
    }
    book
}

#[test]
fn one_flood_by_many_is_one_incident() {
    check(
        "rate 1 0..60 700 & rate 2 10..70 900 & rate 3 20..60 650",
        "1 opened",
        "1 open warning 0..70 x900",
    );
}

#[test]
fn facts_that_wait_are_named_by_their_places() {
    let book = play("rate 1 0..60");
    let facts = ["rate 9 900..960", "rate 2 10..50", "rate 9 900..960"].map(parse);
    let clear = event(100);
    let (folded, waiting) =
        fold_signals(&book.episodes, 1, &facts, clear, wall(960), &book.context, &book.knobs);
    assert_eq!((folded.len(), waiting.into_iter().collect::<Vec<_>>()), (1, vec![0, 2]));
}

#[test]
fn what_was_folded_before_changes_nothing() {
    check(
        "rate 1 0..60 700
         rate 2 10..90 900
         again",
        "1 opened, 1 grew",
        "1 open warning 0..90 x900",
    );
}

#[test]
fn an_episode_resolves_by_clearance_and_not_before() {
    check("rate 1 0..60\nclear 359", "1 opened", "1 open warning 0..60 x700");
    check("rate 1 0..60\nclear 360", "1 opened, 1 resolved", "1 resolved warning 0..60 x700");
}

#[test]
fn within_the_flap_window_it_reopens() {
    check(
        "rate 1 0..60
         clear 400
         rate 1 660..700",
        "1 opened, 1 resolved, 1 reopened",
        "1 open warning 0..700 x700",
    );
}

#[test]
fn beyond_the_flap_window_the_next_begins() {
    check(
        "rate 1 0..60
         clear 660
         rate 1 661..700",
        "1 opened, 1 resolved, 2 opened",
        "1 resolved warning 0..60 x700; 2 open warning 661..700 x700",
    );
}

#[test]
fn a_rewind_over_what_resolved_opens_nothing() {
    check(
        "rate 1 0..60
         clear 400
         again
         rate 1 30..60 650 & rate 2 40..55 900",
        "1 opened, 1 resolved, 1 grew",
        "1 resolved warning 0..60 x900",
    );
}

#[test]
fn a_rewind_over_two_episodes_changes_neither() {
    check(
        "rate 1 0..60
         clear 900
         rate 1 1000..1060 800
         again
         clear 1400
         again",
        "1 opened, 1 resolved, 2 opened, 2 resolved",
        "1 resolved warning 0..60 x700; 2 resolved warning 1000..1060 x800",
    );
}

#[test]
fn a_next_episode_waits_until_the_one_before_is_known_to_be_over() {
    check("rate 1 0..60\nclear 300\nrate 1 700..760", "1 opened, waits", "1 open warning 0..60 x700");
    check(
        "rate 1 0..60
         patience
         rate 1 700..760",
        "1 opened, 1 resolved, 2 opened",
        "1 resolved warning 0..60 x700; 2 open warning 700..760 x700",
    );
}

#[test]
fn what_waited_joins_when_the_gap_is_bridged() {
    check(
        "rate 1 0..60
         rate 1 700..760
         rate 2 300..350 & rate 1 700..760",
        "1 opened, waits, 1 grew",
        "1 open warning 0..760 x700",
    );
}

#[test]
fn a_bridge_between_two_stored_episodes_goes_to_the_newer() {
    let bridged = "1 resolved warning 0..60 x700; 2 open warning 300..1000 x700";
    check(
        "rate 1 0..60
         patience
         rate 1 900..1000
         rate 2 300..350",
        "1 opened, 1 resolved, 2 opened, 2 grew",
        bridged,
    );
    check(
        "rate 1 0..60
         patience
         rate 1 900..1000
         rate 2 300..350
         again",
        "1 opened, 1 resolved, 2 opened, 2 grew",
        bridged,
    );
}

#[test]
fn a_late_fact_of_an_older_episode_tells_nobody() {
    check(
        "rate 1 0..60
         patience
         rate 1 3000..3060
         rate 2 100..150 900 critical",
        "1 opened, 1 resolved, 2 opened, 1 grew",
        "1 resolved critical 0..150 x900; 2 open warning 3000..3060 x700",
    );
}

#[test]
fn what_lies_before_all_episodes_opens_nothing_and_hides_nothing() {
    check(
        "rate 1 5000..5060
         rate 2 100..160 9000 critical & other 2 100..160 9000 critical
         other 1 5010..5060 800 critical",
        "1 opened, 1 grew, 1 escalated, 1 joined",
        "1 open critical 5000..5060 x9000",
    );
}

#[test]
fn a_worse_severity_and_another_rule_tell_again_and_reopen() {
    check(
        "rate 1 0..60
         ack mia
         rate 1 0..120 9000 critical
         ack mia
         burst 1 0..120
         ack mia
         burst 1 0..180 1000",
        "1 opened, 1 acknowledged, 1 escalated, 1 acknowledged, 1 joined, 1 acknowledged, 1 grew",
        "1 acknowledged critical 0..180 x9000",
    );
}

#[test]
fn an_acknowledgement_runs_out() {
    check(
        "rate 1 0..60
         ack mia
         now 14459
         now 14460",
        "1 opened, 1 acknowledged, 1 unacknowledged",
        "1 open warning 0..60 x700",
    );
}

#[test]
fn a_renewed_acknowledgement_tells_nobody_and_holds_longer() {
    check(
        "rate 1 0..60
         ack mia
         now 10000
         ack mia
         now 20000
         ack tom",
        "1 opened, 1 acknowledged, 1 acknowledged",
        "1 acknowledged warning 0..60 x700",
    );
}

#[test]
fn what_a_person_closed_stays_closed() {
    check(
        "rate 1 0..60
         resolve mia
         rate 1 0..360 9000 critical
         again",
        "1 opened, 1 resolved, 1 grew",
        "1 resolved critical 0..60 x9000",
    );
}

#[test]
fn what_goes_on_after_a_manual_resolve_begins_the_next_episode() {
    check(
        "rate 1 0..60
         resolve mia
         rate 1 0..361
         again",
        "1 opened, 1 resolved, 2 opened",
        "1 resolved warning 0..60 x700; 2 open warning 360..361 x700",
    );
}

#[test]
fn a_manual_resolve_can_be_taken_back() {
    check(
        "rate 1 0..60
         resolve mia
         reopen tom
         rate 1 0..90
         clear 390
         reopen tom",
        "1 opened, 1 resolved, 1 reopened, 1 grew, 1 resolved, refused: it has stopped: it opens by itself when it \
         happens again, and nobody closed it by hand",
        "1 resolved warning 0..90 x700",
    );
}

#[test]
fn commands_that_make_no_sense_are_refused() {
    check(
        "rate 1 0..60
         reopen mia
         resolve mia
         resolve mia
         ack mia",
        "1 opened, refused: it is open already, 1 resolved, refused: it is resolved already, refused: it is resolved: \
         there is nothing left to take on",
        "1 resolved warning 0..60 x700",
    );
}

#[test]
fn what_a_workload_does_can_be_accepted_and_what_clients_do_cannot() {
    check(
        "mining:pool 1 0..60
         accept mia
         mining:pool 1 0..90
         accept tom",
        "1 opened, 1 resolved",
        "1 resolved warning 0..60 x700",
    );
    check(
        "rate 1 0..60
         accept mia",
        "1 opened, refused: only what is held against what is usual can be accepted: mining, resource, surge, and floods that \
         are more than usual",
        "1 open warning 0..60 x700",
    );
}

#[test]
fn a_flood_is_linked_to_what_its_workload_uses_and_to_nothing_else() {
    let of = |kind: Kind, target: Subject, first: i64, until: i64| {
        let mut fact = parse(&format!("rate 1 {first}..{until}"));
        (fact.kind, fact.target) = (kind, target);
        let mut book = Book::new();
        book.facts(vec![fact], EventTime::MIN, wall(until));
        book.episodes.remove(0)
    };
    let workload = |name: &str| Subject::new(SubjectKind::Workload, name);
    let flood = of(Kind::Flood, Subject::service("shop"), 1_000, 1_300);
    let ties = |service: &str, workload: &str| workload.strip_prefix("prod/") == Some(service);
    let how = |a: &Incident, b: &Incident| link(a, b, ties).map(|(relation, _)| relation);
    let cpu = of(Kind::Resource, workload("prod/shop"), 1_500, 1_600);
    assert_eq!((how(&flood, &cpu), how(&cpu, &flood)), (Some(Relation::Effect), Some(Relation::Cause)));
    let surge = of(Kind::Surge, Subject::service("shop"), 900, 1_200);
    assert_eq!((how(&flood, &surge), how(&surge, &cpu)), (Some(Relation::Effect), Some(Relation::Effect)));
    for other in [
        of(Kind::Resource, workload("prod/pay"), 1_500, 1_600),
        of(Kind::Resource, workload("prod/shop"), 2_000, 2_100),
        of(Kind::Mining, workload("prod/shop"), 1_000, 1_300),
        of(Kind::Surge, Subject::service("pay"), 900, 1_200),
        flood.clone(),
    ] {
        assert_eq!((how(&flood, &other), how(&other, &flood)), (None, None), "{other:?}");
    }
}

#[test]
fn what_is_old_when_found_is_stored_and_marked() {
    check("now 4000\nrate 1 0..60", "1 opened", "1 open warning 0..60 x700 stale");
    check("now 3660\nrate 1 0..60", "1 opened", "1 open warning 0..60 x700");
}

#[test]
fn fresh_news_of_a_stale_incident_opens_it() {
    check(
        "now 4000
         rate 1 0..60
         rate 1 0..500",
        "1 opened, 1 opened",
        "1 open warning 0..500 x700",
    );
}

/// An input that lags by hours, in an incident that another keeps open.
#[test]
fn what_an_old_fact_brings_is_told_by_the_first_fresh_one() {
    let old = "rate 1 0..5000
               burst 2 10..60 900 critical";
    check(old, "1 opened, 1 grew", "1 open critical 0..5000 x900");
    // Fresh news of what was told already is none of it; nor is the old fact again.
    let others = format!("{old}\nrate 1 0..5001\nagain");
    check(&others, "1 opened, 1 grew, 1 grew", "1 open critical 0..5001 x900");
    let told = format!("{old}\nack ann\nburst 2 10..5100 900 critical\nagain");
    check(&told, "1 opened, 1 grew, 1 acknowledged, 1 escalated, 1 joined", "1 open critical 0..5100 x900");
    // The revision counts what is recorded, however it was told.
    let fresh = play("rate 1 0..5000\nburst 2 10..5100 900 critical");
    let hushed = play(&format!("{old}\nburst 2 10..5100 900 critical"));
    assert_eq!(hushed.episodes[0].revision, fresh.episodes[0].revision);
}

#[test]
fn stale_news_does_not_reopen() {
    check(
        "rate 1 0..60
         clear 400
         now 9000
         rate 1 500..560",
        "1 opened, 1 resolved, 1 grew",
        "1 resolved warning 0..560 x700",
    );
}

#[test]
fn numbers_go_on_beyond_what_is_stored() {
    let mut book = Book::new();
    book.last_episode = 41;
    book.facts(vec![parse("rate 1 0..60")], EventTime::MIN, wall(60));
    assert_eq!(book.shown(), ["42 open warning 0..60 x700"]);
}

#[test]
fn an_incidents_own_labels_win() {
    let mut book = Book::new();
    book.context.external = Labels::from_iter([("cluster", "eu"), ("kind", "outer"), ("team", "all")]);
    let shop = Labels::from_iter([("team", "edge"), ("tier", "1")]);
    book.context
        .services
        .insert("shop".into(), ServiceFacts { labels: shop, annotations: Labels::default() });
    book.context.rules.insert("early".into(), Labels::from_iter([("tier", "0")]));
    book.context.rules.insert("late".into(), Labels::from_iter([("tier", "2")]));
    book.facts(vec![parse("late 1 10..60"), parse("early 1 9..60 700 error")], EventTime::MIN, wall(60));
    let labels: Vec<_> =
        book.episodes[0].labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        labels.join(" "),
        "alertname=early cluster=eu kind=flood service=shop severity=error team=edge tier=0"
    );
}

#[test]
fn at_most_a_hundred_rules_are_kept_whatever_their_order() {
    let facts: Vec<_> = (0..150).map(|n| parse(&format!("rule-{n:03} 1 0..60"))).collect();
    let (mut there, mut back) = (Book::new(), Book::new());
    for fact in &facts {
        there.facts(vec![fact.clone()], EventTime::MIN, wall(60));
    }
    for fact in facts.iter().rev() {
        back.facts(vec![fact.clone()], EventTime::MIN, wall(60));
    }
    assert_eq!(support::recorded(&there.episodes[0]), support::recorded(&back.episodes[0]));
    assert_eq!(there.episodes[0].rules.len(), 100);
    assert!(there.episodes[0].rules.contains_key(&name("rule-099")));
    assert_eq!(there.episodes[0].rules_beyond, 1);
}

#[test]
fn a_peak_that_is_no_number_counts_as_nothing() {
    let mut book = Book::new();
    let facts = vec![parse("rate 1 0..60 NaN"), parse("rate 1 0..60 700")];
    book.facts(facts.clone(), EventTime::MIN, wall(60));
    book.facts(facts, EventTime::MIN, wall(60));
    assert_eq!(book.log, ["1 opened"]);
    assert_eq!(book.shown(), ["1 open warning 0..60 x700"]);
}

#[test]
fn a_note_is_a_line_of_the_timeline() {
    let book = play("rate 1 0..60");
    let note = Command::Note("looks like\n the crawler\u{202e}".into());
    let actor = Actor("mia".into());
    let folded = fold_command(&book.episodes[0], &actor, note, wall(9), &book.knobs).expect("noted");
    assert!(folded.transitions.is_empty());
    assert_eq!(folded.incident, book.episodes[0]);
    assert_eq!(folded.timeline[0].text, "looks like the crawler\\u{202e}");
    let empty = Command::Note(" \n".into());
    assert!(fold_command(&book.episodes[0], &actor, empty, wall(9), &book.knobs).is_err());
}

#[test]
fn titles_say_it_in_one_line() {
    for (script, expected) in [
        (
            "requests-per-client 7 0..60 4120",
            "Request flood on shop: 203.0.113.7 sent 4,120 requests in 60 s (limit 600)",
        ),
        (
            "requests-per-client 7 0..60 4120 & requests-per-client 8 0..60 700 & request-burst 7 0..60 900",
            "Request flood on shop: 2 clients, the loudest 203.0.113.7 sent 4,120 requests in 60 s (limit 600)",
        ),
        (
            "bytes-per-client 7 0..60 1536",
            "Request flood on shop: 203.0.113.7 was sent 1.5 KiB in 60 s (limit 600 bytes)",
        ),
        ("egress 7 0..60 1536", "Request flood on shop: 203.0.113.7: 1,536 in 60 s (egress, limit 600)"),
    ] {
        let book = play(script);
        assert_eq!(title(&book.episodes[0]), expected);
        assert_eq!(book.episodes[0].status, Status::Open);
    }
}

#[test]
fn titles_of_what_is_missed_say_for_how_long() {
    let title_of = |rule: &str, target: Subject, observed: f64| {
        let mut fact = parse("surge 1 0..60");
        (fact.rule, fact.kind, fact.target) = (rule.into(), Kind::Sensor, target);
        fact.subject = Subject::new(SubjectKind::Input, "edge/3");
        fact.evidence.observed = beaconfire_model::Peak(observed);
        let mut book = Book::new();
        book.facts(vec![fact], EventTime::MIN, wall(60));
        title(&book.episodes[0])
    };
    let input = || Subject::new(SubjectKind::Input, "edge");
    for (rule, observed, expected) in [
        ("input-silent", 430.0, "Blind sensor on edge: nothing has come for 7 min (input-silent)"),
        (
            "input-lagging",
            660.0,
            "Blind sensor on edge: edge/3 is 11 min behind, and falling back (input-lagging)",
        ),
        (
            "input-undecodable",
            0.37,
            "Blind sensor on edge: 37 % of what comes is not understood (input-undecodable)",
        ),
    ] {
        assert_eq!(title_of(rule, input(), observed), expected);
    }
    let chat = Subject::new(SubjectKind::Receiver, "chat");
    let expected = "Receiver chat: edge/3 has taken nothing for 5 min (receiver-failing)";
    assert_eq!(title_of("receiver-failing", chat, 301.0), expected);
}

#[test]
fn parts_of_an_engines_finding_are_kept_and_are_no_news() {
    let part = |rule: &str| {
        let mut fact = parse("surge 1 0..60");
        (fact.rule, fact.kind) = (rule.into(), Kind::Surge);
        fact
    };
    let mut book = Book::new();
    book.facts(vec![part("surge")], EventTime::MIN, wall(60));
    book.facts(vec![part("surge: share of errors")], EventTime::MIN, wall(60));
    // Messages take it in, and nobody is disturbed.
    assert_eq!(book.log, ["1 opened", "1 grew"]);
    assert!(book.episodes[0].rules.contains_key("surge: share of errors"));
    book.facts(vec![part("overload")], EventTime::MIN, wall(60));
    assert_eq!(book.log, ["1 opened", "1 grew", "1 joined"]);
}

#[test]
fn the_title_of_a_surge_says_what_it_looks_like() {
    let of = |rules: &[(&str, f64, f64)], kind: Kind| {
        let facts = rules.iter().map(|(rule, observed, threshold)| {
            let mut fact = parse(&format!("rate 1 0..60 {observed}"));
            (fact.rule, fact.kind, fact.evidence.threshold) = ((*rule).into(), kind, *threshold);
            fact.subject = fact.target.clone();
            fact.evidence.crowd = Some(Crowd { clients: 900, networks: 850, sampled: true });
            fact
        });
        let mut book = Book::new();
        book.facts(facts.collect(), EventTime::MIN, wall(60));
        title(&book.episodes[0])
    };
    let rows = |rule: &str, points: f64| {
        [
            (rule.to_owned(), 18_240.0, 5_800.4),
            (format!("{rule}: points"), points, 4.0),
            (format!("{rule}: new networks"), 0.9, 0.01),
        ]
    };
    for (rule, points, kind, expected) in [
        (
            "surge",
            1.0,
            Kind::Surge,
            "Surge on shop: 18,240 requests in 60 s from about 900 clients of 850 networks, \
          where 5,800 are usual: a flash crowd by its look",
        ),
        (
            "surge",
            3.0,
            Kind::Surge,
            "Surge on shop: 18,240 requests in 60 s from about 900 clients of 850 networks, \
          where 5,800 are usual: perhaps an attack by its look",
        ),
        (
            "distributed-flood",
            6.0,
            Kind::Flood,
            "Request flood on shop: 18,240 requests in 60 s from about 900 clients of \
          850 networks, where 5,800 are usual: an attack by its look",
        ),
    ] {
        let rows = rows(rule, points);
        let rows: Vec<_> =
            rows.iter().map(|(rule, observed, usual)| (rule.as_str(), *observed, *usual)).collect();
        assert_eq!(of(&rows, kind), expected);
    }
    assert_eq!(
        of(&[("overload", 33_000.0, 30_000.0), ("overload: backlog", 40.0, 10.0)], Kind::Surge),
        "Surge on shop: 33,000 requests in 60 s from about 900 clients of 850 networks, where it can bear 30,000"
    );
}

#[test]
fn a_strangers_name_is_harmless_in_a_title() {
    let mut fact = parse("requests-per-client 7 0..60 4120");
    fact.subject.value = "x\r\n\u{202e}y".into();
    let mut book = Book::new();
    book.facts(vec![fact], EventTime::MIN, wall(60));
    assert!(title(&book.episodes[0]).contains("x\\u{d}\\u{a}\\u{202e}y sent"));
}
