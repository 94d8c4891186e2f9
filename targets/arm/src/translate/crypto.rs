//! The cryptographic extensions.

use super::fp_check;
use super::simd::write_low;
use crate::a64::*;
use crate::state;
use proteus_exec::ops::*;

#[inline(always)]
fn v<O: Ops>(o: &mut O, r: u32) -> O::X {
    o.xget(state::v(r))
}

/// An operation on destination and operand.
#[inline(always)]
fn onto<O: Ops>(o: &mut O, a: &X2, op: XOp) -> R<O> {
    fp_check(o)?;
    let d = v(o, a.rd);
    let n = v(o, a.rn);
    let r = o.x(op, 0, 0, d, n, n);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
#[inline(always)]
fn unary<O: Ops>(o: &mut O, a: &X2, op: XOp) -> R<O> {
    fp_check(o)?;
    let n = v(o, a.rn);
    let r = o.x(op, 0, 0, n, n, n);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
#[inline(always)]
fn ternary<O: Ops>(o: &mut O, a: &X3, op: XOp) -> R<O> {
    fp_check(o)?;
    let d = v(o, a.rd);
    let n = v(o, a.rn);
    let m = v(o, a.rm);
    let r = o.x(op, 0, 0, d, n, m);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
macro_rules! steps {
    ($set:ident: $($doc:literal $name:ident = $f:ident($op:ident);)*) => {$(
        #[doc = $doc]
        pub fn $name<O: Ops>(o: &mut O, a: &$set) -> R<O> {
            $f(o, a, XOp::$op)
        }
    )*};
}
steps! { X2:
    "AESE" aese = onto(AesEncrypt);
    "AESD" aesd = onto(AesDecrypt);
    "AESMC" aesmc = unary(AesMix);
    "AESIMC" aesimc = unary(AesUnmix);
    "SHA1SU1" sha1su1 = onto(Sha1Schedule1);
    "SHA256SU0" sha256su0 = onto(Sha256Schedule0);
    "SHA512SU0" sha512su0 = onto(Sha512Schedule0);
}
steps! { X3:
    "SHA1C" sha1c = ternary(Sha1Choose);
    "SHA1P" sha1p = ternary(Sha1Parity);
    "SHA1M" sha1m = ternary(Sha1Majority);
    "SHA1SU0" sha1su0 = ternary(Sha1Schedule0);
    "SHA256H" sha256h = ternary(Sha256Hash);
    "SHA256SU1" sha256su1 = ternary(Sha256Schedule1);
    "SHA512H" sha512h = ternary(Sha512Hash);
    "SHA512H2" sha512h2 = ternary(Sha512Hash2);
    "SHA512SU1" sha512su1 = ternary(Sha512Schedule1);
}
/// SHA256H2: the halves of the hash in the other order.
pub fn sha256h2<O: Ops>(o: &mut O, a: &X3) -> R<O> {
    fp_check(o)?;
    let d = v(o, a.rd);
    let n = v(o, a.rn);
    let m = v(o, a.rm);
    let r = o.x(XOp::Sha256Hash2, 0, 0, n, d, m);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
/// SHA1H.
pub fn sha1h<O: Ops>(o: &mut O, a: &X2) -> R<O> {
    fp_check(o)?;
    let n = o.get(state::v(a.rn));
    let r = o.bin_imm(Bin::Ror, W::W32, n, 2);
    write_low(o, a.rd, r);
    Ok(Flow::Next)
}

/// EOR3.
pub fn eor3<O: Ops>(o: &mut O, a: &X4) -> R<O> {
    fp_check(o)?;
    let n = v(o, a.rn);
    let m = v(o, a.rm);
    let c = v(o, a.ra);
    let r = o.x(XOp::Xor, 0, 0, n, m, m);
    let r = o.x(XOp::Xor, 0, 0, r, c, c);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
/// BCAX.
pub fn bcax<O: Ops>(o: &mut O, a: &X4) -> R<O> {
    fp_check(o)?;
    let n = v(o, a.rn);
    let m = v(o, a.rm);
    let c = v(o, a.ra);
    let r = o.x(XOp::AndNot, 0, 0, m, c, c);
    let r = o.x(XOp::Xor, 0, 0, r, n, n);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
/// Doublewords rotated right.
#[inline(always)]
fn rotate<O: Ops>(o: &mut O, x: O::X, by: u32) -> O::X {
    let right = o.x(XOp::ShrU, 3, by, x, x, x);
    // The shift by 64 of a rotation by 0 gives 0.
    o.x(XOp::ShlInsert, 3, 64 - by, right, x, x)
}
/// RAX1.
pub fn rax1<O: Ops>(o: &mut O, a: &X3) -> R<O> {
    fp_check(o)?;
    let n = v(o, a.rn);
    let m = v(o, a.rm);
    let m = rotate(o, m, 63);
    let r = o.x(XOp::Xor, 0, 0, n, m, m);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
/// XAR.
pub fn xar<O: Ops>(o: &mut O, a: &Xar) -> R<O> {
    fp_check(o)?;
    let n = v(o, a.rn);
    let m = v(o, a.rm);
    let x = o.x(XOp::Xor, 0, 0, n, m, m);
    let r = rotate(o, x, a.imm);
    o.xset(state::v(a.rd), r);
    Ok(Flow::Next)
}
