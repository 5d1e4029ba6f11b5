//! One rule's chart: the highest window at each moment against the threshold. Drawn here, so that no script is needed.

use std::fmt::Write as _;

use beaconfire_incident::{RatePoint, RulePeak};
use beaconfire_model::EventTime;
use maud::{Markup, html};

use super::words::{amount, time_of_day};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 140.0;

/// The time that an incident's charts share: they stand under each other, so the same place must be the same moment.
pub(super) fn axis(points: &[RatePoint]) -> Option<(EventTime, EventTime)> {
    let times = points.iter().map(|point| point.at);
    Some((times.clone().min()?, times.max()?))
}

/// The chart of one rule's points, oldest first, over `axis`; nothing where there are none.
pub(super) fn chart(
    rule: &str,
    peak: &RulePeak,
    points: &[RatePoint],
    axis: (EventTime, EventTime),
) -> Markup {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return html! {};
    };
    let highest =
        points.iter().map(|point| point.value).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let top = highest.max(peak.threshold).max(1e-9) * 1.08;
    let span = (axis.1.millis() - axis.0.millis()).max(1) as f64;
    let x = |point: &RatePoint| (point.at.millis() - axis.0.millis()) as f64 / span * WIDTH;
    let y = |value: f64| HEIGHT - (value.clamp(0.0, top) / top) * HEIGHT;

    let mut line = String::new();
    for point in points {
        let _ = write!(line, "{:.1},{:.1} ", x(point), y(point.value));
    }
    let (mut from, mut until) = (x(first), x(last));
    if points.len() == 1 {
        // One point makes no line: hold it across the picture.
        (from, until) = (0.0, WIDTH);
        line = format!("{from},{0:.1} {until},{0:.1} ", y(first.value));
    }
    let area = format!("{from:.1},{HEIGHT} {line}{until:.1},{HEIGHT}");
    let threshold = format!("{:.1}", y(peak.threshold));
    let (shown_peak, shown_line) = (amount(highest, peak.threshold), amount(peak.threshold, peak.threshold));
    let shown_last = amount(last.value, peak.threshold);
    let says = format!(
        "{rule}: up to {shown_peak} in one window of {} s, threshold {shown_line}",
        peak.window.as_secs()
    );
    html! {
        figure.chart {
            figcaption {
                span { b { (rule) } }
                span.key-line { "peak " (shown_peak) }
                span.key-line { "last " (shown_last) }
                span.key-threshold { "threshold " (shown_line) }
                span.dim { "each point: the " (peak.window.as_secs()) " s that end there" }
            }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(says) {
                polygon.area points=(area) {}
                line.threshold x1="0" x2=(WIDTH) y1=(threshold) y2=(threshold) {}
                polyline.rate points=(line.trim_end()) {}
            }
            div.axis {
                span { (time_of_day(axis.0)) }
                span { (time_of_day(axis.1)) " UTC" }
            }
        }
    }
}
