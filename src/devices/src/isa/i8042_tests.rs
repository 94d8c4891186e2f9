use super::*;
use proteus_model::conformance::check;
use proteus_model::testing::Bench;

struct Guest(Bench);

impl Guest {
    fn new() -> Guest {
        Guest(Bench::new(&I8042, &[]))
    }

    fn command(&self, value: u8) {
        self.0.write("command", 0, Width::B1, value.into()).unwrap();
    }

    fn data(&self, value: u8) {
        self.0.write("data", 0, Width::B1, value.into()).unwrap();
    }

    fn status(&self) -> u8 {
        self.0.read("command", 0, Width::B1).unwrap() as u8
    }

    /// What comes: a byte, and whether it is the mouse's; interrupts with it.
    fn take(&self) -> Vec<(u8, bool)> {
        let mut all = vec![];
        while self.status() & 1 != 0 {
            let mouse = self.status() & 0x20 != 0;
            let pins = (self.0.output("keyboard", 0), self.0.output("mouse", 0));
            assert_eq!(pins, (!mouse, mouse));
            all.push((self.0.read("data", 0, Width::B1).unwrap() as u8, mouse));
        }
        assert!(!self.0.output("keyboard", 0) && !self.0.output("mouse", 0));
        all
    }

    fn keyboard(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().for_each(|byte| self.data(*byte));
        self.side(false)
    }

    fn mouse(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().for_each(|byte| {
            self.command(0xd4);
            self.data(*byte);
        });
        self.side(true)
    }

    fn side(&self, mouse: bool) -> Vec<u8> {
        self.take().into_iter().map(|(byte, from)| if from == mouse { byte } else { panic!("from the other side") }).collect()
    }

    fn controller(&self, command: u8) -> Vec<u8> {
        self.command(command);
        self.side(false)
    }
}

#[test]
fn conforms() {
    check(&I8042).unwrap();
}

#[test]
fn keyboard_and_mouse_answer_their_commands() {
    for (bytes, answers) in [
        (&[0xff][..], &[0xfa, 0xaa][..]),
        (&[0xf2], &[0xfa, 0xab, 0x83]),
        (&[0xee], &[0xee]),
        (&[0xed, 7], &[0xfa, 0xfa]),
        (&[0xf3, 0], &[0xfa, 0xfa]),
        (&[0xf0, 0], &[0xfa, 0xfa, 2]),
        (&[0xf4], &[0xfa]),
        (&[0xf5], &[0xfa]),
        (&[0x12], &[0xfe]),
    ] {
        assert_eq!(Guest::new().keyboard(bytes), answers, "{bytes:x?}");
    }
    for (bytes, answers) in [
        (&[0xff][..], &[0xfa, 0xaa, 0][..]),
        (&[0xf2], &[0xfa, 0]),
        (&[0xf3, 60, 0xe8, 3, 0xe7, 0xf4, 0xe9], &[0xfa, 0x30, 3, 60]),
        (&[0xeb], &[0xfa, 8, 0, 0]),
        (&[0x12], &[0xfe]),
    ] {
        let g = Guest::new();
        bytes[..bytes.len() - 1].iter().for_each(|byte| drop(g.mouse(&[*byte])));
        assert_eq!(g.mouse(&bytes[bytes.len() - 1..]), answers, "{bytes:x?}");
    }
}

#[test]
fn the_controller_answers_its_commands() {
    let g = Guest::new();
    assert_eq!((g.status(), g.controller(0xaa), g.controller(0xab), g.controller(0xa9)), (0x14, vec![0x55], vec![0], vec![0]));
    assert_eq!((g.controller(0x20), g.controller(0xd0)), (vec![7], vec![0xcf]));
    g.command(0x60);
    g.data(0x64);
    assert_eq!(g.status() & 8, 0);
    g.command(0xaa);
    // Without its interrupt a byte is there all the same.
    assert_eq!((g.status() & 0x29, g.0.output("keyboard", 0), g.0.read("data", 0, Width::B1)), (9, false, Ok(0x55)));
    for (command, byte, mouse) in [(0xd2, 0x1c, false), (0xd3, 0x2c, true)] {
        let g = Guest::new();
        g.command(command);
        g.data(byte);
        assert_eq!(g.take(), [(byte, mouse)]);
    }
}

#[test]
fn a_side_that_is_turned_off_waits() {
    let g = Guest::new();
    g.command(0xa7);
    assert_eq!(g.mouse(&[0xf2]), []);
    g.command(0xa8);
    assert_eq!(g.take(), [(0xfa, true), (0, true)]);
    g.command(0xad);
    assert_eq!(g.controller(0x20), [0x17]);
    assert_eq!(g.keyboard(&[0xee]), [0xee], "a byte for it turns it on");
    assert_eq!(g.controller(0x20), [7]);
}

#[test]
fn the_machine_is_reset_and_address_line_20_switched() {
    let reset = Some(SystemRequest::Reset);
    for (command, data, request, a20) in
        [(0xfe, None, reset, true), (0xff, None, None, true), (0xdd, None, None, false), (0xd1, Some(0xdd), None, false), (0xd1, Some(0xfe), reset, true)]
    {
        let g = Guest::new();
        assert!(g.0.output("a20", 0));
        g.command(command);
        data.into_iter().for_each(|byte| g.data(byte));
        assert_eq!((g.0.machine.take_request(), g.0.output("a20", 0)), (request, a20), "{command:#x}");
    }
}
