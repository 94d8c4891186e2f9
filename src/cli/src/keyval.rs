//! The value grammar that most options share: `first,key=value,flag,noflag`, with `,,` for a comma
//! in a value, or the same as a JSON object.

use serde_json::Value as Json;

use crate::error::{Problem, shorten};

/// Keys and values in the order they were written. Where a key is given twice the last one holds,
/// except for those that are lists (`hostfwd`, `arg`).
///
/// A JSON object is flattened: `{"addr": {"type": "inet"}}` is the same as `addr.type=inet`, an
/// array's members are `key.0`, `key.1`, and booleans are `on` and `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValues(pub Vec<(String, String)>);

/// Whether a value asks for help instead of saying something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelpWanted {
    /// It does not.
    No,
    /// For the list of what may be given (`-device help`).
    List,
    /// For the properties of one of them (`-device virtio-blk-device,help`).
    Of(String),
}

fn is_help(text: &str) -> bool {
    matches!(text, "help" | "?")
}

impl KeyValues {
    /// Reads `key=value,...`. The first part may be a value alone, of the key `implied`.
    pub fn parse(text: &str, implied: Option<&str>) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        let mut rest = text;
        let mut implied = implied;
        while !rest.is_empty() {
            let key_end = rest.find(['=', ',']).unwrap_or(rest.len());
            let (key, after) = rest.split_at(key_end);
            if let Some(value) = after.strip_prefix('=') {
                if key.is_empty() {
                    return Err(format!("a key is missing before '={}'", shorten(value)).into());
                }
                let (value, tail) = value_of(value);
                pairs.push((key.to_string(), value));
                rest = tail;
            } else if let Some(name) = implied {
                let (value, tail) = value_of(rest);
                pairs.push((name.to_string(), value));
                rest = tail;
            } else if key.is_empty() {
                return Err("a key is missing between two commas".into());
            } else {
                pairs.push(flag(key));
                rest = after.strip_prefix(',').unwrap_or_default();
            }
            implied = None;
        }
        Ok(KeyValues(pairs))
    }

    /// The same, or a JSON object.
    pub fn parse_or_json(text: &str, implied: Option<&str>) -> Result<Self, Problem> {
        if !text.starts_with('{') {
            return Self::parse(text, implied);
        }
        let json: Json = serde_json::from_str(text).map_err(|e| Problem(format!("not valid JSON: {e}")))?;
        let mut pairs = Vec::new();
        if let Json::Object(members) = json {
            for (key, value) in members {
                flatten(key, value, &mut pairs)?;
            }
        }
        Ok(KeyValues(pairs))
    }

    /// Whether help was asked for instead. `implied` is the key that names the thing.
    pub fn help_wanted(&self, implied: &str) -> HelpWanted {
        match self.get(implied) {
            Some(name) if is_help(name) => HelpWanted::List,
            name if self.0.iter().any(|(key, value)| is_help(key) && value == "on") => name.map_or(HelpWanted::List, |name| HelpWanted::Of(name.into())),
            _ => HelpWanted::No,
        }
    }

    /// The value of a key; the last one where there are several.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// All values of a key.
    pub fn get_all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Adds a pair at the end, where it holds over earlier ones.
    pub fn push(&mut self, key: &str, value: impl Into<String>) {
        self.0.push((key.into(), value.into()));
    }

    /// Takes all pairs of a key out and gives the last value.
    pub fn take(&mut self, key: &str) -> Option<String> {
        self.take_all(key).pop()
    }

    /// Takes all pairs of a key out.
    pub fn take_all(&mut self, key: &str) -> Vec<String> {
        let taken = self.0.extract_if(.., |(k, _)| k == key);
        taken.map(|(_, v)| v).collect()
    }

    /// Takes the pairs out whose key starts so, and gives them without that start.
    pub fn take_prefixed(&mut self, prefix: &str) -> KeyValues {
        let taken = self.0.extract_if(.., |(k, _)| k.starts_with(prefix));
        KeyValues(taken.map(|(k, v)| (k[prefix.len()..].to_string(), v)).collect())
    }

    /// Takes a boolean out.
    pub fn take_bool(&mut self, key: &str) -> Result<Option<bool>, Problem> {
        self.take(key).map(|value| boolean(key, &value)).transpose()
    }

    /// Takes a number out.
    pub fn take_number(&mut self, key: &str) -> Result<Option<u64>, Problem> {
        self.take(key).map(|value| number(key, &value)).transpose()
    }

    /// Takes a size out; without a suffix it is in units of `unit` bytes.
    pub fn take_size(&mut self, key: &str, unit: u64) -> Result<Option<u64>, Problem> {
        self.take(key).map(|value| size(key, &value, unit)).transpose()
    }

    /// Takes one of a few words out.
    pub fn take_choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, Problem> {
        self.take(key).map(|value| choice(key, &value, choices)).transpose()
    }

    /// Refuses what has not been taken out. `known` is what could have been given.
    pub fn nothing_left(&self, known: &[&str]) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => {
                let known = known.join(", ");
                Err(format!("unknown key '{}'; known are {known}", shorten(key)).into())
            }
        }
    }
}

/// A value up to a single comma, with `,,` made `,`, and what follows that comma.
fn value_of(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let Some(at) = rest.find(',') else {
            value.push_str(rest);
            return (value, "");
        };
        value.push_str(&rest[..at]);
        match rest[at + 1..].strip_prefix(',') {
            Some(tail) => {
                value.push(',');
                rest = tail;
            }
            None => return (value, &rest[at + 1..]),
        }
    }
}

/// A key alone: `server` is `server=on` and `nowait` is `wait=off`, but some names begin so.
fn flag(key: &str) -> (String, String) {
    const NAMES: [&str; 4] = ["node", "notify", "none", "nonblock"];
    match key.strip_prefix("no") {
        Some(positive) if !positive.is_empty() && !NAMES.iter().any(|n| key.starts_with(n)) => (positive.into(), "off".into()),
        _ => (key.into(), "on".into()),
    }
}

fn flatten(key: String, value: Json, pairs: &mut Vec<(String, String)>) -> Result<(), Problem> {
    match value {
        Json::Null => return Err(format!("JSON null for '{}' means nothing here", shorten(&key)).into()),
        Json::Bool(b) => pairs.push((key, if b { "on" } else { "off" }.into())),
        Json::Number(n) => pairs.push((key, n.to_string())),
        Json::String(s) => pairs.push((key, s)),
        Json::Array(list) => {
            for (i, member) in list.into_iter().enumerate() {
                flatten(format!("{key}.{i}"), member, pairs)?;
            }
        }
        Json::Object(members) => {
            for (name, member) in members {
                flatten(format!("{key}.{name}"), member, pairs)?;
            }
        }
    }
    Ok(())
}

/// `on`, `yes`, `true`, `y` or their contraries.
pub fn boolean(key: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "on" | "yes" | "true" | "y" => Ok(true),
        "off" | "no" | "false" | "n" => Ok(false),
        _ => Err(format!("'{key}' is on or off, not '{}'", shorten(value)).into()),
    }
}

/// A number as C writes it: decimal, `0x` hexadecimal, `0` octal.
pub fn number(key: &str, value: &str) -> Result<u64, Problem> {
    let parsed = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16),
        None if value.starts_with('0') => u64::from_str_radix(value, 8),
        None if !value.starts_with('+') => value.parse(),
        _ => "".parse(),
    };
    parsed.map_err(|_| Problem(format!("'{key}' is a number from 0 to 2^64-1, not '{}'", shorten(value))))
}

/// A size such as `512`, `1G`, `1.5g` or `0x100000`; a bare number is in units of `unit` bytes.
pub fn size(key: &str, value: &str, unit: u64) -> Result<u64, Problem> {
    let bad = || Problem(format!("'{key}' is a size such as 512M or 4G, not '{}'", shorten(value)));
    if value.starts_with("0x") {
        return number(key, value).ok().and_then(|n| n.checked_mul(unit)).ok_or_else(bad);
    }
    let (digits, unit) = match value.char_indices().next_back() {
        Some((at, suffix)) if suffix.is_ascii_alphabetic() => {
            let power = "BKMGTPE".find(suffix.to_ascii_uppercase()).ok_or_else(bad)?;
            (&value[..at], 1u64 << (10 * power))
        }
        _ => (value, unit),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > 18 {
        return Err(bad());
    }
    let part = fraction.parse::<u128>().map_err(|_| bad())? * u128::from(unit) / 10u128.pow(fraction.len() as u32);
    let bytes = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(bad)?;
    bytes.checked_add(part as u64).ok_or_else(bad)
}

/// One of a few words.
pub fn choice<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Problem> {
    choices.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        Problem(format!("'{key}' is one of {}, not '{}'", words.join(", "), shorten(value)))
    })
}

/// An identifier: a letter, then letters, digits, `-`, `.` and `_`.
pub fn identifier(value: &str) -> Result<(), Problem> {
    let mut chars = value.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
    if first && chars.all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
        return Ok(());
    }
    let what = "an id starts with a letter and has only letters, digits, '-', '.' and '_'";
    Err(format!("{what}, unlike '{}'", shorten(value)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        KeyValues::parse_or_json(text, Some("first")).unwrap().0
    }

    #[test]
    fn pairs_are_read_as_qemu_reads_them() {
        for (text, expected) in [
            ("virt", &[("first", "virt")][..]),
            ("a,b=c", &[("first", "a"), ("b", "c")]),
            ("first=a,b=c", &[("first", "a"), ("b", "c")]),
            ("a,,b,c=1,,2,,", &[("first", "a,b"), ("c", "1,2,")]),
            ("s,server,nowait,nodelay", &[("first", "s"), ("server", "on"), ("wait", "off"), ("nodelay", "on")]),
            ("a,b=c=d,", &[("first", "a"), ("b", "c=d")]),
            ("x=", &[("x", "")]),
            ("", &[]),
            (r#"{"driver":"d","a":{"b":true,"c":[1,"x"]},"n":-5}"#, &[("a.b", "on"), ("a.c.0", "1"), ("a.c.1", "x"), ("driver", "d"), ("n", "-5")]),
        ] {
            let mut got = pairs(text);
            if text.starts_with('{') {
                got.sort();
            }
            let got: Vec<_> = got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(got, expected, "{text}");
        }
        for bad in ["=x", "a,=x", "a,b,,c", "{", "{\"a\":null}"] {
            assert!(KeyValues::parse_or_json(bad, Some("first")).is_err(), "{bad}");
        }
    }

    #[test]
    fn help_is_seen() {
        for (text, expected) in [
            ("help", HelpWanted::List),
            ("?", HelpWanted::List),
            ("virt,help", HelpWanted::Of("virt".into())),
            ("virt,?", HelpWanted::Of("virt".into())),
            ("virt,help=off", HelpWanted::No),
            ("virt", HelpWanted::No),
        ] {
            let kv = KeyValues::parse(text, Some("first")).unwrap();
            assert_eq!(kv.help_wanted("first"), expected, "{text}");
        }
    }

    #[test]
    fn sizes_and_numbers() {
        for (text, bytes) in [
            ("512", Some(512 << 20)),
            ("1G", Some(1 << 30)),
            ("1.5g", Some(3 << 29)),
            ("262144k", Some(1 << 28)),
            ("100b", Some(100)),
            ("0x10", Some(16 << 20)),
            ("16E", None),
            ("18446744073709551615", None),
            ("-1", None),
            ("1.", None),
            ("G", None),
            ("", None),
            ("1X", None),
            ("1é", None),
        ] {
            assert_eq!(size("size", text, 1 << 20).ok(), bytes, "{text}");
        }
        for (text, value) in [("0", Some(0)), ("010", Some(8)), ("0xf", Some(15)), ("12", Some(12))] {
            assert_eq!(number("n", text).ok(), value, "{text}");
        }
        for text in ["", "-1", "+1", "0x", "0x+1", "09", "1 ", "18446744073709551616"] {
            assert!(number("n", text).is_err(), "{text}");
        }
    }

    #[test]
    fn identifiers() {
        for (text, good) in [("hd0", true), ("a.b_c-d", true), ("0a", false), ("", false), ("a b", false)] {
            assert_eq!(identifier(text).is_ok(), good, "{text}");
        }
    }
}
