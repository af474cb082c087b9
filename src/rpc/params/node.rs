//! A serde deserializer over raw JSON that learns the known names from each type: [`Node`].
//!
//! It descends only as deep as the type has structs and lists. Parts that a type takes as they are
//! (`serde_json::Value`, `RawValue`) are passed to serde_json, which has its own limit for nesting.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::value::RawValue;

use super::error::{ParamError, Segment};
use crate::message::kind;

/// The name with which serde_json asks for a value's raw text.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// One value of the params.
#[derive(Clone, Copy)]
pub(super) struct Node<'de> {
    raw: &'de RawValue,
    unknown_names: UnknownNames,
    /// Whether this is the params themselves, not a value within them.
    is_top: bool,
}

/// How names that a type does not know are treated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum UnknownNames {
    /// They are an error, except for those that belong to the client.
    Refused,
    /// They are ignored.
    Ignored,
}

impl<'de> Node<'de> {
    pub(super) fn new(raw: &'de RawValue, unknown_names: UnknownNames) -> Self {
        Self { raw, unknown_names, is_top: true }
    }

    fn within(raw: &'de RawValue, unknown_names: UnknownNames) -> Self {
        Self { raw, unknown_names, is_top: false }
    }

    fn kind(self) -> &'static str {
        kind(self.raw)
    }

    fn wrong(self, expected: impl fmt::Display) -> ParamError {
        // Numbers and booleans are short and more helpful than their type.
        let got = match self.kind() {
            "a number" | "a boolean" => self.raw.get(),
            kind => kind,
        };
        ParamError::wrong(expected, got)
    }

    /// Reads a type that has no fields.
    fn read<T: Deserialize<'de>>(self, expected: impl fmt::Display) -> Result<T, ParamError> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.wrong(expected))
    }

    fn text(self) -> Result<String, ParamError> {
        if self.kind() == "a string" { self.read("Unicode text") } else { Err(self.wrong("a string")) }
    }

    fn members(self) -> Result<Members<'de>, ParamError> {
        if self.kind() == "an object" { self.read("an object") } else { Err(self.wrong("an object")) }
    }

    fn entries(self) -> Result<Vec<&'de RawValue>, ParamError> {
        if self.kind() == "an array" { self.read("an array") } else { Err(self.wrong("an array")) }
    }

    /// Lets serde_json read the whole value.
    fn whole<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, ParamError> {
        read(&mut serde_json::Deserializer::from_str(self.raw.get())).map_err(|error| {
            let message = error.to_string();
            // The position counts from the start of this value, so it means nothing to the client.
            let end = message.rfind(" at line ").unwrap_or(message.len());
            de::Error::custom(&message[..end])
        })
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $integer:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            let expected = format_args!("an integer from {} to {}", <$integer>::MIN, <$integer>::MAX);
            visitor.$visit(self.read(expected)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = ParamError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        self.whole(|json| json.deserialize_any(visitor))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_bool(self.read("a boolean")?)
    }

    integers! {
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        let number: f32 = self.read("a number")?;
        // `1e39` is valid JSON, but too large for an f32.
        if number.is_finite() { visitor.visit_f32(number) } else { Err(self.wrong("a number within f32")) }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_f64(self.read("a number")?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        if self.kind() == "null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        if name == RAW_VALUE {
            return self.whole(|json| json.deserialize_newtype_struct(name, visitor));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_seq(Entries::of(self.entries()?, self.unknown_names))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ParamError> {
        let entries = self.entries()?;
        if entries.len() != len {
            return Err(ParamError::wrong(
                format_args!("an array of {len} entries"),
                format_args!("{}", entries.len()),
            ));
        }
        visitor.visit_seq(Entries::of(entries, self.unknown_names))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_map(Fields::of(self.members()?, self.unknown_names))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        let mut members = self.members()?;
        let is_refused =
            |name: &str| self.unknown_names == UnknownNames::Refused && !belongs_to_the_client(name);
        // Many clients write `null` for absent members, and send back objects with members that we do not have.
        members
            .0
            .retain(|(name, value)| kind(value) != "null" || self.is_top && !known.contains(&name.as_str()));
        members.0.retain(|(name, _)| known.contains(&name.as_str()) || is_refused(name));
        if let Some((name, _)) = members.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(ParamError::unknown(name, known));
        }
        visitor.visit_map(Fields::of(members, self.unknown_names))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        match self.kind() {
            "a string" => visitor.visit_enum(IntoDeserializer::<ParamError>::into_deserializer(self.text()?)),
            "an object" => self.whole(|json| json.deserialize_enum(name, variants, visitor)),
            _ => Err(self.wrong("a string")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

fn belongs_to_the_client(name: &str) -> bool {
    name.starts_with("x_") || name == "_meta"
}

/// The members of an object as written, including repeated ones.
pub(super) struct Members<'de>(pub(super) Vec<(String, &'de RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct Entries<'de> {
    values: std::vec::IntoIter<&'de RawValue>,
    index: usize,
    unknown_names: UnknownNames,
}

impl<'de> Entries<'de> {
    fn of(values: Vec<&'de RawValue>, unknown_names: UnknownNames) -> Self {
        Self { values: values.into_iter(), index: 0, unknown_names }
    }
}

impl<'de> SeqAccess<'de> for Entries<'de> {
    type Error = ParamError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ParamError> {
        let Some(raw) = self.values.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Node::within(raw, self.unknown_names))
            .map(Some)
            .map_err(|error| error.within(Segment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

struct Fields<'de> {
    members: std::vec::IntoIter<(String, &'de RawValue)>,
    /// The member whose value is read next.
    current: Option<(String, &'de RawValue)>,
    unknown_names: UnknownNames,
}

impl<'de> Fields<'de> {
    fn of(members: Members<'de>, unknown_names: UnknownNames) -> Self {
        Self { members: members.0.into_iter(), current: None, unknown_names }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = ParamError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ParamError> {
        self.current = self.members.next();
        let Some((name, _)) = &self.current else { return Ok(None) };
        seed.deserialize(Name(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ParamError> {
        let Some((name, raw)) = self.current.take() else {
            return Err(de::Error::custom("value asked for before its name"));
        };
        seed.deserialize(Node::within(raw, self.unknown_names))
            .map_err(|error| error.within(Segment::Field(name)))
    }
}

/// A member's name, which is read as an integer if the keys of a map are integers.
struct Name<'a>(&'a str);

macro_rules! integer_names {
    ($($method:ident $visit:ident $integer:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            match self.0.parse::<$integer>() {
                Ok(integer) => visitor.$visit(integer),
                Err(_) => Err(ParamError::wrong("an integer", "text").within(Segment::Field(self.0.to_owned()))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = ParamError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        StrDeserializer::<ParamError>::new(self.0).deserialize_any(visitor)
    }

    integer_names! {
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
    }

    forward_to_deserialize_any! {
        bool i8 i16 u8 u16 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}
