//! `silences` and `incidents assign` against a surface.

use std::time::Duration;

use beaconfire_api::{HttpKnobs, Role};
use beaconfire_incident::Command;
use serde_json::Value;

use super::fake::{self, Fake, SILENCE};
use super::surface::{Surface, secret, with_tokens};
use crate::harness::beaconfire::run;

/// Runs a command against a surface: exit code, stdout, stderr.
fn ask(surface: &Surface, words: &[&str]) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let words: Vec<&str> = words.iter().copied().chain(["--url", &surface.url]).collect();
    run(dir.path(), &words, None)
}

/// The same, for a command that must succeed.
#[track_caller]
fn well(surface: &Surface, words: &[&str]) -> String {
    let (code, out, err) = ask(surface, words);
    assert_eq!(code, 0, "{words:?}: {err}");
    out
}

#[test]
fn a_silence_is_tried_out_made_listed_and_ended() {
    let surface = Surface::start(HttpKnobs::default());
    let wanted =
        ["silences", "add", "service=~\"shop|search\"", "kind!=login", "--for", "2h", "--output", "table"];
    let tried = well(&surface, &[&wanted[..], &["--dry-run"]].concat());
    assert!(tried.starts_with("dry run: nothing is silenced\n"), "{tried}");
    assert!(tried.contains("Request flood on shop") && tried.contains("critical"), "{tried}");
    assert_eq!(well(&surface, &["silences", "--output", "table"]), "nothing is silenced\n");

    let made = well(&surface, &[&wanted[..], &["--author", "mira", "--comment", "load test"]].concat());
    assert!(made.starts_with(&format!("{SILENCE}: silenced until ")), "{made}");
    let (actor, silence, dry_run) = surface.desk.silenced.lock().unwrap().pop().unwrap();
    assert_eq!((actor.0.as_str(), dry_run), ("local", false));
    assert_eq!((silence.author.as_str(), silence.comment.as_str()), ("mira", "load test"));
    assert_eq!(silence.ends_at.since(silence.starts_at), Duration::from_secs(7_200));
    assert_eq!(silence.matchers.0[0].to_string(), "service=~\"shop|search\"");

    let table = well(&surface, &["silences", "list", "--output", "table"]);
    assert!(
        table.contains(SILENCE) && table.contains("kind!=\"login\"") && table.contains("load test"),
        "{table}"
    );
    let line: Value = serde_json::from_str(&well(&surface, &["silences"])).unwrap();
    assert_eq!((&line["id"], &line["status"]), (&SILENCE.into(), &"active".into()));

    assert_eq!(
        well(&surface, &["silences", "expire", SILENCE, "--output", "table"]),
        format!("{SILENCE}: expired\n")
    );
    assert_eq!(surface.desk.expired.lock().unwrap()[0].1, SILENCE);
    assert_eq!(well(&surface, &["silences"]), "");
    assert!(well(&surface, &["silences", "list", "--expired"]).contains(SILENCE));
}

#[test]
fn a_slip_in_a_silence_is_told_before_anything_is_kept() {
    let surface = Surface::over(Fake::empty(), HttpKnobs::default());
    for (words, code, said) in [
        (&["silences", "add"][..], 2, "MATCHERS"),
        (&["silences", "add", "shop"][..], 1, "NAME=VALUE"),
        (&["silences", "add", "a=~.*"][..], 1, "would silence all"),
        (&["silences", "add", "a=b", "--for", "soon"][..], 2, "soon"),
        (
            &["silences", "add", "a=b", "--for", "1h", "--until", "2026-01-02T03:04:05Z"][..],
            2,
            "cannot be used with",
        ),
        (&["silences", "add", "a=b", "--until", "2020-01-02T03:04:05Z"][..], 1, "has ended already"),
        (&["silences", "expire", "17"][..], 2, "32 hex digits"),
        (&["silences", "expire", "00000000000000000000000000000000"][..], 1, "no such thing"),
    ] {
        let (found, out, err) = ask(&surface, words);
        assert_eq!((found, out.as_str()), (code, ""), "{words:?}: {err}");
        assert!(err.contains(said), "{words:?}: {err}");
    }
    assert!(surface.desk.silences.lock().unwrap().is_empty());
}

#[test]
fn an_incident_is_given_to_somebody_under_the_name_of_the_login() {
    let surface = Surface::start(with_tokens());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), secret(Role::Responder)).unwrap();
    let id = surface.desk.cases.lock().unwrap()[0].dossier.incident.id.to_string();
    let words = ["incidents", "assign", &id, "mira", "--token-file", "token", "--url", &surface.url];
    let (code, _, err) = run(dir.path(), &words, None);
    assert_eq!(code, 0, "{err}");
    let (of, actor, command) = surface.desk.commands.lock().unwrap().pop().unwrap();
    assert_eq!((of.as_str(), actor.0.as_str()), (&*id, "the-responder"));
    assert_eq!(command, Command::Assign("mira".to_owned()));
}

#[test]
fn an_incident_shows_whose_it_is_and_why_somebody_was_not_told() {
    let surface = Surface::start(HttpKnobs::default());
    let id = {
        let mut cases = surface.desk.cases.lock().unwrap();
        fake::silenced(&mut cases[0]);
        cases[0].dossier.incident.assignee = Some("mira".to_owned());
        cases[0].dossier.incident.id.to_string()
    };
    let shown = well(&surface, &["incidents", "show", &id, "--output", "table"]);
    assert!(shown.contains("given to         mira"), "{shown}");
    assert!(shown.contains("suppressed: silenced by mira"), "{shown}");
}
