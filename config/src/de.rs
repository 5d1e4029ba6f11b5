//! From the tree to the serde twins, keeping places: what a twin refuses is known by the place of the key or value
//! that it refused, and a twin that wants to judge later keeps the place itself ([`At`]).

use std::fmt;
use std::ops::Deref;

use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Serialize, Serializer};

use crate::node::{Entry, Node, Place, Value};

/// A value with the place it was written at, for judging it later.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What makes the tree hand out the place with the value; any other deserialiser would take it for a name.
const MARK: &str = "$beaconfire::at";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Both<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Both<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<At<T>, A::Error> {
                let mut number = || parts.next_element::<u32>().map(Option::unwrap_or_default);
                let place = Place { origin: number()?, line: number()?, column: number()?, len: number()? };
                let value = parts.next_element()?.ok_or_else(|| de::Error::custom("the value is missing"))?;
                Ok(At { value, place })
            }
        }
        deserializer.deserialize_newtype_struct(MARK, Both(std::marker::PhantomData))
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// Why a twin refused, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) place: Option<Place>,
    pub(crate) why: Why,
}

/// Why a twin refused.
#[derive(Debug)]
pub(crate) enum Why {
    /// A key that it does not have.
    Unknown { name: String, known: &'static [&'static str] },
    /// A name that is none of a closed set.
    Variant { name: String, known: &'static [&'static str] },
    /// A key that it must have.
    Missing(&'static str),
    /// Anything else, in words.
    Said(String),
}

impl Fault {
    fn or_at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Unknown { name, .. } => write!(f, "unknown key `{name}`"),
            Why::Variant { name, known } => {
                write!(f, "`{name}` is none of {}", known.join(", "))
            }
            Why::Missing(name) => write!(f, "`{name}` is missing"),
            Why::Said(said) => f.write_str(said),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(said: T) -> Self {
        Self { place: None, why: Why::Said(said.to_string()) }
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self { place: None, why: Why::Unknown { name: name.to_owned(), known } }
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self { place: None, why: Why::Variant { name: name.to_owned(), known } }
    }

    fn missing_field(name: &'static str) -> Self {
        Self { place: None, why: Why::Missing(name) }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        // The value itself stays out: it may be a secret in the wrong place, and the line is shown anyway.
        let found = match found {
            de::Unexpected::Bool(_) => "true or false",
            de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) => "a number",
            de::Unexpected::Float(_) => "a number with a fraction",
            de::Unexpected::Str(_) => "text",
            de::Unexpected::Seq => "a list",
            de::Unexpected::Map => "a mapping",
            de::Unexpected::Unit | de::Unexpected::Option => "nothing",
            _ => "something else",
        };
        Self::custom(format_args!("expected {}, found {found}", plain(&expected.to_string())))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("out of range: expected {}", plain(&expected.to_string())))
    }
}

/// serde's words for types, in words that people on call use.
fn plain(expected: &str) -> String {
    match expected {
        "a boolean" => "true or false".to_owned(),
        "a string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not below 0".to_owned(),
        "i32" | "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => other.to_owned(),
    }
}

/// Reads a twin from a tree.
pub(crate) fn read<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Fault> {
    T::deserialize(Reader(node))
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

impl<'a> Reader<'a> {
    fn fault(self, said: impl fmt::Display) -> Fault {
        <Fault as de::Error>::custom(said).or_at(self.0.place)
    }

    fn number<T: std::str::FromStr, V>(
        self,
        text: &str,
        expected: &str,
        then: impl FnOnce(T) -> Result<V, Fault>,
    ) -> Result<V, Fault> {
        let value =
            text.trim().parse().map_err(|_| self.fault(format_args!("expected {expected}, found text")))?;
        then(value).map_err(|fault| fault.or_at(self.0.place))
    }
}

/// Numbers from loose text are parsed here, from plain scalars they go through `deserialize_any`.
macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match &self.0.value {
                Value::Loose(text) => self.number::<$type, _>(text, $expected, |value| visitor.$visit(value)),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) | Value::Loose(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
        }
        .map_err(|fault| fault.or_at(self.0.place))
    }

    numbers! {
        deserialize_u8 visit_u8 u8, "a whole number, not below 0";
        deserialize_u16 visit_u16 u16, "a whole number, not below 0";
        deserialize_u32 visit_u32 u32, "a whole number, not below 0";
        deserialize_u64 visit_u64 u64, "a whole number, not below 0";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Loose(text) => {
                self.number::<bool, _>(text, "true or false", |value| visitor.visit_bool(value))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    /// Whole numbers, true and false where text is expected are taken as written: `instance: 7`.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = match &self.0.value {
            Value::Int(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return self.deserialize_any(visitor),
        };
        visitor.visit_string(text).map_err(|fault: Fault| fault.or_at(self.0.place))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null => visitor.visit_none(),
            Value::Loose(text) if text.is_empty() || text == "null" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|fault| fault.or_at(self.0.place))
    }

    /// A list in a variable or flag: `a,b`.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Loose(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let items: Vec<Node> = parts
                    .map(|part| Node { place: self.0.place, value: Value::Loose(part.to_owned()) })
                    .collect();
                visitor.visit_seq(Owned(items.into_iter())).map_err(|fault| fault.or_at(self.0.place))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &str, visitor: V) -> Result<V::Value, Fault> {
        if name == MARK {
            visitor.visit_seq(Marked { node: self.0, part: 0 }).map_err(|fault| fault.or_at(self.0.place))
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let text = self.0.text().ok_or_else(|| self.fault("expected one word"))?;
        let word: StrDeserializer<'_, Fault> = text.into_deserializer();
        visitor.visit_enum(word).map_err(|fault| fault.or_at(self.0.place))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.0.next().map(|node| seed.deserialize(Reader(node))).transpose()
    }
}

/// Parts of loose text, which live no longer than the reading.
struct Owned(std::vec::IntoIter<Node>);

impl<'de> SeqAccess<'de> for Owned {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.0.next().map(|node| seed.deserialize(LoosePart(node))).transpose()
    }
}

/// One part of a list in a variable: scalars only.
struct LoosePart(Node);

impl<'de> Deserializer<'de> for LoosePart {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let place = self.0.place;
        visitor.visit_str(self.0.text().unwrap_or_default()).map_err(|fault: Fault| fault.or_at(place))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name != MARK {
            return visitor.visit_newtype_struct(self);
        }
        let place = self.0.place;
        visitor
            .visit_seq(MarkedPart { node: Some(self.0), place, part: 0 })
            .map_err(|fault| fault.or_at(place))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The place in four numbers, then the value.
struct Marked<'a> {
    node: &'a Node,
    part: u8,
}

impl<'de> SeqAccess<'de> for Marked<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.part += 1;
        match number_of(self.node.place, self.part) {
            Some(number) => seed.deserialize(number).map(Some),
            None => seed.deserialize(Reader(self.node)).map(Some),
        }
    }
}

struct MarkedPart {
    node: Option<Node>,
    place: Place,
    part: u8,
}

impl<'de> SeqAccess<'de> for MarkedPart {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.part += 1;
        match number_of(self.place, self.part) {
            Some(number) => seed.deserialize(number).map(Some),
            None => self.node.take().map(|node| seed.deserialize(LoosePart(node))).transpose(),
        }
    }
}

fn number_of(place: Place, part: u8) -> Option<U32Deserializer<Fault>> {
    let number = match part {
        1 => place.origin,
        2 => place.line,
        3 => place.column,
        4 => place.len,
        _ => return None,
    };
    Some(number.into_deserializer())
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, Entry>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        self.value = Some(&entry.node);
        let key: StrDeserializer<'de, Fault> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.or_at(entry.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let node = self.value.take().ok_or_else(|| <Fault as de::Error>::custom("a key without a value"))?;
        seed.deserialize(Reader(node))
    }
}
