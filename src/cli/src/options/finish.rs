//! What only the whole line can settle: defaults, consistency, references.

use std::collections::HashSet;

use super::{Draft, chardev, debug, machine, misc, topology};
use crate::config::Config;
use crate::error::{Problem, UsageError, shorten};

/// The configuration, or what is wrong with the line as a whole.
pub(super) fn finish(mut draft: Draft) -> Result<Config, UsageError> {
    let program = draft.config.program.clone();
    let smp = std::mem::take(&mut draft.smp);
    let at = match draft.smp_text.as_str() {
        "" => "-machine smp".to_string(),
        text => format!("-smp {}", shorten(text)),
    };
    draft.config.smp = topology::resolve(smp).map_err(|p| p.at(&program, &at))?;
    let mut steps = || {
        machine::memory(&mut draft).map_err(|p| (p, "-m"))?;
        machine::boot(&mut draft).map_err(|p| (p, "-boot"))?;
        machine::accelerators(&mut draft).map_err(|p| (p, "-machine accel"))?;
        debug::settle(&mut draft).map_err(|p| (p, "-semihosting-config"))?;
        misc::settle(&draft).map_err(|p| (p, "options"))?;
        ids(&draft.config)?;
        chardev::settle(&mut draft).map_err(|p| (p, "consoles"))
    };
    steps().map_err(|(p, at): (Problem, &str)| p.at(&program, at))?;
    if draft.config.nodefaults {
        draft.config.default_nic = false;
    }
    Ok(draft.config)
}

/// Ids name one thing each, among things of a kind.
fn ids(config: &Config) -> Result<(), (Problem, &'static str)> {
    let devices = config.devices.iter().filter_map(|d| d.id.as_deref());
    unique(devices).map_err(|p| (p, "-device"))?;
    unique(config.objects.iter().map(|o| o.id.as_str())).map_err(|p| (p, "-object"))?;
    unique(config.chardevs.iter().map(|c| c.id.as_str())).map_err(|p| (p, "-chardev"))?;
    unique(config.netdevs.iter().map(|n| n.id.as_str())).map_err(|p| (p, "-netdev"))?;
    let nodes = config.blockdevs.iter().filter_map(|b| b.node_name.as_deref());
    let drives = config.drives.iter().filter_map(|d| d.id.as_deref());
    unique(nodes.chain(drives)).map_err(|p| (p, "-blockdev and -drive"))
}

fn unique<'a>(mut ids: impl Iterator<Item = &'a str>) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    match ids.find(|id| !seen.insert(*id)) {
        Some(id) => Err(format!("the id '{}' is given twice", shorten(id)).into()),
        None => Ok(()),
    }
}
