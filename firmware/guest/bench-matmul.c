/* bench-matmul [SIZE]: the product of two matrices of doubles. */
#include "common.h"

int main(int argc, char **argv)
{
	long n = argument(argc, argv, 1, 448);
	double *a = malloc(sizeof(double) * (size_t)(n * n));
	double *b = malloc(sizeof(double) * (size_t)(n * n));
	double *c = calloc((size_t)(n * n), sizeof(double));
	if (!a || !b || !c)
		die("bench-matmul");
	uint64_t random = 1;
	for (long i = 0; i < n * n; i++) {
		a[i] = (double)(int64_t)next_random(&random) * 0x1p-63;
		b[i] = (double)(int64_t)next_random(&random) * 0x1p-63;
	}
	double start = now();
	for (long i = 0; i < n; i++)
		for (long k = 0; k < n; k++)
			for (long j = 0; j < n; j++)
				c[i * n + j] += a[i * n + k] * b[k * n + j];
	double seconds = now() - start;
	uint64_t check = MIX_START;
	for (long i = 0; i < n * n; i++) {
		uint64_t bits;
		memcpy(&bits, &c[i], sizeof bits);
		check = mix(check, bits);
	}
	double operations = 2.0 * (double)n * (double)n * (double)n;
	return result("bench-matmul", operations / seconds / 1e6, "Mflop/s", seconds, check, 1);
}
