//! The quiet head on one half of a public corpus (Numenta's anomaly benchmark, the half for tuning), scored by the
//! corpus's own rules, through the command that users have:
//!
//! ```text
//! cargo test --workspace --test main -- nab --nocapture
//! ```
//!
//! prints the table. The rules are in the README beside the data. There, one threshold for all files is fitted to the
//! labels; here it is 0.5, where the shipped configuration alerts, and the table shows what fitting would add.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;

use crate::harness::beaconfire::run;
use crate::harness::has;

/// Where the shipped configuration alerts.
const SHIPPED: f64 = 0.5;
/// The bar, in the standard profile.
const BAR: f64 = 77.0;

/// What errors cost: a false alarm, a window that was missed.
struct Profile {
    name: &'static str,
    false_alarm: f64,
    missed: f64,
}

const PROFILES: [Profile; 3] = [
    Profile { name: "standard", false_alarm: 0.11, missed: 1.0 },
    Profile { name: "low FP", false_alarm: 0.22, missed: 1.0 },
    Profile { name: "low FN", false_alarm: 0.11, missed: 2.0 },
];

/// One series, scored.
struct Scored {
    category: String,
    scores: Vec<f64>,
    /// First and last row of each window.
    windows: Vec<(usize, usize)>,
}

/// What alerts above a threshold come to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    windows: usize,
    found: usize,
    false_alarms: usize,
    gained: f64,
    /// In false alarms, each weighed by how near it is behind a window.
    weighed: f64,
}

impl Sum {
    fn plus(self, other: Self) -> Self {
        Self {
            windows: self.windows + other.windows,
            found: self.found + other.found,
            false_alarms: self.false_alarms + other.false_alarms,
            gained: self.gained + other.gained,
            weighed: self.weighed + other.weighed,
        }
    }

    /// 0 is what saying nothing scores, 100 what the first row of every window scores.
    fn score(self, profile: &Profile) -> f64 {
        let windows = self.windows as f64;
        let missed = (self.windows - self.found) as f64;
        let sum = self.gained - profile.false_alarm * self.weighed - profile.missed * missed;
        100.0 * (sum + profile.missed * windows) / (windows + profile.missed * windows)
    }
}

fn sigmoid(y: f64) -> f64 {
    2.0 / (1.0 + (5.0 * y).exp()) - 1.0
}

impl Scored {
    fn at(&self, threshold: f64) -> Sum {
        let mut sum = Sum { windows: self.windows.len(), ..Sum::default() };
        let mut found = vec![false; self.windows.len()];
        let learning = ((0.15 * self.scores.len() as f64) as usize).min(750);
        for (row, _) in
            self.scores.iter().enumerate().skip(learning).filter(|(_, score)| **score >= threshold)
        {
            if let Some(within) =
                self.windows.iter().position(|(first, last)| (*first..=*last).contains(&row))
            {
                let (first, last) = self.windows[within];
                if !std::mem::replace(&mut found[within], true) {
                    let position = -((last - row + 1) as f64) / (last - first + 1) as f64;
                    sum.gained += sigmoid(position) / sigmoid(-1.0);
                }
                continue;
            }
            let before = self.windows.iter().rev().find(|(_, last)| *last < row);
            let behind = before.map(|(first, last)| (row - last) as f64 / (last - first) as f64);
            sum.false_alarms += 1;
            sum.weighed += behind.filter(|behind| *behind <= 3.0).map_or(1.0, |behind| sigmoid(behind).abs());
        }
        sum.found = found.iter().filter(|found| **found).count();
        sum
    }
}

fn total<'s>(all: impl IntoIterator<Item = &'s Scored>, threshold: f64) -> Sum {
    all.into_iter().map(|series| series.at(threshold)).fold(Sum::default(), Sum::plus)
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/nab-tune")
}

/// The windows of each file, as the corpus has them.
fn windows() -> BTreeMap<String, Vec<(String, String)>> {
    let labels = std::fs::read(corpus().join("labels/combined_windows.json")).unwrap();
    serde_json::from_slice(&labels).unwrap()
}

fn time(text: &str) -> DateTime {
    text.parse().unwrap()
}

/// A file with its windows as rows, and the score of each row by `score`.
fn read(file: &str, windows: &[(String, String)], score: impl FnOnce(&Path, usize) -> Vec<f64>) -> Scored {
    let path = corpus().join("data").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let times: Vec<DateTime> = text.lines().skip(1).map(|row| time(row.split(',').next().unwrap())).collect();
    let rows = |(from, to): &(String, String)| {
        let (from, to) = (time(from), time(to));
        let first = times.iter().position(|at| *at >= from).expect("a window within its file");
        (first, times.iter().rposition(|at| *at <= to).expect("a window within its file"))
    };
    Scored {
        category: file.split('/').next().unwrap().to_owned(),
        scores: score(&path, times.len()),
        windows: windows.iter().map(rows).collect(),
    }
}

/// The last column of what `beaconfire score` prints.
fn by_command(path: &Path, rows: usize) -> Vec<f64> {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = run(dir.path(), &["score", path.to_str().unwrap()], None);
    assert_eq!(code, 0, "{err}");
    let scores: Vec<f64> =
        out.lines().skip(1).map(|row| row.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(scores.len(), rows, "a row for each row of {}", path.display());
    scores
}

fn line(name: &str, files: usize, sum: Sum) -> String {
    let scores: String = PROFILES
        .iter()
        .map(|profile| match sum.windows {
            0 => format!(" {:>9}", "-"),
            _ => format!(" {:>9.2}", sum.score(profile)),
        })
        .collect();
    format!("{name:<22} {files:>5} {:>7} {:>5} {:>12}{scores}", sum.windows, sum.found, sum.false_alarms)
}

#[test]
fn the_quiet_head_reaches_its_bar() {
    if !has("shared anomaly corpus", corpus().is_dir()) {
        return;
    }
    let all: Vec<Scored> = windows().iter().map(|(file, windows)| read(file, windows, by_command)).collect();
    let mut categories: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    for series in &all {
        categories.entry(&series.category).or_default().push(series);
    }
    let [standard, low_fp, low_fn] = PROFILES.each_ref().map(|profile| profile.name);
    println!(
        "{:<22} {:>5} {:>7} {:>5} {:>12} {standard:>9} {low_fp:>9} {low_fn:>9}",
        "", "files", "windows", "found", "false alarms"
    );
    for (name, series) in categories {
        println!("{}", line(name, series.len(), total(series.iter().copied(), SHIPPED)));
    }
    let shipped = total(&all, SHIPPED);
    println!("{}", line("all, at 0.5", all.len(), shipped));
    for profile in &PROFILES {
        let fitted = (1..100).map(|percent| f64::from(percent) / 100.0);
        let best =
            fitted.max_by(|a, b| total(&all, *a).score(profile).total_cmp(&total(&all, *b).score(profile)));
        let best = best.unwrap_or(SHIPPED);
        let score = total(&all, best).score(profile);
        println!("{:<10} fitted to the labels: {score:.2} at {best:.2}", profile.name);
    }
    assert_eq!((all.len(), shipped.windows), (29, 60));
    let score = shipped.score(&PROFILES[0]);
    assert!(score >= BAR, "standard profile: {score:.2}, and the bar is {BAR}");
}

#[test]
fn nab_rules_give_nothing_for_silence_and_all_for_the_first_row_of_each_window() {
    if !has("shared anomaly corpus", corpus().is_dir()) {
        return;
    }
    let scored = |score: fn(usize, &[(usize, usize)]) -> bool| -> Sum {
        let all: Vec<Scored> = windows()
            .iter()
            .map(|(file, windows)| {
                let mut series = read(file, windows, |_, rows| vec![0.0; rows]);
                for row in 0..series.scores.len() {
                    series.scores[row] = f64::from(u8::from(score(row, &series.windows)));
                }
                series
            })
            .collect();
        total(&all, SHIPPED)
    };
    let silence = scored(|_, _| false);
    let perfect = scored(|row, windows| windows.iter().any(|(first, _)| *first == row));
    let clock = scored(|row, _| row % 300 == 0);
    for profile in &PROFILES {
        assert!(silence.score(profile).abs() < 1e-9 && (perfect.score(profile) - 100.0).abs() < 1e-9);
    }
    // On all 58 files such a clock scores 21.
    let blind = clock.score(&PROFILES[0]);
    assert!((10.0..35.0).contains(&blind), "{blind}");
}
