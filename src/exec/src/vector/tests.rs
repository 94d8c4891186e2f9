use super::*;

#[test]
fn numbers_name_operations() {
    assert!(XOp::ALL.iter().enumerate().all(|(i, &op)| op as usize == i));
    assert!(!XOp::RsqrtEstimateU32.has_env() && XOp::SatAddS.has_env() && XOp::FpNarrow.has_env() && !XOp::AesEncrypt.has_env());
}

#[test]
fn every_operation_is_total() {
    let values = [0, 1, u128::MAX, 0x8000_0000_0000_0000_8000_0000_8000_8080, 0x7fff_ffff_ffff_ffff_7fff_ffff_7fff_7f7f];
    let mut seen = std::collections::HashSet::new();
    for &op in XOp::ALL {
        for esize in [0, 1, 2, 3, 4, 255] {
            for imm in [0, 1, 7, 15, 31, 63, 64, 127, 255, 0x1ff, u32::MAX] {
                for a in values {
                    for b in values {
                        let mut env = XEnv { fp: Env::arm(), saturated: false };
                        let r = eval(op, esize, imm, a, b, a ^ b, &mut env);
                        if !op.has_env() {
                            assert_eq!(r, eval_pure(op, esize, imm, a, b, a ^ b));
                            assert!(!env.saturated && env.fp.flags.is_empty());
                        }
                        if r != 0 {
                            seen.insert(op as u8);
                        }
                    }
                }
            }
        }
    }
    assert_eq!(seen.len(), XOp::ALL.len(), "an operation that no module has gives 0");
}

#[test]
fn meanings() {
    let x = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100u128;
    let p = |op, esize, imm, a, b| eval_pure(op, esize, imm, a, b, 0);
    assert_eq!(p(XOp::Add, 0, 0, x, 0xff), 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_01ff);
    assert_eq!(p(XOp::Reverse, 0, 3, x, 0), 0x0809_0a0b_0c0d_0e0f_0001_0203_0405_0607);
    assert_eq!(p(XOp::Reverse, 1, 2, x, 0), 0x0d0c_0f0e_0908_0b0a_0504_0706_0100_0302);
    assert_eq!(p(XOp::Unzip1, 1, 0, x, 0), 0x0d0c_0908_0504_0100);
    assert_eq!(p(XOp::Zip1, 0, 0, x, 0), 0x0007_0006_0005_0004_0003_0002_0001_0000);
    assert_eq!(p(XOp::Extract, 0, 3, x, 0xaa), x >> 24 | 0xaa << 104);
    assert_eq!(p(XOp::MulPolyWide, 3, 0, 0x8000_0000_0000_0001, 3), 1 << 64 | 0x8000_0000_0000_0003);
    assert_eq!(p(XOp::MulPoly, 0, 0, 0x83, 0x11), 0xb3);
    // The multiplicative inverse and affine map at 0x53, from FIPS 197.
    assert_eq!(p(XOp::AesEncrypt, 0, 0, 0x53, 0) & 0xff, 0xed);
    // The MixColumns example of FIPS 197: d4 bf 5d 30 -> 04 66 81 e5.
    assert_eq!(p(XOp::AesMix, 0, 0, 0x305d_bfd4, 0), 0xe581_6604);
    assert_eq!(p(XOp::AesUnmix, 0, 0, 0xe581_6604, 0), 0x305d_bfd4);
}
