//! Types of QMP: how a value is read, written and described to those who ask with
//! `query-qmp-schema` (QEMU's `qapi/introspect.json`).

use super::{Error, Object};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A type of QMP.
pub trait Qapi: Sized {
    /// A member of this type may be left out.
    const OPTIONAL: bool = false;
    /// Its name in the schema, where it is entered.
    fn schema(schema: &mut Schema) -> String;
    /// Reads a value of the member or argument `name`.
    ///
    /// # Errors
    /// The value is of another type.
    fn from_json(value: Json, name: &str) -> Result<Self, Error>;
    /// What a member of this type is that is not given.
    ///
    /// # Errors
    /// It must be given.
    fn absent(name: &str) -> Result<Self, Error> {
        Err(Error::generic(format!("Parameter '{name}' is missing")))
    }
    /// As JSON; `None` where it is left out.
    fn to_json(&self) -> Option<Json>;
}

/// The name of a member: that of the field with hyphens. QEMU has one in capitals.
pub fn member_name(field: &str) -> String {
    if field == "uuid" {
        return "UUID".into();
    }
    field.trim_start_matches("r#").replace('_', "-")
}

/// What is wrong with a value of another type.
pub fn wrong_type(name: &str, expected: &str) -> Error {
    Error::generic(format!("Invalid parameter type for '{name}', expected: {expected}"))
}

/// The types that have been described, which know each other by number.
#[derive(Default)]
pub struct Schema {
    /// SchemaInfo objects.
    pub entries: Vec<Json>,
    names: BTreeMap<String, String>,
}

impl Schema {
    /// The name of a type; `describe` gives the rest of its entry where it is new.
    pub fn define(&mut self, key: &str, describe: impl FnOnce(&mut Schema) -> Json) -> String {
        if let Some(name) = self.names.get(key) {
            return name.clone();
        }
        let name = self.names.len().to_string();
        self.names.insert(key.into(), name.clone());
        self.enter(&name, describe)
    }

    fn built_in(&mut self, name: &str, json: &str) -> String {
        if self.names.insert(name.into(), name.into()).is_none() {
            self.enter(name, |_| json!({"meta-type": "builtin", "json-type": json}));
        }
        name.into()
    }

    fn enter(&mut self, name: &str, describe: impl FnOnce(&mut Schema) -> Json) -> String {
        let mut entry = describe(self);
        entry["name"] = name.into();
        self.entries.push(entry);
        name.into()
    }

    /// An object type of these members.
    pub fn object(&mut self, members: &[(String, String, bool)]) -> Json {
        let members = members.iter().map(|(name, ty, optional)| match optional {
            true => json!({"name": name, "type": ty, "default": null}),
            false => json!({"name": name, "type": ty}),
        });
        json!({"meta-type": "object", "members": members.collect::<Vec<_>>()})
    }
}

macro_rules! built_in {
    ($($ty:ty: $name:literal $json:literal $expected:literal, $read:expr;)*) => {$(
        impl Qapi for $ty {
            fn schema(schema: &mut Schema) -> String {
                schema.built_in($name, $json)
            }
            fn from_json(value: Json, name: &str) -> Result<Self, Error> {
                let read: fn(&Json) -> Option<$ty> = $read;
                read(&value).ok_or_else(|| wrong_type(name, $expected))
            }
            fn to_json(&self) -> Option<Json> {
                Some(self.clone().into())
            }
        }
    )*};
}
built_in! {
    bool: "bool" "boolean" "boolean", Json::as_bool;
    String: "str" "string" "string", |v| v.as_str().map(str::to_string);
    u64: "int" "int" "integer", |v| v.as_u64().or_else(|| v.as_i64().map(|n| n as u64));
    Json: "any" "value" "any", |v| Some(v.clone());
}

impl<T: Qapi> Qapi for Option<T> {
    const OPTIONAL: bool = true;
    fn schema(schema: &mut Schema) -> String {
        T::schema(schema)
    }
    fn from_json(value: Json, name: &str) -> Result<Self, Error> {
        T::from_json(value, name).map(Some)
    }
    fn absent(_: &str) -> Result<Self, Error> {
        Ok(None)
    }
    fn to_json(&self) -> Option<Json> {
        self.as_ref().and_then(T::to_json)
    }
}

impl<T: Qapi> Qapi for Vec<T> {
    fn schema(schema: &mut Schema) -> String {
        let element = T::schema(schema);
        let name = format!("[{element}]");
        if schema.names.insert(name.clone(), name.clone()).is_none() {
            schema.enter(&name, |_| json!({"meta-type": "array", "element-type": element}));
        }
        name
    }
    fn from_json(value: Json, name: &str) -> Result<Self, Error> {
        let Json::Array(items) = value else { return Err(wrong_type(name, "array")) };
        items.into_iter().map(|item| T::from_json(item, name)).collect()
    }
    fn to_json(&self) -> Option<Json> {
        Some(self.iter().filter_map(T::to_json).collect())
    }
}

/// An object without members: no arguments, and no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empty;

impl Qapi for Empty {
    fn schema(schema: &mut Schema) -> String {
        schema.define("Empty", |s| s.object(&[]))
    }
    fn from_json(value: Json, name: &str) -> Result<Self, Error> {
        let Json::Object(map) = value else { return Err(wrong_type(name, "object")) };
        no_more(&map)?;
        Ok(Empty)
    }
    fn to_json(&self) -> Option<Json> {
        Some(Json::Object(Object::new()))
    }
}

/// Refuses members that are left.
///
/// # Errors
/// There is one.
pub fn no_more(map: &Object) -> Result<(), Error> {
    match map.keys().next() {
        Some(name) => Err(Error::generic(format!("Parameter '{name}' is unexpected"))),
        None => Ok(()),
    }
}

/// Declares an object type, once for its value, its JSON and its description. Members are named
/// as the fields, with hyphens.
#[macro_export]
macro_rules! qapi_object {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $about:literal])* $field:ident: $ty:ty,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $about])* pub $field: $ty,)*
        }

        impl $crate::qmp::schema::Qapi for $name {
            fn schema(schema: &mut $crate::qmp::schema::Schema) -> String {
                schema.define(stringify!($name), |s| {
                    let members = [$((
                        $crate::qmp::schema::member_name(stringify!($field)),
                        <$ty as $crate::qmp::schema::Qapi>::schema(s),
                        <$ty as $crate::qmp::schema::Qapi>::OPTIONAL,
                    ),)*];
                    s.object(&members)
                })
            }
            fn from_json(value: serde_json::Value, name: &str) -> Result<Self, $crate::qmp::Error> {
                let serde_json::Value::Object(mut map) = value else { return Err($crate::qmp::schema::wrong_type(name, "object")) };
                $(
                    let member = $crate::qmp::schema::member_name(stringify!($field));
                    let $field = match map.remove(&member) {
                        Some(value) => <$ty as $crate::qmp::schema::Qapi>::from_json(value, &member)?,
                        None => <$ty as $crate::qmp::schema::Qapi>::absent(&member)?,
                    };
                )*
                $crate::qmp::schema::no_more(&map)?;
                Ok($name { $($field,)* })
            }
            fn to_json(&self) -> Option<serde_json::Value> {
                let mut map = $crate::qmp::Object::new();
                $(
                    if let Some(value) = $crate::qmp::schema::Qapi::to_json(&self.$field) {
                        map.insert($crate::qmp::schema::member_name(stringify!($field)), value);
                    }
                )*
                Some(map.into())
            }
        }
    )*};
}

/// Declares an enumeration: its values, and their names on the wire.
#[macro_export]
macro_rules! qapi_enum {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $about:literal])* $value:ident = $text:literal,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $about])* $value,)*
        }

        impl $name {
            /// All of them, by name.
            pub const ALL: &'static [(&'static str, $name)] = &[$(($text, $name::$value),)*];
            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$value => $text,)*
                }
            }
        }

        impl $crate::qmp::schema::Qapi for $name {
            fn schema(schema: &mut $crate::qmp::schema::Schema) -> String {
                schema.define(stringify!($name), |_| serde_json::json!({
                    "meta-type": "enum",
                    "members": [$({"name": $text},)*],
                    "values": [$($text,)*],
                }))
            }
            fn from_json(value: serde_json::Value, name: &str) -> Result<Self, $crate::qmp::Error> {
                let Some(text) = value.as_str() else { return Err($crate::qmp::schema::wrong_type(name, "string")) };
                let found = Self::ALL.iter().find(|(n, _)| *n == text).map(|(_, v)| *v);
                found.ok_or_else(|| $crate::qmp::Error::generic(format!("Parameter '{name}' does not accept value '{text}'")))
            }
            fn to_json(&self) -> Option<serde_json::Value> {
                Some(self.name().into())
            }
        }
    )*};
}
