//! The documents that GDB reads: target description, memory map, threads.

use proteus_exec::registers::{Description, Feature};
use std::fmt::Write;

/// `target.xml` (GDB manual, appendix G), and by name the documents that it includes.
pub fn target(description: &Description, annex: &str) -> Option<String> {
    const HEAD: &str = "<?xml version=\"1.0\"?>\n";
    if annex == "target.xml" {
        let mut out =
            format!("{HEAD}<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n<architecture>{}</architecture>\n", description.architecture);
        for n in 0..description.features.len() {
            let _ = writeln!(out, "<xi:include href=\"feature{n}.xml\"/>");
        }
        out.push_str("</target>\n");
        return Some(out);
    }
    let n: usize = annex.strip_prefix("feature")?.strip_suffix(".xml")?.parse().ok()?;
    let first: usize = description.features.iter().take(n).map(|f| f.registers.len()).sum();
    Some(format!("{HEAD}<!DOCTYPE feature SYSTEM \"gdb-target.dtd\">\n{}", feature(description.features.get(n)?, first)))
}

fn feature(f: &Feature, first: usize) -> String {
    let mut out = format!("<feature name=\"{}\">\n{}\n", f.name, f.types);
    for (n, r) in f.registers.iter().enumerate() {
        let _ = write!(out, "<reg name=\"{}\" bitsize=\"{}\" type=\"{}\" regnum=\"{}\"", r.name, r.bits, r.ty, first + n);
        if let Some(group) = r.group {
            let _ = write!(out, " group=\"{group}\"");
        }
        out.push_str("/>\n");
    }
    out.push_str("</feature>\n");
    out
}

/// The memory map. A debugger refuses to read what the map has not, and it asks by virtual address:
/// so all is memory but what is read-only at its physical address, where GDB then prefers hardware
/// breakpoints. `roms` are address and length.
pub fn memory_map(roms: &[(u64, u64)]) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" \"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n<memory-map>\n",
    );
    let mut sorted = roms.to_vec();
    sorted.sort_unstable();
    let mut piece = |kind: &str, start: u64, length: u64| {
        if length > 0 {
            let _ = writeln!(out, "<memory type=\"{kind}\" start=\"{start:#x}\" length=\"{length:#x}\"/>");
        }
    };
    let mut at = 0u64;
    for (start, length) in sorted {
        if start < at {
            continue;
        }
        piece("ram", at, start - at);
        piece("rom", start, length);
        at = start.saturating_add(length);
    }
    piece("ram", at, u64::MAX - at);
    out.push_str("</memory-map>\n");
    out
}

/// The threads: one a core.
pub fn threads(cores: usize) -> String {
    let mut out = String::from("<?xml version=\"1.0\"?>\n<threads>\n");
    for n in 0..cores {
        let _ = writeln!(out, "<thread id=\"p1.{:x}\" core=\"{n}\" name=\"CPU#{n}\"/>", n + 1);
    }
    out.push_str("</threads>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_exec::registers::Register;

    #[test]
    fn registers_are_numbered_over_all_features() {
        let one =
            |name, r: &str| Feature { name, types: "", registers: vec![Register::new(r, 64, "int"), Register::new(format!("{r}b"), 32, "int").group("g")] };
        let d = Description {
            architecture: "a",
            triple: "",
            big: false,
            pointer: 8,
            features: vec![one("f.one", "x"), one("f.two", "y")],
            pc: 0,
            sp: 0,
            general: 2,
            watch_before: true,
        };
        assert!(target(&d, "target.xml").unwrap().contains("<xi:include href=\"feature1.xml\"/>"));
        let second = target(&d, "feature1.xml").unwrap();
        assert!(second.contains("<reg name=\"yb\" bitsize=\"32\" type=\"int\" regnum=\"3\" group=\"g\"/>"), "{second}");
        for absent in ["feature2.xml", "feature.xml", "x"] {
            assert_eq!(target(&d, absent), None);
        }
    }

    #[test]
    fn the_memory_map_has_no_holes() {
        let map = memory_map(&[(0x4000, 0x1000), (0, 0x1000), (0x800, 0x10)]);
        let want = [
            "\"rom\" start=\"0x0\" length=\"0x1000\"",
            "\"ram\" start=\"0x1000\" length=\"0x3000\"",
            "\"rom\" start=\"0x4000\"",
            "\"ram\" start=\"0x5000\" length=\"0xffffffffffffafff\"",
        ];
        for piece in want {
            assert!(map.contains(piece), "{piece}: {map}");
        }
    }
}
