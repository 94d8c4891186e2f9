/* bench-getpid [CALLS]: the shortest system call. */
#include "common.h"
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long calls = argument(argc, argv, 1, 200000);
	long pid = getpid();
	int ok = 1;
	double start = now();
	for (long i = 0; i < calls; i++)
		ok &= syscall(SYS_getpid) == pid;
	double seconds = now() - start;
	return result("bench-getpid", (double)calls / seconds, "calls/s", seconds, mix(MIX_START, (uint64_t)calls), ok);
}
