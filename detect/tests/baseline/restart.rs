//! Snapshots: bit for bit, small, and never half of one.

use beaconfire_detect::baseline::{Series, SnapshotError, Verdict};
use proptest::prelude::*;

use crate::series::{at, daily, feed};

/// What is said, with every bit of it.
fn bits(verdicts: &[Verdict]) -> Vec<String> {
    verdicts.iter().map(|verdict| format!("{verdict:?}")).collect()
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Value(f64),
    Missing,
    Freeze(bool),
    Accept,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (0.0..100.0).prop_map(Step::Value),
        4 => (-1e9..1e9).prop_map(Step::Value),
        2 => any::<f64>().prop_map(Step::Value),
        2 => Just(Step::Missing),
        1 => any::<bool>().prop_map(Step::Freeze),
        1 => Just(Step::Accept),
    ]
}

fn take(series: &mut Series, n: usize, step: Step) -> Option<Verdict> {
    match step {
        Step::Value(value) => Some(series.push(at(n), Some(value), 0.0)),
        Step::Missing => Some(series.push(at(n), None, 0.0)),
        Step::Freeze(frozen) => {
            series.freeze(frozen);
            None
        }
        Step::Accept => {
            series.accept();
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_restart_anywhere_changes_no_bit(steps in prop::collection::vec(step(), 1..900), cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(steps.len())).collect();
        let (mut undisturbed, mut restarted) = (Series::default(), Series::default());
        for (n, step) in steps.into_iter().enumerate() {
            if cuts.contains(&n) {
                let bytes = restarted.snapshot();
                prop_assert!(bytes.len() <= 4_096);
                restarted = Series::restore(&bytes).unwrap();
            }
            let (one, other) = (take(&mut undisturbed, n, step), take(&mut restarted, n, step));
            prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
        prop_assert_eq!(undisturbed, restarted);
    }

    #[test]
    fn strange_bytes_are_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..5_000)) {
        prop_assert!(Series::restore(&bytes).is_err());
    }
}

#[test]
fn a_restart_in_mid_series_gives_the_scores_of_an_undisturbed_run() {
    let mut values = daily(9_000, 5);
    for spike in [1_500, 4_200, 7_777] {
        values[spike] *= 3.0;
    }
    let undisturbed = feed(&mut Series::default(), 0, &values);
    let alerts = |verdicts: &[Verdict]| {
        verdicts.iter().filter(|v| matches!(v, Verdict::Judged { quiet, .. } if quiet.alerts())).count()
    };
    assert!(alerts(&undisturbed) >= 3, "there is something to lose");
    for cut in [1, 99, 100, 101, 1_501, 4_201, 8_000] {
        let mut series = Series::default();
        let mut all = feed(&mut series, 0, &values[..cut]);
        let mut series = Series::restore(&series.snapshot()).unwrap();
        assert_eq!(series.closed_through(), Some(at(cut - 1)));
        all.extend(feed(&mut series, cut, &values[cut..]));
        assert_eq!(bits(&all), bits(&undisturbed), "cut at {cut}");
    }
    // The control: a restart that forgets is told apart.
    let mut forgotten = feed(&mut Series::default(), 0, &values[..4_000]);
    forgotten.extend(feed(&mut Series::default(), 4_000, &values[4_000..]));
    assert_ne!(bits(&forgotten), bits(&undisturbed));
}

#[test]
fn every_byte_counts() {
    let mut series = Series::default();
    feed(&mut series, 0, &daily(3_000, 1));
    let good = series.snapshot();
    assert_eq!(Series::restore(&good), Ok(series));
    for at in 0..good.len() {
        for flip in [1, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            assert!(Series::restore(&bad).is_err(), "byte {at}");
        }
    }
    for length in 0..good.len() {
        assert_eq!(Series::restore(&good[..length]), Err(SnapshotError::Damaged), "{length} bytes");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(Series::restore(&longer), Err(SnapshotError::Damaged));
}

#[test]
fn a_series_has_at_most_four_kilobytes_in_memory_and_stored() {
    assert!(size_of::<Series>() <= 4_096, "{}", size_of::<Series>());
    let mut series = Series::default();
    let young = series.snapshot().len();
    // Noise fills the book of shapes.
    let mut noise = crate::series::Noise(3);
    let values: Vec<f64> = (0..5_000).map(|_| noise.next()).collect();
    feed(&mut series, 0, &values);
    let old = series.snapshot().len();
    assert!(young < old && old <= 4_096, "{young} {old}");
}
