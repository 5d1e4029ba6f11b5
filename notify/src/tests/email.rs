//! Mail against a relay that answers as it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use beaconfire_outbox::{Action, Handle, Outcome};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::fixture::Case;
use crate::{Channel, EmailKnobs, Knobs, Matter};

/// A relay: answers each verb with what `answers` has for it (the first match by prefix of the line), else with
/// `250 ok`. An empty answer hangs; of several behind semicolons each serves once and the last one on.
struct Relay {
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    async fn start(answers: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.lock().unwrap().push("CONNECT".into());
                let seen = seen.clone();
                tokio::spawn(async move { converse(stream, &seen, answers).await });
            }
        });
        Self { address, lines }
    }

    /// The verbs it was told, `DATA`'s content left out.
    fn verbs(&self) -> Vec<String> {
        let verb = |line: &String| line.split([' ', ':']).next().unwrap_or_default().to_owned();
        self.lines.lock().unwrap().iter().filter(|line| !line.starts_with(' ')).map(verb).collect()
    }

    /// How often it was told this line.
    fn count(&self, told: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| *line == told).count()
    }

    /// The content of all mails.
    fn content(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter_map(|line| line.strip_prefix(' ')).collect::<Vec<_>>().join("\n")
    }
}

async fn converse(stream: TcpStream, seen: &Mutex<Vec<String>>, answers: &[(&str, &str)]) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let find = |line: &str| {
        let (verb, answer) = answers.iter().find(|(verb, _)| line.starts_with(verb))?;
        let before = seen.lock().unwrap().iter().filter(|line| line.starts_with(verb)).count().max(1) - 1;
        answer.split("; ").take(before + 1).last()
    };
    reply(&mut stream, find("CONNECT").unwrap_or("220 relay")).await?;
    let mut data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if data && line != "." {
            seen.lock().unwrap().push(format!(" {line}"));
            continue;
        }
        seen.lock().unwrap().push(line.to_owned());
        let answer = find(line).unwrap_or(if line == "DATA" { "354 go on" } else { "250 ok" });
        data = line == "DATA" && answer.starts_with("354");
        reply(&mut stream, answer).await?;
    }
}

async fn reply(stream: &mut BufReader<TcpStream>, answer: &str) -> Option<()> {
    if answer.is_empty() {
        tokio::time::sleep(Duration::from_secs(60)).await;
        return None;
    }
    stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()
}

fn channel(relay: &Relay, to: &[&str], require_tls: bool) -> Channel {
    let knobs = EmailKnobs {
        smarthost: relay.address.clone(),
        from: "beaconfire@example.com".into(),
        to: to.iter().map(|&to| to.to_owned()).collect(),
        hello: Some("beacon.example.com".into()),
        login: None,
        require_tls,
        ca_file: None,
        server_name: None,
    };
    Channel::build_within(&Knobs::Email(knobs), Duration::from_millis(400)).unwrap()
}

#[tokio::test]
async fn relays_answers() {
    let table: [(&'static [(&'static str, &'static str)], &str); 11] = [
        (&[], "accepted"),
        (&[("CONNECT", "421 busy")], "deferred"),
        (&[("CONNECT", "554 no service here")], "misconfigured"),
        (&[("MAIL", "530 5.7.0 log in first")], "misconfigured"),
        (&[("MAIL", "550 5.7.1 not your address")], "misconfigured"),
        (&[("RCPT", "451 greylisted")], "deferred"),
        (&[("RCPT", "550 no such user")], "rejected"),
        (&[(".", "554 5.7.1 looks like spam")], "rejected"),
        (&[(".", "452 disk full")], "deferred"),
        (&[("MAIL", "")], "deferred"),
        (&[(".", "")], "deferred"),
    ];
    for (answers, expected) in table {
        let relay = Relay::start(answers).await;
        let case = Case::open();
        let outcome = channel(&relay, &["oncall@example.com"], false).send(&case.message(Action::Open)).await;
        assert_eq!(outcome.name(), expected, "{answers:?} came to {outcome:?}");
    }
}

#[tokio::test]
async fn nothing_goes_out_before_tls_stands() {
    let relay = Relay::start(&[]).await;
    let case = Case::open();
    let outcome = channel(&relay, &["oncall@example.com"], true).send(&case.message(Action::Open)).await;
    let Outcome::Misconfigured { said } = outcome else { panic!("{outcome:?}") };
    assert!(said.contains("does not offer STARTTLS"), "{said}");
    assert_eq!(relay.verbs(), ["CONNECT", "EHLO"]);
}

#[tokio::test]
async fn one_bad_recipient_takes_the_mail_from_nobody_else() {
    let relay = Relay::start(&[("RCPT TO:<gone@", "550 no such user")]).await;
    let case = Case::open();
    let both = channel(&relay, &["gone@example.com", "oncall@example.com"], false);
    let outcome = both.send(&case.message(Action::Open)).await;
    let (name, said) = outcome_said(&outcome);
    assert_eq!((name, said.contains("gone@example.com: ")), ("accepted", true), "it is said: {said}");
    assert_eq!(relay.verbs(), ["CONNECT", "EHLO", "MAIL", "RCPT", "RCPT", "DATA", "."]);
}

/// An outcome's name, and what was said against it.
fn outcome_said(outcome: &Outcome) -> (&str, &str) {
    match outcome {
        Outcome::Accepted { said, .. } => ("accepted", said.as_deref().unwrap_or_default()),
        Outcome::Deferred { said, .. } => ("deferred", said),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_was_refused_for_now_is_tried_again_alone() {
    let relay = Relay::start(&[("RCPT TO:<b@", "451 greylisted; 250 ok")]).await;
    let mail = channel(&relay, &["a@example.com", "b@example.com"], false);
    let case = Case::open();
    let first = mail.send(&case.message(Action::Open)).await;
    let (name, said) = outcome_said(&first);
    assert_eq!(name, "deferred", "{said}");
    assert!(said.contains("b@example.com: ") && said.contains("greylisted"), "{said}");
    let again = mail.send(&case.message(Action::Open)).await;
    assert_eq!(outcome_said(&again), ("accepted", ""));
    assert_eq!(relay.count("RCPT TO:<a@example.com>"), 1, "who has it is left alone");
    assert_eq!(relay.count("RCPT TO:<b@example.com>"), 2);
}

#[tokio::test]
async fn news_for_all_do_not_wait_for_one_mailbox() {
    let relay = Relay::start(&[("RCPT TO:<b@", "452 mailbox full")]).await;
    let mail = channel(&relay, &["a@example.com", "b@example.com"], false);
    let case = Case::open();
    let mut escalated = case.message(Action::Open);
    assert_eq!(mail.send(&escalated).await.name(), "deferred");

    // It moved before the row was told: a second opening is a reply to the first.
    escalated.notification_id = "n-2";
    assert_eq!(mail.send(&escalated).await.name(), "deferred");
    assert_eq!(relay.count("RCPT TO:<a@example.com>"), 2);
    let root = "<eu-1.0123456789abcdef0123456789abcdef.0@example.com>";
    assert!(relay.content().contains(&format!("In-Reply-To: {root}")));

    // It is over: the opening is as good as told, and its resolve goes to both.
    let over = Case::open().resolved();
    let mut opening = over.message(Action::Open);
    opening.notification_id = "n-2";
    let told = mail.send(&opening).await;
    let (name, said) = outcome_said(&told);
    assert_eq!((name, said.contains("mailbox full")), ("accepted", true), "{said}");
    assert_eq!(relay.count("RCPT TO:<a@example.com>"), 2, "nothing was sent for it");
}

#[tokio::test]
async fn a_full_mailbox_is_given_up_after_a_while_and_said() {
    let relay = Relay::start(&[("RCPT TO:<b@", "452 mailbox full")]).await;
    let mut mail = channel(&relay, &["a@example.com", "b@example.com"], false);
    let Channel::Email(email) = &mut mail else { unreachable!("it is mail") };
    email.partly_for = Duration::ZERO;
    let outcome = mail.send(&Case::open().message(Action::Open)).await;
    let (name, said) = outcome_said(&outcome);
    assert_eq!((name, said.contains("mailbox full")), ("accepted", true), "{said}");
}

#[tokio::test]
async fn while_one_of_the_refused_may_take_it_the_mail_is_not_dead() {
    let relay = Relay::start(&[("RCPT TO:<gone@", "550 no such user"), ("RCPT", "451 later")]).await;
    let case = Case::open();
    let both = channel(&relay, &["gone@example.com", "oncall@example.com"], false);
    assert_eq!(both.send(&case.message(Action::Open)).await.name(), "deferred");
}

#[tokio::test]
async fn a_connection_serves_the_next_mail_unless_it_was_cut_off() {
    let relay = Relay::start(&[]).await;
    let case = Case::open();
    let mail = channel(&relay, &["oncall@example.com"], false);
    for _ in 0..2 {
        assert_eq!(mail.send(&case.message(Action::Open)).await.name(), "accepted");
    }
    let one = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."];
    assert_eq!(relay.verbs()[..6], one);
    assert_eq!(relay.verbs()[6..], ["RSET", "MAIL", "RCPT", "DATA", "."]);

    let relay = Relay::start(&[("RCPT", "")]).await;
    let mail = channel(&relay, &["oncall@example.com"], false);
    for _ in 0..2 {
        assert_eq!(mail.send(&case.message(Action::Open)).await.name(), "deferred");
    }
    let again = ["CONNECT", "EHLO", "MAIL", "RCPT", "CONNECT", "EHLO", "MAIL", "RCPT"];
    assert_eq!(relay.verbs(), again, "what hung is not spoken to again");
}

#[tokio::test]
async fn an_incident_is_one_thread() {
    let relay = Relay::start(&[]).await;
    let mail = channel(&relay, &["oncall@example.com"], false);
    let outcome = mail.send(&Case::open().message(Action::Open)).await;
    let root = "<eu-1.0123456789abcdef0123456789abcdef.0@example.com>";
    assert_eq!(outcome, Outcome::accepted(Some(Handle(root.into()))));
    let over = Case::open().resolved().told(root);
    let outcome = mail.send(&over.message(Action::Resolve)).await;
    assert_eq!(outcome, Outcome::accepted(Some(Handle(root.into()))));
    let content = relay.content();
    let count = |text: &str| content.lines().filter(|line| *line == text).count();
    assert_eq!(count(&format!("Message-ID: {root}")), 1);
    assert_eq!(count("Message-ID: <eu-1.0123456789abcdef0123456789abcdef.5@example.com>"), 1);
    assert_eq!(count(&format!("In-Reply-To: {root}")), 1);
    assert_eq!(count(&format!("References: {root}")), 1);
    assert_eq!(count("Subject: [Beaconfire] Request flood on shop (01234567)"), 2);
}

/// Two mails with one id would be one mail to a mailbox.
#[tokio::test]
async fn a_mail_is_named_for_what_is_told_though_the_incident_is_further() {
    let relay = Relay::start(&[]).await;
    let mail = channel(&relay, &["oncall@example.com"], false);
    let case = Case::open().resolved().told("<root@example.com>");
    for (revision, action) in [(4, Action::Acknowledge), (5, Action::Resolve)] {
        let mut message = case.message(action);
        let Matter::Incident(about) = &mut message.matter else { unreachable!("a case is an incident") };
        about.revision = revision;
        assert_eq!(mail.send(&message).await.name(), "accepted");
    }
    let content = relay.content();
    let ids: Vec<&str> = content.lines().filter_map(|line| line.strip_prefix("Message-ID: ")).collect();
    let id = "<eu-1.0123456789abcdef0123456789abcdef.";
    assert_eq!(ids, [format!("{id}4@example.com>"), format!("{id}5@example.com>")]);
}

#[tokio::test]
async fn an_exchange_is_readable() {
    let relay = Relay::start(&[("RCPT", "550 no such user")]).await;
    let case = Case::open();
    let exchange =
        channel(&relay, &["oncall@example.com"], false).exchange(&case.message(Action::Open)).await;
    let steps: Vec<_> =
        exchange.steps.iter().map(|step| (step.sent.as_str(), step.answered.as_str())).collect();
    assert_eq!(steps[0].0, format!("CONNECT {} (no TLS)", relay.address));
    assert_eq!(steps[1], ("MAIL FROM:<beaconfire@example.com>", "250 ok"));
    assert_eq!(steps[2].0, "RCPT TO:<oncall@example.com>");
    assert!(steps[2].1.contains("no such user"), "{}", steps[2].1);
}
