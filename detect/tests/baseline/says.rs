//! What is said of plain cases.

use beaconfire_detect::baseline::{BadSample, Finding, Judgement, Series, Side, Verdict, View};

use crate::series::{at, daily, feed};

fn judged(verdict: &Verdict) -> (Judgement, Judgement) {
    match verdict {
        Verdict::Judged { quiet, local } => (*quiet, *local),
        other => panic!("{other:?}"),
    }
}

/// A series that knows ten days of a daily hump.
fn known() -> (Series, Vec<f64>) {
    let values = daily(2_880, 7);
    let mut series = Series::default();
    feed(&mut series, 0, &values);
    (series, values)
}

/// What the quiet head finds in these values behind ten known days; with the position of each.
fn found(values: &[f64]) -> Vec<(usize, Finding)> {
    let (mut series, known) = known();
    let verdicts = feed(&mut series, known.len(), values);
    (0..).zip(&verdicts).filter_map(|(n, verdict)| Some((n, judged(verdict).0.finding?))).collect()
}

#[test]
fn an_ordinary_day_is_quiet() {
    let next = daily(2_880 + 288, 7).split_off(2_880);
    assert_eq!(found(&next), []);
}

#[test]
fn a_value_beyond_everything_says_by_how_much() {
    let mut next = daily(2_880 + 288, 7).split_off(2_880);
    next[100] = 300.0;
    let found = found(&next);
    let (n, finding) = found[0];
    assert_eq!((n, finding.observed, finding.since), (100, 300.0, at(2_880 + 100)));
    let (low, high) = finding.expected;
    assert!((60.0..72.0).contains(&low) && (128.0..140.0).contains(&high), "{finding:?}");
    let View::Value { percent, samples } = finding.view else { panic!("{finding:?}") };
    assert!(
        (percent - 100.0 * (300.0 - high) / (high - low)).abs() < 1e-9 && samples == 2_980,
        "{finding:?}"
    );
    assert!(finding.view.to_string().ends_with("% beyond anything in the last 2,980 samples"));
}

#[test]
fn an_anomaly_is_told_once() {
    let mut next = daily(2_880 + 288, 7).split_off(2_880);
    next[100..130].fill(300.0);
    let found = found(&next);
    assert_eq!(found.iter().filter(|(n, _)| (100..140).contains(n)).count(), 1, "{found:?}");
}

#[test]
fn silence_at_an_ordinary_level_is_a_new_low_of_volatility() {
    let mut noise = crate::series::Noise(4);
    let mut values: Vec<f64> = (0..2_000).map(|_| 100.0 + 10.0 * noise.next()).collect();
    values.extend([100.0; 60]);
    let findings = feed(&mut Series::default(), 0, &values).split_off(2_000);
    let first = findings.iter().find_map(|verdict| judged(verdict).0.finding).expect("a finding");
    assert_eq!(first.view, View::VolatilityAtNew(Side::Low));
    assert!(first.observed < first.expected.0 && first.expected.0 < first.expected.1, "{first:?}");
}

#[test]
fn the_peak_of_the_day_at_the_wrong_time_is_unusual() {
    // Half a day late: nothing about it is unusual but its time.
    let mut next = daily(2_880 + 144 + 288, 7).split_off(2_880 + 144);
    next.truncate(144);
    let found = found(&next);
    let other = |finding: &Finding| !matches!(finding.view, View::Value { .. });
    assert!(!found.is_empty() && found.iter().all(|(_, finding)| other(finding)), "{found:?}");
}

#[test]
fn the_local_head_sees_what_the_quiet_one_does_not() {
    // It was all over the place, is calm for a week, and then goes where it has often been.
    let mut noise = crate::series::Noise(11);
    let mut values: Vec<f64> = (0..3_000).map(|_| 50.0 + 30.0 * noise.next()).collect();
    values.extend((0..2_000).map(|_| 50.0 + noise.next()));
    values.push(65.0);
    let verdicts = feed(&mut Series::default(), 0, &values);
    let (quiet, local) = judged(&verdicts[5_000]);
    assert!(!quiet.alerts() && quiet.score < 0.5, "{quiet:?}");
    let finding = local.finding.expect("many deviations");
    assert!(matches!(finding.view, View::Deviations(z) if z > 6.0) && local.score >= 0.5, "{finding:?}");
    assert!(finding.expected.0 > 45.0 && finding.expected.1 < 55.0);
}

#[test]
fn half_is_where_it_alerts() {
    let mut values = daily(6_000, 3);
    for n in (500..6_000).step_by(177) {
        values[n] *= 1.0 + n as f64 / 2_000.0;
    }
    let mut alerts = 0;
    for verdict in feed(&mut Series::default(), 0, &values) {
        if let Verdict::Judged { quiet, local } = verdict {
            for judgement in [quiet, local] {
                assert!((0.0..=1.0).contains(&judgement.score));
                assert_eq!(judgement.score >= 0.5, judgement.alerts(), "{judgement:?}");
                alerts += usize::from(judgement.alerts());
            }
        }
    }
    assert!(alerts > 10);
}

#[test]
fn a_new_series_learns_in_silence() {
    let mut values = daily(101, 2);
    values[50] = 1e6;
    let verdicts = feed(&mut Series::default(), 0, &values);
    for (n, verdict) in verdicts[..100].iter().enumerate() {
        assert_eq!(*verdict, Verdict::Learning { left: 100 - n as u32 });
    }
    judged(&verdicts[100]);
}

#[test]
fn bad_samples_are_told_by_reason_and_change_nothing() {
    let (mut series, values) = known();
    let mut clean = series.clone();
    for (n, (value, reason)) in [
        (f64::NAN, BadSample::NotANumber),
        (f64::INFINITY, BadSample::NotANumber),
        (f64::NEG_INFINITY, BadSample::NotANumber),
        (1e308, BadSample::TooLarge),
        (-1e31, BadSample::TooLarge),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(series.push(at(values.len() + n), Some(value), 0.0), Verdict::Refused(reason));
        assert_eq!(clean.push(at(values.len() + n), None, 0.0), Verdict::Missing);
    }
    assert_eq!(series, clean, "a bad sample is a missing one");
    let next = daily(300, 9);
    assert_eq!(feed(&mut series, 3_000, &next), feed(&mut clean, 3_000, &next));
}

#[test]
fn a_level_of_gigabytes_is_judged_like_one_of_ones() {
    let small = daily(4_000, 6);
    let large: Vec<f64> = small.iter().map(|value| value * f64::from(1 << 30)).collect();
    let scores = |values: &[f64]| -> Vec<f64> {
        let judgement = |verdict: &Verdict| match verdict {
            Verdict::Judged { quiet, .. } => quiet.score,
            _ => 0.0,
        };
        feed(&mut Series::default(), 0, values).iter().map(judgement).collect()
    };
    for (n, (one, other)) in scores(&small).into_iter().zip(scores(&large)).enumerate() {
        assert!((one - other).abs() < 1e-6, "sample {n}: {one} {other}");
    }
}

#[test]
fn the_last_digit_of_a_series_that_never_moved_is_nothing() {
    let mut values = vec![20.0; 1_000];
    values[500] = 20.001;
    values[700] = 0.0;
    let verdicts = feed(&mut Series::default(), 0, &values);
    assert!(!judged(&verdicts[500]).0.alerts() && !judged(&verdicts[500]).1.alerts());
    assert!(judged(&verdicts[700]).0.alerts(), "while going to zero is something");
    // What is measured in cores need not care for thousandths of one.
    let mut idle = Series::default();
    for n in 0..500 {
        idle.push(at(n), Some(0.0), 0.01);
    }
    let (quiet, local) = judged(&idle.push(at(500), Some(0.004), 0.01));
    assert!(!quiet.alerts() && !local.alerts());
    assert!(judged(&idle.push(at(501), Some(1.0), 0.01)).0.alerts());
}

#[test]
fn what_is_suspected_does_not_become_normal_until_it_is_accepted() {
    let miner = vec![400.0; 4_000];
    let alerts = |verdicts: &[Verdict]| verdicts.iter().filter(|v| judged(v).0.alerts()).count();
    let (mut learning, values) = known();
    let mut frozen = learning.clone();
    frozen.freeze(true);
    let first = values.len();
    feed(&mut learning, first, &miner);
    assert!(alerts(&feed(&mut frozen, first, &miner)) >= 1);
    assert!(frozen.is_frozen());
    // After two weeks what goes on learning takes it for usual; what was frozen still does not.
    // What is as strong as an alert, and held since it was told, scores just below one.
    let off = |verdicts: &[Verdict]| verdicts.iter().filter(|v| judged(v).0.score > 0.498).count();
    let again = vec![400.0; 100];
    assert_eq!(off(&feed(&mut learning, first + 4_000, &again)), 0);
    let held = feed(&mut frozen, first + 4_000, &again);
    assert_eq!((off(&held), judged(&held[99]).0.off_since), (100, Some(at(first))));
    // Somebody says that this is normal now: silence while it learns, then quiet.
    frozen.accept();
    assert!(!frozen.is_frozen());
    let after = feed(&mut frozen, first + 4_100, &vec![400.0; 400]);
    assert_eq!(after[0], Verdict::Learning { left: 40 });
    assert_eq!(after[39], Verdict::Learning { left: 1 });
    assert_eq!(alerts(&after[40..]), 0);
    assert!(alerts(&feed(&mut frozen, first + 4_500, &[4_000.0; 50])) >= 1, "it has not gone deaf");
}

#[test]
fn missing_slices_change_nothing_but_how_far_it_has_come() {
    let (mut series, values) = known();
    let before = series.clone();
    assert_eq!(series.push(at(values.len()), None, 0.0), Verdict::Missing);
    assert_eq!(series.closed_through(), Some(at(values.len())));
    assert_ne!(series.closed_through(), before.closed_through());
    assert_eq!(series.left(), 0);
}

#[test]
fn ordinary_months_with_weekends_raise_next_to_nothing() {
    const SERIES: u32 = 20;
    let (mut later, mut alerts) = (0, 0);
    for seed in 0..SERIES {
        let mut noise = crate::series::Noise(u64::from(seed) * 7_919 + 1);
        let mut near = 0.0;
        let mut series = Series::default();
        for n in 0..30 * 288 {
            let week = if n / 288 % 7 >= 5 { 0.7 } else { 1.0 };
            let hump = 0.02 * f64::from(seed) * (n as f64 / 288.0 * std::f64::consts::TAU).sin();
            near = 0.9 * near + 0.1 * noise.next();
            let value = week * (1.0 + hump) + 0.1 * near + 0.03 * noise.next();
            let verdict = series.push(at(n), Some(value), 0.002);
            if n >= 8 * 288 {
                later += 1;
                alerts += usize::from(judged(&verdict).0.alerts());
            }
        }
    }
    // One series has an alert in five days at most.
    let a_day = alerts as f64 / (f64::from(later) / 288.0);
    assert!(a_day <= 0.2, "{a_day:.3} alerts a series and day");
}
