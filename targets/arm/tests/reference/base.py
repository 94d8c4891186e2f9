"""Writes immediate.ins, integer.ins, branch.ins, memory.ins and atomic.ins from the reference, and the part of
system.ins that EL0 sees, to the folder above. Hand-written lines are in other files."""
import os, random, sys
from reference import lines

E = "0 1 2 7f 80 ff 7fff 8000 7fffffff 80000000 ffffffff 100000000 7fffffffffffffff 8000000000000000 fffffffffffffffe ffffffffffffffff 123456789abcdef0 deadbeefcafebabe aaaaaaaa55555555".split()
OLD = "x0=a5a5a5a5a5a5a5a5"
rng = random.Random(8)
cases = []


def add(asm, before=""):
    cases.append((asm, before))


def many(asm, sources, n=4, extra="", first=()):
    """`n` lines of `asm` with edge values in `sources`; `first` are tuples that must be there."""
    seen = []
    for t in first:
        seen.append(tuple(t.split()))
    while len(seen) < n:
        t = tuple(rng.choice(E) for _ in sources)
        if t not in seen:
            seen.append(t)
    for t in seen:
        add(asm, " ".join([extra] + [f"{r}={v}" for r, v in zip(sources, t)]).strip())


def both(asm):
    """The X and the W form: registers are written as %0."""
    return [asm.replace("%", "x"), asm.replace("%", "w")]


def write(name, title):
    """The file of what was added, each section a feature level."""
    global cases
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", name)
    with open(path, "w") as f:
        f.write(f"# {title} Written by reference/base.py.\n")
        for feature, part in sections:
            f.write(f"\ncpu={feature}\n" + "\n".join(lines(part)) + "\n")
    sections.clear()


sections = []


def section(cpu):
    """Ends a section: what was added since the last one holds for `cpu`."""
    global cases
    sections.append((cpu, cases))
    cases = []


# ---- Data processing, immediate.
def immediate():
    for d in (8, -4, 1, 0, 0xffffd, -0x100000):
        add(f"adr x0, .{d:+d}")
    for lo, hi in ((0, 0), (1, 0), (3, 0x7ffff), (0, 0x40000), (2, 0x3ffff)):
        add(f".inst {0x90000000 | lo << 29 | hi << 5:#x}")
    for op in ("add", "adds", "sub", "subs"):
        for a in both(f"{op} %0, %1, #"):
            many(a + "1", ["x1"], 6, first=["7fffffffffffffff", "ffffffffffffffff", "ffffffff", "7fffffff"])
            many(a + "0", ["x1"], 2)
            many(a + "4095", ["x1"], 3, first=["fff"])
            many(a + "4095, lsl #12", ["x1"], 3, first=["fff000"])
        if op[-1] == "s":
            add(f"{op} xzr, x1, #1", "x1=1")
            add(f"{op} x0, sp, #16", "sp=40010010")
        else:
            add(f"{op} sp, sp, #32", "sp=40010040")
            add(f"{op} x0, sp, #1", "")
            add(f"{op} wsp, wsp, #1", "sp=1234567840010040")
    for op in ("and", "orr", "eor", "ands"):
        for k in ("0x1", "0x5555555555555555", "0xff00ff00ff00ff00", "0x7ffffffffffffffe", "0x8000000000000001", "0xffffffff00000000", "0xe7e7e7e7e7e7e7e7"):
            many(f"{op} x0, x1, #{k}", ["x1"], 2, first=["ffffffffffffffff"])
        for k in ("0x1", "0x80000001", "0xf0f0f0f", "0x7ffffffe", "0xffff8000"):
            many(f"{op} w0, w1, #{k}", ["x1"], 2, first=["ffffffffffffffff"])
        add(f"{op} x0, xzr, #0xf0", "")
        if op != "ands":
            add(f"{op} sp, x1, #0xfffffffffffffff0", "x1=4001001f")
        else:
            add("ands xzr, x1, #0x8000000000000000", "x1=8000000000000000 nzcv=7")
            add("ands w0, w1, #0x80000000", "x1=80000000 nzcv=3")
    for op in ("movz", "movn", "movk"):
        for s in (0, 16, 32, 48):
            add(f"{op} x0, #0x1234, lsl #{s}", OLD)
            if s < 32:
                add(f"{op} w0, #0xabcd, lsl #{s}", OLD)
        add(f"{op} x0, #0", OLD)
        add(f"{op} w0, #0xffff", OLD)
        add(f"{op} xzr, #0xffff", "")
    fields = [(0, 0), (0, 7), (0, 15), (0, 31), (0, 63), (1, 63), (63, 63), (63, 0), (4, 3), (32, 31), (60, 7), (8, 23), (31, 63), (0, 62), (61, 31), (62, 62)]
    small = [(0, 0), (0, 7), (0, 15), (0, 31), (1, 31), (31, 0), (31, 31), (4, 3), (28, 7), (8, 23), (16, 15)]
    for op in ("sbfm", "ubfm", "bfm"):
        for r, s in fields:
            add(f"{op} x0, x1, #{r}, #{s}", f"{OLD} x1={rng.choice(['123456789abcdef0', 'fedcba9876543210', '8000000080008081'])}")
        for r, s in small:
            add(f"{op} w0, w1, #{r}, #{s}", f"{OLD} x1={rng.choice(['123456789abcdef0', 'fedcba9876543210', '8000000080008081'])}")
    for lsb in (0, 1, 31, 32, 63):
        add(f"extr x0, x1, x2, #{lsb}", f"{OLD} x1=123456789abcdef0 x2=fedcba9876543210")
        add(f"extr x0, x1, x1, #{lsb}", f"{OLD} x1=123456789abcdef1")
        if lsb < 32:
            add(f"extr w0, w1, w2, #{lsb}", f"{OLD} x1=123456789abcdef0 x2=fedcba9876543210")
            add(f"extr w0, w1, w1, #{lsb}", f"{OLD} x1=123456789abcdef1")


# ---- Data processing, register.
def register():
    for op in ("and", "bic", "orr", "orn", "eor", "eon", "ands", "bics"):
        for a in both(f"{op} %0, %1, %2"):
            many(a, ["x1", "x2"], 5, OLD)
            for shift in ("lsl #1", "lsr #31", "asr #31", "ror #13"):
                many(f"{a}, {shift}", ["x1", "x2"], 2, OLD, first=["ffffffffffffffff deadbeefcafebabe"])
        for shift in ("lsl #63", "lsr #63", "asr #63", "ror #63"):
            many(f"{op} x0, x1, x2, {shift}", ["x1", "x2"], 1, "", first=["123456789abcdef0 8000000000000003"])
        add(f"{op} x0, xzr, x2", "x2=1234")
        if op[-1] == "s":
            many(f"{op} xzr, x1, x2", ["x1", "x2"], 3, "nzcv=f", first=["8000000000000000 8000000000000000"])
    for op in ("add", "adds", "sub", "subs"):
        for a in both(f"{op} %0, %1, %2"):
            many(a, ["x1", "x2"], 8, "", first=["7fffffffffffffff 1", "8000000000000000 8000000000000000", "ffffffffffffffff 1", "7fffffff 1", "80000000 ffffffff"])
            for shift in ("lsl #1", "lsr #31", "asr #31"):
                many(f"{a}, {shift}", ["x1", "x2"], 2)
        many(f"{op} x0, x1, x2, asr #63", ["x1", "x2"], 2)
        many(f"{op} x0, xzr, x2", ["x2"], 2)
        for ext in ("uxtb", "uxth", "uxtw", "sxtb", "sxth", "sxtw"):
            many(f"{op} x0, x1, w2, {ext} #{rng.randrange(5)}", ["x1", "x2"], 2, first=["fffffffffffffff0 8081828384858687"])
            many(f"{op} w0, w1, w2, {ext} #{rng.randrange(5)}", ["x1", "x2"], 1, first=["fffffffffffffff0 8081828384858687"])
        many(f"{op} x0, x1, x2, uxtx #4", ["x1", "x2"], 2)
        many(f"{op} x0, sp, x2, sxtx", ["x2"], 1)
        if op[-1] == "s":
            many(f"{op} xzr, x1, x2", ["x1", "x2"], 3)
        else:
            add(f"{op} sp, sp, x2", "x2=10")
            add(f"{op} sp, x1, w2, uxtw #4", "x1=40010000 x2=ffffffff00000010")
    for op in ("adc", "adcs", "sbc", "sbcs"):
        for a in both(f"{op} %0, %1, %2"):
            for c in ("0", "2"):
                many(a, ["x1", "x2"], 7, f"nzcv={c}", first=["ffffffffffffffff 0", "0 0", "0 ffffffffffffffff", "7fffffff 7fffffffffffffff", "8000000000000000 80000000"])
    for op in ("ccmp", "ccmn"):
        for a in both(f"{op} %1, "):
            r = "x2" if " x1" in a else "w2"
            for cond, f in (("eq", 4), ("eq", 0), ("ge", 9), ("hi", 2), ("lt", 1), ("al", 0)):
                many(f"{a}{r}, #{rng.randrange(16)}, {cond}", ["x1", "x2"], 1, f"nzcv={f:x}")
                many(f"{a}#{rng.randrange(32)}, #{rng.randrange(16)}, {cond}", ["x1"], 1, f"nzcv={f:x}")
            many(f"{a}{r}, #5, ne", ["x1", "x2"], 4, "nzcv=0", first=["7fffffffffffffff ffffffffffffffff", "80000000 1"])
            many(f"{a}#31, #10, ne", ["x1"], 3, "nzcv=0", first=["1f"])
    conds = "eq ne hs lo mi pl vs vc hi ls ge lt gt le al nv".split()
    for c in conds:
        for f in range(16):
            if f in (0, 15) or rng.randrange(2):
                add(f"csel x0, x1, x2, {c}", f"x1=1 x2=2 nzcv={f:x}")
    for op in ("csel", "csinc", "csinv", "csneg"):
        for a in both(f"{op} %0, %1, %2"):
            for c, f in (("eq", "4"), ("ne", "4"), ("gt", "8"), ("lo", "0")):
                many(f"{a}, {c}", ["x1", "x2"], 2, f"{OLD} nzcv={f}", first=["fffffffffffffffe ffffffffffffffff"])
    for op in ("rbit", "rev16", "clz", "cls"):
        for a in both(f"{op} %0, %1"):
            many(a, ["x1"], 8, first=["0", "ffffffffffffffff", "1", "8000000000000000", "80000000", "123456789abcdef0"])
    for a in ("rev32 x0, x1", "rev x0, x1", "rev w0, w1"):
        many(a, ["x1"], 4, OLD, first=["123456789abcdef0", "8081828384858687"])
    for op in ("udiv", "sdiv"):
        for a in both(f"{op} %0, %1, %2"):
            many(a, ["x1", "x2"], 10, first=["8000000000000000 ffffffffffffffff", "80000000 ffffffff", "5 0", "8000000000000000 0", "7 fffffffffffffffe", "ffffffffffffffff 100000000"])
    for op in ("lslv", "lsrv", "asrv", "rorv"):
        for a in both(f"{op} %0, %1, %2"):
            for n in ("0", "1", "1f", "20", "3f", "40", "ffffffffffffffe1"):
                add(a, f"x1={rng.choice(['8765432189abcdef', '123456789abcdef0'])} x2={n}")
    for op in ("crc32", "crc32c"):
        for s in ("b", "h", "w"):
            many(f"{op}{s} w0, w1, w2", ["x1", "x2"], 4, first=["0 ff", "ffffffff 123456789abcdef0"])
        many(f"{op}x w0, w1, x2", ["x1", "x2"], 4, first=["ffffffff 123456789abcdef0"])
    for op in ("madd", "msub"):
        for a in both(f"{op} %0, %1, %2, %3"):
            many(a, ["x1", "x2", "x3"], 6)
        many(f"{op} x0, x1, x2, xzr", ["x1", "x2"], 3)
        many(f"{op} w0, w1, w2, wzr", ["x1", "x2"], 3, first=["ffffffff ffffffffffffffff"])
    for op in ("smaddl", "smsubl", "umaddl", "umsubl"):
        many(f"{op} x0, w1, w2, x3", ["x1", "x2", "x3"], 7, first=["80000000 80000000 0", "ffffffff ffffffff 1", "7fffffff 80000000 ffffffffffffffff"])
        many(f"{op} x0, w1, w2, xzr", ["x1", "x2"], 2)
    for op in ("smulh", "umulh"):
        many(f"{op} x0, x1, x2", ["x1", "x2"], 8, first=["8000000000000000 8000000000000000", "ffffffffffffffff ffffffffffffffff", "8000000000000000 7fffffffffffffff"])


def flag_manipulation():
    for s in (0, 1, 31, 63):
        for m in (15, 5, 8, 0):
            add(f"rmif x1, #{s}, #{m}", f"x1={rng.choice(E)} nzcv={rng.randrange(16):x}")
    for op in ("setf8 w1", "setf16 w1"):
        for v in ("0", "7f", "80", "ff", "100", "180", "7fff", "8000", "ffff", "10000", "18000", "ffffffffffffffff"):
            add(op, f"x1={v} nzcv={rng.randrange(16):x}")
    for op in ("cfinv", "axflag", "xaflag"):
        for f in range(16):
            add(op, f"nzcv={f:x}")


# ---- Branches.
def branches():
    for d in (8, -8, 0x7000 - 4, -0x1000, 4):
        add(f"b .{d:+d}")
        add(f"bl .{d:+d}", "x30=1234")
    conds = "eq ne hs lo mi pl vs vc hi ls ge lt gt le al".split()
    for c in conds:
        for f in range(16):
            if rng.randrange(3) == 0 or f in (0, 6, 9):
                add(f"b.{c} .{rng.choice([8, -8, 64, -4]):+d}", f"nzcv={f:x}")
    add(".inst 0x5400004f", "nzcv=4")
    add(".inst 0x5400004f", "nzcv=0")
    for op in ("cbz", "cbnz"):
        for r in ("x1", "w1"):
            for v in ("0", "1", "100000000", "80000000", "8000000000000000"):
                add(f"{op} {r}, .{rng.choice([8, -8, 0x1000]):+d}", f"x1={v}")
        add(f"{op} xzr, .+12")
    for op in ("tbz", "tbnz"):
        for bit in (0, 7, 31, 32, 63):
            for v in ((1 << bit), (1 << 64) - 1 ^ (1 << bit)):
                add(f"{op} x1, #{bit}, .{rng.choice([8, -8, 0x1000]):+d}", f"x1={v:x}")
    for op in ("br", "blr", "ret"):
        add(f"{op} x1", "x1=40002000")
        add(f"{op} x30", "x30=40000ff0")
        add(f"{op} x17", "x17=40001004 x30=5")


# ---- Loads and stores.
B = "[40010100]=808182838485868788898a8b8c8d8e8f9091929394959697"
NEAR = "[400100f0]=f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
R = "x0=a5a5a5a5a5a5a5a5"
V0 = "v0=a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
BASE = "x1=40010100"
ST = "x0=1122334455667788"
INT = [("ldr", "x", 8), ("ldr", "w", 4), ("ldrh", "w", 2), ("ldrb", "w", 1), ("ldrsb", "x", 1), ("ldrsb", "w", 1), ("ldrsh", "x", 2), ("ldrsh", "w", 2), ("ldrsw", "x", 4)]
STORES = [("str", "x", 8), ("str", "w", 4), ("strh", "w", 2), ("strb", "w", 1)]
VECTOR = [("b", 1), ("h", 2), ("s", 4), ("d", 8), ("q", 16)]


def unscaled(op, infix):
    """ldr to ldur, strb to sturb."""
    return op[:2] + infix + "r" + op[3:]


def transfers(reg, op, bytes_, load):
    """Each addressing form of one transfer."""
    before = (f"{R} {B}" if load else f"{ST} [40010108]=eeeeeeeeeeeeeeee") if reg[0] in "xw" else (f"{V0} {B}" if load else f"{V0} [40010108]=eeeeeeeeeeeeeeee")
    add(f"{op} {reg}, [x1]", f"{BASE} {before}")
    add(f"{op} {reg}, [x1, #{bytes_}]", f"{BASE} {before}")
    add(f"{op} {reg}, [x1, #{4095 * bytes_}]", f"x1={0x40010100 - 4095 * bytes_:x} {before}")
    add(f"{op} {reg}, [sp, #{2 * bytes_}]", f"sp=40010100 {before}")
    add(f"{op} {reg}, [x1]", f"x1=40010103 {before}")
    for k in (-1, 3, 255, -256):
        add(f"{unscaled(op, 'u')} {reg}, [x1, #{k}]", f"x1={0x40010104 - k:x} {before}")
    if reg[0] in "xw":
        for k in (0, -8, 5):
            add(f"{unscaled(op, 't')} {reg}, [x1, #{k}]", f"x1={0x40010104 - k:x} {before}")
    for k in (bytes_, -bytes_, 255):
        add(f"{op} {reg}, [x1], #{k}", f"{BASE} {before}")
        add(f"{op} {reg}, [x1, #{k}]!", f"x1={0x40010100 - k:x} {before}")
    add(f"{op} {reg}, [sp, #-16]!", f"sp=40010110 {before}")
    add(f"{op} {reg}, [sp], #16", f"sp=40010100 {before}")
    s = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4}[bytes_]
    for ext, r2, v in (("lsl", "x2", 1), ("uxtw", "w2", 0xffffffff00000001), ("sxtw", "w2", 0xffffffff), ("sxtx", "x2", 0xffffffffffffffff)):
        for scale in (0, s):
            value = v & (1 << 32) - 1 if r2 == "w2" else v
            if ext[0] == "s" and r2 == "w2" and value >> 31:
                value -= 1 << 32
            amount = "" if scale == 0 and ext == "lsl" else f", {ext} #{scale}" if scale else f", {ext}"
            at = (0x40010108 - (value << scale)) & (1 << 64) - 1
            add(f"{op} {reg}, [x1, {r2}{amount}]", f"x1={at:x} x2={v:x} {before}")


def loads_and_stores():
    for op, r, n in INT:
        transfers(r + "0", op, n, True)
    for op, r, n in STORES:
        transfers(r + "0", op, n, False)
    add("str xzr, [x1]", f"{BASE} {B}")
    add("ldr xzr, [x1], #8", f"{BASE} {B}")
    for r, n in VECTOR:
        transfers(r + "0", "ldr", n, True)
        transfers(r + "0", "str", n, False)
    far = 0x40010100 - 0x40001000
    for op in ("ldr x0", "ldr w0", "ldrsw x0", "ldr s0", "ldr d0", "ldr q0"):
        add(f"{op}, .+{far}", f"{R} {V0} {B}" if op[-2] not in "xw" else f"{R} {B}")
        add(f"{op}, .+{far + 4}", f"{V0} {B}" if op[-2] not in "xw" else f"{R} {B}")
    add("ldr w0, .")
    add("ldr x0, . ; nop")
    add("ldrsw x0, .")
    add("nop ; ldr w0, .-4")
    add("ldr d0, . ; nop", V0)
    for op in ("prfm pldl1keep, [x1]", "prfm pstl2strm, [x1, #8]", "prfm #7, [x1, #8]", "prfum pldl1keep, [x1, #-1]", "prfum plil1keep, [x1, #255]", "prfum pstl3keep, [x1]",
               "prfm pldl1keep, [x1, x2]", "prfm pldl1keep, [x1, w2, sxtw #3]", "prfm pstl1keep, [x1, x2, lsl #3]", "prfm pldl1keep, .+64", "prfm pldl1keep, .-4", "prfm plil3strm, .+0x1000"):
        add(op, "x1=1 x2=3")
    both_r = "x0=1122334455667788 x2=99aabbccddeeff00"
    v2 = V0 + " v2=c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
    pairs = [("x0, x2", 8, both_r), ("w0, w2", 4, both_r), ("s0, s2", 4, v2), ("d0, d2", 8, v2), ("q0, q2", 16, v2)]
    for regs, n, values in pairs:
        for op in ("ldp", "stp") + (("ldpsw",) if regs[0] == "x" else ()):
            n = 4 if op == "ldpsw" else n
            mem = f"{B} {NEAR} [40010118]=55667788" if op[0] == "l" else "[40010108]=eeeeeeee"
            for k in (0, n, -n, 63 * n, -64 * n):
                add(f"{op} {regs}, [x1, #{k}]", f"x1={0x40010100 - k:x} {values} {mem}")
                if op != "ldpsw":
                    add(f"{op[:2]}n{op[2]} {regs}, [x1, #{k}]", f"x1={0x40010100 - k:x} {values} {mem}")
            for k in (2 * n, -2 * n):
                add(f"{op} {regs}, [x1], #{k}", f"x1=40010100 {values} {mem}")
                add(f"{op} {regs}, [x1, #{k}]!", f"x1={0x40010100 - k:x} {values} {mem}")
            add(f"{op} {regs}, [sp, #{-4 * n}]!", f"sp={0x40010100 + 4 * n:x} {values} {mem}")
            add(f"{op} {regs}, [sp], #{4 * n}", f"sp=40010100 {values} {mem}")
            add(f"{op} {regs}, [x1]", f"x1=40010101 {values} {mem}")
    add("stp x29, x30, [sp, #-16]!", "x29=29 x30=30 sp=40010110")
    add("stp xzr, xzr, [x1]", f"{BASE} {B}")
    add("ldp x0, xzr, [x1]", f"{BASE} {B}")


# ---- Exclusives, ordered, atomics.
SIZES = [("b", "w", 1), ("h", "w", 2), ("", "w", 4), ("", "x", 8)]


def exclusives():
    new = "x3=1122334455667788 x2=ffffffffffffffff"
    for ld, st in (("ldxr", "stxr"), ("ldaxr", "stlxr"), ("ldxr", "stlxr")):
        for s, r, n in SIZES:
            add(f"{ld}{s} {r}0, [x1] ; {st}{s} w2, {r}3, [x1]", f"{BASE} {new} {R} {B}")
        # Nothing is watched: 1.
        add(f"{st} w2, x3, [x1]", f"{BASE} {new} {B}")
        # Watched, but lost by CLREX; lost by the first store.
        add(f"{ld} x0, [x1] ; clrex ; {st} w2, x3, [x1]", f"{BASE} {new} {B}")
        add(f"{ld} x0, [x1] ; {st} w2, x3, [x1] ; {st} w4, x5, [x1]", f"{BASE} {new} {B}")
        # Another address.
        add(f"{ld} x0, [x1] ; {st} w2, x3, [x4]", f"{BASE} x4=40010110 {new} {B}")
        # Memory changed in between.
        add(f"{ld} x0, [x1] ; str x3, [x1] ; {st} w2, x4, [x1]", f"{BASE} {new} {B}")
        add(f"{ld} w0, [sp] ; {st} w2, w3, [sp]", f"sp=40010100 {new} {B}")
    for ld, st in (("ldxp", "stxp"), ("ldaxp", "stlxp")):
        for r in "xw":
            add(f"{ld} {r}0, {r}5, [x1] ; {st} w2, {r}3, {r}4, [x1]", f"{BASE} {new} x4=99aabbccddeeff00 {B}")
            add(f"{ld} {r}0, {r}5, [x1] ; str {r}3, [x1, #{4 if r == 'w' else 8}] ; {st} w2, {r}3, {r}4, [x1]", f"{BASE} {new} x4=99aabbccddeeff00 {B}")
            add(f"{st} w2, {r}3, {r}4, [x1]", f"{BASE} {new} {B}")
            add(f"{ld} {r}0, {r}5, [x1] ; clrex ; {st} w2, {r}3, {r}4, [x1]", f"{BASE} {new} {B}")
    add("clrex", "")
    add("clrex #3", "")
    for s, r, n in SIZES:
        add(f"ldar{s} {r}0, [x1]", f"{BASE} {R} {B}")
        add(f"stlr{s} {r}3, [x1]", f"{BASE} {new} {B}")
    add("ldar x0, [sp]", f"sp=40010100 {B}")
    add("stlr xzr, [sp]", f"sp=40010100 {B}")


def atomics():
    mem = "[40010100]=80ff7f0180ff7f8011223344"
    for op in ("ldadd", "ldclr", "ldeor", "ldset", "ldsmax", "ldsmin", "ldumax", "ldumin", "swp"):
        for s, r, n in SIZES:
            for order in ("", "a", "l", "al"):
                add(f"{op}{order}{s} {r}2, {r}0, [x1]", f"{BASE} {R} x2={rng.choice(E)} {mem}")
            add(f"{op}{s} {r}2, {r}0, [x1]", f"{BASE} {R} x2=0123456789abcd7f {mem}")
        add(f"{op} x2, xzr, [sp]", f"sp=40010100 x2=ffff000012345678 {mem}")
        add(f"{op} x2, x2, [x1]", f"{BASE} x2=ffff000012345678 {mem}")
    for s, r, n in SIZES:
        for order in ("", "a", "l", "al"):
            hit = int.from_bytes(bytes.fromhex("80ff7f0180ff7f80")[:n], "little")
            add(f"cas{order}{s} {r}0, {r}2, [x1]", f"{BASE} x0={hit | (0x55 << 8 * n if n < 8 else 0):x} x2=1122334455667788 {mem}")
            add(f"cas{order}{s} {r}0, {r}2, [x1]", f"{BASE} x0={hit ^ 1:x} x2=1122334455667788 {mem}")
    for order in ("", "a", "l", "al"):
        for r, low, high in (("x", 0x807fff80017fff80, 0x44332211), ("w", 0x17fff80, 0x807fff80)):
            add(f"casp{order} {r}4, {r}5, {r}6, {r}7, [x1]", f"{BASE} x4={low:x} x5={high:x} x6=1122334455667788 x7=99aabbccddeeff00 {mem}")
            add(f"casp{order} {r}4, {r}5, {r}6, {r}7, [x1]", f"{BASE} x4={low:x} x5={high ^ 2:x} x6=1122334455667788 x7=99aabbccddeeff00 {mem}")
    for s, r, n in SIZES:
        add(f"ldapr{s} {r}0, [x1]", f"{BASE} {R} {B}")
        for k in (0, -8, 8):
            add(f"ldapur{s} {r}0, [x1, #{k}]", f"x1={0x40010108 - k:x} {R} {B}")
            add(f"stlur{s} {r}0, [x1, #{k}]", f"x1={0x40010108 - k:x} {ST} {B}")
    for s, r in (("sb", "x"), ("sb", "w"), ("sh", "x"), ("sh", "w"), ("sw", "x")):
        for k in (0, -8, 248):
            add(f"ldapur{s} {r}0, [x1, #{k}]", f"x1={0x40010108 - k:x} {R} {B}")


# ---- System instructions of EL0.
def system():
    for op in ("nop", "hint #127", "hint #34", "esb", "csdb", "dgh", "sev", "sevl", "sevl ; wfe", "yield", "isb", "dmb ish", "dmb ishld", "dmb ishst", "dsb sy", "dsb ld", "dsb st"):
        add(op, "nzcv=5")
    for f in ("0", "5", "a", "f"):
        add("mrs x0, nzcv", f"{OLD} nzcv={f}")
        add("msr nzcv, x0", f"x0={f}0000000 nzcv=3")
    add("msr nzcv, x0", "x0=ffffffff9fffffff")
    for f in ("400000", "1000000", "2000000", "0"):
        add("msr fpcr, x0", f"x0={f} fpcr=c00000")
        add("mrs x0, fpcr", f"fpcr={f}")
    add("msr fpsr, x0", "x0=ffffffff0fffffff")
    add("mrs x0, fpsr", "fpsr=800009f")
    add("msr tpidr_el0, x0 ; mrs x1, tpidr_el0 ; msr tpidr_el0, xzr", "x0=123456789abcdef0")


if __name__ == "__main__":
    immediate()
    section("cortex-a53")
    write("immediate.ins", "Data processing, immediate.")
    register()
    section("cortex-a53")
    flag_manipulation()
    section("max")
    write("integer.ins", "Data processing, register; flag manipulation.")
    branches()
    section("cortex-a53")
    write("branch.ins", "Branches.")
    loads_and_stores()
    section("cortex-a53")
    write("memory.ins", "Loads and stores of one register and of pairs, FP and SIMD registers too.")
    exclusives()
    section("cortex-a53")
    atomics()
    section("max")
    write("atomic.ins", "Exclusive and ordered accesses, atomics.")
    system()
    section("cortex-a53")
    write("system-el0.ins", "System instructions as EL0 sees them.")
