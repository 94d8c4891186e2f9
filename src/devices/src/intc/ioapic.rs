//! I/O advanced programmable interrupt controller (Intel 82093AA, order number 290566), with the
//! EOI register of its successors (version 20h; Intel I/O Controller Hub datasheets, order number
//! 290655, section 8.5).
//!
//! An interrupt is a message: a write of four bytes to the local APICs' addresses, in the format
//! of message-signalled interrupts (Intel 64 and IA-32 Architectures Software Developer's Manual,
//! volume 3, 11.11). Who owns the local APICs tells the ends of level interrupts by writing the
//! vector to EOI.
//!
//! A high input is an asserted interrupt, whatever INTPOL says: it tells about voltages, which are
//! not modelled. Left out: the arbitration of the APIC bus, which machines with messages have not;
//! delivery status is therefore always idle.

use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Event, PinDecl, Reset, Services, State, Width, Window, WindowDecl, check_register_read, check_register_write,
    field, registers, with_field,
};

registers! {
    /// Registers in memory.
    REGISTERS: u32;

    /// Number of the register that IOWIN is.
    0x00 IOREGSEL rw { 7:0 INDEX }
    0x10 IOWIN rw
    /// Ends the level interrupts with this vector.
    0x40 EOIR wo { 7:0 VECTOR }
}

registers! {
    /// Registers behind IOWIN, by four times their number in IOREGSEL. The low half of an entry of
    /// the redirection table is the even one of its two.
    INDIRECT: u32;

    0x00 IOAPICID rw { 27:24 ID }
    /// The highest entry's number is MRE.
    0x04 IOAPICVER ro = 0x0017_0020 { 7:0 VERSION, 23:16 MRE }
    0x08 IOAPICARB ro { 27:24 ARBITRATION }
    0x40 REDTBL[24] rw u64 = 0x10000 {
        7:0 INTVEC, 10:8 DELMOD, 11 DESTMOD, 12 DELIVS ro, 13 INTPOL, 14 REMOTE_IRR ro, 15 TRIGGER, 16 MASK, 63:56 DEST
    }
}

const PINS: usize = REDTBL_COUNT as usize;
const TABLE_END: u64 = REDTBL + 8 * REDTBL_COUNT;
/// Bits of an entry that the guest can write.
const WRITABLE: u64 = REDTBL_INTVEC | REDTBL_DELMOD | REDTBL_DESTMOD | REDTBL_INTPOL | REDTBL_TRIGGER | REDTBL_MASK | REDTBL_DEST;

/// Where local APICs take messages.
const MESSAGES: u64 = 0xfee0_0000;
/// Place of the destination in a message's address, and the bit for logical destinations.
const DESTINATION: u32 = 12;
const LOGICAL: u64 = 1 << 2;
/// Bits of a message's data.
const ASSERT: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;

/// DELMOD of interrupts that a level can bring: fixed and lowest priority.
const LOWEST_PRIORITY: u64 = 1;

#[derive(State)]
#[state(version = 1)]
struct IoApic {
    select: u8,
    id: u32,
    /// Levels of the inputs.
    lines: u32,
    #[state(reset = [REDTBL_RESET; PINS])]
    entries: [u64; PINS],
}

impl IoApic {
    fn new() -> IoApic {
        IoApic { select: 0, id: 0, lines: 0, entries: [REDTBL_RESET; PINS] }
    }

    /// Is the entry's interrupt a level? Only fixed and lowest-priority ones can be.
    fn is_level(entry: u64) -> bool {
        entry & REDTBL_TRIGGER != 0 && field(entry, REDTBL_DELMOD) <= LOWEST_PRIORITY
    }

    /// Sends the message of an entry.
    fn send(&mut self, cx: &mut dyn Services, pin: usize) {
        let Some(entry) = self.entries.get_mut(pin) else { return };
        let level = IoApic::is_level(*entry);
        if level {
            *entry |= REDTBL_REMOTE_IRR;
        }
        let logical = if *entry & REDTBL_DESTMOD != 0 { LOGICAL } else { 0 };
        let address = MESSAGES | field(*entry, REDTBL_DEST) << DESTINATION | logical;
        let data = *entry & (REDTBL_INTVEC | REDTBL_DELMOD) | if level { LEVEL | ASSERT } else { 0 };
        if cx.dma_store(address, Width::B4, data).is_err() {
            cx.guest_error(format_args!("the interrupt of input {pin} has no destination: nothing answers at {address:#x}"));
        }
    }

    /// Sends the message of a level that is asserted and was not told of.
    fn update(&mut self, cx: &mut dyn Services, pin: usize) {
        let Some(entry) = self.entries.get(pin).copied() else { return };
        let waits = self.lines >> pin & 1 != 0 && entry & (REDTBL_MASK | REDTBL_REMOTE_IRR) == 0;
        if waits && IoApic::is_level(entry) {
            self.send(cx, pin);
        }
    }

    fn set_line(&mut self, cx: &mut dyn Services, pin: usize, level: bool) {
        let rises = level && self.lines >> pin & 1 == 0;
        self.lines = self.lines & !(1 << pin) | u32::from(level) << pin;
        let Some(entry) = self.entries.get(pin).copied() else { return };
        // An edge at a masked input is lost.
        if rises && !IoApic::is_level(entry) && entry & REDTBL_MASK == 0 {
            self.send(cx, pin);
        }
        self.update(cx, pin);
    }

    fn end_of_interrupt(&mut self, cx: &mut dyn Services, vector: u64) {
        for pin in 0..PINS {
            let entry = &mut self.entries[pin];
            if *entry & REDTBL_INTVEC == vector && IoApic::is_level(*entry) {
                *entry &= !REDTBL_REMOTE_IRR;
                self.update(cx, pin);
            }
        }
    }

    /// The register in IOWIN, as [`INDIRECT`] has it.
    fn selected(&self) -> u64 {
        4 * u64::from(self.select)
    }

    fn read_selected(&self, cx: &mut dyn Services) -> u64 {
        match self.selected() {
            at @ REDTBL..TABLE_END => self.entries[((at - REDTBL) / 8) as usize] >> (8 * (at & 4)) & Width::B4.mask(),
            // The identity is the priority of the first arbitration.
            IOAPICID | IOAPICARB => self.id.into(),
            IOAPICVER => IOAPICVER_RESET,
            at => {
                check_register_read(cx, INDIRECT, at);
                0
            }
        }
    }

    fn write_selected(&mut self, cx: &mut dyn Services, value: u64) {
        match self.selected() {
            at @ REDTBL..TABLE_END => self.write_entry(cx, ((at - REDTBL) / 8) as usize, at & 4 != 0, value),
            IOAPICID => self.id = (value & IOAPICID_ID) as u32,
            at => check_register_write(cx, INDIRECT, at, value),
        }
    }

    fn write_entry(&mut self, cx: &mut dyn Services, pin: usize, high: bool, value: u64) {
        let Some(entry) = self.entries.get_mut(pin) else { return };
        let half = if high { u64::MAX << 32 } else { Width::B4.mask() };
        let new = with_field(*entry, half, value);
        *entry = *entry & !WRITABLE | new & WRITABLE;
        if !IoApic::is_level(*entry) {
            // Nothing would end it. Operating systems make an entry an edge for a moment to this end.
            *entry &= !REDTBL_REMOTE_IRR;
        }
        self.update(cx, pin);
    }
}

impl Device for IoApic {
    fn read(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width) -> Result<u64, BusFault> {
        Ok(match at {
            IOREGSEL => self.select.into(),
            IOWIN => self.read_selected(cx),
            _ => {
                check_register_read(cx, REGISTERS, at);
                0
            }
        })
    }

    fn write(&mut self, cx: &mut dyn Services, _: Window, at: u64, _: Width, value: u64) -> Result<(), BusFault> {
        match at {
            IOREGSEL => self.select = value as u8,
            IOWIN => self.write_selected(cx, value),
            EOIR => self.end_of_interrupt(cx, value & EOIR_VECTOR),
            _ => check_register_write(cx, REGISTERS, at, value),
        }
        Ok(())
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        if let Event::Pin { pin: pin @ 0..PINS, level } = event {
            self.set_line(cx, pin, level);
        }
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        // Inputs that are high will be told of afterwards.
        self.reset_state();
    }
}

/// The device type.
pub static IOAPIC: DeviceType = DeviceType {
    windows: &[WindowDecl::mmio("regs", 0x1000, AccessRule::WORD)],
    inputs: &[PinDecl::many("irq", PINS)],
    registers: &[REGISTERS],
    ..DeviceType::new("ioapic", "I/O interrupt controller that sends messages (Intel 82093AA)", |_| Ok(Box::new(IoApic::new())))
};

#[cfg(test)]
#[path = "ioapic_tests.rs"]
mod tests;
