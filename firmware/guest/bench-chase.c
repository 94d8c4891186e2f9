/* bench-chase [STEPS [MIB]]: follows pointers in random order through memory that no cache and no
 * TLB holds. */
#include "common.h"

struct line {
	struct line *next;
	uint64_t number;
	char rest[48];
};

int main(int argc, char **argv)
{
	long steps = argument(argc, argv, 1, 3000000);
	size_t count = (size_t)argument(argc, argv, 2, 64) * (1024 * 1024 / sizeof(struct line));
	struct line *lines = aligned_alloc(4096, count * sizeof(struct line));
	uint32_t *order = malloc(count * sizeof(uint32_t));
	if (!lines || !order)
		die("bench-chase");
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	uint64_t random = 2;
	for (size_t i = count - 1; i > 0; i--) {
		size_t j = (size_t)(next_random(&random) >> 16) % i; /* never i itself: one cycle through all */
		uint32_t swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	for (size_t i = 0; i < count; i++) {
		lines[i].next = &lines[order[i]];
		lines[i].number = i;
	}
	struct line *at = lines;
	uint64_t check = MIX_START;
	double start = now();
	for (long i = 0; i < steps; i++)
		at = at->next;
	double seconds = now() - start;
	check = mix(check, at->number);
	return result("bench-chase", (double)steps / seconds / 1e6, "Mloads/s", seconds, check, 1);
}
