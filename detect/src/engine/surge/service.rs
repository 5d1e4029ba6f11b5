//! One service: whether it surges, what is usual for it, and what is told of its minute.

use std::time::Duration;

use beaconfire_model::{EventTime, Kind, Severity};

use super::capacity::{Load, Meter};
use super::networks::Networks;
use super::verdict::{Context, Verdict, Views, per_client};
use super::view::View;
use super::{ATTACK, AttackRule, Finding, Minute};

/// A surge is more than so many times what is expected, and ends below the second.
const SURGE: f64 = 2.0;
const SURGE_ENDS: f64 = 1.6;
/// And it is not chance: so many deviations of a count of clients, each with as many requests as is usual. What is not
/// twice as far waits for a second minute, as some clients ask for very much.
const SURE: f64 = 6.0;
/// An outage is as much less, in all its minutes.
const SURELY_OUT: f64 = 3.0;
/// Minutes that the level of lately goes back.
const RECENT: f64 = 30.0;
/// Fewer requests in a minute than this are nobody's trouble, unless the service cannot bear them: one client may send as
/// many by the rules that ship. Such a surge is shown only, and called an attack by nobody.
const MATTERS: f64 = 600.0;
/// What is no attack, and no more than the service can bear, is told in this minute: most of it has gone by then.
const LASTS: u32 = 3;
/// Requests in a minute that no service is too small for: a visitor at night is no surge.
const SMALLEST: f64 = 60.0;
/// A client with this share of all requests is no crowd.
const DOMINATES: f64 = 0.3;
/// An attack is stated in the second minute that looks like one.
const ATTACK_MINUTES: u32 = 2;
/// Seconds of waiting work for a ticket and for a page.
const BACKLOG_TICKET: f64 = 10.0;
/// The second of them: beyond it is a page.
pub const BACKLOG_PAGE: f64 = 60.0;
/// Minutes after an outage in which nothing is as usual.
const RECOVERS: u32 = 15;
/// What has been so for so many minutes is how it is now: an outage, and a surge that is no attack.
const OUTAGE_MOST: u32 = 120;
const SURGE_MOST: u32 = 1_440;
/// Answers are slow beyond so many times what is usual, where the operator does not say.
const SLOW: f64 = 2.0;

#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    pub(super) meter: Meter,
    /// Seconds within which 95 % of the answers are to come, as the operator says.
    pub(super) latency_max: Option<f64>,
    pub(super) attack: Option<AttackRule>,
    pub(super) views: Views,
    pub(super) level: View,
    /// The level of the last half hour: while no day is known, what grows slowly is the day.
    pub(super) recent: f64,
    pub(super) latency: View,
    pub(super) networks: Networks,
    pub(super) regulars: Regulars,
    /// More came than may be chance, and so much that it surges.
    pub(super) above: bool,
    pub(super) surging: bool,
    /// Minutes since it began.
    pub(super) surge_minutes: u32,
    pub(super) attack_minutes: u32,
    pub(super) attacked: bool,
    pub(super) ramp: Ramp,
    /// Minutes in a row with too few requests or too many failures, and how many requests were expected and came in them.
    pub(super) outage_minutes: u32,
    pub(super) outage_expected: f64,
    pub(super) outage_came: f64,
    pub(super) since_outage: Option<u32>,
    pub(super) since_rollout: Option<u32>,
    /// The last minute that was taken, and the last with requests.
    pub(super) closed_through: Option<EventTime>,
    pub(super) asked: EventTime,
    /// The first minute that was not handed out for the store.
    pub(super) unsaved_from: Option<EventTime>,
}

/// Clients that made a surge by themselves, with when first and when last.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Regulars(pub(super) Vec<(u32, EventTime, EventTime)>);

impl Regulars {
    pub(super) const MOST: usize = 8;
    /// Who came so long ago comes again; and is forgotten after the second.
    const AGAIN: Duration = Duration::from_hours(6);
    const FORGOTTEN: Duration = Duration::from_hours(8 * 24);

    /// Takes note of one; whether it came before.
    fn see(&mut self, client: u32, at: EventTime) -> bool {
        self.0.retain(|(_, _, last)| last.plus(Self::FORGOTTEN) > at);
        if let Some((_, first, last)) = self.0.iter_mut().find(|held| held.0 == client) {
            *last = at.max(*last);
            return first.plus(Self::AGAIN) <= at;
        }
        if self.0.len() == Self::MOST {
            // The one that has not come for longest gives way.
            let oldest = (0..Self::MOST).min_by_key(|held| self.0[*held].2).unwrap_or(0);
            self.0.swap_remove(oldest);
        }
        self.0.push((client, at, at));
        false
    }
}

/// How fast a surge came: the ten-second slices of the last half hour, and the highest while it surges.
#[derive(Debug, Default, Clone)]
pub(super) struct Ramp {
    pub(super) slices: Vec<f32>,
    pub(super) peak: f64,
    pub(super) seconds: f64,
}

impl Service {
    /// Without its networks.
    pub(super) const BYTES: usize = size_of::<Self>() + Ramp::KEPT * size_of::<f32>();

    pub(super) fn new(capacity: Option<f64>, latency_max: Option<f64>, attack: Option<AttackRule>) -> Self {
        let latency_max = latency_max.filter(|seconds| *seconds > 0.0);
        Self { meter: Meter::new(capacity), latency_max, attack, asked: EventTime::MIN, ..Self::default() }
    }

    /// Takes over what the operator sets from a new one.
    pub(super) fn configure(&mut self, new: &Self) {
        self.meter.configured = new.meter.configured;
        self.latency_max = new.latency_max;
        self.attack = new.attack;
    }

    /// Forgets what is usual.
    pub(super) fn accept(&mut self) {
        let Self { meter, latency_max, attack, networks, regulars, closed_through, asked, .. } =
            std::mem::take(self);
        let unsaved_from = closed_through;
        *self = Self {
            meter,
            latency_max,
            attack,
            networks,
            regulars,
            closed_through,
            asked,
            unsaved_from,
            ..Self::default()
        };
    }

    /// Whether this minute was not taken yet.
    pub(super) fn is_next(&self, at: EventTime) -> bool {
        self.closed_through.is_none_or(|through| at > through)
    }

    pub(super) fn take(&mut self, m: &Minute<'_>) -> Option<Finding> {
        self.unsaved_from.get_or_insert(m.at);
        self.closed_through = Some(m.at);
        if m.requests() > 0.0 {
            self.asked = m.at;
        }
        let rate = m.requests() / 60.0;
        let loads = m.tens.map(|requests| self.meter.take(requests));
        let mut load = loads[5];
        if let Some(load) = &mut load {
            // The minute's mean tells more than its last ten seconds.
            load.utilisation = rate / load.capacity.requests_per_second();
        }
        let expected = m.around.expected.or(self.level.usual().map(|usual| usual.max(self.recent)));
        let known = expected.unwrap_or(rate);
        self.ramp.take(m, known, self.surging);
        self.note_outage(m, known);
        self.surging = self.is_surge(m, known * 60.0);
        let judged = match self.surging {
            true => self.surge(m, known, load),
            false => self.usual(m, known, load),
        };
        let holds = |rule: AttackRule| expected.is_none() || rule.always;
        let line =
            self.attack.filter(|rule| holds(*rule)).and_then(|rule| self.beyond_the_line(rule, m, load));
        // What the table calls an attack says more than the line.
        let finding = match judged {
            Some(attack) if attack.kind == Kind::Flood => Some(attack),
            judged => line.or(judged),
        };
        if let Some(in_time) = self.in_time(m) {
            self.meter.learn(rate, in_time);
        }
        if self.is_usual() {
            self.views.learn(m);
            self.level.learn(rate);
            self.recent += (rate - self.recent) / RECENT;
            if let Some(latency) = m.latency_p95 {
                self.latency.learn(latency);
            }
        }
        finding
    }

    fn is_surge(&mut self, m: &Minute<'_>, expected: f64) -> bool {
        let requests = m.requests();
        let line = expected * if self.surging { SURGE_ENDS } else { SURGE };
        let deviation = (expected * self.together(m)).sqrt();
        let sure = |deviations: f64| requests > expected + deviations * deviation;
        let above = requests > line && requests >= SMALLEST && sure(SURE);
        let waited = std::mem::replace(&mut self.above, above);
        above && (self.surging || waited || sure(2.0 * SURE))
    }

    /// Requests come with their clients, and it is those that come by chance: so many at once.
    fn together(&self, m: &Minute<'_>) -> f64 {
        self.views.requests_of_a_client().or(per_client(m)).unwrap_or(1.0).max(1.0)
    }

    /// Whether what is seen now is how it usually is.
    pub(super) fn is_usual(&self) -> bool {
        let recovered = self.since_outage.is_none_or(|minutes| minutes > RECOVERS);
        // A surge that never ends would be one for ever.
        let lasting = self.surge_minutes > SURGE_MOST;
        (!self.surging || lasting) && recovered
    }

    fn in_time(&self, m: &Minute<'_>) -> Option<bool> {
        let limit = self.latency_max.or(self.latency.usual().map(|usual| SLOW * usual))?;
        m.latency_p95.map(|latency| latency <= limit)
    }

    fn surge(&mut self, m: &Minute<'_>, expected: f64, load: Option<Load>) -> Option<Finding> {
        // What stood before the beginning counts for as long as it lasts.
        let at_start =
            |minutes: Option<u32>| minutes.map(|minutes| minutes.saturating_sub(self.surge_minutes));
        let context = Context {
            onset_seconds: self.ramp.onset(self.together(m)),
            since_outage: at_start(self.since_outage),
            since_rollout: at_start(self.since_rollout),
        };
        self.surge_minutes = self.surge_minutes.saturating_add(1);
        let rows = self.views.rows(m, &context);
        let points = rows.iter().map(|row| row.points).sum();
        let mut verdict = Verdict::of(points);
        let matters = m.requests() >= MATTERS || overload(load).is_some();
        // A client that comes by itself, and came before, is no news, such as a nightly job: the rules by client tell of it.
        let alone = m.client_max.is_some_and(|most| most >= DOMINATES * m.requests());
        let known = alone && m.busiest.is_some_and(|client| self.regulars.see(client, m.at));
        // Nor is what has been so for a day.
        let lasting = self.surge_minutes > SURGE_MOST;
        self.attacked &= !lasting;
        if m.clients.is_none() || self.attack.is_none() || !matters || known || lasting {
            // Where nobody knows who asks, nobody knows that they are not people.
            verdict = verdict.min(Verdict::Suspected);
        }
        self.attack_minutes = if verdict == Verdict::Attack { self.attack_minutes + 1 } else { 0 };
        self.attacked |= self.attack_minutes >= ATTACK_MINUTES;
        if self.attacked {
            verdict = Verdict::Attack;
        } else if verdict == Verdict::Attack {
            verdict = Verdict::Suspected;
        }
        let severity = match verdict {
            Verdict::Attack => self.attack.map_or(Severity::Critical, |rule| rule.severity),
            Verdict::Suspected if !matters => Severity::Info,
            Verdict::Suspected => overload(load).unwrap_or(Severity::Error).max(Severity::Error),
            Verdict::FlashCrowd if !matters => Severity::Info,
            Verdict::FlashCrowd => overload(load).unwrap_or(Severity::Warning),
        };
        let attack = verdict == Verdict::Attack;
        if !attack && overload(load).is_none() && self.surge_minutes < LASTS {
            return None;
        }
        Some(Finding {
            rule: if attack { ATTACK } else { "surge" },
            kind: if attack { Kind::Flood } else { Kind::Surge },
            severity,
            expected,
            verdict: Some(verdict),
            points,
            rows,
            is_new: self.surge_minutes <= LASTS || self.attack_minutes == ATTACK_MINUTES,
            ..overloaded(m, load, severity)
        })
    }

    /// More than a service should get whose usual is not known, or than the operator lets it have, from many clients. It is
    /// learned all the same: a service that is as busy as that is known within the hour.
    fn beyond_the_line(&self, rule: AttackRule, m: &Minute<'_>, load: Option<Load>) -> Option<Finding> {
        let (clients, most) = m.clients.zip(m.client_max)?;
        let requests = self.ramp.most_in_a_minute();
        let beyond = requests > rule.requests && clients >= rule.clients && most < DOMINATES * m.requests();
        beyond.then(|| Finding {
            rule: ATTACK,
            kind: Kind::Flood,
            observed: requests / 60.0,
            verdict: Some(Verdict::Attack),
            line: Some(rule.requests),
            ..overloaded(m, load, rule.severity)
        })
    }

    /// No surge: says where even the usual is too much.
    fn usual(&mut self, m: &Minute<'_>, expected: f64, load: Option<Load>) -> Option<Finding> {
        self.attack_minutes = 0;
        self.surge_minutes = 0;
        self.attacked = false;
        overload(load).map(|severity| Finding { expected, ..overloaded(m, load, severity) })
    }

    fn note_outage(&mut self, m: &Minute<'_>, expected: f64) {
        let expected = expected * 60.0;
        let failing = m.server_errors.is_some_and(|share| share > 0.5);
        // Failing under a surge is what an attack does: it excuses nothing.
        let failing = failing && !self.surging && m.requests() < SURGE * expected;
        let low = m.requests() < 0.3 * expected;
        if !low && !failing {
            (self.outage_minutes, self.outage_expected, self.outage_came) = (0, 0.0, 0.0);
        } else {
            self.outage_minutes = self.outage_minutes.saturating_add(1);
        }
        if low {
            self.outage_expected += expected;
            self.outage_came += m.requests();
        }
        let missing = self.outage_expected - self.outage_came;
        let silent = low && missing > SURELY_OUT * (self.outage_expected * self.together(m)).sqrt();
        let later = |minutes: Option<u32>| minutes.map(|minutes| minutes.saturating_add(1));
        let out = (silent || failing) && self.outage_minutes <= OUTAGE_MOST;
        self.since_outage = if out { Some(0) } else { later(self.since_outage) };
        self.since_rollout = if m.around.rolled_out { Some(0) } else { later(self.since_rollout) };
    }
}

impl Ramp {
    pub(super) const KEPT: usize = 180;

    /// Seconds from the usual to half of the peak; not known where the peak may be chance.
    fn onset(&self, together: f64) -> Option<f64> {
        let chance = (self.peak * together).sqrt();
        (chance < 0.25 * self.peak).then_some(self.seconds)
    }

    /// The most requests in any minute that ends in the last one, by its slices: a flood begins when it likes.
    fn most_in_a_minute(&self) -> f64 {
        let last = self.slices.len().saturating_sub(11);
        let sum = |minute: &[f32]| minute.iter().map(|slice| f64::from(*slice)).sum::<f64>();
        self.slices[last..].windows(6).map(sum).fold(0.0, f64::max)
    }

    /// Keeps slices, and measures from the last usual one to half of the peak.
    fn take(&mut self, m: &Minute<'_>, expected: f64, surging: bool) {
        if !surging {
            self.peak = 0.0;
        }
        for requests in m.tens {
            if self.slices.len() == Self::KEPT {
                self.slices.remove(0);
            }
            // Whole numbers far below 2^24, or ones that are as good rounded.
            self.slices.push(requests as f32);
            self.peak = self.peak.max(requests);
        }
        let half = expected * 10.0 + 0.5 * (self.peak - expected * 10.0);
        let reached = self.slices.iter().position(|requests| f64::from(*requests) >= half).unwrap_or(0);
        let usual = expected * 10.0 + 3.0 * (expected * 10.0).sqrt().max(0.1 * expected * 10.0);
        let left =
            self.slices[..reached].iter().rposition(|requests| f64::from(*requests) <= usual).unwrap_or(0);
        self.seconds = (reached - left) as f64 * 10.0;
    }
}

/// What is told of a minute in which the service cannot bear what it gets, and of any other beside what is told else.
fn overloaded(m: &Minute<'_>, load: Option<Load>, severity: Severity) -> Finding {
    Finding {
        rule: "overload",
        kind: Kind::Surge,
        severity,
        service: m.service.to_owned(),
        at: m.at,
        observed: m.requests() / 60.0,
        expected: 0.0,
        verdict: None,
        points: 0,
        rows: Vec::new(),
        is_new: true,
        load,
        clients: m.clients,
        networks: m.networks,
        line: None,
    }
}

/// What the load alone deserves.
fn overload(load: Option<Load>) -> Option<Severity> {
    let load = load?;
    if load.backlog_seconds > BACKLOG_PAGE {
        Some(Severity::Critical)
    } else if load.over || load.backlog_seconds > BACKLOG_TICKET {
        Some(Severity::Error)
    } else if load.high || load.exhausted_in.is_some() {
        Some(Severity::Warning)
    } else {
        None
    }
}
