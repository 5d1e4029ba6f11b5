//! The picture in a mail: what was counted, against the line that it crossed. Drawn by us into one PNG of a fixed size,
//! so that neither a font nor a drawing library is needed and a mail's size is known. It has a background and a border of
//! its own, which read the same in a dark and in a light mail program. The same incident gives the same bytes.

use std::sync::Arc;

use beaconfire_incident::RulePeak;
use png::{BitDepth, ColorType, Compression, Encoder};

use super::{glyphs, words};
use crate::message::{About, Message, word};

/// Dots of the whole. It is shown at half of that, so that fine screens have something to show.
pub(crate) const WIDTH: usize = 1_120;
pub(crate) const HEIGHT: usize = 360;

/// Where the bars stand.
const LEFT: usize = 24;
const RIGHT: usize = WIDTH - 24;
const TOP: usize = 64;
const BOTTOM: usize = HEIGHT - 64;

/// Dots of a dot of a label.
const SCALE: usize = 4;

/// Thickness of lines, in dots.
const STROKE: usize = 4;

/// Colours, by what they are for. Each can be told from the ground by a contrast of 4.5 at least, and the border from
/// black and from white.
pub(super) const PALETTE: [[u8; 3]; 6] = [
    [0xf8, 0xf9, 0xfb],
    [0x6b, 0x72, 0x80],
    [0xb9, 0xd3, 0xee],
    [0x0b, 0x5c, 0xad],
    [0xb4, 0x23, 0x18],
    [0x1f, 0x29, 0x37],
];
pub(super) const GROUND: u8 = 0;
pub(super) const BORDER: u8 = 1;
pub(super) const BAR: u8 = 2;
pub(super) const EDGE: u8 = 3;
pub(super) const LIMIT: u8 = 4;
pub(super) const TEXT: u8 = 5;

/// A picture, and what it says to those who do not see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) png: Vec<u8>,
    pub(crate) alt: String,
}

/// What is drawn: the points of the rule that is furthest over its threshold.
struct Series<'a> {
    rule: &'a Arc<str>,
    peak: &'a RulePeak,
    /// Time in milliseconds and value, by time.
    points: Vec<(i64, f64)>,
}

/// Whether there is something to draw.
pub(crate) fn shows(about: &About<'_>) -> bool {
    series(about).is_some()
}

/// How the mail's HTML names its picture: another one in each message, since mail programs keep pictures by it.
pub(crate) fn id(message: &Message<'_>) -> String {
    format!("rate-{}@{}.beaconfire", word(message.notification_id), word(message.site.installation))
}

/// The picture of an incident; none where it has no points, or should it ever not be made.
pub(crate) fn of(about: &About<'_>) -> Option<Picture> {
    let series = series(about)?;
    let png = encode(&draw(&series)).ok()?;
    Some(Picture { png, alt: alt(&series) })
}

fn series<'a>(about: &About<'a>) -> Option<Series<'a>> {
    let dossier = about.dossier;
    let drawn = |point: &&beaconfire_incident::RatePoint| point.value.is_finite() && point.value >= 0.0;
    let excess = |peak: &RulePeak| match peak.threshold > 0.0 {
        true => peak.observed / peak.threshold,
        false => peak.observed,
    };
    let rules = &dossier.incident.rules;
    let (rule, peak) = rules
        .iter()
        .filter(|(rule, _)| dossier.points.iter().filter(drawn).any(|point| point.rule == **rule))
        .max_by(|a, b| excess(a.1).total_cmp(&excess(b.1)).then(b.0.cmp(a.0)))?;
    let mut points: Vec<(i64, f64)> = dossier
        .points
        .iter()
        .filter(drawn)
        .filter(|point| point.rule == *rule)
        .map(|point| (point.at.millis(), point.value))
        .collect();
    points.sort_by_key(|(at, _)| *at);
    Some(Series { rule, peak, points })
}

fn alt(series: &Series<'_>) -> String {
    let Series { rule, peak, points } = series;
    let highest = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let measure = |value| words::measure(rule, peak.threshold, value);
    let limit = match peak.threshold > 0.0 {
        true => format!(", limit {}", measure(peak.threshold)),
        false => String::new(),
    };
    let (first, last) = ends(points);
    words::clean(
        &format!(
            "{rule}: up to {}{limit}, {} to {}",
            measure(highest),
            words::moment(first),
            words::moment(last)
        ),
        super::facts::LINE_MAX,
    )
}

fn ends(points: &[(i64, f64)]) -> (i64, i64) {
    (points.first().map_or(0, |point| point.0), points.last().map_or(0, |point| point.0))
}

fn draw(series: &Series<'_>) -> Canvas {
    let Series { rule, peak, points } = series;
    let mut canvas = Canvas::new();
    canvas.frame();
    let highest = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = highest.max(peak.threshold).max(f64::MIN_POSITIVE);
    let height = |value: f64| ((value / top).clamp(0.0, 1.0) * (BOTTOM - TOP) as f64).round() as usize;
    let (first, last) = ends(points);
    // A bar is as wide as the time between the two points that are nearest; a single one is a tenth of the picture.
    let steps = points.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|step| *step > 0);
    let step = steps.min().unwrap_or(1) as f64;
    let room = (RIGHT - LEFT) as f64;
    let span = (last - first) as f64;
    let bar = if span > 0.0 { (room * step / (span + step)).max(1.0) } else { room / 10.0 };
    let mut columns = vec![0.0_f64; RIGHT - LEFT];
    for (at, value) in points {
        let from = if span > 0.0 { (room - bar) * ((at - first) as f64 / span) } else { (room - bar) / 2.0 };
        let until = ((from + bar).ceil() as usize).min(columns.len());
        // Where several share a column, the highest shows.
        columns[(from as usize).min(until)..until].iter_mut().for_each(|held| *held = held.max(*value));
    }
    for (column, value) in columns.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let up = height(*value).max(STROKE);
        canvas.fill(LEFT + column, BOTTOM - up, 1, up, BAR);
        canvas.fill(LEFT + column, BOTTOM - up, 1, STROKE, EDGE);
    }
    canvas.fill(LEFT, BOTTOM, RIGHT - LEFT, STROKE / 2, BORDER);

    let measure = |value| words::measure(rule, peak.threshold, value);
    canvas.label(LEFT, 18, &format!("max {}", measure(highest)), TEXT);
    if peak.threshold > 0.0 {
        let line = BOTTOM - height(peak.threshold);
        for from in (LEFT..RIGHT).step_by(24) {
            canvas.fill(from, line.saturating_sub(STROKE / 2), 14.min(RIGHT - from), STROKE, LIMIT);
        }
        let text = format!("limit {}", measure(peak.threshold));
        let wide = Canvas::wide(&text);
        let (x, y) = (RIGHT.saturating_sub(wide + 8), line.saturating_sub(glyphs::HEIGHT * SCALE + 12));
        canvas.fill(x.saturating_sub(8), y.saturating_sub(6), wide + 16, glyphs::HEIGHT * SCALE + 12, GROUND);
        canvas.label(x, y, &text, LIMIT);
    }
    let below = BOTTOM + 20;
    let (from, until) = (clock(first, last - first), format!("{} UTC", clock(last, last - first)));
    canvas.label(LEFT, below, &from, TEXT);
    canvas.label(RIGHT.saturating_sub(Canvas::wide(&until)), below, &until, TEXT);
    canvas
}

/// The time of day, with the date where it goes on for longer than a day.
fn clock(millis: i64, span: i64) -> String {
    let form = if span > 86_400_000 { "%m-%d %H:%M" } else { "%H:%M:%S" };
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| String::new(), |at| at.strftime(form).to_string())
}

/// Dots, by the number of their colour.
struct Canvas(Vec<u8>);

impl Canvas {
    fn new() -> Self {
        Self(vec![GROUND; WIDTH * HEIGHT])
    }

    /// Fills a rectangle, as far as it lies within.
    fn fill(&mut self, x: usize, y: usize, wide: usize, high: usize, colour: u8) {
        let (right, bottom) = ((x + wide).min(WIDTH), (y + high).min(HEIGHT));
        for row in y.min(bottom)..bottom {
            self.0[row * WIDTH + x.min(right)..row * WIDTH + right].fill(colour);
        }
    }

    fn frame(&mut self) {
        for (x, y, wide, high) in [
            (0, 0, WIDTH, STROKE / 2),
            (0, HEIGHT - STROKE / 2, WIDTH, STROKE / 2),
            (0, 0, STROKE / 2, HEIGHT),
            (WIDTH - STROKE / 2, 0, STROKE / 2, HEIGHT),
        ] {
            self.fill(x, y, wide, high, BORDER);
        }
    }

    fn wide(text: &str) -> usize {
        (text.chars().count() * (glyphs::WIDTH + 1)).saturating_sub(1) * SCALE
    }

    fn label(&mut self, x: usize, y: usize, text: &str, colour: u8) {
        for (place, c) in text.chars().enumerate() {
            let x = x + place * (glyphs::WIDTH + 1) * SCALE;
            for (row, dots) in glyphs::rows(c).into_iter().enumerate() {
                for column in
                    (0..glyphs::WIDTH).filter(|column| dots >> (glyphs::WIDTH - 1 - column) & 1 == 1)
                {
                    self.fill(x + column * SCALE, y + row * SCALE, SCALE, SCALE, colour);
                }
            }
        }
    }
}

fn encode(canvas: &Canvas) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(PALETTE.concat());
    encoder.set_compression(Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&canvas.0)?;
    writer.finish()?;
    Ok(out)
}
