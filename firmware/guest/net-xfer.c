/* net-xfer HOST PORT MIB [echo|send|receive]: moves a pseudo-random stream over TCP and checks every
 * byte. With echo (the default) the peer sends back what it gets, and both directions are busy at
 * once; with send the peer takes the stream until its end and answers with its 64-bit check, most
 * significant byte first; with receive the peer sends the same stream. */
#include "common.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 1 << 16 };

/* The stream: next_random from seed 1, least significant byte first. */
static void fill(uint8_t *block, uint64_t *random)
{
	for (size_t i = 0; i < BLOCK; i += 8) {
		uint64_t word = next_random(random);
		for (int j = 0; j < 8; j++)
			block[i + j] = (uint8_t)(word >> (8 * j));
	}
}

static uint64_t mix_bytes(uint64_t hash, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		hash = mix(hash, bytes[i]);
	return hash;
}

/* HOST is an IPv4 address in numbers: a static program has no resolver to rely on. */
static int connect_to(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || address.sin_port == 0) {
		fprintf(stderr, "net-xfer: %s port %s: give an IPv4 address and a port in numbers\n", host, port);
		exit(2);
	}
	int file = socket(AF_INET, SOCK_STREAM, 0);
	if (file < 0 || connect(file, (struct sockaddr *)&address, sizeof address))
		die("net-xfer: connect");
	return file;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: net-xfer HOST PORT MIB [echo|send|receive]\n");
		return 2;
	}
	uint64_t total = (uint64_t)argument(argc, argv, 3, 1) << 20;
	const char *mode = argc > 4 ? argv[4] : "echo";
	int sends = !strcmp(mode, "echo") || !strcmp(mode, "send");
	int receives = !strcmp(mode, "echo") || !strcmp(mode, "receive");
	if (!sends && !receives) {
		fprintf(stderr, "net-xfer: no mode %s: echo, send or receive\n", mode);
		return 2;
	}
	static uint8_t out[BLOCK], expected[BLOCK], in[BLOCK];
	uint64_t out_random = 1, in_random = 1, sent = 0, received = 0, check = MIX_START;
	int ok = 1;
	int file = connect_to(argv[1], argv[2]);
	double start = now();
	uint64_t to_send = sends ? total : 0, to_receive = receives ? total : 0;
	while (ok && (sent < to_send || received < to_receive)) {
		struct pollfd poll_on = { .fd = file, .events = 0 };
		if (sent < to_send)
			poll_on.events |= POLLOUT;
		if (received < to_receive)
			poll_on.events |= POLLIN;
		if (poll(&poll_on, 1, -1) < 0)
			die("net-xfer: poll");
		if ((poll_on.revents & POLLOUT) && sent < to_send) {
			size_t at = sent % BLOCK;
			if (at == 0)
				fill(out, &out_random);
			ssize_t done = send(file, out + at, BLOCK - at, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (done < 0 && errno != EAGAIN)
				die("net-xfer: send");
			if (done > 0) {
				if (!receives)
					check = mix_bytes(check, out + at, (size_t)done);
				sent += (uint64_t)done;
			}
		}
		if (poll_on.revents & (POLLIN | POLLHUP | POLLERR)) {
			size_t at = received % BLOCK;
			if (at == 0)
				fill(expected, &in_random);
			ssize_t done = recv(file, in, BLOCK - at, MSG_DONTWAIT);
			if (done == 0) {
				fprintf(stderr, "net-xfer: the peer ended after %llu bytes\n", (unsigned long long)received);
				ok = 0;
			} else if (done < 0 && errno != EAGAIN) {
				die("net-xfer: receive");
			} else if (done > 0) {
				if (memcmp(in, expected + at, (size_t)done)) {
					fprintf(stderr, "net-xfer: wrong bytes after %llu\n", (unsigned long long)received);
					ok = 0;
				}
				check = mix_bytes(check, in, (size_t)done);
				received += (uint64_t)done;
			}
		}
	}
	shutdown(file, SHUT_WR);
	if (sends && !receives) {
		uint8_t answer[8];
		uint64_t theirs = 0;
		if (recv(file, answer, 8, MSG_WAITALL) != 8)
			die("net-xfer: no answer");
		for (int i = 0; i < 8; i++)
			theirs = theirs << 8 | answer[i];
		if (theirs != check) {
			fprintf(stderr, "net-xfer: the peer's check is 0x%016llx\n", (unsigned long long)theirs);
			ok = 0;
		}
	}
	double seconds = now() - start;
	close(file);
	return result("net-xfer", (double)(sent + received) / seconds / 1048576, "MiB/s", seconds, check, ok);
}
