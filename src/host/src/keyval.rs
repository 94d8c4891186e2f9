//! `key=value` options as QEMU writes them.

/// What is wrong with an option.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// Nobody could understand it.
    Bad(String),
    /// QEMU understands it, Proteus does not yet.
    Unsupported(String),
}

fn bad(message: impl Into<String>) -> Wrong {
    Wrong::Bad(message.into())
}

/// Splits `a=b,c=d,flag` as QEMU does: a comma inside a value is written `,,`; a bare `flag` means
/// `flag=on` and a bare `noflag` means `flag=off`.
///
/// The text before the first comma is returned like any other pair when it has an equals sign, and
/// as `("", text)` when it has none: it is the value of the option's implied key.
pub fn parse_keyval(text: &str) -> Vec<(String, String)> {
    split_commas(text)
        .into_iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
        .map(|(i, part)| match part.split_once('=') {
            Some((key, value)) => (key.to_string(), value.to_string()),
            None if i == 0 => (String::new(), part),
            None => match part.strip_prefix("no") {
                Some(key) if !key.is_empty() => (key.to_string(), "off".to_string()),
                _ => (part, "on".to_string()),
            },
        })
        .collect()
}

/// Splits at single commas; a double comma stands for a comma.
fn split_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == ',' && chars.next_if_eq(&',').is_none() {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// The pairs of one option, taken out one by one so that what is left is unknown.
pub(crate) struct Pairs {
    what: String,
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Pairs {
    pub(crate) fn new(what: impl Into<String>, pairs: Vec<(String, String)>) -> Self {
        Pairs { what: what.into(), pairs, known: Vec::new() }
    }

    /// The value of a key; the last one wins when it is given twice.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
        let value = self.pairs.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        self.pairs.retain(|(k, _)| k != key);
        value
    }

    pub(crate) fn required(&mut self, key: &'static str) -> Result<String, Wrong> {
        match self.take(key) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(bad(format!("{}: '{key}=' is missing", self.what))),
        }
    }

    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, Wrong> {
        Ok(self.flag_if_given(key)?.unwrap_or(default))
    }

    pub(crate) fn flag_if_given(&mut self, key: &'static str) -> Result<Option<bool>, Wrong> {
        match self.take(key).as_deref() {
            None => Ok(None),
            Some("on" | "yes" | "true" | "y") => Ok(Some(true)),
            Some("off" | "no" | "false" | "n") => Ok(Some(false)),
            Some(other) => Err(bad(format!("{}: '{key}={other}': 'on' or 'off' is expected", self.what))),
        }
    }

    pub(crate) fn number<T: std::str::FromStr>(&mut self, key: &'static str) -> Result<Option<T>, Wrong> {
        match self.take(key) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(bad(format!("{}: '{key}={text}': not a number in range", self.what))),
            },
        }
    }

    /// Refuses a feature of QEMU that is not there, if it is asked for.
    pub(crate) fn refuse(&mut self, key: &'static str, instead: &str) -> Result<(), Wrong> {
        match self.take(key).as_deref() {
            None | Some("off" | "no" | "false" | "n") => {
                self.known.pop();
                Ok(())
            }
            Some(_) => Err(Wrong::Unsupported(format!("{}: '{key}' is not supported by Proteus yet{instead}", self.what))),
        }
    }

    /// Whatever nobody took is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Wrong> {
        let Some((key, value)) = self.pairs.first() else { return Ok(()) };
        self.known.sort_unstable();
        let known = self.known.join(", ");
        if key.is_empty() {
            return Err(bad(format!("{}: '{value}' needs a key; keys are {known}", self.what)));
        }
        Err(bad(format!("{}: unknown key '{key}'; known keys are {known}", self.what)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn doubled_commas_keep_a_value_whole(value in "[^=]*") {
            let text = format!("k,a={}", value.replace(',', ",,"));
            let pairs = parse_keyval(&text);
            prop_assert_eq!(pairs.last(), Some(&("a".to_string(), value)));
        }
    }
}
