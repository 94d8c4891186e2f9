"""Writes ../fp.ins and ../simd.ins: a line or a few for each instruction, with values at edges.
(../recorded/simd.txt has random words of every pattern.) See reference.py; the reference must not
have SVE, whose signal frames hide the vector registers: RUNNER="qemu-aarch64 -cpu max,sve=off,sme=off"."""
import os, random
import reference

rng = random.Random(8)
S = ["3fc00000", "c0200000", "7f800000", "7fa00000", "00000001", "4f000000", "80000000", "3f800001"]
D = ["3ff8000000000000", "c004000000000000", "7ff0000000000000", "7ff4000000000000", "0000000000000001", "43e0000000000000", "8000000000000000", "3ff0000000000001"]
H = ["3e00", "c100", "7c00", "7d00", "0001", "7800", "8000", "3c01"]
V = ["0123456789abcdeffedcba9876543210", "80007fff8000000080807f7f00ff01fe", "ffffffff00000000000000017fffffff", "00010203040506070809fafbfcfdfeff"]
F = {"s": ["7f8000003f800000c020000000000001", "3fc000007fa0000040490fdb80000000"], "d": ["7ff40000000000003ff8000000000000", "3ff0000000000001c004000000000000"],
     "h": ["7c003e00c10000017d003c0180007800", "3e003c01780000017c00c1008000bc00"]}
cases = {"cortex-a53": [], "max": []}


def add(asm, before="", cpu="cortex-a53"):
    cases[cpu].append((asm, " ".join(before.split())))


def write(name, title):
    global cases
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", name), "w") as f:
        f.write(f"# {title} Written by reference/simd.py.\n")
        for cpu, c in cases.items():
            f.write(f"\ncpu={cpu}\n" + "\n".join(reference.lines(c)) + "\n")
    cases = {"cortex-a53": [], "max": []}


def scalars():
    for f, values, cpu in (("s", S, "cortex-a53"), ("d", D, "cortex-a53"), ("h", H, "max")):
        def put(asm, regs, n=3, extra=""):
            for k in range(n):
                v = " ".join(f"v{r}={values[(k * 3 + i * 5 + rng.randrange(2)) % len(values)].rjust(32, '0')}" for i, r in enumerate(regs))
                add(asm.replace("%", f), f"v0={V[0]} {v} {extra}", cpu)
        for op in "fadd fsub fmul fdiv fnmul fmax fmin fmaxnm fminnm".split():
            put(f"{op} %0, %1, %2", [1, 2], 4)
        put("fadd %0, %1, %2", [1, 2], 4, "fpcr=3c00000")
        put("fmul %0, %1, %2", [1, 2], 4, "fpcr=1080000")
        for op in "fmadd fmsub fnmadd fnmsub".split():
            put(f"{op} %0, %1, %2, %3", [1, 2, 3])
        for op in "fmov fabs fneg fsqrt frintn frintp frintm frintz frinta frintx frinti".split():
            put(f"{op} %0, %1", [1], 2)
        for op in ("fcmp", "fcmpe"):
            put(f"{op} %1, %2", [1, 2], 4)
            put(f"{op} %1, #0.0", [1], 2)
        for op in ("fccmp", "fccmpe"):
            put(f"{op} %1, %2, #10, eq", [1, 2], 2, "nzcv=4")
            put(f"{op} %1, %2, #10, eq", [1, 2], 1)
        put("fcsel %0, %1, %2, ge", [1, 2], 1, "nzcv=9")
        put("fcsel %0, %1, %2, ge", [1, 2], 1, "nzcv=8")
        put("fmov %0, #-1.9375", [], 1)
        for r in "nmpza":
            for u in "su":
                for w in "wx":
                    put(f"fcvt{r}{u} {w}0, %1", [1], 2)
        for u in "su":
            put(f"fcvtz{u} x0, %1, #7", [1], 1)
            for w in "wx":
                add(f"{u}cvtf {f}0, {w}1", f"x1=fedcba9876543211 v0={V[0]}", cpu)
                add(f"{u}cvtf {f}0, {w}1, #9", f"x1=7fffffff80000001 v0={V[0]}", cpu)
    for a, b in ("sd", "ds", "sh", "hs", "dh", "hd"):
        for v in {"s": S, "d": D, "h": H}[b][:6]:
            add(f"fcvt {a}0, {b}1", f"v0={V[0]} v1={v.rjust(32, '0')}")
    for asm in ("fmov w0, s1", "fmov x0, d1", "fmov x0, v1.d[1]"):
        add(asm, f"v1={V[0]}")
    for asm in ("fmov s0, w1", "fmov d0, x1", "fmov v0.d[1], x1"):
        add(asm, f"x1=fedcba9876543210 v0={V[1]}")


def vectors():
    three = f"v0={V[3]} v1={V[1]} v2={V[0]}"
    other = f"v0={V[0]} v1={V[2]} v2={V[1]}"
    T = ["8b", "16b", "4h", "8h", "2s", "4s", "2d"]

    def same(ops, types, cpu="cortex-a53", tail=", v2.%"):
        for op in ops.split():
            for t in types:
                add(f"{op} v0.{t}, v1.{t}{tail}".replace("%", t), rng.choice([three, other]), cpu)
    same("and bic orr orn eor bsl bit bif pmul", ["8b", "16b"])
    same("add sub cmgt cmhi cmge cmhs cmeq cmtst sshl ushl srshl urshl sqshl uqshl sqrshl uqrshl sqadd uqadd sqsub uqsub addp", ["8b", "8h", "4s", "2d"])
    same("mul mla mls smax umax smin umin sabd uabd saba uaba shadd uhadd srhadd urhadd shsub uhsub smaxp umaxp sminp uminp", ["16b", "4h", "4s"])
    same("sqdmulh sqrdmulh", ["4h", "4s"])
    same("zip1 zip2 uzp1 uzp2 trn1 trn2", T)
    same("abs neg sqabs sqneg suqadd usqadd", ["8b", "8h", "4s", "2d"], tail="")
    same("cls clz rev64", ["16b", "4h", "4s"], tail="")
    same("rev32", ["16b", "4h"], tail="")
    same("rev16 cnt not rbit", ["8b", "16b"], tail="")
    same("cmgt cmge cmeq cmle cmlt", ["8b", "8h", "2d"], tail=", #0")
    same("sqrdmlah sqrdmlsh", ["4h", "4s"], "max")
    for n, w, n2 in (("8b", "8h", "16b"), ("4h", "4s", "8h"), ("2s", "2d", "4s")):
        for op in "saddl uaddl ssubl usubl sabdl uabdl sabal uabal smull umull smlal umlal smlsl umlsl".split():
            add(f"{op} v0.{w}, v1.{n}, v2.{n}", three)
            add(f"{op}2 v0.{w}, v1.{n2}, v2.{n2}", other)
        for op in "saddw uaddw ssubw usubw".split():
            add(f"{op} v0.{w}, v1.{w}, v2.{n}", three)
        for op in "addhn raddhn subhn rsubhn".split():
            add(f"{op} v0.{n}, v1.{w}, v2.{w}", three)
            add(f"{op}2 v0.{n2}, v1.{w}, v2.{w}", other)
        for op in "xtn sqxtn uqxtn sqxtun".split():
            add(f"{op} v0.{n}, v1.{w}", three)
            add(f"{op}2 v0.{n2}, v1.{w}", other)
        for op in "shrn rshrn sqshrn uqshrn sqrshrn uqrshrn sqshrun sqrshrun".split():
            add(f"{op} v0.{n}, v1.{w}, #3", rng.choice([three, other]))
        for op in "sshll ushll".split():
            add(f"{op} v0.{w}, v1.{n}, #5", three)
            add(f"{op}2 v0.{w}, v1.{n2}, #0", other)
        for op in "saddlp uaddlp sadalp uadalp".split():
            add(f"{op} v0.{w}, v1.{n2}", three)
    for op in "sshr ushr ssra usra srshr urshr srsra ursra sri sli shl sqshlu sqshl uqshl".split():
        for t, k in (("8b", 3), ("8h", 9), ("4s", 31), ("2d", 40)):
            add(f"{op} v0.{t}, v1.{t}, #{k}", rng.choice([three, other]))
    for op in "addv saddlv uaddlv smaxv umaxv sminv uminv".split():
        for t, r in (("8b", "b"), ("16b", "b"), ("8h", "h"), ("4s", "s")):
            r = {"b": "h", "h": "s", "s": "d"}[r] if "lv" in op else r
            add(f"{op} {r}0, v1.{t}", three)
    for asm in ("dup v0.16b, w1", "dup v0.2d, x1", "ins v0.h[5], w1", "ins v0.d[1], x1"):
        add(asm, f"{three} x1=fedcba9876543210")
    for asm in ("dup v0.4s, v1.s[2]", "dup b0, v1.b[9]", "umov w0, v1.b[7]", "umov x0, v1.d[1]", "smov w0, v1.h[3]", "smov x0, v1.s[3]", "ins v0.s[1], v1.s[3]",
                "ext v0.16b, v1.16b, v2.16b, #5", "ext v0.8b, v1.8b, v2.8b, #3", "movi v0.4s, #0xab, lsl #16", "movi d0, #0xff00ff0000ffff00", "mvni v0.8h, #0x12, lsl #8",
                "orr v0.4s, #0x81, lsl #24", "bic v0.4h, #0x7f", "movi v0.2s, #0x55, msl #8", "fmov v0.4s, #-0.25", "fmov v0.2d, #31.0"):
        add(asm, three)
    for n in range(1, 5):
        regs = "{" + ", ".join(f"v{1 + k}.16b" for k in range(n)) + "}"
        for op in ("tbl", "tbx"):
            add(f"{op} v0.16b, {regs}, v9.16b", f"v0={V[0]} v1={V[0]} v2={V[1]} v3={V[2]} v4={V[3]} v9=00101f2f3f40ff0a05112231330c0d0e")
    for f, types, cpu in (("s", ["2s", "4s"], "cortex-a53"), ("d", ["2d"], "cortex-a53"), ("h", ["4h", "8h"], "max")):
        b = f"v0={V[0]} v1={F[f][0]} v2={F[f][1]}"
        for t in types:
            for op in "fadd fsub fmul fmulx fdiv fabd fmax fmin fmaxnm fminnm fmla fmls frecps frsqrts fcmeq fcmge fcmgt facge facgt faddp fmaxp fminp fmaxnmp fminnmp".split():
                add(f"{op} v0.{t}, v1.{t}, v2.{t}", b, cpu)
            for op in "fabs fneg fsqrt frecpe frsqrte frintn frintp frintm frintz frinta frintx frinti fcvtns fcvtnu fcvtzs fcvtzu fcvtas fcvtms fcvtpu scvtf ucvtf".split():
                add(f"{op} v0.{t}, v1.{t}", b, cpu)
            for op in "fcmgt fcmge fcmeq fcmle fcmlt".split():
                add(f"{op} v0.{t}, v1.{t}, #0.0", b, cpu)
            add(f"fmla v0.{t}, v1.{t}, v2.{f}[1]", b, cpu)
    b = f"v0={V[0]} v1={F['d'][0]}"
    for asm in ("fcvtn v0.2s, v1.2d", "fcvtn2 v0.4s, v1.2d", "fcvtxn v0.2s, v1.2d", "fcvtn v0.4h, v1.4s", "fcvtl v0.4s, v1.4h", "fcvtl2 v0.2d, v1.4s"):
        add(asm, b)
    for op in "aese aesd aesmc aesimc".split():
        add(f"{op} v0.16b, v1.16b", three)
    for asm in ("sha1c q0, s1, v2.4s", "sha1p q0, s1, v2.4s", "sha1m q0, s1, v2.4s", "sha1h s0, s1", "sha1su0 v0.4s, v1.4s, v2.4s", "sha1su1 v0.4s, v1.4s", "sha256h q0, q1, v2.4s",
                "sha256h2 q0, q1, v2.4s", "sha256su0 v0.4s, v1.4s", "sha256su1 v0.4s, v1.4s, v2.4s", "pmull v0.1q, v1.1d, v2.1d", "pmull2 v0.1q, v1.2d, v2.2d", "pmull v0.8h, v1.8b, v2.8b"):
        add(asm, three)
    data = bytes(range(0x40, 0x90)).hex()
    for n in range(1, 5):
        for t in ("8b", "16b", "4h", "8h", "2s", "4s", "2d"):
            regs = "{" + ", ".join(f"v{k}.{t}" for k in range(n)) + "}"
            add(f"ld{n} {regs}, [x20]", f"x20=40010100 [40010100]={data}")
            add(f"st{n} {regs}, [x20], x3", f"x20=40010100 x3=18 v0={V[0]} v1={V[1]} v2={V[2]} v3={V[3]}")
        for t, i in (("b", 11), ("h", 6), ("s", 1), ("d", 1)):
            regs = "{" + ", ".join(f"v{k}.{t}" for k in range(n)) + "}"
            size = {"b": 1, "h": 2, "s": 4, "d": 8}[t] * n
            add(f"ld{n} {regs}[{i}], [x20], #{size}", f"x20=40010100 v0={V[0]} v1={V[1]} v2={V[2]} v3={V[3]} [40010100]={data}")
            add(f"st{n} {regs}[{i}], [x20]", f"x20=40010100 v0={V[0]} v1={V[1]} v2={V[2]} v3={V[3]}")
        regs = "{" + ", ".join(f"v{k}.4h" for k in range(n)) + "}"
        add(f"ld{n}r {regs}, [x20]", f"x20=40010100 v0={V[0]} [40010100]={data}")


if __name__ == "__main__":
    scalars()
    write("fp.ins", "Floating point, scalar.")
    vectors()
    write("simd.ins", "Advanced SIMD.")
