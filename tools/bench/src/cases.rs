//! What is measured.

use crate::debugger;
use crate::machine::Error;

/// One program that is run in the guest, or the boot itself.
#[derive(Debug)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it measures.
    pub summary: &'static str,
    /// What is typed at the guest's prompt; `None` for the boot.
    pub command: Option<&'static str>,
}

/// Every case, in the order in which they are run.
pub const CASES: &[Case] = &[
    Case { name: "boot", summary: "seconds from the start of the emulator to the shell's prompt, and its memory then", command: None },
    Case { name: "int", summary: "lists, integer matrices, text and CRC: iterations a second", command: Some("bench-int") },
    Case { name: "matmul", summary: "product of matrices of doubles: Mflop/s", command: Some("bench-matmul") },
    Case { name: "chase", summary: "pointers in random order through 64 MiB: Mloads/s", command: Some("bench-chase") },
    Case { name: "getpid", summary: "the shortest system call: calls a second", command: Some("bench-getpid") },
    Case { name: "pipe", summary: "a byte to another process and back: trips a second", command: Some("bench-pipe") },
    Case { name: "files", summary: "files made, synced, read and removed in memory: files a second", command: Some("fs-churn /tmp") },
];

/// The cases of these names, or all that need no debugger; the boot is always among them, for nothing
/// runs without it. `gdb` stands for all with a debugger.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Case>, Error> {
    let known = || CASES.iter().chain(debugger::CASES);
    if let Some(unknown) = names.iter().find(|name| *name != "gdb" && !known().any(|case| case.name == **name)) {
        let known: Vec<_> = known().map(|case| case.name).chain(["gdb"]).collect();
        return Err(Error::Usage(format!("there is no case {unknown}: the cases are {}", known.join(", "))));
    }
    let named = |case: &Case| names.iter().any(|name| name == case.name || name == "gdb" && debugger::is_one(case));
    let always = |case: &Case| !debugger::is_one(case) && (names.is_empty() || case.command.is_none());
    Ok(known().filter(|case| always(case) || named(case)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_and_the_boot_is_always_there() {
        let names = |list: &[&str]| {
            chosen(&list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).map(|cases| cases.iter().map(|case| case.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).expect("all").len(), CASES.len());
        assert_eq!(names(&["pipe", "int"]).expect("known"), ["boot", "int", "pipe"]);
        assert_eq!(names(&["gdb-read", "int"]).expect("known"), ["boot", "int", "gdb-read"]);
        assert_eq!(names(&["gdb"]).expect("known").len(), 1 + debugger::CASES.len());
        assert!(names(&["fly"]).expect_err("unknown").to_string().contains("no case fly"));
    }
}
