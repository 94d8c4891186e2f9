use super::*;
use proteus_model::conformance::check;
use proteus_model::testing::Bench;

struct Card(Bench);

impl Card {
    fn new() -> Card {
        let card = Card(Bench::new(&VGA, &[]));
        card.out("ports", MISC, MISC_COLOR | MISC_RAM);
        card
    }

    fn out(&self, window: &str, at: u64, value: u64) {
        self.0.write(window, at, Width::B1, value).unwrap();
    }

    fn get(&self, window: &str, at: u64) -> u64 {
        self.0.read(window, at, Width::B1).unwrap()
    }

    fn sequencer(&self, n: u64, value: u64) {
        self.out("ports", SEQUENCER_INDEX, n);
        self.out("ports", SEQUENCER, value);
    }

    fn graphics(&self, n: u64, value: u64) {
        self.out("ports", GRAPHICS_INDEX, n);
        self.out("ports", GRAPHICS, value);
    }

    fn crtc(&self, n: u64, value: u64) {
        self.out("color", CRTC_INDEX, n);
        self.out("color", CRTC, value);
    }

    fn attribute(&self, n: u64, value: u64) {
        self.get("color", STATUS1);
        self.out("ports", ATTRIBUTE, n);
        self.out("ports", ATTRIBUTE, value);
    }

    fn color(&self, n: u64, rgb: [u64; 3]) {
        self.out("ports", DAC_WRITE, n);
        rgb.iter().for_each(|part| self.out("ports", DAC_DATA, *part));
    }

    fn dispi(&self, at: u64, value: u64) {
        self.0.write("dispi", 0, Width::B2, at / 2).unwrap();
        self.0.write("dispi", 1, Width::B2, value).unwrap();
    }

    fn dispi_value(&self, at: u64) -> u64 {
        self.0.write("dispi", 0, Width::B2, at / 2).unwrap();
        self.0.read("dispi", 1, Width::B2).unwrap()
    }

    fn vram(&self) -> Arc<Region> {
        self.0.machine.regions().iter().find(|r| r.name() == "vga.vram").unwrap().clone()
    }

    /// Colors 0 and 7 of the palette, black and white, and attributes that choose them.
    fn palette(&self) {
        self.color(0, [0; 3]);
        self.color(7, [63; 3]);
        for n in 0..16 {
            self.attribute(n, n);
        }
        self.get("color", STATUS1);
        self.out("ports", ATTRIBUTE, 0x20);
    }

    fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let picture = self.0.machine.picture(None).unwrap();
        let at = 3 * (y * picture.width + x) as usize;
        picture.rgb[at..at + 3].try_into().unwrap()
    }

    fn size(&self) -> Option<(u32, u32)> {
        self.0.machine.picture(Some(self.0.device)).map(|p| (p.width, p.height))
    }
}

#[test]
fn conforms() {
    check(&VGA).unwrap();
}

#[test]
fn it_is_the_card_that_drivers_look_for() {
    let c = Card::new();
    assert_eq!((c.0.read("config", 0, Width::B4), c.0.read("config", 8, Width::B4)), (Ok(0x1111_1234), Ok(0x0300_0002)));
    assert_eq!((c.dispi_value(DISPI_ID), c.dispi_value(MEMORY)), (0xb0c5, 256));
    // BIOSes take a card for a VGA whose ports and memory can be enabled.
    c.0.write("config", 4, Width::B2, 3).unwrap();
    assert_eq!(c.0.read("config", 4, Width::B2), Ok(3));
    c.dispi(ENABLE, ENABLE_GETCAPS);
    assert_eq!((c.dispi_value(XRES), c.dispi_value(YRES), c.dispi_value(BPP)), (2560, 1600, 32));
    c.0.enable_pci();
    assert_eq!(c.0.read("mmio", MMIO_DISPI, Width::B2), Ok(0xb0c5));
}

#[test]
fn a_rom_is_where_its_register_has_it() {
    let mut props = Props::new(&VGA);
    props.set("rom", proteus_model::Value::Blobs(vec![("bios".to_string(), vec![0x55, 0xaa, 3])].into())).unwrap();
    let mut b = proteus_model::MachineBuilder::new("m", 1);
    let id = b.device(&VGA, "vga", props).unwrap();
    b.place(id, "config", 0).unwrap();
    let m = b.build().unwrap();
    let core = proteus_model::CoreId(0);
    let write = |at: u64, value: u64| m.bus_write(core, proteus_model::Bus::PciConfig, at, Width::B4, value).unwrap();
    write(0x30, 0xffff_f800);
    assert_eq!(m.bus_read(core, proteus_model::Bus::PciConfig, 0x30, Width::B4), Ok(0xffff_f000));
    write(0x30, 0xfe00_0001);
    assert_eq!(m.read(core, 0xfe00_0000, Width::B1), Err(BusFault::Unmapped), "memory is not enabled");
    write(4, 2);
    assert_eq!((m.read(core, 0xfe00_0000, Width::B2), m.write(core, 0xfe00_0000, Width::B2, 0)), (Ok(0xaa55), Ok(())));
    assert_eq!(m.read(core, 0xfe00_0002, Width::B1), Ok(3));
    write(0x30, 0xfe00_0000);
    assert_eq!(m.read(core, 0xfe00_0000, Width::B1), Err(BusFault::Unmapped));
}

#[test]
fn text_is_shown_with_the_font_in_plane_2() {
    let c = Card::new();
    c.palette();
    // 80 columns, 400 lines, characters of 8 by 16, memory at b8000h in odd and even bytes.
    for (n, value) in [(1, 79), (7, 0x1f), (9, 15), (0xa, 0x20), (0x12, 0x8f), (0x13, 40)] {
        c.crtc(n, value);
    }
    c.sequencer(1, 1);
    c.sequencer(4, 2);
    c.graphics(5, 0x10);
    c.graphics(6, 0x0e);
    c.sequencer(2, 3);
    c.out("legacy", 0x1_8000 + 2 * 81, u64::from(b'A'));
    c.out("legacy", 0x1_8000 + 2 * 81 + 1, 0x07);
    assert_eq!((c.get("legacy", 0x1_8000 + 162), c.get("legacy", 0x1_8000 + 163)), (u64::from(b'A'), 7));
    // The font: line 3 of A has its leftmost dot.
    c.graphics(5, 0);
    c.graphics(6, 4);
    c.sequencer(2, 4);
    c.graphics(8, 0xff);
    c.out("legacy", 32 * u64::from(b'A') + 3, 0x80);
    c.graphics(6, 0x0e);
    assert_eq!((c.size(), c.pixel(8, 19), c.pixel(9, 19), c.pixel(8, 18)), (Some((640, 400)), [255; 3], [0; 3], [0; 3]));
    c.sequencer(1, 0);
    assert_eq!((c.size(), c.pixel(9, 19)), (Some((720, 400)), [255; 3]));
    c.sequencer(1, 0x20);
    assert_eq!(c.size(), None, "screen off");
}

#[test]
fn planes_are_written_by_the_modes_of_the_graphics_controller() {
    let c = Card::new();
    c.graphics(6, 5);
    c.sequencer(2, 0xf);
    let plane = |n: u64| c.vram().load(n, 1).unwrap();
    let planes = || [plane(0), plane(1), plane(2), plane(3)];
    c.graphics(8, 0xff);
    c.out("legacy", 0, 0xa5);
    assert_eq!(planes(), [0xa5; 4]);
    // Set and reset, with a mask for half of the bits and what was latched for the others.
    c.get("legacy", 0);
    c.graphics(0, 0b0101);
    c.graphics(1, 0xf);
    c.graphics(8, 0xf0);
    c.out("legacy", 0, 0);
    assert_eq!(planes(), [0xf5, 0x05, 0xf5, 0x05]);
    c.graphics(4, 2);
    assert_eq!(c.get("legacy", 0), 0xf5);
    // Color compare: the upper half has color 5.
    c.graphics(5, 8);
    c.graphics(2, 5);
    c.graphics(7, 0xf);
    assert_eq!(c.get("legacy", 0), 0xf0);
    // Mode 1 copies what was latched; mode 2 has a color in the data.
    c.graphics(5, 1);
    c.out("legacy", 1, 0);
    assert_eq!(plane(4), 0xf5);
    c.graphics(5, 2);
    c.graphics(8, 0xff);
    c.out("legacy", 0, 0b0010);
    assert_eq!(planes(), [0, 0xff, 0, 0]);
    // An exclusive or with what was latched, in two planes only.
    c.get("legacy", 0);
    c.graphics(5, 0);
    c.graphics(1, 0);
    c.graphics(3, 0x18);
    c.sequencer(2, 3);
    c.out("legacy", 0, 0x0f);
    assert_eq!(planes(), [0x0f, 0xf0, 0, 0]);
}

#[test]
fn linear_modes_show_the_frame_buffer() {
    let c = Card::new();
    c.vram().fill(0, 0x1000, 0xff).unwrap();
    for (at, value) in [(XRES, 640), (YRES, 480), (BPP, 32), (ENABLE, ENABLE_ENABLED | ENABLE_LINEAR)] {
        c.dispi(at, value);
    }
    assert_eq!((c.size(), c.pixel(0, 0)), (Some((640, 480)), [0; 3]), "it was cleared");
    assert_eq!((c.dispi_value(VIRT_WIDTH), c.dispi_value(VIRT_HEIGHT)), (640, (16 << 20) / 2560));
    c.0.enable_pci();
    c.0.write32("vram", 4 * (640 * 2 + 1), 0x0012_3456);
    assert_eq!(c.pixel(1, 2), [0x12, 0x34, 0x56]);
    c.dispi(Y_OFFSET, 2);
    c.dispi(X_OFFSET, 1);
    assert_eq!(c.pixel(0, 0), [0x12, 0x34, 0x56]);
    // The window of the VGA is a bank of it.
    c.dispi(BANK, 1);
    c.out("legacy", 5, 0x77);
    assert_eq!(c.vram().load(0x1_0005, 1), Ok(0x77));
    c.dispi(ENABLE, 0);
    for (bpp, value, pixel) in [(16, 0xf81f, [255, 0, 255]), (15, 0x03e0, [0, 255, 0]), (8, 7, [255; 3])] {
        let c = Card::new();
        c.palette();
        for (at, value) in [(XRES, 320), (YRES, 200), (BPP, bpp), (ENABLE, ENABLE_ENABLED)] {
            c.dispi(at, value);
        }
        c.vram().store(0, 2, value).unwrap();
        assert_eq!(c.pixel(0, 0), pixel, "{bpp}");
    }
}

#[test]
fn a_mode_that_does_not_fit_is_refused() {
    for (width, height, bpp) in [(0, 480, 32), (640, 480, 4), (640, 0, 8)] {
        let c = Card::new();
        for (at, value) in [(XRES, width), (YRES, height), (BPP, bpp), (ENABLE, ENABLE_ENABLED)] {
            c.dispi(at, value);
        }
        assert_eq!((c.dispi_value(ENABLE), c.0.machine.counters().guest_errors), (0, 1), "{width} {height} {bpp}");
    }
}

#[test]
fn the_256_color_mode_of_the_vga_is_chained() {
    let c = Card::new();
    c.palette();
    for (n, value) in [(1, 79), (7, 0x1f), (9, 0x41), (0x12, 0x8f), (0x13, 40)] {
        c.crtc(n, value);
    }
    c.sequencer(1, 1);
    c.sequencer(2, 0xf);
    c.sequencer(4, 0xe);
    c.graphics(5, 0x40);
    c.graphics(6, 5);
    c.out("legacy", 320 * 3 + 5, 7);
    assert_eq!((c.size(), c.pixel(5, 3), c.pixel(6, 3)), (Some((320, 200)), [255; 3], [0; 3]));
    c.crtc(0x11, 0x80);
    c.crtc(1, 1);
    assert_eq!(c.size(), Some((320, 200)), "protected");
}

#[test]
fn the_retrace_comes_and_goes() {
    let c = Card::new();
    let seen: Vec<u64> = (0..200)
        .map(|_| {
            c.0.advance(100_000);
            c.get("color", STATUS1) & STATUS1_RETRACE
        })
        .collect();
    assert!(seen.contains(&0) && seen.contains(&STATUS1_RETRACE));
    assert_eq!(c.get("mono", STATUS1), 0xff, "the other place of the registers");
}
