/* fs-churn [DIRECTORY [FILES]]: creates files of many sizes, syncs each, reads all back, renames
 * half, removes all. */
#include "common.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGEST = 20000 };

static uint8_t wanted[LARGEST], found[LARGEST];

static size_t contents(long number)
{
	uint64_t random = (uint64_t)number + 1;
	size_t size = next_random(&random) % LARGEST;
	for (size_t i = 0; i < size; i++)
		wanted[i] = (uint8_t)(next_random(&random) >> 56);
	return size;
}

static void path(char *into, size_t size, const char *dir, const char *prefix, long number)
{
	snprintf(into, size, "%s/%s%05ld", dir, prefix, number);
}

int main(int argc, char **argv)
{
	const char *base = argc > 1 ? argv[1] : "/tmp";
	long files = argument(argc, argv, 2, 1000);
	char dir[256], name[300], other[300];
	snprintf(dir, sizeof dir, "%s/churn", base);
	if (mkdir(dir, 0755) && errno != EEXIST)
		die(dir);
	uint64_t check = MIX_START;
	int ok = 1;
	double start = now();
	for (long i = 0; i < files; i++) {
		size_t size = contents(i);
		path(name, sizeof name, dir, "new", i);
		int file = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
		if (file < 0 || write(file, wanted, size) != (ssize_t)size || fsync(file) || close(file))
			die(name);
	}
	for (long i = 0; i < files; i += 2) {
		path(name, sizeof name, dir, "new", i);
		path(other, sizeof other, dir, "old", i);
		if (rename(name, other))
			die(name);
	}
	for (long i = 0; i < files; i++) {
		size_t size = contents(i);
		path(name, sizeof name, dir, i % 2 ? "new" : "old", i);
		int file = open(name, O_RDONLY);
		if (file < 0)
			die(name);
		ssize_t got = read(file, found, LARGEST);
		if (got != (ssize_t)size || memcmp(wanted, found, size)) {
			fprintf(stderr, "%s is not as it was written\n", name);
			ok = 0;
		}
		for (ssize_t j = 0; j < got; j++)
			check = mix(check, found[j]);
		close(file);
		if (unlink(name))
			die(name);
	}
	if (rmdir(dir))
		die(dir);
	sync();
	double seconds = now() - start;
	return result("fs-churn", (double)files / seconds, "files/s", seconds, check, ok);
}
