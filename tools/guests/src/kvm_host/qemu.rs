//! A host that QEMU emulates.

use std::process::Command;

use super::{Host, Place, Told};
use crate::guest_file;
use crate::tools::Result;

const PROGRAM: &str = "qemu-system-x86_64";
pub(super) const PROGRAMS: &[(&str, &str)] = &[(PROGRAM, "qemu-system-x86")];
/// KVM for AMD's processors: QEMU translates no VMX.
pub(super) const MODULE: &str = "kvm-amd.ko";
/// Without MPX, which QEMU's virtualisation would leave in the hands of the guest.
const CPU: &str = "max,-mpx";
/// QEMU 7.2 loses an interrupt of the host now and then: its SVM clears the flag of virtual interrupts
/// (CPU_INTERRUPT_VIRQ) beside the thread that sets the one of others. A host that waits for one timer
/// alone would wait for ever; where timers tick, the next tick brings it.
const TICK: &str = "nohz=off highres=off";

pub(super) fn told(host: &Host, place: &Place) -> Result<Told> {
    let mut command = Command::new(PROGRAM);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "pc", "-accel", "tcg,thread=multi"]);
    command.arg("-cpu").arg(host.cpu.as_deref().unwrap_or(CPU)).arg("-smp").arg(host.cores.to_string()).arg("-m").arg(host.memory.to_string());
    command.arg("-kernel").arg(guest_file("amd64/bzImage")?).arg("-initrd").arg(guest_file("amd64/kvm-host.gz")?);
    command.arg("-append").arg(format!("{TICK} ignore_loglevel {}", host.words("/dev/vda", "hvc0")));
    command.arg("-drive").arg(format!("if=virtio,format=raw,cache=unsafe,file={}", place.file_system()?.display()));
    command.arg("-serial").arg(format!("file:{}", place.serial.display()));
    command.args(["-chardev", "stdio,id=out,signal=on", "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=out"]);
    Ok(Told { command, output: None, errors: None })
}
