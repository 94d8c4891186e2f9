/* bench-int [ITERATIONS]: integer work of four kinds, each feeding a CRC: sorting and searching a
 * linked list, products of small integer matrices, a state machine over text, and the CRC itself. */
#include "common.h"

enum { NODES = 96, SIZE = 14, TEXT = 320 };

struct node {
	struct node *next;
	int16_t value;
	int16_t index;
};

static uint16_t crc16(uint16_t crc, uint16_t data)
{
	for (int bit = 0; bit < 16; bit++) {
		int carry = (crc ^ data) & 1;
		data >>= 1;
		crc >>= 1;
		if (carry)
			crc ^= 0xA001;
	}
	return crc;
}

static int by_value(const struct node *a, const struct node *b)
{
	return a->value - b->value;
}

static int by_index(const struct node *a, const struct node *b)
{
	return a->index - b->index;
}

/* Bottom-up merge sort of a list. */
static struct node *sort(struct node *list, int (*compare)(const struct node *, const struct node *))
{
	for (int run = 1;; run *= 2) {
		struct node *rest = list, *head = NULL, **tail = &head;
		int merges = 0;
		while (rest) {
			struct node *left = rest, *right = rest;
			int lefts = 0, rights = run;
			merges++;
			while (lefts < run && right) {
				lefts++;
				right = right->next;
			}
			while (lefts > 0 || (rights > 0 && right)) {
				struct node *pick;
				if (lefts > 0 && (rights == 0 || !right || compare(left, right) <= 0)) {
					pick = left;
					left = left->next;
					lefts--;
				} else {
					pick = right;
					right = right->next;
					rights--;
				}
				*tail = pick;
				tail = &pick->next;
			}
			rest = right;
		}
		*tail = NULL;
		list = head;
		if (merges <= 1)
			return list;
	}
}

static struct node *reverse(struct node *list)
{
	struct node *done = NULL;
	while (list) {
		struct node *next = list->next;
		list->next = done;
		done = list;
		list = next;
	}
	return done;
}

static uint16_t list_work(struct node *nodes, uint16_t seed, uint16_t crc)
{
	for (int i = 0; i < NODES; i++) {
		seed = (uint16_t)(seed * 25173u + 13849u);
		nodes[i].value = (int16_t)(seed >> 4);
		nodes[i].index = (int16_t)i;
		nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
	}
	struct node *list = sort(nodes, by_value);
	int found = 0;
	for (int wanted = 0; wanted < 24; wanted++) {
		struct node *at = list;
		while (at && at->index != wanted * 4)
			at = at->next;
		if (at) {
			found++;
			crc = crc16(crc, (uint16_t)at->value);
		}
		list = reverse(list);
	}
	list = sort(list, by_index);
	for (struct node *at = list; at; at = at->next)
		crc = crc16(crc, (uint16_t)(at->value ^ at->index));
	return crc16(crc, (uint16_t)found);
}

static uint16_t matrix_work(uint16_t seed, uint16_t crc)
{
	int16_t a[SIZE][SIZE], b[SIZE][SIZE];
	int32_t c[SIZE][SIZE];
	for (int i = 0; i < SIZE; i++) {
		for (int j = 0; j < SIZE; j++) {
			a[i][j] = (int16_t)((seed + i * 7 + j) & 0xFF);
			b[i][j] = (int16_t)((seed * 3 + i + j * 5) & 0xFF);
		}
	}
	for (int i = 0; i < SIZE; i++) {
		for (int j = 0; j < SIZE; j++) {
			int32_t sum = 0, bits = 0;
			for (int k = 0; k < SIZE; k++) {
				int32_t product = (int32_t)a[i][k] * b[k][j];
				sum += product;
				bits += ((product >> 2) & 15) * ((product >> 5) & 127);
			}
			c[i][j] = sum ^ bits;
		}
	}
	for (int i = 0; i < SIZE; i++)
		crc = crc16(crc, (uint16_t)(c[i][i] + c[i][SIZE - 1 - i]));
	return crc;
}

enum state { START, SIGN, INTEGER, FRACTION, EXPONENT, SCIENTIFIC, INVALID, STATES };

/* Follows one comma-separated word and says what kind of number it was. */
static enum state scan(const char **text, uint32_t *visits)
{
	enum state state = START;
	const char *at = *text;
	for (; *at && *at != ','; at++) {
		char c = *at;
		int digit = c >= '0' && c <= '9';
		switch (state) {
		case START:
			state = digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? FRACTION : INVALID;
			break;
		case SIGN:
			state = digit ? INTEGER : c == '.' ? FRACTION : INVALID;
			break;
		case INTEGER:
			state = digit ? INTEGER : c == '.' ? FRACTION : c == 'e' ? EXPONENT : INVALID;
			break;
		case FRACTION:
			state = digit ? FRACTION : c == 'e' ? EXPONENT : INVALID;
			break;
		case EXPONENT:
		case SCIENTIFIC:
			state = digit || (state == EXPONENT && (c == '-' || c == '+')) ? SCIENTIFIC : INVALID;
			break;
		default:
			break;
		}
		visits[state]++;
	}
	*text = *at ? at + 1 : at;
	return state;
}

static uint16_t text_work(char *text, uint16_t seed, uint16_t crc)
{
	static const char *const words[] = { "5012", "-874", "+122", "35.54400", ".1234500", "-110.700", "5.500e+3",
					     "-.123e-2", "+0.6e-12", "T0.3e-1F", "1T3.4e4z", "34.0e-T^" };
	size_t length = 0;
	for (unsigned pick = seed;; pick = pick * 5 + 3) {
		const char *word = words[pick % 12];
		size_t size = strlen(word);
		if (length + size + 2 > TEXT)
			break;
		memcpy(text + length, word, size);
		length += size;
		text[length++] = ',';
	}
	text[length] = 0;
	uint32_t ends[STATES] = { 0 }, visits[STATES] = { 0 };
	for (const char *at = text; *at;)
		ends[scan(&at, visits)]++;
	for (size_t i = seed % 7; i < length; i += 7)
		if (text[i] != ',')
			text[i] ^= 1;
	for (const char *at = text; *at;)
		ends[scan(&at, visits)]++;
	for (int i = 0; i < STATES; i++)
		crc = crc16(crc16(crc, (uint16_t)ends[i]), (uint16_t)visits[i]);
	return crc;
}

int main(int argc, char **argv)
{
	long iterations = argument(argc, argv, 1, 16000);
	static struct node nodes[NODES];
	static char text[TEXT];
	uint16_t crc = 0xFFFF;
	uint64_t check = MIX_START;
	double start = now();
	for (long i = 0; i < iterations; i++) {
		crc = list_work(nodes, crc, crc);
		crc = matrix_work(crc, crc);
		crc = text_work(text, crc, crc);
		check = mix(check, crc);
	}
	double seconds = now() - start;
	return result("bench-int", (double)iterations / seconds, "iterations/s", seconds, check, 1);
}
