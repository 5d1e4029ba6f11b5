//! How data is printed: a table for people, JSON for programs. Whatever a stranger wrote in it can do nothing to a
//! terminal in either form.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write};

use anyhow::Context as _;
use beaconfire_model::{Untrusted, is_harmful};
use clap::ValueEnum;
use serde::Serialize;

/// The form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// One document.
    Json,
    /// One document a line.
    Ndjson,
}

impl Output {
    /// What was asked for; else a table on a terminal, ndjson elsewhere.
    pub(super) fn or_default(asked: Option<Self>) -> Self {
        let fits = || if std::io::stdout().is_terminal() { Self::Table } else { Self::Ndjson };
        asked.unwrap_or_else(fits)
    }
}

/// Prints one document over as many lines as it takes.
pub(super) fn json(value: &impl Serialize, out: &mut impl Write) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("printing JSON")?;
    Ok(writeln!(out, "{}", harmless(&text))?)
}

/// Prints one document on one line.
pub(super) fn line(value: &impl Serialize, out: &mut impl Write) -> anyhow::Result<()> {
    let text = serde_json::to_string(value).context("printing JSON")?;
    Ok(writeln!(out, "{}", harmless(&text))?)
}

/// The same JSON, with escapes for what a terminal would act on. Outside of strings there is nothing of that but line
/// ends.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_harmful(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// A stranger's text for the terminal: what cannot be seen is made visible.
pub(super) fn cell(text: &str) -> String {
    Untrusted::new(text, 1_024).clean().to_owned()
}

/// Prints rows under a header, each column as wide as it must be; nothing where there are no rows.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    out: &mut impl Write,
) -> std::io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|text| cell(text))).collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].as_str()).chain([header[at]]);
        cells.map(|text| text.chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let header = header.map(str::to_owned);
    for row in std::iter::once(&header).chain(&rows) {
        let mut line = String::new();
        for (text, width) in row.iter().zip(widths) {
            let _ = write!(line, "{text:<width$}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_the_same_json_and_holds_nothing_harmful() {
        let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{e0001} é\n\"\\";
        let mut out = Vec::new();
        json(&[hostile], &mut out).unwrap();
        line(&[hostile], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.chars().any(|c| c != '\n' && is_harmful(c)), "{text:?}");
        for document in serde_json::Deserializer::from_str(&text).into_iter::<[String; 1]>() {
            assert_eq!(document.unwrap(), [hostile]);
        }
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["a".to_owned(), "x\u{1b}y".to_owned()], ["long".to_owned(), String::new()]];
        let mut out = Vec::new();
        table(["no", "what"], &rows, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "no    what\na     x\\u{1b}y\nlong\n");
    }
}
