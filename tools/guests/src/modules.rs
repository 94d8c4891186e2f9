//! Finds a kernel's modules and the order in which they must be loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{Error, Result, files_below, read, run};

/// The modules of one kernel, by name (with `_` for `-`, as the kernel has it).
pub(crate) struct Modules {
    files: BTreeMap<String, PathBuf>,
}

/// A module ready to be loaded.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its name.
    pub(crate) name: String,
    /// Its ELF file.
    pub(crate) contents: Vec<u8>,
}

impl Modules {
    /// Looks through `lib/modules/VERSION` below an unpacked package.
    pub(crate) fn below(dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for path in files_below(dir)? {
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some((stem, "ko" | "ko.xz")) = file.split_once('.') {
                files.insert(stem.replace('-', "_"), path);
            }
        }
        Ok(Self { files })
    }

    /// `wanted` and all they depend on, each after what it needs.
    ///
    /// A name that this kernel has no module for is an error unless it starts with `?`: then it
    /// may be built in.
    pub(crate) fn in_load_order(&self, wanted: &[&str]) -> Result<Vec<Module>> {
        let mut order = Vec::new();
        for name in wanted {
            match name.strip_prefix('?') {
                Some(optional) if !self.files.contains_key(&optional.replace('-', "_")) => {}
                Some(optional) => self.add(optional, &mut order)?,
                None => self.add(name, &mut order)?,
            }
        }
        Ok(order)
    }

    /// The contents of one.
    pub(crate) fn named(&self, name: &str) -> Result<Vec<u8>> {
        let name = name.replace('-', "_");
        let path = self.files.get(&name).ok_or_else(|| Error::Other(format!("the kernel package has no module {name}: is it built in now?")))?;
        if path.extension().is_none_or(|e| e != "xz") {
            return read(path);
        }
        run(Command::new("xz").args(["-dkf"]).arg(path), "xz-utils")?;
        read(&path.with_extension(""))
    }

    fn add(&self, name: &str, order: &mut Vec<Module>) -> Result<()> {
        let name = name.replace('-', "_");
        if order.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let contents = self.named(&name)?;
        for needed in depends(&contents) {
            self.add(&needed, order)?;
        }
        order.push(Module { name, contents });
        Ok(())
    }
}

/// The names in a module's `depends=` entry; `.modinfo` entries are strings ended by a zero byte.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let rest = &module[at + KEY.len()..];
    let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
    let list = String::from_utf8_lossy(&rest[..end]).into_owned();
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(modules: &[(&str, &str)]) -> (tempfile::TempDir, Modules) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, depends) in modules {
            let contents = format!("\x7fELF\0license=GPL\0depends={depends}\0name=x\0");
            std::fs::write(dir.path().join(format!("{name}.ko")), contents).expect("a module");
        }
        let found = Modules::below(dir.path()).expect("modules");
        (dir, found)
    }

    fn order(modules: &Modules, wanted: &[&str]) -> Result<Vec<String>> {
        Ok(modules.in_load_order(wanted)?.into_iter().map(|module| module.name).collect())
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let (_dir, modules) =
            kernel(&[("virtio-net", "net-failover"), ("net-failover", "failover"), ("failover", ""), ("ext4", "jbd2,mbcache"), ("jbd2", ""), ("mbcache", "")]);
        assert_eq!(
            order(&modules, &["virtio_net", "ext4", "failover"]).expect("an order"),
            ["failover", "net_failover", "virtio_net", "jbd2", "mbcache", "ext4"]
        );
    }

    #[test]
    fn a_missing_module_is_named_unless_it_is_optional() {
        let (_dir, modules) = kernel(&[("a", "")]);
        assert_eq!(order(&modules, &["?b", "a"]).expect("an order"), ["a"]);
        assert!(order(&modules, &["b"]).expect_err("no such module").to_string().contains("module b"));
    }
}
