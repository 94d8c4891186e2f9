//! Disks and their images.

use super::machine::file;
use super::{Draft, HelpRequest, Row, option, required, row, take_id};
use crate::config::{Blockdev, Drive};
use crate::keyval::{HelpWanted, KeyValues, identifier};

pub(super) const ROWS: &[Row] = &[
    row::<DriveOption>(),
    row::<BlockdevOption>(),
    row::<Hda>(),
    row::<Hdb>(),
    row::<Hdc>(),
    row::<Hdd>(),
    row::<Cdrom>(),
    row::<Fda>(),
    row::<Fdb>(),
    row::<Pflash>(),
    row::<Sd>(),
    row::<Mtdblock>(),
    row::<Snapshot>(),
];

/// Adds a drive for an option that names an image only.
pub(super) fn add_image(draft: &mut Draft, option: &str, keys: &[(&str, &str)], image: &str) {
    let mut properties = KeyValues::default();
    keys.iter().for_each(|(key, value)| properties.push(key, *value));
    properties.push("file", image);
    draft.config.drives.push(Drive { option: option.into(), id: None, properties });
}

option! {
    /// A drive: image and the interface it is on (if=none for one that a -device refers to)
    DriveOption: "drive" => "file=FILE[,if=TYPE][,format=FORMAT][,id=ID][,KEY=VALUE]...", |draft, text| {
        let mut properties = KeyValues::parse(text, None)?;
        if properties.help_wanted("format") != HelpWanted::No {
            draft.wants(HelpRequest::BlockFormats);
            return Ok(());
        }
        let id = take_id(&mut properties)?;
        for key in ["readonly", "read-only", "snapshot", "copy-on-read"] {
            properties.clone().take_bool(key)?;
        }
        for key in ["index", "bus", "unit"] {
            properties.clone().take_number(key)?;
        }
        if properties.get("index").is_some() && properties.get("unit").is_some() {
            return Err("'index' and 'unit' say the same; give one of them".into());
        }
        draft.config.drives.push(Drive { option: "-drive".into(), id, properties });
    }
}

option! {
    /// A block node: an image, or a format on top of one
    BlockdevOption: "blockdev" => "DRIVER[,node-name=NAME][,KEY=VALUE]... | JSON", |draft, text| {
        let mut given = KeyValues::parse_or_json(text, Some("driver"))?;
        let driver = required(&mut given, "driver", "-blockdev file,node-name=disk,filename=disk.img")?;
        let node_name = given.take("node-name");
        node_name.as_deref().map(identifier).transpose()?;
        draft.config.blockdevs.push(Blockdev { driver, node_name, properties: given });
    }
}

/// An option that abbreviates `-drive`.
macro_rules! image {
    ($(#[doc = $doc:literal])+ $type:ident: $name:literal, $($key:literal = $value:literal),*) => {
        option! {
            $(#[doc = $doc])+
            $type: $name => "FILE", |draft, text| {
                add_image(draft, concat!("-", $name), &[$(($key, $value)),*], file(text)?);
            }
        }
    };
}

image! {
    /// Image of the board's first disk (an argument without option is the same)
    Hda: "hda", "index" = "0", "media" = "disk"
}
image! {
    /// Image of the second disk
    Hdb: "hdb", "index" = "1", "media" = "disk"
}
image! {
    /// Image of the third disk
    Hdc: "hdc", "index" = "2", "media" = "disk"
}
image! {
    /// Image of the fourth disk
    Hdd: "hdd", "index" = "3", "media" = "disk"
}
image! {
    /// Image of a CD
    Cdrom: "cdrom", "index" = "2", "media" = "cdrom"
}
image! {
    /// Image of the first floppy disk
    Fda: "fda", "if" = "floppy", "index" = "0"
}
image! {
    /// Image of the second floppy disk
    Fdb: "fdb", "if" = "floppy", "index" = "1"
}
image! {
    /// Image of a parallel flash chip, in the board's order
    Pflash: "pflash", "if" = "pflash"
}
image! {
    /// Image of an SD card
    Sd: "sd", "if" = "sd", "index" = "0"
}
image! {
    /// Image of an on-board flash chip
    Mtdblock: "mtdblock", "if" = "mtd", "index" = "0"
}

option! {
    /// Keep what the guest writes to disks in temporary files, not in the images
    Snapshot: "snapshot", |draft| { draft.config.snapshot = true; }
}
