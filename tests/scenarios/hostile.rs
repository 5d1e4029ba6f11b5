//! What senders can put into a topic to break, blind or abuse us: it is counted by reason and set aside with where it
//! came from, the attack amid it is found all the same, and what it says is harmless wherever it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use serde_json::{Value, json};

use super::log::request;
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::kafka::{self, Got, Producer};
use crate::harness::{eventually, kafka::Kafka};

const ENTRY: &str = "format: auto, service: shop, lateness: 5s";
const SECTIONS: &str = "rules:
  - {name: requests-per-client, threshold: 200, critical_above: 1000}
  - {name: requests-per-agent, kind: flood, by: [user_agent], count: requests, window: 60s, threshold: 200, severity: warning}
";

/// A path and a user agent that try each exit: mentions, links and code spans of Slack, headers of mail, markup,
/// terminals, and the eye. The token in the query is nobody's business.
const PATH: &str = "/<!channel>`<https://evil.example|ok>`\r\nBcc: victim@example.com\r\n\r\n\u{1b}[31m<script>alert(1)</script>\
                    <img src=x onerror=alert(2)>\u{202e}\u{0}\"'&amp;?token=topsecret&x=<!here>";
const AGENT: &str =
    "<!everyone> <@U0>\r\nX-Evil: 1\u{1b}]0;owned\u{7}</pre><script>alert(3)</script>{{7*7}}${env:HOME}";
/// The same for names in findings: they are in titles, and so in subjects.
const POD: &str = "<!channel>\r\nBcc: victim@example.com\r\n<script>alert(4)</script>";
const RULE: &str = "shell\r\nSubject: all is well\r\n\u{1b}[2J<!here><script>alert(5)</script>";

/// What must not be in anything we send or show.
const SECRET: &str = "topsecret";

const ATTACKER: &str = "203.0.113.7";
/// Midnight before 2100.
const LATE: i64 = 4_102_444_799_000;

fn attack(at: i64) -> Vec<u8> {
    json!({
        "kind": "request", "time": at, "client": ATTACKER, "method": "GET", "path": PATH, "status": 200,
        "bytes_sent": 512, "user_agent": AGENT,
    })
    .to_string()
    .into_bytes()
}

fn plain(time: Value, client: &str) -> Vec<u8> {
    json!({"kind": "request", "time": time, "client": client, "path": "/", "status": 200})
        .to_string()
        .into_bytes()
}

/// Values that nobody can read, each with the reason that must be given for it; none where any will do.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let mut random = StdRng::seed_from_u64(4);
    let mut all: Vec<(&str, Vec<u8>)> = vec![
        ("empty", b" \r\n\t".to_vec()),
        ("encoding", b"\xff\xfe\x00\xc3\x28".to_vec()),
        ("encoding", b"{\"kind\":\"request\",\"path\":\"/\xc0\xaf".to_vec()),
        ("syntax", br#"{"kind":"request","time":""#.to_vec()),
        ("syntax", b"{\"rule\":\"r\",\"output_fields\":{\"a\":[1,2".to_vec()),
        (
            "syntax",
            format!("{ATTACKER} - - [99/Foo/2026:00:00:00 +0000] \"GET /x?token={SECRET} HTTP/1.1\" 200 1")
                .into(),
        ),
        ("depth", "[".repeat(10_000).into()),
        ("depth", [r#"{"log":"#.repeat(10_000), "1".into(), "}".repeat(10_000)].concat().into()),
        (
            "too_large",
            [br#"{"kind":"request","path":"/"#.to_vec(), vec![b'a'; 2 << 20], b"\"}".to_vec()].concat(),
        ),
        ("too_large", vec![0xff; 2 << 20]),
        ("unknown_format", br#"{"<!channel>":"<script>"}"#.to_vec()),
        ("unknown_format", "\u{1b}]0;owned\u{7}\r\n<script>".into()),
        ("missing_field", br#"{"kind":"request","time":1764000000}"#.to_vec()),
        ("bad_value", br#"{"kind":"runtime","time":1764000000,"workload":"a/b","event":"dance"}"#.to_vec()),
        ("timestamp", plain(json!("the day after tomorrow"), ATTACKER)),
        ("timestamp", plain(json!(1e308), ATTACKER)),
    ];
    for length in 1..=30 {
        let mut bytes = vec![0; 1 << (length % 12)];
        random.fill_bytes(&mut bytes);
        // Whatever chance makes of it, it is not the beginning of text that is read for its broken bytes.
        bytes.push(random.random_range(0x80..0xc0));
        all.push(("", bytes));
    }
    all
}

/// Sends garbage, a third to each partition; its key says why it must be refused.
fn send_garbage(world: &World, producer: &Producer) {
    for (n, (reason, bytes)) in garbage().iter().enumerate() {
        let key = format!("bad:{reason}");
        producer.send(&world.name, Some(n as i32 % 3), Some(&key), bytes);
    }
    for partition in 0..3 {
        producer.send_at(&world.name, Some(partition), Some("bad:tombstone"), None, None);
        // Stamped with 2100 by its producer, as the broker lets producers do.
        let record = plain(json!(LATE), "198.51.100.1");
        producer.send_at(&world.name, Some(partition), Some("bad:timestamp"), Some(&record), Some(LATE));
    }
}

/// Sends records with times that are wrong but can be read: 1970 is late, and 2100 counts as the broker's own time.
fn send_odd_times(world: &World, producer: &Producer) {
    for partition in 0..3 {
        let send = |record: &[u8], stamp: Option<i64>| {
            producer.send_at(&world.name, Some(partition), Some("odd"), Some(record), stamp);
        };
        send(&plain(json!("1970-01-01T00:00:01Z"), "198.51.100.2"), None);
        send(&plain(json!(now()), "198.51.100.3"), Some(1_000));
        send(&plain(json!("2100-01-01T00:00:00Z"), "198.51.100.4"), None);
        send(request(LATE, "198.51.100.5", "/", 200).as_bytes(), None);
    }
}

fn send_attack(world: &World, producer: &Producer, count: i32) {
    for n in 0..count {
        producer.send(&world.name, Some(n % 3), None, &attack(now()));
    }
    producer.flush();
}

#[test]
fn an_attack_amid_hostile_records_is_found_and_what_they_say_is_harmless() {
    let Some(kafka) = kafka::shared() else { return };
    // As a careless operator sets a topic up: large records, and whatever time a producer claims.
    let year_10000 = "253402300800000";
    let settings = [
        ("max.message.bytes", "4194304"),
        ("message.timestamp.after.max.ms", year_10000),
        ("retention.ms", "-1"),
    ];
    let Some(world) = World::with(kafka, "hostile", 3, &settings) else { return };
    let dead = format!("{}-dead", world.name);
    kafka.topic(&dead, 1);
    let config = world.config_of(&kafka.bootstrap, &format!("  dead_letter_topic: {dead}"), ENTRY, SECTIONS);
    let mut service = Beaconfire::start(world.path(), "hostile", &config);
    service.ready();

    // Ordinary visits first, so that there is something to disturb.
    let producer = world.producer();
    for n in 0..90 {
        let line = request(now(), &format!("198.18.0.{n}"), "/", 200);
        producer.send(&world.name, Some(n % 3), None, line.as_bytes());
    }
    producer.flush();
    world.read_to_the_end();
    send_garbage(&world, &producer);
    send_odd_times(&world, &producer);
    send_attack(&world, &producer, 300);
    // One byte that is not UTF-8 hides nobody.
    let broken = [attack(now()).strip_suffix(b"}").expect("an object"), b",\"x\":\"\xff\"}"].concat();
    producer.send(&world.name, Some(0), None, &broken);
    producer.flush();

    let flood = || service.incidents().into_iter().find(|incident| incident["kind"] == "flood");
    eventually("the flood is found, with samples", PATIENCE, || {
        send_attack(&world, &producer, 6);
        flood().is_some_and(|flood| flood["samples"].as_array().is_some_and(|samples| !samples.is_empty()))
    });
    producer.send(&world.name, None, None, finding().as_bytes());
    // Worse than it was: everybody is told anew, now with samples.
    send_attack(&world, &producer, 1_500);
    world.read_to_the_end();
    eventually("both incidents are critical", PATIENCE, || {
        let found = service.incidents();
        found.len() == 2 && found.iter().all(|incident| incident["severity"] == "critical")
    });
    world.all_told(&service);

    let found = service.incidents();
    nobody_else_is_disturbed(&world, &service, &found);
    counted_and_set_aside(&world, &service, &dead);
    harmless_on_the_console(&service, &found);
    harmless_in_channels(&world);
    assert!(service.alive());
    let log = std::fs::read_to_string(world.path().join("hostile.log")).expect("a log");
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains(SECRET) && !log.contains("\u{1b}]0;owned"), "{log}");
    service.stop(Duration::from_secs(10));
}

/// A finding whose names are hostile.
fn finding() -> String {
    json!({
        "time": now(), "rule": RULE, "priority": "Critical", "source": "syscall", "output": "",
        "output_fields": {
            "k8s.ns.name": "shop", "k8s.pod.name": POD, "proc.name": AGENT,
            "proc.cmdline": format!("curl '{PATH}'"),
        },
    })
    .to_string()
}

fn nobody_else_is_disturbed(world: &World, service: &Beaconfire, found: &[Value]) {
    let kinds: BTreeSet<&str> = found.iter().map(|one| one["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["flood", "intrusion"].into());
    let flood = found.iter().find(|one| one["kind"] == "flood").expect("a flood");
    let clients: Vec<&Value> = flood["participants"]
        .as_array()
        .expect("participants")
        .iter()
        .filter(|one| one["kind"] == "client")
        .map(|one| &one["value"])
        .collect();
    assert_eq!(clients, [ATTACKER]);
    let year = format!("\"{}", jiff::Timestamp::from_millisecond(now()).expect("a time").strftime("%Y"));
    for name in ["started_at", "detected_at", "last_seen_at"] {
        assert!(flood[name].to_string().starts_with(&year), "{flood}");
    }
    // Late are the two of 1970 on each partition, and nothing else; the two of 2100 count at the broker's time.
    let count = |name: &str| service.metric(&format!("beaconfire_{name}{{topic=\"{}\"}}", world.name));
    assert_eq!(count("late_records_total"), Some(6.0));
    assert_eq!(count("skewed_records_total"), Some(9.0));
    let sources = service.json("/api/v1/sources");
    for source in sources["items"].as_array().expect("sources") {
        assert!(source["watermark"].to_string().starts_with(&year), "{source}");
    }
}

/// Each refused record was counted by its reason, and is in the dead letter topic with where it came from.
fn counted_and_set_aside(world: &World, service: &Beaconfire, dead: &str) {
    let kafka: &Kafka = world.kafka;
    let sent: BTreeMap<(i32, i64), Got> = kafka
        .records(&world.name, 3)
        .into_iter()
        .map(|got| ((got.partition, got.offset), got))
        .filter(|(_, got)| got.key.starts_with("bad:"))
        .collect();
    assert_eq!(sent.len(), garbage().len() + 6);
    eventually("all dead letters are in their topic", PATIENCE, || {
        kafka.ends(dead, 1) == [i64::try_from(sent.len()).expect("a small number")]
    });
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    let mut set_aside = BTreeSet::new();
    for letter in kafka.records(dead, 1) {
        let header =
            |name: &str| letter.headers.get(name).unwrap_or_else(|| panic!("no {name}: {letter:?}")).clone();
        let place: (i32, i64) = (
            header("dlq.partition").parse().expect("a partition"),
            header("dlq.offset").parse().expect("an offset"),
        );
        assert_eq!(header("dlq.topic"), world.name);
        let origin =
            sent.get(&place).unwrap_or_else(|| panic!("{place:?} was not to be refused: {letter:?}"));
        assert!(set_aside.insert(place), "{place:?} is there twice");
        let (reason, expected) = (header("dlq.reason"), origin.key.trim_start_matches("bad:"));
        assert!(expected.is_empty() || reason == expected, "{reason}, not {expected}");
        *reasons.entry(reason).or_default() += 1;
        match (&letter.payload, &origin.payload) {
            (None, None) => {}
            // Nobody knows where the queries of such a record are.
            (Some(kept), Some(_)) if letter.headers.contains_key("dlq.withheld") => {
                assert!(String::from_utf8_lossy(kept).starts_with("withheld: "), "{letter:?}");
            }
            // A query string is cut out, and broken bytes with it.
            (Some(kept), Some(whole)) if whole[..whole.len().min(64 << 10)].contains(&b'?') => {
                assert!(!String::from_utf8_lossy(kept).contains(SECRET));
            }
            (Some(kept), Some(whole)) => {
                assert!(whole.starts_with(kept) && kept.len() >= whole.len().min(64 << 10))
            }
            (kept, _) => panic!("{} bytes of {place:?}", kept.as_ref().map_or(0, Vec::len)),
        }
    }
    assert_eq!(set_aside.len(), sent.len());
    let topic = &world.name;
    for (reason, count) in reasons {
        for name in ["dead_letters_total", "rejected_records_total"] {
            let sample = format!("beaconfire_{name}{{reason=\"{reason}\",topic=\"{topic}\"}}");
            assert_eq!(service.metric(&sample), Some(f64::from(count)), "{sample}");
        }
    }
    let rejected =
        format!("beaconfire_records_total{{format=\"unknown\",result=\"rejected\",topic=\"{topic}\"}}");
    assert_eq!(service.metric(&rejected), Some(sent.len() as f64));
}

/// Pages hold none of it as markup, and neither pages nor JSON a character that cannot be seen.
fn harmless_on_the_console(service: &Beaconfire, found: &[Value]) {
    let mut paths = vec!["/".to_owned()];
    paths.extend(found.iter().map(|one| format!("/incidents/{}", one["id"].as_str().expect("an id"))));
    for path in paths {
        let page = service.text(&path);
        assert!(page.contains("&lt;script&gt;") && page.contains("\\u{1b}"), "{path}: {page}");
        is_harmless_markup(&page);
        assert!(!page.contains(SECRET), "{page}");
    }
    for incident in found {
        is_harmless_text(incident, &[]);
        assert!(!incident.to_string().contains(SECRET), "{incident}");
    }
}

fn harmless_in_channels(world: &World) {
    // The stand-ins check each request against the contract; Slack's would have seen a mention.
    assert_eq!(world.faults(), Vec::<String>::new());
    let posts: Vec<Value> = world
        .slack
        .messages()
        .into_iter()
        .map(|post| json!({"text": post.text, "blocks": post.blocks}))
        .collect();
    let whole = json!(posts).to_string();
    assert!(whole.contains("&lt;!channel&gt;") && whole.contains("&lt;!everyone&gt;"), "{whole}");
    assert!(!whole.contains("<https://evil.example") && !whole.contains("<@U0>"), "{whole}");
    is_harmless_text(&json!(posts), &['\n']);

    let alerts = world.pager.alerts();
    assert_eq!(alerts.len(), 2);
    for alert in alerts.values() {
        assert!(alert.details["samples"].to_string().contains("<script>"), "{alert:?}");
        is_harmless_text(&json!([alert.summary, alert.details]), &[]);
    }
    let calls: Vec<Value> = world.hook.calls().into_iter().map(|call| call.body).collect();
    assert!(calls.iter().any(|call| call.to_string().contains("<!everyone>")), "{calls:?}");
    is_harmless_text(&json!(calls), &[]);

    let mails = world.smtp.mails();
    assert!(mails.len() >= 3, "{} mails", mails.len());
    let mut all_text = String::new();
    for mail in &mails {
        let (head, _) = mail.split_once("\r\n\r\n").expect("headers");
        let names: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().unwrap_or_default())
            .collect();
        let count = |name: &str| names.iter().filter(|held| held.eq_ignore_ascii_case(name)).count();
        assert_eq!((count("Subject"), count("Bcc"), count("X-Evil"), count("To")), (1, 0, 0, 1), "{head}");
        let parts = parts(mail);
        let [text, html] = &parts[..] else { panic!("{} parts: {mail}", parts.len()) };
        // One picture is ours.
        is_harmless_markup(&html.replacen("<img src=\"cid:rate-", "", 1));
        is_visible(text, &['\r', '\n']);
        all_text.push_str(text);
        all_text.push_str(html);
    }
    assert!(all_text.contains("&lt;script&gt;") && all_text.contains("\\u{1b}"), "{all_text}");
    for told in [whole, format!("{alerts:?}"), json!(calls).to_string(), all_text] {
        assert!(!told.contains(SECRET), "{told}");
    }
}

/// No tag of a sender's is one here.
fn is_harmless_markup(page: &str) {
    for tag in ["<script>alert", "<img", "<!channel", "<!here", "<!everyone", "<https:"] {
        assert!(!page.contains(tag), "{tag}: {page}");
    }
    is_visible(page, &['\r', '\n']);
}

fn is_harmless_text(value: &Value, allowed: &[char]) {
    match value {
        Value::String(text) => is_visible(text, allowed),
        Value::Array(items) => items.iter().for_each(|item| is_harmless_text(item, allowed)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            is_visible(name, &[]);
            is_harmless_text(value, allowed);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// No character moves a cursor or turns the writing round.
fn is_visible(text: &str, allowed: &[char]) {
    let hidden = |c: char| (c.is_control() || c == '\u{202e}') && !allowed.contains(&c);
    assert!(!text.contains(hidden), "{text:?}");
}

/// The parts of a mail that are text, decoded.
fn parts(mail: &str) -> Vec<String> {
    let boundary =
        mail.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a boundary");
    let boundary = format!("--{boundary}");
    let parts = mail.split(&boundary).skip(1).filter(|part| !part.starts_with("--"));
    parts
        .flat_map(|part| {
            let (head, body) = part.split_once("\r\n\r\n").expect("a part's headers");
            match head.to_ascii_lowercase() {
                head if head.contains("multipart/") => self::parts(part),
                head if head.contains("image/png") => Vec::new(),
                head if head.contains("quoted-printable") => vec![quoted_printable(body)],
                head if head.contains("base64") => {
                    let bytes = STANDARD.decode(body.replace("\r\n", "")).expect("base64");
                    vec![String::from_utf8(bytes).expect("text")]
                }
                _ => vec![body.to_owned()],
            }
        })
        .collect()
}

fn quoted_printable(body: &str) -> String {
    let body = body.replace("=\r\n", "");
    let mut pieces = body.split('=');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).expect("two hex digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("text")
}
