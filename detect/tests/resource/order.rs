//! Whatever samples come, in whatever order, and wherever a restart falls.

use std::time::Duration;

use beaconfire_detect::{BadRates, RateKnobs, Rates};
use beaconfire_model::Metric;
use proptest::prelude::*;

use super::{Slices, Told, close, run, told};

fn any_sample() -> impl Strategy<Value = Told> {
    let metric = prop::sample::select(Metric::ALL.to_vec());
    let value = prop_oneof![
        4 => (0u32..1000).prop_map(f64::from),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0, 0.0, 1e308, 1e15, f64::MIN_POSITIVE]),
    ];
    (
        // Within the silence, and beyond it.
        prop_oneof![0i64..240, 0i64..240, 4000i64..4240],
        prop::sample::select(vec!["cart-0", "cart-1", ""]),
        prop::sample::select(vec!["app", ""]),
        prop::sample::select(vec!["", "cpu0", "total"]),
        prop::collection::vec((metric, value), 1..4),
    )
        .prop_map(|(second, pod, container, part, measured)| told(second, pod, &measured).of(container, part))
}

proptest! {
    /// In whatever order samples arrive before their slice closes, the slices are the same.
    #[test]
    fn the_order_of_arrival_changes_nothing(samples in prop::collection::vec(any_sample(), 0..60).prop_flat_map(|samples| (Just(samples.clone()), Just(samples).prop_shuffle()))) {
        let (samples, shuffled) = samples;
        let (slices, rates) = run(&samples, 6000);
        let (others, other) = run(&shuffled, 6000);
        // NaN is equal to nothing, and no figure is one.
        prop_assert_eq!(slices, others);
        prop_assert_eq!(rates.flaws(), other.flaws());
        prop_assert_eq!(rates.closed_through(), other.closed_through());
    }

    /// Nor does it matter how often slices are closed, as long as none is closed too soon.
    #[test]
    fn closing_often_is_closing_once(samples in prop::collection::vec(any_sample(), 0..60)) {
        let mut sorted = samples;
        sorted.sort_by_key(|told| told.second);
        let (once, _) = run(&sorted, 6000);
        let mut rates = Rates::new(RateKnobs { clock_off: Duration::from_hours(1), ..RateKnobs::default() });
        let mut often = Slices::new();
        for told in &sorted {
            rates.observe(&told.sample(), None);
            close(&mut rates, told.second, &mut often);
        }
        close(&mut rates, 6000, &mut often);
        prop_assert_eq!(once, often);
    }

    /// Stopped at any slice and begun again from its bytes, with what had waited read again, it says the same.
    #[test]
    fn a_restart_changes_nothing(samples in prop::collection::vec(any_sample(), 0..60), stop in 0i64..300) {
        let mut sorted = samples;
        sorted.sort_by_key(|told| told.second);
        let (undisturbed, _) = run(&sorted, 6000);
        let mut rates = Rates::new(RateKnobs::default());
        let mut slices = Slices::new();
        for told in sorted.iter().filter(|told| told.second < stop) {
            rates.observe(&told.sample(), None);
        }
        close(&mut rates, stop, &mut slices);
        let bytes = rates.snapshot();
        let mut again = Rates::restore(RateKnobs::default(), &bytes).unwrap();
        prop_assert_eq!(again.snapshot(), bytes.clone());
        for told in &sorted {
            again.observe(&told.sample(), None);
        }
        close(&mut again, 6000, &mut slices);
        prop_assert_eq!(slices, undisturbed);
        // Cut off or damaged, it is refused.
        for at in (0..bytes.len()).step_by(97) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            prop_assert_eq!(Rates::restore(RateKnobs::default(), &damaged).err(), Some(BadRates::Damaged));
            prop_assert!(Rates::restore(RateKnobs::default(), &bytes[..at]).is_err());
        }
    }

    /// Every figure is a number that can be, whatever came.
    #[test]
    fn figures_are_finite(samples in prop::collection::vec(any_sample(), 0..60)) {
        let (slices, _) = run(&samples, 6000);
        for (_, _, _, figures) in slices {
            for value in [figures.cpu_cores, figures.memory_bytes, figures.memory_of_limit, figures.net_rx_bytes_per_second, figures.net_tx_bytes_per_second, figures.throttled, figures.gpu_share, figures.cpu_limit_cores, figures.cpu_of_node] {
                prop_assert!(value.is_none_or(|value| value.is_finite() && value >= 0.0), "{:?}", figures);
            }
        }
    }
}
