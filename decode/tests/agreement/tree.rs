//! JSON, read character by character: slow, and plain to see through. `main.rs` holds it against serde_json wherever
//! that takes a text; what logs write besides is the crate's documented dialect.

/// A value, with every pair of an object in order and every number as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// What can stand for a field: a string, a number, a boolean as a word.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match self {
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Number(text) | Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// How logs say that there is none.
    pub(crate) fn is_missing(&self) -> bool {
        *self == Self::Null || matches!(self.text(), Some("" | "-" | "<NA>" | "null" | "NaN"))
    }

    pub(crate) fn pairs(&self) -> &[(String, Tree)] {
        if let Self::Map(pairs) = self { pairs } else { &[] }
    }

    /// The value under a key: the last, where it stands several times.
    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        self.pairs().iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// Containers within containers at most.
const LEVELS: usize = 64;

/// Reads the value that begins at `at`, and moves `at` behind it; `None` where there is none.
pub(crate) fn read(text: &[char], at: &mut usize) -> Option<Tree> {
    value(text, at, 0)
}

fn value(text: &[char], at: &mut usize, level: usize) -> Option<Tree> {
    blanks(text, at);
    match *text.get(*at)? {
        '"' => string(text, at).map(Tree::Text),
        '{' | '[' if level == LEVELS => None,
        '{' => map(text, at, level),
        '[' => list(text, at, level),
        '0'..='9' => number(text, at),
        '-' if text.get(*at + 1).is_some_and(char::is_ascii_digit) => number(text, at),
        // nginx's word for a variable that is empty, in a format that has no quotes around it.
        '-' => {
            *at += 1;
            Some(Tree::Null)
        }
        _ => [("null", Tree::Null), ("true", Tree::Bool(true)), ("false", Tree::Bool(false))]
            .into_iter()
            .find(|(word, _)| word.chars().eq(text[*at..].iter().copied().take(word.len())))
            .map(|(word, tree)| {
                *at += word.len();
                tree
            }),
    }
}

fn blanks(text: &[char], at: &mut usize) {
    while matches!(text.get(*at), Some(' ' | '\n' | '\r' | '\t')) {
        *at += 1;
    }
}

/// Whether `c` is next, which is then taken.
fn take(text: &[char], at: &mut usize, c: char) -> bool {
    let is_next = text.get(*at) == Some(&c);
    *at += usize::from(is_next);
    is_next
}

fn list(text: &[char], at: &mut usize, level: usize) -> Option<Tree> {
    *at += 1;
    let mut items = Vec::new();
    blanks(text, at);
    if take(text, at, ']') {
        return Some(Tree::List(items));
    }
    loop {
        items.push(value(text, at, level + 1)?);
        blanks(text, at);
        if take(text, at, ']') {
            return Some(Tree::List(items));
        }
        take(text, at, ',').then_some(())?;
    }
}

fn map(text: &[char], at: &mut usize, level: usize) -> Option<Tree> {
    *at += 1;
    let mut pairs = Vec::new();
    blanks(text, at);
    if take(text, at, '}') {
        return Some(Tree::Map(pairs));
    }
    loop {
        blanks(text, at);
        let key = string(text, at)?;
        blanks(text, at);
        take(text, at, ':').then_some(())?;
        blanks(text, at);
        let value = match text.get(*at) {
            // An empty variable again, without its dash.
            Some(',' | '}') => Tree::Null,
            _ => value(text, at, level + 1)?,
        };
        pairs.push((key, value));
        blanks(text, at);
        if take(text, at, '}') {
            return Some(Tree::Map(pairs));
        }
        take(text, at, ',').then_some(())?;
    }
}

fn number(text: &[char], at: &mut usize) -> Option<Tree> {
    let start = *at;
    let digits = |at: &mut usize| {
        let before = *at;
        while text.get(*at).is_some_and(char::is_ascii_digit) {
            *at += 1;
        }
        (*at > before).then_some(())
    };
    take(text, at, '-');
    digits(at)?;
    if take(text, at, '.') {
        digits(at)?;
    }
    if take(text, at, 'e') || take(text, at, 'E') {
        let _ = take(text, at, '+') || take(text, at, '-');
        digits(at)?;
    }
    Some(Tree::Number(text[start..*at].iter().collect()))
}

fn string(text: &[char], at: &mut usize) -> Option<String> {
    take(text, at, '"').then_some(())?;
    let mut out = String::new();
    loop {
        let c = *text.get(*at)?;
        *at += 1;
        if c == '"' {
            return Some(out);
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let known = ['"', '\\', '/', 'b', 'f', 'n', 'r', 't'];
        let meant = ['"', '\\', '/', '\u{8}', '\u{c}', '\n', '\r', '\t'];
        let next = text.get(*at);
        if let Some(which) = known.iter().position(|known| Some(known) == next) {
            out.push(meant[which]);
            *at += 1;
        } else if let Some(unit) = unit(text, *at - 1) {
            *at += 5;
            let mut units = vec![unit];
            if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (unit, self::unit(text, *at)) {
                units.push(low);
                *at += 6;
            }
            out.push_str(&String::from_utf16_lossy(&units));
        } else {
            // No escape of JSON's (`\x22`): it stands for itself.
            out.push('\\');
        }
    }
}

/// The sixteen bits of a `\uXXXX` that begins at `at`.
fn unit(text: &[char], at: usize) -> Option<u16> {
    let escape = text.get(at..at + 6)?;
    let is_one = escape[0] == '\\' && escape[1] == 'u' && escape[2..].iter().all(char::is_ascii_hexdigit);
    is_one.then(|| u16::from_str_radix(&escape[2..].iter().collect::<String>(), 16).unwrap())
}
