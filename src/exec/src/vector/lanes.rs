//! A 128-bit value as lanes, and macros that run an expression on each lane of any size.

macro_rules! split_join {
    ($($split:ident $join:ident $t:ty, $n:literal;)*) => {$(
        /// The lanes, the lowest first.
        #[inline(always)]
        pub(super) fn $split(x: u128) -> [$t; $n] {
            const BYTES: usize = 16 / $n;
            let bytes = x.to_le_bytes();
            std::array::from_fn(|i| <$t>::from_le_bytes(std::array::from_fn(|k| bytes[i * BYTES + k])))
        }
        /// The value of lanes.
        #[inline(always)]
        pub(super) fn $join(lanes: [$t; $n]) -> u128 {
            const BYTES: usize = 16 / $n;
            let mut bytes = [0; 16];
            for (i, lane) in lanes.into_iter().enumerate() {
                bytes[i * BYTES..(i + 1) * BYTES].copy_from_slice(&lane.to_le_bytes());
            }
            u128::from_le_bytes(bytes)
        }
    )*};
}
split_join! {
    u8s from_u8s u8, 16;
    u16s from_u16s u16, 8;
    u32s from_u32s u32, 4;
    u64s from_u64s u64, 2;
}

/// Runs the body for each lane of one, two or three operands, as unsigned `T`; `S` is the signed
/// type of the size. The body gives a `T`.
macro_rules! lanes {
    ($esize:expr, |$($x:ident = $a:ident),+| $body:expr) => {
        match $esize & 3 {
            0 => lanes!(@ u8s, from_u8s, u8, i8, |$($x = $a),+| $body),
            1 => lanes!(@ u16s, from_u16s, u16, i16, |$($x = $a),+| $body),
            2 => lanes!(@ u32s, from_u32s, u32, i32, |$($x = $a),+| $body),
            _ => lanes!(@ u64s, from_u64s, u64, i64, |$($x = $a),+| $body),
        }
    };
    (@ $split:ident, $join:ident, $t:ty, $s:ty, |$($x:ident = $a:ident),+| $body:expr) => {{
        #[allow(dead_code)]
        type T = $t;
        #[allow(dead_code)]
        type S = $s;
        $(let $x = $split($a);)+
        // A plain loop over arrays: what LLVM vectorises.
        let mut out = [0 as T; 128 / T::BITS as usize];
        for (i, to) in out.iter_mut().enumerate() {
            $(let $x = $x[i];)+
            *to = $body;
        }
        $join(out)
    }};
}
pub(super) use lanes;

/// As [`lanes`] for operations from lanes of 8, 16 and 32 bits (of the low half) to twice the
/// size: `T` is the narrow type, `D` the wide one, `SD` the wide signed one.
macro_rules! widening {
    ($esize:expr, |$($x:ident = $a:ident),+| $body:expr) => {
        match $esize & 3 {
            0 => widening!(@ u8s, from_u16s, u8, i8, u16, i16, |$($x = $a),+| $body),
            1 => widening!(@ u16s, from_u32s, u16, i16, u32, i32, |$($x = $a),+| $body),
            _ => widening!(@ u32s, from_u64s, u32, i32, u64, i64, |$($x = $a),+| $body),
        }
    };
    (@ $split:ident, $join:ident, $t:ty, $s:ty, $d:ty, $sd:ty, |$($x:ident = $a:ident),+| $body:expr) => {{
        #[allow(dead_code)]
        type T = $t;
        #[allow(dead_code)]
        type S = $s;
        type D = $d;
        #[allow(dead_code)]
        type SD = $sd;
        $(let $x = $split($a);)+
        $join(std::array::from_fn(|i| -> D {
            $(let $x = $x[i];)+
            $body
        }))
    }};
}
pub(super) use widening;

/// Adjacent pairs of lanes of 8, 16 and 32 bits to lanes of twice the size.
macro_rules! pairs {
    ($esize:expr, |$x:ident, $y:ident = $a:ident| $body:expr) => {
        match $esize & 3 {
            0 => pairs!(@ u8s, from_u16s, i8, u16, i16, |$x, $y = $a| $body),
            1 => pairs!(@ u16s, from_u32s, i16, u32, i32, |$x, $y = $a| $body),
            _ => pairs!(@ u32s, from_u64s, i32, u64, i64, |$x, $y = $a| $body),
        }
    };
    (@ $split:ident, $join:ident, $s:ty, $d:ty, $sd:ty, |$x:ident, $y:ident = $a:ident| $body:expr) => {{
        #[allow(dead_code)]
        type S = $s;
        type D = $d;
        #[allow(dead_code)]
        type SD = $sd;
        let lanes = $split($a);
        $join(std::array::from_fn(|i| -> D {
            let ($x, $y) = (lanes[2 * i], lanes[2 * i + 1]);
            $body
        }))
    }};
}
pub(super) use pairs;

/// Lanes of 16, 32 and 64 bits to lanes of half the size in the low half; `esize` is the narrow
/// one. `W` is the wide type, `SW` the wide signed one, `T` and `S` the narrow ones.
macro_rules! narrowing {
    ($esize:expr, |$x:ident = $a:ident| $body:expr) => {
        match $esize & 3 {
            0 => narrowing!(@ u16s, from_u8s, 16, u16, i16, u8, i8, |$x = $a| $body),
            1 => narrowing!(@ u32s, from_u16s, 8, u32, i32, u16, i16, |$x = $a| $body),
            _ => narrowing!(@ u64s, from_u32s, 4, u64, i64, u32, i32, |$x = $a| $body),
        }
    };
    (@ $split:ident, $join:ident, $n:literal, $w:ty, $sw:ty, $t:ty, $s:ty, |$x:ident = $a:ident| $body:expr) => {{
        #[allow(dead_code)]
        type W = $w;
        #[allow(dead_code)]
        type SW = $sw;
        type T = $t;
        #[allow(dead_code)]
        type S = $s;
        let wide = $split($a);
        let mut out: [T; $n] = [0; $n];
        for (to, $x) in out.iter_mut().zip(wide) {
            *to = $body;
        }
        $join(out)
    }};
}
pub(super) use narrowing;
