//! A key at an input line of a GPIO controller: pressed for a tenth of a second by each press of
//! the button, however short, so that an operating system's debouncing sees it.

use proteus_model::{BusFault, Count, Device, DeviceType, Event, PinDecl, Reset, Services, State, Width, Window};

/// How long the key stays down.
const PRESSED_NS: u64 = 100_000_000;

#[derive(State, Default)]
#[state(version = 1)]
struct GpioKey {
    /// When the key goes up.
    until: Option<u64>,
}

impl Device for GpioKey {
    fn read(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width) -> Result<u64, BusFault> {
        Err(BusFault::Unmapped)
    }

    fn write(&mut self, _: &mut dyn Services, _: Window, _: u64, _: Width, _: u64) -> Result<(), BusFault> {
        Err(BusFault::Unmapped)
    }

    fn event(&mut self, cx: &mut dyn Services, event: Event<'_>) {
        match event {
            Event::Pin { level: true, .. } => self.until = Some(cx.now().saturating_add(PRESSED_NS)),
            Event::Alarm(_) => self.until = None,
            _ => {}
        }
    }

    fn settle(&mut self, cx: &mut dyn Services) {
        cx.set_pin(0, self.until.is_some());
        cx.alarm(0, self.until);
    }

    fn reset(&mut self, _: &mut dyn Services, _: Reset) {
        self.reset_state();
    }
}

/// The device type.
pub(crate) static GPIO_KEY: DeviceType = DeviceType {
    outputs: &[PinDecl::one("key")],
    inputs: &[PinDecl::one("button")],
    alarms: Count::Fixed(1),
    ..DeviceType::new("gpio-key", "Key at a GPIO line", |_| Ok(Box::new(GpioKey::default())))
};

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::{conformance, testing::Bench};

    #[test]
    fn conforms() {
        assert_eq!(conformance::check(&GPIO_KEY), Ok(()));
    }

    #[test]
    fn a_short_press_lasts_a_tenth_of_a_second() {
        let b = Bench::new(&GPIO_KEY, &[]);
        b.input("button", 0, true);
        b.input("button", 0, false);
        assert!(b.output("key", 0));
        b.advance(PRESSED_NS - 1);
        assert!(b.output("key", 0));
        b.advance(1);
        assert!(!b.output("key", 0));
    }
}
