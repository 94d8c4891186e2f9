#!/bin/sh
# Builds the bare-metal programs: build.sh TARGET DIRECTORY, where TARGET is mips, mipsel, mips64 or
# mips64el. The compilers are Debian's gcc-mipsel-linux-gnu and gcc-mips64el-linux-gnuabi64, which do
# both byte orders. MORE adds words for the compiler (MORE=-DVERBOSE shows every value).
set -eu
here=$(dirname "$0")
case $1 in
mips) cc=mipsel-linux-gnu-gcc order='-EB' ;;
mipsel) cc=mipsel-linux-gnu-gcc order='-EL' ;;
mips64) cc=mips64el-linux-gnuabi64-gcc order='-EB' ;;
mips64el) cc=mips64el-linux-gnuabi64-gcc order='-EL' ;;
esac
case $1 in
mips64*) words='-mabi=64 -march=mips64r2 -msym32' base=0xffffffff80100000 ;;
*) words='-mabi=32 -march=mips32r2' base=0x80100000 ;;
esac
mkdir -p "$2"
for source in "$here"/*.c; do
	name=$(basename "$source" .c)
	[ "$name" != lib ] || continue
	$cc $order $words -O1 -msoft-float -mno-abicalls -fno-pic -fno-pie -no-pie -G0 -ffreestanding -fno-builtin -fno-common \
		-fno-stack-protector -fno-asynchronous-unwind-tables -fno-delayed-branch -mno-check-zero-division -fno-strict-aliasing \
		-nostdlib -static -Wall -Wextra -Werror -Wno-array-bounds ${MORE-} -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
		-Wl,--defsym=BASE=$base -Wl,-T,"$here/link.ld" -o "$2/$name.elf" "$here/start.S" "$here/lib.c" "$source"
done
