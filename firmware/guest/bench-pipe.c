/* bench-pipe [TRIPS]: a byte goes to another process and back, again and again. */
#include "common.h"
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long trips = argument(argc, argv, 1, 10000);
	int there[2], back[2];
	if (pipe(there) || pipe(back))
		die("pipe");
	pid_t child = fork();
	if (child < 0)
		die("fork");
	uint8_t byte = 0;
	if (child == 0) {
		close(there[1]);
		close(back[0]);
		while (read(there[0], &byte, 1) == 1) {
			byte = (uint8_t)(byte * 5 + 1);
			if (write(back[1], &byte, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	uint64_t check = MIX_START;
	int ok = 1;
	double start = now();
	for (long i = 0; i < trips; i++) {
		uint8_t sent = byte;
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			die("pipe");
		ok &= byte == (uint8_t)(sent * 5 + 1);
		check = mix(check, byte);
	}
	double seconds = now() - start;
	close(there[1]);
	int status;
	ok &= waitpid(child, &status, 0) == child && status == 0;
	return result("bench-pipe", (double)trips / seconds, "trips/s", seconds, check, ok);
}
