//! Which rules want a request.
//!
//! Every matcher asks one field of the request, so a field's text decides for each rule whether it may still want the
//! request, and a rule wants it where no field says no. Per field that is a set of bits, a bit a rule; all fields
//! together are an AND of some words. What a text decides is remembered for texts that come again (paths, user agents);
//! of texts that do not, one pattern made of all patterns tells mostly at once that none matches. So ten more rules
//! cost a request next to nothing, and however many rules ask a question, it is answered at most once.

use std::fmt::Write as _;

use beaconfire_model::{Matcher, Matchers, Op, Request};
use regex::{Regex, RegexBuilder, RegexSet};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};

use crate::Field;
use crate::field::{file, is_elsewhere, is_static};
use crate::hash::Seeded;
use crate::plan::Plan;
use crate::services::ServiceId;

/// A set of conditions, a bit each.
pub(crate) type Bits = Vec<u64>;

/// One question to a request.
#[derive(Debug)]
enum Test {
    /// By status: one look-up.
    Status(Box<[bool; 1000]>),
    /// Whether it is a file that a page pulls in.
    Static,
    /// Whether it asks to be passed on.
    Elsewhere,
    /// Never true: what is `true` or `false` is neither.
    Never,
    /// By a field's text.
    Text(Matcher),
    /// By a named list of patterns.
    List(RegexSet),
    /// Whether the path is a login of the service.
    Login,
}

/// A question with who asks it.
#[derive(Debug)]
struct Asked {
    field: Field,
    test: Test,
    by_pattern: bool,
    value: String,
    /// The conditions that fail where the answer is no, and where it is yes.
    fails: [Bits; 2],
}

impl Asked {
    /// Whether it is answered by matching a text with patterns.
    fn is_pattern(&self) -> bool {
        self.by_pattern && matches!(self.test, Test::Text(_) | Test::List(_))
    }
}

/// What is looked at together: the fields that are parts of one text of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Path,
    UserAgent,
    Host,
    Method,
    HttpVersion,
    Query,
    Client,
    Status,
    Service,
    Elsewhere,
}

impl Text {
    const ALL: [Self; 10] = [
        // The cheapest first, and of the others first what mostly comes again.
        Self::Status,
        Self::Elsewhere,
        Self::Method,
        Self::HttpVersion,
        Self::Path,
        Self::UserAgent,
        Self::Host,
        Self::Query,
        Self::Client,
        Self::Service,
    ];

    fn of(field: Field) -> Self {
        match field {
            Field::Client | Field::Prefix => Self::Client,
            Field::Service => Self::Service,
            Field::Host => Self::Host,
            Field::Path | Field::File | Field::Static => Self::Path,
            Field::Method => Self::Method,
            Field::UserAgent => Self::UserAgent,
            Field::Status => Self::Status,
            Field::Query => Self::Query,
            Field::HttpVersion => Self::HttpVersion,
            Field::Elsewhere => Self::Elsewhere,
        }
    }

    /// How many texts are remembered; 0 where they hardly come again.
    fn remembered(self) -> usize {
        match self {
            Self::Path | Self::UserAgent => 1_024,
            Self::Host => 128,
            Self::Method | Self::HttpVersion => 16,
            Self::Query | Self::Client | Self::Status | Self::Service | Self::Elsewhere => 0,
        }
    }

    fn at(self) -> usize {
        self as usize
    }
}

/// All questions that ask one text.
#[derive(Debug, Default)]
struct Group {
    tests: Vec<Asked>,
    /// The conditions that ask anything here.
    asking: Bits,
    /// By field: matches where any pattern on it does; `None` where they are too large for one.
    any: Vec<(Field, Option<Regex>)>,
}

/// The questions of all rules.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    groups: [Group; Text::ALL.len()],
    conditions: usize,
    /// By status: the conditions that it leaves.
    statuses: Vec<Bits>,
}

/// The largest pattern made of patterns.
const ANY_MAX: usize = 4 << 20;

fn set(bits: &mut Bits, at: usize) {
    if bits.len() <= at / 64 {
        bits.resize(at / 64 + 1, 0);
    }
    bits[at / 64] |= 1 << (at % 64);
}

/// Whether the sets have something in common.
pub(crate) fn meet(a: &[u64], b: &[u64]) -> bool {
    a.iter().zip(b).any(|(a, b)| a & b != 0)
}

fn take_away(bits: &mut [u64], gone: &[u64]) {
    for (held, gone) in bits.iter_mut().zip(gone) {
        *held &= !gone;
    }
}

fn keep(bits: &mut [u64], kept: &[u64]) {
    for (held, kept) in bits.iter_mut().zip(kept) {
        *held &= kept;
    }
}

impl Sieve {
    /// Adds a condition, which holds where all of `matchers` match and none of `except`; its bit. `list` finds the
    /// patterns of `@name`.
    pub(crate) fn condition<'l>(
        &mut self,
        matchers: &Matchers,
        except: &Matchers,
        list: impl Fn(&str) -> Option<&'l [String]>,
    ) -> Result<usize, String> {
        let number = self.conditions;
        self.conditions += 1;
        let needs = matchers.0.iter().map(|matcher| (matcher, true));
        for (matcher, needed) in needs.chain(except.0.iter().map(|matcher| (matcher, false))) {
            let field = Field::parse(&matcher.name).ok_or_else(|| {
                let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
                format!("`{}` is no field of a request; fields are {}", matcher.name, names.join(", "))
            })?;
            let by_pattern = matches!(matcher.op, Op::Matches | Op::NotMatches);
            let group = &mut self.groups[Text::of(field).at()];
            let same = |held: &Asked| {
                (held.field, held.by_pattern, &held.value) == (field, by_pattern, &matcher.value)
            };
            let at = match group.tests.iter().position(same) {
                Some(at) => at,
                None => {
                    let test = compile(field, by_pattern, &matcher.value, &list)?;
                    let (value, fails) = (matcher.value.clone(), [Vec::new(), Vec::new()]);
                    group.tests.push(Asked { field, test, by_pattern, value, fails });
                    group.tests.len() - 1
                }
            };
            // It fails on the answer that is not wanted.
            let wanted = matches!(matcher.op, Op::Equal | Op::Matches) == needed;
            set(&mut group.tests[at].fails[usize::from(!wanted)], number);
            set(&mut group.asking, number);
        }
        Ok(number)
    }

    /// Makes it ready, when all conditions are there.
    pub(crate) fn seal<'l>(&mut self, list: impl Fn(&str) -> Option<&'l [String]>) {
        let words = self.words();
        for group in &mut self.groups {
            group.asking.resize(words, 0);
            let mut fields: Vec<Field> = Vec::new();
            for asked in &mut group.tests {
                asked.fails.iter_mut().for_each(|fails| fails.resize(words, 0));
                if asked.is_pattern() && !fields.contains(&asked.field) {
                    fields.push(asked.field);
                }
            }
            let any = |field: Field| {
                let patterns = group.tests.iter().filter(|asked| asked.field == field && asked.is_pattern());
                let texts = patterns.flat_map(|asked| match asked.value.strip_prefix('@') {
                    Some(name) => list(name).unwrap_or_default().to_vec(),
                    None => vec![asked.value.clone()],
                });
                any_of(&texts.collect::<Vec<_>>())
            };
            group.any = fields.into_iter().map(|field| (field, any(field))).collect();
        }
        let group = &self.groups[Text::Status.at()];
        let of_status = |status: u16| {
            let mut bits = vec![u64::MAX; words];
            for asked in &group.tests {
                let answer = match &asked.test {
                    Test::Status(table) => table[usize::from(status)],
                    _ => false,
                };
                take_away(&mut bits, &asked.fails[usize::from(answer)]);
            }
            bits
        };
        self.statuses = (0..1000).map(of_status).collect();
    }

    /// How many words a set of conditions takes.
    pub(crate) fn words(&self) -> usize {
        self.conditions.div_ceil(64)
    }

    /// Whether a condition holds of most requests: it only leaves some out, or asks what mostly is so. Versions of HTTP
    /// are left out to find those that nobody speaks.
    pub(crate) fn is_broad(matchers: &Matchers) -> bool {
        matchers.0.iter().all(|matcher| match Field::parse(&matcher.name) {
            Some(Field::HttpVersion | Field::Elsewhere) => false,
            Some(Field::Static | Field::Method) => true,
            _ => matches!(matcher.op, Op::NotEqual | Op::NotMatches),
        })
    }
}

/// One pattern that matches what any of these does.
fn any_of(patterns: &[String]) -> Option<Regex> {
    let alternatives: Option<Vec<String>> =
        patterns.iter().map(|pattern| Some(format!("(?:{})", loosened(pattern).ok()?))).collect();
    RegexBuilder::new(&alternatives?.join("|"))
        .size_limit(ANY_MAX)
        .dfa_size_limit(ANY_MAX)
        .dot_matches_new_line(true)
        .build()
        .ok()
}

/// A request as its fields are asked.
struct About<'r> {
    request: &'r Request<'r>,
    plan: &'r Plan,
    service: ServiceId,
    name: &'r str,
}

impl Group {
    /// Takes away the conditions that this text of the request fails.
    fn sift(&self, about: &About<'_>, bits: &mut [u64]) {
        let mut none: u16 = 0;
        for (field, any) in &self.any {
            if let Some(any) = any
                && !with_text(*field, about.request, about.name, |text| any.is_match(text))
            {
                none |= 1 << *field as u16;
            }
        }
        for asked in &self.tests {
            let [no, yes] = &asked.fails;
            if !meet(bits, no) && !meet(bits, yes) {
                continue;
            }
            let known_no = asked.is_pattern() && none & 1 << asked.field as u16 != 0;
            let answer = match &asked.test {
                Test::Static => is_static(about.request.path),
                Test::Elsewhere => is_elsewhere(about.request),
                Test::Never => false,
                Test::Login => about.plan.is_login(about.service, about.request.path),
                Test::Status(table) => table.get(usize::from(about.request.status)).copied().unwrap_or(false),
                _ if known_no => false,
                Test::Text(matcher) => {
                    with_text(asked.field, about.request, about.name, |text| matcher.matches(text))
                }
                Test::List(patterns) => {
                    with_text(asked.field, about.request, about.name, |text| patterns.is_match(text))
                }
            };
            take_away(bits, if answer { yes } else { no });
        }
    }
}

/// What a text decided when it last came.
#[derive(Debug, Default, Clone)]
struct Known {
    hash: u64,
    service: ServiceId,
    text: String,
    /// Whether it came twice: what comes once is not worth asking every question.
    asked: bool,
    bits: Bits,
    file: u32,
}

/// Texts longer than this are asked each time.
const TEXT_MAX: usize = 512;

/// What a worker remembers of texts, and its verdict on the request at hand.
#[derive(Debug)]
pub(crate) struct Judge {
    seeded: Seeded,
    known: [Vec<Known>; Text::ALL.len()],
    /// By service: the conditions that it leaves.
    services: Vec<Bits>,
    bits: Bits,
    /// Of the request at hand, where it was looked up.
    path: Option<Hashed>,
    user_agent: Option<u32>,
}

/// Hashes of a path and of its last segment.
#[derive(Debug, Clone, Copy)]
struct Hashed {
    path: u32,
    file: u32,
}

impl Judge {
    pub(crate) fn new(sieve: &Sieve, seeded: Seeded) -> Self {
        let known = |text: Text| match sieve.groups[text.at()].tests.is_empty() {
            true => Vec::new(),
            false => vec![Known::default(); text.remembered()],
        };
        let mut held: [Vec<Known>; Text::ALL.len()] = Default::default();
        for text in Text::ALL {
            held[text.at()] = known(text);
        }
        Self { seeded, known: held, services: Vec::new(), bits: Vec::new(), path: None, user_agent: None }
    }

    /// Finds out which conditions hold of a request.
    pub(crate) fn judge(&mut self, plan: &Plan, service: ServiceId, name: &str, request: &Request<'_>) {
        let about = About { request, plan, service, name };
        let sieve = &plan.sieve;
        (self.path, self.user_agent) = (None, None);
        let at = service.0 as usize;
        if self.services.len() <= at {
            // At most as many as there are services.
            self.services.resize(at + 1, Vec::new());
        }
        if self.services[at].is_empty() {
            let mut bits = plan.facts(service).enabled.clone();
            sieve.groups[Text::Service.at()].sift(&about, &mut bits);
            self.services[at] = bits;
        }
        self.bits.clone_from(&self.services[at]);
        if let Some(of_status) = sieve.statuses.get(usize::from(request.status)) {
            keep(&mut self.bits, of_status);
        } else {
            sieve.groups[Text::Status.at()].sift(&about, &mut self.bits);
        }
        for text in Text::ALL {
            let group = &sieve.groups[text.at()];
            if group.tests.is_empty() || !meet(&self.bits, &group.asking) {
                continue;
            }
            match text {
                Text::Status | Text::Service => {}
                Text::Query | Text::Client | Text::Elsewhere => group.sift(&about, &mut self.bits),
                Text::Path | Text::UserAgent | Text::Host | Text::Method | Text::HttpVersion => {
                    self.recall(text, group, &about);
                }
            }
        }
    }

    /// Whether a condition holds of the request that was judged last.
    pub(crate) fn holds(&self, condition: usize) -> bool {
        self.bits.get(condition / 64).is_some_and(|word| word & 1 << (condition % 64) != 0)
    }

    /// The conditions that hold of the request that was judged last, of those that `among` picks by words.
    pub(crate) fn holding(&self, among: impl Fn(usize) -> u64) -> impl Iterator<Item = usize> {
        self.bits.iter().enumerate().flat_map(move |(word, bits)| {
            let mut left = bits & among(word);
            std::iter::from_fn(move || {
                let at = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(word * 64 + at)
            })
        })
    }

    /// As [`Group::sift`], from memory where the text came before.
    fn recall(&mut self, text: Text, group: &Group, about: &About<'_>) {
        let request = about.request;
        let (said, service) = match text {
            Text::Path => (request.path, about.service),
            Text::UserAgent => (request.user_agent, ServiceId::default()),
            Text::Host => (request.host, ServiceId::default()),
            Text::Method => (request.method, ServiceId::default()),
            _ => (request.http_version, ServiceId::default()),
        };
        let pure = self.seeded.of_text(said);
        let hash = pure ^ u64::from(service.0) << 32;
        let slots = &mut self.known[text.at()];
        // A power of two, or nothing.
        let at = hash as usize & slots.len().wrapping_sub(1);
        let file_hash = |seeded: &Seeded| match text {
            Text::Path => short(seeded.of_text(file(request.path))),
            _ => 0,
        };
        let hashed = match slots.get_mut(at) {
            Some(known) if said.len() <= TEXT_MAX => {
                let same = known.hash == hash && known.service == service;
                if same && known.asked && known.text == said {
                    keep(&mut self.bits, &known.bits);
                } else if same {
                    known.bits.clear();
                    known.bits.resize(self.bits.len(), u64::MAX);
                    group.sift(about, &mut known.bits);
                    keep(&mut self.bits, &known.bits);
                    known.text.clear();
                    known.text.push_str(said);
                    known.file = file_hash(&self.seeded);
                    known.asked = true;
                } else {
                    (known.hash, known.service, known.asked) = (hash, service, false);
                    known.file = file_hash(&self.seeded);
                    group.sift(about, &mut self.bits);
                }
                Hashed { path: short(pure), file: known.file }
            }
            _ => {
                group.sift(about, &mut self.bits);
                Hashed { path: short(pure), file: file_hash(&self.seeded) }
            }
        };
        match text {
            Text::Path => self.path = Some(hashed),
            Text::UserAgent => self.user_agent = Some(hashed.path),
            _ => {}
        }
    }

    /// By what the value of a field is told from others. Of the request that was judged last.
    pub(crate) fn value(&self, field: Field, request: &Request<'_>, name: &str) -> u32 {
        match (field, self.path, self.user_agent) {
            (Field::Path, Some(hashed), _) => hashed.path,
            (Field::File, Some(hashed), _) => hashed.file,
            (Field::UserAgent, _, Some(hash)) => hash,
            _ => with_text(field, request, name, |text| short(self.seeded.of_text(text))),
        }
    }
}

/// The upper half: the lower one picks places.
fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn compile<'l>(
    field: Field,
    by_pattern: bool,
    value: &str,
    list: &impl Fn(&str) -> Option<&'l [String]>,
) -> Result<Test, String> {
    if let Some(name) = value.strip_prefix('@').filter(|_| by_pattern) {
        if name == "logins" && field == Field::Path {
            return Ok(Test::Login);
        }
        let patterns =
            list(name).ok_or_else(|| format!("there is no list `{name}`; lists are named under `lists`"))?;
        let patterns = anchored(patterns)?;
        if field == Field::Status {
            return Ok(statuses(|status| patterns.is_match(status)));
        }
        return Ok(Test::List(patterns));
    }
    let op = if by_pattern { Op::Matches } else { Op::Equal };
    let matcher = Matcher::new(field.name(), op, value).map_err(|error| error.said)?;
    Ok(match field {
        Field::Status => statuses(|status| matcher.matches(status)),
        // A pattern that both values match says nothing, and is asked as the text it is.
        Field::Static | Field::Elsewhere => match (matcher.matches("true"), matcher.matches("false")) {
            (true, false) if field == Field::Static => Test::Static,
            (true, false) => Test::Elsewhere,
            (false, false) => Test::Never,
            (_, true) => Test::Text(matcher),
        },
        _ => Test::Text(matcher),
    })
}

/// Which statuses match, as a table.
fn statuses(matches: impl Fn(&str) -> bool) -> Test {
    let mut table = Box::new([false; 1000]);
    for (status, held) in table.iter_mut().enumerate() {
        *held = matches(&status.to_string());
    }
    Test::Status(table)
}

/// A set of patterns, each anchored at both ends.
pub(crate) fn anchored(patterns: &[String]) -> Result<RegexSet, String> {
    let loosened: Result<Vec<String>, String> = patterns.iter().map(|pattern| loosened(pattern)).collect();
    regex::RegexSetBuilder::new(loosened?)
        .size_limit(4 << 20)
        .dot_matches_new_line(true)
        .build()
        .map_err(|error| error.to_string())
}

/// A pattern that finds, anywhere in a text, what `pattern` matches as a whole: where it begins or ends with `.*`, that
/// is left out instead of anchored. It means the same, and a sender who makes up texts for it cannot make it slow: with
/// the `.*` each of its parts may be under way from each place on.
fn loosened(pattern: &str) -> Result<String, String> {
    let parsed = ParserBuilder::new().dot_matches_new_line(true).build().parse(pattern);
    let hir = parsed.map_err(|error| error.to_string())?;
    let anything = |hir: &Hir| match hir.kind() {
        HirKind::Repetition(held) => {
            held.min == 0
                && held.max.is_none()
                && matches!(held.sub.kind(), HirKind::Class(Class::Unicode(class)) if is_any(class))
        }
        _ => false,
    };
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(&hir),
    };
    let from = usize::from(parts.first().is_some_and(anything));
    let to = parts.len() - usize::from(parts.len() > from && parts.last().is_some_and(anything));
    let (start, end) = (if from > 0 { "" } else { "^" }, if to < parts.len() { "" } else { "$" });
    Ok(format!("{start}(?:{}){end}", Hir::concat(parts[from..to].to_vec())))
}

/// Whether it is what `.` stands for.
fn is_any(class: &ClassUnicode) -> bool {
    matches!(class.ranges(), [all] if (all.start(), all.end()) == ('\0', char::MAX))
}

/// Numbers and addresses as text, without the heap.
struct Small {
    bytes: [u8; 64],
    len: usize,
}

impl std::fmt::Write for Small {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// Hands a field's text on; empty where the request has none.
pub(crate) fn with_text<T>(
    field: Field,
    request: &Request<'_>,
    service: &str,
    then: impl FnOnce(&str) -> T,
) -> T {
    let mut small = Small { bytes: [0; 64], len: 0 };
    // The longest is an IPv6 network, of 43 bytes: it fits.
    let written = match (field, request.client) {
        (Field::Client, Some(client)) => write!(small, "{client}"),
        (Field::Prefix, Some(client)) => write!(small, "{}", client.prefix()),
        (Field::Status, _) => write!(small, "{}", request.status),
        (Field::Path, _) => return then(request.path),
        (Field::Query, _) => return then(request.query),
        (Field::UserAgent, _) => return then(request.user_agent),
        _ => return then(&field.text(request, service)),
    };
    let text = std::str::from_utf8(&small.bytes[..small.len]).unwrap_or_default();
    then(if written.is_ok() { text } else { "" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_that_match_anything_are_left_out() {
        for (pattern, expected) in [
            ("a", "^(?:a)$"),
            (".*a", "(?:a)$"),
            ("a.*", "^(?:a)"),
            (".*a.*", "(?:a)"),
            (".*", "(?:)$"),
            (".+a", "^(?:(?s:.)+a)$"),
            ("(.*)a", "^(?:((?s:.)*)a)$"),
        ] {
            let found = loosened(pattern).unwrap();
            // How a class is printed is the library's affair.
            assert_eq!(found.contains('^'), expected.contains('^'), "{pattern}: {found}");
            assert_eq!(found.ends_with('$'), expected.ends_with('$'), "{pattern}: {found}");
        }
    }

    proptest! {
        #[test]
        fn patterns_mean_what_they_meant(
            parts in prop::collection::vec(prop::sample::select(vec!["a", "b", ".*", ".", "(a|b)", "a|", "(?i)B", "[^b]*", "\\.", "x?"]), 1..6),
            texts in prop::collection::vec("[abAB.x\n]{0,6}", 1..20),
        ) {
            let pattern = parts.concat();
            let whole = RegexBuilder::new(&format!("^(?:{pattern})$")).dot_matches_new_line(true).build().unwrap();
            let set = anchored(std::slice::from_ref(&pattern)).unwrap();
            let any = any_of(&["nothing".to_owned(), pattern]).unwrap();
            for text in texts {
                prop_assert_eq!(set.is_match(&text), whole.is_match(&text), "{:?}", &text);
                prop_assert_eq!(any.is_match(&text), whole.is_match(&text), "{:?}", &text);
            }
        }
    }
}
