//! The parts that are not ours, each by itself: Kafka over SASL_SSL, mail over STARTTLS with AUTH, and what `ingest`
//! keeps for a real broker.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use beaconfire_model::{Kind, Secret, Wall};
use beaconfire_notify::{Channel, EmailKnobs, Example, Knobs, Message, Site};
use beaconfire_outbox::Outcome;
use beaconfire_view::Privacy;

use super::world::{World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::smtp::{self, Smtp};
use crate::harness::{certificates, eventually, has, kafka, parts};

const ENTRY: &str = "format: combined, service: blog";

/// Keys of `kafka` for its SASL_SSL listener.
fn scram(world: &World, password: &str) -> String {
    let (user, ca) = (kafka::SASL_USER, world.kafka.ca());
    format!(
        "  properties: {{security.protocol: sasl_ssl, sasl.mechanism: SCRAM-SHA-512, sasl.username: {user}, \
         sasl.password: {password}, ssl.ca.location: \"{}\"}}",
        ca.display()
    )
}

#[test]
fn kafka_is_read_over_tls_with_scram_and_a_wrong_password_is_named() {
    let Some(world) = World::new("scram", 3) else { return };
    if !has("kafka of ours, with SASL_SSL", world.kafka.sasl_bootstrap.is_some()) {
        return;
    }
    let brokers = world.kafka.sasl_bootstrap.as_ref().expect("a listener");
    let producer = world.producer();
    for n in 0..300 {
        let line = super::log::request(now(), &format!("198.18.0.{}", n % 250), "/", 200);
        producer.send(&world.name, Some(n % 3), None, line.as_bytes());
    }
    producer.flush();

    let wrong = world.config_of(brokers, &scram(&world, "wrong"), ENTRY, "");
    let mut refused = Beaconfire::start(world.path(), "wrong", &wrong);
    let log = world.path().join("wrong.log");
    eventually("the log says what to check", Duration::from_secs(30), || {
        std::fs::read_to_string(&log).unwrap_or_default().contains("check sasl.username, sasl.password")
    });
    assert_eq!(refused.metric("beaconfire_kafka_up"), Some(0.0));
    assert_eq!(refused.status("/readyz"), Some(503));
    assert!(refused.alive(), "it goes on trying");
    assert!(!std::fs::read_to_string(&log).unwrap().contains("wrong\""), "no password in the log");
    refused.kill();

    let right = world.config_of(brokers, &scram(&world, kafka::SASL_PASSWORD), ENTRY, "");
    let mut service = Beaconfire::start(world.path(), "right", &right);
    service.ready();
    world.read_to_the_end();
    let decoded = format!(
        "beaconfire_records_total{{format=\"combined\",result=\"decoded\",topic=\"{}\"}}",
        world.name
    );
    assert_eq!(service.metric(&decoded), Some(300.0));
    assert_eq!(service.metric("beaconfire_kafka_up"), Some(1.0));
    service.stop(Duration::from_secs(10));
}

/// What comes of a test mail that is sent with the server's authority or another, and a password.
fn mail(smtp: &Smtp, ca: PathBuf, password: &str) -> Outcome {
    sent(smtp, ca, password, |site| Message::test(site, "test-1", Wall::from_millis(now())))
}

fn sent<'a>(
    smtp: &Smtp,
    ca: PathBuf,
    password: &str,
    about: impl FnOnce(Site<'static>) -> Message<'a>,
) -> Outcome {
    let knobs = EmailKnobs {
        smarthost: format!("127.0.0.1:{}", smtp.port),
        from: "Beaconfire <beaconfire@example.com>".into(),
        to: vec!["oncall@example.com".into()],
        hello: None,
        login: Some((smtp::USER.into(), Secret::new(password))),
        require_tls: true,
        ca_file: Some(ca),
        server_name: None,
    };
    let channel = Channel::build(&Knobs::Email(knobs)).expect("the knobs are good");
    let site = Site {
        installation: "test",
        external_url: "http://127.0.0.1:8480",
        privacy: Privacy::Redact,
        templates: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(channel.send(&about(site)))
}

/// What Python's own parser makes of a mail: a line a part, and what it finds in the picture.
const PARSER: &str = r#"
import email, email.policy, struct, sys, zlib
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
assert not mail.defects and not any(part.defects for part in mail.walk()), "defects"
print("list", mail["List-Id"])
for part in mail.walk():
    print(part.get_content_type(), part.get_content_disposition(), part["Content-ID"])
html = mail.get_body(("html",)).get_content()
print("text", mail.get_body(("plain",)).get_content().splitlines()[0])
[picture] = [part for part in mail.walk() if part.get_content_type() == "image/png"]
print("shown", "cid:" + picture["Content-ID"].strip("<>") in html)
png, at, dots = picture.get_content(), 8, b""
assert png[:8] == b"\x89PNG\r\n\x1a\n"
while at < len(png):
    size, name = struct.unpack(">I4s", png[at : at + 8])
    data = png[at + 8 : at + 8 + size]
    assert zlib.crc32(name + data) == struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0], name
    if name == b"IHDR":
        wide, high, depth, kind = struct.unpack(">IIBB", data[:10])
    if name == b"IDAT":
        dots += data
    at += size + 12
print("picture", wide, high, depth, kind, len(zlib.decompress(dots)) == high * (wide + 1))
"#;

#[test]
fn a_mail_with_its_picture_is_whole_to_another_parser() {
    let Some(smtp) = Smtp::start() else { return };
    let example = Example::of(Kind::Flood);
    let outcome = sent(&smtp, smtp.ca(), smtp::PASSWORD, |site| example.message(site));
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    let mails = smtp.mails();
    let mut parser = Command::new(parts().join("smtp/bin/python"))
        .args(["-c", PARSER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    parser.stdin.take().expect("a pipe").write_all(mails[0].as_bytes()).expect("it reads");
    let found = parser.wait_with_output().expect("it ends");
    assert!(found.status.success());
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        "list Beaconfire <test.beaconfire.example.com>\n\
         multipart/alternative None None\n\
         text/plain None None\n\
         multipart/related None None\n\
         text/html None None\n\
         image/png inline <rate-example@test.beaconfire>\n\
         text CRITICAL: Request flood on shop: 203.0.113.7 sent 4,120 requests in 60 s (limit 600)\n\
         shown True\n\
         picture 1120 360 8 3 True\n"
    );
}

#[test]
fn mail_goes_by_starttls_with_a_login_to_a_server_whose_certificate_is_trusted() {
    let Some(smtp) = Smtp::start() else { return };
    let outcome = mail(&smtp, smtp.ca(), smtp::PASSWORD);
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    let mails = smtp.mails();
    assert_eq!(mails.len(), 1);
    for part in ["To: oncall@example.com", "Message-ID: <", "text/plain", "text/html"] {
        assert!(mails[0].contains(part), "{part}: {}", mails[0]);
    }

    // What somebody has to mend is told apart from what passes.
    let elsewhere = tempfile::tempdir().expect("a directory");
    certificates::make(elsewhere.path());
    for (ca, password, said) in [
        (elsewhere.path().join("ca.pem"), smtp::PASSWORD, "certificate is not trusted"),
        (smtp.ca(), "wrong", "535"),
    ] {
        match mail(&smtp, ca, password) {
            Outcome::Misconfigured { said: text } => assert!(text.contains(said), "{text}"),
            outcome => panic!("{said}: {outcome:?}"),
        }
    }
    assert_eq!(smtp.mails().len(), 1, "nothing more was delivered");
}

/// The tests of `ingest` that need a real broker see inside its Kafka client, so they stand there; here they get one.
#[test]
fn the_kafka_client_holds_on_a_real_broker() {
    let Some(kafka) = kafka::shared() else { return };
    let done = Command::new(env!("CARGO"))
        // The whole workspace's libraries, as for this test binary, so that nothing is built again.
        .args(["test", "--workspace", "--lib", "--locked", "--quiet", "apache_", "--"])
        .args(["--ignored", "--skip", "measure"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("BEACONFIRE_TEST_KAFKA", &kafka.bootstrap)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success() && said.contains("5 passed"), "{said}");
}
