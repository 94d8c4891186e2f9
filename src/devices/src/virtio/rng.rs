//! Entropy device (virtio 1.2 §5.4).
//!
//! Entropy comes from the machine, so that a deterministic run repeats. As in QEMU, `max-bytes`
//! bounds what a guest gets in each `period` milliseconds of virtual time.

use proteus_model::{DeviceType, Event, Ns, PropError, PropertyDecl, PropertyDefault, PropertyKind, Props, Services, State};

use super::mmio::{self, Mmio};
use super::pci::{self, Pci};
use super::{ByteOrder, Io, VirtioDevice};

/// Most bytes given for one request; a driver that wants more asks again.
const REQUEST: u64 = 64 << 10;
const QUEUE_SIZE: u16 = 8;
const MILLISECOND: Ns = 1_000_000;

/// An entropy device.
#[derive(State)]
pub struct Rng {
    /// Bytes left in this period.
    #[state(reset = self.max_bytes)]
    left: u64,
    /// End of the period, once something was taken in it.
    period_end: Option<Ns>,
    #[state(skip)]
    max_bytes: u64,
    #[state(skip)]
    period: Ns,
}

impl Rng {
    /// An entropy device with these properties.
    pub fn new(props: &Props) -> Result<Rng, PropError> {
        let (max_bytes, period) = (props.u64("max-bytes"), props.u64("period"));
        if max_bytes == 0 {
            return Err(props.refuse("max-bytes=0: a device without entropy is of no use; give at least 1"));
        }
        if period == 0 || period > u64::from(u32::MAX) {
            return Err(props.refuse(format!("period={period}: give 1 to {} milliseconds", u32::MAX)));
        }
        Ok(Rng { left: max_bytes, period_end: None, max_bytes, period: period * MILLISECOND })
    }

    /// Is the quantity bounded at all?
    fn limited(&self) -> bool {
        self.max_bytes < i64::MAX as u64
    }
}

impl VirtioDevice for Rng {
    const TYPE: u16 = 4;
    const CONFIG_LEN: u64 = 0;
    /// Of no class that there is.
    const PCI_CLASS: u32 = 0x00_ff00;

    /// For its queue and the configuration, as in QEMU since 8.1.
    fn vectors(_: &Props) -> u64 {
        2
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE_SIZE]
    }

    fn features(&self, _: &dyn Services) -> u64 {
        0
    }

    fn config(&self, _: &dyn Services, _: ByteOrder) -> Vec<u8> {
        Vec::new()
    }

    fn notify(&mut self, io: &mut Io<'_>, queue: usize) {
        let mut served = false;
        while self.left != 0
            && let Some(mut chain) = io.pop(queue)
        {
            let mut wanted = chain.writable.total().min(REQUEST).min(self.left);
            let given = wanted as u32;
            if self.limited() {
                self.left -= wanted;
                if self.period_end.is_none() {
                    self.period_end = Some(io.cx.now().saturating_add(self.period));
                }
            }
            let mut bytes = [0; 1024];
            while wanted != 0 {
                let piece = &mut bytes[..wanted.min(1024) as usize];
                io.cx.entropy(piece);
                let written = chain.writable.write(io.cx, piece);
                if io.check(queue, written).is_none() {
                    return;
                }
                wanted -= piece.len() as u64;
            }
            io.push(queue, chain, given);
            served = true;
        }
        if served {
            io.signal(queue);
        }
    }

    fn event(&mut self, io: &mut Io<'_>, event: Event<'_>) {
        if event == Event::Alarm(0) {
            (self.left, self.period_end) = (self.max_bytes, None);
            self.notify(io, 0);
        }
    }

    fn settle(&self, cx: &mut dyn Services) {
        cx.alarm(0, self.period_end);
    }
}

const PROPERTIES: &[PropertyDecl] = &[
    PropertyDecl { name: "max-bytes", kind: PropertyKind::U64, default: PropertyDefault::U64(i64::MAX as u64), doc: "Most bytes in a period" },
    PropertyDecl { name: "period", kind: PropertyKind::U64, default: PropertyDefault::U64(1 << 16), doc: "Length of a period in milliseconds" },
];
const EXAMPLE: &[(&str, &str)] = &[("max-bytes", "5000"), ("period", "100")];

/// An entropy device on a PCI bus.
pub static VIRTIO_RNG_PCI: DeviceType = DeviceType {
    properties: properties!(pci::PROPERTIES, PROPERTIES),
    example: EXAMPLE,
    ..Pci::<Rng>::device_type("virtio-rng-pci", "Virtio entropy device (PCI)", |props| Pci::boxed(props, Rng::new(props)?))
};

/// An entropy device in a virtio-mmio slot.
pub static VIRTIO_RNG_DEVICE: DeviceType = DeviceType {
    properties: properties!(mmio::PROPERTIES, PROPERTIES),
    example: EXAMPLE,
    ..mmio::device_type("virtio-rng-device", "Virtio entropy device (virtio-mmio)", |props| Ok(Mmio::boxed(props, Rng::new(props)?)))
};

#[cfg(test)]
mod tests {
    use super::super::driver::{Driver, MODERN, PLAIN, Types, flavours};
    use super::*;

    const TYPES: Types = [&VIRTIO_RNG_DEVICE, &VIRTIO_RNG_PCI];

    #[test]
    fn conforms() {
        for ty in TYPES {
            proteus_model::conformance::check(ty).unwrap();
        }
    }

    #[test]
    fn gives_entropy_that_repeats_with_the_seed() {
        for flavour in flavours() {
            let run = || {
                let mut d = Driver::new(TYPES, &[], flavour, 0);
                let (len, bytes) = d.request(0, &[], &[100, 2000]);
                assert_eq!((len, d.interrupt()), (2100, (true, 1)));
                bytes
            };
            let bytes = run();
            assert_eq!(bytes, run());
            let ones: u32 = bytes.iter().map(|b| b.count_ones()).sum();
            assert!((7900..8900).contains(&ones), "{ones} ones in 2100 bytes");
        }
    }

    #[test]
    fn a_request_is_bounded() {
        let mut d = Driver::new(TYPES, &[], MODERN, 0);
        let (len, bytes) = d.request(0, &[], &[100_000]);
        assert_eq!(len, 65536);
        assert!(bytes[65536..].iter().all(|b| *b == 0xee));
    }

    /// What is in a queue is done in pieces, between which others have their turn.
    #[test]
    fn an_entry_is_bounded() {
        for flavour in PLAIN {
            let mut d = Driver::new(TYPES, &[], flavour, 0);
            let head = d.add(0, &[], &[65536]);
            let at = d.order().number64(d.peek(d.desc(0, head), 8).try_into().unwrap());
            d.write_desc(d.desc(0, head), at, 16 << 20, 2, 0);
            (1..8).for_each(|_| d.make_available(0, head));
            d.notify(0);
            assert_eq!(d.given_back(0), 4);
            d.bench.advance(1);
            assert_eq!((d.given_back(0), d.needs_reset()), (8, false));
        }
    }

    #[test]
    fn random_rings_never_panic() {
        for flavour in PLAIN {
            let mut d = Driver::new(TYPES, &[], flavour, 0);
            let (broken, served) = d.hammer(0, 10_000, &|_| vec![]);
            assert!(broken > 250 && served > 250, "{broken} {served}");
        }
    }

    #[test]
    fn the_quota_is_kept() {
        let mut d = Driver::new(TYPES, &[("max-bytes", "64"), ("period", "10")], MODERN, 0);
        assert_eq!(d.request(0, &[], &[40]).0, 40);
        assert_eq!(d.request(0, &[], &[40]).0, 24);
        d.interrupt();
        d.add(0, &[], &[40]);
        d.notify(0);
        d.bench.advance(9 * MILLISECOND);
        assert!(d.used(0).is_none());
        d.bench.advance(MILLISECOND);
        assert_eq!((d.used(0).unwrap().1, d.interrupt()), (40, (true, 1)));
        for (name, value) in [("max-bytes", "0"), ("period", "0")] {
            let props = Props::with(&VIRTIO_RNG_DEVICE, &[(name, value)]).unwrap();
            assert!((VIRTIO_RNG_DEVICE.new)(&props).is_err());
        }
    }
}
