//! Virtual time and the date.

use super::{Row, option, row};
use crate::config::*;
use crate::error::{Problem, shorten};
use crate::keyval::{KeyValues, number};

pub(super) const ROWS: &[Row] = &[row::<IcountOption>(), row::<RtcOption>()];

option! {
    /// Let virtual time follow the count of instructions: each takes 2^N nanoseconds
    IcountOption: "icount" => "[shift=]N|auto[,align=on|off][,sleep=on|off]", |draft, text| {
        draft.icount.0.extend(KeyValues::parse(text, Some("shift"))?.0);
        draft.config.icount = Some(icount(draft.icount.clone())?);
    }
}

fn icount(mut given: KeyValues) -> Result<Icount, Problem> {
    for key in ["rr", "rrfile", "rrsnapshot"] {
        if given.get(key).is_some() {
            return Err(format!("'{key}' (record and replay) is understood by QEMU, not yet implemented in Proteus").into());
        }
    }
    let shift = match given.take("shift").as_deref() {
        None => return Err("needs a shift, as in '-icount shift=0' or '-icount auto'".into()),
        Some("auto") => IcountShift::Auto,
        Some(text) => match number("shift", text) {
            Ok(n @ 0..=10) => IcountShift::Fixed(n as u8),
            _ => return Err(format!("'shift' is from 0 to 10, or auto, not '{}'", shorten(text)).into()),
        },
    };
    let align = given.take_bool("align")?.unwrap_or(false);
    let sleep = given.take_bool("sleep")?.unwrap_or(true);
    given.nothing_left(&["shift", "align", "sleep"])?;
    if align && shift == IcountShift::Auto {
        return Err("align=on needs a fixed shift".into());
    }
    if align && !sleep {
        return Err("align=on and sleep=off contradict each other".into());
    }
    Ok(Icount { shift, align, sleep })
}

option! {
    /// The date at the start, and what moves it on
    RtcOption: "rtc" => "[base=utc|localtime|YYYY-MM-DD[THH:MM:SS]][,clock=host|rt|vm][,driftfix=none|slew]", |draft, text| {
        let mut given = KeyValues::parse(text, Some("base"))?;
        let rtc = &mut draft.config.rtc;
        match given.take("base").as_deref() {
            None => {}
            Some("utc") => rtc.base = RtcBase::Utc,
            Some("localtime") => rtc.base = RtcBase::LocalTime,
            Some(date) => rtc.base = RtcBase::At(seconds(date).ok_or_else(|| {
                Problem(format!("'base' is utc, localtime or a date such as 2026-01-31T23:59:59, not '{}'", shorten(date)))
            })?),
        }
        let clocks = [("host", RtcClock::Host), ("rt", RtcClock::Rt), ("vm", RtcClock::Vm)];
        rtc.clock = given.take_choice("clock", &clocks)?.unwrap_or(rtc.clock);
        rtc.slew = given.take_choice("driftfix", &[("none", false), ("slew", true)])?.unwrap_or(rtc.slew);
        given.nothing_left(&["base", "clock", "driftfix"])?;
    }
}

/// A date, with or without time of day, in seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
    let [year, month, day] = fields(date, '-')?;
    let [hour, minute, second] = fields(time, ':')?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month - 1).ok()?)?;
    let valid = (1..=9999).contains(&year) && (1..=length).contains(&day);
    if !valid || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let earlier: i64 = lengths.iter().take(month as usize - 1).sum();
    // Days since 0001-01-01 of the Gregorian calendar; 1970-01-01 is day 719162.
    let past = year - 1;
    let days = past * 365 + past / 4 - past / 100 + past / 400 + earlier + day - 1 - 719_162;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn fields(text: &str, separator: char) -> Option<[i64; 3]> {
    let digits = |s: &str| {
        let good = (1..=4).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        good.then(|| s.parse().ok()).flatten()
    };
    let fields: Option<Vec<i64>> = text.split(separator).map(digits).collect();
    fields?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1970-01-02T00:00:01", Some(86401)),
            ("2006-06-17T16:01:21", Some(1_150_560_081)),
            ("2000-02-29", Some(951_782_400)),
            ("2100-02-28T23:59:59", Some(4_107_542_399)),
            ("1969-12-31T23:59:59", Some(-1)),
            ("2001-02-29", None),
            ("2001-13-01", None),
            ("2001-00-01", None),
            ("2001-01-00", None),
            ("2001-01-01T24:00:00", None),
            ("2001-01", None),
            ("2001-01-01-01", None),
            ("-2001-01-01", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
