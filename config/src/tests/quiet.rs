//! When receivers are not told, and who is told next: Alertmanager's sections as they are pasted, and `escalations`.

use beaconfire_model::{Labels, Wall};
use beaconfire_outbox::TimeInterval;
use jiff::Timestamp;

use super::*;

fn at(text: &str) -> Wall {
    Wall::from_millis(text.parse::<Timestamp>().unwrap().as_millisecond())
}

/// One stretch of `time_intervals`, in YAML.
#[track_caller]
fn interval(stretch: &str) -> TimeInterval {
    let yaml = format!("time_intervals: [{{name: x, time_intervals: [{{{stretch}}}]}}]\n");
    minimal_and(&yaml).config().quiet.intervals["x"].clone()
}

#[track_caller]
fn check(stretch: &str, inside: &[&str], outside: &[&str]) {
    let interval = interval(stretch);
    for text in inside {
        assert!(interval.contains(at(text)), "{stretch}: {text}");
    }
    for text in outside {
        assert!(!interval.contains(at(text)), "{stretch}: {text}");
    }
}

/// 2026-01-02 is a Friday.
#[test]
fn time_intervals_are_alertmanagers() {
    check(
        "times: [{start_time: '09:00', end_time: '17:00'}], weekdays: ['monday:friday']",
        &["2026-01-02T09:00:00Z", "2026-01-02T16:59:59Z"],
        &["2026-01-02T08:59:59Z", "2026-01-02T17:00:00Z", "2026-01-03T12:00:00Z"],
    );
    check("weekdays: [Saturday, 'sunday']", &["2026-01-03T00:00:00Z"], &["2026-01-05T00:00:00Z"]);
    check(
        "days_of_month: ['-3:-1', '1:2']",
        &["2026-01-01T00:00:00Z", "2026-01-29T00:00:00Z", "2028-02-27T00:00:00Z"],
        &["2026-01-28T00:00:00Z", "2028-02-26T00:00:00Z"],
    );
    check("months: ['november:december', '2']", &["2026-02-01T00:00:00Z"], &["2026-01-31T00:00:00Z"]);
    check("years: ['2026:2027']", &["2027-06-01T00:00:00Z"], &["2028-01-01T00:00:00Z"]);
    check(
        "times: [{start_time: '22:00', end_time: '24:00'}], location: 'America/New_York'",
        &["2026-07-02T02:30:00Z", "2026-01-02T03:30:00Z"],
        &["2026-07-02T04:00:00Z", "2026-01-02T02:30:00Z"],
    );
    check("location: Local", &["2026-01-02T00:00:00Z"], &[]);
}

#[test]
fn what_alertmanager_refuses_of_a_time_interval_is_refused_with_its_place() {
    for (stretch, said) in [
        ("weekdays: ['friday:monday']", "the end lies before the start"),
        ("weekdays: [freitag]", "weekdays are sunday, monday"),
        ("days_of_month: ['0']", "days are 1 to 31"),
        ("days_of_month: ['32']", "days are 1 to 31"),
        ("days_of_month: ['-1:5']", "has to end so"),
        ("days_of_month: ['5:-31']", "the end lies before the start"),
        ("months: ['13']", "months are 1 to 12"),
        ("months: ['december:january']", "the end lies before the start"),
        ("years: ['2027:2026']", "the end lies before the start"),
        ("times: [{start_time: '9:00', end_time: '10:00'}]", "is no time of day"),
        ("times: [{start_time: '09:00', end_time: '24:01'}]", "is no time of day"),
        ("times: [{start_time: '22:00', end_time: '06:00'}]", "does not come before `end_time`"),
        ("location: Mars/Olympus", "there is no time zone `Mars/Olympus`"),
        ("hours: []", "`hours`"),
    ] {
        let yaml = format!("time_intervals: [{{name: x, time_intervals: [{{{stretch}}}]}}]\n");
        let desk = minimal_and(&yaml);
        assert!(desk.load().is_err(), "{stretch}");
        let found = desk.said();
        assert!(found.contains(said) && found.contains("beaconfire.yaml:9:"), "{stretch}: {found}");
    }
    let twice = minimal_and("time_intervals: [{name: x}, {name: x}]\n").said();
    assert!(twice.contains("stands twice"), "{twice}");
}

const ROUTES: &str = "\
route:
  receiver: mail
  routes:
    - {matchers: [a=b], mute_time_intervals: [nights], active_time_intervals: [week]}
";

#[test]
fn routes_name_time_intervals_by_the_newer_and_by_the_older_key() {
    let week = "time_intervals: [{name: week, time_intervals: [{weekdays: ['monday:friday']}]}]\n";
    let nights = "mute_time_intervals: [{name: nights, time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}]}]}]\n";
    let config = minimal_and(&format!("{ROUTES}{week}{nights}")).config();
    let route = &config.route.routes[0];
    assert_eq!((&*route.mute_times[0], &*route.active_times[0]), ("nights", "week"));
    assert_eq!(config.quiet.intervals.len(), 2);

    let said = minimal_and(&format!("{ROUTES}{nights}")).said();
    assert!(said.contains("`week` is no time interval") && said.contains("known here: nights"), "{said}");
    let root =
        minimal_and(&format!("{nights}route: {{receiver: mail, mute_time_intervals: [nights]}}\n")).said();
    assert!(root.contains("tells at all times"), "{root}");
    let unused = minimal_and(week);
    assert!(unused.load().is_ok());
    assert!(unused.said().contains("no route names the time interval `week`"), "{}", unused.said());
}

#[test]
fn inhibit_rules_are_read_in_both_of_alertmanagers_ways() {
    let newer = "inhibit_rules: [{source_matchers: ['severity=\"critical\"'], target_matchers: ['kind=~\"errors|surge\"'], equal: [service]}]\n";
    let older = "inhibit_rules: [{source_match: {severity: critical}, target_match_re: {kind: 'errors|surge'}, equal: [service]}]\n";
    let newer = minimal_and(newer).config().quiet.inhibit;
    assert_eq!(newer, minimal_and(older).config().quiet.inhibit);
    assert_eq!(newer[0].equal, ["service"]);
    let labels: Labels = [("kind", "surge")].into_iter().collect();
    assert!(newer[0].target.matches(|name| labels.get(name)));
    assert!(!newer[0].source.matches(|name| labels.get(name)));
    for (rule, said) in [
        ("{target_matchers: [a=b]}", "no `source_matchers`"),
        ("{source_matchers: [a=b]}", "no `target_matchers`"),
        ("{source_matchers: [a=b], target_match_re: {a: '('}}", "bad pattern"),
    ] {
        let desk = minimal_and(&format!("inhibit_rules: [{rule}]\n"));
        assert!(desk.load().is_err() && desk.said().contains(said), "{rule}: {}", desk.said());
    }
}

#[test]
fn escalations_name_receivers_in_the_order_of_their_times() {
    let config = minimal_and(
        "escalations: [{matchers: ['severity=\"critical\"'], steps: [{after: 5m, receiver: mail}, {after: 15m, receiver: mail}]}]\n",
    )
    .config();
    let steps: Vec<_> =
        config.escalations[0].steps.iter().map(|(after, to)| (after.as_secs(), &**to)).collect();
    assert_eq!(steps, [(300, "mail"), (900, "mail")]);
    for (entry, said) in [
        ("{steps: [{after: 5m, receiver: male}]}", "`male` is no receiver"),
        ("{steps: [{after: 5m, receiver: mail}, {after: 5m, receiver: mail}]}", "does not come after"),
        ("{steps: [{after: 0s, receiver: mail}]}", "`after` is out of range"),
        ("{steps: []}", "has no steps"),
    ] {
        let desk = minimal_and(&format!("escalations: [{entry}]\n"));
        assert!(desk.load().is_err() && desk.said().contains(said), "{entry}: {}", desk.said());
    }
}
