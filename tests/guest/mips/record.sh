#!/bin/sh
# Writes tests/guest/mips/recorded/*.txt: what the bare-metal programs print in QEMU's malta board
# (made with QEMU 7.2.22), and, for the program `manual`, in the emulator that $PROTEUS names
# (target/release/proteus-system), since that is where QEMU is not what the manuals say.
set -eu
here=$(dirname "$0")
proteus=${PROTEUS:-target/release/proteus-system}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$here/recorded"
for target in mips mipsel mips64 mips64el; do
	"$here/build.sh" $target "$dir/$target"
	case $target in mips64*) cpu=MIPS64R2-generic ;; *) cpu=24Kf ;; esac
	out=$here/recorded/$target.txt
	{
		echo "# Written by tests/guest/mips/record.sh: qemu-system-$target 7.2 -M malta -cpu $cpu prints this,"
		echo "# but the part of \`manual\`, which is by the architecture manuals."
		for program in integer fpu exceptions memory tlb timer manual; do
			emulator="qemu-system-$target -vga none"
			[ $program != manual ] || emulator="$proteus-$target"
			$emulator -M malta -cpu $cpu -m 64 -nic none -monitor none -display none -serial stdio -no-reboot \
				-kernel "$dir/$target/$program.elf" </dev/null
		done
	} >"$out"
done
