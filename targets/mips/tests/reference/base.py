"""Writes the lines of integer.ins, memory.ins and branch.ins.

What each line expects is computed here, from the operations of the MIPS Architecture For
Programmers, volume II (MD00086, MD00087), by itself. Needs GNU as for MIPS, and Capstone for the
texts of the words: python3 base.py FOLDER
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import capstone

NAMES = ("zero at v0 v1 a0 a1 a2 a3 t0 t1 t2 t3 t4 t5 t6 t7 s0 s1 s2 s3 s4 s5 s6 s7 t8 t9 k0 k1 gp sp fp ra").split()
NUMBERS = {f"${n}": f"${i}" for i, n in enumerate(NAMES)}
M32 = 0xFFFFFFFF
M64 = 0xFFFFFFFFFFFFFFFF


def signed(v, bits):
    v &= (1 << bits) - 1
    return v - (1 << bits) if v >> (bits - 1) else v


class File:
    """One file's lines, assembled and disassembled all at once."""

    def __init__(self, title):
        self.title = title
        self.rows = []
        self.long = False

    def head(self, settings, long):
        self.rows.append(("head", settings, long))

    def note(self, text):
        self.rows.append(("note", text, None))

    def line(self, asm, before, after):
        """asm: instructions divided by `;`, each assembler or `.word`."""
        self.rows.append(("line", [a.strip() for a in asm.split(";")], (before, after)))

    def write(self, folder, name):
        lines = [a for kind, a, _ in self.rows if kind == "line" for a in a]
        words = iter(assemble(lines))
        long = False
        out = [f"# {self.title} Written by reference/base.py.", ""]
        engines = {wide: capstone.Cs(capstone.CS_ARCH_MIPS, mode | capstone.CS_MODE_BIG_ENDIAN) for wide, mode in ((False, capstone.CS_MODE_MIPS32), (True, capstone.CS_MODE_MIPS64))}
        for kind, a, b in self.rows:
            if kind == "head":
                long = b
                out.append(a)
            elif kind == "note":
                out.append(f"# {a}")
            else:
                codes = [next(words) for _ in a]
                texts = []
                for w in codes:
                    found = next(engines[long].disasm(w.to_bytes(4, "big"), 0, 1), None)
                    texts.append(f"{found.mnemonic} {found.op_str}".strip() if found else None)
                known = "" if all(texts) else " ~"
                shown = "; ".join(t or s.replace(".word ", "") for t, s in zip(texts, a))
                before, after = b
                out.append(f'{" ".join(f"{w:08x}" for w in codes)}{known} "{shown}" {before} => {after}'.replace("  ", " ").rstrip())
        (folder / f"{name}.ins").write_text("\n".join(out) + "\n")


def assemble(lines):
    """The words of instructions."""
    text = [".set noreorder", ".set noat", ".set nomacro", ".text"]
    for l in lines:
        l = l.replace("$fp", "$30").replace("$at", "$1")
        for n, r in sorted(NUMBERS.items(), key=lambda p: -len(p[0])):
            l = l.replace(n, r)
        text.append(l)
    with tempfile.TemporaryDirectory() as d:
        (Path(d) / "a.s").write_text("\n".join(text) + "\n")
        subprocess.run(["mips-linux-gnu-as", "-EB", "-mips64r2", "-mabi=64", "-mno-pdr", "-o", f"{d}/a.o", f"{d}/a.s"], check=True)
        subprocess.run(["mips-linux-gnu-objcopy", "-O", "binary", "-j", ".text", f"{d}/a.o", f"{d}/a.bin"], check=True)
        code = (Path(d) / "a.bin").read_bytes()
    words = [int.from_bytes(code[i : i + 4], "big") for i in range(0, len(code), 4)]
    assert words[: len(lines)] and len(words) >= len(lines)
    return words[: len(lines)]


class Width:
    """A model's registers."""

    def __init__(self, long):
        self.long = long
        self.bits = 64 if long else 32
        self.mask = M64 if long else M32

    def word(self, v):
        """The low 32 bits as a register has them."""
        return signed(v, 32) & self.mask

    def settings(self, **values):
        return " ".join(f"{n}={v & self.mask:x}" for n, v in values.items())


EDGES = [0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x12345678, 0xFEDCBA98, 0x00FF8001]
PAIRS = [(5, 7), (0x7FFFFFFF, 1), (0x80000000, 0xFFFFFFFF), (0x80000000, 0x80000000), (0xFFFFFFFF, 1), (0x12345678, 0xFEDCBA98), (0, 0), (0xFFFF8000, 33)]
PAIRS64 = [
    (5, 7),
    (0x7FFFFFFFFFFFFFFF, 1),
    (0x8000000000000000, M64),
    (0x8000000000000000, 0x8000000000000000),
    (M64, 1),
    (0x123456789ABCDEF0, 0xFEDCBA9876543210),
    (0x00000000FFFFFFFF, 0xFFFFFFFF00000001),
    (0xFFFFFFFF80000000, 63),
]


def ror(v, n, bits):
    n %= bits
    v &= (1 << bits) - 1
    return (v >> n | v << (bits - n)) & ((1 << bits) - 1)


def leading(v, bits):
    return bits - (v & ((1 << bits) - 1)).bit_length()


def quotient(a, b):
    """Rounded towards zero; by zero as by one."""
    b = b or 1
    q = abs(a) // abs(b)
    return -q if (a < 0) != (b < 0) else q


def arithmetic(f, w):
    """Register and immediate arithmetic of 32 bits."""
    s = lambda v: signed(v, 32)
    ops = {
        "addu": lambda a, b: a + b,
        "subu": lambda a, b: a - b,
        "mul": lambda a, b: s(a) * s(b),
        "sllv": lambda a, b: b << (a & 31),
        "srlv": lambda a, b: (b & M32) >> (a & 31),
        "srav": lambda a, b: s(b) >> (a & 31),
        "rotrv": lambda a, b: ror(b, a & 31, 32),
    }
    shifts = ("sllv", "srlv", "srav", "rotrv")
    f.note("32-bit operations of two registers")
    for name, op in ops.items():
        for a, b in PAIRS:
            a, b = w.word(a), w.word(b)
            shown = "$v0, $a1, $a0" if name in shifts else "$v0, $a0, $a1"
            f.line(f"{name} {shown}", w.settings(a0=a, a1=b, v0=0x1111), w.settings(v0=w.word(op(a, b))))
    f.line("addu $a0, $a0, $a0", w.settings(a0=3), w.settings(a0=6))
    f.line("addu $zero, $a0, $a0", w.settings(a0=3), "")
    f.note("with overflow")
    for name, op in {"add": lambda a, b: s(a) + s(b), "sub": lambda a, b: s(a) - s(b)}.items():
        for a, b in PAIRS + [(0, 0x80000000), (0x7FFFFFFF, 0xFFFFFFFF)]:
            a, b = w.word(a), w.word(b)
            r = op(a, b)
            fits = -(1 << 31) <= r < 1 << 31
            f.line(f"{name} $v0, $a0, $a1", w.settings(a0=a, a1=b, v0=0x1111), w.settings(v0=w.word(r)) if fits else "exception code=c")
    f.line("add $zero, $a0, $a0", w.settings(a0=0x40000000), "exception code=c")
    for a, k in [(5, -6), (0x7FFFFFFF, 1), (0x80000000, -1), (0x80000000, 1), (0x7FFF8000, 0x7FFF), (0x7FFF8001, 0x7FFF)]:
        r = s(a) + k
        fits = -(1 << 31) <= r < 1 << 31
        a = w.word(a)
        f.line(f"addi $v0, $a0, {k}", w.settings(a0=a), w.settings(v0=w.word(r)) if fits else "exception code=c")
        f.line(f"addiu $v0, $a0, {k}", w.settings(a0=a), w.settings(v0=w.word(r)))
    f.line("addiu $v0, $zero, -32768", "", w.settings(v0=-32768))
    f.line("addiu $zero, $zero, 1", "", "")
    f.note("logic, of all bits")
    for name, op in {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "nor": lambda a, b: ~(a | b)}.items():
        for a, b in (PAIRS64 if w.long else PAIRS)[3:7]:
            f.line(f"{name} $v0, $a0, $a1", w.settings(a0=a, a1=b), w.settings(v0=op(a, b)))
    f.line("or $v0, $a0, $zero", w.settings(a0=0x5555), w.settings(v0=0x5555))
    f.line("or $v0, $zero, $zero", w.settings(v0=0x5555), w.settings(v0=0))
    f.line("nor $v0, $zero, $zero", "", w.settings(v0=-1))
    for name, op in {"andi": lambda a, b: a & b, "ori": lambda a, b: a | b, "xori": lambda a, b: a ^ b}.items():
        for a, k in [(0xFEDCBA98, 0xFFFF), (0x12345678, 0x8001), (0xFFFFFFFF, 0)]:
            a = w.word(a)
            f.line(f"{name} $v0, $a0, {k:#x}", w.settings(a0=a), w.settings(v0=op(a, k)))
    for k in (0, 1, 0x7FFF, 0x8000, 0xFFFF):
        f.line(f"lui $v0, {k:#x}", "", w.settings(v0=w.word(k << 16)))
    f.note("comparisons")
    for name, op in {"slt": lambda a, b: signed(a, w.bits) < signed(b, w.bits), "sltu": lambda a, b: a & w.mask < b & w.mask}.items():
        for a, b in (PAIRS64 if w.long else PAIRS) + [(w.mask, 0), (0, w.mask), (7, 5)]:
            f.line(f"{name} $v0, $a0, $a1", w.settings(a0=a, a1=b, v0=0x1111), w.settings(v0=int(op(a, b))))
    for name, op in {"slti": lambda a, k: signed(a, w.bits) < k, "sltiu": lambda a, k: a & w.mask < k & w.mask}.items():
        for a, k in [(5, 6), (6, 6), (0, -1), (w.mask, -1), (w.mask - 1, -1), (1 << (w.bits - 1), -32768), (w.mask, 0)]:
            f.line(f"{name} $v0, $a0, {k}", w.settings(a0=a, v0=0x1111), w.settings(v0=int(op(a, k))))
    f.note("shifts")
    for name, op in {"sll": lambda v, n: v << n, "srl": lambda v, n: (v & M32) >> n, "sra": lambda v, n: s(v) >> n, "rotr": lambda v, n: ror(v, n, 32)}.items():
        for v, n in [(0x80000001, 0), (0x80000001, 1), (0x92345678, 4), (0x7FFFFFFF, 31), (0xFFFFFFFF, 31)]:
            v = w.word(v)
            f.line(f"{name} $v0, $a0, {n}", w.settings(a0=v), w.settings(v0=w.word(op(v, n))))
    for n in ("nop", "ssnop", "ehb", "pause" if False else ".word 0x140"):
        f.line(n, w.settings(v0=5), "")
    f.note("conditional moves")
    high = 1 << 32 if w.long else 1 << 31
    for name, zero in (("movz", True), ("movn", False)):
        for t in (0, 1, high):
            f.line(f"{name} $v0, $a0, $a1", w.settings(a0=0x1234, a1=t, v0=5), w.settings(v0=0x1234 if (t == 0) == zero else 5))
    f.line("movz $zero, $a0, $zero", w.settings(a0=5), "")
    f.note("counts, fields, bytes")
    for v in EDGES:
        v = w.word(v)
        f.line("clz $v0, $a0", w.settings(a0=v), w.settings(v0=leading(v, 32)))
        f.line("clo $v0, $a0", w.settings(a0=v), w.settings(v0=leading(~v, 32)))
        f.line("seb $v0, $a0", w.settings(a0=v), w.settings(v0=signed(v, 8)))
        f.line("seh $v0, $a0", w.settings(a0=v), w.settings(v0=signed(v, 16)))
        b = (v & M32).to_bytes(4, "big")
        f.line("wsbh $v0, $a0", w.settings(a0=v), w.settings(v0=w.word(int.from_bytes(bytes([b[1], b[0], b[3], b[2]]), "big"))))
    for pos, size in [(0, 1), (0, 32), (4, 8), (31, 1), (16, 16), (1, 31)]:
        v, old = w.word(0x92345678), w.word(0xFFFF0F0F)
        m = ((1 << size) - 1) << pos
        f.line(f"ext $v0, $a0, {pos}, {size}", w.settings(a0=v), w.settings(v0=w.word((v & m) >> pos)))
        f.line(f"ins $v0, $a0, {pos}, {size}", w.settings(a0=v, v0=old), w.settings(v0=w.word(old & ~m | v << pos & m)))
    f.line(".word 0x7c82f880", "", "reserved # ext of 32 bits from bit 2")
    f.line(".word 0x7c820884", "", "reserved # ins that ends at bit 1, from bit 2")


def multiply(f, w):
    f.note("HI and LO")
    hl = lambda hi, lo: w.settings(hi=hi, lo=lo)
    f.line("mfhi $v0", hl(w.word(0x87654321), 5), w.settings(v0=w.word(0x87654321)))
    f.line("mflo $v0", hl(5, w.word(0x87654321)), w.settings(v0=w.word(0x87654321)))
    f.line("mthi $a0", w.settings(a0=0x87654321), w.settings(hi=0x87654321))
    f.line("mtlo $a0", w.settings(a0=0x87654321), w.settings(lo=0x87654321))
    f.line("mfhi $zero", hl(5, 5), "")
    s, u = (lambda v: signed(v, 32)), (lambda v: v & M32)
    halves = lambda p: hl(w.word(p >> 32), w.word(p))
    for a, b in PAIRS + [(0x7FFFFFFF, 0x7FFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)]:
        a, b = w.word(a), w.word(b)
        ab = w.settings(a0=a, a1=b)
        f.line("mult $a0, $a1", ab, halves(s(a) * s(b)))
        f.line("multu $a0, $a1", ab, halves(u(a) * u(b)))
        old = 0x00000001FFFFFFF0
        for name, op, x in (("madd", 1, s), ("maddu", 1, u), ("msub", -1, s), ("msubu", -1, u)):
            f.line(f"{name} $a0, $a1", f"{ab} {halves(old)}", halves(old + op * x(a) * x(b)))
    for a, b in [(7, 2), (0xFFFFFFF9, 2), (7, 0xFFFFFFFE), (0xFFFFFFF9, 0xFFFFFFFE), (0x80000000, 0xFFFFFFFF), (0x80000000, 1), (5, 0), (0x80000000, 0)]:
        a, b = w.word(a), w.word(b)
        for name, x in (("div", s), ("divu", u)):
            q = quotient(x(a), x(b))
            r = x(a) - q * (x(b) or 1)
            f.line(f"{name} $zero, $a0, $a1", w.settings(a0=a, a1=b), hl(w.word(r), w.word(q)))


def arithmetic64(f):
    """64-bit operations, on a 64-bit model."""
    w = Width(True)
    s = lambda v: signed(v, 64)
    three = {
        "daddu": lambda a, b: a + b,
        "dsubu": lambda a, b: a - b,
        "dsllv": lambda a, b: b << (a & 63),
        "dsrlv": lambda a, b: b >> (a & 63),
        "dsrav": lambda a, b: s(b) >> (a & 63),
        "drotrv": lambda a, b: ror(b, a & 63, 64),
    }
    f.note("64-bit operations")
    for name, op in three.items():
        for a, b in PAIRS64:
            shown = "$v0, $a0, $a1" if name in ("daddu", "dsubu") else "$v0, $a1, $a0"
            f.line(f"{name} {shown}", w.settings(a0=a, a1=b), w.settings(v0=op(a, b)))
    for name, op in {"dadd": lambda a, b: s(a) + s(b), "dsub": lambda a, b: s(a) - s(b)}.items():
        for a, b in PAIRS64:
            r = op(a, b)
            f.line(f"{name} $v0, $a0, $a1", w.settings(a0=a, a1=b), w.settings(v0=r) if -(1 << 63) <= r < 1 << 63 else "exception code=c")
    for a, k in [(5, -6), (0x7FFFFFFFFFFFFFFF, 1), (1 << 63, -1), (0x7FFFFFFF, 1)]:
        r = s(a) + k
        f.line(f"daddi $v0, $a0, {k}", w.settings(a0=a), w.settings(v0=r) if -(1 << 63) <= r < 1 << 63 else "exception code=c")
        f.line(f"daddiu $v0, $a0, {k}", w.settings(a0=a), w.settings(v0=r))
    v = 0x923456789ABCDEF1
    for name, op in {"dsll": lambda v, n: v << n, "dsrl": lambda v, n: v >> n, "dsra": lambda v, n: s(v) >> n, "drotr": lambda v, n: ror(v, n, 64)}.items():
        for n in (0, 1, 31):
            f.line(f"{name} $v0, $a0, {n}", w.settings(a0=v), w.settings(v0=op(v, n)))
            f.line(f"{name}32 $v0, $a0, {n}", w.settings(a0=v), w.settings(v0=op(v, n + 32)))
    for v in (0, 1, M64, 1 << 63, 0x0000000180000000, 0x123456789ABCDEF0):
        b = v.to_bytes(8, "big")
        f.line("dclz $v0, $a0", w.settings(a0=v), w.settings(v0=leading(v, 64)))
        f.line("dclo $v0, $a0", w.settings(a0=v), w.settings(v0=leading(~v, 64)))
        f.line("dsbh $v0, $a0", w.settings(a0=v), w.settings(v0=int.from_bytes(bytes(b[i ^ 1] for i in range(8)), "big")))
        f.line("dshd $v0, $a0", w.settings(a0=v), w.settings(v0=int.from_bytes(b[6:] + b[4:6] + b[2:4] + b[:2], "big")))
    v, old = 0x923456789ABCDEF1, 0xFF00FF00F0F0F0F0
    for pos, size in [(0, 1), (0, 32), (31, 32), (0, 33), (0, 64), (31, 33), (20, 40), (32, 1), (32, 32), (63, 1), (40, 8)]:
        m = ((1 << size) - 1) << pos
        f.line(f"dext $v0, $a0, {pos}, {size}", w.settings(a0=v), w.settings(v0=(v & m) >> pos))
        f.line(f"dins $v0, $a0, {pos}, {size}", w.settings(a0=v, v0=old), w.settings(v0=old & ~m | v << pos & m))
    for a, b in PAIRS64 + [(1 << 63, M64), (3, 0), (1 << 63, 0)]:
        ab = w.settings(a0=a, a1=b)
        for name, x in (("dmult", s), ("dmultu", lambda v: v)):
            p = x(a) * x(b)
            f.line(f"{name} $a0, $a1", ab, w.settings(hi=p >> 64, lo=p))
        for name, x in (("ddiv", s), ("ddivu", lambda v: v)):
            q = quotient(x(a), x(b))
            f.line(f"{name} $zero, $a0, $a1", ab, w.settings(hi=x(a) - q * (x(b) or 1), lo=q))
    f.note("32-bit operations look at 32 bits of what is not a word")
    f.line("addu $v0, $a0, $a1", w.settings(a0=0x1234567800000001, a1=0x7FFFFFFF), w.settings(v0=w.word(0x80000000)))
    f.line("sra $v0, $a0, 4", w.settings(a0=0xFFFFFFFF70000000), w.settings(v0=0x07000000))
    f.line("sll $v0, $a0, 0", w.settings(a0=0x1234567890000000), w.settings(v0=w.word(0x90000000)))
    f.note("not allowed in user mode without Status.PX or UX")
    for asm in ("daddu $v0, $a0, $a1", "dsll $v0, $a0, 1", "dmult $a0, $a1", "daddiu $v0, $a0, 1", "dext $v0, $a0, 1, 2", "dclz $v0, $a0", "ld $v0, 0($a0)", "lwu $v0, 0($a0)", "sd $v0, 0($a0)", "ldl $v0, 0($a0)", "sdr $v0, 0($a0)", "lld $v0, 0($a0)", "scd $v0, 0($a0)"):
        f.line(asm, "status=30000010 pc=1000 a0=10000", "reserved")
    f.line("daddu $v0, $a0, $a0", "status=30800010 pc=1000 a0=100000000", "v0=200000000")


BYTES = bytes(range(0x81, 0x91))


def number(b, big):
    return int.from_bytes(b, "big" if big else "little")


def loads(f, w, big):
    """Loads, stores, and their unaligned halves, in either byte order."""
    order = "big" if big else "little"
    kseg = 0xFFFFFFFF80000000 if w.long else 0x80000000
    base = kseg + 0x10100
    memory = f"[10100]={BYTES.hex()}"
    shown = lambda **v: w.settings(**v)
    f.note("loads")
    names = [("lb", 1, True), ("lbu", 1, False), ("lh", 2, True), ("lhu", 2, False), ("lw", 4, True)]
    if w.long:
        names += [("lwu", 4, False), ("ld", 8, False)]
    for name, size, sign in names:
        for at in (0, 8):
            v = number(BYTES[at : at + size], big)
            v = signed(v, 8 * size) if sign else v
            f.line(f"{name} $v0, {at}($a0)", f"{shown(a0=base, v0=0x1111)} {memory}", shown(v0=v))
        f.line(f"{name} $v0, -0x8000($a0)", f"{shown(a0=base + 0x8000)} {memory}", shown(v0=signed(number(BYTES[:size], big), 8 * size) if sign else number(BYTES[:size], big)))
        f.line(f"{name} $a0, 0($a0)", f"{shown(a0=base)} [10100]={'01' + '00' * 7 if not big else '00' * (size - 1) + '01'}", shown(a0=1))
        f.line(f"{name} $zero, 0($a0)", f"{shown(a0=base)} {memory}", "")
        if size > 1:
            for off in sorted({1, size // 2, size - 1}):
                f.line(f"{name} $v0, {off}($a0)", f"{shown(a0=base, v0=5)} {memory}", f"exception code=4 {shown(badvaddr=base + off)}")
    f.note("stores")
    value = 0x8899AABBCCDDEEFF if w.long else 0x8899AABB
    for name, size in [("sb", 1), ("sh", 2), ("sw", 4)] + ([("sd", 8)] if w.long else []):
        for at in (0, 8):
            b = (value & ((1 << 8 * size) - 1)).to_bytes(size, order)
            f.line(f"{name} $v0, {at}($a0)", f"{shown(a0=base, v0=value)} {memory}", f"[{0x10100 + at:x}]={b.hex()}")
        f.line(f"{name} $zero, 4($a0)" if size < 8 else f"{name} $zero, 8($a0)", f"{shown(a0=base)} {memory}", f"[{0x10104 if size < 8 else 0x10108:x}]={'00' * size}")
        if size > 1:
            f.line(f"{name} $v0, {size - 1}($a0)", f"{shown(a0=base, v0=5)} {memory}", f"exception code=5 {shown(badvaddr=base + size - 1)}")
    f.note("unaligned halves, of each byte of a word")
    old = w.word(0xA1A2A3A4)
    for size, l, r in [(4, "lwl", "lwr")] + ([(8, "ldl", "ldr")] if w.long else []):
        old_bytes = (old if size == 8 else old & M32).to_bytes(size, "big")
        if size == 8:
            old_bytes = (0xA1A2A3A4A5A6A7A8).to_bytes(8, "big")
        whole = int.from_bytes(old_bytes, "big")
        start = whole if size == 8 else w.word(whole)
        for k in range(size):
            at = 8 + k if size == 8 else 4 + k
            word = BYTES[at - k : at - k + size]
            # The bytes from the most significant one down, as the register sees them.
            if big:
                left, right = word[k:], word[: k + 1]
            else:
                left, right = word[: k + 1][::-1], word[k:][::-1]
            new_left = left + old_bytes[len(left) :]
            new_right = old_bytes[: size - len(right)] + right
            for name, new in ((l, new_left), (r, new_right)):
                v = int.from_bytes(new, "big")
                v = v if size == 8 else w.word(v)
                f.line(f"{name} $v0, {at}($a0)", f"{shown(a0=base, v0=start)} {memory}", shown(v0=v))
    for size, l, r in [(4, "swl", "swr")] + ([(8, "sdl", "sdr")] if w.long else []):
        value = 0xC1C2C3C4C5C6C7C8 if size == 8 else w.word(0xC1C2C3C4)
        b = (value & ((1 << 8 * size) - 1)).to_bytes(size, "big")
        for k in range(size):
            at = 8 + k if size == 8 else 4 + k
            first = at - k
            if big:
                left, right = (at, b[: size - k]), (first, b[size - 1 - k :])
            else:
                left, right = (first, b[: k + 1][::-1]), (at, b[k:][::-1])
            for name, (to, stored) in ((l, left), (r, right)):
                f.line(f"{name} $v0, {at}($a0)", f"{shown(a0=base, v0=value)} {memory}", f"[{0x10100 + to:x}]={stored.hex()}")
    f.note("an unaligned word, and one across words")
    f.line(f"{'lwl' if big else 'lwr'} $v0, 3($a0); {'lwr' if big else 'lwl'} $v0, 6($a0)", f"{shown(a0=base)} {memory}", shown(v0=w.word(number(BYTES[3:7], big))))
    f.line(f"{'swl' if big else 'swr'} $v0, 3($a0); {'swr' if big else 'swl'} $v0, 6($a0)", f"{shown(a0=base, v0=w.word(0xC1C2C3C4))} {memory}", f"[10103]={(0xC1C2C3C4).to_bytes(4, order).hex()}")
    f.note("load-linked and store-conditional")
    v = w.word(number(BYTES[:4], big))
    f.line("ll $v0, 0($a0)", f"{shown(a0=base)} {memory}", f"{shown(v0=v, lladdress=base, llvalue=v)} llbit=1")
    f.line("ll $v0, 2($a0)", f"{shown(a0=base)} {memory}", f"exception code=4 {shown(badvaddr=base + 2)}")
    f.line("sc $v0, 0($a0)", f"{shown(a0=base, v0=5)} {memory}", "v0=0")
    f.line("sc $v0, 2($a0)", f"{shown(a0=base, v0=5)} {memory}", f"exception code=5 {shown(badvaddr=base + 2)}")
    stored = (0x11223344).to_bytes(4, order).hex()
    f.line("ll $v0, 0($a0); sc $a1, 0($a0)", f"{shown(a0=base, a1=0x11223344)} {memory}", f"{shown(v0=v, lladdress=base, llvalue=v)} a1=1 [10100]={stored}")
    f.line("ll $v0, 0($a0); sc $a1, 4($a0)", f"{shown(a0=base, a1=0x11223344)} {memory}", f"{shown(v0=v, lladdress=base, llvalue=v)} a1=0")
    f.line("ll $v0, 0($a0); sw $zero, 0($a0); sc $a1, 0($a0)", f"{shown(a0=base, a1=0x11223344)} {memory}", f"{shown(v0=v, lladdress=base, llvalue=v)} a1=0 [10100]=00000000")
    if w.long:
        v = number(BYTES[:8], big)
        stored = (0x1122334455667788).to_bytes(8, order).hex()
        f.line("lld $v0, 0($a0)", f"{shown(a0=base)} {memory}", f"{shown(v0=v, lladdress=base, llvalue=v)} llbit=1")
        f.line("lld $v0, 4($a0)", f"{shown(a0=base)} {memory}", f"exception code=4 {shown(badvaddr=base + 4)}")
        f.line("lld $v0, 0($a0); scd $a1, 0($a0)", f"{shown(a0=base, a1=0x1122334455667788)} {memory}", f"{shown(v0=v, lladdress=base, llvalue=v)} a1=1 [10100]={stored}")
        f.line("scd $v0, 0($a0)", f"{shown(a0=base, v0=5)} {memory}", "v0=0")


def branches(f, w):
    """Each branch with a delay slot, taken and not, and what faults in the slot."""
    start = 0xFFFFFFFF80001000 if w.long else 0x80001000
    ra = w.settings(ra=start + 8)
    s = lambda v: signed(v, w.bits)
    high = 1 << (w.bits - 1)
    slot = "addiu $v0, $v0, 1"

    def both(name, operands, before, taken, likely, link):
        after = [ra] if link else []
        if taken or not likely:
            after.append("v0=1")
        for target in (0x40, -0x40):
            to = f"pc={start + target & w.mask:x}" if taken else ""
            f.line(f"{name} {operands}.{target:+#x}; {slot}", before, " ".join(after + [to]))

    f.note("branches")
    two = {"beq": lambda a, b: a == b, "bne": lambda a, b: a != b}
    for name, op in two.items():
        for likely in ("", "l"):
            for a, b in [(5, 5), (5, 6), (high, 0), (w.mask, w.mask)]:
                both(name + likely, "$a0, $a1, ", w.settings(a0=a, a1=b), op(a, b), likely, False)
    zero = {"bltz": lambda a: a < 0, "bgez": lambda a: a >= 0, "blez": lambda a: a <= 0, "bgtz": lambda a: a > 0}
    for name, op in zero.items():
        for link in ("", "al") if name in ("bltz", "bgez") else ("",):
            for likely in ("", "l"):
                for a in (0, 1, w.mask, high, high - 1):
                    both(name + link + likely, "$a0, ", w.settings(a0=a), op(s(a)), likely, link)
    both("b", "", "", True, False, False)
    both("bal", "", "", True, False, True)
    both("beql", "$a0, $a0, ", "a0=5", True, True, False)
    both("bne", "$a0, $a0, ", "a0=5", False, False, False)
    both("bgezall", "$zero, ", "", True, True, True)
    f.note("jumps")
    to = w.settings(pc=start + 0x80)
    f.line(f".word 0x08000420; {slot}", "", f"{to} v0=1")
    f.line(f".word 0x0c000420; {slot}", "", f"{to} v0=1 {ra}")
    a0 = w.settings(a0=start + 0x80)
    f.line(f"jr $a0; {slot}", a0, f"{to} v0=1")
    f.line(f"jr.hb $a0; {slot}", a0, f"{to} v0=1")
    f.line(f"jr $ra; {slot}", w.settings(ra=start + 0x80), f"{to} v0=1")
    f.line(f"jalr $v1, $a0; {slot}", a0, f"{to} v0=1 {w.settings(v1=start + 8)}")
    f.line(f"jalr.hb $v1, $a0; {slot}", a0, f"{to} v0=1 {w.settings(v1=start + 8)}")
    f.line(f"jalr $zero, $a0; {slot}", a0, f"{to} v0=1")
    f.note("what the slot changes does not matter any more, and it sees the return address")
    f.line("beq $a0, $a1, .+0x40; addiu $a0, $a0, 1", "", "a0=1 pc=+40")
    f.line("bne $a0, $a1, .+0x40; addiu $a0, $a0, 1", "", "a0=1")
    f.line("jr $a0; addiu $a0, $a0, 4", a0, f"{to} {w.settings(a0=start + 0x84)}")
    f.line("bal .+0x40; move $v0, $ra", "", f"pc=+40 {ra} {w.settings(v0=start + 8)}")
    f.line("bltzal $a0, .+0x40; move $v0, $ra", "", f"{ra} {w.settings(v0=start + 8)}")
    f.note("exceptions in the slot are those of the branch")
    lw = "lw $v0, 1($zero)"
    f.line(f"b .+0x40; {lw}", "", "exception code=4 badvaddr=1 bd=1")
    f.line(f"bne $a0, $zero, .+0x40; {lw}", "", "exception code=4 badvaddr=1 bd=1")
    f.line(f"beql $a0, $zero, .+0x40; {lw}", "", "exception code=4 badvaddr=1 bd=1")
    f.line(f"bnel $a0, $zero, .+0x40; {lw}", "", "")
    f.line(f"bal .+0x40; {lw}", "", f"exception code=4 badvaddr=1 bd=1 {ra}")
    f.line(f"jr $a0; {lw}", a0, "exception code=4 badvaddr=1 bd=1")
    f.line(f"addiu $v1, $v1, 1; jr $a0; {lw}", a0, "exception code=4 badvaddr=1 bd=1 epc=+4 v1=1")
    f.line("b .+0x40; add $v0, $a1, $a1", w.settings(a1=0x40000000), "exception code=c bd=1")
    f.line("b .+0x40; syscall", "", "exception code=8 bd=1")
    f.line("b .+0x40; break", "", "exception code=9 bd=1")
    f.line("b .+0x40; teq $zero, $zero", "", "exception code=d bd=1")
    f.line("b .+0x40; .word 0x7c000010", "", "exception code=a bd=1")
    f.line("b .+0x40; b .+0x40", "", "exception code=a bd=1 # a branch in a slot")
    f.line("b .+0x40; lw $v0, 0($a0)", "a0=2003000", "exception code=2 badvaddr=2003000 bd=1")
    f.line("b .+0x40; lw $v0, 0($a0)", "a0=3000000", f"exception code=2 badvaddr=3000000 bd=1 vector={80 if w.long else 0}")
    f.note("a slot on a page that is not valid; without it where it is nullified")
    f.line("b .+0x40", "pc=2004ffc", "exception code=2 badvaddr=2005000 bd=1")
    f.line("beql $a0, $zero, .+0x40", "pc=2004ffc", "exception code=2 badvaddr=2005000 bd=1")
    f.line("bnel $a0, $zero, .+0x40", "pc=2004ffc", "exception code=2 badvaddr=2005004 epc=2005004")
    f.note("with EXL set EPC and BD stay")
    status = "300000e2" if w.long else "30000002"
    f.line("b .+0x40; syscall", f"status={status} epc=5", "exception code=8")
    f.note("where a jump leads is looked at after the slot")
    for low in (1, 2, 3):
        bad = w.settings(epc=start + 0x80 + low, badvaddr=start + 0x80 + low)
        f.line(f"jr $a0; {slot}", w.settings(a0=start + 0x80 + low), f"exception code=4 {bad} v0=1")
    f.line(f"jr $a0; {slot}", "a0=2003000", "exception code=2 epc=2003000 badvaddr=2003000 v0=1")
    f.note("traps")
    u = lambda v: v & w.mask
    traps = {
        "tge": lambda a, b: s(a) >= s(b),
        "tgeu": lambda a, b: u(a) >= u(b),
        "tlt": lambda a, b: s(a) < s(b),
        "tltu": lambda a, b: u(a) < u(b),
        "teq": lambda a, b: u(a) == u(b),
        "tne": lambda a, b: u(a) != u(b),
    }
    for name, op in traps.items():
        for a, b in [(5, 5), (5, 6), (w.mask, 0), (0, w.mask), (high, high - 1), (high, 0)]:
            f.line(f"{name} $a0, $a1", w.settings(a0=a, a1=b), "exception code=d" if op(a, b) else "")
        for a, k in [(5, 5), (5, 6), (w.mask, -1), (0, -1), (w.mask - 1, -1)]:
            immediate = f"{name[:3]}i{name[3:]}"
            f.line(f"{immediate} $a0, {k}", w.settings(a0=a), "exception code=d" if op(a, k) else "")


def faults(f, w):
    """Addresses: how they are made, what they fault with, and that a fault changes nothing."""
    kseg = 0xFFFFFFFF80000000 if w.long else 0x80000000
    refill = "vector=80" if w.long else "vector=0"
    f.note("refill, invalid, modified, bus error")
    loads, stores = ["lb", "lhu", "lw", "ll"], ["sb", "sh", "sw"]
    if w.long:
        loads, stores = loads + ["lwu", "ld", "lld"], stores + ["sd"]
    unaligned = [("lwl", 4), ("lwr", 4)] + ([("ldl", 8), ("ldr", 8)] if w.long else [])
    unaligned_stores = ["swl", "swr"] + (["sdl", "sdr"] if w.long else [])
    for name in loads:
        f.line(f"{name} $v0, 8($a0)", "a0=3000000 v0=5", f"exception code=2 badvaddr=3000008 {refill}")
        f.line(f"{name} $v0, 8($a0)", "a0=2003000 v0=5", "exception code=2 badvaddr=2003008")
        f.line(f"{name} $v0, 8($a0)", "a0=2002000 v0=5", "exception code=7")
        f.line(f"{name} $a0, 0($a0)", "a0=2000000", "a0=0" if "ll" not in name else "a0=0 llbit=1 lladdress=2000000")
    for name, size in unaligned:
        f.line(f"{name} $v0, 9($a0)", "a0=3000000 v0=5", f"exception code=2 badvaddr=3000008 {refill}")
        f.line(f"{name} $v0, 9($a0)", "a0=2003000 v0=5", "exception code=2 badvaddr=2003008")
    for name in stores + unaligned_stores:
        off = 9 if name in unaligned_stores else 8
        f.line(f"{name} $v0, {off}($a0)", "a0=3000000 v0=5", f"exception code=3 badvaddr=300000{off} {refill}")
        f.line(f"{name} $v0, {off}($a0)", "a0=2003000 v0=5", f"exception code=3 badvaddr=200300{off}")
        f.line(f"{name} $v0, {off}($a0)", "a0=2000000 v0=5", f"exception code=1 badvaddr=200000{off}")
        f.line(f"{name} $v0, {off}($a0)", "a0=2002000 v0=5", "exception code=7")
    f.line("sw $v0, 8($a0)", "a0=2001000 v0=5", "[21008]=05000000")
    f.line("lw $v0, 0($a0)", "a0=3000000 entryhi=12 context=" + ("ffffffffff800000" if w.long else "ff800000"), f"exception code=2 badvaddr=3000000 {refill}")
    f.note("with EXL set a refill is taken by the general vector, and EPC stays")
    status = "300000e2" if w.long else "30000002"
    f.line("lw $v0, 0($a0)", f"a0=3000000 status={status} epc=5", "exception code=2 badvaddr=3000000")
    f.note("an address that is not aligned comes before the TLB")
    f.line("lw $v0, 1($a0)", "a0=3000000", "exception code=4 badvaddr=3000001")
    f.line("sh $v0, 1($a0)", "a0=3000000", "exception code=5 badvaddr=3000001")
    f.note("user mode")
    user = "status=10 pc=1000"
    f.line("lw $v0, 0($a0)", f"{user} a0=10100 [10100]=11223344", "v0=44332211")
    f.line("sw $v0, 0($a0)", f"{user} a0=10100 v0=5", "[10100]=05000000")
    for at in (kseg + 0x10100, kseg + 0x20010100, kseg + 0x40010100, kseg + 0x60010100):
        f.line("lw $v0, 0($a0)", f"{user} {w.settings(a0=at)}", f"exception code=4 {w.settings(badvaddr=at)}")
        f.line("sb $v0, 0($a0)", f"{user} {w.settings(a0=at)}", f"exception code=5 {w.settings(badvaddr=at)}")
    f.line("jr $a0; addiu $v0, $v0, 1", f"{user} {w.settings(a0=kseg + 0x1040)}", f"exception code=4 v0=1 {w.settings(epc=kseg + 0x1040, badvaddr=kseg + 0x1040)}")
    f.note("the sum wraps")
    f.line("lw $v0, 0x110($a0)", w.settings(a0=0xFFFFFFFFFFFFFFF0) + " [100]=11223344", "v0=44332211")
    if not w.long:
        return
    f.note("64-bit addresses: xkphys, and what is none")
    f.line("lw $v0, 0($a0)", "a0=9000000000010100 [10100]=11223344", "v0=44332211")
    f.line("sd $v0, 0($a0)", "a0=9800000000010100 v0=1122334455667788", "[10100]=8877665544332211")
    f.line("lw $v0, 0($a0)", "a0=100000000", "exception code=2 vector=80 badvaddr=100000000")
    f.line("lw $v0, 0($a0)", "a0=80010100", "exception code=2 vector=80 badvaddr=80010100")
    f.line("lw $v0, 0($a0)", "a0=0100000000000000", "exception code=4 badvaddr=100000000000000")
    f.line("lw $v0, 0($a0)", "a0=9000000000010100 status=30000000", "exception code=4 badvaddr=9000000000010100")
    f.note("user mode: addresses of 32 bits without Status.UX")
    f.line("lw $v0, 1($a0)", f"{user} a0=7fffffff", "exception code=4 badvaddr=ffffffff80000000")
    f.line("lw $v0, 1($a0)", "status=30 pc=1000 a0=7fffffff", "exception code=2 vector=80 badvaddr=80000000")
    f.line("lw $v0, 0x100($a0)", f"{user} a0=ffffffff00010000 [10100]=11223344", "v0=44332211")


def system(f, w):
    """Coprocessor 0, calls and barriers."""
    kseg = 0xFFFFFFFF80000000 if w.long else 0x80000000
    flags = 0xE0 if w.long else 0
    status = lambda v: w.settings(status=v | flags)
    f.note("calls")
    for asm, code in (("syscall", 8), ("syscall 0x12345", 8), ("break", 9), ("break 7", 9), (".word 0x7085003f", 0xA)):
        f.line(asm, "", f"exception code={code:x}")
    f.line("syscall", "status=10 pc=1000", "exception code=8")
    f.note("barriers and hints")
    for asm in ("sync", "sync 0x10", "pref 1, 0($a0)", "pref 30, 5($zero)"):
        f.line(asm, "", "")
    f.line("synci 0($a0)", w.settings(a0=kseg), "")
    f.line("synci 4($a0)", "a0=2003000", "exception code=2 badvaddr=2003004")
    f.note("coprocessor 0's registers")
    v = w.word(0x9ABCDEF0)
    for number, name in ((14, "epc"), (30, "errorepc")):
        f.line(f"mtc0 $a0, ${number}", w.settings(a0=v), w.settings(**{name: v}))
        f.line(f"mfc0 $v0, ${number}", w.settings(**{name: v}), w.settings(v0=v))
    f.line("mfc0 $zero, $14", "epc=5", "")
    f.line("mtc0 $a0, $2", "a0=3ff", "entrylo0=3ff")
    f.line("mtc0 $a0, $4", w.settings(a0=-1), w.settings(context=-1 << 23))
    f.line("mfc0 $v0, $12", status(0x30000001), w.settings(v0=w.word(0x30000001 | flags)))
    f.line("mtc0 $a0, $12; mfc0 $v0, $12", w.settings(a0=0x10000001 | flags), w.settings(status=0x10000001 | flags, v0=0x10000001 | flags))
    f.line("mfc0 $v0, $15; mtc0 $a0, $15", "v0=5", w.settings(v0=0x00019300) if not w.long else "v0=10000")
    f.note("not usable")
    plain = "status=10 pc=1000"
    cop0 = ["mfc0 $v0, $14", "mtc0 $v0, $14", "tlbp", "tlbr", "tlbwi", "tlbwr", "eret", "deret", "wait", "cache 0, 0($a0)", "di $v0", "ei $v0", "rdpgpr $v0, $a0", "wrpgpr $v0, $a0", ".word 0x42000003"]
    for asm in cop0 + (["dmfc0 $v0, $14", "dmtc0 $v0, $14"] if w.long else []):
        f.line(asm, plain, "exception code=b")
    f.line("mfc0 $v0, $14", "status=10000010 pc=1000 epc=5", "v0=5")
    f.line(".word 0x42000003", "", "reserved")
    for word in (0x48000000, 0x4A123456, 0xC8850000, 0xD8850000, 0xE8850000, 0xF8850000):
        f.line(f".word {word:#x}", "", "exception code=b ce=2")
        f.line(f".word {word:#x}", plain, "exception code=b ce=2")
    f.note("the TLB")
    f.line("tlbp", "entryhi=2000000", "index=1")
    f.line("tlbp", "entryhi=3000000", w.settings(index=w.word(0x80000000)))
    f.line("tlbr", "index=1", "entryhi=2000000 entrylo0=803 entrylo1=847")
    f.line("tlbr", "index=0", "pagemask=1ffe000 entryhi=0 entrylo0=7 entrylo1=1")
    f.line("tlbwi; lw $v0, 8($a0)", "index=5 entryhi=4000000 entrylo0=847 entrylo1=1 a0=4000000 [21008]=11223344", "v0=44332211 tlb5.0=4001000 tlb5.2=846 tlb5.3=0")
    last = 63 if w.long else 15
    f.line("tlbwr; lw $v0, 8($a0)", f"wired={last:x} entryhi=4000000 entrylo0=847 entrylo1=1 a0=4000000 [21008]=11223344", f"v0=44332211 tlb{last}.0=4001000 tlb{last}.2=846 tlb{last}.3=0")
    f.note("returns from exceptions")
    f.line("eret", f"{status(0x30000002)} llbit=1 {w.settings(epc=kseg + 0x1080)}", f"{status(0x30000000)} llbit=0 pc=+80")
    f.line("eret", f"{status(0x30000006)} {w.settings(errorepc=kseg + 0x1080)}", f"{status(0x30000002)} pc=+80")
    f.line("eret", "status=30000012 epc=1080", "status=30000010 pc=1080")
    f.line("deret", "", "reserved")
    f.note("interrupts, and the wait for them")
    on = 0x30000401
    f.line("di $v0", f"{status(on)}", w.settings(status=on & ~1 | flags, v0=on | flags))
    f.line("ei $v0", f"{status(on & ~1)}", w.settings(status=on | flags, v0=on & ~1 | flags))
    f.line("di", f"{status(on)}", status(on & ~1))
    f.line("ei; nop", f"{status(on & ~1)} irq=4", f"exception code=0 epc=+4 {status(on | 2)}")
    f.line("mtc0 $a0, $12; nop", f"irq=4 {w.settings(a0=on | flags)}", f"exception code=0 epc=+4 {status(on | 2)}")
    f.line("eret", f"{status(on | 2)} irq=4 {w.settings(epc=kseg + 0x1080)}", f"exception code=0 epc=+80 {status(on | 2)}")
    f.line("ei; nop", f"{status(on & ~1)} irq=8", status(on))
    f.line("wait", "", "halted=1")
    f.note("caches")
    f.line("cache 0x15, 0($a0)", w.settings(a0=kseg), "")
    f.line("cache 0x10, 4($a0)", "a0=2003000", "exception code=2 badvaddr=2003004")
    f.note("hardware registers")
    user = "status=10 pc=1000"
    f.line("rdhwr $v0, $29", f"{user} hwrena=20000000 userlocal=1234", "v0=1234")
    f.line("rdhwr $v0, $29", f"{user} hwrena=1 userlocal=1234", "reserved")
    f.line("rdhwr $v0, $29", "userlocal=1234", "v0=1234")
    f.line("rdhwr $v0, $0", f"{user} hwrena=1 v0=5", "v0=0")
    f.line("rdhwr $v0, $1", f"{user} hwrena=2", f"v0={20 if w.long else 10}")
    f.line("rdhwr $v0, $1", f"{user} hwrena=1", "reserved")
    f.line("rdhwr $v0, $5", "", "reserved")
    f.note("shadow sets: there is but one")
    f.line("rdpgpr $v0, $a0", "a0=1234", "v0=1234")
    f.line("wrpgpr $v0, $a0", "a0=1234", "v0=1234")
    if w.long:
        f.note("all 64 bits")
        f.line("dmtc0 $a0, $14", "a0=123456789abcdef0", "epc=123456789abcdef0")
        f.line("dmfc0 $v0, $14", "epc=123456789abcdef0", "v0=123456789abcdef0")
        f.line("mfc0 $v0, $14", "epc=123456789abcdef0", "v0=ffffffff9abcdef0")
        f.line("dmfc0 $v0, $14", "status=10000010 pc=1000 epc=5", "reserved")
        f.line("dmfc0 $v0, $14", "status=10800010 pc=1000 epc=5", "v0=5")


RELEASE2 = "rotr $v0, $a0, 1; rotrv $v0, $a0, $a1; ext $v0, $a0, 1, 2; ins $v0, $a0, 1, 2; seb $v0, $a0; seh $v0, $a0; wsbh $v0, $a0; rdhwr $v0, $29; synci 0($zero); di; ei; rdpgpr $v0, $a0; wrpgpr $v0, $a0"
RELEASE2_64 = "drotr $v0, $a0, 1; drotr32 $v0, $a0, 1; drotrv $v0, $a0, $a1; dext $v0, $a0, 1, 2; dextm $v0, $a0, 1, 40; dextu $v0, $a0, 40, 2; dins $v0, $a0, 1, 2; dinsm $v0, $a0, 1, 40; dinsu $v0, $a0, 40, 2; dsbh $v0, $a0; dshd $v0, $a0"
MIPS64 = "daddu $v0, $a0, $a1; daddiu $v0, $a0, 1; dsll $v0, $a0, 1; dsra32 $v0, $a0, 1; dmult $a0, $a1; ddiv $zero, $a0, $a1; dclz $v0, $a0; ld $v0, 0($zero); sd $v0, 0($zero); lwu $v0, 0($zero); ldl $v0, 0($zero); sdr $v0, 0($zero); lld $v0, 0($zero); scd $v0, 0($zero); dmfc0 $v0, $14; dmtc0 $v0, $14"
NOWHERE = ".word 0x74000000; .word 0x0000000e; .word 0x00000005; .word 0x04040000; .word 0x041c0000; .word 0x70000010; .word 0x7c00000a; .word 0x7c000038; .word 0x7800000e; .word 0xec000000; .word 0x18010000; .word 0x00201060; .word 0x00010818"


def reserved(f):
    """What a model does not have."""
    for cpu, long, lists in (
        ("4Kc", False, [RELEASE2, RELEASE2_64, MIPS64, NOWHERE]),
        ("24Kf", False, [RELEASE2_64, MIPS64, NOWHERE]),
        ("5Kc", True, [RELEASE2, RELEASE2_64, NOWHERE]),
        ("MIPS64R2-generic", True, [NOWHERE]),
    ):
        f.head(f"cpu={cpu}", long)
        for l in lists:
            for asm in l.split("; "):
                f.line(asm, "", "reserved")


def main():
    folder = Path(sys.argv[1])
    f = File("Arithmetic, logic, shifts, fields, multiplication and division.")
    f.head("cpu=24Kf", False)
    arithmetic(f, Width(False))
    multiply(f, Width(False))
    f.head("cpu=MIPS64R2-generic", True)
    arithmetic(f, Width(True))
    multiply(f, Width(True))
    arithmetic64(f)
    f.write(folder, "integer")
    f = File("Loads and stores.")
    for cpu, long in (("24Kf", False), ("MIPS64R2-generic", True)):
        for big in (False, True):
            f.head(f"cpu={cpu}" + (" big=1" if big else ""), long)
            loads(f, Width(long), big)
    f.write(folder, "memory")
    f = File("Branches, jumps, delay slots and traps.")
    for cpu, long in (("24Kf", False), ("MIPS64R2-generic", True)):
        f.head(f"cpu={cpu}", long)
        branches(f, Width(long))
    f.write(folder, "branch")
    f = File("Addresses and their faults, coprocessor 0, calls, and what is reserved.")
    for cpu, long in (("24Kf", False), ("MIPS64R2-generic", True)):
        f.head(f"cpu={cpu}", long)
        faults(f, Width(long))
        system(f, Width(long))
    reserved(f)
    f.write(folder, "system")


main()
