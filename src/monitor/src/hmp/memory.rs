//! `x`, `xp` and `print`.

use super::{Arguments, Context, Outcome, usage};
use crate::disassembly;
use std::fmt::Write;

/// Bytes shown by one command at most.
const MOST: usize = 1 << 20;
/// The longest string shown.
const STRING: usize = 4096;

/// What is behind the slash.
struct Format {
    count: usize,
    format: char,
    size: Option<usize>,
}

fn format(text: Option<&str>, default: char) -> Result<Format, String> {
    let text = text.unwrap_or_default();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut out = Format { count: 1, format: default, size: None };
    if digits > 0 {
        out.count = text[..digits].parse().map_err(|_| usage("the count is too large"))?;
    }
    for c in text[digits..].chars() {
        match c {
            'x' | 'd' | 'u' | 'o' | 'c' | 'i' | 's' => out.format = c,
            'b' => out.size = Some(1),
            'h' => out.size = Some(2),
            'w' => out.size = Some(4),
            'g' | 'L' => out.size = Some(8),
            _ => return Err(usage("invalid char in format; there are x d u o c i s and sizes b h w g")),
        }
    }
    Ok(out)
}

/// A character in quotes.
fn character(c: u8) -> String {
    match c {
        b'\'' => "'\\''".into(),
        b'\\' => "'\\\\'".into(),
        b'\n' => "'\\n'".into(),
        b'\r' => "'\\r'".into(),
        b' '..=126 => format!("'{}'", char::from(c)),
        _ => format!("'\\x{c:02x}'"),
    }
}

/// A value of so many bytes; in columns where `padded`.
fn item(value: u64, bytes: usize, format: char, padded: bool) -> String {
    let bits = 8 * bytes as u32;
    let signed = (value << (64 - bits)) as i64 >> (64 - bits);
    let width = if padded { (bits as usize * 10).div_ceil(33) } else { 0 };
    let octal = if padded { (bits as usize).div_ceil(3) + 1 } else { 0 };
    match format {
        'o' => format!("{:>octal$}", if value == 0 { "0".into() } else { format!("0{value:o}") }),
        'u' => format!("{value:>width$}"),
        'd' => format!("{signed:>width$}"),
        'c' => character(value as u8),
        _ if padded => format!("0x{value:0digits$x}", digits = 2 * bytes),
        _ => format!("{value:#x}"),
    }
}

pub fn print(cx: &mut Context<'_>, a: &mut Arguments<'_>) -> Outcome {
    let f = format(a.format(), cx.hmp.format)?;
    let value = a.value(cx).map_err(usage)?;
    if matches!(f.format, 'i' | 's') {
        return Err(usage("a value has no instructions or strings; x shows those"));
    }
    cx.hmp.format = f.format;
    cx.line(item(value, 8, f.format, false));
    Ok(())
}

/// Memory in lines; by virtual address where `translated`.
pub fn examine(cx: &mut Context<'_>, a: &mut Arguments<'_>, translated: bool) -> Outcome {
    let f = format(a.format(), cx.hmp.format)?;
    let address = a.value(cx).map_err(usage)?;
    let core = translated.then_some(cx.hmp.core);
    let Some(description) = cx.subject.on_core(cx.hmp.core, |cpu| cpu.description()) else { return Err("there is no such core".into()) };
    cx.hmp.format = f.format;
    let size = match f.format {
        'c' => 1,
        'i' => disassembly::longest(description.architecture),
        's' => STRING,
        _ => f.size.unwrap_or(cx.hmp.size),
    };
    if !matches!(f.format, 'c' | 'i' | 's') {
        cx.hmp.size = size;
    }
    let Some(wanted) = size.checked_mul(f.count).filter(|n| *n <= MOST) else { return Err(format!("too much: {MOST} bytes are shown at most")) };
    let nothing = |at: u64| format!("Cannot access memory at address {at:#x}");
    if f.format == 's' {
        return strings(cx, core, address, f.count, &nothing);
    }
    let bytes = cx.subject.memory(core, address, wanted);
    if f.format == 'i' {
        let Some(list) = disassembly::instructions(description.architecture, description.big, &bytes, address, f.count) else {
            return Err(format!("there is no disassembler for {}", description.architecture));
        };
        cx.out.push_str(&disassembly::lines(&list));
    } else {
        let in_line = if size == 1 { 8 } else { 16 };
        let digits = if translated && description.pointer == 4 { 8 } else { 16 };
        for (n, line) in bytes.chunks(in_line).enumerate() {
            let at = address.wrapping_add((n * in_line) as u64);
            let _ = write!(cx.out, "{at:0digits$x}:");
            for piece in line.chunks_exact(size) {
                let _ = write!(cx.out, " {}", item(description.value(piece) as u64, size, f.format, true));
            }
            cx.out.push('\n');
        }
    }
    if bytes.len() < wanted {
        return Err(nothing(address.wrapping_add(bytes.len() as u64)));
    }
    Ok(())
}

/// Strings that end with a zero, one after the other.
fn strings(cx: &mut Context<'_>, core: Option<usize>, address: u64, count: usize, nothing: &dyn Fn(u64) -> String) -> Outcome {
    let mut at = address;
    for _ in 0..count {
        // What cannot be read ends a string that began before it.
        let bytes = cx.subject.memory(core, at, STRING);
        if bytes.is_empty() {
            return Err(nothing(at));
        }
        let end = bytes.iter().position(|b| *b == 0);
        let text: String = bytes[..end.unwrap_or(bytes.len())].iter().flat_map(|b| std::ascii::escape_default(*b)).map(char::from).collect();
        cx.line(format_args!("{at:#x}: \"{text}\"{}", if end.is_none() { "..." } else { "" }));
        at = at.wrapping_add(end.map_or(bytes.len(), |n| n + 1) as u64);
    }
    Ok(())
}
