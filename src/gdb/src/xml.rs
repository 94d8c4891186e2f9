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

/// The memory map: everything, as memory. A debugger asks by virtual address, of which the physical
/// map says nothing; it refuses what the map has not, and to write where the map has a ROM.
pub const MEMORY_MAP: &str = concat!(
    "<?xml version=\"1.0\"?>\n",
    "<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" \"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n",
    "<memory-map>\n<memory type=\"ram\" start=\"0x0\" length=\"0xffffffffffffffff\"/>\n</memory-map>\n",
);

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
}
