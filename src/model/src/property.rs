//! Typed options of devices.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Kind of a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyKind {
    /// `on` or `off`.
    Bool,
    /// A number, decimal or 0x hexadecimal.
    U64,
    /// Any text.
    String,
    /// A size in bytes with an optional suffix k, M, G, T.
    Size,
    /// Name of a character back end.
    Chardev,
    /// Name of a block back end.
    Drive,
    /// Name of a network back end.
    Netdev,
    /// An Ethernet address.
    Mac,
    /// Named strings of bytes, which only a board sets, never a user's text.
    Blobs,
}

impl PropertyKind {
    /// Name for help texts.
    pub fn name(self) -> &'static str {
        match self {
            PropertyKind::Bool => "bool",
            PropertyKind::U64 => "number",
            PropertyKind::String => "string",
            PropertyKind::Size => "size",
            PropertyKind::Chardev => "chardev id",
            PropertyKind::Drive => "drive id",
            PropertyKind::Netdev => "netdev id",
            PropertyKind::Mac => "Ethernet address",
            PropertyKind::Blobs => "list that a user can set; the board sets it",
        }
    }
}

/// Default of a property, as a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// The property must be given.
    Required,
    /// Absent unless given.
    None,
    /// A truth value.
    Bool(bool),
    /// A number or size.
    U64(u64),
    /// Text.
    Str(&'static str),
    /// An Ethernet address.
    Mac([u8; 6]),
}

/// One option of a device type.
#[derive(Debug, Clone, Copy)]
pub struct PropertyDecl {
    /// Name, as `-device type,name=value` has it.
    pub name: &'static str,
    /// Kind.
    pub kind: PropertyKind,
    /// Default.
    pub default: Default,
    /// One line for help.
    pub doc: &'static str,
}

/// Value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A number or size.
    U64(u64),
    /// Text, or the name of a back end.
    Str(String),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// Named strings of bytes, in order.
    Blobs(Arc<[(String, Vec<u8>)]>),
}

/// What is wrong with a property.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropError {
    /// The type has no such property.
    #[error("{device} has no property '{name}'; see -device {device},help")]
    Unknown {
        /// Type of the device.
        device: &'static str,
        /// Property.
        name: String,
    },
    /// The text is not a value of the property's kind.
    #[error("{device}: {name}={text}: not a {expected}")]
    Invalid {
        /// Type of the device.
        device: &'static str,
        /// Property.
        name: String,
        /// Text given.
        text: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// The property must be given.
    #[error("{device}: property '{name}' must be given")]
    Missing {
        /// Type of the device.
        device: &'static str,
        /// Property.
        name: &'static str,
    },
    /// The constructor refuses a value or a combination.
    #[error("{device}: {message}")]
    Refused {
        /// Type of the device.
        device: &'static str,
        /// Why, and what to do.
        message: String,
    },
}

/// Values of a device's properties: those given, and the defaults of the others.
#[derive(Debug, Clone)]
pub struct Props {
    device: &'static str,
    decls: &'static [PropertyDecl],
    values: BTreeMap<&'static str, Value>,
}

impl Props {
    /// The defaults of a type.
    pub fn new(ty: &crate::DeviceType) -> Props {
        let mut values = BTreeMap::new();
        for decl in ty.properties {
            let value = match decl.default {
                Default::Required | Default::None => continue,
                Default::Bool(b) => Value::Bool(b),
                Default::U64(n) => Value::U64(n),
                Default::Str(s) => Value::Str(s.into()),
                Default::Mac(m) => Value::Mac(m),
            };
            values.insert(decl.name, value);
        }
        Props { device: ty.name, decls: ty.properties, values }
    }

    /// The defaults of a type with these values, given as text.
    pub fn with(ty: &crate::DeviceType, given: &[(&str, &str)]) -> Result<Props, PropError> {
        let mut props = Props::new(ty);
        for (name, text) in given {
            props.set_text(name, text)?;
        }
        Ok(props)
    }

    fn decl(&self, name: &str) -> Result<&'static PropertyDecl, PropError> {
        self.decls.iter().find(|d| d.name == name).ok_or_else(|| PropError::Unknown { device: self.device, name: name.into() })
    }

    /// Sets a property from a user's text.
    pub fn set_text(&mut self, name: &str, text: &str) -> Result<(), PropError> {
        let decl = self.decl(name)?;
        let value = parse(decl.kind, text).ok_or_else(|| PropError::Invalid {
            device: self.device,
            name: name.into(),
            text: text.into(),
            expected: decl.kind.name(),
        })?;
        self.values.insert(decl.name, value);
        Ok(())
    }

    /// Sets a property to a value of its kind.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), PropError> {
        let decl = self.decl(name)?;
        use PropertyKind as K;
        let fits = matches!(
            (decl.kind, &value),
            (K::Bool, Value::Bool(_))
                | (K::U64 | K::Size, Value::U64(_))
                | (K::String | K::Chardev | K::Drive | K::Netdev, Value::Str(_))
                | (K::Mac, Value::Mac(_))
                | (K::Blobs, Value::Blobs(_))
        );
        if !fits {
            return Err(PropError::Invalid { device: self.device, name: name.into(), text: format!("{value:?}"), expected: decl.kind.name() });
        }
        self.values.insert(decl.name, value);
        Ok(())
    }

    /// Sets a number, for boards' own constants.
    pub fn with_u64(mut self, name: &str, value: u64) -> Result<Props, PropError> {
        self.set(name, Value::U64(value))?;
        Ok(self)
    }

    /// Sets a property from text, for boards' own constants.
    pub fn with_text(mut self, name: &str, text: &str) -> Result<Props, PropError> {
        self.set_text(name, text)?;
        Ok(self)
    }

    /// Fails if a required property has not been given.
    pub fn check(&self) -> Result<(), PropError> {
        for decl in self.decls {
            if decl.default == Default::Required && !self.values.contains_key(decl.name) {
                return Err(PropError::Missing { device: self.device, name: decl.name });
            }
        }
        Ok(())
    }

    /// Value of a property, if it has one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A truth value; false if absent or of another kind.
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    /// A number or size; 0 if absent or of another kind.
    pub fn u64(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Value::U64(n)) => *n,
            _ => 0,
        }
    }

    /// Text or the name of a back end; `None` if absent.
    pub fn str(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Str(s)) => Some(s),
            _ => None,
        }
    }

    /// An Ethernet address, if given.
    pub fn mac(&self, name: &str) -> Option<[u8; 6]> {
        match self.get(name) {
            Some(Value::Mac(m)) => Some(*m),
            _ => None,
        }
    }

    /// Named strings of bytes; none if absent.
    pub fn blobs(&self, name: &str) -> &[(String, Vec<u8>)] {
        match self.get(name) {
            Some(Value::Blobs(blobs)) => blobs,
            _ => &[],
        }
    }

    /// An error about a value or combination, for constructors.
    pub fn refuse(&self, message: impl Into<String>) -> PropError {
        PropError::Refused { device: self.device, message: message.into() }
    }
}

fn parse_u64(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // from_str_radix would take a sign.
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()? {
        b'b' | b'B' if !text.starts_with("0x") => Some(0),
        b'k' | b'K' => Some(10),
        b'm' | b'M' => Some(20),
        b'g' | b'G' => Some(30),
        b't' | b'T' => Some(40),
        _ => None,
    };
    match shift {
        Some(shift) => parse_u64(&text[..text.len() - 1])?.checked_mul(1 << shift),
        None => parse_u64(text),
    }
}

fn parse(kind: PropertyKind, text: &str) -> Option<Value> {
    Some(match kind {
        PropertyKind::Bool => Value::Bool(match text {
            "on" | "true" | "yes" | "y" => true,
            "off" | "false" | "no" | "n" => false,
            _ => return None,
        }),
        PropertyKind::U64 => Value::U64(parse_u64(text)?),
        PropertyKind::Size => Value::U64(parse_size(text)?),
        PropertyKind::Blobs => return None,
        PropertyKind::String | PropertyKind::Chardev | PropertyKind::Drive | PropertyKind::Netdev => Value::Str(text.into()),
        PropertyKind::Mac => {
            let mut mac = [0; 6];
            let mut parts = text.split([':', '-']);
            for byte in &mut mac {
                let part = parts.next()?;
                if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                *byte = u8::from_str_radix(part, 16).ok()?;
            }
            parts.next().is_none().then_some(Value::Mac(mac))?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_parsed_by_kind() {
        use PropertyKind::*;
        let cases: &[(PropertyKind, &str, Option<Value>)] = &[
            (Bool, "on", Some(Value::Bool(true))),
            (Bool, "maybe", None),
            (U64, "0x10", Some(Value::U64(16))),
            (U64, "+1", None),
            (U64, "0x", None),
            (U64, "", None),
            (Size, "64M", Some(Value::U64(64 << 20))),
            (Size, "0x1b", Some(Value::U64(0x1b))),
            (Size, "99999999T", None),
            (Size, "", None),
            (Size, "é", None),
            (Mac, "52:54:00:12:34:56", Some(Value::Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]))),
            (Mac, "52:54:00:12:34", None),
            (Mac, "52:54:00:12:34:56:78", None),
            (Mac, "+2:54:00:12:34:56", None),
        ];
        for (kind, text, value) in cases {
            assert_eq!(parse(*kind, text), *value, "{kind:?} {text:?}");
        }
    }
}
