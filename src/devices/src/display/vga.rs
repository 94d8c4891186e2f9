//! QEMU's standard graphics card (docs/specs/standard-vga): a VGA (IBM "Personal System/2 Hardware
//! Interface Technical Reference", video subsystem) with the linear modes of the Bochs display
//! interface.
//!
//! The planes of the VGA are interleaved: plane `p` of address `n` is byte `4n + p` of the video
//! memory, of which base address register 0 has all bytes in order.
//!
//! Left out: interrupts at the vertical retrace, split screens, EDID (the display tells nothing of
//! itself), the function's power over the ports of the VGA and a0000h, which always answer, the exact timing of the retrace, which comes 60 times a second in all modes.

use std::sync::Arc;

use proteus_model::ram::Region;
use proteus_model::{
    AccessRule, BusFault, Device, DeviceType, Direct, Picture, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Reset, Services, State, Width,
    Window, WindowDecl, WindowSize, check_register_read, check_register_write, registers,
};

use crate::pci::{Bar, BarKind, CONFIG, Function, Header};

registers! {
    /// Ports from 3c0h on.
    PORTS: u8;

    0x0 ATTRIBUTE rw
    0x1 ATTRIBUTE_READ ro
    0x2 STATUS0 ro
    0x2 MISC wo { 0 COLOR, 1 RAM, 3:2 CLOCK, 5 PAGE, 7:6 POLARITY }
    0x4 SEQUENCER_INDEX rw
    0x5 SEQUENCER rw
    0x6 DAC_MASK rw = 0xff
    0x7 DAC_STATE ro
    0x7 DAC_READ wo
    0x8 DAC_WRITE rw
    0x9 DAC_DATA rw
    0xa FEATURE_READ ro
    0xc MISC_READ ro
    0xe GRAPHICS_INDEX rw
    0xf GRAPHICS rw
}

registers! {
    /// Ports from 3b4h (monochrome) or 3d4h (color) on.
    CRTC_PORTS: u8;

    0x0 CRTC_INDEX rw
    0x1 CRTC rw
    0x6 STATUS1 ro { 0 BLANK, 3 RETRACE }
    0x6 FEATURE wo
}

registers! {
    /// Registers of the Bochs display interface, by twice their number.
    pub(super) DISPI: u16;

    0x00 DISPI_ID rw = 0xb0c5
    0x02 XRES rw
    0x04 YRES rw
    0x06 BPP rw
    0x08 ENABLE rw { 0 ENABLED, 1 GETCAPS, 5 DAC8, 6 LINEAR, 7 NOCLEAR }
    0x0a BANK rw
    0x0c VIRT_WIDTH rw
    0x0e VIRT_HEIGHT rw
    0x10 X_OFFSET rw
    0x12 Y_OFFSET rw
    /// Video memory in units of 64 KiB.
    0x14 MEMORY ro
}

const VRAM_LEN: u64 = 16 << 20;
const LEGACY_LEN: u64 = 0x2_0000;
/// Most pixels in a line and lines.
const MAX_XRES: u16 = 2560;
const MAX_YRES: u16 = 1600;
const MAX_BPP: u16 = 32;
/// Bank of 64 KiB at a0000h.
const BANK_SHIFT: u32 = 16;
/// ID of the oldest interface that this is compatible with.
const OLDEST: u16 = 0xb0c0;

/// Frames in a second, and lines of one, of which the last are the retrace.
const FRAME_NS: u64 = 16_666_667;
const LINES: u64 = 525;
const RETRACE_LINES: u64 = 45;

const COMMAND: usize = 0x04;
/// I/O, memory, master, parity.
const COMMAND_WRITABLE: u8 = 0x47;

const CONFIG_WINDOW: Window = Window(0);
const PORTS_WINDOW: Window = Window(1);
const MONO_WINDOW: Window = Window(2);
const COLOR_WINDOW: Window = Window(3);
const DISPI_WINDOW: Window = Window(4);
const LEGACY_WINDOW: Window = Window(5);
const VRAM_WINDOW: Window = Window(6);
const MMIO_WINDOW: Window = Window(7);
const ROM_WINDOW: Window = Window(8);

/// In window "mmio": the ports from 3c0h on, and the display interface.
const MMIO_PORTS: u64 = 0x400;
const MMIO_DISPI: u64 = 0x500;

static HEADER: Header = Header {
    subsystem_vendor: 0x1af4,
    subsystem: 0x1100,
    bars: &[
        Bar { index: 0, window: VRAM_WINDOW, size: VRAM_LEN, kind: BarKind::Memory32Prefetch },
        Bar { index: 2, window: MMIO_WINDOW, size: 0x1000, kind: BarKind::Memory32 },
    ],
    ..Header::new(0x1234, 0x1111, 2, 0x03_0000)
};

/// Registers and palette, as far as pictures are made of them.
#[derive(State)]
pub(super) struct Registers {
    pub misc: u8,
    pub sequencer: [u8; 8],
    pub graphics: [u8; 16],
    pub crtc: [u8; 32],
    pub attribute: [u8; 32],
    /// Attributes are not shown while software sets the palette.
    pub shown: bool,
    pub palette: [[u8; 3]; 256],
    pub dispi: [u16; 11],
}

impl Registers {
    fn new() -> Registers {
        Registers { misc: 0, sequencer: [0; 8], graphics: [0; 16], crtc: [0; 32], attribute: [0; 32], shown: false, palette: [[0; 3]; 256], dispi: [0; 11] }
    }

    pub fn dispi(&self, at: u64) -> u16 {
        self.dispi.get((at / 2) as usize).copied().unwrap_or(0)
    }

    pub fn linear(&self) -> bool {
        u64::from(self.dispi(ENABLE)) & ENABLE_ENABLED != 0
    }
}

#[derive(State)]
#[state(version = 1)]
struct Vga {
    function: Function,
    r: Registers,
    sequencer_index: u8,
    graphics_index: u8,
    crtc_index: u8,
    attribute_index: u8,
    /// The next write of ATTRIBUTE is data.
    attribute_data: bool,
    dac_mask: u8,
    dac_index: u8,
    /// Which of the three colors comes next, and those before it.
    dac_part: u8,
    dac_latch: [u8; 3],
    dac_reading: bool,
    dispi_index: u16,
    latch: [u8; 4],
    #[state(skip)]
    vram: Arc<Region>,
    #[state(skip)]
    rom: Option<Arc<Region>>,
}

impl Vga {
    fn new(props: &Props) -> Result<Vga, PropError> {
        let refuse = |e: &dyn std::fmt::Display| props.refuse(e.to_string());
        let mut function = Function::new(&HEADER);
        let vram = Region::new("vga.vram", VRAM_LEN).map_err(|e| refuse(&e))?;
        // It has the ports of a VGA, though no base address register tells of them.
        function.set_writable(COMMAND, COMMAND_WRITABLE);
        let mut rom = None;
        if let Some((_, bytes)) = props.blobs("rom").first() {
            let region = Region::new("vga.rom", rom_len(props)).map_err(|e| refuse(&e))?;
            region.write(0, bytes).map_err(|e| refuse(&e))?;
            function.set_rom(ROM_WINDOW, region.len());
            rom = Some(region);
        }
        let mut vga = Vga {
            function,
            r: Registers::new(),
            sequencer_index: 0,
            graphics_index: 0,
            crtc_index: 0,
            attribute_index: 0,
            attribute_data: false,
            dac_mask: 0xff,
            dac_index: 0,
            dac_part: 0,
            dac_latch: [0; 3],
            dac_reading: false,
            dispi_index: 0,
            latch: [0; 4],
            vram,
            rom,
        };
        vga.initial();
        Ok(vga)
    }

    fn initial(&mut self) {
        self.dac_mask = 0xff;
        self.r.dispi[0] = DISPI_ID_RESET as u16;
        self.r.dispi[(MEMORY / 2) as usize] = (VRAM_LEN >> BANK_SHIFT) as u16;
    }

    fn byte(&self, at: u64) -> u8 {
        self.vram.load(at & (VRAM_LEN - 1), 1).unwrap_or(0) as u8
    }

    fn set_byte(&self, at: u64, value: u8) {
        let _ = self.vram.store(at & (VRAM_LEN - 1), 1, value.into());
    }

    /// The address in video memory of an offset from a0000h, as GRAPHICS 6 maps it.
    fn mapped(&self, at: u64) -> Option<u64> {
        let (first, len) = match self.r.graphics[6] >> 2 & 3 {
            0 => (0, 0x2_0000),
            1 => (0, 0x1_0000),
            2 => (0x1_0000, 0x8000),
            _ => (0x1_8000, 0x8000),
        };
        let at = at.checked_sub(first).filter(|at| *at < len)?;
        if self.r.linear() && first == 0 { Some(u64::from(self.r.dispi(BANK)) << BANK_SHIFT | at & 0xffff) } else { Some(at) }
    }

    fn chained(&self) -> bool {
        self.r.sequencer[4] & 8 != 0 || self.r.linear()
    }

    fn odd_even(&self) -> bool {
        self.r.graphics[5] & 0x10 != 0
    }

    fn read_legacy(&mut self, at: u64) -> u8 {
        let Some(at) = self.mapped(at) else { return 0xff };
        if self.chained() {
            return self.byte(at);
        }
        let g = &self.r.graphics;
        if self.odd_even() {
            return self.byte((at & !1) << 1 | u64::from(g[4] & 2) | at & 1);
        }
        self.latch = std::array::from_fn(|plane| self.byte(4 * at + plane as u64));
        if g[5] & 8 == 0 {
            return self.latch[usize::from(g[4] & 3)];
        }
        // Bits whose color is the one to compare with, in the planes that count.
        (0..4).filter(|plane| g[7] >> plane & 1 != 0).fold(0xff, |same, plane| {
            let wanted = if g[2] >> plane & 1 != 0 { 0xff } else { 0 };
            same & !(self.latch[plane] ^ wanted)
        })
    }

    fn write_legacy(&mut self, at: u64, value: u8) {
        let Some(at) = self.mapped(at) else { return };
        let planes = self.r.sequencer[2];
        if self.r.linear() {
            self.set_byte(at, value);
        } else if self.chained() {
            if planes >> (at & 3) & 1 != 0 {
                self.set_byte(at, value);
            }
        } else if self.odd_even() {
            if planes >> (at & 1) & 1 != 0 {
                self.set_byte((at & !1) << 1 | at & 1, value);
            }
        } else {
            self.write_planes(at, value, planes);
        }
    }

    /// A write by the graphics controller's modes.
    fn write_planes(&mut self, at: u64, value: u8, planes: u8) {
        let g = self.r.graphics;
        let rotated = value.rotate_right(u32::from(g[3] & 7));
        for plane in 0..4 {
            let fill = |on: bool| if on { 0xff } else { 0 };
            let set = fill(g[0] >> plane & 1 != 0);
            let (data, mask) = match g[5] & 3 {
                0 => (if g[1] >> plane & 1 != 0 { set } else { rotated }, g[8]),
                1 => (self.latch[plane], 0xff),
                2 => (fill(value >> plane & 1 != 0), g[8]),
                _ => (set, rotated & g[8]),
            };
            let latch = self.latch[plane];
            let combined = match (g[5] & 3, g[3] >> 3 & 3) {
                (1, _) | (_, 0) => data,
                (_, 1) => data & latch,
                (_, 2) => data | latch,
                _ => data ^ latch,
            };
            if planes >> plane & 1 != 0 {
                self.set_byte(4 * at + plane as u64, combined & mask | latch & !mask);
            }
        }
    }

    fn read_port(&mut self, cx: &mut dyn Services, at: u64) -> u8 {
        match at {
            ATTRIBUTE => self.attribute_index | u8::from(self.r.shown) << 5,
            ATTRIBUTE_READ => self.r.attribute[usize::from(self.attribute_index & 31)],
            STATUS0 | FEATURE_READ => 0,
            SEQUENCER_INDEX => self.sequencer_index,
            SEQUENCER => self.r.sequencer[usize::from(self.sequencer_index & 7)],
            DAC_MASK => self.dac_mask,
            DAC_STATE => {
                if self.dac_reading {
                    3
                } else {
                    0
                }
            }
            DAC_WRITE => self.dac_index,
            DAC_DATA => {
                let value = self.r.palette[usize::from(self.dac_index)][usize::from(self.dac_part % 3)];
                self.next_part();
                value
            }
            MISC_READ => self.r.misc,
            GRAPHICS_INDEX => self.graphics_index,
            GRAPHICS => self.r.graphics[usize::from(self.graphics_index & 15)],
            _ => {
                check_register_read(cx, PORTS, at);
                0
            }
        }
    }

    fn next_part(&mut self) {
        self.dac_part += 1;
        if self.dac_part >= 3 {
            self.dac_part = 0;
            self.dac_index = self.dac_index.wrapping_add(1);
        }
    }

    fn write_port(&mut self, cx: &mut dyn Services, at: u64, value: u8) {
        match at {
            ATTRIBUTE if self.attribute_data => {
                self.attribute_data = false;
                self.r.attribute[usize::from(self.attribute_index & 31)] = value;
            }
            ATTRIBUTE => {
                self.attribute_data = true;
                self.attribute_index = value & 31;
                self.r.shown = value & 0x20 != 0;
            }
            MISC => self.r.misc = value,
            SEQUENCER_INDEX => self.sequencer_index = value & 7,
            SEQUENCER => self.r.sequencer[usize::from(self.sequencer_index & 7)] = value,
            DAC_MASK => self.dac_mask = value,
            DAC_READ | DAC_WRITE => (self.dac_index, self.dac_part, self.dac_reading) = (value, 0, at == DAC_READ),
            DAC_DATA => {
                self.dac_latch[usize::from(self.dac_part % 3)] = value;
                if self.dac_part == 2 {
                    self.r.palette[usize::from(self.dac_index)] = self.dac_latch;
                }
                self.next_part();
            }
            GRAPHICS_INDEX => self.graphics_index = value & 15,
            GRAPHICS => self.r.graphics[usize::from(self.graphics_index & 15)] = value,
            _ => check_register_write(cx, PORTS, at, value.into()),
        }
    }

    fn read_crtc(&mut self, cx: &mut dyn Services, at: u64) -> u8 {
        match at {
            CRTC_INDEX => self.crtc_index,
            CRTC => self.r.crtc[usize::from(self.crtc_index & 31)],
            STATUS1 => {
                self.attribute_data = false;
                let in_frame = cx.now() % FRAME_NS;
                let line = in_frame * LINES / FRAME_NS;
                let in_line = in_frame * LINES % FRAME_NS;
                let retrace = line >= LINES - RETRACE_LINES;
                let blank = retrace || in_line > FRAME_NS / 5 * 4;
                (if blank { STATUS1_BLANK } else { 0 } | if retrace { STATUS1_RETRACE } else { 0 }) as u8
            }
            _ => {
                check_register_read(cx, CRTC_PORTS, at);
                0xff
            }
        }
    }

    fn write_crtc(&mut self, cx: &mut dyn Services, at: u64, value: u8) {
        const LINE_COMPARE_8: u8 = 0x10;
        match at {
            CRTC_INDEX => self.crtc_index = value,
            // Registers 0 to 7 can be protected, but for a bit of one.
            CRTC => match self.crtc_index & 31 {
                7 if self.r.crtc[0x11] & 0x80 != 0 => self.r.crtc[7] = self.r.crtc[7] & !LINE_COMPARE_8 | value & LINE_COMPARE_8,
                0..=6 if self.r.crtc[0x11] & 0x80 != 0 => {}
                n => self.r.crtc[usize::from(n)] = value,
            },
            FEATURE => {}
            _ => check_register_write(cx, CRTC_PORTS, at, value.into()),
        }
    }

    fn read_dispi(&self, number: u64) -> u16 {
        let capabilities = u64::from(self.r.dispi(ENABLE)) & ENABLE_GETCAPS != 0;
        match 2 * number {
            XRES if capabilities => MAX_XRES,
            YRES if capabilities => MAX_YRES,
            BPP if capabilities => MAX_BPP,
            at => self.r.dispi(at),
        }
    }

    fn write_dispi(&mut self, cx: &mut dyn Services, number: u64, value: u16) {
        let at = 2 * number;
        let Some(place) = self.r.dispi.get_mut(number as usize) else {
            return cx.guest_error(format_args!("write of {value:#x} to register {number} of the display interface, which it has not"));
        };
        match at {
            DISPI_ID if (OLDEST..=DISPI_ID_RESET as u16).contains(&value) => *place = value,
            DISPI_ID | MEMORY | VIRT_HEIGHT => {}
            XRES => *place = value.min(MAX_XRES) & !7,
            YRES => *place = value.min(MAX_YRES),
            BPP if !matches!(value, 0 | 4 | 8 | 15 | 16 | 24 | 32) => cx.guest_error(format_args!("pixels of {value} bits")),
            BPP => *place = if value == 0 { 8 } else { value },
            BANK => *place = value & ((VRAM_LEN >> BANK_SHIFT) - 1) as u16,
            ENABLE => self.enable(cx, value),
            _ => *place = value,
        }
    }

    /// Writes ENABLE, which begins or ends a linear mode.
    fn enable(&mut self, cx: &mut dyn Services, value: u16) {
        let (old, new) = (u64::from(self.r.dispi(ENABLE)), u64::from(value));
        self.r.dispi[(ENABLE / 2) as usize] = value;
        if new & ENABLE_ENABLED == 0 || old & ENABLE_ENABLED != 0 {
            return;
        }
        let (width, height, bpp) = (self.r.dispi(XRES), self.r.dispi(YRES), self.r.dispi(BPP));
        let line = u64::from(width) * u64::from(bpp.div_ceil(8));
        if !matches!(bpp, 8 | 15 | 16 | 24 | 32) || width == 0 || height == 0 || line * u64::from(height) > VRAM_LEN {
            cx.guest_error(format_args!("mode of {width} by {height} pixels of {bpp} bits"));
            self.r.dispi[(ENABLE / 2) as usize] = value & !(ENABLE_ENABLED as u16);
            return;
        }
        for (at, value) in [(VIRT_WIDTH, width), (VIRT_HEIGHT, (VRAM_LEN / line).min(0xffff) as u16), (X_OFFSET, 0), (Y_OFFSET, 0), (BANK, 0)] {
            self.r.dispi[(at / 2) as usize] = value;
        }
        if new & ENABLE_NOCLEAR == 0 {
            let _ = self.vram.fill(0, line * u64::from(height), 0);
        }
    }

    /// The three ports from 1ceh on: the index is a word at the first; data is a word at the second,
    /// whose bytes come singly because its address is odd, or at the third.
    fn read_dispi_port(&self, at: u64, size: Width) -> u64 {
        let data = u64::from(self.read_dispi(self.dispi_index.into()));
        match (at, size) {
            (0, _) => self.dispi_index.into(),
            (2, Width::B1) => data >> 8,
            _ => data,
        }
    }

    fn write_dispi_port(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        let number = self.dispi_index.into();
        let old = self.r.dispi(2 * number);
        match (at, size) {
            (0, _) => self.dispi_index = value as u16,
            (_, Width::B2) => self.write_dispi(cx, number, value as u16),
            (1, _) => self.write_dispi(cx, number, old & 0xff00 | value as u16),
            _ => self.write_dispi(cx, number, old & 0xff | (value as u16) << 8),
        }
    }

    fn read_mmio(&mut self, cx: &mut dyn Services, at: u64, size: Width) -> u64 {
        match at {
            MMIO_PORTS..0x410 => self.read_port(cx, at - MMIO_PORTS).into(),
            0x414..0x420 => self.read_crtc(cx, at - 0x414).into(),
            MMIO_DISPI..0x516 if size == Width::B2 => self.read_dispi((at - MMIO_DISPI) / 2).into(),
            _ => 0,
        }
    }

    fn write_mmio(&mut self, cx: &mut dyn Services, at: u64, size: Width, value: u64) {
        match at {
            MMIO_PORTS..0x410 => self.write_port(cx, at - MMIO_PORTS, value as u8),
            0x414..0x420 => self.write_crtc(cx, at - 0x414, value as u8),
            MMIO_DISPI..0x516 if size == Width::B2 => self.write_dispi(cx, (at - MMIO_DISPI) / 2, value as u16),
            _ => cx.guest_error(format_args!("write of {value:#x} to memory-mapped register {at:#x}")),
        }
    }

    /// Does a window of the CRT controller answer? Which one does is a bit of MISC.
    fn selected(&self, w: Window) -> bool {
        (u64::from(self.r.misc) & MISC_COLOR != 0) == (w == COLOR_WINDOW)
    }
}

/// Length of the ROM's window.
fn rom_len(props: &Props) -> u64 {
    props.blobs("rom").first().map_or(0x1000, |(_, bytes)| (bytes.len() as u64).next_power_of_two().clamp(0x1000, 1 << 20))
}

impl Device for Vga {
    fn read(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width) -> Result<u64, BusFault> {
        Ok(match w {
            CONFIG_WINDOW => self.function.read(at, size),
            PORTS_WINDOW => self.read_port(cx, at).into(),
            MONO_WINDOW | COLOR_WINDOW if !self.selected(w) => 0xff,
            MONO_WINDOW | COLOR_WINDOW => self.read_crtc(cx, at).into(),
            DISPI_WINDOW => self.read_dispi_port(at, size),
            LEGACY_WINDOW => self.read_legacy(at).into(),
            MMIO_WINDOW => self.read_mmio(cx, at, size),
            _ => return Err(BusFault::Unmapped),
        })
    }

    fn write(&mut self, cx: &mut dyn Services, w: Window, at: u64, size: Width, value: u64) -> Result<(), BusFault> {
        match w {
            CONFIG_WINDOW => self.function.write(cx, at, size, value),
            PORTS_WINDOW => self.write_port(cx, at, value as u8),
            MONO_WINDOW | COLOR_WINDOW if !self.selected(w) => {}
            MONO_WINDOW | COLOR_WINDOW => self.write_crtc(cx, at, value as u8),
            DISPI_WINDOW => self.write_dispi_port(cx, at, size, value),
            LEGACY_WINDOW => self.write_legacy(at, value as u8),
            MMIO_WINDOW => self.write_mmio(cx, at, size, value),
            ROM_WINDOW => {}
            _ => return Err(BusFault::Unmapped),
        }
        Ok(())
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_direct(VRAM_WINDOW, Direct::All);
        cx.set_direct(ROM_WINDOW, Direct::Reads);
        self.function.settle(cx);
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
        self.initial();
    }

    fn backing(&self, w: Window) -> Option<Arc<Region>> {
        match w {
            VRAM_WINDOW => Some(self.vram.clone()),
            ROM_WINDOW => self.rom.clone(),
            _ => None,
        }
    }

    fn picture(&self) -> Option<Picture> {
        super::picture::render(&self.r, &self.vram)
    }
}

/// The device type. The board places the windows of ports, and the one at a0000h.
pub static VGA: DeviceType = DeviceType {
    properties: &[PropertyDecl { name: "rom", kind: PropertyKind::Blobs, default: PropertyDefault::None, doc: "Its BIOS, given by the board" }],
    windows: &[
        CONFIG,
        WindowDecl::pio("ports", 16, AccessRule::BYTE),
        WindowDecl::pio("mono", 8, AccessRule::BYTE),
        WindowDecl::pio("color", 8, AccessRule::BYTE),
        WindowDecl::pio("dispi", 4, AccessRule::new(Width::B1, Width::B2)),
        WindowDecl::mmio("legacy", LEGACY_LEN, AccessRule::BYTE),
        WindowDecl::mmio("vram", VRAM_LEN, AccessRule::ANY),
        WindowDecl::mmio("mmio", 0x1000, AccessRule::new(Width::B1, Width::B2)),
        WindowDecl { size: WindowSize::From(rom_len), ..WindowDecl::mmio("rom", 0x1000, AccessRule::ANY) },
    ],
    registers: &[&[], PORTS, CRTC_PORTS, CRTC_PORTS],
    ..DeviceType::new("VGA", "Standard graphics card", |props| Ok(Box::new(Vga::new(props)?)))
};

#[cfg(test)]
#[path = "vga_tests.rs"]
mod tests;
