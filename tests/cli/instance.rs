//! Commands that talk to a running instance: incidents, decisions, health.

use beaconfire_api::{HttpKnobs, Lift, Role, TlsKnobs};
use beaconfire_incident::{Command, Status};
use beaconfire_model::{Kind, Severity, Subject};
use beaconfire_throttle::{Action, Mode};
use serde_json::Value;

use super::fake::{self, Fake, small};
use super::surface::{Surface, secret, with_tokens};
use crate::harness::beaconfire::{run, run_with};
use crate::harness::{certificates, free_port};

/// Runs a command against a surface: exit code, stdout, stderr.
pub(super) fn ask(surface: &Surface, line: &str) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let words: Vec<&str> = line.split(' ').chain(["--url", &surface.url]).collect();
    run(dir.path(), &words, None)
}

/// The same, for a command that must succeed.
#[track_caller]
pub(super) fn well(surface: &Surface, line: &str) -> String {
    let (code, out, err) = ask(surface, line);
    assert_eq!(code, 0, "{line}: {err}");
    out
}

pub(super) fn flood(surface: &Surface) -> String {
    surface.desk.cases.lock().unwrap()[0].dossier.incident.id.to_string()
}

#[test]
fn incidents_are_listed_for_programs_and_for_people() {
    let surface = Surface::start(HttpKnobs::default());
    let lines: Vec<Value> =
        well(&surface, "incidents").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6, "one a line where nobody watches");
    assert_eq!(lines[0]["kind"], "flood");

    let document: Value = serde_json::from_str(&well(&surface, "incidents list --output json")).unwrap();
    assert_eq!(document["items"].as_array().unwrap(), &lines, "the shape of the API");
    assert_eq!(document["next_cursor"], Value::Null);

    let table = well(&surface, "incidents --output table");
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("id  "), "{table}");
    assert!(rows[1].starts_with(&flood(&surface)) && rows[1].contains("Request flood on shop"), "{table}");
    assert!(table.contains("acknowledged by jonas"), "{table}");
}

#[test]
fn filters_go_to_the_instance_and_pages_are_put_together() {
    let surface = Surface::start(HttpKnobs::default());
    *surface.desk.next_cursor.lock().unwrap() = Some("onwards".to_owned());
    let line = "incidents list --status open,resolved --kind flood --service shop --limit 5 --output table";
    let (code, _, err) = ask(&surface, line);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("there are more: --limit"), "{err}");
    let queries = surface.desk.queries.lock().unwrap();
    assert_eq!(queries[0].statuses, [Status::Open, Status::Resolved]);
    assert_eq!((&queries[0].kinds[..], queries[0].service.as_deref()), (&[Kind::Flood][..], Some("shop")));
    let asked: Vec<_> = queries.iter().map(|query| (query.limit, query.cursor.as_deref())).collect();
    assert_eq!(asked, [(5, None), (3, Some("onwards")), (1, Some("onwards"))], "each page has two floods");
    drop(queries);

    let (code, _, err) = ask(&surface, "incidents list --status opne");
    assert_eq!(code, 1);
    assert!(err.contains("unknown status") && err.contains("opne"), "{err}");
}

#[test]
fn an_empty_list_says_so_to_people_only() {
    let surface = Surface::over(Fake::empty(), HttpKnobs::default());
    assert_eq!(well(&surface, "incidents --output table"), "no incidents\n");
    assert_eq!(well(&surface, "incidents --output ndjson"), "");
    assert_eq!(well(&surface, "decisions --output table"), "nobody is throttled\n");
}

#[test]
fn one_incident_is_shown_with_all_that_hangs_on_it() {
    let surface = Surface::start(HttpKnobs::default());
    let line = format!("incidents show {}", flood(&surface));
    let shown = well(&surface, &format!("{line} --output table"));
    for part in [
        "CRITICAL  open  Request flood on shop",
        "https://wiki.example.com/shop",
        "7412 > 600 in 60 s",
        "Participants (300)",
        "203.0.113.7",
        "looks like the scraper from last week",
        "450 mailbox busy",
        "python-requests/2.31",
        "198.51.100.0/24",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let document: Value = serde_json::from_str(&well(&surface, &format!("{line} --output json"))).unwrap();
    assert_eq!(document["participants"].as_array().unwrap().len(), 40);
    assert_eq!(well(&surface, &line).lines().count(), 1, "one line where nobody watches");
}

#[test]
fn what_people_do_reaches_the_desk_under_their_name() {
    let surface = Surface::start(with_tokens());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), secret(Role::Responder) + "\n").unwrap();
    let id = flood(&surface);
    for line in [
        format!("ack {id}"),
        format!("note {id} looks like the scraper"),
        format!("resolve {id}"),
        format!("accept {id}"),
        format!("reopen {id}"),
    ] {
        let words: Vec<&str> =
            ["incidents", "--token-file", "token", "--output", "table", "--url", &surface.url]
                .into_iter()
                .chain(line.split(' '))
                .collect();
        let (code, out, err) = run(dir.path(), &words, None);
        assert_eq!(code, 0, "{line}: {err}");
        assert!(out.starts_with("open: Request flood on shop"), "the incident as it then stands: {out}");
    }
    let done = surface.desk.commands.lock().unwrap();
    assert!(done.iter().all(|(of, actor, _)| of.as_str() == id && actor.0 == "the-responder"), "{done:?}");
    let commands: Vec<&Command> = done.iter().map(|(_, _, command)| command).collect();
    let note = Command::Note("looks like the scraper".to_owned());
    assert_eq!(
        commands,
        [&Command::Acknowledge, &note, &Command::Resolve, &Command::Accept, &Command::Reopen]
    );
}

#[test]
fn a_refusal_is_told_in_the_instances_words() {
    let surface = Surface::start(HttpKnobs::default());
    let over = surface.desk.cases.lock().unwrap()[4].dossier.incident.id.to_string();
    let (code, out, err) = ask(&surface, &format!("incidents resolve {over}"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("it is resolved already"), "{err}");
    let (code, _, err) = ask(&surface, "incidents show 00000000000000000000000000000000");
    assert_eq!(code, 1);
    assert!(err.contains("no such thing") && err.contains("404"), "{err}");
    let (code, _, err) = ask(&surface, "incidents show 17");
    assert_eq!(code, 2, "an id that cannot be one is not asked for: {err}");
}

#[test]
fn an_instance_that_is_not_there_is_named_with_a_way_out() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let dir = tempfile::tempdir().unwrap();
    for line in ["incidents", "decisions list", "health"] {
        let words: Vec<&str> = line.split(' ').chain(["--url", &url]).collect();
        let (code, out, err) = run(dir.path(), &words, None);
        assert_eq!((code, out.as_str()), (1, ""), "{line}");
        assert!(err.contains(&url) && err.contains("refused") && err.contains("--url"), "{err}");
    }
    let (code, _, err) = run(dir.path(), &["incidents", "--url", "localhost:8480"], None);
    assert_eq!(code, 2);
    assert!(err.contains("http://HOST:PORT"), "{err}");
}

#[test]
fn a_login_is_asked_for_by_the_flag_that_gives_it() {
    let surface = Surface::start(with_tokens());
    let dir = tempfile::tempdir().unwrap();
    let ask = |line: &str| {
        let words: Vec<&str> = line.split(' ').chain(["--url", &surface.url]).collect();
        run(dir.path(), &words, None)
    };
    let (code, _, err) = ask("incidents");
    assert_eq!(code, 1);
    assert!(err.contains("asks for a login") && err.contains("--token-file"), "{err}");

    std::fs::write(dir.path().join("wrong"), "a-token-that-nobody-knows").unwrap();
    let (code, _, err) = ask("incidents --token-file wrong");
    assert_eq!(code, 1);
    assert!(err.contains("does not know the token in wrong"), "{err}");
    assert!(!err.contains("nobody-knows"), "the token is in {err}");

    std::fs::write(dir.path().join("viewer"), secret(Role::Viewer)).unwrap();
    assert_eq!(ask("incidents --token-file viewer").0, 0);
    let (code, _, err) = ask("decisions flush --token-file viewer");
    assert_eq!(code, 1);
    assert!(err.contains("admin") && err.contains("viewer"), "{err}");

    for (file, said) in [("absent", "No such file"), ("empty", "does not hold one token")] {
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        let (code, _, err) = ask(&format!("incidents --token-file {file}"));
        assert_eq!(code, 2);
        assert!(err.contains(said) && err.contains(file), "{err}");
    }
    assert_eq!(ask("health").0, 0, "health asks for no login");
}

#[test]
fn the_configuration_says_which_instance_is_meant() {
    let surface = Surface::start(HttpKnobs::default());
    let dir = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(dir.path().join("beaconfire.yaml"), text).unwrap();
    write(&format!("http: {{listen: \"{}\"}}", surface.address()));
    let (code, out, err) = run(dir.path(), &["incidents"], None);
    assert_eq!(code, 0, "{err}");
    assert_eq!((out.lines().count(), err.as_str()), (6, ""), "what `check` warns of is not said here");

    write(&format!("http: {{listen: \"127.0.0.1:{}\"}}", free_port()));
    let (code, _, err) = run(dir.path(), &["incidents"], None);
    assert_eq!(code, 1);
    assert!(err.contains("`http.listen` of beaconfire.yaml"), "{err}");

    write("http: {lisen: x}");
    let (code, _, err) = run(dir.path(), &["incidents"], None);
    assert_eq!(code, 2);
    assert!(err.contains("did you mean `listen`") && err.contains("--url"), "{err}");
    assert_eq!(run(dir.path(), &["incidents", "--url", &surface.url], None).0, 0, "which is not read then");
}

#[test]
fn over_tls_the_configured_certificate_is_trusted_and_no_stranger() {
    let dir = tempfile::tempdir().unwrap();
    certificates::make(dir.path());
    let tls =
        |dir: &std::path::Path| TlsKnobs { cert_file: dir.join("cert.pem"), key_file: dir.join("key.pem") };
    let surface = Surface::start(HttpKnobs { tls: Some(tls(dir.path())), ..HttpKnobs::default() });
    let config = format!(
        "http: {{listen: \"{}\", tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}}}",
        surface.address()
    );
    std::fs::write(dir.path().join("beaconfire.yaml"), &config).unwrap();
    for line in ["health", "incidents"] {
        let (code, _, err) = run(dir.path(), &[line], None);
        assert_eq!(code, 0, "{line}: {err}");
    }

    let url = surface.url.replace("127.0.0.1", "localhost");
    let (code, _, err) = run(dir.path(), &["incidents", "--url", &url], None);
    assert_eq!(code, 1);
    assert!(err.contains("not trusted") && err.contains("SSL_CERT_FILE"), "{err}");
    let authority = dir.path().join("ca.pem");
    let environment = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    let (code, _, err) = run_with(dir.path(), &["incidents", "--url", &url], &environment, None);
    assert_eq!(code, 0, "{err}");

    // Another who has the address, with a certificate of the same name.
    let other = tempfile::tempdir().unwrap();
    certificates::make(other.path());
    std::fs::write(other.path().join("beaconfire.yaml"), &config).unwrap();
    let (code, _, err) = run(other.path(), &["health"], None);
    assert_eq!(code, 1);
    assert!(err.contains("another certificate"), "{err}");
}

#[test]
fn hostile_text_does_nothing_to_a_terminal() {
    let hostile = "sh\u{1b}[2Jop\u{9b}31m\u{202e}\r\nx";
    let mut case = small(Kind::Flood, Severity::Critical, Subject::service(hostile), 1);
    case.dossier.timeline[0].text = hostile.to_owned();
    case.dossier.incident.labels.set("service", hostile);
    case.runbook = Some(hostile.to_owned());
    let id = case.dossier.incident.id.to_string();
    let surface = Surface::over(Fake::empty(), HttpKnobs::default());
    surface.desk.cases.lock().unwrap().push(case);
    for line in ["incidents list".to_owned(), format!("incidents show {id}"), format!("incidents ack {id}")] {
        for output in ["table", "json", "ndjson"] {
            let out = well(&surface, &format!("{line} --output {output}"));
            let harmful = out.chars().find(|c| *c != '\n' && beaconfire_model::is_harmful(*c));
            assert_eq!(harmful, None, "{line} --output {output}: {out:?}");
            assert!(out.contains("[2Jop"), "it is shown all the same: {out}");
        }
    }
    let shown: Value =
        serde_json::from_str(&well(&surface, &format!("incidents show {id} --output json"))).unwrap();
    let visible = beaconfire_model::Untrusted::new(hostile, 1_024);
    assert_eq!(shown["target"]["name"], visible.clean(), "programs get what the instance said");
}

#[test]
fn decisions_are_listed_made_and_taken_back() {
    let surface = Surface::start(HttpKnobs::default());
    let hour = std::time::Duration::from_secs(3_600);
    let decision = fake::decision(11, "203.0.113.7", Action::Ban, Mode::DryRun, hour);
    let made = decision.created;
    surface.desk.board.put(decision, made);
    let listed: Value = serde_json::from_str(&well(&surface, "decisions list")).unwrap();
    assert_eq!((&listed["value"], &listed["action"]), (&"203.0.113.7".into(), &"ban".into()));
    let table = well(&surface, "decisions --output table");
    assert!(table.contains("203.0.113.7") && table.contains("dry_run"), "{table}");

    let line = "decisions add 198.51.100.0/24 --for 1h30m --action captcha --mode enforce --reason scraper";
    let made: Value = serde_json::from_str(&well(&surface, line)).unwrap();
    assert_eq!(made["value"], "198.51.100.0/24");
    let wanted = surface.desk.wanted.lock().unwrap();
    let (actor, wanted) = &wanted[0];
    assert_eq!((actor.0.as_str(), wanted.duration.as_secs()), ("local", 5_400));
    assert_eq!(
        (wanted.action, wanted.mode, wanted.reason.as_str()),
        (Action::Captcha, Some(Mode::Enforce), "scraper")
    );

    for line in ["delete 203.0.113.7", "delete 11 --no-allow", "flush"] {
        well(&surface, &format!("decisions {line}"));
    }
    let network = "203.0.113.7/32".parse().unwrap();
    let lifted = surface.desk.lifted.lock().unwrap();
    assert_eq!(*lifted, [(Lift::Network(network), true), (Lift::Id(11), false), (Lift::All, true)]);
    drop(lifted);
    assert_eq!(ask(&surface, "decisions add 203.0.113.7 --action exile").0, 2);
    assert_eq!(ask(&surface, "decisions add everybody").0, 1, "what the instance refuses");
}

#[test]
fn health_is_an_exit_code_and_a_reason() {
    let surface = Surface::start(HttpKnobs::default());
    let (code, out, _) = ask(&surface, "health");
    assert_eq!((code, out), (0, format!("{} is ready\n", surface.url)));
    surface.desk.store_down.store(true, std::sync::atomic::Ordering::Relaxed);
    let (code, out, err) = ask(&surface, "health");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("is not ready: the store cannot be read"), "{err}");
}
