//! Two processors on shared memory: what Arm's memory model forbids is not seen.

use crate::rig::*;

#[test]
fn no_forbidden_outcome_is_seen() {
    let Some(linux) = Linux::find("litmus", &ARM64) else { return };
    let iterations = if long() { 200_000 } else { 20_000 };
    // `max` has the atomics of Armv8.1 too.
    let models: &[&str] = if long() { &["max", "cortex-a53"] } else { &["max"] };
    for model in models {
        let console = &mut linux.boot(&["-smp", "2", "-cpu", model], "");
        let out = shell(console, &format!("litmus {iterations}"), BOOT * 4);
        assert!(!out.contains("FORBIDDEN") && !out.contains("LOST"), "{out}");
        assert!(out.contains("litmus SB+dmbs: ") && out.contains("name=litmus value=0 ") && out.contains("status=ok"), "{out}");
        if *model == "max" {
            assert!(out.contains("counter+casal: ok"), "{out}");
        }
        let weak: Vec<_> = out.lines().filter(|line| line.contains("weak=")).collect();
        eprintln!("figure: {model}: {}", weak.join("; "));
        power_off(console);
    }
}
