//! Host bridge of personal computers (Intel 82441FX, order number 290549): configuration
//! mechanism #1 at ports cf8h and cfch, and the memory behind ROMs (shadow RAM).
//!
//! Memory from c0000h to fffffh is the bridge's own here, in segments that its programmable
//! attributes open for reads and writes; what is closed leaves its addresses to what the board has
//! there. Main memory is the board's.
//!
//! Left out, and reported: SMRAM, segments that are open for writes only, the DRAM hole. DRAM rows,
//! timing and error checking are storage.

use std::sync::Arc;

use proteus_model::ram::Region;
use proteus_model::{
    AccessRule, Bus, BusFault, Device, DeviceType, Direct, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, RegAccess, Reset, Services, State,
    Width, Window, WindowDecl, check_register_write, registers,
};

use super::{CONFIG, Function, Header};

registers! {
    /// Configuration space after its header, by bytes.
    CONFIG_BYTES: u8;

    0x50 PMCCFG0 rw
    0x51 PMCCFG1 rw
    /// DRAM timing.
    0x53 DETURBO rw
    0x54 DBC rw
    0x55 AXC rw
    0x57 DRT rw
    /// Of the DRAM; there is no hole.
    0x58 DRAMC rw = 0x01 { 7:6 HOLE: unmodelled, 5:0 REFRESH }
    /// Programmable attributes of two segments each, PAM0's LOW not there.
    0x59 PAM0 rw { 5 WE_HIGH, 4 RE_HIGH }
    0x5a PAM[6] rw { 5 WE_HIGH, 4 RE_HIGH, 1 WE_LOW, 0 RE_LOW }
    /// Boundaries of the DRAM's rows.
    0x60 DRB[8] rw = 0x01
    0x68 FDHC rw: unmodelled
    0x70 MTT rw
    0x71 CLT rw = 0x10
    0x72 SMRAM rw = 0x02 { 6 D_OPEN: unmodelled, 5 D_CLS, 4 D_LCK, 3 G_SMRAME: unmodelled, 2:0 C_BASE_SEG ro }
    0x90 ERRCMD rw
    0x91 ERRSTS ro
    /// Turbo and reset control: the board has that of its south bridge.
    0x93 TRC rw
}

registers! {
    /// Configuration mechanism #1: address.
    ADDRESS_PORT: u32;

    /// Accesses of 32 bits only.
    0 CONFADD rw { 31 ENABLE, 23:16 BUS, 15:11 DEVICE, 10:8 FUNCTION, 7:2 REGISTER }
}

registers! {
    /// Configuration mechanism #1: data.
    DATA_PORT: u32;

    0 CONFDATA rw
}

static HEADER: Header = Header::new(0x8086, 0x1237, 2, 0x06_0000);

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
/// In the upper byte of the status: a cycle of the bridge was answered by nobody.
const MASTER_ABORT: u8 = 1 << 5;

const CONFIG_WINDOW: Window = Window(0);
const ADDRESS_WINDOW: Window = Window(1);
const DATA_WINDOW: Window = Window(2);
/// Window of the first segment; the others follow.
const FIRST_SEGMENT: usize = 3;

/// Address and length of the segments, PAM0's last.
const SEGMENT: u64 = 0x4000;
const BIOS: u64 = 0x1_0000;
const SHADOW: u64 = 0xc_0000;
const SEGMENTS: usize = 13;

const fn segment_address(n: usize) -> u64 {
    SHADOW + n as u64 * SEGMENT
}

const fn segment_len(n: usize) -> u64 {
    if n + 1 == SEGMENTS { BIOS } else { SEGMENT }
}

#[derive(State)]
#[state(version = 1)]
struct I440Fx {
    function: Function,
    confadd: u32,
    /// Memory of the segments.
    #[state(skip)]
    memory: Vec<Arc<Region>>,
    /// Where narrow accesses of CONFADD's ports go.
    #[state(skip)]
    narrow: u64,
    /// Attributes of the segments as they are placed, once they are.
    placed: [Option<u8>; SEGMENTS],
}

impl I440Fx {
    fn new(props: &Props) -> Result<I440Fx, PropError> {
        let mut function = Function::new(&HEADER);
        // It is always there and always master.
        for (at, value, writable) in [(COMMAND, 0x06, 0x40), (COMMAND + 1, 0, 1), (STATUS, 0x80, 0), (STATUS + 1, 0x02, 0)] {
            function.preset(at, value);
            function.set_writable(at, writable);
        }
        for r in CONFIG_BYTES {
            for at in (r.offset..).take(r.count as usize) {
                function.preset(at as usize, r.reset as u8);
                function.set_writable(at as usize, r.mask(RegAccess::ReadWrite) as u8);
            }
        }
        let segment = |n: usize| Region::new(&format!("shadow-{:x}", segment_address(n)), segment_len(n)).map_err(|e| props.refuse(e.to_string()));
        let memory = (0..SEGMENTS).map(segment).collect::<Result<_, _>>()?;
        Ok(I440Fx { function, confadd: 0, memory, narrow: props.u64("narrow-ports"), placed: [None; SEGMENTS] })
    }

    /// Attributes of a segment: [`PAM_RE_LOW`] and [`PAM_WE_LOW`].
    fn attributes(&self, n: usize) -> u8 {
        let (at, high) = if n + 1 == SEGMENTS { (PAM0, true) } else { (PAM + n as u64 / 2, n % 2 == 1) };
        let byte = self.function.byte(at as usize);
        (if high { byte >> 4 } else { byte }) & (PAM_RE_LOW | PAM_WE_LOW) as u8
    }

    fn write_config(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        for (byte, at) in value.to_le_bytes().into_iter().zip(at..).take(size.bytes() as usize) {
            if (0x40..0x100).contains(&at) && byte != self.function.byte(at as usize) {
                check_register_write(cx, CONFIG_BYTES, at, byte.into());
            }
        }
        self.function.write(cx, at, size, value);
        if (0..SEGMENTS).any(|n| self.attributes(n) == PAM_WE_LOW as u8) {
            cx.unimplemented(format_args!("shadow RAM that is open for writes only"));
        }
    }

    /// Where a configuration cycle goes; `None` if there is none.
    fn target(&self, lane: u64) -> Option<u64> {
        let address = u64::from(self.confadd);
        let device = address & (CONFADD_BUS | CONFADD_DEVICE | CONFADD_FUNCTION);
        (address & CONFADD_ENABLE != 0).then_some(device << 4 | address & CONFADD_REGISTER | lane)
    }

    /// A configuration cycle that nobody answers is a master abort: all ones are read.
    fn abort(&mut self) -> u64 {
        self.function.set_byte(STATUS + 1, self.function.byte(STATUS + 1) | MASTER_ABORT);
        u64::MAX
    }

    fn read_data(&mut self, cx: &mut dyn Services, lane: u64, size: Width) -> u64 {
        match self.target(lane) {
            None => u64::MAX,
            Some(at) if at < 0x1000 => self.function.read(at, size),
            Some(at) => cx.bus_read(Bus::PciConfig, at, size).unwrap_or_else(|_| self.abort()),
        }
    }

    fn write_data(&mut self, cx: &mut dyn Services, lane: u64, size: Width, value: u64) {
        match self.target(lane) {
            None => cx.guest_error(format_args!("write of {value:#x} to CONFDATA, which is not enabled")),
            Some(at) if at < 0x1000 => self.write_config(cx, at, size, value),
            Some(at) => {
                if cx.bus_write(Bus::PciConfig, at, size, value).is_err() {
                    self.abort();
                }
            }
        }
    }
}

impl Device for I440Fx {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        match (w, size) {
            (CONFIG_WINDOW, _) => Ok(self.function.read(at, size)),
            (ADDRESS_WINDOW, Width::B4) => Ok(self.confadd.into()),
            (ADDRESS_WINDOW, _) => cx.bus_read(Bus::Pio, self.narrow.wrapping_add(at), size),
            (DATA_WINDOW, _) => Ok(self.read_data(cx, at, size)),
            _ => Err(BusFault::Unmapped),
        }
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match (w, size) {
            (CONFIG_WINDOW, _) => self.write_config(cx, at, size, value),
            (ADDRESS_WINDOW, Width::B4) => {
                self.confadd = (value & (CONFADD_ENABLE | CONFADD_BUS | CONFADD_DEVICE | CONFADD_FUNCTION | CONFADD_REGISTER)) as u32;
            }
            (ADDRESS_WINDOW, _) => return cx.bus_write(Bus::Pio, self.narrow.wrapping_add(at), size, value),
            (DATA_WINDOW, _) => self.write_data(cx, at, size, value),
            // A segment that is open for reads only: the cycle goes to the bus, where ROM is.
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        for n in 0..SEGMENTS {
            let attributes = self.attributes(n);
            if self.placed[n] == Some(attributes) {
                continue;
            }
            self.placed[n] = Some(attributes);
            let window = Window(FIRST_SEGMENT + n);
            cx.set_direct(window, if u64::from(attributes) & PAM_WE_LOW == 0 { Direct::Reads } else { Direct::All });
            if cx.move_window(window, (attributes != 0).then_some(segment_address(n))).is_err() {
                cx.guest_error(format_args!("shadow RAM at {:#x} lies over something else", segment_address(n)));
            }
        }
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }

    fn backing(&self, w: Window) -> Option<Arc<Region>> {
        self.memory.get(w.0.checked_sub(FIRST_SEGMENT)?).cloned()
    }
}

/// A segment's window, above the ROM that the board may have there.
const fn segment(name: &'static str, n: usize) -> WindowDecl {
    WindowDecl { priority: 1, ..WindowDecl::mmio(name, segment_len(n), AccessRule::ANY) }
}

/// The device type.
pub static I440FX: DeviceType = DeviceType {
    properties: &[PropertyDecl {
        name: "narrow-ports",
        kind: PropertyKind::U64,
        default: PropertyDefault::U64(0x1_0000_0cf8),
        doc: "I/O address that stands for port cf8h in accesses of less than 32 bits; the reset control register is there",
    }],
    windows: &[
        CONFIG,
        WindowDecl::pio("address", 4, AccessRule::new(Width::B1, Width::B4)),
        WindowDecl::pio("data", 4, AccessRule::new(Width::B1, Width::B4)),
        segment("c0000", 0),
        segment("c4000", 1),
        segment("c8000", 2),
        segment("cc000", 3),
        segment("d0000", 4),
        segment("d4000", 5),
        segment("d8000", 6),
        segment("dc000", 7),
        segment("e0000", 8),
        segment("e4000", 9),
        segment("e8000", 10),
        segment("ec000", 11),
        segment("f0000", 12),
    ],
    registers: &[CONFIG_BYTES, ADDRESS_PORT, DATA_PORT],
    ..DeviceType::new("i440FX", "Host bridge of personal computers (Intel 82441FX)", |props| Ok(Box::new(I440Fx::new(props)?)))
};

#[cfg(test)]
#[path = "i440fx_tests.rs"]
mod tests;
