/* litmus [ITERATIONS]: two threads meet on shared memory; prints how often each weak outcome was
 * seen, and fails if one was seen that the Arm memory model forbids (Arm ARM, B2.3).
 *
 * QEMU 7.2 fails SB+stlr+ldar with two processors on an x86 host: an LDAR must not be satisfied before
 * an earlier STLR is seen by all.
 *
 * Each test runs over many cells, one cache line a variable. The threads meet before each batch, and
 * keep in step within one as long as both really run. */
#include "common.h"
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>

#ifndef HWCAP_ATOMICS
#define HWCAP_ATOMICS (1 << 8)
#endif

enum { BATCH = 2000, PATIENCE = 256 };

struct cell {
	volatile uint64_t x __attribute__((aligned(64)));
	volatile uint64_t y __attribute__((aligned(64)));
	uint64_t r0 __attribute__((aligned(64)));
	uint64_t r1;
	uint64_t r2 __attribute__((aligned(64)));
};

static struct cell cells[BATCH];

#define STORE(p, v) __asm__ volatile("str %1, %0" : "=m"(p) : "r"((uint64_t)(v)))
#define LOAD(p) ({ uint64_t v_; __asm__ volatile("ldr %0, %1" : "=r"(v_) : "m"(p)); v_; })
#define STORE_RELEASE(p, v) __asm__ volatile("stlr %1, %0" : "=Q"(p) : "r"((uint64_t)(v)) : "memory")
#define LOAD_ACQUIRE(p) ({ uint64_t v_; __asm__ volatile("ldar %0, %1" : "=r"(v_) : "Q"(p) : "memory"); v_; })
#define FULL() __asm__ volatile("dmb ish" ::: "memory")
#define STORES() __asm__ volatile("dmb ishst" ::: "memory")
#define LOADS() __asm__ volatile("dmb ishld" ::: "memory")

/* Message passing: y announces x. Weak: announced, but x not seen. */
static void mp_0(struct cell *c) { STORE(c->x, 1); STORE(c->y, 1); }
static void mp_1(struct cell *c) { c->r1 = LOAD(c->y); c->r2 = LOAD(c->x); }
static void mp_dmb_0(struct cell *c) { STORE(c->x, 1); STORES(); STORE(c->y, 1); }
static void mp_dmb_1(struct cell *c) { c->r1 = LOAD(c->y); LOADS(); c->r2 = LOAD(c->x); }
static void mp_acq_0(struct cell *c) { STORE(c->x, 1); STORE_RELEASE(c->y, 1); }
static void mp_acq_1(struct cell *c) { c->r1 = LOAD_ACQUIRE(c->y); c->r2 = LOAD(c->x); }
/* The second load's address depends on the first load. */
static void mp_addr_1(struct cell *c)
{
	uint64_t seen = LOAD(c->y), zero;
	__asm__ volatile("eor %0, %1, %1" : "=r"(zero) : "r"(seen));
	c->r1 = seen;
	c->r2 = LOAD(*(volatile uint64_t *)((uintptr_t)&c->x + zero));
}
static int mp_weak(const struct cell *c) { return c->r1 == 1 && c->r2 == 0; }

/* Store buffering. Weak: neither sees the other's store. */
static void sb_0(struct cell *c) { STORE(c->x, 1); c->r0 = LOAD(c->y); }
static void sb_1(struct cell *c) { STORE(c->y, 1); c->r2 = LOAD(c->x); }
static void sb_dmb_0(struct cell *c) { STORE(c->x, 1); FULL(); c->r0 = LOAD(c->y); }
static void sb_dmb_1(struct cell *c) { STORE(c->y, 1); FULL(); c->r2 = LOAD(c->x); }
static void sb_acq_0(struct cell *c) { STORE_RELEASE(c->x, 1); c->r0 = LOAD_ACQUIRE(c->y); }
static void sb_acq_1(struct cell *c) { STORE_RELEASE(c->y, 1); c->r2 = LOAD_ACQUIRE(c->x); }
static int sb_weak(const struct cell *c) { return c->r0 == 0 && c->r2 == 0; }

/* Load buffering. Weak: both see a store that comes after the other's load. */
static void lb_0(struct cell *c) { c->r0 = LOAD(c->x); STORE(c->y, 1); }
static void lb_1(struct cell *c) { c->r2 = LOAD(c->y); STORE(c->x, 1); }
static void lb_dmb_0(struct cell *c) { c->r0 = LOAD(c->x); FULL(); STORE(c->y, 1); }
static void lb_dmb_1(struct cell *c) { c->r2 = LOAD(c->y); FULL(); STORE(c->x, 1); }
static uint64_t one_from(uint64_t seen)
{
	uint64_t one;
	__asm__ volatile("eor %0, %1, %1\n\tadd %0, %0, #1" : "=&r"(one) : "r"(seen));
	return one;
}
static void lb_data_0(struct cell *c) { uint64_t v = LOAD(c->x); c->r0 = v; STORE(c->y, one_from(v)); }
static void lb_data_1(struct cell *c) { uint64_t v = LOAD(c->y); c->r2 = v; STORE(c->x, one_from(v)); }
static int lb_weak(const struct cell *c) { return c->r0 == 1 && c->r2 == 1; }

/* Coherence: two loads of one place. Weak: the newer value first. */
static void co_0(struct cell *c) { STORE(c->x, 1); STORE(c->x, 2); }
static void co_1(struct cell *c) { c->r1 = LOAD(c->x); c->r2 = LOAD(c->x); }
static int co_weak(const struct cell *c) { return c->r1 > c->r2; }

static const struct test {
	const char *name;
	void (*zero)(struct cell *);
	void (*one)(struct cell *);
	int (*weak)(const struct cell *);
	int forbidden;
} tests[] = {
	{ "MP", mp_0, mp_1, mp_weak, 0 },
	{ "MP+dmb.ishst+dmb.ishld", mp_dmb_0, mp_dmb_1, mp_weak, 1 },
	{ "MP+stlr+ldar", mp_acq_0, mp_acq_1, mp_weak, 1 },
	{ "MP+dmb.ishst+addr", mp_dmb_0, mp_addr_1, mp_weak, 1 },
	{ "SB", sb_0, sb_1, sb_weak, 0 },
	{ "SB+dmbs", sb_dmb_0, sb_dmb_1, sb_weak, 1 },
	{ "SB+stlr+ldar", sb_acq_0, sb_acq_1, sb_weak, 1 },
	{ "LB", lb_0, lb_1, lb_weak, 0 },
	{ "LB+dmbs", lb_dmb_0, lb_dmb_1, lb_weak, 1 },
	{ "LB+datas", lb_data_0, lb_data_1, lb_weak, 1 },
	{ "CoRR", co_0, co_1, co_weak, 1 },
};

enum { TESTS = sizeof tests / sizeof tests[0] };

/* Counters: what two threads add must all be there. */
static volatile uint64_t counter __attribute__((aligned(64)));
static volatile struct pair {
	uint64_t low, high;
} pair __attribute__((aligned(64)));

static void add_exclusive(void)
{
	uint64_t value;
	uint32_t failed;
	do
		__asm__ volatile("ldxr %0, %2\n\tadd %0, %0, #1\n\tstxr %w1, %0, %2"
				 : "=&r"(value), "=&r"(failed), "+Q"(counter));
	while (failed);
}

static void add_acquire_release(void)
{
	uint64_t value;
	uint32_t failed;
	do
		__asm__ volatile("ldaxr %0, %2\n\tadd %0, %0, #1\n\tstlxr %w1, %0, %2"
				 : "=&r"(value), "=&r"(failed), "+Q"(counter) : : "memory");
	while (failed);
}

static void add_pair(void)
{
	uint64_t low, high;
	uint32_t failed;
	do
		__asm__ volatile("ldxp %0, %1, %3\n\tadd %0, %0, #1\n\tsub %1, %1, #1\n\tstxp %w2, %0, %1, %3"
				 : "=&r"(low), "=&r"(high), "=&r"(failed), "+Q"(pair));
	while (failed);
}

static void add_lse(void)
{
	__asm__ volatile(".arch armv8.1-a\n\tstadd %1, %0" : "+Q"(counter) : "r"((uint64_t)1));
}

static void add_cas(void)
{
	uint64_t old, seen = counter;
	do {
		old = seen;
		__asm__ volatile(".arch armv8.1-a\n\tcasal %0, %2, %1" : "+r"(seen), "+Q"(counter) : "r"(old + 1) : "memory");
	} while (seen != old);
}

static const struct count {
	const char *name;
	void (*add)(void);
	int lse;
} counts[] = {
	{ "counter+ldxr+stxr", add_exclusive, 0 }, { "counter+ldaxr+stlxr", add_acquire_release, 0 },
	{ "counter+ldxp+stxp", add_pair, 0 },	   { "counter+stadd", add_lse, 1 },
	{ "counter+casal", add_cas, 1 },
};

enum { COUNTS = sizeof counts / sizeof counts[0] };

/* A meeting of the two threads. On one processor, waiting must give way. */
static volatile uint64_t arrived;

static void meet(uint64_t *round)
{
	*round += 2;
	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	for (unsigned spins = 0; __atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < *round; spins++)
		if (spins % 64 == 63)
			sched_yield();
}

static long iterations;
static int has_lse;
static uint64_t weak[TESTS];
static uint64_t missing[COUNTS];

static struct {
	volatile uint64_t at __attribute__((aligned(64)));
} progress[2];

static void reset(void)
{
	memset(cells, 0, sizeof cells);
	progress[0].at = progress[1].at = 0;
}

/* Runs one side over all cells. Waiting for the other side at each cell makes them cross there;
 * the patience for it ends soon where the other is not running. */
static void cross(int me, void (*body)(struct cell *))
{
	unsigned patience = PATIENCE;
	for (int i = 0; i < BATCH; i++) {
		unsigned left = patience;
		progress[me].at = (uint64_t)i + 1;
		while (left && progress[!me].at <= (uint64_t)i)
			left--;
		patience = left ? PATIENCE : patience / 2;
		body(&cells[i]);
	}
}

static void run(int me)
{
	uint64_t round = 0;
	for (int t = 0; t < TESTS; t++) {
		void (*body)(struct cell *) = me ? tests[t].one : tests[t].zero;
		for (long done = 0; done < iterations; done += BATCH) {
			if (!me)
				reset();
			meet(&round);
			cross(me, body);
			meet(&round);
			if (!me)
				for (int i = 0; i < BATCH; i++)
					weak[t] += (uint64_t)tests[t].weak(&cells[i]);
		}
	}
	for (int t = 0; t < COUNTS; t++) {
		if (counts[t].lse && !has_lse)
			continue;
		if (!me)
			counter = pair.low = pair.high = 0;
		meet(&round);
		for (long i = 0; i < iterations; i++)
			counts[t].add();
		meet(&round);
		if (!me) {
			uint64_t all = 2 * (uint64_t)iterations;
			missing[t] = counts[t].add == add_pair ? (all - pair.low) | (all + pair.high) : all - counter;
		}
	}
}

static void *other(void *unused)
{
	run(1);
	return unused;
}

int main(int argc, char **argv)
{
	iterations = (argument(argc, argv, 1, 200000) + BATCH - 1) / BATCH * BATCH;
	has_lse = (getauxval(AT_HWCAP) & HWCAP_ATOMICS) != 0;
	double start = now();
	pthread_t thread;
	if (pthread_create(&thread, NULL, other, NULL))
		die("litmus");
	run(0);
	pthread_join(thread, NULL);
	double seconds = now() - start;
	uint64_t wrong = 0;
	for (int t = 0; t < TESTS; t++) {
		int bad = tests[t].forbidden && weak[t];
		wrong += bad ? weak[t] : 0;
		printf("litmus %s: weak=%llu of %ld, %s\n", tests[t].name, (unsigned long long)weak[t], iterations,
		       bad ? "FORBIDDEN" : tests[t].forbidden ? "forbidden, ok" : "allowed");
	}
	for (int t = 0; t < COUNTS; t++) {
		if (counts[t].lse && !has_lse) {
			printf("litmus %s: the processor has no LSE atomics\n", counts[t].name);
			continue;
		}
		wrong += missing[t] != 0;
		printf("litmus %s: %s\n", counts[t].name, missing[t] ? "LOST UPDATES" : "ok");
	}
	return result("litmus", (double)wrong, "forbidden", seconds, mix(MIX_START, wrong), wrong == 0);
}
