//! `score`: one series from a CSV through a baseline, sample by sample, as the service would see it.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use beaconfire_config::nearest;
use beaconfire_detect::baseline::{BadSample, Judgement, Series, Verdict};
use beaconfire_model::EventTime;
use clap::{Args, ValueEnum};

use super::Fault;
use super::output::cell;

/// Which file to score, and how.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Which head: quiet alerts on what is outside of everything seen in long, local on what is far from the last 300.
    #[arg(long, default_value = "quiet")]
    head: Head,
    /// The column of times: RFC 3339, `2026-01-02 03:04:05`, or seconds or milliseconds since 1970; UTC where it names
    /// no zone.
    #[arg(long, value_name = "COL", default_value = "timestamp")]
    timestamp: String,
    /// The column of values; an empty cell is a missing sample.
    #[arg(long, value_name = "COL", default_value = "value")]
    value: String,
    /// A CSV with a header, one sample a row, in the order of time.
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Head {
    Quiet,
    Local,
}

/// Prints `timestamp,value,anomaly_score` for each row, both texts as they came. What was alerted on, and why, goes to
/// stderr with what could not be used.
pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Fault> {
    let path = &arguments.file;
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(text).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        anyhow::anyhow!("{}:{line}: not UTF-8: save the file as UTF-8", path.display())
    })?;
    let table = Table::of(path, &text, &arguments.timestamp, &arguments.value)?;
    let mut out = BufWriter::new(out);
    let mut tally = Tally::default();
    let mut series = Series::default();
    writeln!(out, "timestamp,value,anomaly_score")?;
    for row in table.rows() {
        let row = row?;
        let verdict = series.push(row.at, row.value, 0.0);
        let judgement = tally.take(&row, &verdict, arguments.head);
        let score = judgement.map_or(0.0, |judgement| judgement.score);
        writeln!(out, "{},{},{score}", quoted(row.time), quoted(row.text))?;
    }
    out.flush()?;
    tally.tell(series.left());
    Ok(())
}

/// A CSV whose two columns were found.
struct Table<'t> {
    path: &'t Path,
    body: &'t str,
    time: usize,
    value: usize,
}

/// A row of it.
struct Row<'t> {
    at: EventTime,
    time: &'t str,
    value: Option<f64>,
    text: &'t str,
}

impl<'t> Table<'t> {
    fn of(path: &'t Path, text: &'t str, time: &str, value: &str) -> Result<Self, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (header, body) = text.split_once('\n').unwrap_or((text, ""));
        let names = cells(header.trim_end_matches('\r'));
        let column = |flag: &str, name: &str| {
            names.iter().position(|found| *found == name).ok_or_else(|| {
                let all: Vec<String> = names.iter().map(|name| cell(name)).collect();
                let near = nearest(name, names.iter().copied())
                    .map(|near| format!(", did you mean --{flag} {}?", cell(near)))
                    .unwrap_or_default();
                Fault::Usage(format!(
                    "error: {}:1: no column `{name}`{near} The header has: {}; name another with --{flag}",
                    path.display(),
                    all.join(", ")
                ))
            })
        };
        let (time, value) = (column("timestamp", time)?, column("value", value)?);
        Ok(Self { path, body, time, value })
    }

    fn rows(&self) -> impl Iterator<Item = anyhow::Result<Row<'t>>> {
        let lines = self.body.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        // The header is line 1.
        lines.map(|(n, line)| {
            self.row(line).map_err(|said| anyhow::anyhow!("{}:{}: {said}", self.path.display(), n + 2))
        })
    }

    fn row(&self, line: &'t str) -> Result<Row<'t>, String> {
        let cells = cells(line);
        let at = |column: usize| {
            cells
                .get(column)
                .copied()
                .ok_or_else(|| format!("{} cells, and the header has more: is a comma missing?", cells.len()))
        };
        let (time, text) = (at(self.time)?, at(self.value)?);
        let at = instant(time).ok_or_else(|| {
            format!(
                "`{}` is no time: write 2026-01-02T03:04:05Z, 2026-01-02 03:04:05 (UTC), or seconds since 1970",
                cell(time)
            )
        })?;
        let value = match text.trim() {
            "" => None,
            number => Some(number.parse().map_err(|_| {
                format!(
                    "`{}` is no number: write it with a point, or leave the cell empty where it is missing",
                    cell(number)
                )
            })?),
        };
        Ok(Row { at, time, value, text })
    }
}

/// The cells of a line. Quotes around a cell come off; within them a comma is text, and a doubled quote stays doubled.
fn cells(line: &str) -> Vec<&str> {
    let mut cells = Vec::new();
    let (mut from, mut is_quoted) = (0, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                cells.push(&line[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    cells.push(&line[from..]);
    let bare = |cell: &'_ str| cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::len);
    cells.into_iter().map(|cell| bare(cell).map_or(cell, |length| &cell[1..=length])).collect()
}

/// A cell as CSV.
fn quoted(cell: &str) -> String {
    if cell.contains(',') { format!("\"{cell}\"") } else { cell.to_owned() }
}

/// A time in one of the shapes that series come in.
fn instant(text: &str) -> Option<EventTime> {
    let text = text.trim();
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(EventTime::from_millis(stamp.as_millisecond()));
    }
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        let stamp = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        return Some(EventTime::from_millis(stamp.as_millisecond()));
    }
    // Seconds reach the year 5138 before they look like milliseconds.
    const MILLIS: f64 = 1e11;
    let number: f64 = text.parse().ok().filter(|number: &f64| number.abs() < 1e15)?;
    let millis = if number.abs() < MILLIS { number * 1_000.0 } else { number };
    Some(EventTime::from_millis(millis.round() as i64))
}

/// What the rows came to.
#[derive(Default)]
struct Tally {
    rows: u64,
    missing: u64,
    refused: BTreeMap<BadSample, u64>,
    backwards: u64,
    alerts: Vec<String>,
    before: Option<EventTime>,
}

impl Tally {
    /// Notes a row; what the head that was asked for says of it.
    fn take(&mut self, row: &Row<'_>, verdict: &Verdict, head: Head) -> Option<Judgement> {
        self.rows += 1;
        self.backwards += u64::from(self.before.is_some_and(|before| row.at < before));
        self.before = Some(row.at);
        let judgement = match *verdict {
            Verdict::Missing => {
                self.missing += 1;
                return None;
            }
            Verdict::Refused(bad) => {
                *self.refused.entry(bad).or_default() += 1;
                return None;
            }
            Verdict::Learning { .. } => return None,
            Verdict::Judged { quiet, local } => match head {
                Head::Quiet => quiet,
                Head::Local => local,
            },
        };
        if let Some(finding) = judgement.finding {
            let (low, high) = finding.expected;
            let (view, observed) = (finding.view, finding.observed);
            self.alerts.push(format!(
                "{}: {view}; observed {}, expected {} to {}, since {}",
                cell(row.time),
                amount(observed),
                amount(low),
                amount(high),
                finding.since
            ));
        }
        Some(judgement)
    }

    fn tell(&self, left: u32) {
        for alert in &self.alerts {
            eprintln!("{alert}");
        }
        let mut said = format!("{} rows, {} alerts", self.rows, self.alerts.len());
        if self.missing > 0 {
            said += &format!(", {} missing", self.missing);
        }
        for (reason, count) in &self.refused {
            said += &format!(", {count} {reason}: learned nothing from");
        }
        if self.backwards > 0 {
            said += &format!(", {} earlier than the row before: taken in the order of rows", self.backwards);
        }
        if left > 0 {
            said += &format!("; still learning: the first verdict comes after {left} more samples");
        }
        eprintln!("{said}");
    }
}

/// Six digits are more than anybody reads.
fn amount(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e9).contains(&value.abs()) {
        return format!("{value:.3e}");
    }
    let digits = 5usize.saturating_sub(value.abs().max(1.0).log10() as usize);
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_many_shapes() {
        let at = EventTime::from_millis(1_767_323_045_000);
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T05:04:05+02:00",
            "2026-01-02 03:04:05",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05.000000",
            "1767323045",
            "1767323045.0",
            "1767323045000",
        ] {
            assert_eq!(instant(text), Some(at), "{text}");
        }
        for text in ["", "yesterday", "2026-13-02 03:04:05", "NaN", "inf", "1e300"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn cells_are_cut_at_commas_outside_of_quotes() {
        assert_eq!(cells("a,b,,c"), ["a", "b", "", "c"]);
        assert_eq!(cells(r#""a, b",c,"#), ["a, b", "c", ""]);
        assert_eq!(cells("\","), ["\","], "a quote that never ends");
        assert_eq!(quoted("a, b"), r#""a, b""#);
    }

    #[test]
    fn amounts_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.068, "0.068"),
            (-12.345678, "-12.3457"),
            (300.0, "300"),
            (1_234_567.8, "1234568"),
            (2.5e10, "2.500e10"),
            (1e-7, "1.000e-7"),
        ] {
            assert_eq!(amount(value), text);
        }
    }
}
