//! JSON as logs hold it: read onto a flat tape that is used again for the next record, so that reading allocates
//! nothing in the steady state.
//!
//! Why not a library's tree: numbers must stay text (times in nanoseconds lose their end in a float), several
//! objects may follow each other in one value, nesting is bounded before it costs anything, and errors name their
//! byte. And it must be lenient in three ways, each of which would else be a way for a sender to make their
//! requests unreadable: escapes that nginx writes into JSON formats without `escape=json` (`\x22`) and control
//! characters stand for themselves, and an unquoted variable that was empty (`"took": ,` or `"took": -`) is null.

mod reader;

use std::ops::Range;

use reader::Reader;

use crate::keys::{KeyId, Keys, Meaning};
use crate::number;

/// Containers within containers at most.
pub(crate) const DEPTH_MAX: usize = 64;

/// A JSON text, taken apart. `Default` is empty; [`parse`](Self::parse) fills it anew.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    /// Strings that had escapes in them, one after the other.
    unescaped: String,
    /// What was learnt of keys; never cleared.
    keys: Keys,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    /// Of keys: which one it is.
    key: KeyId,
    start: u32,
    end: u32,
    /// The node after this one and all that is in it.
    next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    True,
    False,
    /// `start..end` of the text.
    Number,
    /// `start..end` of the text.
    Plain,
    /// `start..end` of `unescaped`.
    Unescaped,
    Array,
    Object,
}

/// Where and why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The byte at which it went wrong.
    pub(crate) at: usize,
    /// What was wrong there.
    pub(crate) why: &'static str,
    /// Whether it is only nested too deep.
    pub(crate) deep: bool,
}

/// The key of a pair.
#[derive(Clone, Copy)]
pub(crate) struct Key<'t>(Value<'t>);

impl<'t> Key<'t> {
    pub(crate) fn text(self) -> &'t str {
        self.0.text().unwrap_or_default()
    }

    /// What it means, where that was learnt.
    pub(crate) fn meaning(self) -> Option<&'t Meaning> {
        self.0.tape.keys.meaning(self.0.node().key)
    }
}

/// One value on a tape.
#[derive(Clone, Copy)]
pub(crate) struct Value<'t> {
    tape: &'t Tape,
    text: &'t str,
    at: u32,
}

/// Longer strings say something.
pub(crate) const NONE_BYTES_MAX: usize = 4;

/// Whether a string is how logs spell "there is none".
#[inline]
pub(crate) fn says_none(text: &str) -> bool {
    match text.as_bytes() {
        [] | [b'-'] => true,
        // Asked in this order, hardly anything goes on to compare.
        [b'<' | b'n' | b'N', ..] => matches!(text, "<NA>" | "null" | "NaN"),
        _ => false,
    }
}

impl Tape {
    /// Reads the first JSON value of `text`; also tells how many bytes it took.
    pub(crate) fn parse<'t>(&'t mut self, text: &'t str) -> Result<(Value<'t>, usize), Broken> {
        self.nodes.clear();
        self.unescaped.clear();
        self.keys.restart();
        let taken = Reader::new(text, self).read()?;
        Ok((Value { tape: self, text, at: 0 }, taken))
    }
}

impl<'t> Value<'t> {
    /// The text of a string.
    #[inline]
    pub(crate) fn text(self) -> Option<&'t str> {
        let node = self.node();
        match node.kind {
            Kind::Plain => self.text.get(node.start as usize..node.end as usize),
            Kind::Unescaped => self.tape.unescaped.get(node.start as usize..node.end as usize),
            _ => None,
        }
    }

    /// The text of a string or number, booleans as words; `None` for null and containers.
    #[inline]
    pub(crate) fn scalar(self) -> Option<&'t str> {
        let node = self.node();
        match node.kind {
            Kind::Number => self.text.get(node.start as usize..node.end as usize),
            Kind::True => Some("true"),
            Kind::False => Some("false"),
            Kind::Null | Kind::Array | Kind::Object => None,
            Kind::Plain | Kind::Unescaped => self.text(),
        }
    }

    /// Where it stands in its text, quotes and all. `None` for what holds others, for strings with escapes and for what is
    /// null without the word.
    pub(crate) fn place(self) -> Option<Range<usize>> {
        let Node { kind, start, end, .. } = self.node();
        let (start, end) = (start as usize, end as usize);
        match kind {
            Kind::Plain => Some(start - 1..end + 1),
            Kind::Number | Kind::True | Kind::False => Some(start..end),
            Kind::Null if self.text.get(start..end) == Some("null") => Some(start..end),
            Kind::Null | Kind::Unescaped | Kind::Array | Kind::Object => None,
        }
    }

    /// Whether this is how logs spell "there is none".
    #[inline]
    pub(crate) fn is_missing(self) -> bool {
        let node = self.node();
        match node.kind {
            Kind::Null => true,
            // None of these has more bytes.
            Kind::Plain | Kind::Unescaped if node.end - node.start <= 4 => self.text().is_none_or(says_none),
            _ => false,
        }
    }

    /// A number that counts something, written as a number or as a string. Below zero is how logs say "none".
    pub(crate) fn integer(self) -> Option<u64> {
        self.scalar().and_then(number::integer)
    }

    /// A finite number, written as a number or as a string.
    pub(crate) fn float(self) -> Option<f64> {
        self.scalar().and_then(number::float)
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(self.node().kind, Kind::Plain | Kind::Unescaped)
    }

    pub(crate) fn is_number(self) -> bool {
        self.node().kind == Kind::Number
    }

    pub(crate) fn is_object(self) -> bool {
        self.node().kind == Kind::Object
    }

    pub(crate) fn is_null(self) -> bool {
        self.node().kind == Kind::Null
    }

    /// Whether this is the very same value, on the same tape.
    pub(crate) fn is_same(self, other: Self) -> bool {
        self.at == other.at
    }

    pub(crate) fn is_array(self) -> bool {
        self.node().kind == Kind::Array
    }

    /// The pairs of an object, in order, by the keys' texts; nothing for anything else.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'t str, Value<'t>)> {
        self.pairs().map(|(key, value)| (key.text(), value))
    }

    /// The pairs of an object, in order; nothing for anything else.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (Key<'t>, Value<'t>)> {
        let end = if self.is_object() { self.node().next } else { self.at };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let key = Key(Value { at, ..self });
            let value = Value { at: at + 1, ..self };
            at = value.node().next;
            Some((key, value))
        })
    }

    /// The items of an array, in order; nothing for anything else.
    pub(crate) fn items(self) -> impl Iterator<Item = Value<'t>> {
        let end = if self.is_array() { self.node().next } else { self.at };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let item = Value { at, ..self };
            at = item.node().next;
            Some(item)
        })
    }

    /// The value under `key`; the last one where it stands several times.
    pub(crate) fn get(self, key: &str) -> Option<Value<'t>> {
        self.entries().filter(|(name, _)| *name == key).last().map(|(_, value)| value)
    }

    #[inline]
    fn node(self) -> Node {
        // A `Value` is only made for places that the reader filled.
        self.tape.nodes[self.at as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Number, Value as Tree};

    fn tree(value: Value<'_>) -> Tree {
        if value.is_object() {
            Tree::Object(value.entries().map(|(key, value)| (key.to_owned(), tree(value))).collect())
        } else if value.is_array() {
            Tree::Array(value.items().map(tree).collect())
        } else if value.is_number() {
            // We take leading zeros, the library does not.
            let text = value.scalar().unwrap();
            text.parse::<Number>().map_or_else(|_| Tree::from(text), Tree::Number)
        } else {
            match (value.text(), value.scalar()) {
                (Some(text), _) => text.into(),
                (None, Some(word)) => (word == "true").into(),
                (None, None) => Tree::Null,
            }
        }
    }

    fn read(text: &str) -> Result<(Tree, usize), Broken> {
        Tape::default().parse(text).map(|(value, taken)| (tree(value), taken))
    }

    #[test]
    fn logs_own_dialect_is_understood() {
        for (text, meant) in [
            (r#"{"a":"\x22b\x5C"}"#, serde_json::json!({"a": r"\x22b\x5C"})),
            (r#"{"took": , "next": -, "n": -1}"#, serde_json::json!({"took": null, "next": null, "n": -1})),
            ("{\"a\":\"tab\there\"}", serde_json::json!({"a": "tab\there"})),
            (r#"{"a":"\ud83d\ude00 \ud83d \u00e9 \u12"}"#, serde_json::json!({"a": "😀 \u{fffd} é \\u12"})),
        ] {
            assert_eq!(read(text).unwrap().0, meant, "{text}");
        }
    }

    /// Whatever a tape has read before, it reads a text as a new one does.
    #[test]
    fn memory_changes_nothing() {
        let mut tape = Tape::default();
        let texts = [
            r#"{"status":200,"path":"/a","nested":{"status":1}}"#,
            r#"{"status":200,"path":"/a","nested":{"status":1}}"#,
            r#"{"path":"/a","status":200}"#,
            r#"{"statu":1,"status":2,"statuss":3,"status" : 4,"sta\u0074us":5}"#,
            r#"{"status":200,"path":"/a","nested":{"status":1}}"#,
            r#"{"status":200,"path":"/a","nested":{"stat"#,
            r#"{"status"#,
            r#"{"status":200,"path":"/a","nested":{"path":1}}"#,
        ];
        for _ in 0..2 {
            for text in texts {
                let fresh = read(text);
                assert_eq!(tape.parse(text).map(|(value, taken)| (tree(value), taken)), fresh, "{text}");
                let Ok((value, _)) = tape.parse(text) else { continue };
                for (key, _) in value.pairs() {
                    let (learnt, anew) =
                        (key.meaning().map(|means| means.word), crate::auto::word(key.text()));
                    assert!(learnt.is_none_or(|learnt| learnt == anew), "{} in {text}", key.text());
                }
            }
        }
    }

    #[test]
    fn faults_name_their_byte() {
        for (text, at, why) in [
            (r#"{"a":1"#, 6, "it breaks off"),
            (r#"{"a" 1}"#, 5, "a colon was expected"),
            (r#"{"a":"x"#, 5, "a string does not end"),
            (r#"{a:1}"#, 1, "a key was expected"),
            ("[1 2]", 3, "a comma or the end was expected"),
            ("[1.]", 3, "digits were expected"),
        ] {
            assert_eq!(read(text).unwrap_err(), Broken { at, why, deep: false }, "{text}");
        }
    }

    #[test]
    fn sixty_four_levels_are_read_and_no_more() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(64)).is_ok());
        assert!(read(&nested(65)).unwrap_err().deep);
        assert!(read(&"{\"a\":".repeat(10_000)).unwrap_err().deep);
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_the_next_value_can_follow() {
        let mut tape = Tape::default();
        let text = r#"{"a":1,"a":2} {"b":3}"#;
        let (value, taken) = tape.parse(text).unwrap();
        assert_eq!(value.get("a").and_then(Value::scalar), Some("2"));
        assert_eq!(&text[taken..], r#" {"b":3}"#);
    }

    fn any_tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::from),
            any::<i64>().prop_map(Tree::from),
            any::<u64>().prop_map(Tree::from),
            // Sixteenths: the library itself may read other fractions back a last digit off.
            (-1_000_000_000i64..1_000_000_000).prop_map(|n| Tree::from(n as f64 / 16.0)),
            ".{0,12}".prop_map(Tree::from),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::from),
                prop::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| Tree::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_the_library_writes_reads_the_same(tree in any_tree(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            prop_assert_eq!(read(&text).unwrap(), (tree, text.len()));
        }

        /// Lenient, never stricter: whatever the library takes, we take, and to the same meaning.
        #[test]
        fn what_the_library_takes_is_taken(text in r#"[\[\]{}",:0-9a-fntru\\ .eE+-]{0,24}"#) {
            let ours = read(&text);
            if let Ok(theirs) = serde_json::from_str::<Tree>(&text) {
                prop_assert_eq!(ours.unwrap().0, theirs);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,64}") {
            let _ = read(&text);
        }
    }
}
