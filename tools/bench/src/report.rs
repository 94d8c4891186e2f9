//! Gathers samples and prints them side by side.

use std::fmt::Write as _;

use serde::Serialize;

use crate::machine::{Error, Run, Sample};

/// The names of the two sides.
pub const SIDES: [&str; 2] = ["proteus", "qemu"];

/// The middle, least and greatest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of `numbers`, of which there must be one at least for the result to mean something.
    pub fn of(numbers: &[f64]) -> Self {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2));
        Self { median: (low + high) / 2.0, min: at(0), max: at(sorted.len().saturating_sub(1)) }
    }
}

/// One measured quantity on both sides.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The case, and what of it.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Whether more is better.
    pub more_is_better: bool,
    /// All numbers of each side, in the order of the runs.
    pub numbers: [Vec<f64>; 2],
}

impl Row {
    /// How many times better the first side's median is.
    pub fn ratio(&self) -> f64 {
        let [ours, theirs] = self.spreads().map(|spread| spread.median);
        if self.more_is_better { ours / theirs } else { theirs / ours }
    }

    /// The spread of each side.
    pub fn spreads(&self) -> [Spread; 2] {
        [Spread::of(&self.numbers[0]), Spread::of(&self.numbers[1])]
    }
}

/// All that was measured.
#[derive(Debug)]
pub struct Report {
    guest: String,
    versions: [String; 2],
    command_line: Vec<String>,
    runs: [Vec<Run>; 2],
}

impl Report {
    /// An empty report about two programs of these versions.
    pub fn new(guest: &str, versions: [String; 2], command_line: Vec<String>) -> Self {
        Self { guest: guest.to_owned(), versions, command_line, runs: [Vec::new(), Vec::new()] }
    }

    /// Adds one run of one side.
    pub fn add(&mut self, side: usize, run: Run) {
        if let Some(runs) = self.runs.get_mut(side) {
            runs.push(run);
        }
    }

    /// Two rows for each program (its own result, and the host's time), two for the boot (time and
    /// memory), and the memory in the end.
    pub fn rows(&self) -> Vec<Row> {
        let Some(first) = self.runs[0].first() else { return Vec::new() };
        let collect = |index: usize, what: fn(&Sample) -> f64| -> [Vec<f64>; 2] {
            [0, 1].map(|side: usize| self.runs[side].iter().filter_map(|run| run.samples.get(index)).map(what).collect())
        };
        let row = |name: String, unit: &str, more_is_better, numbers| Row { name, unit: unit.to_owned(), more_is_better, numbers };
        let mib = |sample: &Sample| sample.memory as f64 / f64::from(1 << 20);
        let mut rows = Vec::new();
        for (index, sample) in first.samples.iter().enumerate() {
            if sample.case == "boot" {
                rows.push(row("boot to prompt".into(), "s", false, collect(index, |sample| sample.wall)));
                rows.push(row("boot memory".into(), "MiB", false, collect(index, mib)));
            } else {
                rows.push(row(sample.case.into(), &sample.unit, true, collect(index, |sample| sample.value)));
                rows.push(row(format!("{} wall", sample.case), "s", false, collect(index, |sample| sample.wall)));
            }
        }
        if first.samples.len() > 1 {
            rows.push(row("peak memory".into(), "MiB", false, collect(first.samples.len() - 1, mib)));
        }
        rows
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (side, version) in SIDES.iter().zip(&self.versions) {
            let _ = writeln!(text, "{side:8} {version}");
        }
        let _ = writeln!(text, "guest    {}: {}\nruns     {} each, in turns", self.guest, self.command_line.join(" "), self.runs[0].len());
        let state = self.isolation().map(|on| if on == Some(true) { "on" } else { "off" });
        let _ = writeln!(text, "page table isolation: {} {}, {} {}\n", SIDES[0], state[0], SIDES[1], state[1]);
        let _ = writeln!(text, "{:16} {:14} {:>34} {:>34} {:>8}", "", "", "proteus: median (min .. max)", "qemu: median (min .. max)", "ratio");
        for row in self.rows() {
            let [ours, theirs] = row.spreads().map(|spread| format!("{} ({} .. {})", short(spread.median), short(spread.min), short(spread.max)));
            let _ = writeln!(text, "{:16} {:14} {ours:>34} {theirs:>34} {:>7.2}x", row.name, row.unit, row.ratio());
        }
        text.push_str("\nA ratio above 1 means that Proteus is better.\n");
        text
    }

    /// Everything for machines.
    pub fn to_json(&self) -> Result<String, Error> {
        let rows: Vec<_> = self
            .rows()
            .iter()
            .map(|row| {
                let [ours, theirs] = row.spreads();
                serde_json::json!({ "name": row.name, "unit": row.unit, "more_is_better": row.more_is_better, "ratio": row.ratio(),
                    "proteus": { "spread": ours, "runs": row.numbers[0] }, "qemu": { "spread": theirs, "runs": row.numbers[1] } })
            })
            .collect();
        let all = serde_json::json!({ "guest": self.guest, "versions": { "proteus": self.versions[0], "qemu": self.versions[1] },
            "command_line": self.command_line, "page_table_isolation": self.isolation(), "rows": rows });
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }

    /// Whether the guest kernel of each side had page table isolation on.
    fn isolation(&self) -> [Option<bool>; 2] {
        [0, 1].map(|side: usize| self.runs[side].first().map(|run| run.isolation))
    }

    /// What makes the two sides unfit to be compared: another setting of the kernel, and the cases whose check is not the same in every run of both sides.
    pub fn differences(&self) -> Vec<String> {
        let samples: Vec<_> = self.runs.iter().flatten().flat_map(|run| &run.samples).collect();
        let mut found: Vec<String> = Vec::new();
        if let [Some(ours), Some(theirs)] = self.isolation()
            && ours != theirs
        {
            let [with, without] = if ours { SIDES } else { [SIDES[1], SIDES[0]] };
            found
                .push(format!("page table isolation (KPTI) is on under {with} and off under {without}: system calls cannot be compared; add --append kpti=on"));
        }
        for sample in &samples {
            let odd = samples.iter().find(|other| other.case == sample.case && other.check != sample.check);
            let message = format!("{} did not compute the same everywhere", sample.case);
            if let Some(odd) = odd
                && !found.iter().any(|known| known.starts_with(&message))
            {
                found.push(format!("{message}: {} and {}", sample.check, odd.check));
            }
        }
        found
    }
}

/// Three or four digits that matter.
fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 1000.0 => format!("{number:.0}"),
        size if size >= 100.0 => format!("{number:.1}"),
        size if size >= 10.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(case: &'static str, value: f64, wall: f64, check: &str) -> Sample {
        Sample { case, value, unit: "u/s".into(), wall, memory: 64 << 20, check: check.into() }
    }

    fn run(boot: f64, speed: f64, check: &str) -> Run {
        Run { samples: vec![sample("boot", boot, boot, ""), sample("int", speed, 1.0, check)], isolation: true }
    }

    fn report() -> Report {
        let mut report = Report::new("g", ["1".into(), "2".into()], vec!["-M".into(), "virt".into()]);
        for (side, boot, speed) in [(0, 1.0, 300.0), (1, 4.0, 100.0), (0, 2.0, 500.0), (1, 6.0, 100.0), (0, 3.0, 400.0), (1, 5.0, 100.0)] {
            report.add(side, run(boot, speed, "0x1"));
        }
        report
    }

    #[test]
    fn the_middle_of_odd_and_even_counts() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
    }

    #[test]
    fn ratios_say_how_much_better_the_first_side_is() {
        let ratios: Vec<_> = report().rows().iter().map(|row| (row.name.clone(), row.ratio())).collect();
        let want = [("boot to prompt", 2.5), ("boot memory", 1.0), ("int", 4.0), ("int wall", 1.0), ("peak memory", 1.0)];
        assert_eq!(ratios, want.map(|(name, ratio)| (name.to_owned(), ratio)));
    }

    #[test]
    fn another_check_is_reported_once() {
        let mut report = report();
        assert!(report.differences().is_empty());
        report.add(0, run(1.0, 1.0, "0x2"));
        assert_eq!(report.differences().len(), 1, "{:?}", report.differences());
    }

    #[test]
    fn another_setting_of_the_kernel_is_reported() {
        let mut report = Report::new("g", [String::new(), String::new()], Vec::new());
        report.add(0, Run { isolation: false, ..run(1.0, 1.0, "0x1") });
        report.add(1, run(1.0, 1.0, "0x1"));
        assert!(report.differences().iter().any(|text| text.contains("on under qemu and off under proteus")), "{:?}", report.differences());
    }

    #[test]
    fn the_json_holds_every_run() {
        let json: serde_json::Value = serde_json::from_str(&report().to_json().expect("a report")).expect("json");
        assert_eq!(json["rows"][2]["proteus"]["runs"], serde_json::json!([300.0, 500.0, 400.0]));
        assert_eq!(json["rows"][2]["ratio"], 4.0);
    }
}
