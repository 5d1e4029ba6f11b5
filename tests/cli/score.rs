//! `beaconfire score`: a series in, a score a row out.

use std::fmt::Write as _;

use crate::harness::beaconfire::run;

/// Ten days of a daily hump, with a spike on the ninth.
fn series() -> String {
    let mut text = "timestamp,value\n".to_owned();
    for n in 0..2_880 {
        let hump = (f64::from(n) / 288.0 * std::f64::consts::TAU).sin();
        let value = if n == 2_500 { 400.0 } else { 100.0 + 30.0 * hump + f64::from(n * 7_919 % 97) / 20.0 };
        let (day, minute) = (1 + n / 288, n % 288 * 5);
        let _ = writeln!(text, "2026-01-{day:02} {:02}:{:02}:00,{value:.3}", minute / 60, minute % 60);
    }
    text
}

/// Runs it over a file; exit code, rows behind the header, stderr.
fn score(flags: &[&str], file: impl AsRef<[u8]>) -> (i32, Vec<String>, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("series.csv"), file).unwrap();
    let arguments = [&["score"], flags, &["series.csv"]].concat();
    let (code, out, err) = run(dir.path(), &arguments, None);
    let mut lines = out.lines().map(str::to_owned);
    if code == 0 {
        assert_eq!(lines.next().as_deref(), Some("timestamp,value,anomaly_score"));
    }
    (code, lines.collect(), err)
}

/// The score of a row.
fn of(row: &str) -> f64 {
    row.rsplit(',').next().unwrap().parse().unwrap()
}

#[test]
fn every_row_comes_back_with_a_score() {
    let file = series();
    let (code, rows, err) = score(&[], &file);
    assert_eq!((code, rows.len()), (0, 2_880), "{err}");
    for (row, line) in rows.iter().zip(file.lines().skip(1)) {
        assert_eq!(row.rsplit_once(',').unwrap().0, line);
        assert!((0.0..=1.0).contains(&of(row)), "{row}");
    }
    // On its first day every hour is the first of its kind.
    let alerts: Vec<usize> = (288..rows.len()).filter(|n| of(&rows[*n]) >= 0.5).collect();
    assert_eq!(alerts, [2_500]);
    assert!(rows[..100].iter().all(|row| of(row) == 0.0), "it learns in silence");
    let why = "2026-01-09 16:20:00: ";
    let told = err.lines().find(|line| line.starts_with(why)).unwrap_or_else(|| panic!("{err}"));
    assert!(told.contains("% beyond anything in the last 2,500 samples; observed 400, expected "), "{told}");
    assert!(told.ends_with("since 2026-01-09T16:20:00Z") && err.contains("2880 rows, "), "{err}");
    // The other head, and that it is the same in every run.
    let (_, local, said) = score(&["--head", "local"], &file);
    assert!(of(&local[2_500]) >= 0.5 && said.contains("deviations above the last 300 samples"), "{said}");
    assert_ne!(local, rows);
    assert_eq!(score(&[], &file).1, rows);
}

#[test]
fn rows_keep_their_order_and_their_text() {
    let file = "\u{feff}host,\"when\",load\r\na,1767323045,\"1.50\"\r\n\r\nb,1767323045,\r\nc,2026-01-02T00:00:00+01:00,NaN\r\nd,1767323345,1e308\r\ne,1767323345, 2 \r\n";
    let (code, rows, err) = score(&["--timestamp", "when", "--value", "load"], file);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        rows,
        [
            "1767323045,1.50,0",
            "1767323045,,0",
            "2026-01-02T00:00:00+01:00,NaN,0",
            "1767323345,1e308,0",
            "1767323345, 2 ,0"
        ]
    );
    for said in
        ["5 rows", "1 missing", "1 not a number", "1 larger than 1e30", "1 earlier than the row before"]
    {
        assert!(err.contains(said), "{said}: {err}");
    }
    assert!(err.contains("still learning: the first verdict comes after 99 more samples"), "{err}");
}

#[test]
fn what_cannot_be_scored_is_told_with_its_line_and_how_to_mend_it() {
    let head = "timestamp,value\n2026-01-02 03:04:05,1\n";
    for (flags, file, code, said) in [
        (
            &[][..],
            format!("{head}2026-01-02 03:09:05;2\n"),
            1,
            "series.csv:3: 1 cells, and the header has more",
        ),
        (
            &[],
            format!("{head}yesterday,2\n"),
            1,
            "series.csv:3: `yesterday` is no time: write 2026-01-02T03:04:05Z",
        ),
        (&[], format!("{head}2026-01-02 03:09:05,\"2,5\"\n"), 1, "`2,5` is no number: write it with a point"),
        (
            &["--value", "valeu"],
            head.to_owned(),
            2,
            "series.csv:1: no column `valeu`, did you mean --value value?",
        ),
        (
            &["--timestamp", "x"],
            head.to_owned(),
            2,
            "The header has: timestamp, value; name another with --timestamp",
        ),
        (&["--head", "loud"], head.to_owned(), 2, "[possible values: quiet, local]"),
    ] {
        let (found, _, err) = score(flags, file);
        assert_eq!(found, code, "{err}");
        assert!(err.contains(said), "{said}: {err}");
    }
    let (code, _, err) = score(&[], b"timestamp,value\n2026-01-02 03:04:05,\xff\n");
    assert!(code == 1 && err.contains("series.csv:2: not UTF-8"), "{err}");
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = run(dir.path(), &["score", "nowhere.csv"], None);
    assert!(code == 1 && err.contains("cannot read nowhere.csv"), "{err}");
    let (code, _, err) = run(dir.path(), &["score"], None);
    assert!(code == 2 && err.contains("FILE.csv"), "{err}");
}

#[test]
fn an_empty_series_is_a_header() {
    let (code, rows, err) = score(&[], "timestamp,value\n");
    assert_eq!((code, rows.len()), (0, 0), "{err}");
    assert!(err.contains("0 rows, 0 alerts"), "{err}");
}
