//! A layer of configuration as a tree that remembers where each key and value stands, so that whatever is found
//! wrong later, by whomever, can be shown with its line and a caret.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::complain::{Complaint, Origins};

/// Where something was written: an origin (file, variable, flag) and, in a file, a line and column from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) origin: u32,
    /// 0 where the origin has no lines.
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Characters to underline; 0 for a collection, which has a beginning only.
    pub(crate) len: u32,
}

/// A value and where it was written.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a node holds. No `Debug`: secrets pass through here.
#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    /// Text that may stand for any scalar: from a variable, a flag, or with a `${VARIABLE}` filled in.
    Loose(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Node {
    /// An empty mapping at this place.
    pub(crate) fn empty(place: Place) -> Self {
        Self { place, value: Value::Map(Vec::new()) }
    }

    /// The value under a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
            }
            _ => None,
        }
    }

    /// Takes a key out of a mapping.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        match &mut self.value {
            Value::Map(entries) => {
                let at = entries.iter().position(|entry| entry.key == key)?;
                Some(entries.remove(at))
            }
            _ => None,
        }
    }

    /// The text of a scalar that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Loose(text) => Some(text),
            _ => None,
        }
    }

    /// Takes out the key or value written at `place`, wherever in this tree it is; says whether it was there. A
    /// collection begins where its first key or item does, but has no length.
    pub(crate) fn cut(&mut self, place: Place) -> bool {
        match &mut self.value {
            Value::Map(entries) => {
                let count = entries.len();
                entries.retain(|entry| entry.place != place && entry.node.place != place);
                entries.len() < count || entries.iter_mut().any(|entry| entry.node.cut(place))
            }
            Value::List(items) => {
                let count = items.len();
                items.retain(|item| item.place != place);
                items.len() < count || items.iter_mut().any(|item| item.cut(place))
            }
            _ => false,
        }
    }

    /// Lays `over` on top: mappings merge key by key, everything else is replaced; null leaves what is below.
    pub(crate) fn lay(&mut self, over: Node) {
        match (&mut self.value, over.value) {
            (_, Value::Null) => {}
            (Value::Map(entries), Value::Map(others)) => {
                self.place = over.place;
                for other in others {
                    match entries.iter_mut().find(|entry| entry.key == other.key) {
                        Some(entry) => {
                            if !matches!(other.node.value, Value::Null) {
                                entry.place = other.place;
                            }
                            entry.node.lay(other.node);
                        }
                        None => entries.push(other),
                    }
                }
            }
            (_, value) => *self = Node { place: over.place, value },
        }
    }

    /// Lays one rule on another: as [`lay`](Self::lay), but null takes a key away.
    pub(crate) fn lay_rule(&mut self, over: Node) {
        if let Value::Map(others) = &over.value {
            for other in others.iter().filter(|other| matches!(other.node.value, Value::Null)) {
                self.take(&other.key);
            }
        }
        self.lay(over);
    }
}

/// Reads one YAML document. An empty one is an empty mapping.
pub(crate) fn read(text: &str, origin: u32, origins: &Origins) -> Result<Node, Box<Complaint>> {
    let start = Place { origin, line: 1, column: 1, len: 1 };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Node::empty(start));
    }
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let tree: Spanned<Tree> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or(start, |at| place(origin, at));
        Box::new(Complaint::error(without_location(&error.to_string())).at(origins, place))
    })?;
    Ok(node(tree, origin))
}

/// The parser's message ends with the place, which a complaint shows in its own way.
fn without_location(said: &str) -> String {
    let first = said.lines().next().unwrap_or_default();
    if let Some((key, _)) = first.split_once(", set DuplicateKeyPolicy") {
        let key = key.rsplit_once(": ").map_or(key, |(_, key)| key);
        return format!("the key `{key}` stands twice");
    }
    let cut = first.find(" at line ").or_else(|| first.find(", line ")).unwrap_or(first.len());
    let text = first[..cut].trim_end_matches(':').trim();
    // "line 2 column 1: message" is the other form.
    match text.split_once(": ") {
        Some((before, after)) if before.trim_start_matches("error: ").starts_with("line ") => {
            after.to_owned()
        }
        _ => text.to_owned(),
    }
}

fn place(origin: u32, at: serde_saphyr::Location) -> Place {
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place { origin, line: small(at.line()), column: small(at.column()), len: small(at.span().len()).max(1) }
}

/// What the parser hands over.
enum Tree {
    Scalar(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

fn node(tree: Spanned<Tree>, origin: u32) -> Node {
    let mut place = place(origin, tree.referenced);
    let value = match tree.value {
        Tree::Scalar(value) => value,
        Tree::List(items) => {
            place.len = 0;
            Value::List(items.into_iter().map(|item| node(item, origin)).collect())
        }
        Tree::Map(entries) => {
            place.len = 0;
            Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        place: self::place(origin, key.referenced),
                        key: key.value,
                        node: node(value, origin),
                    })
                    .collect(),
            )
        }
    };
    Node { place, value }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Grow)
    }
}

struct Grow;

impl<'de> Visitor<'de> for Grow {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Int(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Int(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Int(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

/// Fills in `${NAME}` and `${NAME:-default}` in every text of the tree; `$${` stands for `${`. It is done on parsed
/// scalars, so that no variable can change the shape of the document.
pub(crate) fn expand(
    node: &mut Node,
    env: &BTreeMap<String, String>,
    origins: &Origins,
    out: &mut Vec<Complaint>,
) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, env, origins, out)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|entry| expand(&mut entry.node, env, origins, out))
        }
        Value::Text(text) if text.contains("${") => match filled(text, env) {
            Ok(text) => node.value = Value::Loose(text),
            Err((said, mend)) => out.push(Complaint::error(said).mend(mend).at(origins, node.place)),
        },
        _ => {}
    }
}

fn filled(text: &str, env: &BTreeMap<String, String>) -> Result<String, (String, String)> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let literal = || "write `$${` where a literal `${` is meant".to_owned();
        let inner = &rest[at + 2..];
        let end = inner.find('}').ok_or_else(|| ("`${` is never closed".to_owned(), literal()))?;
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        let is_name = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err((format!("`{name}` is not the name of an environment variable"), literal()));
        }
        // As in a shell, `:-` also takes the place of an empty value.
        match (env.get(name).filter(|held| default.is_none() || !held.is_empty()), default) {
            (Some(held), _) => out.push_str(held),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                let said = format!("the environment variable `{name}` is not set");
                return Err((said, format!("set it, or give a default: `${{{name}:-…}}`")));
            }
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}
