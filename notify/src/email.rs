//! SMTP, on connections of our own keeping. lettre speaks the protocol; its pool is not used, because it takes back
//! a connection whose conversation was cut off by a timeout, and the next mail would read the last one's answer.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use beaconfire_outbox::{Handle, Outcome};
use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::time::{Instant, timeout};

use crate::exchange::{Scrub, Trace};
use crate::http::{certificate_fault, ensure_crypto_provider, root_cause};
use crate::knobs::EmailKnobs;
use crate::message::{Matter, Message};
use crate::render;
use crate::templates::Own;

/// Connections that are kept open for the next mail, and for how long.
const IDLE: usize = 4;
const IDLE_FOR: Duration = Duration::from_secs(60);

/// Mails that some recipients have and others may take later, at most, and for how long those are tried again:
/// greylisting lasts minutes, a full mailbox days, and meanwhile nobody here hears of what comes next.
const PARTLY: usize = 256;
const PARTLY_FOR: Duration = Duration::from_secs(15 * 60);

/// Mail.
pub struct Email {
    host: String,
    port: u16,
    from: Mailbox,
    to: Vec<Mailbox>,
    hello: ClientId,
    credentials: Option<Credentials>,
    tls: Tls,
    within: Duration,
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
    partly: Mutex<VecDeque<Partly>>,
    pub(crate) partly_for: Duration,
    scrub: Scrub,
}

/// A mail that some recipients have and others were refused for now. In memory alone: where this is forgotten, the mail
/// goes to all again, with the same Message-ID.
#[derive(Debug)]
struct Partly {
    root: Handle,
    notification_id: String,
    /// How far the incident was.
    revision: Option<u32>,
    since: Instant,
    /// Who has it, by place among the recipients.
    has: Vec<bool>,
    /// What was said to the others.
    said: Box<str>,
}

enum Tls {
    None,
    /// By STARTTLS.
    Upgraded(TlsParameters),
    FromTheFirstByte(TlsParameters),
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    /// The server's code, where it answered.
    code: Option<u16>,
    /// Waiting will not help: a certificate, a mechanism, an extension that is not there.
    ours: bool,
    /// In words.
    said: String,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Email").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Email {
    pub(crate) fn build(knobs: &EmailKnobs, within: Duration) -> Result<Self, String> {
        ensure_crypto_provider();
        let (host, port) = knobs
            .smarthost
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.trim_matches(['[', ']']), port.parse().ok()?)))
            .filter(|(host, _)| !host.is_empty())
            .ok_or_else(|| format!("{} is not HOST:PORT", knobs.smarthost))?;
        let to: Vec<Mailbox> = knobs.to.iter().map(|to| mailbox(to)).collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err("nobody is to get the mail".into());
        }
        let tls = if port == 465 {
            Tls::FromTheFirstByte(parameters(knobs, host)?)
        } else if knobs.require_tls {
            Tls::Upgraded(parameters(knobs, host)?)
        } else {
            Tls::None
        };
        if knobs.login.is_some() && matches!(tls, Tls::None) {
            return Err("without TLS the password would go over the network in the clear".into());
        }
        let hello = knobs.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
        let credentials = knobs
            .login
            .as_ref()
            .map(|(user, password)| Credentials::new(user.clone(), password.expose().to_owned()));
        Ok(Self {
            host: host.to_owned(),
            port,
            from: mailbox(&knobs.from)?,
            to,
            hello,
            credentials,
            tls,
            within,
            idle: Mutex::new(Vec::new()),
            partly: Mutex::default(),
            partly_for: PARTLY_FOR,
            scrub: Scrub::new(knobs.login.iter().map(|(_, password)| password)),
        })
    }

    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    /// Sends a mail to all recipients. Some may be refused for now: while what is told stays the same, those are tried
    /// again and the others left alone. What comes next goes to all at once, in the same thread.
    pub(crate) async fn send(&self, message: &Message<'_>, own: &Own, trace: &mut Trace<'_>) -> Outcome {
        if trace.is_dry() {
            trace.show(|| render::email::shown(message, own, &self.from, &self.to));
            return Outcome::accepted(None);
        }
        let root = render::email::root(message, &self.from);
        let revision = match message.matter {
            Matter::Incident(about) => Some(about.dossier.incident.revision),
            Matter::Storm(storm) => Some(storm.digest.messages.saturating_add(1)),
            Matter::Test | Matter::StoreDown { .. } => None,
        };
        let mut message = *message;
        let mut partly = Partly {
            root: root.clone(),
            notification_id: message.notification_id.to_owned(),
            revision,
            since: Instant::now(),
            has: vec![false; self.to.len()],
            said: Box::default(),
        };
        let mut before = None;
        match self.recall(&root) {
            Some(earlier) if earlier.notification_id != message.notification_id => {
                message.handle = Some(&root);
                before = Some(earlier);
            }
            // Rather the news to all than old news to a few.
            Some(earlier) if earlier.revision != revision => {
                return Outcome::Accepted { remote: Some(root), said: Some(earlier.said) };
            }
            Some(earlier) => partly = earlier,
            None => {}
        }
        let mail = match render::email::mail(&message, own, &self.from, &self.to) {
            Ok(mail) => mail,
            Err(said) => return Outcome::Rejected { said: self.scrub.said(&said) },
        };
        let fault = match timeout(self.within, self.hand_over(&mail, &mut partly.has, trace)).await {
            Ok(Ok(refused)) => return self.handed_over(partly, &refused),
            Ok(Err(fault)) => fault,
            Err(_) => {
                let said = format!("no answer from {} within {} s", self.name(), self.within.as_secs_f64());
                trace.step(String::new, || said.clone());
                Fault { code: None, ours: false, said }
            }
        };
        match judge(&fault, self.scrub.said(&fault.said)) {
            // It is no dead letter: some have it.
            Outcome::Rejected { said } if partly.is_had() => {
                Outcome::Accepted { remote: Some(root), said: Some(said) }
            }
            outcome => {
                // Also where nobody has this one: it is still no thread's first mail.
                if let Some(kept) = if partly.is_had() { Some(partly) } else { before } {
                    self.remember(kept);
                }
                outcome
            }
        }
    }

    /// What a mail came to that somebody has.
    fn handed_over(&self, mut partly: Partly, refused: &[(&Address, Fault)]) -> Outcome {
        let remote = Some(partly.root.clone());
        if refused.is_empty() {
            return Outcome::accepted(remote);
        }
        let refusals: Vec<String> =
            refused.iter().map(|(to, fault)| format!("{to}: {}", fault.said)).collect();
        let said = self.scrub.said(&format!("the others have it, but not {}", refusals.join("; ")));
        let passes = refused.iter().any(|(_, fault)| matches!(fault.code, Some(400..=499)));
        if !passes || partly.since.elapsed() >= self.partly_for {
            return Outcome::Accepted { remote, said: Some(said) };
        }
        partly.said = said.clone();
        self.remember(partly);
        Outcome::Deferred { after: None, said }
    }

    /// One mail over one connection, to those who do not have it; returns whom it was refused for. Whatever goes wrong,
    /// or takes too long, ends the connection with it.
    async fn hand_over(
        &self,
        mail: &[u8],
        has: &mut [bool],
        trace: &mut Trace<'_>,
    ) -> Result<Vec<(&Address, Fault)>, Fault> {
        let mut line = match self.idle().await {
            Some(line) => line,
            None => self.connect(trace).await?,
        };
        let from = Mail::new(Some(self.from.email.clone()), Vec::new());
        command(&mut line, from, trace).await.map_err(Fault::before_the_mail)?;
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (to, has) in self.to.iter().zip(has.iter_mut()).filter(|(_, has)| !**has) {
            match command(&mut line, Rcpt::new(to.email.clone(), Vec::new()), trace).await {
                Ok(()) => taken.push(has),
                Err(fault) if fault.code.is_some() => refused.push((&to.email, fault)),
                // The connection is gone, and the other recipients with it.
                Err(fault) => return Err(fault),
            }
        }
        if taken.is_empty() {
            if refused.len() < self.to.len() {
                return Ok(refused);
            }
            // Rather late than never: while one of them may take it, it is tried again.
            let (_, fault) = refused.into_iter().min_by_key(|(_, fault)| fault.code).ok_or_else(nobody)?;
            return Err(fault);
        }
        command(&mut line, Data, trace).await?;
        let answer = line.message(mail).await;
        let said = answer.map_err(Fault::of);
        let shown = || String::from_utf8_lossy(mail).into_owned();
        trace.step(shown, || said.as_ref().map_or_else(|fault| fault.said.clone(), spoken));
        said?;
        taken.into_iter().for_each(|has| *has = true);
        self.keep(line);
        Ok(refused)
    }

    fn recall(&self, root: &Handle) -> Option<Partly> {
        let mut partly = self.partly.lock().unwrap_or_else(PoisonError::into_inner);
        let at = partly.iter().position(|held| held.root == *root)?;
        partly.remove(at)
    }

    fn remember(&self, one: Partly) {
        let mut partly = self.partly.lock().unwrap_or_else(PoisonError::into_inner);
        if partly.len() >= PARTLY {
            partly.pop_front();
        }
        partly.push_back(one);
    }

    async fn connect(&self, trace: &mut Trace<'_>) -> Result<AsyncSmtpConnection, Fault> {
        let line = self.open().await.map_err(Fault::before_the_mail);
        let way = match self.tls {
            Tls::None => "no TLS",
            Tls::Upgraded(_) => "STARTTLS, certificate checked",
            Tls::FromTheFirstByte(_) => "TLS, certificate checked",
        };
        let login = if self.credentials.is_some() { ", AUTH" } else { "" };
        trace.step(
            || format!("CONNECT {} ({way}{login})", self.name()),
            || line.as_ref().map_or_else(|fault| fault.said.clone(), |_| "ready".into()),
        );
        line
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, Fault> {
        let at_once = match &self.tls {
            Tls::FromTheFirstByte(parameters) => Some(parameters.clone()),
            Tls::None | Tls::Upgraded(_) => None,
        };
        let address = (self.host.as_str(), self.port);
        let mut line =
            AsyncSmtpConnection::connect_tokio1(address, Some(self.within), &self.hello, at_once, None)
                .await
                .map_err(Fault::of)?;
        if let Tls::Upgraded(parameters) = &self.tls {
            if !line.can_starttls() {
                return Err(Fault::ours(format!("{} does not offer STARTTLS", self.name())));
            }
            line.starttls(parameters.clone(), &self.hello).await.map_err(Fault::of)?;
        }
        if let Some(credentials) = &self.credentials {
            line.auth(DEFAULT_MECHANISMS, credentials).await.map_err(Fault::of)?;
        }
        Ok(line)
    }

    /// A connection that was kept and still answers.
    async fn idle(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (since, mut line) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            // RSET clears whatever an earlier mail left, and tells whether anybody is there.
            if since.elapsed() < IDLE_FOR && line.command(Rset).await.is_ok() {
                return Some(line);
            }
        }
    }

    fn keep(&self, line: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| since.elapsed() < IDLE_FOR);
        if idle.len() < IDLE {
            idle.push((Instant::now(), line));
        }
    }
}

impl Partly {
    /// Whether anybody has it.
    fn is_had(&self) -> bool {
        self.has.contains(&true)
    }
}

/// What a fault means: 4yz and the network pass, what a login or certificate lacks somebody must mend, other 5yz are
/// about this mail.
fn judge(fault: &Fault, said: Box<str>) -> Outcome {
    match fault.code {
        Some(530 | 534 | 535 | 538) => Outcome::Misconfigured { said },
        Some(500..=599) => Outcome::Rejected { said },
        Some(_) => Outcome::Deferred { after: None, said },
        None if fault.ours => Outcome::Misconfigured { said },
        None => Outcome::Deferred { after: None, said },
    }
}

impl Fault {
    fn of(error: lettre::transport::smtp::Error) -> Self {
        let certificate = certificate_fault(&error);
        let said = match &certificate {
            Some(fault) => format!("the server's certificate is not trusted: {fault}"),
            None if error.status().is_some() || error.is_client() => error.to_string(),
            None => format!("the mail server cannot be reached: {}", root_cause(&error)),
        };
        let code = error.status().map(u16::from);
        Self { code, ours: certificate.is_some() || error.is_client(), said }
    }

    /// A refusal for good that comes before the mail's own turn (a greeting, a login, a sender) meets every mail: it is
    /// about the configuration, and says nothing against this one.
    fn before_the_mail(self) -> Self {
        match self.code {
            Some(500..=599) => Self { code: None, ours: true, ..self },
            _ => self,
        }
    }

    fn ours(said: String) -> Self {
        Self { code: None, ours: true, said }
    }
}

fn nobody() -> Fault {
    Fault::ours("nobody is to get the mail".into())
}

async fn command<C: std::fmt::Display>(
    line: &mut AsyncSmtpConnection,
    command: C,
    trace: &mut Trace<'_>,
) -> Result<(), Fault> {
    let sent = command.to_string();
    let answer = line.command(command).await.map_err(Fault::of);
    trace.step(|| sent, || answer.as_ref().map_or_else(|fault| fault.said.clone(), spoken));
    answer.map(|_| ())
}

fn spoken(response: &Response) -> String {
    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join("\n"))
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    let mailbox: Mailbox = text.parse().map_err(|error| format!("{text:?} is no mail address: {error}"))?;
    let ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if ascii(&mailbox.email) {
        Ok(mailbox)
    } else {
        Err(format!("{text:?}: addresses beyond ASCII: not in this version"))
    }
}

fn parameters(knobs: &EmailKnobs, host: &str) -> Result<TlsParameters, String> {
    let name = knobs.server_name.clone().unwrap_or_else(|| host.to_owned());
    let mut builder = TlsParameters::builder(name);
    if let Some(path) = &knobs.ca_file {
        let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let pem = fs::read(path).map_err(|error| unreadable(&error))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| format!("TLS: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_judged_by_what_helps() {
        let fault = |code, ours| judge(&Fault { code, ours, said: String::new() }, "".into()).name();
        for (code, ours, outcome) in [
            (Some(421), false, "deferred"),
            (Some(450), false, "deferred"),
            (Some(451), false, "deferred"),
            (Some(454), false, "deferred"),
            (Some(530), false, "misconfigured"),
            (Some(534), false, "misconfigured"),
            (Some(535), false, "misconfigured"),
            (Some(550), false, "rejected"),
            (Some(552), false, "rejected"),
            (Some(554), false, "rejected"),
            (None, true, "misconfigured"),
            (None, false, "deferred"),
        ] {
            assert_eq!(fault(code, ours), outcome, "{code:?} {ours}");
        }
    }

    #[test]
    fn knobs_that_cannot_work_are_refused() {
        let good = EmailKnobs {
            smarthost: "smtp.example.com:587".into(),
            from: "Beaconfire <beaconfire@example.com>".into(),
            to: vec!["oncall@example.com".into()],
            hello: None,
            login: Some(("u".into(), beaconfire_model::Secret::new("pass"))),
            require_tls: true,
            ca_file: None,
            server_name: None,
        };
        let build = |knobs: EmailKnobs| Email::build(&knobs, Duration::from_secs(1)).map(|_| ());
        assert_eq!(build(good.clone()), Ok(()));
        let bad = [
            EmailKnobs { smarthost: "smtp.example.com".into(), ..good.clone() },
            EmailKnobs { from: "nobody".into(), ..good.clone() },
            EmailKnobs { to: Vec::new(), ..good.clone() },
            EmailKnobs { to: vec!["a@b.c\r\nBcc: x@y.z".into()], ..good.clone() },
            EmailKnobs { require_tls: false, ..good.clone() },
            EmailKnobs { ca_file: Some("/nonexistent/ca.pem".into()), ..good.clone() },
        ];
        for knobs in bad {
            let refused = build(knobs.clone()).unwrap_err();
            assert!(!refused.contains("pass") || refused.contains("password"), "{refused}");
        }
        assert_eq!(build(EmailKnobs { require_tls: false, smarthost: "[::1]:465".into(), ..good }), Ok(()));
    }
}
