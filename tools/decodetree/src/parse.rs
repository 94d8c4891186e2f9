//! Reads tables.

use std::collections::BTreeMap;

use crate::cube::Cube;

/// A field: `width` bits from bit `shift` up.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub shift: u32,
    pub width: u32,
    pub signed: bool,
}

impl Field {
    fn mask(self) -> u32 {
        (u32::MAX >> (32 - self.width)) << self.shift
    }
}

/// A piece of a composite.
#[derive(Clone, Copy, Debug)]
pub enum Piece {
    Field(Field),
    Bits { value: u32, width: u32 },
}

impl Piece {
    pub fn width(self) -> u32 {
        match self {
            Piece::Field(f) => f.width,
            Piece::Bits { width, .. } => width,
        }
    }
}

/// Where an argument comes from.
#[derive(Clone, Debug)]
pub enum Source {
    Field(Field),
    Composite { pieces: Vec<Piece>, signed: bool },
    Const(i64),
}

impl Source {
    /// `None` for a constant, which fits either.
    fn signed(&self) -> Option<bool> {
        match self {
            Source::Field(f) => Some(f.signed),
            Source::Composite { signed, .. } => Some(*signed),
            Source::Const(v) if *v < 0 => Some(true),
            Source::Const(_) => None,
        }
    }
}

/// An argument set.
pub struct Set {
    pub name: String,
    pub type_name: String,
    pub fields: Vec<SetField>,
    place: String,
}

/// A field of a set; it is signed if the patterns that fill it say so.
pub struct SetField {
    pub name: String,
    pub signed: bool,
}

/// One line of a table.
pub struct Pattern {
    pub name: String,
    pub place: String,
    pub cube: Cube,
    pub exclusions: Vec<Cube>,
    pub args: BTreeMap<String, Source>,
    /// Index of the argument set.
    pub set: Option<usize>,
    pub feature: Option<String>,
    /// The braces it is in.
    pub group: Option<usize>,
}

/// All tables of a decoder.
pub struct Table {
    pub width: u32,
    pub sets: Vec<Set>,
    pub patterns: Vec<Pattern>,
    /// Names of features in the order they are first seen.
    pub features: Vec<String>,
}

/// Reads all texts (name and text); returns every fault found otherwise.
pub fn parse(texts: &[(String, String)], width: u32) -> Result<Table, Vec<String>> {
    let mut faults = Vec::new();
    let lines = lines(texts);
    let mut table = Table { width, sets: Vec::new(), patterns: Vec::new(), features: Vec::new() };
    for (place, text) in lines.iter().filter(|(_, t)| t.starts_with('&')) {
        match set(place, text, &table.sets) {
            Ok(s) => table.sets.push(s),
            Err(e) => faults.push(format!("{place}: {e}")),
        }
    }
    let mut group = None;
    let mut groups = 0;
    let mut opened = String::new();
    for (place, text) in lines.iter().filter(|(_, t)| !t.starts_with('&')) {
        match text.as_str() {
            "{" if group.is_some() => faults.push(format!("{place}: braces do not nest; the open one is at {opened}")),
            "{" => {
                group = Some(groups);
                groups += 1;
                opened.clone_from(place);
            }
            "}" if group.is_none() => faults.push(format!("{place}: no brace is open")),
            "}" => group = None,
            _ => match pattern(text, width, &table.sets) {
                Ok(p) => table.patterns.push(Pattern { place: place.clone(), group, ..p }),
                Err(e) => faults.push(format!("{place}: {e}")),
            },
        }
    }
    if group.is_some() {
        faults.push(format!("{opened}: this brace is not closed"));
    }
    if table.patterns.is_empty() && faults.is_empty() {
        faults.push("the tables have no patterns".to_owned());
    }
    names(&mut table, &mut faults);
    signs(&mut table, &mut faults);
    if faults.is_empty() { Ok(table) } else { Err(faults) }
}

/// The lines that say something, with their place, continuations joined.
fn lines(texts: &[(String, String)]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (file, text) in texts {
        let mut joined: Option<(String, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            let (part, more) = line.strip_suffix('\\').map_or((line, false), |l| (l, true));
            let (_, whole) = joined.get_or_insert_with(|| (format!("{file}:{}", number + 1), String::new()));
            whole.push_str(part);
            whole.push(' ');
            if !more {
                lines.extend(joined.take());
            }
        }
        lines.extend(joined);
    }
    lines.into_iter().map(|(p, t)| (p, t.trim().to_owned())).filter(|(_, t)| !t.is_empty()).collect()
}

fn is_name(s: &str) -> bool {
    s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn check_name<'a>(s: &'a str, what: &str) -> Result<&'a str, String> {
    if is_name(s) { Ok(s) } else { Err(format!("{s:?} is not a name for {what}")) }
}

/// `some_name` in camel case.
pub fn camel(name: &str) -> String {
    let mut camel = String::new();
    for word in name.split('_') {
        let mut chars = word.chars();
        camel.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        camel.extend(chars);
    }
    camel
}

fn set(place: &str, text: &str, sets: &[Set]) -> Result<Set, String> {
    let mut tokens = text.split_whitespace();
    let head = tokens.next().unwrap_or("").trim_start_matches('&');
    let (name, type_name) = head.split_once('=').map_or_else(|| (head, camel(head)), |(n, t)| (n, t.to_owned()));
    check_name(name, "an argument set")?;
    check_name(&type_name, "the type of an argument set")?;
    if let Some(s) = sets.iter().find(|s| s.name == name || s.type_name == type_name) {
        return Err(format!("duplicate set &{name} (type {type_name}): &{} is declared at {}", s.name, s.place));
    }
    let mut fields: Vec<SetField> = Vec::new();
    for field in tokens {
        check_name(field, "a field")?;
        if fields.iter().any(|f| f.name == field) {
            return Err(format!("duplicate field {field} in &{name}"));
        }
        fields.push(SetField { name: field.to_owned(), signed: false });
    }
    Ok(Set { name: name.to_owned(), type_name, fields, place: place.to_owned() })
}

/// The fields of a line by name, to be looked up by composites and constraints.
type Fields = Vec<(String, Field)>;

fn field(fields: &Fields, name: &str) -> Result<Field, String> {
    fields.iter().find(|(n, _)| n == name).map(|&(_, f)| f).ok_or_else(|| format!("there is no field {name} in the line"))
}

fn number(text: &str) -> Result<i64, String> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        i64::from_str_radix(binary, 2)
    } else {
        digits.parse()
    };
    value.map(|v| if negative { -v } else { v }).map_err(|_| format!("{text:?} is not a number"))
}

/// Reads a pattern's line: bits and fields first, since composites and constraints refer to them.
fn pattern(text: &str, width: u32, sets: &[Set]) -> Result<Pattern, String> {
    let mut tokens = text.split_whitespace();
    let name = check_name(tokens.next().unwrap_or(""), "an instruction")?;
    let mut cube = Cube::ALL;
    let mut at = i64::from(width);
    let mut fields: Fields = Vec::new();
    let mut later = Vec::new();
    for token in tokens {
        if token.starts_with(['%', '!', '&', '?']) || token.contains('=') {
            later.push(token);
        } else if let Some((name, size)) = token.split_once(':') {
            check_name(name, "a field")?;
            let (signed, size) = size.strip_prefix('s').map_or((false, size), |s| (true, s));
            let size: u32 = size.parse().ok().filter(|s| (1..=width).contains(s)).ok_or_else(|| format!("{token}: the width of a field is 1 to {width}"))?;
            if fields.iter().any(|(n, _)| n == name) {
                return Err(format!("duplicate field {name}: name the parts apart and join them with %{name}=..."));
            }
            at -= i64::from(size);
            let shift = u32::try_from(at).unwrap_or(0);
            fields.push((name.to_owned(), Field { shift, width: size, signed }));
        } else {
            for c in token.chars() {
                at -= 1;
                let bit = u32::try_from(at).map_or(0, |at| 1 << at);
                match c {
                    '0' => cube.mask |= bit,
                    '1' => cube = Cube { mask: cube.mask | bit, value: cube.value | bit },
                    '.' | 'x' => {}
                    _ => {
                        return Err(format!("{token:?}: neither bits (0, 1, ., x), nor a field (name:width), nor % ! & ?"));
                    }
                }
            }
        }
    }
    if at != 0 {
        return Err(format!("{name} has {} bits, not {width}", i64::from(width) - at));
    }
    let mut p =
        Pattern { name: name.to_owned(), place: String::new(), cube, exclusions: Vec::new(), args: BTreeMap::new(), set: None, feature: None, group: None };
    finish(&mut p, &fields, &later, sets)?;
    Ok(p)
}

/// The tokens that refer to fields, then the arguments against the set.
fn finish(p: &mut Pattern, fields: &Fields, tokens: &[&str], sets: &[Set]) -> Result<(), String> {
    let mut used: Vec<&str> = Vec::new();
    let mut args: Vec<(String, Source)> = Vec::new();
    for &token in tokens {
        let (first, rest) = token.split_at(1);
        match first {
            "&" if p.set.is_some() => return Err("a pattern has one argument set".to_owned()),
            "&" => p.set = Some(sets.iter().position(|s| s.name == rest).ok_or_else(|| format!("unknown set {token}"))?),
            "?" if p.feature.is_some() => return Err("a pattern has one feature".to_owned()),
            "?" => p.feature = Some(check_name(rest, "a feature")?.to_owned()),
            "!" => exclusions(rest, fields, &mut p.exclusions).map_err(|e| format!("{token}: {e}"))?,
            "%" => args.push(composite(rest, fields, &mut used).map_err(|e| format!("{token}: {e}"))?),
            _ => {
                let (name, value) = token.split_once('=').unwrap_or((token, ""));
                args.push((check_name(name, "an argument")?.to_owned(), Source::Const(number(value)?)));
            }
        }
    }
    let plain = fields.iter().filter(|(n, _)| !n.starts_with('_') && !used.contains(&n.as_str()));
    args.extend(plain.map(|(n, f)| (n.clone(), Source::Field(*f))));
    for (name, source) in args {
        if p.args.insert(name.clone(), source).is_some() {
            return Err(format!("argument {name} is given twice"));
        }
    }
    let wanted = p.set.map_or(&[][..], |s| &sets[s].fields[..]);
    let missing: Vec<&str> = wanted.iter().map(|f| f.name.as_str()).filter(|&n| !p.args.contains_key(n)).collect();
    let excess: Vec<&str> = p.args.keys().map(String::as_str).filter(|&n| wanted.iter().all(|f| f.name != n)).collect();
    let set = p.set.map_or_else(|| "no set".to_owned(), |s| format!("&{}", sets[s].name));
    match (missing.is_empty(), excess.is_empty()) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("{} does not fill {set}: {} missing", p.name, missing.join(", "))),
        (true, false) => Err(format!("{} does not fit {set}: {} is not in it", p.name, excess.join(", "))),
    }
}

fn composite<'a>(text: &'a str, fields: &Fields, used: &mut Vec<&'a str>) -> Result<(String, Source), String> {
    let (name, parts) = text.split_once('=').ok_or("a composite is %name=piece,piece")?;
    let (name, signed) = name.strip_suffix(":s").map_or((name, false), |n| (n, true));
    check_name(name, "an argument")?;
    let mut pieces = Vec::new();
    for part in parts.split(',') {
        if !part.is_empty() && part.chars().all(|c| matches!(c, '0' | '1')) {
            let value = u32::from_str_radix(part, 2).map_err(|_| "too many bits".to_owned())?;
            pieces.push(Piece::Bits { value, width: part.len() as u32 });
        } else {
            pieces.push(Piece::Field(Field { signed: false, ..field(fields, part)? }));
            used.push(part);
        }
    }
    let total: u32 = pieces.iter().map(|p| p.width()).sum();
    let most = if signed { 64 } else { 32 };
    if total > most {
        return Err(format!("{total} bits, more than {most}"));
    }
    Ok((name.to_owned(), Source::Composite { pieces, signed }))
}

fn exclusions(text: &str, fields: &Fields, out: &mut Vec<Cube>) -> Result<(), String> {
    let (names, values) = text.split_once('=').ok_or("a constraint is !field=value")?;
    let parts: Vec<Field> = names.split(',').map(|n| field(fields, n)).collect::<Result<_, _>>()?;
    let total: u32 = parts.iter().map(|f| f.width).sum();
    for value in values.split(',') {
        // The value over the concatenated fields, and the bits of it that count.
        let (mut value, mut care) = if let Some(bits) = value.strip_prefix("0b").filter(|b| b.contains('x')) {
            if bits.len() as u32 != total {
                return Err(format!("{value} has {} bits, the fields {total}", bits.len()));
            }
            let parse = |b: String| u32::from_str_radix(&b, 2).map_err(|_| format!("{value:?} is not a number"));
            (parse(bits.replace('x', "0"))?, parse(bits.replace('0', "1").replace('x', "0"))?)
        } else {
            let number = number(value)?;
            let number = u32::try_from(number).ok().filter(|n| u64::from(*n) >> total == 0);
            (number.ok_or_else(|| format!("{value} does not fit {total} bits"))?, u32::MAX)
        };
        let mut cube = Cube::ALL;
        for f in parts.iter().rev() {
            cube.mask |= (care << f.shift) & f.mask();
            cube.value |= (value << f.shift) & f.mask();
            value = value.checked_shr(f.width).unwrap_or(0);
            care = care.checked_shr(f.width).unwrap_or(0);
        }
        out.push(cube);
    }
    Ok(())
}

/// Names must differ in lower case, the names of the functions; features are collected.
fn names(table: &mut Table, faults: &mut Vec<String>) {
    let mut seen: BTreeMap<String, &Pattern> = BTreeMap::new();
    for p in &table.patterns {
        if let Some(q) = seen.get(&p.name.to_lowercase()) {
            faults.push(format!("{}: duplicate name {}: {} is at {}", p.place, p.name, q.name, q.place));
        } else {
            seen.insert(p.name.to_lowercase(), p);
        }
        if let Some(feature) = p.feature.as_ref().filter(|f| !table.features.contains(f)) {
            table.features.push(feature.clone());
        }
    }
}

/// Whether a set's field is signed is for its patterns to say, with one voice.
fn signs(table: &mut Table, faults: &mut Vec<String>) {
    for (index, set) in table.sets.iter_mut().enumerate() {
        let users: Vec<&Pattern> = table.patterns.iter().filter(|p| p.set == Some(index)).collect();
        if users.is_empty() {
            faults.push(format!("{}: no pattern uses &{}", set.place, set.name));
        }
        for field in &mut set.fields {
            let mut first: Option<(&Pattern, bool)> = None;
            for &p in &users {
                let Some(signed) = p.args.get(&field.name).and_then(Source::signed) else {
                    continue;
                };
                match first {
                    Some((q, s)) if s != signed => {
                        faults.push(format!("{}: {} is {} in {} and {} in {} ({})", p.place, field.name, sign(signed), p.name, sign(s), q.name, q.place))
                    }
                    Some(_) => {}
                    None => first = Some((p, signed)),
                }
            }
            field.signed = first.is_some_and(|(_, s)| s);
            for &p in &users {
                if let Some(Source::Const(v)) = p.args.get(&field.name)
                    && !field.signed
                    && u32::try_from(*v).is_err()
                {
                    faults.push(format!("{}: {}={v} does not fit the unsigned field", p.place, field.name));
                }
            }
        }
    }
}

fn sign(signed: bool) -> &'static str {
    if signed { "signed" } else { "unsigned" }
}
