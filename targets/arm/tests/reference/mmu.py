"""Writes mmu.ins: every granule, every level, each kind of fault at it, by the rules of the Arm ARM
(DDI 0487, D5.2 to D5.4). The tables are those of the upper range, so that code goes on being mapped
by the runner's own tables of the lower one."""
import os

LDR, STR = "f9400020", "f9000020"
VA = 0xffff000000000000
# Where tables of each level are; a table of 8 KiB entries of the 64 KiB granule needs its alignment.
TABLES = [0x40014000, 0x40018000, 0x40020000, 0x40030000]
TARGET = 0x40010000
# Data at the target, at the offset that each line reads.
OFFSET, VALUE = 0x128, 0x1122334455667788
GRANULES = {4: (12, 2, range(0, 4), (1, 2)), 16: (14, 1, range(0, 4), (2,)), 64: (16, 3, range(1, 4), (2,))}
AF, RO, EL0 = 0x400, 0x80, 0x40
out = ["# Stage 1 translation by granule and level. Written by reference/mmu.py."]


def tcr(tg1, t1sz=16, ips=2, extra=0):
    return ips << 32 | tg1 << 30 | t1sz << 16 | 25 | extra


def line(word, text, before, after):
    out.append(f'{word} "{text}" {before} => {after}')


def load(before, after):
    line(LDR, "ldr x0, [x1]", before, after)


def store(before, after):
    line(STR, "str x0, [x1]", f"x0=5 {before}", after)


def walk(levels, leaf_level, leaf, index=lambda level: 0, table_bits=0):
    """Descriptors from the first level down to `leaf_level`, which holds `leaf`."""
    mem = []
    for level in levels:
        if level > leaf_level:
            break
        d = leaf if level == leaf_level else TABLES[level + 1] | 3 | table_bits
        mem.append(f"[{TABLES[level] + 8 * index(level):x}]=#{d:x}")
    return " ".join(mem)


def abort(address, status, write):
    return f"exception ec=25 iss={status | (0x40 if write else 0):x} far={address:x}"


for kib, (granule, tg1, levels, blocks) in GRANULES.items():
    stride = granule - 3
    first = levels[0]
    out.append(f"\n# ---- {kib} KiB.\ntcr_el1={tcr(tg1):x} ttbr1_el1={TABLES[first]:x} x1={VA + OFFSET:x} [{TARGET + OFFSET:x}]=#{VALUE:x}")
    at = VA + OFFSET
    for level in levels:
        load(walk(levels, level, 0), abort(at, 4 + level, False))
        store(walk(levels, level, 0), abort(at, 4 + level, True))
        # A table or page at 2^40 is outside 40 bits; outside what IPS says; and nothing is there.
        load(walk(levels, level, 1 << 40 | AF | 3), abort(at, level, False))
        load(f"tcr_el1={tcr(tg1, ips=0):x} " + walk(levels, level, 1 << 32 | AF | 3), abort(at, level, False))
        if level < 3:
            load(walk(levels, level, 0xc0000000 | 3), abort(at, 0x14 + level + 1, False))
        if level not in blocks and level < 3:
            load(walk(levels, level, AF | 1), abort(at, 4 + level, False))
        if level == 3:
            load(walk(levels, 3, TARGET | AF | 1), abort(at, 7, False))
        if level not in blocks + (3,):
            continue
        size = granule + stride * (3 - level)
        base = TARGET >> size << size
        kind = 3 if level == 3 else 1
        address = VA + (TARGET - base) + OFFSET
        x1 = f"x1={address:x} "
        # Indices of the tables on the way to the address.
        index = lambda l: (address >> granule + stride * (3 - l)) & ((1 << stride) - 1) if l != first else (address & (1 << 48) - 1) >> granule + stride * (3 - l)
        w = lambda leaf, bits=0: x1 + walk(levels, level, leaf, index, bits)
        load(w(base | AF | kind), f"x0={VALUE:x}")
        store(w(base | AF | kind), f"[{TARGET + OFFSET:x}]=#5")
        load(w(base | kind), abort(address, 8 + level, False))
        store(w(base | kind), abort(address, 8 + level, True))
        # The access flag is looked at before permission.
        store(w(base | RO | kind), abort(address, 8 + level, True))
        load(w(base | AF | RO | kind), f"x0={VALUE:x}")
        store(w(base | AF | RO | kind), abort(address, 0xc + level, True))
        load(f"el=0 {w(base | AF | kind)}", abort(address, 0xc + level, False).replace("ec=25", "ec=24"))
        load(f"el=0 {w(base | AF | EL0 | kind)}", f"x0={VALUE:x}")
        store(f"el=0 {w(base | AF | EL0 | RO | kind)}", abort(address, 0xc + level, True).replace("ec=25", "ec=24"))
        if level > first:
            # APTable: read-only, and not for EL0, in a table descriptor above.
            store(w(base | AF | EL0 | kind, 1 << 62), abort(address, 0xc + level, True))
            load(f"el=0 {w(base | AF | EL0 | kind, 1 << 61)}", abort(address, 0xc + level, False).replace("ec=25", "ec=24"))
            load(w(base | AF | EL0 | kind, 1 << 61), f"x0={VALUE:x}")
        # Execution: PXN, UXN, writable by EL0, and the same from the table.
        go = lambda before, after: line("d61f0020", "br x1", before, after)
        ok = f"[{TARGET + OFFSET:x}]=#14000000"
        no = lambda ec: f"exception ec={ec} iss={0xc + level:x} far={address:x} elr={address:x}"
        go(f"{w(base | AF | kind)} {ok}", f"pc={address:x}")
        go(f"{w(base | AF | 1 << 53 | kind)} {ok}", no(21))
        go(f"{w(base | AF | EL0 | kind)} {ok}", no(21))
        go(f"el=0 {w(base | AF | EL0 | kind)} {ok}", f"pc={address:x}")
        go(f"el=0 {w(base | AF | EL0 | RO | 1 << 54 | kind)} {ok}", no(20))
        if level > first:
            go(f"{w(base | AF | kind, 1 << 59)} {ok}", no(21))
            go(f"el=0 {w(base | AF | EL0 | kind, 1 << 60)} {ok}", no(20))
    # Smaller ranges begin at lower levels: VA bits for which level `l` is the first.
    for level in levels[1:]:
        bits = granule + stride * (3 - level + 1)
        bits = min(bits, 48)
        if bits < 25 or bits <= granule + stride * (3 - level):
            continue
        top = (1 << 64) - (1 << bits)
        before = f"tcr_el1={tcr(tg1, 64 - bits):x} ttbr1_el1={TABLES[level]:x} x1={top + OFFSET:x} "
        below = (level,) if level == 3 else tuple(range(level, 4))
        load(before + walk(below, level, 0), abort(top + OFFSET, 4 + level, False))
        load(before + walk(below, 3, TARGET | AF | 3), f"x0={VALUE:x}")
        under = top - 8
        load(f"{before}x1={under:x} " + walk(below, 3, TARGET | AF | 3), abort(under, 4, False))
    # EPD1; TBI1.
    load(f"tcr_el1={tcr(tg1, extra=1 << 23):x} " + walk(levels, 3, TARGET | AF | 3), abort(at, 4, False))
    tagged = at & ~(0xff << 56) | 0xa5 << 56
    load(f"x1={tagged:x} " + walk(levels, 3, TARGET | AF | 3), abort(tagged, 4, False))
    load(f"tcr_el1={tcr(tg1, extra=1 << 38):x} x1={tagged:x} " + walk(levels, 3, TARGET | AF | 3), f"x0={VALUE:x}")
    # The table's own address.
    load(f"ttbr1_el1={1 << 40 | TABLES[first]:x} ", abort(at, 0, False))
    load("ttbr1_el1=c0000000 ", abort(at, 0x14 + first, False))

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mmu.ins")
open(path, "w").write("\n".join(out) + "\n")
