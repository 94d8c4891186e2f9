/* What every program here needs: its clock, its pseudo-random numbers, its result line.
 *
 * A program ends with one line that a machine can read:
 *   proteus-result name=NAME value=NUMBER unit=UNIT seconds=NUMBER check=0xHEX status=ok|failed
 * A larger value is better, except where the unit is "forbidden" (litmus) which must be 0.
 * The check depends on the work alone, so two machines can be held against each other. */
#ifndef COMMON_H
#define COMMON_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* xorshift64*: the stream that proteus_guests::stream makes on the host too. */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545F4914F6CDD1Dull;
}

/* FNV-1a, eight bytes at a time. */
static inline uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x100000001B3ull;
}

#define MIX_START 0xCBF29CE484222325ull

static inline long argument(int argc, char **argv, int index, long otherwise)
{
	if (index >= argc)
		return otherwise;
	char *end;
	long value = strtol(argv[index], &end, 0);
	if (*end || value <= 0) {
		fprintf(stderr, "%s: argument %d must be a positive number, not %s\n", argv[0], index, argv[index]);
		exit(2);
	}
	return value;
}

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Prints the result line and returns the exit status. */
static inline int result(const char *name, double value, const char *unit, double seconds, uint64_t check, int ok)
{
	printf("proteus-result name=%s value=%.6g unit=%s seconds=%.6f check=0x%016llx status=%s\n", name, value, unit,
	       seconds, (unsigned long long)check, ok ? "ok" : "failed");
	fflush(stdout);
	return ok ? 0 : 1;
}

#endif
