#!/usr/bin/env python3
"""Writes ../fpu.ins: floating-point instructions with what a reference makes of them.

    HARNESS32=... HARNESS64=... python3 fpu.py > ../fpu.ins

The harnesses are fpu.c, compiled as its head says; they run under qemu-mipsel (24Kf, Status.FR
clear) and qemu-mips64el (MIPS64R2-generic, Status.FR set). Texts come from the Python package
capstone 5, and from binutils where it does not know a word. What the reference has not as the
manual has it, or cannot run as a user's program, is in ../fpu-manual.ins, by hand.
"""
import functools
import os
import struct
import subprocess
import tempfile
import capstone

IN = struct.Struct("<I8II32Q32Q256s")
OUT = struct.Struct("<IIQ32Q32Q256s")
NAMES = "zero at v0 v1 a0 a1 a2 a3 t0 t1 t2 t3 t4 t5 t6 t7 s0 s1 s2 s3 s4 s5 s6 s7 t8 t9 k0 k1 gp sp fp ra".split()
S, D, W, L, PS = 16, 17, 20, 21, 22


@functools.cache
def by_binutils(word):
    with tempfile.NamedTemporaryFile() as t:
        t.write(word.to_bytes(4, "big"))
        t.flush()
        objdump = ["mips64el-linux-gnuabi64-objdump", "-D", "-b", "binary", "-m", "mips:isa64r2", "-EB", t.name]
        listing = subprocess.run(objdump, capture_output=True, text=True, check=True).stdout
    return " ".join(listing.strip().splitlines()[-1].split()[2:])


class Reference:
    def __init__(self, bits):
        runner = ["qemu-mipsel", "-cpu", "24Kf", os.environ["HARNESS32"]] if bits == 32 else [
            "qemu-mips64el", "-cpu", "MIPS64R2-generic", os.environ["HARNESS64"]]
        self.bits = bits
        self.child = subprocess.Popen(runner, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        mode = capstone.CS_MODE_MIPS32 if bits == 32 else capstone.CS_MODE_MIPS64
        self.texts = capstone.Cs(capstone.CS_ARCH_MIPS, mode | capstone.CS_MODE_BIG_ENDIAN)

    def text(self, words):
        listing = [list(self.texts.disasm(w.to_bytes(4, "big"), 0)) for w in words]
        if not all(listing):
            assert not any(listing), listing
            return '~"' + "; ".join(map(by_binutils, words)) + '"'
        return '"' + "; ".join(f"{i[0].mnemonic} {i[0].op_str}".strip() for i in listing) + '"'

    def line(self, words, f={}, r={}, fcsr=0):
        words = [words] if isinstance(words, int) else words
        regs, floats = [0] * 32, [0] * 32
        for k, v in f.items():
            floats[k] = v
        for k, v in r.items():
            regs[k] = v
        self.child.stdin.write(IN.pack(len(words), *words, *[0] * (8 - len(words)), fcsr, *regs, *floats, b""))
        self.child.stdin.flush()
        out = OUT.unpack(self.child.stdout.read(OUT.size))
        signal, after_fcsr, pc = out[:3]
        before, after = [], []
        for i in range(32):
            if regs[i]:
                before.append(f"{NAMES[i]}={regs[i]:x}")
            if out[3 + i] != regs[i]:
                after.append(f"{NAMES[i]}={out[3 + i]:x}")
        for i in range(32):
            if floats[i]:
                before.append(f"f{i}={floats[i]:x}")
            if out[35 + i] != floats[i]:
                after.append(f"f{i}={out[35 + i]:x}")
        if fcsr:
            before.append(f"fcsr={fcsr:x}")
        if after_fcsr != fcsr:
            after.append(f"fcsr={after_fcsr:x}")
        if signal:
            what = {4: "reserved", 8: "exception code=f"}[signal]
            if pc:
                what += f" epc=+{pc:x}" if signal == 8 else ""
            after.insert(0, what)
        text = " ".join(f"{w:08x}" for w in words)
        print(" ".join([text, self.text(words), *before, "=>", *after]))


def cop1(fmt, ft, fs, fd, function):
    return 0x11 << 26 | fmt << 21 | ft << 16 | fs << 11 | fd << 6 | function


def cop1x(fr, ft, fs, fd, function):
    return 0x13 << 26 | fr << 21 | ft << 16 | fs << 11 | fd << 6 | function


# Encodings of 1.0, 2.0, ...
ONE, TWO, THREE, HALF, MINUS, TINY, BIG, INF = 0x3f800000, 0x40000000, 0x40400000, 0x3f000000, 0xbf800000, 0x00800001, 0x7f7fffff, 0x7f800000
QNAN, SNAN, ULP, MANY = 0x7fbfffff, 0x7fc00001, 0x3f800001, 0x4f32d05e


def double(v):
    return struct.unpack("<Q", struct.pack("<d", v))[0]


def binary(x, name, function):
    print(f"\n# {name}")
    pairs = [(ONE, TWO), (ULP, 0x33800000), (INF, INF), (INF, 0xff800000), (0, 0x80000000), (TINY, HALF), (BIG, BIG), (SNAN, ONE), (ONE, QNAN), (THREE, 0), (0, 0)]
    for a, b in pairs:
        x.line(cop1(S, 2, 1, 3, function), {1: a, 2: b, 3: 0x55aa55aa00000000})
    x.line(cop1(S, 2, 1, 3, function), {1: TINY, 2: THREE}, fcsr=3)
    x.line(cop1(S, 2, 1, 3, function), {1: SNAN, 2: THREE}, fcsr=0x800)
    x.line(cop1(S, 2, 1, 3, function), {1: ULP, 2: 0xb3800000}, fcsr=0x16080)
    x.line(cop1(S, 2, 1, 3, function), {1: ULP, 2: 0xb3800000}, fcsr=0xf800)
    for a, b in [(1.0, 2.0), (1.1, -1e-20), (1e308, 1e308), (3e-308, -7.0)]:
        doubles(x, cop1(D, 4, 2, 6, function), {2: double(a), 4: double(b)})


def doubles(x, words, values, **more):
    """Doubles in registers, which are pairs where the registers have 32 bits."""
    if x.bits == 32:
        values = {r + i: v >> 32 * i & 0xffffffff for r, v in values.items() for i in range(2)}
    x.line(words, values, **more)


def both(x):
    """What is there whatever Status.FR says."""
    for name, function in [("ADD", 0), ("SUB", 1), ("MUL", 2), ("DIV", 3)]:
        binary(x, name, function)
    print("\n# SQRT, MOV, and ABS and NEG of numbers")
    for function, values in [(4, (TWO, MINUS, 0x80000000, INF, 1)), (6, (SNAN, ONE)), (5, (MINUS, ONE, 0xff800000)), (7, (ONE, 0, 0xff800000))]:
        for v in values:
            x.line(cop1(S, 0, 1, 3, function), {1: v, 3: 0x55aa55aa00000000})
        doubles(x, cop1(D, 0, 2, 6, function), {2: double(2.0)})
    print("\n# To words")
    for function in [0xc, 0xd, 0xe, 0xf, 0x24]:
        for v in [0x40200000, 0xc0200000, 0x3effffff, MANY, 0xcf000000, QNAN]:
            x.line(cop1(S, 0, 1, 3, function), {1: v, 3: 0x55aa55aa00000000})
        doubles(x, cop1(D, 0, 2, 3, function), {2: double(-2147483648.5)})
    for rm in range(4):
        x.line(cop1(S, 0, 1, 3, 0x24), {1: 0xc0200000}, fcsr=rm)
    x.line(cop1(S, 0, 1, 3, 0x24), {1: MANY}, fcsr=0x800)
    print("\n# To other formats")
    for v in [0x7fffffff, 0x80000000, 0x55aa55aa00000003]:
        x.line(cop1(W, 0, 1, 3, 0x20), {1: v})
        doubles(x, cop1(W, 0, 1, 6, 0x21), {1: v} if x.bits == 64 else {0: v << 32})
    for v in [1.1, 1e39, -1e-40, 1e-50]:
        doubles(x, cop1(D, 0, 2, 3, 0x20), {2: double(v)})
    for v in [ULP, 1, INF, SNAN]:
        x.line(cop1(S, 0, 1, 6, 0x21), {1: v})
    print("\n# Comparisons")
    for cond in range(16):
        for a, b in [(ONE, TWO), (TWO, TWO), (TWO, ONE), (ONE, QNAN), (ONE, SNAN)]:
            x.line(cop1(S, 2, 1, (cond & 7) << 2, 0x30 | cond), {1: a, 2: b}, fcsr=0xfe800000 if cond & 4 else 0)
    doubles(x, cop1(D, 4, 2, 4, 0x3e), {2: double(-1.0), 4: double(1.0)})
    x.line(cop1(S, 2, 1, 0, 0x3c), {1: ONE, 2: QNAN}, fcsr=0x800800)
    print("\n# Moves by condition")
    for cc, tf in [(0, 1), (0, 0), (3, 1), (7, 0)]:
        fcsr = 0x08800000
        x.line(4 << 21 | cc << 18 | tf << 16 | 2 << 11 | 1, r={4: 5, 2: 6}, fcsr=fcsr)
        x.line(cop1(S, cc << 2 | tf, 1, 3, 0x11), {1: ONE, 3: 0x55aa55aa00000000}, fcsr=fcsr)
        doubles(x, cop1(D, cc << 2 | tf, 2, 4, 0x11), {2: double(1.5), 4: double(2.5)}, fcsr=fcsr)
    for function in [0x12, 0x13]:
        for v in [0, 1]:
            x.line(cop1(S, 5, 1, 3, function), {1: ONE, 3: 0x55aa55aa00000000}, {5: v})
            doubles(x, cop1(D, 5, 2, 4, function), {2: double(1.5), 4: double(2.5)}, r={5: v})
    print("\n# RECIP, RSQRT, and multiplication with addition")
    for function in [0x15, 0x16]:
        for v in [THREE, 0x80000000, INF, MINUS]:
            x.line(cop1(S, 0, 1, 3, function), {1: v})
        doubles(x, cop1(D, 0, 2, 4, function), {2: double(3.0)})
    for function in [0x20, 0x28, 0x30, 0x38]:
        for fs, ft, fr in [(ULP, ULP, MINUS), (BIG, ULP, BIG), (INF, 0, ONE), (ULP, ULP, SNAN)]:
            x.line(cop1x(3, 2, 1, 4, function), {1: fs, 2: ft, 3: fr})
        x.line(cop1x(3, 2, 1, 4, function), {1: BIG, 2: ULP, 3: BIG}, fcsr=0x280)
        x.line(cop1x(3, 2, 1, 4, function), {1: ULP, 2: ULP, 3: 0}, fcsr=0x280)
        doubles(x, cop1x(6, 4, 2, 8, function), {2: double(1.1), 4: double(3.3), 6: double(-3.63)})
    print("\n# Registers")
    long = 0x123456789abcdef0
    x.line(cop1(0, 2, 6, 0, 0), {6: long})
    x.line(cop1(4, 2, 6, 0, 0), {6: long}, {2: 0x80000001})
    x.line(cop1(3, 2, 6, 0, 0), {6: long, 7: 0x8765432100000005})
    x.line(cop1(7, 2, 6, 0, 0), {6: long, 7: 0x8765432100000005}, {2: 0x80000001})
    x.line(cop1(1, 2, 6, 0, 0), {6: long, 7: 5})
    x.line(cop1(5, 2, 6, 0, 0), {6: long, 7: 5}, {2: 7})
    for control in [25, 26, 28, 31]:
        x.line(cop1(2, 2, control, 0, 0), fcsr=0x9580b05e)
        x.line(cop1(6, 2, control, 0, 0), r={2: {25: 0xa5, 26: 0x2a054, 28: 0x506, 31: 0xa5fc0056}[control]}, fcsr=0x01000000)
    x.line(cop1(6, 2, 31, 0, 0), r={2: 0x1080})
    x.line(cop1(6, 2, 26, 0, 0), r={2: 0x8000}, fcsr=0x400)
    x.line(cop1(6, 2, 28, 0, 0), r={2: 0x400}, fcsr=0x8000)
    x.line(cop1(6, 2, 31, 0, 0), r={2: 0x20000})


def pairs_of_32(x):
    """Status.FR clear: a double in an odd register does not exist, nor longs."""
    print("\n# An odd register, and long integers")
    for w in [cop1(D, 5, 2, 0, 0), cop1(D, 4, 3, 0, 1), cop1(D, 4, 2, 1, 2), cop1(D, 0, 2, 1, 6), cop1(D, 0, 3, 0, 0x24), cop1(D, 0, 3, 0, 0x20),
              cop1(W, 0, 0, 3, 0x21), cop1(S, 0, 0, 3, 0x21), cop1(D, 5, 2, 0, 0x32), cop1x(3, 2, 4, 6, 0x21), cop1x(20, 0, 0, 5, 1), cop1x(20, 0, 5, 0, 9),
              cop1(S, 0, 1, 2, 8), cop1(D, 0, 2, 2, 0x25), cop1(L, 0, 1, 2, 0x20), cop1x(20, 0, 0, 4, 5), cop1x(20, 0, 4, 0, 13), cop1(PS, 2, 1, 0, 0), cop1(PS, 2, 1, 0, 0x2c)]:
        x.line(w)


def longs_and_pairs(x):
    """Status.FR set: long integers and paired single."""
    print("\n# Longs")
    for function in [8, 9, 0xa, 0xb, 0x25]:
        for v in [2.5, -2.5, 1e300, -9223372036854775808.0]:
            x.line(cop1(D, 0, 2, 3, function), {2: double(v)})
        x.line(cop1(S, 0, 1, 3, function), {1: 0x5f000000})
        x.line(cop1(S, 0, 1, 3, function), {1: 0xc0200000})
    for v in [0x7fffffffffffffff, 1 << 63, 3]:
        x.line(cop1(L, 0, 1, 3, 0x20), {1: v, 3: 0x55aa55aa00000000})
        x.line(cop1(L, 0, 1, 3, 0x21), {1: v})
    x.line(cop1(D, 5, 3, 7, 0), {5: double(1.0), 3: double(0.5)})
    print("\n# Pairs")
    pair = lambda high, low: high << 32 | low
    for function in [0, 1, 2]:
        x.line(cop1(PS, 2, 1, 3, function), {1: pair(ONE, TWO), 2: pair(THREE, MINUS)})
        x.line(cop1(PS, 2, 1, 3, function), {1: pair(ULP, SNAN), 2: pair(0x33800000, MINUS)})
        x.line(cop1(PS, 2, 1, 3, function), {1: pair(ULP, INF), 2: pair(0x33800000, TWO)}, fcsr=0x80)
    for function in [5, 6, 7]:
        x.line(cop1(PS, 0, 1, 3, function), {1: pair(MINUS, TWO)})
        x.line(cop1(PS, 0, 1, 3, function), {1: pair(ONE, 0xc0000000)})
    for function in [0x2c, 0x2d, 0x2e, 0x2f]:
        x.line(cop1(PS, 2, 1, 3, function), {1: pair(0x11, 0x22), 2: pair(0x33, 0x44)})
    x.line(cop1(S, 2, 1, 3, 0x26), {1: pair(0x11, 0x22), 2: pair(0x33, 0x44)}, fcsr=0x1004)
    for function in [0x20, 0x28]:
        x.line(cop1(PS, 0, 1, 3, function), {1: pair(0x11, 0x22), 3: pair(0x33, 0x44)}, fcsr=0x1004)
    for function in [0x26, 0x2e, 0x36, 0x3e]:
        x.line(cop1x(3, 2, 1, 4, function), {1: pair(ULP, TWO), 2: pair(ULP, THREE), 3: pair(MINUS, ONE)})
    for cc in [0, 2, 6]:
        x.line(cop1(PS, 2, 1, cc << 2, 0x3c), {1: pair(ONE, TWO), 2: pair(TWO, ONE)})
        x.line(cop1(PS, 2, 1, cc << 2, 0x32), {1: pair(SNAN, TWO), 2: pair(TWO, TWO)}, fcsr=0xfe800000)
        x.line(cop1(PS, cc << 2 | 1, 1, 3, 0x11), {1: pair(1, 2), 3: pair(3, 4)}, fcsr=0x88800000)
        x.line(cop1(PS, cc << 2, 1, 3, 0x11), {1: pair(1, 2), 3: pair(3, 4)}, fcsr=0x88800000)
    for function in [0x12, 0x13]:
        for v in [0, 0xffffffff00000000]:
            x.line(cop1(PS, 5, 1, 3, function), {1: pair(1, 2), 3: pair(3, 4)}, {5: v})
    for v in [0, 3, 4, 7, 12]:
        x.line(cop1x(5, 2, 1, 3, 0x1e), {1: pair(0x11, 0x22), 2: pair(0x33, 0x44), 3: 5}, {5: v})


print("# Floating point (MD00087) as a reference has it, written by reference/fpu.py.\n")
x = Reference(32)
print("# ---------------------------------------------------------------- Status.FR clear\n\ncpu=24Kf")
both(x)
pairs_of_32(x)
x = Reference(64)
print("\n# ---------------------------------------------------------------- Status.FR set\n\ncpu=MIPS64R2-generic status=340000e0")
both(x)
longs_and_pairs(x)
