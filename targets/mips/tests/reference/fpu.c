// Runs instruction words under a reference (qemu-mipsel, qemu-mips64el) and reports the registers
// and memory afterwards. Static, and little-endian as the host that feeds it:
//     mipsel-linux-gnu-gcc -static -O1 -march=mips32r2 -mhard-float fpu.c        Status.FR clear
//     mips64el-linux-gnuabi64-gcc -static -O1 -march=mips64r2 fpu.c              Status.FR set
//
// Records come on standard input and go to standard output; see `struct in` and `struct out`.
// Registers go in and out through signal frames: a BREAK follows the words, its SIGTRAP handler
// notes the state that the frame holds and puts the next record's into it. The reference does not
// keep FCSR in the frame, so the handler moves it itself.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define RAM 0x40000000ul
#define CODE_BYTES 0x1000
#define DATA (RAM + 0x10000)
#define DATA_BYTES 256
#define MOST_WORDS 8
#define BREAK 0x0000000d

struct in {
    uint32_t count, words[MOST_WORDS], fcsr;
    uint64_t r[32], f[32];
    uint8_t data[DATA_BYTES];
};
struct out {
    uint32_t signal, fcsr;
    uint64_t pc, r[32], f[32];
    uint8_t data[DATA_BYTES];
};

static struct in in;
static struct out out;
static int begun;

static void all(int fd, void *p, size_t n, int writing) {
    char *at = p;
    size_t whole = n;
    while (n) {
        ssize_t k = writing ? write(fd, at, n) : read(fd, at, n);
        if (k <= 0)
            _exit(n == whole ? 0 : 1);
        at += k;
        n -= k;
    }
}

static void on_signal(int signal, siginfo_t *info, void *context) {
    uint32_t fcsr;
    __asm__ volatile("cfc1 %0, $31\n\tctc1 $0, $31" : "=r"(fcsr));
    ucontext_t *u = context;
    mcontext_t *m = &u->uc_mcontext;
    uint64_t *f = (uint64_t *)&m->fpregs;
    if (begun) {
        out.signal = signal == SIGTRAP ? 0 : signal;
        out.fcsr = fcsr;
        out.pc = m->pc - RAM;
        memcpy(out.r, m->gregs, sizeof out.r);
        memcpy(out.f, f, sizeof out.f);
        memcpy(out.data, (void *)DATA, DATA_BYTES);
        all(1, &out, sizeof out, 1);
    }
    begun = 1;
    all(0, &in, sizeof in, 0);
    uint32_t *code = (uint32_t *)RAM;
    for (int i = 0; i < 16; i++)
        code[i] = BREAK;
    memcpy(code, in.words, 4 * in.count);
    __builtin___clear_cache((char *)RAM, (char *)RAM + CODE_BYTES);
    memcpy((void *)DATA, in.data, DATA_BYTES);
    m->pc = RAM;
    memcpy(m->gregs, in.r, sizeof in.r);
    memcpy(f, in.f, sizeof in.f);
    __asm__ volatile("ctc1 %0, $31" : : "r"(in.fcsr));
}

int main(void) {
    if (mmap((void *)RAM, 0x20000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != (void *)RAM)
        return 2;
    static char stack[65536];
    stack_t s = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&s, 0);
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    int signals[] = {SIGTRAP, SIGILL, SIGSEGV, SIGBUS, SIGFPE};
    for (int i = 0; i < 5; i++)
        sigaction(signals[i], &a, 0);
    raise(SIGTRAP);
    return 3;
}
