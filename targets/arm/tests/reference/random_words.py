"""Writes random.ins: random words of every base pattern that EL0 may run, with random operands, from
the reference. The patterns are read from decode/a64.decode."""
import os, random, re
from reference import run, text_of

HERE = os.path.dirname(os.path.abspath(__file__))
MIDDLE = 0x40010800
PER_PATTERN = 8
rng = random.Random(20)


def number(t):
    """A constraint's value as mask and value: decimal, or binary with x."""
    if not t.startswith("0b"):
        return None, int(t)
    bits = t[2:]
    return int(bits.replace("0", "1").replace("x", "0"), 2), int(bits.replace("x", "0"), 2)


def patterns():
    text = open(f"{HERE}/../../decode/a64.decode").read().replace("\\\n", " ")
    for line in text.split("\n"):
        m = re.match(r"([A-Z]\w*)\s+(.*)", line.split("#")[0].strip())
        if not m:
            continue
        pos, mask, value, fields, refused, feature = 31, 0, 0, {}, [], None
        # Free bits are should-be-one, in the flag instructions should-be-zero.
        free = 0 if m[1] in ("CFINV", "XAFLAG", "AXFLAG") else 1
        for t in m[2].split():
            if t[0] == "?":
                feature = t[1:]
            elif t[0] == "!":
                names, values = t[1:].split("=")
                refused.append((names.split(","), [number(v) for v in values.split(",") if v]))
            elif t[0] in "%&" or ("=" in t and ":" not in t):
                continue
            elif f := re.match(r"(\w+):s?(\d+)$", t):
                pos -= int(f[2])
                fields[f[1]] = (pos + 1, int(f[2]))
            else:
                for c in t:
                    mask |= 1 << pos
                    value |= (free if c == "." else int(c)) << pos
                    pos -= 1
        assert pos == -1, m[1]
        yield m[1], mask, value, fields, refused, feature


def allowed(w, fields, refused):
    get = lambda f: (w >> fields[f][0]) & ((1 << fields[f][1]) - 1)
    for names, values in refused:
        if names[0].startswith("!"):
            continue
        whole = 0
        for n in names:
            if n not in fields:
                break
            whole = whole << fields[n][1] | get(n)
        else:
            if any(whole & (m if m is not None else ~0) == v for m, v in values):
                return False
    return True


def operand():
    k = rng.randrange(4)
    if k == 0:
        return rng.choice([0, 1, (1 << 64) - 1, 1 << 63, (1 << 63) - 1, 1 << 31, (1 << 31) - 1, (1 << 32) - 1])
    v = rng.getrandbits(64)
    return v if k < 3 else v & rng.getrandbits(64) & rng.getrandbits(64)


def signed(v, bits):
    return v - (1 << bits) if v >> bits - 1 else v


def memory(name, w, fields):
    """The offset that the word adds to its base, and the index register's value; None where the
    word is unpredictable."""
    f = lambda n: (w >> fields[n][0]) & ((1 << fields[n][1]) - 1)
    rn, rt = w >> 5 & 31, w & 31
    rt2 = w >> 10 & 31
    vector = "_v" in name
    pair = "rt2" in fields
    if rn != 31 and not vector and (rn == rt or pair and rn == rt2):
        return None
    if pair and rt == rt2:
        return None
    scale = w >> 30
    if vector:
        scale = (w >> 30) + 2 if pair else w >> 30 | (w >> 23 & 1) << 2
    elif pair:
        scale = 3 if w >> 31 else 2
    if pair:
        return (0 if "post" in name else signed(f("imm"), 7) << scale), None
    if "rm" in fields:
        rm = w >> 16 & 31
        if rm in (rn, 31) or not vector and rm == rt:
            return None
        option, s = w >> 13 & 7, w >> 12 & 1
        i = rng.randrange(-40, 40) if option & 4 else rng.randrange(40)
        offset = i << (scale if s else 0)
        junk = rng.getrandbits(32) << 32
        return offset, (i & 0xffffffff) | junk if not option & 1 else i & (1 << 64) - 1
    if "imm" not in fields:
        return 0, None
    if fields["imm"][1] == 12:
        return f("imm") << scale, None
    return (0 if "post" in name else signed(f("imm"), 9)), None


def case(name, w, fields):
    before = {}
    reg = lambda n, v: before.__setitem__("sp" if n == 31 else f"x{n}", v)
    is_memory = w >> 27 & 1 and not w >> 25 & 1 and w >> 28 & 7 != 1 or w >> 25 & 5 == 4
    if w >> 28 & 7 == 5 and w >> 26 & 1 and w >> 27 & 1 == 0:
        is_memory = False
    for pos in (0, 5, 10, 16):
        n = w >> pos & 31
        if n != 31:
            reg(n, operand())
    before["nzcv"] = rng.randrange(16)
    if not is_memory:
        if w >> 5 & 31 == 31 or w & 31 == 31:
            before["sp"] = operand() & ~15 if name[-2:] == "_i" else 0x40010800
        return before, None
    del before["nzcv"]
    m = memory(name, w, fields)
    if m is None:
        return None
    offset, index = m
    ordered = w >> 24 & 0x3f == 8 or "LDA" in name or "STL" in name or name in ("SWP", "CAS", "CASP") or "rs" in fields
    slip = 0 if ordered else rng.choice([0, 0, 1, 4, 7])
    at = MIDDLE - (signed(w >> 12 & 511, 9) if ordered and "imm" in fields else offset)
    reg(w >> 5 & 31, (at + slip) & (1 << 64) - 1)
    if index is not None:
        reg(w >> 16 & 31, index)
    if "_v" in name:
        for n in {w & 31, w >> 10 & 31 if "rt2" in fields else w & 31}:
            before[f"v{n}"] = rng.getrandbits(128)
            before.pop(f"x{n}", None) if n not in (w >> 5 & 31, w >> 16 & 31 if index is not None else None) else None
    return before, f"[{MIDDLE - 8:x}]={rng.getrandbits(8 * 48).to_bytes(48, 'little').hex()}"


def text(before, mem):
    parts = [f"{n}={v:032x}" if n[0] == "v" else f"{n}={v:x}" for n, v in before.items()]
    return " ".join(parts + ([mem] if mem else []))


# Branches, literals, exceptions and system instructions are not for random words; exclusives come
# in sequences; prefetches and hints do nothing.
SKIP = re.compile(r"B$|BL$|B_cond|T?CBN?Z|TBN?Z|BR|BLR|RET|ERET|DRPS|SVC|HVC|SMC|BRK|HLT|DCPS|NOP|YIELD|WF.|SEV|HINT|CLREX|D.B|ISB|SB$|MSR|MRS|SYS|.*_lit|PRF|STX|LDX|ST?LLR|LDLAR|ADRP?$")


def main():
    sections = {"cortex-a53": [], "max": []}
    for name, mask, value, fields, refused, feature in patterns():
        if SKIP.match(name):
            continue
        found = tries = 0
        while found < PER_PATTERN and tries < 1000:
            tries += 1
            w = rng.getrandbits(32) & ~mask | value
            if not allowed(w, fields, refused):
                continue
            if text_of([w], "").startswith("~"):
                continue
            c = case(name, w, fields)
            if c is None:
                continue
            sections["max" if feature not in (None, "crc32") else "cortex-a53"].append(([w], text(*c)))
            found += 1
        assert found, name
    with open(f"{HERE}/../random.ins", "w") as f:
        f.write("# Random words of the base patterns, random operands. Written by reference/random_words.py.\n")
        for cpu, cases in sections.items():
            f.write(f"\ncpu={cpu}\n")
            for (w, before), after in zip(cases, run(cases)):
                if after is None:
                    print("refused", f"{w[0]:08x}", text_of(w, ""), before[:80])
                    continue
                f.write(f"{w[0]:08x} {text_of(w, '')} {before} => {after}".rstrip() + "\n")


main()
