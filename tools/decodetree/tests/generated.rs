//! Compiles generated text and runs it.

use std::path::Path;
use std::process::{Command, Output};

const TABLE: &str = "
&addsub=AddSub sf sh imm rn rd
&adr rd imm
&mem size rn rt imm
ADD_i 	sf:1 0 0 100010 sh:1 imm:12 rn:5 rd:5           &addsub
SUB_i   sf:1 1 0 100010 sh:1 imm:12 rn:5 rd:5           &addsub
ADRP    1 lo:2 10000 hi:19 rd:5  %imm:s=hi,lo,000000000000  &adr
LDR     size:2 111000010 imm:s9 01 rn:5 rt:5  !size,rn=0b11xxxx1  &mem ?lse
LDR_0   size:2 111000011 _a:3 _b:6 01 rn:5 rt:5 !_a,_b=0b11111xxxx imm=-4 &mem
{
YIELD   11010101000000110010000000111111
HINT_n  110101010000001100100000 ... 11111
}
{
RARE    0000 00000000000000000000000000 _f:2 !_f=0,1,2
REST    0000 ............................
}
";

const MAIN: &str = r#"
#![deny(warnings)]
mod ops {
    pub trait Ops: Sized {
        type Out;
        fn finish(&mut self, r: R<Self>) -> Self::Out;
    }
    pub type R<O> = (String, std::marker::PhantomData<O>);
}
mod translate {
    use crate::a::*;
    use crate::ops::*;
    pub fn add_i<O: Ops>(_: &mut O, a: &AddSub) -> R<O> { (format!("add {a:?}"), Default::default()) }
    pub fn sub_i<O: Ops>(_: &mut O, a: &AddSub) -> R<O> { (format!("sub {a:?}"), Default::default()) }
    pub fn adrp<O: Ops>(_: &mut O, a: &Adr) -> R<O> { (format!("adrp {a:?}"), Default::default()) }
    pub fn ldr<O: Ops>(_: &mut O, a: &Mem) -> R<O> { (format!("ldr {a:?}"), Default::default()) }
    pub fn ldr_0<O: Ops>(_: &mut O, a: &Mem) -> R<O> { (format!("ldr_0 {a:?}"), Default::default()) }
    pub fn r#yield<O: Ops>(_: &mut O) -> R<O> { ("yield".to_string(), Default::default()) }
    pub fn hint_n<O: Ops>(_: &mut O) -> R<O> { ("hint".to_string(), Default::default()) }
    pub fn rare<O: Ops>(_: &mut O) -> R<O> { ("rare".to_string(), Default::default()) }
    REST
}
#[allow(dead_code)]
mod a { include!("a.rs"); }
struct Nothing;
impl ops::Ops for Nothing {
    type Out = String;
    fn finish(&mut self, r: ops::R<Self>) -> String { r.0 }
}
fn linear(w: u32) -> Option<a::Id> {
    a::ALL.into_iter().find(|&i| {
        let (mask, value) = a::PATTERNS[i as usize];
        w & mask == value && a::EXCLUSIONS[i as usize].iter().all(|(m, v)| w & m != *v)
    })
}
fn run(w: u32) -> String {
    match a::decode(w) {
        Some(i) => a::Table::<Nothing>::FUNCTIONS[i as usize](&mut Nothing, w),
        None => "none".to_string(),
    }
}
fn main() {
    let mut s = 0x9e3779b9u32;
    for _ in 0..1_000_000 {
        s ^= s << 13; s ^= s >> 17; s ^= s << 5;
        assert_eq!(a::decode(s), linear(s), "{s:#x}");
    }
    for id in a::ALL {
        for e in 0..10_000u32 {
            let w = a::random(id, e.wrapping_mul(0x9e3779b1));
            assert_eq!(a::decode(w), Some(id));
            assert_eq!(linear(w), Some(id));
        }
    }
    assert_eq!(run(0x91001420), "add AddSub { sf: 1, sh: 0, imm: 5, rn: 1, rd: 0 }");
    assert_eq!(run(0xf0ffffe3), "adrp Adr { rd: 3, imm: -4096 }");
    assert_eq!(run(0x785ff4e3), "ldr Mem { size: 1, rn: 7, rt: 3, imm: -1 }");
    assert_eq!(run(0xd503203f), "yield");
    assert_eq!(run(0xd503205f), "hint");
    assert_eq!(run(0xffffffff), "none");
    assert_eq!(a::FEATURES[a::Id::LDR as usize], a::Feature::Lse);
    assert_eq!(a::FEATURES[a::Id::LDR_0 as usize], a::Feature::Base);
    assert_eq!((a::COUNT, a::NAMES[0]), (9, "ADD_i"));
    println!("ok");
}
"#;

fn compile(dir: &Path, rest: &str) -> Output {
    let builder = decodetree::Builder::new("a").text("t", TABLE);
    let text = builder.semantics("crate::translate").import("use crate::ops::Ops;").source().unwrap();
    std::fs::write(dir.join("a.rs"), text).unwrap();
    std::fs::write(dir.join("main.rs"), MAIN.replace("REST", rest)).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Command::new(rustc).current_dir(dir).args(["--edition=2024", "-O", "main.rs", "-o", "main"]).output().unwrap()
}

#[test]
fn generated_text_compiles_without_warnings_and_decodes() {
    let dir = tempfile::tempdir().unwrap();
    let rest = r#"pub fn rest<O: Ops>(_: &mut O) -> R<O> { ("rest".to_string(), Default::default()) }"#;
    let output = compile(dir.path(), rest);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(dir.path().join("main")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_missing_function_does_not_compile() {
    let dir = tempfile::tempdir().unwrap();
    let output = compile(dir.path(), "");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot find function `rest`"));
}
