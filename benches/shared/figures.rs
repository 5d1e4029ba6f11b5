//! Figures: medians of rounds, ratios taken round by round, and the bars that they are held against.

/// Rounds of each comparison, after one in vain.
pub(crate) const ROUNDS: usize = 5;

/// Whether cargo runs this as a benchmark: `cargo test --all-targets` starts benches, too, and there is nothing to test.
pub(crate) fn is_wanted(name: &str) -> bool {
    let wanted = std::env::args().any(|argument| argument == "--bench");
    if !wanted {
        println!("nothing is measured without --bench: use `cargo bench --bench {name}`");
    }
    wanted
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of one side's values as multiples of the other's. Round by round: what the machine does meanwhile is the
/// same for both.
pub(crate) fn ratio(values: &[f64], others: &[f64]) -> f64 {
    median(values.iter().zip(others).map(|(value, other)| value / other).collect())
}

/// The least and the most.
pub(crate) fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, 0.0), |(least, most), value| (value.min(least), value.max(most)))
}

/// Three places are more than these measurements have.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A bar beside a value. It never fails: who reads the table judges, and knows what else the machine did.
pub(crate) fn bar(value: f64, most: f64) -> String {
    format!("bar {most}: {}", if value <= most { "met" } else { "missed" })
}
