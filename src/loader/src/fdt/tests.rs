// A list of one range is meant as one.
#![allow(clippy::single_range_in_vec_init)]

use std::process::Command;

use proptest::prelude::*;

use super::*;

/// A tree with everything in it: nesting, shared names, flags, lists, labels for overlays.
fn sample() -> Tree {
    let mut tree = Tree::new();
    tree.root.set_u32("#address-cells", 2).set_u32("#size-cells", 2);
    tree.root.set_str("compatible", "linux,dummy-virt");
    tree.reservations.push((0x8000_0000, 0x1000));
    let gic = tree.ensure_node("/intc@8000000");
    gic.set_strs("compatible", &["arm,gic-v3", "arm,gic"]).set_flag("interrupt-controller");
    gic.set_cells64("reg", &[0x800_0000, 0x1_0000, 0x80a_0000, 0xf6_0000]).set_phandle(1);
    let uart = tree.ensure_node("/soc/pl011@9000000");
    uart.set_str("compatible", "arm,pl011").set_cells("interrupts", &[0, 1, 4]);
    tree.ensure_node("/__symbols__").set_str("uart0", "/soc/pl011@9000000");
    tree
}

#[test]
fn what_is_written_is_read_back() {
    let tree = sample();
    assert_eq!(parse(&tree.to_bytes().unwrap()).unwrap(), tree);
}

#[test]
fn vm_fdt_writes_the_same_bytes() {
    fn copy(node: &Node, to: &mut vm_fdt::FdtWriter) {
        let open = to.begin_node(&node.name).unwrap();
        node.properties.iter().for_each(|(name, value)| to.property(name, value).unwrap());
        node.children.iter().for_each(|child| copy(child, to));
        to.end_node(open).unwrap();
    }
    let mut tree = sample();
    // The one node that vm-fdt refuses, and the reason why the writer is ours.
    tree.root.children.retain(|c| c.name != "__symbols__");
    let entry = vm_fdt::FdtReserveEntry::new(0x8000_0000, 0x1000).unwrap();
    let mut writer = vm_fdt::FdtWriter::new_with_mem_reserv(&[entry]).unwrap();
    copy(&tree.root, &mut writer);
    let theirs = writer.finish().unwrap();
    assert_eq!(parse(&theirs).unwrap(), tree);
    assert_eq!(tree.to_bytes().unwrap().len(), theirs.len());
}

#[test]
fn dtc_reads_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (dtb, back) = (dir.path().join("t.dtb"), dir.path().join("back.dtb"));
    std::fs::write(&dtb, sample().to_bytes().unwrap()).unwrap();
    let dtc = |args: &[&str], from: &std::path::Path| Command::new("dtc").args(args).arg(from).output();
    let Ok(out) = dtc(&["-q", "-I", "dtb", "-O", "dts"], &dtb) else {
        eprintln!("skipped: dtc is not installed");
        return;
    };
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for line in [
        "/memreserve/\t0x0000000080000000 0x0000000000001000;",
        "compatible = \"arm,pl011\";",
        "interrupt-controller;",
        "interrupts = <0x00 0x01 0x04>;",
        "pl011@9000000 {",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // And what dtc writes, with its own layout of blocks, is read.
    let out = dtc(&["-q", "-I", "dtb", "-O", "dtb", "-p", "512", "-o", back.to_str().unwrap()], &dtb);
    assert!(out.unwrap().status.success());
    assert_eq!(parse(&std::fs::read(back).unwrap()).unwrap(), sample());
}

#[test]
fn nodes_are_found_with_and_without_unit_address() {
    let tree = sample();
    assert_eq!(tree.node("/soc/pl011@9000000"), tree.node("/soc/pl011"));
    assert_eq!(tree.node("/soc/pl011@9000001"), None);
    assert_eq!(tree.find(|n| n.is_compatible("arm,gic")), Some("/intc@8000000".into()));
    assert_eq!(tree.unused_phandle(), 2);
    let uart = tree.node("/soc/pl011").unwrap();
    assert_eq!(uart.get_str("compatible"), Some("arm,pl011"));
    assert_eq!(uart.get_cells("interrupts"), Some(vec![0, 1, 4]));
}

#[test]
fn a_users_tree_is_edited_in_place() {
    let mut tree = sample();
    tree.ensure_node("/memory@40000000").set_str("device_type", "memory");
    tree.ensure_node("/chosen").set_str("bootargs", "old").set_str("stdout-path", "/soc");
    let chosen = Chosen {
        bootargs: Some("console=ttyAMA0".into()),
        initrd: Some(0x4800_0000..0x4900_0000),
        kaslr_seed: Some(7),
        rng_seed: Some(vec![1, 2, 3]),
        stdout_path: None,
    };
    tree.set_chosen(&chosen).unwrap();
    tree.set_memory(&[0x4000_0000..0x8000_0000, 0x1_0000_0000..0x2_0000_0000]).unwrap();
    let node = tree.node("/chosen").unwrap();
    assert_eq!(node.get_str("bootargs"), Some("console=ttyAMA0"));
    assert_eq!(node.get_u64("linux,initrd-end"), Some(0x4900_0000));
    assert_eq!(node.get_u64("kaslr-seed"), Some(7));
    assert_eq!(node.get("rng-seed"), Some(&[1, 2, 3][..]));
    assert_eq!(node.get_str("stdout-path"), Some("/soc"));
    let memory: Vec<_> = tree.root.children.iter().filter(|n| n.base_name() == "memory").map(|n| &n.name).collect();
    assert_eq!(memory, ["memory@40000000", "memory@100000000"]);
    let high = tree.node("/memory@100000000").unwrap().get("reg").unwrap();
    assert_eq!(high, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
}

#[test]
fn memory_beyond_the_trees_cells_is_refused() {
    let mut tree = Tree::new();
    tree.root.set_u32("#address-cells", 1);
    tree.set_memory(&[0x4000_0000..0x8000_0000]).unwrap();
    assert_eq!(tree.node("/memory").unwrap().get("reg").unwrap().len(), 8);
    let error = tree.set_memory(&[0x1_0000_0000..0x2_0000_0000]).unwrap_err();
    assert!(error.to_string().contains("0x100000000"), "{error}");
    assert!(tree.node("/memory@40000000").is_some(), "a failed edit changes nothing");
}

#[test]
fn hostile_trees_are_refused() {
    let good = sample().to_bytes().unwrap();
    let patched = |at: usize, word: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        parse(&bytes).map(|_| ()).unwrap_err().to_string()
    };
    for (at, word, says) in [
        (0, 0xd00d_feee, "starts with"),
        (4, 0xffff_ffff, "device tree ends at byte 0xffffffff"),
        (8, 0xffff_fff0, "structure block"),
        (12, 0x7fff_ffff, "strings block"),
        (16, 0xffff_fff8, "memory reservation"),
        (20, 16, "version 16"),
        (36, 8, "ends inside a node"),
        (36, 18, "a property is cut off"),
    ] {
        let error = patched(at, word);
        assert!(error.contains(says), "{at}: {error}");
    }
    let mut deep = Node::new("leaf");
    for _ in 0..100 {
        deep = Node { children: vec![deep], ..Node::new("n") };
    }
    let tree = Tree { root: deep, ..Tree::new() };
    assert_eq!(tree.to_bytes(), Err(FdtError::TooDeep));
}

/// A property name may be shared, so a long one would multiply.
#[test]
fn a_long_shared_name_is_refused() {
    let mut tree = Tree::new();
    tree.root.set_flag(&"x".repeat(256));
    let error = parse(&tree.to_bytes().unwrap()).unwrap_err().to_string();
    assert!(error.contains("longer than 255"), "{error}");
}

proptest! {
    #[test]
    fn damaged_trees_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample().to_bytes().unwrap();
        let size = bytes.len();
        for (at, value) in changes {
            bytes[at.index(size)] = value;
        }
        bytes.truncate(keep.index(size * 4).min(size));
        if let Ok(tree) = parse(&bytes) {
            // What was accepted can be edited, and written or refused.
            let mut tree = tree;
            let _ = tree.set_memory(&[0..1 << 40]);
            let _ = tree.set_chosen(&Chosen { initrd: Some(1..2), ..Chosen::default() });
            let _ = tree.to_bytes();
        }
    }
}
