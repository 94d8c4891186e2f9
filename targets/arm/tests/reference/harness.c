// Runs instruction words under a reference (qemu-aarch64, or a real AArch64 Linux) and reports the
// registers and memory afterwards. Static: aarch64-linux-gnu-gcc -static -O1 harness.c
//
// Records come on standard input and go to standard output; see `struct in` and `struct out`.
// State goes in and out through signal frames: a BRK follows the words, its SIGTRAP handler
// notes the state that the frame holds and puts the next record's into it.
#define _GNU_SOURCE
#include <asm/sigcontext.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define RAM 0x40000000ul
#define CODE_BYTES 0x10000
#define DATA (RAM + 0x10000)
#define DATA_BYTES 0x1000
#define MOST_WORDS 8

struct in {
    uint32_t count, words[MOST_WORDS + 1];
    uint32_t fpcr, fpsr;
    uint64_t pc, nzcv, x[31], sp;
    uint64_t v[64];
    uint8_t data[DATA_BYTES];
};
struct out {
    uint32_t signal;
    uint32_t fpcr, fpsr, pad;
    uint64_t pc, nzcv, x[31], sp;
    uint64_t v[64];
    uint8_t data[DATA_BYTES];
};

static struct in in;
static struct out out;
static int begun;

static void all(int fd, void *p, size_t n, int writing) {
    char *at = p;
    while (n) {
        ssize_t k = writing ? write(fd, at, n) : read(fd, at, n);
        if (k <= 0)
            _exit(n == sizeof in ? 0 : 1);
        at += k;
        n -= k;
    }
}

static void on_signal(int signal, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    struct fpsimd_context *f = (void *)u->uc_mcontext.__reserved;
    if (begun) {
        out.signal = signal == SIGTRAP ? 0 : signal;
        out.fpcr = f->fpcr;
        out.fpsr = f->fpsr;
        out.pc = u->uc_mcontext.pc;
        out.nzcv = u->uc_mcontext.pstate >> 28;
        memcpy(out.x, u->uc_mcontext.regs, sizeof out.x);
        out.sp = u->uc_mcontext.sp;
        memcpy(out.v, f->vregs, sizeof out.v);
        memcpy(out.data, (void *)DATA, DATA_BYTES);
        all(1, &out, sizeof out, 1);
    }
    begun = 1;
    all(0, &in, sizeof in, 0);
    uint32_t *code = (uint32_t *)RAM;
    for (int i = 0; i < CODE_BYTES / 4; i++)
        if (code[i] != 0xd4200000)
            code[i] = 0xd4200000;
    memcpy((void *)in.pc, in.words, 4 * in.count);
    __builtin___clear_cache((char *)RAM, (char *)RAM + CODE_BYTES);
    memcpy((void *)DATA, in.data, DATA_BYTES);
    u->uc_mcontext.pc = in.pc;
    u->uc_mcontext.sp = in.sp;
    u->uc_mcontext.pstate = in.nzcv << 28;
    memcpy(u->uc_mcontext.regs, in.x, sizeof in.x);
    memcpy(f->vregs, in.v, sizeof in.v);
    f->fpcr = in.fpcr;
    f->fpsr = in.fpsr;
}

int main(void) {
    if (mmap((void *)RAM, 0x100000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != (void *)RAM)
        return 2;
    static char stack[65536];
    stack_t s = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&s, 0);
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int signals[] = {SIGTRAP, SIGILL, SIGSEGV, SIGBUS};
    for (int i = 0; i < 4; i++)
        sigaction(signals[i], &a, 0);
    raise(SIGTRAP);
    return 3;
}
