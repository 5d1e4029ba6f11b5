//! From resource samples to what workloads used: what is joined and added up, what is refused, and that the order of
//! arrival plays no part.

mod order;

use beaconfire_detect::{Figures, Flaw, RateKnobs, Rates};
use beaconfire_model::{EventTime, Measured, Metric, ResourceSample};

/// A whole slice.
const T0: i64 = 1_767_323_040_000;

fn at(second: i64) -> EventTime {
    EventTime::from_millis(T0 + second * 1000)
}

/// A sample, owned.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    second: i64,
    workload: &'static str,
    pod: &'static str,
    container: &'static str,
    part: &'static str,
    measured: Vec<Measured>,
}

fn told(second: i64, pod: &'static str, measured: &[(Metric, f64)]) -> Told {
    let measured =
        measured.iter().map(|(metric, value)| Measured { metric: *metric, value: *value }).collect();
    Told { second, workload: "shop/cart", pod, container: "app", part: "", measured }
}

impl Told {
    fn of(self, container: &'static str, part: &'static str) -> Self {
        Self { container, part, ..self }
    }

    fn sample(&self) -> ResourceSample<'_> {
        ResourceSample {
            time: at(self.second),
            workload: self.workload,
            pod: self.pod,
            container: self.container,
            part: self.part,
            measured: &self.measured,
            ..ResourceSample::default()
        }
    }
}

/// What was used, as `(slice, workload, container, figures)`, and the rates.
type Slices = Vec<(i64, String, String, Figures)>;

fn close(rates: &mut Rates, second: i64, into: &mut Slices) {
    rates.close(at(second), |usage| {
        let slice = (usage.slice.millis() - T0) / 1000;
        into.push((slice, usage.workload.to_owned(), usage.container.to_owned(), usage.figures));
    });
}

fn run(samples: &[Told], through: i64) -> (Slices, Rates) {
    let mut rates = Rates::new(RateKnobs::default());
    let mut slices = Slices::new();
    for told in samples {
        rates.observe(&told.sample(), None);
    }
    close(&mut rates, through, &mut slices);
    (slices, rates)
}

/// One value of each slice of the container.
fn each(slices: &Slices, of: impl Fn(&Figures) -> Option<f64>) -> Vec<(i64, Option<f64>)> {
    slices
        .iter()
        .map(|(slice, _, _, figures)| (*slice, of(figures).map(|value| (value * 1e6).round() / 1e6)))
        .collect()
}

#[test]
fn counters_become_rates() {
    let samples: Vec<Told> =
        (0..18).map(|n| told(n * 10, "cart-0", &[(Metric::CpuSeconds, 100.0 + n as f64 * 5.0)])).collect();
    let (slices, _) = run(&samples, 180);
    assert_eq!(
        each(&slices, |figures| figures.cpu_cores),
        [(0, Some(0.5)), (60, Some(0.5)), (120, Some(0.5))],
        "{slices:?}"
    );
}

/// A counter is better than a gauge of whatever window, and both together are not twice as much.
#[test]
fn a_gauge_beside_its_counter_counts_once() {
    let samples: Vec<Told> = (0..6)
        .map(|n| told(n * 10, "cart-0", &[(Metric::CpuSeconds, n as f64 * 5.0), (Metric::CpuCores, 0.7)]))
        .collect();
    assert_eq!(each(&run(&samples, 60).0, |figures| figures.cpu_cores), [(0, Some(0.5))]);
    let gauge: Vec<Told> =
        (0..6).map(|n| told(n * 10, "cart-0", &[(Metric::CpuCores, n as f64 / 10.0)])).collect();
    assert_eq!(each(&run(&gauge, 60).0, |figures| figures.cpu_cores), [(0, Some(0.25))], "its mean");
}

#[test]
fn limits_are_joined_from_the_samples_that_carry_them() {
    let used = |n: i64| told(n * 10, "cart-0", &[(Metric::CpuCores, 0.5), (Metric::MemoryBytes, 60.0)]);
    // Told by another producer, of another copy, once.
    let limits = told(5, "cart-1", &[(Metric::CpuLimitCores, 2.0), (Metric::MemoryLimitBytes, 80.0)]);
    let mut samples: Vec<Told> = (0..12).map(used).collect();
    samples.push(limits);
    let (slices, _) = run(&samples, 120);
    for (_, _, _, figures) in &slices {
        assert_eq!(
            (figures.copies, figures.cpu_limit_cores, figures.memory_limit_bytes, figures.memory_of_limit),
            (1, Some(2.0), Some(80.0), Some(0.75))
        );
    }
    assert_eq!(slices.len(), 2);
    // As the kernel has it, as a share, and as none.
    let limit = |measured: &[(Metric, f64)]| {
        let (slices, _) = run(&[told(0, "cart-0", measured)], 60);
        slices.first().and_then(|(_, _, _, figures)| figures.cpu_limit_cores)
    };
    let used = (Metric::CpuCores, 0.5);
    assert_eq!(
        limit(&[used, (Metric::CpuQuotaMicros, 150_000.0), (Metric::CpuPeriodMicros, 100_000.0)]),
        Some(1.5)
    );
    assert_eq!(limit(&[used, (Metric::CpuOfLimit, 0.25)]), Some(2.0));
    assert_eq!(limit(&[used, (Metric::CpuQuotaMicros, -1.0), (Metric::CpuPeriodMicros, 100_000.0)]), None);
    // Of a share of a known limit the cores follow.
    let (slices, _) =
        run(&[told(0, "cart-0", &[(Metric::CpuLimitCores, 4.0), (Metric::CpuOfLimit, 0.25)])], 60);
    assert_eq!(each(&slices, |figures| figures.cpu_cores), [(0, Some(1.0))]);
}

/// The pods of before and after a rollout are copies of one workload.
#[test]
fn a_workload_outlives_its_rollout() {
    let mut samples = Vec::new();
    for n in 0..24 {
        let (pod, began) = if n < 12 { ("cart-7d9f8b6c5d-x2x4z", 0) } else { ("cart-5456b4b8cd-99vxc", 12) };
        samples.push(told(n * 10, pod, &[(Metric::CpuSeconds, (n - began) as f64 * 5.0)]));
    }
    let (slices, rates) = run(&samples, 240);
    let cores = each(&slices, |figures| figures.cpu_cores);
    assert!(cores.iter().all(|(_, cores)| *cores >= Some(0.5)), "{cores:?}");
    assert_eq!(cores.iter().map(|(slice, _)| *slice).collect::<Vec<_>>(), [0, 60, 120, 180]);
    assert!(slices.iter().all(|(_, workload, container, _)| workload == "shop/cart" && container == "app"));
    assert_eq!(cores[3].1, Some(0.5), "the old one counts no more");
    assert_eq!(rates.flaws().of(Flaw::Reset), 0, "each pod has a counter of its own");
}

#[test]
fn copies_and_parts_add_up() {
    let mut samples = Vec::new();
    for pod in ["cart-0", "cart-1"] {
        for part in ["cpu00", "cpu01"] {
            samples
                .extend((0..6).map(|n| told(n * 10, pod, &[(Metric::CpuSeconds, n as f64)]).of("app", part)));
        }
    }
    let (slices, _) = run(&samples, 60);
    assert_eq!(each(&slices, |figures| figures.cpu_cores), [(0, Some(0.4))]);
    assert_eq!(slices[0].3.copies, 2);
    // The sum beside its parts counts alone.
    samples.extend(
        (0..6).map(|n| told(n * 10, "cart-0", &[(Metric::CpuSeconds, n as f64 * 2.0)]).of("app", "total")),
    );
    assert_eq!(each(&run(&samples, 60).0, |figures| figures.cpu_cores), [(0, Some(0.4))]);
    let gpus = [("0", 1.0), ("1", 0.5)]
        .map(|(part, share)| told(0, "cart-0", &[(Metric::GpuShare, share)]).of("app", part));
    assert_eq!(each(&run(&gpus, 60).0, |figures| figures.gpu_share), [(0, Some(0.75))]);
}

/// A pod as a whole holds its containers.
#[test]
fn a_pod_beside_its_containers_counts_once() {
    let mut samples = vec![
        told(
            0,
            "cart-0",
            &[(Metric::CpuCores, 0.75), (Metric::MemoryBytes, 9.0), (Metric::NetRxBytesPerSecond, 5.0)],
        )
        .of("", ""),
    ];
    assert_eq!(each(&run(&samples, 60).0, |figures| figures.cpu_cores), [(0, Some(0.75))]);
    samples.push(told(0, "cart-0", &[(Metric::CpuCores, 0.5), (Metric::MemoryBytes, 7.0)]));
    samples.push(told(0, "cart-0", &[(Metric::CpuCores, 0.25)]).of("sidecar", ""));
    let (slices, _) = run(&samples, 60);
    let said: Vec<_> = slices
        .iter()
        .map(|(_, _, container, figures)| {
            (container.as_str(), figures.cpu_cores, figures.memory_bytes, figures.net_rx_bytes_per_second)
        })
        .collect();
    assert_eq!(
        said,
        [
            ("", None, None, Some(5.0)),
            ("app", Some(0.5), Some(7.0), None),
            ("sidecar", Some(0.25), None, None)
        ]
    );
}

#[test]
fn a_value_holds_while_one_scrape_fails_and_no_longer() {
    let mut samples: Vec<Told> =
        (0..4).map(|n| told(n * 60, "cart-0", &[(Metric::MemoryBytes, 7.0)])).collect();
    let (slices, _) = run(&samples, 600);
    let seen: Vec<i64> = slices.iter().map(|(slice, ..)| *slice).collect();
    assert_eq!(seen, [0, 60, 120, 180, 240], "the last at 180 holds to 330");
    // The end of a series is told.
    samples.push(told(200, "cart-0", &[(Metric::MemoryBytes, f64::NAN)]));
    let (slices, rates) = run(&samples, 600);
    assert_eq!(slices.last().map(|(slice, ..)| *slice), Some(120));
    assert_eq!(rates.flaws().of(Flaw::NotANumber), 1);
}

#[test]
fn throttling_restarts_and_ends_for_want_of_memory() {
    let samples: Vec<Told> = (0..12)
        .map(|n| {
            told(
                n * 10,
                "cart-0",
                &[
                    (Metric::CpuPeriods, n as f64 * 100.0),
                    (Metric::CpuThrottledPeriods, n as f64 * 25.0),
                    (Metric::Restarts, f64::from(u8::from(n > 7)) * 2.0),
                    (Metric::OomKilled, 1.0),
                ],
            )
        })
        .collect();
    let (slices, _) = run(&samples, 120);
    assert_eq!(each(&slices, |figures| figures.throttled), [(0, Some(0.25)), (60, Some(0.25))]);
    assert_eq!(each(&slices, |figures| Some(figures.restarts)), [(0, Some(0.0)), (60, Some(2.0))]);
    assert_eq!(each(&slices, |figures| Some(figures.oom_kills)), [(0, Some(0.0)), (60, Some(2.0))]);
}

/// Each sort of bad sample, counted by its reason.
#[test]
fn bad_samples_are_counted_by_reason() {
    let good: Vec<Told> = (0..12)
        .map(|n| told(n * 10, "cart-0", &[(Metric::CpuSeconds, n as f64), (Metric::CpuLimitCores, 2.0)]))
        .collect();
    let undisturbed = run(&good, 120).0;
    for (metric, value, flaw) in [
        (Metric::CpuCores, -1.0, Flaw::Negative),
        (Metric::CpuSeconds, -1.0, Flaw::Negative),
        (Metric::CpuSeconds, 1e308, Flaw::Absurd),
        (Metric::CpuSeconds, 1e15, Flaw::Absurd),
        (Metric::CpuSeconds, f64::INFINITY, Flaw::Infinite),
        (Metric::CpuLimitCores, 0.0, Flaw::ZeroLimit),
        (Metric::CpuLimitCores, f64::NAN, Flaw::NotANumber),
        (Metric::CpuSeconds, 0.0, Flaw::Backwards),
    ] {
        let mut samples = good.clone();
        samples.push(told(35, "cart-0", &[(metric, value)]));
        let (slices, rates) = run(&samples, 120);
        assert_eq!(slices, undisturbed, "{metric:?} {value}");
        assert_eq!(rates.flaws().of(flaw), 1, "{metric:?} {value}");
    }
    // Clocks: a day off either way, against the log's.
    let mut rates = Rates::new(RateKnobs::default());
    for day in [-86_400, 86_400] {
        rates.observe(&told(day, "cart-0", &[(Metric::CpuSeconds, 9.0)]).sample(), Some(at(30)));
    }
    assert_eq!((rates.flaws().of(Flaw::Clock), rates.bytes()), (2, 0));
    // Too late, and twice.
    let (_, mut rates) = run(&good, 120);
    rates.observe(&good[11].sample(), None);
    assert_eq!(rates.flaws().of(Flaw::Late), 1);
    let (slices, rates) = run(&[good.clone(), good].concat(), 120);
    assert_eq!((slices, rates.flaws().of(Flaw::Duplicate)), (undisturbed, 12));
}

#[test]
fn the_table_has_a_bound_and_says_so() {
    let knobs = RateKnobs { bytes_max: 100_000, ..RateKnobs::default() };
    let mut rates = Rates::new(knobs);
    let mut slices = Slices::new();
    for n in 0..2000 {
        let workload = format!("shop/{n}");
        let one = told(n / 100, "cart-0", &[(Metric::CpuCores, 0.5)]);
        rates.observe(&ResourceSample { workload: &workload, ..one.sample() }, None);
        assert!(rates.bytes() <= knobs.bytes_max, "{}", rates.bytes());
    }
    assert!(rates.flaws().of(Flaw::Full) > 1000);
    close(&mut rates, 60, &mut slices);
    let known = slices.len();
    assert!(known > 50, "{known}");
    // What fell silent makes room.
    rates.observe(&told(4000, "cart-0", &[(Metric::CpuCores, 0.5)]).sample(), None);
    close(&mut rates, 4080, &mut slices);
    let full = rates.flaws().of(Flaw::Full);
    rates.observe(&told(4100, "cart-1", &[(Metric::CpuCores, 0.5)]).sample(), None);
    assert_eq!(rates.flaws().of(Flaw::Full), full);
    assert!(rates.bytes() < 10_000, "{}", rates.bytes());
    // One copy that tells all the time.
    for n in 0..10_000 {
        rates.observe(&told(4100 + n / 1000, "cart-1", &[(Metric::CpuCores, n as f64 / 1e4)]).sample(), None);
    }
    assert!(rates.flaws().of(Flaw::Crowded) + rates.flaws().of(Flaw::Full) > full);
    assert!(rates.bytes() <= knobs.bytes_max);
    // Where there is room for more, so many of one thing are kept, and no more.
    let mut rates = Rates::new(RateKnobs::default());
    for n in 0..10_000 {
        rates.observe(&told(4100 + n / 1000, "cart-1", &[(Metric::CpuCores, n as f64 / 1e4)]).sample(), None);
    }
    assert_eq!((rates.flaws().of(Flaw::Crowded), rates.flaws().of(Flaw::Full)), (10_000 - 8_192, 0));
}

/// Nothing is left to pay for what was forgotten.
#[test]
fn forgotten_is_free() {
    let mut rates = Rates::new(RateKnobs::default());
    let mut slices = Slices::new();
    for n in 0..50 {
        rates.observe(
            &told(n, if n % 2 == 0 { "cart-0" } else { "cart-1" }, &[(Metric::CpuSeconds, n as f64)])
                .sample(),
            None,
        );
    }
    close(&mut rates, 60, &mut slices);
    assert!(rates.bytes() > 0);
    let other = Told { workload: "shop/db", ..told(7200, "db-0", &[(Metric::CpuCores, 0.5)]) };
    rates.observe(&other.sample(), None);
    close(&mut rates, 7260, &mut slices);
    let mut fresh = Rates::new(RateKnobs::default());
    fresh.observe(&other.sample(), None);
    close(&mut fresh, 7260, &mut Slices::new());
    assert_eq!(rates.bytes(), fresh.bytes());
}

/// A long silence costs no time.
#[test]
fn slices_of_which_nothing_is_known_are_passed_over() {
    let samples = [
        told(0, "cart-0", &[(Metric::CpuCores, 0.5)]),
        told(1_000_000_000, "cart-0", &[(Metric::CpuCores, 0.5)]),
    ];
    let (slices, rates) = run(&samples, 2_000_000_000);
    assert_eq!(slices.len(), 2, "{slices:?}");
    assert_eq!(rates.closed_through(), Some(at(2_000_000_000 - 2_000_000_000 % 60)));
}
