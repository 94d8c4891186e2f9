//! `--help` and `--version`.

use std::fmt::Write;

use crate::options::{GROUPS, not_yet};

/// The version of QEMU whose command line this is. Programs that run QEMU read it from the first
/// line of `--version` and decide by it what they may use.
pub const QEMU_VERSION: &str = "10.0.2";

/// The text of `--version`.
pub fn version() -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!(
        "QEMU emulator version {QEMU_VERSION} (Proteus {own})\n\
         Proteus {own}: not QEMU, but takes the command line of QEMU {QEMU_VERSION}\n"
    )
}

/// The text of `--help`, from the option table.
pub fn usage(program: &str) -> String {
    let mut out = version();
    out.push_str("usage: ");
    let _ = writeln!(out, "{program} [options] [disk image]");
    for (heading, rows) in GROUPS {
        let _ = writeln!(out, "\n{heading}:");
        for row in *rows {
            let names: Vec<_> = row.names.iter().map(|name| format!("-{name}")).collect();
            let _ = writeln!(out, "{}", format!("{} {}", names.join(" or "), row.value.unwrap_or_default()).trim_end());
            let _ = writeln!(out, "               {}", row.doc.join(" ").trim());
        }
    }
    out.push_str("\nOptions may begin with one dash or two. A comma in a value is written ',,'.\n");
    out.push_str("Understood by QEMU, not yet implemented in Proteus:");
    for (i, name) in not_yet::NAMES.iter().enumerate() {
        let _ = write!(out, "{}{name}", if i % 8 == 0 { "\n  -" } else { " -" });
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LAVA takes the fourth word, labgrid the first match of N.N.N on the first line.
    #[test]
    fn clients_find_the_version() {
        let text = version();
        let first = text.lines().next().unwrap();
        assert_eq!(first.split_whitespace().nth(3), Some("10.0.2"));
        assert!(first.starts_with("QEMU emulator version 10.0.2 (Proteus 0."), "{first}");
    }

    #[test]
    fn every_option_is_in_the_help_once() {
        let text = usage("p");
        for (_, rows) in GROUPS {
            for row in *rows {
                let line = format!("-{}", row.names[0]);
                let found = text.lines().filter(|l| l.split(' ').next() == Some(&line)).count();
                assert_eq!(found, 1, "{line}");
                assert!(!row.doc.is_empty());
            }
        }
        assert!(text.contains(" -vnc"));
    }
}
