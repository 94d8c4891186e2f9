/* Runs the groups, one line each, and tells which failed. */
#include "fw.h"

static const struct { const char *name; void (*run)(void); } groups[] = {
    { "integer", test_integer }, { "floating point", test_fp }, { "simd", test_simd },
    { "atomics", test_atomics }, { "timer interrupt", test_timer }, { "mmu", test_mmu },
};

static u32 failures;
static const char *group, *noted;

static void fail_line(void)
{
    if (failures++ == 0)
        print("FAILED\n");
}

/* The first few differences are printed, the rest counted. */
void check(const char *what, u64 got, u64 want)
{
    if (got == want)
        return;
    fail_line();
    if (failures <= 8)
        print("  %s: %s: got 0x%lx, expected 0x%lx\n", group, what, got, want);
}

/* Shown behind "ok". */
void note(const char *text) { noted = text; }

static int run(void *f)
{
    ((void (*)(void))f)();
    return 0;
}

bool selftest(void)
{
    u32 bad = 0;
    for (u32 i = 0; i < COUNT(groups); i++) {
        group = groups[i].name;
        failures = 0;
        noted = NULL;
        print("self-test: %s ... ", group);
        if (guarded(run, groups[i].run, false) < 0) {
            mmu_stop();
            fail_line();
        }
        if (failures)
            bad |= 1u << i;
        else if (noted)
            print("ok (%s)\n", noted);
        else
            print("ok\n");
    }
    if (!bad) {
        print("self-test: passed\n");
        return true;
    }
    print("self-test: FAILED");
    for (u32 i = 0; i < COUNT(groups); i++)
        if (bad & 1u << i)
            print("%s%s", bad & ((1u << i) - 1) ? ", " : " ", groups[i].name);
    print("\n");
    return false;
}
