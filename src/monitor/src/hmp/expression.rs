//! Expressions of HMP: numbers, characters, `$register`, and the operators, which bind as QEMU's
//! do: `+ -` least, then `& | ^`, then `* / %`.

/// What stands between parentheses at most.
const DEEPEST: usize = 64;

/// Reads an expression from the start of `text`; gives its value and what follows. `register` gives
/// values by name.
///
/// # Errors
/// What is wrong, for the user.
pub fn read<'a>(text: &'a str, register: &dyn Fn(&str) -> Option<u64>) -> Result<(u64, &'a str), String> {
    let mut reader = Reader { rest: text.trim_start(), register, depth: 0 };
    let value = reader.sum()?;
    Ok((value as u64, reader.rest))
}

struct Reader<'a, 'r> {
    rest: &'a str,
    register: &'r dyn Fn(&str) -> Option<u64>,
    depth: usize,
}

impl<'a> Reader<'a, '_> {
    fn next_is(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default().trim_start();
    }

    /// Takes one of the operators, if it is next.
    fn operator(&mut self, all: &str) -> Option<char> {
        let found = self.next_is().filter(|c| all.contains(*c))?;
        self.skip(1);
        Some(found)
    }

    fn sum(&mut self) -> Result<i64, String> {
        let mut value = self.logic()?;
        while let Some(c) = self.operator("+-") {
            let other = self.logic()?;
            value = if c == '+' { value.wrapping_add(other) } else { value.wrapping_sub(other) };
        }
        Ok(value)
    }

    fn logic(&mut self) -> Result<i64, String> {
        let mut value = self.product()?;
        while let Some(c) = self.operator("&|^") {
            let other = self.product()?;
            value = match c {
                '&' => value & other,
                '|' => value | other,
                _ => value ^ other,
            };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<i64, String> {
        let mut value = self.unary()?;
        while let Some(c) = self.operator("*/%") {
            let other = self.unary()?;
            value = match c {
                '*' => value.wrapping_mul(other),
                _ if other == 0 => return Err("division by zero".into()),
                '/' => value.wrapping_div(other),
                _ => value.wrapping_rem(other),
            };
        }
        Ok(value)
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("expression is too deep".into());
        }
        let value = match self.next_is() {
            Some('+') => {
                self.skip(1);
                self.unary()
            }
            Some('-') => {
                self.skip(1);
                Ok(self.unary()?.wrapping_neg())
            }
            Some('~') => {
                self.skip(1);
                Ok(!self.unary()?)
            }
            Some('(') => {
                self.skip(1);
                let value = self.sum()?;
                self.operator(")").map(|_| value).ok_or_else(|| "')' expected".into())
            }
            Some('\'') => self.character(),
            Some('$') => self.named(),
            Some(c) if c.is_ascii_digit() => self.number(),
            Some(_) => Err("invalid char in expression".into()),
            None => Err("unexpected end of expression".into()),
        };
        self.depth -= 1;
        value
    }

    fn character(&mut self) -> Result<i64, String> {
        let mut chars = self.rest.chars();
        match (chars.next(), chars.next(), chars.next()) {
            (_, Some(c), Some('\'')) => {
                self.skip(2 + c.len_utf8());
                Ok(i64::from(u32::from(c)))
            }
            _ => Err("missing terminating ' character".into()),
        }
    }

    fn named(&mut self) -> Result<i64, String> {
        let rest = &self.rest[1..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
        let value = (self.register)(&rest[..end]).ok_or("unknown register")?;
        self.skip(1 + end);
        Ok(value as i64)
    }

    fn number(&mut self) -> Result<i64, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let value = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16),
            None if word.len() > 1 && word.starts_with('0') => u64::from_str_radix(word, 8),
            None => word.parse(),
        };
        let value = value.map_err(|_| "invalid char in expression".to_string())?;
        self.skip(end);
        Ok(value as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_qemus_values() {
        let registers = |name: &str| (name == "pc").then_some(0x1000);
        type Case = (&'static str, Result<(i64, &'static str), &'static str>);
        let cases: &[Case] = &[
            ("1+2*3", Ok((7, ""))),
            ("0x10|3+1", Ok((20, ""))),
            ("  010 next", Ok((8, "next"))),
            ("-(2 - 5)%2", Ok((1, ""))),
            ("~0", Ok((-1, ""))),
            ("'a' + $pc", Ok((0x1061, ""))),
            ("0xffffffffffffffff", Ok((-1, ""))),
            ("-9223372036854775807-1", Ok((i64::MIN, ""))),
            ("$foo", Err("unknown register")),
            ("1/0", Err("division by zero")),
            ("1%0", Err("division by zero")),
            ("(1", Err("')' expected")),
            ("", Err("unexpected end of expression")),
            ("1+", Err("unexpected end of expression")),
            ("é", Err("invalid char in expression")),
            ("'é", Err("missing terminating ' character")),
            ("0x", Err("invalid char in expression")),
            ("99999999999999999999", Err("invalid char in expression")),
        ];
        for (text, want) in cases {
            let got = read(text, &registers);
            assert_eq!(got, want.map(|(v, rest)| (v as u64, rest)).map_err(str::to_string), "{text}");
        }
        assert!(read(&"(".repeat(1 << 20), &registers).is_err());
        assert!(read(&"-".repeat(1 << 20), &registers).is_err());
        assert!(read("(-9223372036854775807-1)/-1", &registers).is_ok());
    }
}
