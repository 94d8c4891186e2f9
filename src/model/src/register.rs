//! Register tables: what `registers!` makes, and what is done with it.

use crate::device::Services;
use crate::types::Width;

/// Access rights of a register or field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegAccess {
    /// Reads give what was written.
    ReadWrite,
    /// Writes are ignored.
    ReadOnly,
    /// Reads give zero.
    WriteOnly,
    /// Writing a one clears the bit.
    Write1ToClear,
    /// Writing a one sets the bit.
    Write1ToSet,
    /// Must be written as it reads; here writes are ignored.
    Reserved,
}

/// A field of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldInfo {
    /// Name in the datasheet.
    pub name: &'static str,
    /// Number of its lowest bit.
    pub lsb: u32,
    /// Number of its bits.
    pub bits: u32,
    /// Access rights.
    pub access: RegAccess,
    /// Does the model do what the datasheet says about it? If not, setting it is reported.
    pub modelled: bool,
    /// Doc comment.
    pub doc: &'static str,
}

impl FieldInfo {
    /// The field's bits.
    pub const fn mask(&self) -> u64 {
        (u64::MAX >> (64 - self.bits)) << self.lsb
    }
}

/// A register, or an array of equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterInfo {
    /// Name in the datasheet.
    pub name: &'static str,
    /// Offset in its window.
    pub offset: u64,
    /// Width.
    pub width: Width,
    /// Number of equal registers (1 for a single one).
    pub count: u64,
    /// Distance from one to the next, in bytes.
    pub stride: u64,
    /// Access rights where no field says otherwise.
    pub access: RegAccess,
    /// Value after reset.
    pub reset: u64,
    /// Is it modelled at all? If not, every access to it is reported.
    pub modelled: bool,
    /// Fields; empty if the register is one whole value.
    pub fields: &'static [FieldInfo],
    /// Doc comment.
    pub doc: &'static str,
}

impl RegisterInfo {
    /// Bits with these access rights. Bits outside all fields are reserved if there are fields.
    pub const fn mask(&self, access: RegAccess) -> u64 {
        if self.fields.is_empty() {
            return if self.access as u8 == access as u8 { self.width.mask() } else { 0 };
        }
        let (mut mask, mut all, mut i) = (0, 0, 0);
        while i < self.fields.len() {
            let field = &self.fields[i];
            all |= field.mask();
            if field.access as u8 == access as u8 {
                mask |= field.mask();
            }
            i += 1;
        }
        if access as u8 == RegAccess::Reserved as u8 {
            mask |= self.width.mask() & !all;
        }
        mask
    }

    /// What the register holds after `value` is written over `old`.
    pub const fn write(&self, old: u64, value: u64) -> u64 {
        let stored = self.mask(RegAccess::ReadWrite) | self.mask(RegAccess::WriteOnly);
        let cleared = self.mask(RegAccess::Write1ToClear) & value;
        let set = self.mask(RegAccess::Write1ToSet) & value;
        ((old & !stored) | (value & stored)) & !cleared | set
    }

    /// Does a write do anything?
    pub const fn writable(&self) -> bool {
        self.mask(RegAccess::ReadOnly) | self.mask(RegAccess::Reserved) != self.width.mask()
    }

    /// What a guest reads when the register holds `value`.
    pub const fn read(&self, value: u64) -> u64 {
        value & !self.mask(RegAccess::WriteOnly) & !self.mask(RegAccess::Reserved)
    }

    /// Does a register of this row start at `offset`? Gives its index in the array.
    pub const fn index_of(&self, offset: u64) -> Option<u64> {
        if offset < self.offset {
            return None;
        }
        let (index, rest) = ((offset - self.offset) / self.stride, (offset - self.offset) % self.stride);
        if rest == 0 && index < self.count { Some(index) } else { None }
    }
}

/// The register that starts at `offset`, and its index if it is one of an array.
pub fn find_register(table: &'static [RegisterInfo], offset: u64) -> Option<(&'static RegisterInfo, u64)> {
    table.iter().find_map(|r| r.index_of(offset).map(|i| (r, i)))
}

/// Reports what is wrong with a guest's write: no such register, a read-only one, or fields set
/// that are not modelled.
pub fn check_register_write(cx: &mut dyn Services, table: &'static [RegisterInfo], offset: u64, value: u64) {
    // A read-only and a write-only register may share an offset.
    let mut at_offset = table.iter().filter(|r| r.index_of(offset).is_some());
    let Some(reg) = at_offset.clone().find(|r| r.writable()).or_else(|| at_offset.next()) else {
        cx.guest_error(format_args!("write of {value:#x} to offset {offset:#x}, where no register is"));
        return;
    };
    if !reg.modelled {
        cx.unimplemented(format_args!("write of {value:#x} to {}", reg.name));
    } else if !reg.writable() {
        cx.guest_error(format_args!("write of {value:#x} to read-only {}", reg.name));
    }
    for f in reg.fields {
        if !f.modelled && value & f.mask() != reg.reset & f.mask() {
            cx.unimplemented(format_args!("{}.{} written as {:#x}", reg.name, f.name, field(value, f.mask())));
        }
    }
}

/// Reports what is wrong with a guest's read: no such register, a write-only one, or one that is
/// not modelled.
pub fn check_register_read(cx: &mut dyn Services, table: &'static [RegisterInfo], offset: u64) {
    let mut found = table.iter().filter(|r| r.index_of(offset).is_some()).peekable();
    let Some(reg) = found.peek().copied() else {
        cx.guest_error(format_args!("read at offset {offset:#x}, where no register is"));
        return;
    };
    if !reg.modelled {
        cx.unimplemented(format_args!("read of {}", reg.name));
    } else if found.all(|r| r.read(u64::MAX) == 0) {
        cx.guest_error(format_args!("read of write-only {}", reg.name));
    }
}

/// The value of the field that `mask` covers.
#[inline]
pub const fn field(value: u64, mask: u64) -> u64 {
    if mask == 0 { 0 } else { (value & mask) >> mask.trailing_zeros() }
}

/// `value` with the field that `mask` covers set to `to`, cut to the field.
#[inline]
pub const fn with_field(value: u64, mask: u64, to: u64) -> u64 {
    if mask == 0 { value } else { (value & !mask) | ((to << mask.trailing_zeros()) & mask) }
}
