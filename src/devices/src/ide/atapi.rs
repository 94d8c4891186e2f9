//! The packet command set of CD drives: PACKET and its neighbours (ATA/ATAPI-6, T13/1410D,
//! clauses 8 and 9.8; SFF-8020i), and the packets (MMC-3; SPC-3).
//!
//! A disc is one session with one data track; an image that is longer than any compact disc is
//! shown as a DVD-ROM. Left out, and refused with sense data: audio, sub-channels, raw sectors,
//! DVD structures, MODE SELECT, speeds, streaming, overlapped packets, and power conditions.

use proteus_model::{Services, State};

use super::ata::{CHECK_POWER, DEVICE_RESET, FEATURE_MODE, IDENTIFY, IDENTIFY_PACKET, NOP, PACKET, SET_FEATURES, SLEEP, STANDBY_IMMEDIATE};
use super::drive::{ABRT, BUFFER, CD_SECTOR, Drive, Job, Phase};
use super::identify;

/// Bytes of a packet.
const PACKET_BYTES: usize = 12;
/// Sectors that are read at once for the data register.
const PIO_SECTORS: u32 = 16;
/// Sectors of a disc of 80 minutes; what is longer is no compact disc.
const CD_SECTORS: u64 = 80 * 60 * 75;
/// Sectors before the first one, which addresses in minutes count.
const LEAD_IN: u64 = 150;

// Interrupt Reason, in the place of Sector Count.
/// What moves is a packet, or the command's end.
const REASON_CD: u8 = 0x01;
/// It moves to the guest.
const REASON_IO: u8 = 0x02;

// PACKET's features.
const FEATURE_DMA: u8 = 0x01;
const FEATURE_OVERLAP: u8 = 0x02;

// Profiles (MMC-3, clause 5.3.1).
const PROFILE_CD: u16 = 0x0008;
const PROFILE_DVD: u16 = 0x0010;

// Media events (MMC-3, clause 6.6.1.4).
const EVENT_NEW_MEDIA: u8 = 2;
const EVENT_REMOVAL: u8 = 3;

/// Sense key, code and qualifier (SPC-3, clause 4.5.6).
#[derive(State, Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    key: u8,
    code: u8,
    qualifier: u8,
}

const fn sense(key: u8, code: u8, qualifier: u8) -> Sense {
    Sense { key, code, qualifier }
}

const NO_SENSE: Sense = sense(0, 0, 0);
const NO_MEDIUM_TRAY_CLOSED: Sense = sense(2, 0x3a, 1);
const NO_MEDIUM_TRAY_OPEN: Sense = sense(2, 0x3a, 2);
const READ_ERROR: Sense = sense(3, 0x11, 0);
const INVALID_OPCODE: Sense = sense(5, 0x20, 0);
const OUT_OF_RANGE: Sense = sense(5, 0x21, 0);
const INVALID_FIELD: Sense = sense(5, 0x24, 0);
const NO_SAVED_PARAMETERS: Sense = sense(5, 0x39, 0);
const REMOVAL_PREVENTED: Sense = sense(5, 0x53, 2);
const ILLEGAL_MODE: Sense = sense(5, 0x64, 0);
const MEDIUM_CHANGED: Sense = sense(6, 0x28, 0);
const RESET: Sense = sense(6, 0x29, 0);
const TRANSFER_FAILED: Sense = sense(0xb, 0x08, 0);

/// A CD drive's own state.
#[derive(State, Debug, Default)]
pub struct Cd {
    /// Why the last packet failed.
    sense: Sense,
    /// What the guest is to be told before anything else.
    attention: Sense,
    tray_open: bool,
    /// Is removal prevented?
    locked: bool,
    /// Media event that nobody has asked for yet; 0 for none.
    event: u8,
    /// The most bytes that may be announced at the data register at once.
    limit: u16,
    /// Does the packet's data move by DMA?
    dma: bool,
    /// Is a packet being executed? If not, it is another command.
    packet: bool,
}

/// What a packet gives.
enum Reply {
    Nothing,
    Data(Vec<u8>),
    Sectors { lba: u64, count: u32 },
}

/// A reply, cut to the length that the guest has room for.
fn data(mut bytes: Vec<u8>, room: usize) -> Result<Reply, Sense> {
    bytes.truncate(room);
    Ok(if bytes.is_empty() { Reply::Nothing } else { Reply::Data(bytes) })
}

/// A field of a packet, the most significant byte first.
fn field(packet: &[u8], first: usize, bytes: usize) -> u32 {
    packet.iter().skip(first).take(bytes).fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// An address in minutes, seconds and frames, or as a number.
fn address(lba: u64, msf: bool) -> [u8; 4] {
    if !msf {
        return (lba.min(u32::MAX.into()) as u32).to_be_bytes();
    }
    let frames = lba + LEAD_IN;
    [0, (frames / (60 * 75)).min(255) as u8, (frames / 75 % 60) as u8, (frames % 75) as u8]
}

/// Text of so many bytes, filled up with blanks.
fn text(text: &str, bytes: usize) -> impl Iterator<Item = u8> {
    text.bytes().chain(std::iter::repeat(b' ')).take(bytes)
}

impl Drive {
    /// What a reset does to a CD drive.
    pub fn cd_reset(&mut self) {
        self.cd.attention = RESET;
        self.cd.sense = NO_SENSE;
        self.cd.locked = false;
    }

    /// Executes a packet device's command.
    pub fn packet_device_command(&mut self, cx: &mut dyn Services, command: u8) {
        self.cd.packet = false;
        if command == DEVICE_RESET {
            self.sign(false);
            self.disk.software_reset(self.settings.write_cache);
            return self.cd_reset();
        }
        let Some(power) = self.wake(cx, command) else { return };
        match command {
            NOP => self.fail(ABRT),
            PACKET if self.task.features.now & FEATURE_OVERLAP != 0 => {
                cx.unimplemented(format_args!("overlapped packets"));
                self.fail(ABRT);
            }
            PACKET => {
                self.cd.packet = true;
                self.cd.dma = self.task.features.now & FEATURE_DMA != 0;
                self.cd.limit = u16::from_le_bytes([self.task.mid.now, self.task.high.now]);
                self.task.count.now = REASON_CD;
                self.buffer.resize(PACKET_BYTES, 0);
                self.announce(Phase::Packet, PACKET_BYTES, false);
            }
            IDENTIFY_PACKET => {
                self.buffer = identify::packet(self, cx);
                self.announce(Phase::In, self.buffer.len(), true);
            }
            // So that a guest that takes it for a disk learns what it is.
            IDENTIFY | 0x20 => {
                self.task.sign(true);
                self.fail(ABRT);
            }
            SET_FEATURES if self.task.features.now == FEATURE_MODE => self.set_mode(),
            SET_FEATURES => {
                cx.unimplemented(format_args!("SET FEATURES {:#04x} of a CD drive", self.task.features.now));
                self.fail(ABRT);
            }
            STANDBY_IMMEDIATE..=0xe3 | CHECK_POWER | SLEEP => self.power_command(cx, command, power),
            _ => {
                cx.unimplemented(format_args!("ATA command {command:#04x} of a CD drive"));
                self.fail(ABRT);
            }
        }
    }

    /// The guest has written a packet.
    pub fn packet_complete(&mut self, cx: &mut dyn Services) {
        let packet: [u8; PACKET_BYTES] = std::array::from_fn(|n| self.buffer.get(n).copied().unwrap_or(0));
        self.stop();
        let reply = match self.packet(cx, &packet) {
            Ok(reply) => reply,
            Err(sense) => return self.check(sense),
        };
        match reply {
            Reply::Nothing => self.packet_done(),
            // A data phase needs room at the data register.
            _ if !self.cd.dma && self.cd.limit == 0 => self.check(INVALID_FIELD),
            Reply::Data(bytes) => {
                self.buffer = bytes;
                self.packet_data();
            }
            Reply::Sectors { lba, count } => {
                let block = if self.cd.dma { (BUFFER / CD_SECTOR) as u32 } else { PIO_SECTORS };
                self.job = Job { lba, left: count, block, ..Job::default() };
                self.fetch_packet_data(cx);
            }
        }
    }

    fn packet_done(&mut self) {
        self.task.count.now = REASON_CD | REASON_IO;
        self.done();
    }

    /// The packet has failed.
    fn check(&mut self, sense: Sense) {
        self.cd.sense = sense;
        self.task.count.now = REASON_CD | REASON_IO;
        // The key, and that the command was aborted where the key is about the command.
        self.fail(sense.key << 4 | if matches!(sense.key, 5 | 0xb) { ABRT } else { 0 });
    }

    /// The bus master cannot do what the packet needs.
    pub fn packet_dma_refused(&mut self) {
        self.check(TRANSFER_FAILED);
    }

    fn fetch_packet_data(&mut self, cx: &dyn Services) {
        if self.fetch(cx) {
            self.packet_data();
        } else {
            self.check(READ_ERROR);
        }
    }

    /// Announces what is in the buffer: to the bus master, or a piece of it at the data register
    /// that is no longer than the guest allows.
    fn packet_data(&mut self) {
        if self.cd.dma {
            return self.announce_dma(Phase::DmaIn);
        }
        let left = self.buffer.len().saturating_sub(self.at as usize);
        let piece = match usize::from(self.cd.limit) {
            limit if left <= limit => left,
            // Only the last piece may be odd.
            limit => (limit & !1).max(2),
        };
        // The buffer for the data register has 32 KiB.
        [self.task.mid.now, self.task.high.now] = (piece as u16).to_le_bytes();
        self.task.count.now = REASON_IO;
        self.announce(Phase::In, self.at as usize + piece, true);
    }

    /// The guest has taken a piece.
    pub fn packet_data_taken(&mut self, cx: &mut dyn Services) {
        if !self.cd.packet {
            // Identification data.
            let irq = self.irq;
            self.done();
            self.irq = irq;
        } else if (self.at as usize) < self.buffer.len() {
            self.packet_data();
        } else if self.job.left != 0 {
            self.fetch_packet_data(cx);
        } else {
            self.packet_done();
        }
    }

    /// Executes a packet.
    fn packet(&mut self, cx: &mut dyn Services, p: &[u8; PACKET_BYTES]) -> Result<Reply, Sense> {
        let opcode = p[0];
        let old = std::mem::take(&mut self.cd.sense);
        // INQUIRY, REQUEST SENSE, GET CONFIGURATION and GET EVENT STATUS NOTIFICATION come first.
        if self.cd.attention != NO_SENSE && !matches!(opcode, 0x03 | 0x12 | 0x46 | 0x4a) {
            return Err(std::mem::take(&mut self.cd.attention));
        }
        match opcode {
            // TEST UNIT READY
            0x00 => self.medium(cx).map(|_| Reply::Nothing),
            0x03 => self.request_sense(p, old),
            0x12 => self.inquiry(p),
            // MODE SENSE (6), (10)
            0x1a => self.mode_sense(cx, p, 4, field(p, 4, 1)),
            0x5a => self.mode_sense(cx, p, 8, field(p, 7, 2)),
            0x1b => self.start_stop(cx, p),
            // PREVENT ALLOW MEDIUM REMOVAL
            0x1e => {
                self.cd.locked = p[4] & 1 != 0;
                Ok(Reply::Nothing)
            }
            // READ CAPACITY
            0x25 => {
                let last = self.medium(cx)?.saturating_sub(1);
                data([address(last, false), (CD_SECTOR as u32).to_be_bytes()].concat(), 8)
            }
            // READ (10), (12)
            0x28 => self.read_sectors(cx, field(p, 2, 4), field(p, 7, 2)),
            0xa8 => self.read_sectors(cx, field(p, 2, 4), field(p, 6, 4)),
            // SEEK (10)
            0x2b => self.read_sectors(cx, field(p, 2, 4), 1).map(|_| Reply::Nothing),
            0x43 => self.read_toc(cx, p),
            0x46 => self.get_configuration(cx, p),
            0x4a => self.event_status(cx, p),
            0x51 => self.disc_information(cx, p),
            0x52 => self.track_information(cx, p),
            // MECHANISM STATUS: no changer; is the door open?
            0xbd => data(vec![0, if self.cd.tray_open { 0x10 } else { 0 }, 0, 0, 0, 0, 0, 0], field(p, 8, 2) as usize),
            0xbe => self.read_cd(cx, p),
            _ => {
                cx.unimplemented(format_args!("packet {opcode:#04x}"));
                Err(INVALID_OPCODE)
            }
        }
    }

    /// Sectors of the disc, if there is one.
    fn medium(&self, cx: &dyn Services) -> Result<u64, Sense> {
        match self.sectors(cx) {
            _ if self.cd.tray_open => Err(NO_MEDIUM_TRAY_OPEN),
            0 => Err(NO_MEDIUM_TRAY_CLOSED),
            sectors => Ok(sectors),
        }
    }

    /// Profile of the disc (0 without one).
    fn profile(&self, cx: &dyn Services) -> u16 {
        match self.medium(cx) {
            Err(_) => 0,
            Ok(sectors) if sectors > CD_SECTORS => PROFILE_DVD,
            Ok(_) => PROFILE_CD,
        }
    }

    /// REQUEST SENSE (SPC-3, clause 6.27): fixed format.
    fn request_sense(&mut self, p: &[u8], last: Sense) -> Result<Reply, Sense> {
        if p[1] & 1 != 0 {
            return Err(INVALID_FIELD);
        }
        let sense = if last == NO_SENSE { std::mem::take(&mut self.cd.attention) } else { last };
        let mut bytes = vec![0; 18];
        (bytes[0], bytes[2], bytes[7], bytes[12], bytes[13]) = (0x70, sense.key, 10, sense.code, sense.qualifier);
        data(bytes, p[4].into())
    }

    /// INQUIRY (SPC-3, clause 6.4).
    fn inquiry(&self, p: &[u8]) -> Result<Reply, Sense> {
        if p[1] & 3 != 0 || p[2] != 0 {
            return Err(INVALID_FIELD);
        }
        // CD drive, removable, ATAPI version 2 with response format 1.
        let mut bytes = vec![0x05, 0x80, 0, 0x21, 31, 0, 0, 0];
        let (vendor, product) = self.settings.model.split_once(' ').unwrap_or(("PROTEUS", &self.settings.model));
        bytes.extend(text(vendor, 8).chain(text(product, 16)).chain(text(&self.settings.version, 4)));
        data(bytes, field(p, 3, 2) as usize)
    }

    /// MODE SENSE (MMC-3, clause 7; SPC-3, clause 6.9).
    fn mode_sense(&self, cx: &dyn Services, p: &[u8], header: usize, room: u32) -> Result<Reply, Sense> {
        let (control, wanted) = (p[2] >> 6, p[2] & 0x3f);
        if control == 3 {
            return Err(NO_SAVED_PARAMETERS);
        }
        let locked = if self.cd.locked { 0x02 } else { 0 };
        // Kilobytes a second of a drive with 24 times the speed of audio.
        let [s1, s0] = 4234u16.to_be_bytes();
        let [b1, b0] = ((BUFFER >> 10) as u16).to_be_bytes();
        let pages: [&[u8]; 2] = [
            // Read error recovery: five retries.
            &[0x01, 6, 0, 5, 0, 0, 0, 0],
            // Capabilities: reads CD-R, CD-RW and DVD-ROM; a tray with lock and eject button.
            &[0x2a, 18, 0x0b, 0, 0, 0, 0x29 | locked, 0, s1, s0, 0, 0, b1, b0, s1, s0, 0, 0, 0, 0],
        ];
        let mut bytes = vec![0; header];
        for page in pages.iter().filter(|page| wanted == 0x3f || wanted == page[0]) {
            // Nothing can be changed.
            bytes.extend(page.iter().enumerate().map(|(n, byte)| if control == 1 && n >= 2 { 0 } else { *byte }));
        }
        if bytes.len() == header {
            return Err(INVALID_FIELD);
        }
        // Medium type: data disc, no disc, or open door.
        let kind = match self.medium(cx) {
            Ok(_) => 0x01,
            Err(NO_MEDIUM_TRAY_OPEN) => 0x71,
            Err(_) => 0x70,
        };
        if header == 4 {
            (bytes[0], bytes[1]) = ((bytes.len() - 1) as u8, kind);
        } else {
            (bytes[1], bytes[2]) = ((bytes.len() - 2) as u8, kind);
        }
        data(bytes, room as usize)
    }

    /// START STOP UNIT (MMC-3, clause 6.43).
    fn start_stop(&mut self, cx: &dyn Services, p: &[u8]) -> Result<Reply, Sense> {
        let (start, load_eject) = (p[4] & 1 != 0, p[4] & 2 != 0);
        if p[4] >> 4 != 0 {
            return Err(INVALID_FIELD);
        }
        // Spinning up and down alone is nothing that anybody could see.
        if !load_eject || start != self.cd.tray_open {
            return Ok(Reply::Nothing);
        }
        if !start && self.cd.locked {
            return Err(REMOVAL_PREVENTED);
        }
        if start {
            self.cd.tray_open = false;
            if self.medium(cx).is_ok() {
                (self.cd.attention, self.cd.event) = (MEDIUM_CHANGED, EVENT_NEW_MEDIA);
            }
        } else {
            if self.medium(cx).is_ok() {
                self.cd.event = EVENT_REMOVAL;
            }
            self.cd.tray_open = true;
        }
        Ok(Reply::Nothing)
    }

    fn read_sectors(&self, cx: &dyn Services, lba: u32, count: u32) -> Result<Reply, Sense> {
        let (total, lba) = (self.medium(cx)?, u64::from(lba));
        if lba + u64::from(count) > total {
            return Err(OUT_OF_RANGE);
        }
        Ok(if count == 0 { Reply::Nothing } else { Reply::Sectors { lba, count } })
    }

    /// READ CD (MMC-3, clause 6.18), of user data.
    fn read_cd(&self, cx: &mut dyn Services, p: &[u8]) -> Result<Reply, Sense> {
        // Sectors of any type, or of mode 1.
        if !matches!(p[1] >> 2 & 7, 0 | 2) {
            self.medium(cx)?;
            return Err(ILLEGAL_MODE);
        }
        match (p[9] & 0xfe, p[10] & 7) {
            (0x00, 0) => self.read_sectors(cx, field(p, 2, 4), field(p, 6, 3)).map(|_| Reply::Nothing),
            (0x10, 0) => self.read_sectors(cx, field(p, 2, 4), field(p, 6, 3)),
            (fields, channels) => {
                cx.unimplemented(format_args!("READ CD of fields {fields:#04x}, sub-channels {channels}"));
                Err(INVALID_FIELD)
            }
        }
    }

    /// READ TOC/PMA/ATIP (MMC-3, clause 6.32).
    fn read_toc(&self, cx: &dyn Services, p: &[u8]) -> Result<Reply, Sense> {
        let total = self.medium(cx)?;
        let (msf, start, room) = (p[1] & 2 != 0, p[6], field(p, 7, 2) as usize);
        // Older packets have the format in the last byte.
        let format = if p[2] & 0x0f == 0 { p[9] >> 6 } else { p[2] & 0x0f };
        // First and last track or session; then a data track with its address.
        let mut bytes = vec![0, 0, 1, 1];
        let track = |bytes: &mut Vec<u8>, number: u8, lba| {
            bytes.extend([0, 0x14, number, 0]);
            bytes.extend(address(lba, msf));
        };
        match format {
            0 if start > 1 && start != 0xaa => return Err(INVALID_FIELD),
            0 => {
                if start <= 1 {
                    track(&mut bytes, 1, 0);
                }
                track(&mut bytes, 0xaa, total);
            }
            1 => track(&mut bytes, 1, 0),
            2 => {
                // First and last track, lead-out, and the track, in minutes always.
                let points = [(0xa0, [0, 1, 0, 0]), (0xa1, [0, 1, 0, 0]), (0xa2, address(total, true)), (1, address(0, true))];
                for (point, place) in points {
                    bytes.extend([1, 0x14, 0, point, 0, 0, 0]);
                    bytes.extend(place);
                }
            }
            _ => return Err(INVALID_FIELD),
        }
        // It is shorter than 256 bytes.
        bytes[1] = (bytes.len() - 2) as u8;
        data(bytes, room)
    }

    /// GET CONFIGURATION (MMC-3, clauses 5 and 6.5).
    fn get_configuration(&self, cx: &dyn Services, p: &[u8]) -> Result<Reply, Sense> {
        let (wanted, start, room) = (p[1] & 3, field(p, 2, 2) as u16, field(p, 7, 2) as usize);
        if wanted == 3 {
            return Err(INVALID_FIELD);
        }
        let profile = self.profile(cx);
        let is = |of: u16| u8::from(profile == of);
        let sector = (CD_SECTOR as u32).to_be_bytes();
        // Code; version and whether it is always there; whether it is now; what else there is.
        let features: [(u16, u8, u8, Vec<u8>); 7] = [
            // Profiles.
            (0x0000, 2, 1, vec![0, 0x10, is(PROFILE_DVD), 0, 0, 0x08, is(PROFILE_CD), 0]),
            // Core: ATAPI.
            (0x0001, 2, 1, vec![0, 0, 0, 2]),
            // Removable medium: a tray with lock and eject.
            (0x0003, 2, 1, vec![0x29, 0, 0, 0]),
            // Random readable: blocks of one sector.
            (0x0010, 0, u8::from(profile != 0), [&sector[..], &[0, 1, 0, 0]].concat()),
            // Multi-read, CD read, DVD read.
            (0x001d, 0, is(PROFILE_CD), vec![]),
            (0x001e, 0, is(PROFILE_CD), vec![0, 0, 0, 0]),
            (0x001f, 0, is(PROFILE_DVD), vec![]),
        ];
        let mut bytes = vec![0; 6];
        bytes.extend(profile.to_be_bytes());
        for (code, flags, current, more) in features {
            let shown = match wanted {
                0 => code >= start,
                1 => code >= start && current != 0,
                _ => code == start,
            };
            if shown {
                bytes.extend(code.to_be_bytes());
                bytes.extend([flags | current, more.len() as u8]);
                bytes.extend(more);
            }
        }
        // It is shorter than 256 bytes.
        bytes[3] = (bytes.len() - 4) as u8;
        data(bytes, room)
    }

    /// GET EVENT STATUS NOTIFICATION (MMC-3, clause 6.6): media events, by polling.
    fn event_status(&mut self, cx: &dyn Services, p: &[u8]) -> Result<Reply, Sense> {
        let room = field(p, 7, 2) as usize;
        if p[1] & 1 == 0 {
            return Err(INVALID_FIELD);
        }
        if p[4] & 0x10 == 0 {
            // No event of the classes asked for; media is the only one there is.
            return data(vec![0, 2, 0x80, 0x10], room);
        }
        // A guest that has no room for the event does not lose it.
        let event = if room > 4 { std::mem::take(&mut self.cd.event) } else { self.cd.event };
        let status = u8::from(self.cd.tray_open) | if self.medium(cx).is_ok() { 2 } else { 0 };
        data(vec![0, 6, 0x04, 0x10, event, status, 0, 0], room)
    }

    /// READ DISC INFORMATION (MMC-3, clause 6.26): a complete disc of one session.
    fn disc_information(&self, cx: &dyn Services, p: &[u8]) -> Result<Reply, Sense> {
        self.medium(cx)?;
        if p[1] & 7 != 0 {
            return Err(INVALID_FIELD);
        }
        let mut bytes = vec![0; 34];
        // Length; complete disc and session; first track, sessions, first and last track of the
        // last session; unrestricted use.
        bytes[1..8].copy_from_slice(&[32, 0x0e, 1, 1, 1, 1, 0x20]);
        // There is no place for another session.
        bytes[17..20].fill(0xff);
        bytes[21..24].fill(0xff);
        data(bytes, field(p, 7, 2) as usize)
    }

    /// READ TRACK INFORMATION (MMC-3, clause 6.34): of the track that is the disc.
    fn track_information(&self, cx: &dyn Services, p: &[u8]) -> Result<Reply, Sense> {
        let total = self.medium(cx)?;
        let which = field(p, 2, 4);
        match p[1] & 3 {
            0 if u64::from(which) >= total => return Err(OUT_OF_RANGE),
            0 => {}
            // Number of a track or session.
            1 | 2 if which == 1 => {}
            _ => return Err(INVALID_FIELD),
        }
        let mut bytes = vec![0; 36];
        // Length; track, session; a data track, in mode 1.
        bytes[1..7].copy_from_slice(&[34, 1, 1, 0, 0x04, 0x01]);
        bytes[24..28].copy_from_slice(&address(total, false));
        data(bytes, field(p, 7, 2) as usize)
    }
}
