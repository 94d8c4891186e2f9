//! The transceiver that is on the chip, reached through the MII management registers: registers
//! ANR0 to ANR7 of the datasheet, which are those of IEEE 802.3, 22.2.4. It has agreed with its
//! partner on 100 Mbit/s full duplex whenever the cable is in.
//!
//! Left out: the registers above ANR7, and the exchange of next pages.

use proteus_model::{Services, State, registers};

/// Its address on the management bus.
pub(super) const ADDRESS: u16 = 0x1e;

registers! {
    /// Registers of the transceiver; offsets are twice their numbers.
    ANRS: u16;

    /// Control
    0x00 ANR0 rw = 0x3100 { 7 COLTST: unmodelled, 8 DUPLEX, 9 RESTART wo, 10 ISOLATE: unmodelled, 11 POWERDOWN: unmodelled, 12 ANEG, 13 SPEED, 14 LOOPBACK, 15 SWRESET wo }
    /// Status: able to do 10 and 100 Mbit/s in both duplex modes, and to negotiate
    0x02 ANR1 ro = 0x7849 { 0 EXTENDED, 1 JABBER, 2 LINK, 3 ABLE, 4 FAULT, 5 DONE, 6 SUPPRESSION, 14:11 MODES }
    0x04 ANR2 ro = 0x0000
    0x06 ANR3 ro = 0x6b60
    /// What it advertises
    0x08 ANR4 rw = 0x01e1
    /// What its partner advertises
    0x0a ANR5 ro = 0x0000
    0x0c ANR6 ro = 0x0004 { 0 PARTNER, 1 RECEIVED, 2 NEXT, 3 PARTNERNEXT, 4 FAULT }
    0x0e ANR7 rw = 0x2001: unmodelled
}

/// What the partner advertises: everything up to 100 Mbit/s full duplex, acknowledged.
const PARTNER: u16 = 0x45e1;

/// Registers of the transceiver.
#[derive(State)]
pub(super) struct Phy {
    #[state(reset = ANR0_RESET as u16)]
    control: u16,
    #[state(reset = ANR4_RESET as u16)]
    advertises: u16,
    /// The link has failed since the status was read last.
    link_failed: bool,
    /// The cable, which no reset pulls.
    #[state(keep)]
    link_down: bool,
}

impl Phy {
    pub(super) fn new() -> Phy {
        let mut phy = Phy { control: 0, advertises: 0, link_failed: false, link_down: false };
        phy.reset_state();
        phy
    }

    /// Is the cable in?
    pub(super) fn link(&self) -> bool {
        !self.link_down
    }

    /// Pulls the cable, or puts it in.
    pub(super) fn set_link(&mut self, up: bool) {
        self.link_down = !up;
        self.link_failed |= !up;
    }

    /// Does what is sent come back?
    pub(super) fn loops(&self) -> bool {
        u64::from(self.control) & ANR0_LOOPBACK != 0
    }

    /// A read by the management interface.
    pub(super) fn read(&mut self, cx: &mut dyn Services, register: u16) -> u16 {
        let at = 2 * u64::from(register);
        proteus_model::check_register_read(cx, ANRS, at);
        let agreed = self.link() && u64::from(self.control) & ANR0_ANEG != 0;
        (match at {
            ANR0 => u64::from(self.control),
            // A failed link shows until it is read, however soon it came back.
            ANR1 => {
                let link = self.link() && !std::mem::take(&mut self.link_failed);
                ANR1_RESET | if link { ANR1_LINK } else { 0 } | if agreed { ANR1_DONE } else { 0 }
            }
            ANR2 => ANR2_RESET,
            ANR3 => ANR3_RESET,
            ANR4 => self.advertises.into(),
            ANR5 if agreed => PARTNER.into(),
            ANR6 => ANR6_RESET | if agreed { ANR6_PARTNER } else { 0 },
            ANR7 => ANR7_RESET,
            _ => 0,
        }) as u16
    }

    /// A write by the management interface.
    pub(super) fn write(&mut self, cx: &mut dyn Services, register: u16, value: u16) {
        let at = 2 * u64::from(register);
        proteus_model::check_register_write(cx, ANRS, at, value.into());
        match at {
            ANR0 if u64::from(value) & ANR0_SWRESET != 0 => self.reset_state(),
            ANR0 => self.control = value & !(ANR0_RESTART as u16),
            ANR4 => self.advertises = value,
            _ => {}
        }
    }
}
