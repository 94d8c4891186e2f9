/* The serial port. */
#include "fw.h"

#define COM1 0x3f8

void print(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			outb(COM1, '\r');
		outb(COM1, *text);
	}
}

void number(u64 value)
{
	char digits[21];
	int n = 20;
	digits[n] = 0;
	do
		digits[--n] = '0' + value % 10;
	while (value /= 10);
	print(digits + n);
}

void hex(u64 value)
{
	int shift = 60;
	print("0x");
	while (shift && !(value >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4) {
		char text[2] = { "0123456789abcdef"[value >> shift & 15], 0 };
		print(text);
	}
}

char input(void)
{
	while (!(inb(COM1 + 5) & 1))
		__asm__ volatile("pause");
	return inb(COM1);
}
