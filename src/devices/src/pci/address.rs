//! Where the user wants a function on its bus.

use proteus_model::{PropError, PropertyDecl, PropertyDefault, PropertyKind, Props};

/// Property `addr`, of every function that a user can add. The board obeys it.
pub const ADDR: PropertyDecl = PropertyDecl {
    name: "addr",
    kind: PropertyKind::String,
    default: PropertyDefault::None,
    doc: "Slot on the bus, and after a point the function in it, in hexadecimal; without it the board chooses",
};

/// Device (0 to 31) and function (0 to 7) that property `addr` names, if it is given. As QEMU has
/// it: hexadecimal, `DEVICE.FUNCTION` or `DEVICE` alone, which is its function 0.
pub fn parse_address(props: &Props) -> Result<Option<(u8, u8)>, PropError> {
    let Some(text) = props.str(ADDR.name) else { return Ok(None) };
    let number = |text: &str, most: u8| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let plain = digits.chars().all(|c| c.is_ascii_hexdigit());
        u8::from_str_radix(digits, 16).ok().filter(|n| plain && *n <= most)
    };
    let (device, function) = text.split_once('.').unwrap_or((text, "0"));
    match (number(device, 31), number(function, 7)) {
        (Some(device), Some(function)) => Ok(Some((device, function))),
        _ => Err(props.refuse(format!("addr={text}: give a device of 0 to 1f, and if wanted .0 to .7 after it, in hexadecimal"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proteus_model::DeviceType;

    #[test]
    fn addresses_are_hexadecimal() {
        static TYPE: DeviceType = DeviceType { properties: &[ADDR], ..DeviceType::new("toy", "Toy", |props| Err(props.refuse("it is a toy"))) };
        assert_eq!(parse_address(&Props::new(&TYPE)), Ok(None));
        let parse = |text| parse_address(&Props::with(&TYPE, &[(ADDR.name, text)]).unwrap());
        for (text, want) in [("3", (3, 0)), ("0x12", (0x12, 0)), ("1f.7", (31, 7)), ("0a.0x1", (10, 1)), ("12", (18, 0))] {
            assert_eq!(parse(text), Ok(Some(want)), "{text}");
        }
        for text in ["", "20", "1.8", "-1", "+1", "1.", ".1", "g", "1.1.1", "0x"] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("addr="), "{error}");
        }
    }
}
