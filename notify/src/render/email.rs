//! Mails: plain text for pagers and terminals, HTML with a picture for the rest, with the same content. HTML is made by
//! maud, which escapes, or by a template of the operator's, which does too; headers hold cleaned text only, so no line
//! end gets into one.

use std::time::{Duration, UNIX_EPOCH};

use beaconfire_model::Severity;
use beaconfire_outbox::{Action, Handle};
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Attachment, Mailbox, MessageBuilder, MultiPart, SinglePart};
use maud::{DOCTYPE, html};

use super::picture::{self, Picture};
use super::{Facts, words};
use crate::message::{Matter, Message, word};
use crate::templates::Own;

/// Most characters of a subject.
const SUBJECT_MAX: usize = 180;

/// Longest plain text that a template makes, in bytes.
const TEXT_MAX: usize = 64 * 1024;

/// What a mail consists of.
struct Parts {
    text: String,
    html: String,
    /// What the HTML shows, and by which name.
    picture: Option<(String, Picture)>,
}

/// The Message-ID of the first mail about this matter.
pub(crate) fn root(message: &Message<'_>, from: &Mailbox) -> Handle {
    match message.handle {
        Some(handle) if is_message_id(&handle.0) => handle.clone(),
        _ => Handle(id(message, &thread(message), &word_of_host(from.email.domain()))),
    }
}

/// A mail from `from` to `to`, as it goes over the wire. Should the full one not come together, a bare one does: a
/// page is never lost to its looks.
pub(crate) fn mail(
    message: &Message<'_>,
    own: &Own,
    from: &Mailbox,
    to: &[Mailbox],
) -> Result<Vec<u8>, String> {
    let facts = Facts::of(message);
    let parts = parts(message, &facts, own);
    let text = parts.text.clone();
    let mail = match headers(message, &facts, own, from, to).multipart(parts.together()) {
        Ok(mail) => mail,
        Err(error) => {
            tracing::warn!(%error, "a mail could not be rendered; it goes out as bare text");
            let bare =
                to.iter().cloned().fold(lettre::Message::builder().from(from.clone()), MessageBuilder::to);
            let bare = bare.message_id(Some(root(message, from).0)).subject("[Beaconfire] alert");
            bare.header(ContentType::TEXT_PLAIN).body(text).map_err(|error| error.to_string())?
        }
    };
    Ok(mail.formatted())
}

/// The same mail for people to read: its headers as they travel, its parts as they are before they are encoded.
pub(crate) fn shown(message: &Message<'_>, own: &Own, from: &Mailbox, to: &[Mailbox]) -> String {
    let facts = Facts::of(message);
    let Parts { text, html, picture } = parts(message, &facts, own);
    let mail = mail(message, own, from, to).unwrap_or_default();
    let mail = String::from_utf8_lossy(&mail);
    let head = mail.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n", "\n");
    let mut out = format!("{head}\n\n--- text/plain\n{text}\n--- text/html\n{html}\n");
    if let Some((id, picture)) = picture {
        let Picture { png, alt } = picture;
        out.push_str(&format!("\n--- image/png, {} bytes, Content-ID <{id}>\n{alt}\n", png.len()));
    }
    out
}

fn parts(message: &Message<'_>, facts: &Facts, own: &Own) -> Parts {
    let picture = match message.matter {
        Matter::Incident(about) => picture::of(&about).map(|picture| (picture::id(message), picture)),
        Matter::Storm(_) | Matter::Test | Matter::StoreDown { .. } => None,
    };
    let text = own.text.as_ref().map(|text| format!("{}\n", cut(text, TEXT_MAX)));
    let html = own.html.clone().unwrap_or_else(|| page(facts, picture.as_ref()));
    Parts {
        text: text.unwrap_or_else(|| self::text(facts)),
        // A picture that nothing shows would hang on the mail as a file.
        picture: picture.filter(|(id, _)| html.contains(&format!("cid:{id}"))),
        html,
    }
}

impl Parts {
    fn together(self) -> MultiPart {
        let plain = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(self.text);
        let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(self.html);
        let both = MultiPart::alternative().singlepart(plain);
        let png = "image/png".parse::<ContentType>();
        let (Some((id, picture)), Ok(png)) = (self.picture, png) else { return both.singlepart(html) };
        let picture = Attachment::new_inline(id).body(picture.png, png);
        both.multipart(MultiPart::related().singlepart(html).singlepart(picture))
    }
}

/// Text cut to at most `max` bytes, saying so.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

fn headers(
    message: &Message<'_>,
    facts: &Facts,
    own: &Own,
    from: &Mailbox,
    to: &[Mailbox],
) -> MessageBuilder {
    let (root, domain) = (root(message, from), word_of_host(from.email.domain()));
    let mut headers =
        to.iter().cloned().fold(lettre::Message::builder().from(from.clone()), MessageBuilder::to);
    headers = headers
        .date(UNIX_EPOCH + Duration::from_millis(u64::try_from(message.now.millis()).unwrap_or(0)))
        .subject(subject(message, facts, own))
        .header(MIME_VERSION_1_0);
    headers = match reply(message) {
        None => headers.message_id(Some(root.0.clone())),
        Some(which) => headers
            .message_id(Some(id(message, &which, &domain)))
            .in_reply_to(root.0.clone())
            .references(root.0.clone()),
    };
    let severity = facts.severity.unwrap_or(Severity::Info);
    let mut extra = vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("List-Id", list(message.site.installation, &domain)),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("X-Beaconfire-Incident", message.topic().into_owned()),
        ("X-Beaconfire-Severity", severity.name().to_owned()),
        ("X-Beaconfire-Notification", word(message.notification_id)),
    ];
    if severity == Severity::Critical && matches!(message.action, Action::Open | Action::Update) {
        extra.extend([("Importance", "high".to_owned()), ("X-Priority", "1".to_owned())]);
    }
    for (name, value) in extra {
        if let Ok(name) = HeaderName::new_from_ascii(name.to_owned()) {
            headers = headers.raw_header(HeaderValue::new(name, value));
        }
    }
    headers
}

/// The subject never changes within a thread, or mail programs would take it apart; how it stands is the first line.
fn subject(message: &Message<'_>, facts: &Facts, own: &Own) -> String {
    if let Some(subject) = &own.title {
        return words::cut(subject, SUBJECT_MAX);
    }
    let subject = match message.matter {
        Matter::Incident(about) => {
            let short: String = about.dossier.incident.id.as_str().chars().take(8).collect();
            format!("[Beaconfire] {} ({short})", words::cut(&facts.stem, SUBJECT_MAX - 25))
        }
        Matter::Storm(storm) => format!("[Beaconfire] {} ({})", facts.stem, storm.digest.id.0),
        Matter::Test => format!("[Beaconfire] [{}] {}", facts.standing, facts.stem),
        Matter::StoreDown { .. } => format!("[Beaconfire] {} does not take writes", facts.stem),
    };
    words::cut(&subject.replace(['\r', '\n'], " "), SUBJECT_MAX)
}

/// The list that all mails of an installation are of (RFC 2919), for filters: its name never changes.
fn list(installation: &str, domain: &str) -> String {
    let label: String = word(installation).to_ascii_lowercase().chars().take(63).collect();
    let domain = if domain.is_empty() { "localhost" } else { domain };
    let list: String = format!("{label}.beaconfire.{domain}").chars().take(255).collect();
    format!("Beaconfire <{list}>")
}

/// What tells a thread's first mail from other threads of its topic: the store may go down more than once.
fn thread(message: &Message<'_>) -> String {
    match message.matter {
        Matter::Incident(_) | Matter::Storm(_) | Matter::Test => "0".to_owned(),
        Matter::StoreDown { since, .. } => since.millis().to_string(),
    }
}

/// What tells a later mail from the first one of its thread; nothing for the first one.
fn reply(message: &Message<'_>) -> Option<String> {
    match message.matter {
        Matter::Incident(about) => message.handle.map(|_| about.revision.max(1).to_string()),
        Matter::Storm(storm) => message.handle.map(|_| storm.digest.messages.saturating_add(1).to_string()),
        Matter::Test => None,
        Matter::StoreDown { since, .. } => {
            (message.action == Action::Resolve).then(|| format!("{}-up", since.millis()))
        }
    }
}

/// `<installation.topic.revision@domain>`: the same on every try, so that a repeat collapses in the mailbox.
fn id(message: &Message<'_>, which: &str, domain: &str) -> String {
    format!("<{}.{which}@{domain}>", message.dedup_key())
}

/// A domain as it may stand in a Message-ID.
fn word_of_host(host: &str) -> String {
    host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect()
}

/// Whether a stored handle may stand in a header.
fn is_message_id(text: &str) -> bool {
    text.starts_with('<') && text.ends_with('>') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn text(facts: &Facts) -> String {
    let mut out = format!("{}: {}\n\n{}\n", facts.standing, facts.title, facts.course);
    if let Some(news) = &facts.news {
        out.push_str(&format!("Now: {news}\n"));
    }
    for remark in &facts.remarks {
        out.push_str(&format!("{remark}\n"));
    }
    let participants: Vec<String> =
        facts.participants.iter().map(|(who, events)| format!("{who}: {events}")).collect();
    let who = format!("Who: {}", facts.crowd);
    let lists = [
        ("Numbers", &facts.rules),
        (who.as_str(), &participants),
        ("Done about it", &facts.decisions),
        ("Samples", &facts.samples),
        ("Incidents", &facts.incidents),
    ];
    for (title, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        out.push_str(&format!("\n{title}\n"));
        for line in lines {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out.push('\n');
    for (title, href) in [("Open it", &facts.console), ("Runbook", &facts.runbook)] {
        if let Some(href) = href {
            out.push_str(&format!("{title}: {href}\n"));
        }
    }
    // The line that mail programs take for the beginning of a signature.
    out.push_str(&format!("\n-- \n{}\n", facts.colophon));
    out
}

/// Styles stand in the elements: mail programs drop style sheets.
fn page(facts: &Facts, picture: Option<&(String, Picture)>) -> String {
    let colour = match facts.severity {
        _ if facts.over => "#1a7f37",
        Some(Severity::Critical) => "#b42318",
        Some(Severity::Error) => "#c4501b",
        Some(Severity::Warning) => "#946200",
        Some(Severity::Info) | None => "#0b5cad",
    };
    let heading = "font-size:15px;margin:18px 0 4px";
    let list = "margin:0;padding-left:20px";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (facts.stem) } }
            body style="font:15px/1.5 system-ui,sans-serif;margin:0;padding:16px" {
                p style=(format!("margin:0;font-weight:700;color:{colour}")) { (facts.standing) }
                h1 style="font-size:19px;margin:2px 0 8px" { (facts.title) }
                p style="margin:0" { (facts.course) }
                @if let Some(news) = &facts.news { p style="margin:8px 0 0" { b { "Now: " } (news) } }
                @for remark in &facts.remarks { p style="margin:8px 0 0" { (remark) } }
                @if let Some((id, picture)) = picture {
                    img src=(format!("cid:{id}")) alt=(picture.alt) width=(picture::WIDTH / 2)
                        height=(picture::HEIGHT / 2)
                        style="display:block;margin:12px 0 0;max-width:100%;height:auto";
                }
                @if !facts.rules.is_empty() {
                    h2 style=(heading) { "Numbers" }
                    ul style=(list) { @for line in &facts.rules { li { (line) } } }
                }
                @if !facts.participants.is_empty() {
                    h2 style=(heading) { "Who: " (facts.crowd) }
                    table cellpadding="0" cellspacing="0" {
                        @for (who, events) in &facts.participants {
                            tr { td style="padding-right:24px" { (who) } td align="right" { (events) } }
                        }
                    }
                }
                @if !facts.decisions.is_empty() {
                    h2 style=(heading) { "Done about it" }
                    ul style=(list) { @for line in &facts.decisions { li { (line) } } }
                }
                @if !facts.samples.is_empty() {
                    h2 style=(heading) { "Samples" }
                    pre style="margin:0;white-space:pre-wrap;font-size:13px" {
                        @for line in &facts.samples { (line) "\n" }
                    }
                }
                @if !facts.incidents.is_empty() {
                    h2 style=(heading) { "Incidents" }
                    p style="margin:0;font-size:12px" { @for id in &facts.incidents { (id) " " } }
                }
                p style="margin:18px 0 0" {
                    @if let Some(href) = &facts.console { a href=(href) { "Open in Beaconfire" } " " }
                    @if let Some(href) = &facts.runbook { a href=(href) { "Runbook" } }
                }
                p style="margin:18px 0 0;color:#667085;font-size:12px" { (facts.colophon) }
            }
        }
    };
    page.into_string()
}
