//! The picture, decoded again: what is on it, that it can be told apart, and that it is always the same.

use std::time::Duration;

use beaconfire_incident::RatePoint;
use beaconfire_model::Kind;
use beaconfire_outbox::Action;
use lettre::message::Mailbox;

use super::picture::{self, BAR, BORDER, EDGE, GROUND, HEIGHT, LIMIT, PALETTE, TEXT, WIDTH};
use crate::message::{About, Matter, Message};
use crate::templates::Own;
use crate::tests::fixture::{Case, SITE, at};
use crate::{Example, Site};

fn about<'a>(message: &Message<'a>) -> About<'a> {
    let Matter::Incident(about) = message.matter else { unreachable!("it is about an incident") };
    about
}

/// The dots of a picture, by the number of their colour.
fn decoded(png: &[u8]) -> Vec<u8> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let mut dots = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut dots).unwrap();
    assert_eq!((frame.width as usize, frame.height as usize), (WIDTH, HEIGHT));
    assert_eq!(reader.info().palette.as_deref().unwrap(), PALETTE.concat());
    dots
}

/// A flood with these points of its rule, seconds and value.
fn with(points: &[(i64, f64)]) -> Case {
    let mut case = Case::open();
    case.dossier.points = points
        .iter()
        .map(|&(seconds, value)| RatePoint { rule: "requests-per-client".into(), at: at(seconds), value })
        .collect();
    case
}

fn of(case: &Case) -> picture::Picture {
    picture::of(&about(&case.message(Action::Open))).expect("a picture")
}

/// The rows in which a column has this colour.
fn rows(dots: &[u8], column: usize, colour: u8) -> Vec<usize> {
    (0..HEIGHT).filter(|row| dots[row * WIDTH + column] == colour).collect()
}

#[test]
fn bars_are_as_high_as_what_was_counted_and_the_limit_stands_across() {
    let case = with(&[(0, 300.0), (60, 1_200.0), (120, 2_400.0), (180, 600.0)]);
    let picture = of(&case);
    assert_eq!(
        picture.alt,
        "requests-per-client: up to 2,400, limit 600, 2026-01-02 03:04:05 UTC to 2026-01-02 03:07:05 UTC"
    );
    let dots = decoded(&picture.png);
    // In the middle of each of four bars; the plot is 232 dots high and 2,400 is its top.
    let high = |bar: usize| {
        let column = 24 + (WIDTH - 48) * (2 * bar + 1) / 8 + 1;
        let edge = rows(&dots, column, EDGE);
        HEIGHT - 64 - edge[0]
    };
    assert_eq!((high(0), high(1), high(2)), (29, 116, 232));
    let limit: Vec<usize> = (0..HEIGHT)
        .filter(|row| dots[row * WIDTH..(row + 1) * WIDTH].iter().filter(|dot| **dot == LIMIT).count() > 400)
        .collect();
    let line = HEIGHT - 64 - 58;
    assert_eq!(limit, [line - 2, line - 1, line, line + 1], "600 of 2,400, from side to side");
    // The line lies over the bars, and its label on the ground.
    assert!(
        dots.contains(&BAR) && dots.contains(&TEXT) && dots[0] == BORDER && dots[3 * WIDTH + 600] == GROUND
    );
}

#[test]
fn the_same_incident_gives_the_same_bytes_and_few_of_them() {
    let many: Vec<(i64, f64)> = (0..20_000).map(|n| (n * 10, (n % 977) as f64 * 3.7)).collect();
    for points in [&[(0, 900.0)][..], &[(0, 1.0), (1, 2.0)], &many] {
        let (first, second) = (of(&with(points)), of(&with(points)));
        assert_eq!(first, second);
        assert!(first.png.len() < 32 * 1024, "{} bytes", first.png.len());
        decoded(&first.png);
    }
}

#[test]
fn no_points_no_picture_and_no_number_breaks_it() {
    assert_eq!(picture::of(&about(&Case::open().message(Action::Open))), None);
    for value in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(picture::of(&about(&with(&[(0, value)]).message(Action::Open))), None, "{value}");
    }
    for points in
        [[(0, 0.0), (60, 0.0)], [(0, f64::MAX), (1, 1.0)], [(i64::MIN / 4_000, 1.0), (i64::MAX / 4_000, 2.0)]]
    {
        decoded(&of(&with(&points)).png);
    }
    // Another rule's points are not this one's, and the loudest rule that has some is drawn.
    let mut case = with(&[(0, 900.0)]);
    case.dossier.points[0].rule = "request-burst".into();
    assert!(of(&case).alt.starts_with("request-burst: up to 900, limit 300"), "{}", of(&case).alt);
}

/// By WCAG's formula.
fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let light = |colour: [u8; 3]| {
        let [red, green, blue] = colour.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.039_28 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (a, b) = (light(a), light(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn it_reads_the_same_in_dark_and_in_light() {
    let colour = |place: u8| PALETTE[usize::from(place)];
    for dark in [TEXT, EDGE, LIMIT] {
        assert!(contrast(colour(dark), colour(GROUND)) >= 4.5, "{dark}");
    }
    assert!(contrast(colour(LIMIT), colour(BAR)) >= 3.0 && contrast(colour(EDGE), colour(BAR)) >= 3.0);
    // Where it ends shows on any page.
    for page in [[0xff; 3], [0x00; 3], [0x1e; 3]] {
        assert!(contrast(colour(BORDER), page) >= 3.0, "{page:?}");
    }
    // Nothing of it is see-through.
    let png = of(&with(&[(0, 900.0)])).png;
    assert!(!png.windows(4).any(|name| name == b"tRNS"));
}

fn mailed(message: &Message<'_>, own: &Own) -> String {
    let from: Mailbox = "beaconfire@example.com".parse().unwrap();
    String::from_utf8(super::email::mail(message, own, &from, std::slice::from_ref(&from)).unwrap()).unwrap()
}

#[test]
fn a_mail_shows_it_from_within() {
    let example = Example::of(Kind::Flood);
    let message = example.message(SITE);
    let mail = mailed(&message, &Own::default());
    for line in [
        "Content-Type: multipart/alternative;",
        "Content-Type: multipart/related;",
        "Content-Type: image/png",
        "Content-Disposition: inline",
        "Content-ID: <rate-example@eu-1.beaconfire>",
    ] {
        assert!(mail.lines().any(|held| held.starts_with(line)), "{line} is not in\n{mail}");
    }
    let joined = mail.replace("=\r\n", "");
    assert!(joined.contains("src=3D\"cid:rate-example@eu-1.beaconfire\""), "{joined}");
    assert!(joined.contains("alt=3D\"requests-per-client: up to 4,120, limit 600"), "{joined}");
    assert!(mail.len() < 64 * 1024 && mail.is_ascii());
    // Without points there is none, and what stands alone is no `related`.
    let plain = mailed(&Case::open().message(Action::Open), &Own::default());
    assert!(!plain.contains("image/png") && !plain.contains("multipart/related"), "{plain}");
}

#[test]
fn a_template_shows_it_or_does_without() {
    let example = Example::of(Kind::Flood);
    for (source, shown) in [("<img src=\"{{ picture }}\" alt=\"\">", true), ("<p>{{ title }}</p>", false)] {
        let mut templates = crate::Templates::default();
        templates.set(crate::Slot::EmailHtml, source).unwrap();
        let message = example.message(Site { templates: Some(&templates), ..SITE });
        let own = Own::of(&message, beaconfire_outbox::IntegrationKind::Email);
        assert_eq!(mailed(&message, &own).contains("image/png"), shown, "{source}");
    }
}

#[test]
fn times_of_more_than_a_day_have_their_date() {
    let day = Duration::from_secs(86_400).as_secs() as i64;
    let (short, long) = (of(&with(&[(0, 9.0), (day, 9.0)])), of(&with(&[(0, 9.0), (2 * day, 9.0)])));
    assert_ne!(short.png, long.png);
}
