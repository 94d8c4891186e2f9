"""Lines of .ins files from a reference: assembles, runs `harness` under qemu-aarch64, writes what
changed. Needs aarch64-linux-gnu-as, qemu-aarch64 (qemu-user) and the Python package capstone 5.

The environment names the harness (HARNESS) and, where it is not qemu-aarch64, how to run it
(RUNNER): without SVE, whose registers a signal frame would hold in place of those of SIMD."""
import os, re, struct, subprocess, tempfile
import capstone

START, DATA, DATA_BYTES, MOST = 0x40001000, 0x40010000, 0x1000, 8
ARCH = "armv8.5-a+crypto+fp16+lse+rcpc+sha3+sm4+dotprod"
DEFAULT_SP = 0x40020000
IN = struct.Struct(f"<{MOST + 2}III QQ31QQ 64Q {DATA_BYTES}s")
OUT = struct.Struct(f"<IIII QQ31QQ 64Q {DATA_BYTES}s")
cs = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)


def assemble(cases):
    """Words of each case, a string of instructions divided by `;`."""
    counts, text = [], [f".arch {ARCH}"]
    for asm in cases:
        parts = [p.strip() for p in asm.split(";")]
        counts.append(len(parts))
        text += parts
    with tempfile.TemporaryDirectory() as d:
        with open(f"{d}/a.s", "w") as f:
            f.write("\n".join(text) + "\n")
        subprocess.run(["aarch64-linux-gnu-as", f"{d}/a.s", "-o", f"{d}/a.o"], check=True)
        subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", f"{d}/a.o", f"{d}/a.bin"], check=True)
        code = open(f"{d}/a.bin", "rb").read()
    words = [w for (w,) in struct.iter_unpack("<I", code)]
    assert len(words) == sum(counts), (len(words), sum(counts))
    out = []
    for n in counts:
        out.append(words[:n])
        words = words[n:]
    return out


def text_of(words, asm):
    """Capstone's text in quotes, or ours after `~`."""
    found = []
    for w in words:
        i = next(cs.disasm(w.to_bytes(4, "little"), 0), None)
        if i is None:
            return f'~"{asm}"'
        found.append(" ".join(f"{i.mnemonic} {i.op_str}".split()).lower())
    return '"' + "; ".join(found) + '"'


def value_bytes(v):
    return int(v[1:], 16).to_bytes(8, "little") if v[0] == "#" else bytes.fromhex(v)


def record(words, before):
    s = {"nzcv": 0, "fpcr": 0, "fpsr": 0, "sp": DEFAULT_SP, "at": START}
    x, v, data = [0] * 31, [0] * 64, bytearray(DATA_BYTES)
    for item in before.split():
        n, val = item.split("=")
        if n[0] == "[":
            b, at = value_bytes(val), int(n[1:-1], 16) - DATA
            data[at:at + len(b)] = b
        elif re.fullmatch(r"x\d+", n):
            x[int(n[1:])] = int(val, 16)
        elif re.fullmatch(r"v\d+", n):
            k = int(val, 16)
            v[2 * int(n[1:])], v[2 * int(n[1:]) + 1] = k & (1 << 64) - 1, k >> 64
        else:
            assert n in s, n
            s[n] = int(val, 16)
    padded = words + [0xd4200000] * (MOST + 1 - len(words))
    assert len(words) <= MOST
    return IN.pack(len(words), *padded, s["fpcr"], s["fpsr"], s["at"], s["nzcv"], *x, s["sp"], *v, bytes(data))


def run(cases):
    """`cases`: (words, before). Gives what changed, as settings text, or None for a signal."""
    todo = b"".join(record(w, b) for w, b in cases)
    runner = os.environ.get("RUNNER", "qemu-aarch64 -cpu max,sve=off,sme=off").split()
    p = subprocess.run(runner + [os.environ["HARNESS"]], input=todo, stdout=subprocess.PIPE)
    results = [OUT.unpack(p.stdout[i:i + OUT.size]) for i in range(0, len(p.stdout), OUT.size)]
    assert len(results) == len(cases), (len(results), len(cases), p.returncode)
    return [changes(w, b, r) for (w, b), r in zip(cases, results)]


def changes(words, before, r):
    i = IN.unpack(record(words, before))[1 + MOST + 1:]
    signal, fpcr, fpsr, _, pc, nzcv = r[:6]
    fpcr0, fpsr0, pc0, nzcv0 = i[:4]
    if signal:
        return None
    out = []
    x, x0 = r[6:37], i[4:35]
    out += [f"x{n}={x[n]:x}" for n in range(31) if x[n] != x0[n]]
    if r[37] != i[35]:
        out.append(f"sp={r[37]:x}")
    v, v0 = r[38:102], i[36:100]
    out += [f"v{n}={v[2 * n] | v[2 * n + 1] << 64:032x}" for n in range(32) if v[2 * n:2 * n + 2] != v0[2 * n:2 * n + 2]]
    if nzcv != nzcv0:
        out.append(f"nzcv={nzcv:x}")
    if fpcr != fpcr0:
        out.append(f"fpcr={fpcr:x}")
    if fpsr != fpsr0:
        out.append(f"fpsr={fpsr:x}")
    a, b = r[102], i[100]
    at = 0
    while at < DATA_BYTES:
        if a[at] == b[at]:
            at += 1
            continue
        end = at + 1
        # A gap of less than four equal bytes is shown with what is around it.
        while end < DATA_BYTES and a[end:end + 4] != b[end:end + 4]:
            end += 1
        out.append(f"[{DATA + at:x}]={a[at:end].hex()}")
        at = end
    if pc != pc0 + 4 * len(words):
        out.append(f"pc=+{pc - pc0:x}" if pc >= pc0 else f"pc={pc:x}")
    return " ".join(out)


def lines(cases):
    """Lines of the cases (asm, before); those that the reference refuses are left out."""
    words = assemble([a for a, _ in cases])
    results = run([(w, b) for w, (_, b) in zip(words, cases)])
    out, refused = [], []
    for w, (asm, before), after in zip(words, cases, results):
        if after is None:
            refused.append(asm)
            continue
        line = " ".join(f"{k:08x}" for k in w) + f" {text_of(w, asm)}"
        out.append(f"{line} {before} => {after}".replace("  ", " ").rstrip())
    if refused:
        print("refused by the reference:", refused)
    return out
