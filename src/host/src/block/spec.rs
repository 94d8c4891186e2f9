//! What the user asks for: `-drive` and `-blockdev`.

use std::path::PathBuf;

use super::BlockError;
use crate::keyval::{Pairs, Wrong, parse_keyval};

/// How host caches are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// Writes are done when the host has them; the guest flushes. Off: each write reaches the disk.
    pub writeback: bool,
    /// The host's page cache is passed by (`O_DIRECT`).
    pub direct: bool,
    /// Flushes are ignored: fast, and the image is lost if the host crashes.
    pub no_flush: bool,
}

impl Default for Cache {
    fn default() -> Self {
        Cache { writeback: true, direct: false, no_flush: false }
    }
}

/// What becomes of a write of zeroes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DetectZeroes {
    /// It is a write.
    #[default]
    Off,
    /// It becomes an efficient write of zeroes.
    On,
    /// It frees the space.
    Unmap,
}

/// What all nodes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeOptions {
    /// Writes are refused.
    pub read_only: bool,
    /// Writes are refused when the host does not allow them.
    pub auto_read_only: bool,
    /// How host caches are used.
    pub cache: Cache,
    /// The guest's discards free space on the host.
    pub discard: bool,
    /// What becomes of a write of zeroes.
    pub detect_zeroes: DetectZeroes,
}

/// One node of the graph of block devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSpec {
    /// Its name.
    pub node_name: Option<String>,
    /// What all nodes have.
    pub options: NodeOptions,
    /// Where the bytes are.
    pub source: Source,
}

/// Where a node's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file or a block device of the host.
    File {
        /// Its path.
        path: PathBuf,
        /// It must be a block device (`host_device`) or must not be one (`file`).
        device: Option<bool>,
        /// Refuse an image that another process writes.
        locking: bool,
    },
    /// Nowhere: reads give zeroes, writes vanish. For tests.
    Null {
        /// Its length.
        size: u64,
    },
    /// The raw format: another node's bytes, or a part of them.
    Raw {
        /// The other node.
        file: Child,
        /// Where the part begins.
        offset: u64,
        /// How long the part is; to the end if not given.
        size: Option<u64>,
    },
    /// Another node's bytes whose format is to be found out.
    Probe(Box<BlockSpec>),
    /// Another node's bytes, with writes kept apart and forgotten at the end.
    Snapshot(Box<BlockSpec>),
}

/// A node below another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child {
    /// Described in place.
    Inline(Box<BlockSpec>),
    /// Made before, under this name.
    Name(String),
}

/// How a drive is connected (`if=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the option's own")]
pub enum Interface {
    None,
    Ide,
    Scsi,
    Sd,
    Mtd,
    Floppy,
    Pflash,
    Virtio,
}

/// What the machine does when the host reports an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorAction {
    /// The guest does not hear of it.
    Ignore,
    /// The guest hears of it.
    Report,
    /// The machine stops.
    Stop,
    /// The machine stops when the disk is full, else the guest hears of it.
    Enospc,
}

/// The argument of `-drive`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveSpec {
    /// The image; none for an empty drive.
    pub image: Option<BlockSpec>,
    /// `if=`; the machine's default if not given.
    pub interface: Option<Interface>,
    /// `id=`
    pub id: Option<String>,
    /// `media=cdrom`
    pub cdrom: bool,
    /// `index=`
    pub index: Option<u32>,
    /// `bus=`
    pub bus: Option<u32>,
    /// `unit=`
    pub unit: Option<u32>,
    /// `serial=`
    pub serial: Option<String>,
    /// `werror=`
    pub write_error: ErrorAction,
    /// `rerror=`
    pub read_error: ErrorAction,
}

type Result<T> = std::result::Result<T, BlockError>;

fn bad<T>(message: String) -> Result<T> {
    Err(BlockError::Spec(message))
}

fn unsupported<T>(message: String) -> Result<T> {
    Err(BlockError::Unsupported(message))
}

/// Formats that QEMU has and that are missing here.
const FORMATS: &[&str] = &[
    "qcow2",
    "qcow",
    "qed",
    "vmdk",
    "vdi",
    "vpc",
    "vhdx",
    "parallels",
    "bochs",
    "cloop",
    "dmg",
    "luks",
    "throttle",
    "quorum",
    "blkdebug",
    "blkverify",
    "copy-on-read",
    "replication",
    "vvfat",
    "nbd",
    "nfs",
    "ssh",
    "http",
    "https",
    "ftp",
    "iscsi",
    "rbd",
    "gluster",
    "nvme",
    "host_cdrom",
    "null-aio",
    "virtio-blk-vhost-user",
    "virtio-blk-vhost-vdpa",
    "io_uring",
    "nvme-io_uring",
    "preallocate",
    "compress",
    "snapshot-access",
];

/// The refusal of a format or driver that is not there.
fn no_driver<T>(what: &str, name: &str) -> Result<T> {
    if FORMATS.contains(&name) {
        return unsupported(format!("{what}: '{name}' is not supported by Proteus yet; convert the image with qemu-img convert -O raw"));
    }
    bad(format!("{what}: unknown driver '{name}'; drivers are raw, file, host_device, null-co"))
}

/// A choice among names.
fn choose<T: Copy>(p: &mut Pairs, what: &str, key: &'static str, choices: &[(&str, T)]) -> Result<Option<T>> {
    let Some(text) = p.take(key) else { return Ok(None) };
    match choices.iter().find(|(name, _)| *name == text) {
        Some((_, value)) => Ok(Some(*value)),
        None => {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            bad(format!("{what}: '{key}={text}': one of {} is expected", names.join(", ")))
        }
    }
}

/// A number of bytes, with QEMU's suffixes (k, M, G, T, in powers of 1024).
fn size(p: &mut Pairs, what: &str, key: &'static str) -> Result<Option<u64>> {
    let Some(text) = p.take(key) else { return Ok(None) };
    let (digits, shift) = match text.char_indices().last().map(|(at, c)| (at, c.to_ascii_lowercase())) {
        Some((at, 'k')) => (&text[..at], 10),
        Some((at, 'm')) => (&text[..at], 20),
        Some((at, 'g')) => (&text[..at], 30),
        Some((at, 't')) => (&text[..at], 40),
        _ => (text.as_str(), 0),
    };
    match digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).filter(|n| *n <= MAX_SIZE) {
        Some(n) => Ok(Some(n)),
        None => bad(format!("{what}: '{key}={text}': not a size in range")),
    }
}

/// Offsets are signed at the host; the last sector must still have an end.
const MAX_SIZE: u64 = i64::MAX as u64 & !511;

/// The options that every node takes.
fn node_options(p: &mut Pairs, what: &str) -> Result<NodeOptions> {
    let detect_zeroes = choose(p, what, "detect-zeroes", &[("off", DetectZeroes::Off), ("on", DetectZeroes::On), ("unmap", DetectZeroes::Unmap)])?;
    let off = [("ignore", false), ("off", false), ("unmap", true), ("on", true)];
    let options = NodeOptions {
        read_only: p.flag("read-only", false)?,
        auto_read_only: p.flag("auto-read-only", false)?,
        cache: Cache { writeback: true, direct: p.flag("cache.direct", false)?, no_flush: p.flag("cache.no-flush", false)? },
        discard: choose(p, what, "discard", &off)?.unwrap_or(false),
        detect_zeroes: detect_zeroes.unwrap_or_default(),
    };
    p.refuse("force-share", "")?;
    if options.detect_zeroes == DetectZeroes::Unmap && !options.discard {
        return bad(format!("{what}: 'detect-zeroes=unmap' needs 'discard=unmap'"));
    }
    Ok(options)
}

fn locking(p: &mut Pairs, what: &str, key: &'static str) -> Result<bool> {
    Ok(choose(p, what, key, &[("auto", true), ("on", true), ("off", false)])?.unwrap_or(true))
}

impl BlockSpec {
    /// A raw image in a file, writable, with everything else as it is by default.
    pub fn raw_file(path: impl Into<PathBuf>) -> Self {
        let source = Source::File { path: path.into(), device: None, locking: true };
        BlockSpec { node_name: None, options: NodeOptions::default(), source }
    }

    /// The same image under a layer of writes that are forgotten at the end (`-snapshot`).
    pub fn with_snapshot(mut self) -> Self {
        // What is never written needs no layer.
        if self.options.read_only || matches!(self.source, Source::Snapshot(_)) {
            return self;
        }
        let options = self.options;
        let node_name = self.node_name.take();
        self.set_read_only();
        BlockSpec { node_name, options, source: Source::Snapshot(Box::new(self)) }
    }

    /// The image itself is never written, down to its file.
    fn set_read_only(&mut self) {
        self.options.read_only = true;
        match &mut self.source {
            Source::Raw { file: Child::Inline(below), .. } | Source::Probe(below) | Source::Snapshot(below) => below.set_read_only(),
            Source::File { .. } | Source::Null { .. } | Source::Raw { file: Child::Name(_), .. } => {}
        }
    }

    /// The argument of `-blockdev`: `key=value` pairs or a JSON object.
    pub fn parse(text: &str) -> Result<Self> {
        let pairs = if text.trim_start().starts_with('{') {
            let json = serde_json::from_str(text).map_err(|e| BlockError::Spec(format!("-blockdev: the JSON text is not well formed: {e}")))?;
            let mut pairs = Vec::new();
            flatten("", json, &mut pairs)?;
            pairs
        } else {
            let mut pairs = parse_keyval(text);
            if let Some((key, _)) = pairs.first_mut().filter(|(key, _)| key.is_empty()) {
                *key = "driver".into();
            }
            pairs
        };
        let spec = Self::from_pairs(pairs, NodeOptions::default(), 0)?;
        if spec.node_name.is_none() {
            return bad("-blockdev: 'node-name=' is missing".into());
        }
        Ok(spec)
    }

    /// A node; what it does not say about reading and caching it takes from its parent.
    fn from_pairs(pairs: Vec<(String, String)>, parent: NodeOptions, depth: u32) -> Result<Self> {
        if depth > 8 {
            return bad("-blockdev: nodes are nested too deeply".into());
        }
        let (below, pairs): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| key.starts_with("file."));
        let driver = pairs.iter().rev().find(|(key, _)| key == "driver").map(|(_, value)| value.clone());
        let Some(driver) = driver else { return bad("-blockdev: 'driver=' is missing".into()) };
        let what = format!("-blockdev {driver}");
        let mut p = Pairs::new(what.clone(), pairs);
        p.take("driver");
        let node_name = p.take("node-name");
        if let Some(name) = node_name.as_deref().filter(|name| name.is_empty() || name.starts_with('#')) {
            return bad(format!("{what}: 'node-name={name}': a letter is expected first"));
        }
        let mut options = node_options(&mut p, &what)?;
        options.read_only |= parent.read_only;
        options.discard |= parent.discard;
        options.cache.direct |= parent.cache.direct;
        options.cache.no_flush |= parent.cache.no_flush;
        options.auto_read_only |= parent.auto_read_only;
        let source = match driver.as_str() {
            "file" | "host_device" => {
                let path = p.required("filename")?.into();
                aio(&mut p, &what)?;
                let locking = locking(&mut p, &what, "locking")?;
                Source::File { path, device: Some(driver == "host_device"), locking }
            }
            "null-co" => {
                let size = size(&mut p, &what, "size")?.unwrap_or(1 << 30);
                p.flag("read-zeroes", true)?;
                Source::Null { size }
            }
            "raw" => {
                let file = match (p.take("file"), below.is_empty()) {
                    (Some(name), true) => Child::Name(name),
                    (None, false) => {
                        let below = below.iter().map(|(k, v)| (k["file.".len()..].to_string(), v.clone())).collect();
                        Child::Inline(Box::new(Self::from_pairs(below, options, depth + 1)?))
                    }
                    _ => return bad(format!("{what}: one of 'file=NODE' and 'file.driver=' is expected")),
                };
                let offset = size(&mut p, &what, "offset")?.unwrap_or(0);
                Source::Raw { file, offset, size: size(&mut p, &what, "size")? }
            }
            other => return no_driver("-blockdev", other),
        };
        if driver != "raw"
            && let Some((key, _)) = below.first()
        {
            return bad(format!("{what}: unknown key '{key}'"));
        }
        p.finish()?;
        Ok(BlockSpec { node_name, options, source })
    }
}

/// The way requests are handed to the host: only one is there.
fn aio(p: &mut Pairs, what: &str) -> Result<()> {
    match p.take("aio").as_deref() {
        None | Some("threads") => Ok(()),
        Some(other @ ("native" | "io_uring")) => unsupported(format!("{what}: 'aio={other}' is not supported by Proteus yet; use aio=threads")),
        Some(other) => bad(format!("{what}: 'aio={other}': threads is expected")),
    }
}

/// An object of objects as pairs with dotted keys.
fn flatten(prefix: &str, value: serde_json::Value, pairs: &mut Vec<(String, String)>) -> Result<()> {
    use serde_json::Value;
    let text = match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(&key, value, pairs)?;
            }
            return Ok(());
        }
        Value::Bool(on) => if on { "on" } else { "off" }.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(text) => text,
        Value::Null | Value::Array(_) => {
            return bad(format!("-blockdev: '{prefix}': a string, number, boolean or object is expected"));
        }
    };
    pairs.push((prefix.to_string(), text));
    Ok(())
}

impl DriveSpec {
    /// The argument of `-drive`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut p = Pairs::new("-drive", parse_keyval(text));
        let file = match (p.take("file"), p.take("file.filename"), p.take("")) {
            (Some(file), None, None) | (None, Some(file), None) => Some(file),
            (None, None, None) => None,
            (_, _, Some(text)) => return bad(format!("-drive: '{text}': write file={text}")),
            _ => return bad("-drive: 'file' is given twice".into()),
        };
        let format = match (p.take("format"), p.take("driver")) {
            (Some(_), Some(_)) => return bad("-drive: give 'format' or 'driver', not both".into()),
            (a, b) => a.or(b),
        };
        let interface = choose(
            &mut p,
            "-drive",
            "if",
            &[
                ("none", Interface::None),
                ("ide", Interface::Ide),
                ("scsi", Interface::Scsi),
                ("sd", Interface::Sd),
                ("mtd", Interface::Mtd),
                ("floppy", Interface::Floppy),
                ("pflash", Interface::Pflash),
                ("virtio", Interface::Virtio),
            ],
        )?;
        let cdrom = choose(&mut p, "-drive", "media", &[("disk", false), ("cdrom", true)])?.unwrap_or(false);
        let snapshot = p.flag("snapshot", false)?;
        let old_read_only = p.flag("readonly", false)?;
        let cache = cache(&mut p)?;
        let mut options = node_options(&mut p, "-drive")?;
        options.read_only |= old_read_only || cdrom;
        options.cache.writeback = cache.writeback;
        options.cache.direct |= cache.direct;
        options.cache.no_flush |= cache.no_flush;
        if let Some(writeback) = p.flag_if_given("cache.writeback")? {
            options.cache.writeback = writeback;
        }
        aio(&mut p, "-drive")?;
        let on_error = [("ignore", ErrorAction::Ignore), ("report", ErrorAction::Report), ("stop", ErrorAction::Stop), ("enospc", ErrorAction::Enospc)];
        let write_error = choose(&mut p, "-drive", "werror", &on_error)?.unwrap_or(ErrorAction::Enospc);
        let read_error = choose(&mut p, "-drive", "rerror", &on_error[..3])?.unwrap_or(ErrorAction::Report);
        let locking = locking(&mut p, "-drive", "file.locking")?;
        for key in ["copy-on-read", "iops", "bps", "throttling.iops-total", "throttling.bps-total", "group", "addr"] {
            p.refuse(key, "")?;
        }
        let spec = DriveSpec {
            image: match file.filter(|f| !f.is_empty()) {
                Some(file) => Some(image(&file, format.as_deref(), options, snapshot, locking)?),
                None if format.as_deref() == Some("null-co") => Some(image("null-co://", None, options, false, false)?),
                None => None,
            },
            interface,
            id: p.take("id"),
            cdrom,
            index: p.number("index")?,
            bus: p.number("bus")?,
            unit: p.number("unit")?,
            serial: p.take("serial"),
            write_error,
            read_error,
        };
        p.finish()?;
        if spec.index.is_some() && (spec.bus.is_some() || spec.unit.is_some()) {
            return bad("-drive: give 'index' or 'bus' and 'unit', not both".into());
        }
        Ok(spec)
    }
}

/// `cache=`
fn cache(p: &mut Pairs) -> Result<Cache> {
    let mode = |writeback, direct, no_flush| Cache { writeback, direct, no_flush };
    let modes = [
        ("writeback", mode(true, false, false)),
        ("writethrough", mode(false, false, false)),
        ("none", mode(true, true, false)),
        ("off", mode(true, true, false)),
        ("directsync", mode(false, true, false)),
        ("unsafe", mode(true, false, true)),
    ];
    Ok(choose(p, "-drive", "cache", &modes)?.unwrap_or_default())
}

/// The image that a file name, a format and the other keys describe.
fn image(file: &str, format: Option<&str>, options: NodeOptions, snapshot: bool, locking: bool) -> Result<BlockSpec> {
    let node = |source| BlockSpec { node_name: None, options, source };
    let protocol = file.split_once(':').map(|(name, _)| name).filter(|name| !name.contains('/'));
    let source = match protocol {
        Some("file") => Source::File { path: file["file:".len()..].into(), device: None, locking },
        Some("null-co") => Source::Null { size: 1 << 30 },
        Some("json") => return unsupported("-drive: 'file=json:' is not supported by Proteus; use -blockdev".into()),
        Some("fat") => return no_driver("-drive", "vvfat"),
        Some(name) if FORMATS.contains(&name) => return no_driver("-drive", name),
        _ => Source::File { path: file.into(), device: None, locking },
    };
    let is_file = matches!(source, Source::File { .. });
    let mut spec = node(source);
    match format {
        Some("raw" | "file" | "host_device" | "null-co") => {}
        Some(other) => return no_driver("-drive", other),
        None if is_file => {
            let options = spec.options;
            spec = BlockSpec { node_name: None, options, source: Source::Probe(Box::new(spec)) };
        }
        None => {}
    }
    Ok(if snapshot { spec.with_snapshot() } else { spec })
}

impl From<Wrong> for BlockError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Bad(message) => BlockError::Spec(message),
            Wrong::Unsupported(message) => BlockError::Unsupported(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drive(text: &str) -> DriveSpec {
        DriveSpec::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn drives() {
        let d = drive("file=a,,b.img,if=virtio,format=raw,id=d0,cache=unsafe,discard=unmap,index=2,werror=stop");
        assert_eq!((d.interface, d.id.as_deref(), d.index), (Some(Interface::Virtio), Some("d0"), Some(2)));
        assert_eq!((d.write_error, d.read_error), (ErrorAction::Stop, ErrorAction::Report));
        let image = d.image.unwrap();
        assert_eq!(image.source, Source::File { path: "a,b.img".into(), device: None, locking: true });
        assert!(image.options.discard && image.options.cache.no_flush && !image.options.read_only);
        let image = drive("file=x,if=pflash,readonly=on").image.unwrap();
        assert!(image.options.read_only);
        assert!(matches!(image.source, Source::Probe(_)));
        let image = drive("file=x,format=raw,snapshot=on").image.unwrap();
        assert!(!image.options.read_only);
        assert!(matches!(drive("file=x,format=raw,snapshot=on,media=cdrom").image.unwrap().source, Source::File { .. }));
        let Source::Snapshot(base) = image.source else { panic!() };
        assert!(base.options.read_only);
        assert_eq!(drive("file=x,format=raw").image.unwrap().with_snapshot(), drive("file=x,format=raw,snapshot=on").image.unwrap());
        assert!(drive("file=x,media=cdrom").image.unwrap().options.read_only);
        assert_eq!(drive("if=none,id=empty,media=cdrom").image, None);
        assert_eq!(drive("file=null-co://,if=none").image.unwrap().source, Source::Null { size: 1 << 30 });
        for (mode, writeback, direct, no_flush) in [
            ("writeback", true, false, false),
            ("writethrough", false, false, false),
            ("none", true, true, false),
            ("directsync", false, true, false),
            ("unsafe", true, false, true),
        ] {
            let cache = drive(&format!("file=x,format=raw,cache={mode}")).image.unwrap().options.cache;
            assert_eq!(cache, Cache { writeback, direct, no_flush }, "{mode}");
        }
    }

    #[test]
    fn nodes() {
        let pairs = BlockSpec::parse("driver=raw,node-name=n,file.driver=file,file.filename=f,read-only=on,offset=1k,file.aio=threads").unwrap();
        let json = BlockSpec::parse(
            r#"{"driver":"raw","node-name":"n","read-only":true,"offset":1024,
                "file":{"driver":"file","filename":"f","aio":"threads"}}"#,
        )
        .unwrap();
        assert_eq!(pairs, json);
        let Source::Raw { file: Child::Inline(file), offset: 1024, size: None } = pairs.source else { panic!() };
        assert!(file.options.read_only, "inherited");
        let named = BlockSpec::parse("raw,node-name=n,file=other,size=4M").unwrap();
        assert_eq!(named.source, Source::Raw { file: Child::Name("other".into()), offset: 0, size: Some(4 << 20) });
        let null = BlockSpec::parse("driver=null-co,node-name=n,size=1T").unwrap();
        assert_eq!(null.source, Source::Null { size: 1 << 40 });
    }

    #[test]
    fn errors_name_the_cause() {
        for (text, want) in [
            ("file=x,fromat=raw", "unknown key 'fromat'; known keys are"),
            ("file=x,format=qcow2", "'qcow2' is not supported"),
            ("file=x,format=wat", "unknown driver 'wat'"),
            ("file=nbd://h", "'nbd' is not supported"),
            ("x.img", "write file=x.img"),
            ("file=x,if=usb", "'if=usb': one of none, ide"),
            ("file=x,cache=sometimes", "one of writeback"),
            ("file=x,aio=io_uring", "'aio=io_uring' is not supported"),
            ("file=x,index=1,unit=1", "not both"),
            ("file=x,detect-zeroes=unmap", "needs 'discard=unmap'"),
            ("file=x,bps=1000", "'bps' is not supported"),
            ("file=x,rerror=enospc", "'rerror=enospc'"),
        ] {
            let message = DriveSpec::parse(text).expect_err(text).to_string();
            assert!(message.contains(want), "{text}: {message}");
        }
        for (text, want) in [
            ("node-name=n", "'driver=' is missing"),
            ("driver=file,filename=x", "'node-name=' is missing"),
            ("driver=file,node-name=n", "'filename=' is missing"),
            ("driver=raw,node-name=n", "'file=NODE'"),
            ("driver=raw,node-name=n,file=a,file.driver=file", "'file=NODE'"),
            ("driver=qcow2,node-name=n,file=a", "'qcow2' is not supported"),
            ("driver=file,node-name=n,filename=x,colour=red", "unknown key 'colour'"),
            ("driver=null-co,node-name=n,size=-1", "not a size in range"),
            ("driver=null-co,node-name=n,size=99999999T", "not a size in range"),
            ("{\"driver\":[]}", "'driver': a string"),
            ("{", "not well formed"),
        ] {
            let message = BlockSpec::parse(text).expect_err(text).to_string();
            assert!(message.contains(want), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = (DriveSpec::parse(&text), BlockSpec::parse(&text));
        }

        #[test]
        fn likely_text_is_parsed_or_refused(
            words in prop::collection::vec(
                prop::sample::select(vec!["driver=", "raw", "file", ",", "=", ".", "file.", "{", "}", "\"", ":", "é",
                    "node-name=n", "filename=", "size=", "K", "18446744073709551615", "offset=", "no", "cache="]),
                0..12)
        ) {
            let text = words.concat();
            let _ = (DriveSpec::parse(&text), BlockSpec::parse(&text));
        }
    }
}
