//! Builds an ext4 disk image without being root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::initramfs::applets;
use crate::tools::{Result, at, entries, make_dir, part_name, read, remove_dir, rename, run, write};

/// Copies the installed files of `packages` (unpacked directories) into `tree`, with our `/sbin/init`
/// and with links to busybox for what nothing else provides.
pub(crate) fn assemble(tree: &Path, packages: &[&Path], init: &Path, programs: &Path) -> Result<()> {
    remove_dir(tree)?;
    make_dir(tree)?;
    for package in packages {
        // The trailing dot copies what is in the directory.
        run(Command::new("cp").arg("-a").arg(package.join(".")).arg(tree), "coreutils")?;
    }
    for dir in ["bin", "dev", "etc", "mnt", "proc", "root", "run", "sbin", "sys", "tmp"] {
        make_dir(&tree.join(dir))?;
    }
    let target = tree.join("sbin/init");
    write(&target, &read(init)?)?;
    fs::set_permissions(&target, Permissions::from_mode(0o755)).map_err(at("change", &target))?;
    for program in entries(programs)? {
        let target = tree.join("bin").join(program.file_name().unwrap_or_default());
        fs::copy(&program, &target).map_err(at("write", &target))?;
    }
    for applet in applets(&read(&tree.join("bin/busybox"))?)? {
        let taken = ["bin", "sbin", "usr/bin", "usr/sbin"].iter().any(|dir| {
            let name = tree.join(dir).join(&applet);
            name.exists() || name.is_symlink()
        });
        if !taken {
            let link = tree.join("bin").join(&applet);
            symlink("busybox", &link).map_err(at("make", &link))?;
        }
    }
    write(&tree.join("etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\n")?;
    write(&tree.join("etc/group"), b"root:x:0:\n")?;
    Ok(())
}

/// Makes an ext4 file system of `size` MiB with the contents of `tree`, all owned by root.
pub(crate) fn make_ext4(tree: &Path, image: &Path, size: u32) -> Result<()> {
    let part = part_name(image);
    if part.exists() {
        fs::remove_file(&part).map_err(at("remove", &part))?;
    }
    const ID: &str = "50524f54-4555-5300-8000-000000000001";
    run(
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-L", "proteus", "-U", ID, "-E"])
            .arg(format!("root_owner=0:0,hash_seed={ID}"))
            .arg("-d")
            .arg(tree)
            .arg(&part)
            .arg(format!("{size}M")),
        "e2fsprogs",
    )?;
    let owner = fs::metadata(tree).map_err(at("look at", tree))?;
    if owner.uid() != 0 || owner.gid() != 0 {
        let script = part.with_extension("owners");
        write(&script, own_by_root(tree, "")?.as_bytes())?;
        run(Command::new("debugfs").args(["-w", "-f"]).arg(&script).arg(&part), "e2fsprogs")?;
        fs::remove_file(&script).map_err(at("remove", &script))?;
    }
    rename(&part, image)
}

/// Commands of debugfs that give everything below `dir` to root: mke2fs copies the owner.
fn own_by_root(dir: &Path, inside: &str) -> Result<String> {
    let mut script = String::new();
    for path in entries(dir)? {
        let name = format!("{inside}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        script.push_str(&format!("sif \"{name}\" uid 0\nsif \"{name}\" gid 0\n"));
        if path.is_dir() && !path.is_symlink() {
            script.push_str(&own_by_root(&path, &name)?);
        }
    }
    Ok(script)
}
