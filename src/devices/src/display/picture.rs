//! What a VGA shows, as a picture.

use proteus_model::Picture;
use proteus_model::ram::Region;

use super::vga::{BPP, ENABLE, ENABLE_DAC8, Registers, VIRT_WIDTH, X_OFFSET, XRES, Y_OFFSET, YRES};

/// Characters are at most so many lines high in the font.
const FONT_LINES: u64 = 32;
/// Bit of a cell's attributes that chooses the other font.
const OTHER_FONT: u8 = 8;

/// Makes a picture; none in a mode that shows nothing, or is none of those that firmware sets.
pub(super) fn render(r: &Registers, vram: &Region) -> Option<Picture> {
    let screen = Screen { r, vram };
    if r.linear() {
        return screen.linear();
    }
    // Screen off, or the attribute controller is being set up.
    if r.sequencer[1] & 0x20 != 0 || !r.shown {
        return None;
    }
    if r.graphics[6] & 1 == 0 {
        return screen.text();
    }
    match r.graphics[5] >> 5 & 3 {
        0 => screen.planes(),
        2 | 3 => screen.colors256(),
        // The modes of the CGA with 4 colors.
        _ => None,
    }
}

struct Screen<'a> {
    r: &'a Registers,
    vram: &'a Region,
}

impl Screen<'_> {
    fn byte(&self, at: u64) -> u8 {
        self.vram.load(at & (self.vram.len() - 1), 1).unwrap_or(0) as u8
    }

    /// A color of the palette, whose parts have six bits unless it is switched to eight.
    fn palette(&self, n: u8) -> [u8; 3] {
        let color = self.r.palette[usize::from(n)];
        if self.r.linear() && u64::from(self.r.dispi(ENABLE)) & ENABLE_DAC8 != 0 { color } else { color.map(|c| c << 2 | c >> 4 & 3) }
    }

    /// One of 16 colors, through the attribute controller.
    fn color16(&self, n: u8) -> [u8; 3] {
        let a = &self.r.attribute;
        let low = a[usize::from(n & 15)];
        let index = if a[0x10] & 0x80 != 0 { a[0x14] << 4 & 0xf0 | low & 15 } else { a[0x14] << 4 & 0xc0 | low & 0x3f };
        self.palette(index)
    }

    /// Pixels of the display's lines in units of eight, and lines.
    fn size(&self) -> (u64, u64) {
        let c = &self.r.crtc;
        let lines = u64::from(c[0x12]) | u64::from(c[7] >> 1 & 1) << 8 | u64::from(c[7] >> 6 & 1) << 9;
        (u64::from(c[1]) + 1, lines + 1)
    }

    fn start(&self) -> u64 {
        u64::from(self.r.crtc[0xc]) << 8 | u64::from(self.r.crtc[0xd])
    }

    /// Addresses from one line to the next.
    fn pitch(&self) -> u64 {
        2 * u64::from(self.r.crtc[0x13])
    }

    /// How often a line is repeated.
    fn repeats(&self) -> u64 {
        let scan = self.r.crtc[9];
        (u64::from(scan & 31) + 1) << (scan >> 7)
    }

    fn pixels(width: u64, height: u64, pixel: impl Fn(u64, u64) -> [u8; 3]) -> Option<Picture> {
        let rgb = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
        Some(Picture { width: width as u32, height: height as u32, rgb })
    }

    fn linear(&self) -> Option<Picture> {
        let d = |at| u64::from(self.r.dispi(at));
        let bytes = d(BPP).div_ceil(8);
        let wide = |n: u64, bits: u32, at: u32| {
            let value = n >> at & ((1 << bits) - 1);
            (value << (8 - bits) | value >> (2 * bits - 8)) as u8
        };
        Screen::pixels(d(XRES), d(YRES), |x, y| {
            let at = ((y + d(Y_OFFSET)) * d(VIRT_WIDTH) + x + d(X_OFFSET)) * bytes;
            let n = (0..bytes).fold(0, |n, i| n | u64::from(self.byte(at + i)) << (8 * i));
            match d(BPP) {
                8 => self.palette(n as u8),
                15 => [wide(n, 5, 10), wide(n, 5, 5), wide(n, 5, 0)],
                16 => [wide(n, 5, 11), wide(n, 6, 5), wide(n, 5, 0)],
                _ => [(n >> 16) as u8, (n >> 8) as u8, n as u8],
            }
        })
    }

    fn text(&self) -> Option<Picture> {
        let (columns, lines) = self.size();
        let char_lines = u64::from(self.r.crtc[9] & 31) + 1;
        let char_width = if self.r.sequencer[1] & 1 != 0 { 8 } else { 9 };
        let (start, pitch) = (self.start(), self.pitch());
        let map = self.r.sequencer[3];
        // Where the two fonts begin, in units of 8 KiB.
        let font = |bits: u8| [0, 2, 4, 6, 1, 3, 5, 7][usize::from(bits & 7)] * 0x2000u64;
        let fonts = [font(map & 3 | map >> 2 & 4), font(map >> 2 & 3 | map >> 3 & 4)];
        let blinks = self.r.attribute[0x10] & 8 != 0;
        Screen::pixels(columns * char_width, lines / char_lines * char_lines, |x, y| {
            let cell = start + y / char_lines * pitch + x / char_width;
            let (character, attributes) = (self.byte(4 * cell), self.byte(4 * cell + 1));
            let other = attributes & OTHER_FONT != 0;
            let row = self.byte(4 * (fonts[usize::from(!other)] + u64::from(character) * FONT_LINES + y % char_lines) + 2);
            // The ninth column repeats the eighth of line graphics.
            let column = match x % char_width {
                8 if (0xc0..0xe0).contains(&character) && self.r.attribute[0x10] & 4 != 0 => 7,
                n => n,
            };
            let on = column < 8 && row >> (7 - column) & 1 != 0 || self.cursor(cell, y % char_lines);
            let background = attributes >> 4 & if blinks { 7 } else { 15 };
            self.color16(if on { attributes & 15 } else { background })
        })
    }

    /// Is the cursor at this line of a cell?
    fn cursor(&self, cell: u64, line: u64) -> bool {
        let c = &self.r.crtc;
        let at = u64::from(c[0xe]) << 8 | u64::from(c[0xf]);
        c[0xa] & 0x20 == 0 && cell == at && (u64::from(c[0xa] & 31)..=u64::from(c[0xb] & 31)).contains(&line)
    }

    fn planes(&self) -> Option<Picture> {
        let (columns, lines) = self.size();
        let (start, pitch, repeats) = (self.start(), self.pitch(), self.repeats());
        let mask = self.r.attribute[0x12] & 15;
        Screen::pixels(columns * 8, lines / repeats, |x, y| {
            let at = 4 * (start + y * pitch + x / 8);
            let color = (0..4).fold(0, |n, plane| n | (self.byte(at + plane) >> (7 - x % 8) & 1) << plane);
            self.color16(color & mask)
        })
    }

    fn colors256(&self) -> Option<Picture> {
        let (columns, lines) = self.size();
        let (start, pitch, repeats) = (self.start(), self.pitch(), self.repeats());
        Screen::pixels(columns * 4, lines / repeats, |x, y| self.palette(self.byte(4 * start + y * pitch * 4 + x)))
    }
}
