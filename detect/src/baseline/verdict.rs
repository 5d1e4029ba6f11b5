//! What a series says of a sample, in parts that become words.

use std::fmt;

use beaconfire_model::EventTime;

/// What a sample came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// There was none: nothing is learned from it and nothing said.
    Missing,
    /// It cannot be what was measured: nothing is learned from it.
    Refused(BadSample),
    /// Too little is known yet; so many samples are still to come.
    Learning {
        /// Samples until the first verdict.
        left: u32,
    },
    /// Both heads have judged it.
    Judged {
        /// Whether it is outside of everything seen in long: judged to be worth a warning by itself.
        quiet: Judgement,
        /// Whether it is far from the last few hundred samples: worth showing, and evidence beside others.
        local: Judgement,
    },
}

/// What one head says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// From 0 to 1; an alert is at least 0.5, and what is not is below.
    pub score: f64,
    /// Since when it has been off without a break, alert or not; `None` where it is not.
    pub off_since: Option<EventTime>,
    /// Why, where it alerts. An alert is told once and then held, so the samples behind it have none.
    pub finding: Option<Finding>,
}

impl Judgement {
    /// Whether this sample is an alert.
    pub fn alerts(&self) -> bool {
        self.finding.is_some()
    }
}

/// Why a head alerts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// What fired most.
    pub view: View,
    /// What was observed: the value, or what the view makes of it.
    pub observed: f64,
    /// Between what it was expected, lowest and highest.
    pub expected: (f64, f64),
    /// Since when it has been off.
    pub since: EventTime,
}

/// What may be unusual of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View {
    /// The value is outside of everything seen.
    Value {
        /// By how much, in percent of the width of what was seen; negative below.
        percent: f64,
        /// In how many samples, at most 25,000.
        samples: u32,
    },
    /// The mean of the last 24 samples is outside of all before.
    MeanAtNew(Side),
    /// It shakes more, or less, than ever.
    VolatilityAtNew(Side),
    /// The last 16 samples have a shape that never came.
    Shape,
    /// The mean of the last 12 samples is unusually far from the level.
    MeanFarOff(Side),
    /// It is unusual for this time of the day.
    UnusualFor {
        /// Half-hours since midnight, UTC.
        half_hour: u8,
    },
    /// It is so many deviations from the mean of the last 300 samples.
    Deviations(f64),
}

/// Which end of what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Above.
    High,
    /// Below.
    Low,
}

impl Side {
    pub(crate) fn of(beyond: f64) -> Self {
        if beyond < 0.0 { Self::Low } else { Self::High }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::High => "high",
            Self::Low => "low",
        })
    }
}

/// In words, as an alert says it.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Value { percent, samples } => {
                // Beyond a range that was next to nothing, percents say nothing either.
                let (way, much) = if percent < 0.0 { ("below", -percent) } else { ("beyond", percent) };
                if much < 1_000.0 {
                    write!(f, "{much:.0} % {way} anything in the last {} samples", grouped(samples))
                } else {
                    let times = much / 100.0;
                    write!(
                        f,
                        "{times:.0} times the usual range {way} anything in the last {} samples",
                        grouped(samples)
                    )
                }
            }
            Self::MeanAtNew(side) => write!(f, "mean of the last 24 samples at a new {side}"),
            Self::VolatilityAtNew(side) => write!(f, "volatility of the last 30 samples at a new {side}"),
            Self::Shape => f.write_str("a shape of 16 samples never seen before"),
            Self::MeanFarOff(side) => write!(f, "mean of the last 12 samples unusually {side}"),
            Self::UnusualFor { half_hour } => {
                write!(f, "unusual for {:02}:{:02}", half_hour / 2, half_hour % 2 * 30)
            }
            Self::Deviations(z) => {
                write!(
                    f,
                    "{:.1} deviations {} the last 300 samples",
                    z.abs(),
                    if z < 0.0 { "below" } else { "above" }
                )
            }
        }
    }
}

/// 25,000 rather than 25000.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Why a sample was refused. The names are labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadSample {
    /// Not a number, or infinite.
    NotANumber,
    /// Larger than anything that is measured (1e30).
    TooLarge,
    /// Below zero, where that means nothing.
    Negative,
}

impl BadSample {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::NotANumber, Self::TooLarge, Self::Negative];

    /// Its name as a label.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotANumber => "not_a_number",
            Self::TooLarge => "too_large",
            Self::Negative => "negative",
        }
    }

    /// Why this value is no sample, if it is none.
    pub(crate) fn of(value: f64) -> Option<Self> {
        const MOST: f64 = 1e30;
        if !value.is_finite() {
            Some(Self::NotANumber)
        } else if value.abs() > MOST {
            Some(Self::TooLarge)
        } else {
            None
        }
    }
}

impl fmt::Display for BadSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "not a number",
            Self::TooLarge => "larger than 1e30",
            Self::Negative => "negative",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_read_as_sentences() {
        for (view, words) in [
            (
                View::Value { percent: 37.4, samples: 25_000 },
                "37 % beyond anything in the last 25,000 samples",
            ),
            (View::Value { percent: -5.0, samples: 800 }, "5 % below anything in the last 800 samples"),
            (
                View::Value { percent: 4_210.0, samples: 1_234_567 },
                "42 times the usual range beyond anything in the last 1,234,567 samples",
            ),
            (View::MeanAtNew(Side::High), "mean of the last 24 samples at a new high"),
            (View::VolatilityAtNew(Side::Low), "volatility of the last 30 samples at a new low"),
            (View::UnusualFor { half_hour: 29 }, "unusual for 14:30"),
            (View::UnusualFor { half_hour: 0 }, "unusual for 00:00"),
            (View::Deviations(-6.25), "6.2 deviations below the last 300 samples"),
        ] {
            assert_eq!(view.to_string(), words);
        }
    }
}
