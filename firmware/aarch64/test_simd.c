/* SIMD: lane arithmetic, multiplies, shifts, permutes, table lookup, structure
   loads and stores, vector floating point; AES, SHA and PMULL by published
   vectors if the ID register has them. The expected values of the V lines come
   from a lane by lane model on plain integers. */
#include "fw.h"

static u64 operands[6] __attribute__((aligned(16))) = {
    0x8899aabbccddeefful, 0x0011223344556677ul, /* v0 */
    0xf90a8b7c0d0eff10ul, 0x0102030405060708ul, /* v1 */
    0x3333333344444444ul, 0x1111111122222222ul, /* v2, the destination */
};
static u8 buffer[256] __attribute__((aligned(16)));

/* One instruction on v0 and v1 with its result in v2; x9 may be used. */
#define V(t, high, low) do { u64 l_, h_; \
    __asm__ volatile("ldp q0, q1, [%2]\n\tldr q2, [%2, #32]\n\tldr x9, =0x123456789abcdef0\n\t" t \
                     "\n\tmov %0, v2.d[0]\n\tmov %1, v2.d[1]" \
                     : "=&r"(l_), "=&r"(h_) : "r"(operands) : "v0", "v1", "v2", "x9", "memory"); \
    check(t " low", l_, low); check(t " high", h_, high); } while (0)
/* The same on given operands. */
#define F(t, ah, al, bh, bl, ch, cl, high, low) do { u64 l_, h_, in_[6] = { al, ah, bl, bh, cl, ch }; \
    __asm__ volatile("ldr q0, [%2]\n\tldr q1, [%2, #16]\n\tldr q2, [%2, #32]\n\t" t "\n\tmov %0, v2.d[0]\n\tmov %1, v2.d[1]" \
                     : "=&r"(l_), "=&r"(h_) : "r"(in_) : "v0", "v1", "v2", "memory"); \
    check(t " low", l_, low); check(t " high", h_, high); } while (0)

static void lane_arithmetic(void)
{
    V("add v2.16b, v0.16b, v1.16b", 0x1132537495b6d7ful, 0x81a33537d9ebed0ful);
    V("add v2.8h, v0.8h, v1.8h", 0x1132537495b6d7ful, 0x81a33637d9ebee0ful);
    V("add v2.4s, v0.4s, v1.4s", 0x1132537495b6d7ful, 0x81a43637d9ecee0ful);
    V("add v2.2d, v0.2d, v1.2d", 0x1132537495b6d7ful, 0x81a43637d9ecee0ful);
    V("sub v2.16b, v0.16b, v1.16b", 0xff0f1f2f3f4f5f6ful, 0x8f8f1f3fbfcfefeful);
    V("sub v2.2d, v0.2d, v1.2d", 0xff0f1f2f3f4f5f6ful, 0x8f8f1f3fbfceefeful);
    V("add v2.8b, v0.8b, v1.8b", 0x0ul, 0x81a33537d9ebed0ful);
    V("sub d2, d0, d1", 0x0ul, 0x8f8f1f3fbfceefeful);
    V("sqadd v2.8h, v0.8h, v1.8h", 0x1132537495b6d7ful, 0x81a38000d9ebee0ful);
    V("uqadd v2.16b, v0.16b, v1.16b", 0x1132537495b6d7ful, 0xffa3ffffd9ebfffful);
    V("sqsub v2.16b, v0.16b, v1.16b", 0xff0f1f2f3f4f5f6ful, 0x8f8f1f80bfcfefeful);
    V("uqsub v2.4s, v0.4s, v1.4s", 0x3f4f5f6ful, 0xbfceefeful);
    V("shadd v2.16b, v0.16b, v1.16b", 0x9121b242d363ful, 0xc0d19a1becf5f607ul);
    V("urhadd v2.8h, v0.8h, v1.8h", 0x8a129c24ae36c0ul, 0xc0d29b1c6cf6f708ul);
    V("smax v2.16b, v0.16b, v1.16b", 0x111223344556677ul, 0xf90aaa7c0d0eff10ul);
    V("umin v2.8h, v0.8h, v1.8h", 0x11030405060708ul, 0x88998b7c0d0eeefful);
    V("sabd v2.16b, v0.16b, v1.16b", 0x10f1f2f3f4f5f6ful, 0x71711fc141311111ul);
    V("uaba v2.16b, v0.16b, v1.16b", 0x1220304061718191ul, 0xa4c2527203135533ul);
    V("addp v2.8h, v0.8h, v1.8h", 0x4060c0e84860c1eul, 0x2244aacc3354bbdcul);
    V("uaddlp v2.8h, v0.16b", 0x110055009900ddul, 0x121016501a901edul);
    V("addv b2, v0.16b", 0x0ul, 0xf8ul);
    V("saddlv h2, v0.16b", 0x0ul, 0xfff8ul);
    V("umaxv h2, v0.8h", 0x0ul, 0xeefful);
    V("sminv s2, v1.4s", 0x0ul, 0xf90a8b7cul);
    V("saddl v2.8h, v0.8b, v1.8b", 0xff81ffa3ff350037ul, 0xffd9ffebffed000ful);
    V("uaddw2 v2.4s, v0.4s, v1.8h", 0x1123354455697bul, 0x8899afc1ccddf607ul);
    V("addhn v2.8b, v0.8h, v1.8h", 0x0ul, 0x125496d8136d9eeul);
    V("rsubhn2 v2.8h, v0.4s, v1.4s", 0xff0f3f4f8f8fbfcful, 0x3333333344444444ul);
    V("abs v2.4s, v0.4s", 0x11223344556677ul, 0x7766554533221101ul);
    V("sqneg v2.16b, v0.16b", 0xefdecdbcab9a89ul, 0x7867564534231201ul);
    V("cnt v2.16b, v0.16b", 0x2020402040406ul, 0x204040604060608ul);
    V("clz v2.8h, v0.8h", 0xb000200010001ul, 0x0ul);
    V("cls v2.4s, v1.4s", 0x600000004ul, 0x400000003ul);
    V("cmgt v2.16b, v0.16b, v1.16b", 0xfffffffffffffful, 0xff0000000000ul);
    V("cmhi v2.8h, v0.8h, v1.8h", 0xfffffffffffful, 0xffffffff0000ul);
    V("cmeq v2.4s, v0.4s, v0.4s", 0xfffffffffffffffful, 0xfffffffffffffffful);
    V("cmlt v2.2d, v0.2d, #0", 0x0ul, 0xfffffffffffffffful);
    V("cmtst v2.16b, v0.16b, v1.16b", 0xff00ffffff00ul, 0xfffffffffffffffful);
    V("bif v2.16b, v0.16b, v1.16b", 0x111213340536277ul, 0x319323b3c4d544eful);
    V("bit v2.16b, v0.16b, v1.16b", 0x1011121126242622ul, 0x8a39ba3b4c4cee54ul);
    V("bsl v2.16b, v0.16b, v1.16b", 0x1302150504272aul, 0xc819aa7f4d4eff54ul);
    V("orn v2.16b, v0.16b, v1.16b", 0xfefdfefbfefdfef7ul, 0x8efdfebbfefdeefful);
    V("mvn v2.16b, v0.16b", 0xffeeddccbbaa9988ul, 0x7766554433221100ul);
    V("movi v2.2d, #0xff00ff00ff00ff00", 0xff00ff00ff00ff00ul, 0xff00ff00ff00ff00ul);
    V("movi v2.4s, #0xab, msl #8", 0xabff0000abfful, 0xabff0000abfful);
    V("mvni v2.8h, #0x12, lsl #8", 0xedffedffedffedfful, 0xedffedffedffedfful);
    V("fmov v2.4s, #-1.5", 0xbfc00000bfc00000ul, 0xbfc00000bfc00000ul);
    V("bic v2.4s, #0x33, lsl #24", 0x11111100222222ul, 0x33333344444444ul);
}

static void multiplies(void)
{
    V("mul v2.16b, v0.16b, v1.16b", 0x2266cc54fecab8ul, 0x48fa4e945c1612f0ul);
    V("mul v2.8h, v0.8h, v1.8h", 0x112221cc42fe74b8ul, 0x26fa3b946d16f0f0ul);
    V("mul v2.4s, v0.4s, v1.4s", 0xab1121cc324274b8ul, 0x28703b94e3e0f0f0ul);
    V("mla v2.8h, v0.8h, v1.8h", 0x223332dd652096daul, 0x5a2d6ec7b15a3534ul);
    V("mls v2.4s, v0.4s, v1.4s", 0x65ffef45efdfad6aul, 0xac2f79f60635354ul);
    V("mul v2.8h, v0.8h, v1.h[2]", 0x433c41b4402c3ea4ul, 0x3d1c3b943a0c3884ul);
    V("smull v2.4s, v0.4h, v1.4h", 0x33f26fa26cf3b94ul, 0xfd646d16000ff0f0ul);
    V("umull2 v2.2d, v0.4s, v1.4s", 0x1144ab1121ccul, 0x15746e1324274b8ul);
    V("umlal v2.2d, v0.2s, v1.s[3]", 0x119abd8b21fefe0eul, 0x3401ad47ee86fd40ul);
    V("smlsl2 v2.8h, v0.16b, v1.16b", 0x111110ef21bc2156ul, 0x31df3135417a408cul);
    V("sqdmulh v2.8h, v0.8h, v1.8h", 0xce02ae05a0ul, 0x67e4d9efac8001ful);
    V("sqrdmulh v2.4s, v0.4s, v1.4s", 0x228902ae8dc2ul, 0x67dc28efac88ca8ul);
    V("pmul v2.16b, v0.16b, v1.16b", 0x2266cc54fe32b8ul, 0x48faae249c265af0ul);
    V("pmull v2.8h, v0.8b, v1.8b", 0x7b4805fa51ae3524ul, 0x59c04265a5a0ff0ul);
}

static void shifts(void)
{
    V("shl v2.8h, v0.8h, #5", 0x22046608aa0cee0ul, 0x132057609ba0dfe0ul);
    V("ushr v2.2d, v0.2d, #9", 0x89119a22ab3ul, 0x444cd55de66ef7ul);
    V("sshr v2.16b, v0.16b, #3", 0x20406080a0c0eul, 0xf1f3f5f7f9fbfdfful);
    V("ursra v2.4s, v0.4s, #7", 0x1111335522aacceful, 0x3444668845de0022ul);
    V("sli v2.4s, v0.4s, #12", 0x1223311156677222ul, 0x9aabb333deeff444ul);
    V("sri v2.8h, v0.8h, #4", 0x1001122324452667ul, 0x38893aab4ccd4eeful);
    V("sqshl v2.16b, v0.16b, #2", 0x447f7f7f7f7f7ful, 0x808080808080b8fcul);
    V("sqshrun v2.8b, v0.8h, #4", 0x0ul, 0x1ffffff00000000ul);
    V("uqrshrn2 v2.8h, v0.4s, #12", 0x112fffffffffffful, 0x3333333344444444ul);
    V("sqxtn v2.4h, v0.4s", 0x0ul, 0x7fff7fff80008000ul);
    V("xtn2 v2.16b, v0.8h", 0x1133557799bbddfful, 0x3333333344444444ul);
    V("sxtl v2.4s, v0.4h", 0xffff8899ffffaabbul, 0xffffccddffffeefful);
    V("ushll2 v2.8h, v0.16b, #3", 0x8801100198ul, 0x22002a8033003b8ul);
    V("sshl v2.16b, v0.16b, v1.16b", 0x44103080400000ul, 0xff00ff000000f700ul);
    V("ushl v2.4s, v0.4s, v1.4s", 0x112233055667700ul, 0xeeff0000ul);
}

static void permutes(void)
{
    V("zip1 v2.16b, v0.16b, v1.16b", 0xf9880a998baa7cbbul, 0xdcc0eddffee10fful);
    V("zip2 v2.16b, v0.16b, v1.16b", 0x100021103220433ul, 0x544065507660877ul);
    V("uzp1 v2.8h, v0.8h, v1.8h", 0x30407088b7cff10ul, 0x22336677aabbeefful);
    V("uzp2 v2.8h, v0.8h, v1.8h", 0x1020506f90a0d0eul, 0x1144558899ccddul);
    V("trn1 v2.4s, v0.4s, v1.4s", 0x506070844556677ul, 0xd0eff10ccddeefful);
    V("trn2 v2.4s, v0.4s, v1.4s", 0x102030400112233ul, 0xf90a8b7c8899aabbul);
    V("ext v2.16b, v0.16b, v1.16b, #5", 0x7c0d0eff10001122ul, 0x33445566778899aaul);
    V("rev64 v2.8h, v0.8h", 0x6677445522330011ul, 0xeeffccddaabb8899ul);
    V("rev32 v2.16b, v0.16b", 0x3322110077665544ul, 0xbbaa9988ffeeddccul);
    V("rbit v2.16b, v0.16b", 0x8844cc22aa66eeul, 0x119955dd33bb77fful);
    V("dup v2.8h, v0.h[5]", 0x4455445544554455ul, 0x4455445544554455ul);
    V("ins v2.s[1], v0.s[2]", 0x1111111122222222ul, 0x4455667744444444ul);
    V("mov v2.d[0], x9", 0x1111111122222222ul, 0x123456789abcdef0ul);
    V("dup v2.4s, w9", 0x9abcdef09abcdef0ul, 0x9abcdef09abcdef0ul);
    V("umov w9, v0.h[3]\n\tdup v2.2d, x9", 0x8899ul, 0x8899ul);
    V("smov x9, v0.b[0]\n\tdup v2.2d, x9", 0xfffffffffffffffful, 0xfffffffffffffffful);
    V("tbl v2.16b, {v0.16b}, v1.16b", 0xeeddccbbaa998877ul, 0x55000022110000ul);
    V("tbl v2.16b, {v0.16b, v1.16b}, v1.16b", 0xeeddccbbaa998877ul, 0x55000022110010ul);
    V("tbx v2.16b, {v0.16b}, v1.16b", 0xeeddccbbaa998877ul, 0x3355333322114444ul);
}

static void vector_float(void)
{
    /* 1.0, 2.0, 3.0, 4.0 and 0.5, -1.0, 2.5, 8.0 from the low lane up */
#define FV(t, high, low) F(t, 0x4080000040400000ul, 0x400000003f800000ul, 0x4100000040200000ul, 0xbf8000003f000000ul, \
                           0x3f8000003f800000ul, 0x3f8000003f800000ul, high, low)
    FV("fadd v2.4s, v0.4s, v1.4s", 0x4140000040b00000ul, 0x3f8000003fc00000ul);
    FV("fmul v2.4s, v0.4s, v1.4s", 0x4200000040f00000ul, 0xc00000003f000000ul);
    FV("fmla v2.4s, v0.4s, v1.4s", 0x4204000041080000ul, 0xbf8000003fc00000ul);
    FV("fmls v2.4s, v0.4s, v1.s[3]", 0xc1f80000c1b80000ul, 0xc1700000c0e00000ul);
    FV("fdiv v2.4s, v1.4s, v0.4s", 0x400000003f555555ul, 0xbf0000003f000000ul);
    FV("faddp v2.4s, v0.4s, v1.4s", 0x41280000bf000000ul, 0x40e0000040400000ul);
    FV("fmaxv s2, v1.4s", 0, 0x41000000ul);
    FV("fcmgt v2.4s, v0.4s, v1.4s", 0x00000000fffffffful, 0xfffffffffffffffful);
    FV("facge v2.4s, v1.4s, v0.4s", 0xffffffff00000000ul, 0);
    FV("fcvtzs v2.4s, v1.4s", 0x0000000800000002ul, 0xffffffff00000000ul);
    FV("frinta v2.4s, v1.4s", 0x4100000040400000ul, 0xbf8000003f800000ul);
    FV("scvtf v2.4s, v2.4s", 0x4e7e00004e7e0000ul, 0x4e7e00004e7e0000ul);
    FV("fcvtl v2.2d, v0.2s", 0x4000000000000000ul, 0x3ff0000000000000ul);
    FV("fcvtl2 v2.2d, v1.4s", 0x4020000000000000ul, 0x4004000000000000ul);
    FV("fneg v2.4s, v0.4s", 0xc0800000c0400000ul, 0xc0000000bf800000ul);
    FV("fsqrt v2.2s, v0.2s", 0, 0x3fb504f33f800000ul);
    FV("frecpe v2.4s, v0.4s", 0x3e7f80003eaa8000ul, 0x3eff80003f7f8000ul);
    FV("frsqrts v2.2s, v0.2s, v1.2s", 0, 0x4020000000000000ul + 0x00000000ul + 0x3fa00000ul);
    F("fmla v2.2d, v0.2d, v1.d[1]", 0x4008000000000000ul, 0x4000000000000000ul, 0x4010000000000000ul, 0, 0x3ff0000000000000ul,
      0x3ff0000000000000ul, 0x402a000000000000ul, 0x4022000000000000ul);
    F("fcvtn v2.2s, v0.2d", 0x4008000000000000ul, 0x4000000000000000ul, 0, 0, 0, 0, 0, 0x4040000040000000ul);
    F("fcvtn2 v2.4s, v0.2d", 0x4008000000000000ul, 0x4000000000000000ul, 0, 0, 0, 7, 0x4040000040000000ul, 7);
    F("ucvtf v2.2d, v0.2d", 3, 1, 0, 0, 0, 0, 0x4008000000000000ul, 0x3ff0000000000000ul);
}

static u64 low_of(int reg_bytes) { return *(u64 *)(buffer + reg_bytes); }

/* Bytes 0, 1, 2 ... in memory: what each register gets is its index pattern. The MMU is off, so
   data is Device memory, where an access must be aligned to its elements. */
static void structures(void)
{
    for (u32 i = 0; i < sizeof buffer; i++)
        buffer[i] = i;
    __asm__ volatile("ld4 {v0.16b-v3.16b}, [%0]\n\tst1 {v0.16b-v3.16b}, [%1]" : : "r"(buffer), "r"(buffer + 64) : "v0", "v1", "v2", "v3", "memory");
    check("ld4 v0", low_of(64), 0x1c1814100c080400ul);
    check("ld4 v3", low_of(112), 0x1f1b17130f0b0703ul);
    __asm__ volatile("ld3 {v0.8h-v2.8h}, [%0]\n\tst1 {v0.8h-v2.8h}, [%1]" : : "r"(buffer), "r"(buffer + 64) : "v0", "v1", "v2", "memory");
    check("ld3 v1", low_of(80), 0x15140f0e09080302ul);
    __asm__ volatile("ld2 {v0.4s, v1.4s}, [%0]\n\tst1 {v0.4s, v1.4s}, [%1]" : : "r"(buffer), "r"(buffer + 64) : "v0", "v1", "memory");
    check("ld2 v0", low_of(64), 0x0b0a090803020100ul);
    check("ld2 v1", low_of(80), 0x0f0e0d0c07060504ul);
    u64 p = (u64)buffer;
    __asm__ volatile("ld1 {v0.2d, v1.2d}, [%1]\n\tst2 {v0.2d, v1.2d}, [%2]\n\tld1 {v0.8b}, [%0], #8\n\tld1 {v0.b}[3], [%0], %3"
                     : "+r"(p) : "r"(buffer), "r"(buffer + 64), "r"(5ul) : "v0", "v1", "memory");
    check("st2 first", low_of(64), 0x0706050403020100ul);
    check("st2 second", low_of(72), 0x1716151413121110ul);
    check("post-index", p, (u64)buffer + 13);
    __asm__ volatile("movi v0.2d, #0\n\tld1 {v0.h}[2], [%0]\n\tstr q0, [%1]\n\tld1r {v0.4s}, [%0]\n\tstr q0, [%1, #16]\n\t"
                     "ld2r {v0.8b, v1.8b}, [%0]\n\tstr q1, [%1, #32]\n\tmovi v0.16b, #0x55\n\tst1 {v0.s}[1], [%1]"
                     : : "r"(buffer + 4), "r"(buffer + 64) : "v0", "v1", "memory");
    check("ld1 lane", low_of(64), 0x0000050455555555ul);
    check("ld1r", low_of(80), 0x0706050407060504ul);
    check("ld2r", low_of(96), 0x0505050505050505ul);
    check("ld2r 64-bit form clears the top", low_of(104), 0);
    __asm__ volatile("ldp d0, d1, [%0]\n\tstp d1, d0, [%1]\n\tldr b2, [%0, #3]\n\tstr q2, [%1, #16]\n\tldur q3, [%0, #16]\n\tstur d3, [%1, #40]"
                     : : "r"(buffer), "r"(buffer + 64) : "v0", "v1", "v2", "v3", "memory");
    check("ldp, stp d", low_of(64), 0x0f0e0d0c0b0a0908ul);
    check("ldr b clears the rest", low_of(80) | low_of(88) << 8, 3);
}

/* AES-128 of FIPS 197, appendix B, both ways; SubWord of the key schedule is an
   AESE with a zero key, which leaves a word repeated in all columns in place. */
static void aes(void)
{
    static const u8 key[16] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c };
    static const u64 plain[2] = { 0x8d305a88a8f64332ul, 0x340737e0a2983131ul }, cipher[2] = { 0xfb09dc021d842539ul, 0x320b6a19978511dcul };
    static u32 k[44] __attribute__((aligned(16)));
    static u64 block[2] __attribute__((aligned(16)));
    u32 rcon = 1;
    memcpy(k, key, 16);
    for (int i = 4; i < 44; i++) {
        u32 t = k[i - 1];
        if (i % 4 == 0) {
            __asm__ volatile(".arch_extension crypto\n\tdup v0.4s, %w0\n\tmovi v1.2d, #0\n\taese v0.16b, v1.16b\n\tmov %w0, v0.s[0]"
                             : "+r"(t) : : "v0", "v1");
            t = (t >> 8 | t << 24) ^ rcon;
            rcon = rcon << 1 ^ (rcon >> 7) * 0x11b;
        }
        k[i] = k[i - 4] ^ t;
    }
    check("AES key schedule", k[43], 0xa60c63b6);
    memcpy(block, plain, 16);
    __asm__ volatile("ldr q0, [%0]\n\tmov x9, %1\n\tmov w10, #9\n1:\tldr q1, [x9], #16\n\taese v0.16b, v1.16b\n\taesmc v0.16b, v0.16b\n\t"
                     "subs w10, w10, #1\n\tb.ne 1b\n\tldp q1, q2, [x9]\n\taese v0.16b, v1.16b\n\teor v0.16b, v0.16b, v2.16b\n\tstr q0, [%0]"
                     : : "r"(block), "r"(k) : "v0", "v1", "v2", "x9", "x10", "cc", "memory");
    check("AES encryption low", block[0], cipher[0]);
    check("AES encryption high", block[1], cipher[1]);
    __asm__ volatile("ldr q0, [%0]\n\tadd x9, %1, #144\n\tmov w10, #9\n\tldr q1, [x9, #16]\n\taesd v0.16b, v1.16b\n1:\taesimc v0.16b, v0.16b\n\t"
                     "ldr q1, [x9], #-16\n\taesimc v1.16b, v1.16b\n\taesd v0.16b, v1.16b\n\tsubs w10, w10, #1\n\tb.ne 1b\n\t"
                     "ldr q1, [x9]\n\teor v0.16b, v0.16b, v1.16b\n\tstr q0, [%0]"
                     : : "r"(block), "r"(k) : "v0", "v1", "x9", "x10", "cc", "memory");
    check("AES decryption low", block[0], plain[0]);
    check("AES decryption high", block[1], plain[1]);
}

/* The padded one-block message "abc" of FIPS 180. */
static const u32 abc[16] __attribute__((aligned(16))) = { 0x61626380, [15] = 24 };

static void sha1(void)
{
    static const u32 constant[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
    static const u32 want[5] = { 0xa9993e36, 0x4706816a, 0xba3e2571, 0x7850c26c, 0x9cd0d89d };
    static u32 w[80] __attribute__((aligned(16))), h[8] __attribute__((aligned(16)));
    static const u32 start[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    memcpy(w, abc, 64);
    for (int i = 16; i < 80; i += 4)
        __asm__ volatile("ldp q0, q1, [%0, #-64]\n\tldp q2, q3, [%0, #-32]\n\tsha1su0 v0.4s, v1.4s, v2.4s\n\tsha1su1 v0.4s, v3.4s\n\tstr q0, [%0]"
                         : : "r"(w + i) : "v0", "v1", "v2", "v3", "memory");
    memcpy(h, start, 20);
#define SHA1_STEP(op) __asm__ volatile("ldr q0, [%0]\n\tldr s1, [%0, #16]\n\tldr q2, [%1]\n\tdup v3.4s, %w2\n\tadd v2.4s, v2.4s, v3.4s\n\t" \
        "sha1h s4, s0\n\t" op " q0, s1, v2.4s\n\tstr q0, [%0]\n\tstr s4, [%0, #16]" \
        : : "r"(h), "r"(w + i), "r"(constant[i / 20]) : "v0", "v1", "v2", "v3", "v4", "memory")
    for (int i = 0; i < 80; i += 4)
        if (i < 20)
            SHA1_STEP("sha1c");
        else if (i >= 40 && i < 60)
            SHA1_STEP("sha1m");
        else
            SHA1_STEP("sha1p");
    for (int i = 0; i < 5; i++)
        check("SHA-1", h[i] + start[i], want[i]);
}

static void sha256(void)
{
    static const u32 want[8] = { 0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223, 0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad };
    static const u32 start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    static const u32 k[64] __attribute__((aligned(16))) = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    };
    static u32 w[64] __attribute__((aligned(16))), h[8] __attribute__((aligned(16)));
    memcpy(w, abc, 64);
    for (int i = 16; i < 64; i += 4)
        __asm__ volatile("ldp q0, q1, [%0, #-64]\n\tldp q2, q3, [%0, #-32]\n\tsha256su0 v0.4s, v1.4s\n\tsha256su1 v0.4s, v2.4s, v3.4s\n\tstr q0, [%0]"
                         : : "r"(w + i) : "v0", "v1", "v2", "v3", "memory");
    memcpy(h, start, 32);
    for (int i = 0; i < 64; i += 4)
        __asm__ volatile("ldp q0, q1, [%0]\n\tldr q2, [%1]\n\tldr q3, [%2]\n\tadd v2.4s, v2.4s, v3.4s\n\tmov v4.16b, v0.16b\n\t"
                         "sha256h q0, q1, v2.4s\n\tsha256h2 q1, q4, v2.4s\n\tstp q0, q1, [%0]"
                         : : "r"(h), "r"(w + i), "r"(k + i) : "v0", "v1", "v2", "v3", "v4", "memory");
    for (int i = 0; i < 8; i++)
        check("SHA-256", h[i] + start[i], want[i]);
}

void test_simd(void)
{
    u64 id = sysreg_read("id_aa64isar0_el1");
    u32 has_aes = id >> 4 & 0xf, has_sha1 = id >> 8 & 0xf, has_sha2 = id >> 12 & 0xf;
    sysreg_write("fpcr", 0);
    lane_arithmetic();
    multiplies();
    shifts();
    permutes();
    vector_float();
    structures();
    if (has_aes)
        aes();
    if (has_aes >= 2) {
        F(".arch_extension crypto\n\tpmull v2.1q, v0.1d, v1.1d", 0, 0xfffffffffffffffful, 0, 0xfffffffffffffffful, 0, 0,
          0x5555555555555555ul, 0x5555555555555555ul);
        F("pmull2 v2.1q, v0.2d, v1.2d", 0x8000000000000000ul, 0, 0x8000000000000001ul, 0, 0, 0, 0x4000000000000000ul, 0x8000000000000000ul);
    }
    if (has_sha1)
        sha1();
    if (has_sha2)
        sha256();
    note(has_aes && has_sha1 && has_sha2 ? "AES, SHA-1, SHA-256" : "not all of AES, SHA-1, SHA-256 there");
}
