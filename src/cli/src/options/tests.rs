use proptest::prelude::*;

use super::*;
use crate::config::*;

const PROGRAM: &str = "proteus-system-aarch64";

/// Splits at spaces; single quotes hold a word together.
fn words(line: &str) -> Vec<OsString> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(OsString::from)),
            _ => words.push(part.into()),
        }
    }
    words
}

fn read(line: &str) -> Result<Request, String> {
    super::parse(PROGRAM, words(line)).map_err(|e| e.to_string())
}

fn config(line: &str) -> Config {
    match read(line) {
        Ok(Request::Run(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn error(line: &str) -> String {
    match read(line) {
        Err(error) => error,
        Ok(request) => panic!("{line} is accepted: {request:?}"),
    }
}

/// What clients give, as far as it is for `virt` (and others that are only data to us).
#[test]
fn clients_lines_are_accepted() {
    for line in [
        // kunit, U-Boot, Buildroot, Zephyr, virtme-ng, LAVA, kvm-unit-tests, Yocto, libvirt, Rust.
        "-nodefaults -m 1024 -kernel Image.gz -append 'mem=1G kunit_shutdown=reboot' -no-reboot -nographic -accel kvm -accel hvf -accel tcg -serial stdio -machine virt -cpu max,pauth-impdef=on",
        "-machine virt -cpu cortex-a57 -nographic -bios u-boot.bin",
        "-machine virt,secure=on -cpu cortex-a57 -nographic -bios flash.bin -m 4G -d unimp -netdev user,id=net0,tftp=dir -device e1000,netdev=net0 -device virtio-rng-pci",
        "-M virt -cpu cortex-a53 -nographic -smp 1 -kernel Image -append 'rootwait root=/dev/vda console=ttyAMA0' -netdev user,id=eth0 -device virtio-net-device,netdev=eth0 -drive file=rootfs.ext4,if=none,format=raw,id=hd0 -device virtio-blk-device,drive=hd0",
        "-M virt,secure=on,acpi=off -bios flash.bin -rtc base=utc,clock=host -object rng-random,filename=/dev/urandom,id=rng0 -device virtio-rng-pci,rng=rng0 -nographic",
        "-M sbsa-ref -cpu neoverse-n2 -pflash a -pflash b -hda disk.img -nographic",
        "-global virtio-mmio.force-legacy=false -cpu cortex-a53 -nographic -machine virt,secure=on,gic-version=3 -net none -pidfile qemu.pid -chardev stdio,id=con,mux=on -serial chardev:con -mon chardev=con,mode=readline -icount shift=4,align=off,sleep=off -rtc clock=vm -kernel zephyr.elf -semihosting-config enable=on,target=auto,chardev=con",
        "-cpu host -machine virt,gic-version=3,accel=kvm -nographic -chardev pipe,id=con,mux=on,path=P -serial chardev:con -mon chardev=con,mode=readline -smp cpus=4 -s -S -device loader,file=x.bin,addr=0x40000000,cpu-num=0",
        "-M virt -cpu cortex-a57 -parallel none -net none -vga none -display none -chardev stdio,id=console,signal=off,mux=on -serial chardev:console -mon chardev=console -echr 1 -chardev file,path=/proc/self/fd/2,id=dmesg -device virtio-serial-device -device virtconsole,chardev=dmesg -no-reboot -kernel k -initrd i -append 'a b' -m 1G -smp 2 -object memory-backend-memfd,id=mem,size=1G,share=on -machine memory-backend=mem -gdb tcp:localhost:1234 -qmp tcp:localhost:4444,server,nowait",
        "-cpu cortex-a57 -machine virt -nographic -net nic,model=virtio,macaddr=52:54:00:12:34:58 -net user -m 512 -monitor none -drive format=qcow2,file=x,media=disk,if=virtio,id=lavatest -L /dir",
        "--no-reboot -nodefaults -machine virt,gic-version=host,highmem=off,virtualization=on -accel tcg -cpu max -device virtio-serial-device -device virtconsole,chardev=ctd -chardev testdev,id=ctd -device pci-testdev -display none -serial stdio -kernel T.flat -initrd x",
        "-machine virt -chardev socket,id=mon,path=/tmp/m,server=on,wait=off -mon chardev=mon,mode=control -incoming unix:/tmp/i",
        "-machine virt -cpu cortex-a57 -smp 4 -m 256 -device virtio-net-pci,netdev=net0,mac=52:54:00:12:34:02 -netdev tap,id=net0,ifname=tap0,script=no,downscript=no -drive id=disk0,file=x,if=none,format=raw -device virtio-blk-pci,drive=disk0 -serial tcp:127.0.0.1:4000,nodelay=on -serial null -pidfile F -S -qmp unix:./X,server,wait -qmp unix:./Y,server,nowait -snapshot",
        "-serial mon:stdio -serial null -M virt",
        "-S -no-user-config -nodefaults -nographic -machine none,accel=kvm:tcg -qmp unix:/q,server=on,wait=off -pidfile /p -daemonize",
        r#"-name guest=vm,debug-threads=on -S -machine virt-10.0,usb=off,dump-guest-core=off,memory-backend=mach-virt.ram,gic-version=3 -accel tcg -cpu cortex-a57 -m size=262144k -object '{"qom-type":"memory-backend-ram","id":"mach-virt.ram","size":268435456}' -overcommit mem-lock=off -smp 2,sockets=2,cores=1,threads=1 -uuid 9a8b7c6d-0123-4567-89ab-cdef01234567 -no-user-config -nodefaults -chardev socket,id=charmonitor,fd=20,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control -rtc base=utc,driftfix=slew -no-shutdown -boot strict=on -device '{"driver":"pcie-root-port","port":8,"multifunction":true}' -blockdev '{"driver":"file","filename":"/d","node-name":"s","auto-read-only":true}' -netdev '{"type":"tap","fd":"24","id":"hostnet0"}' -msg timestamp=on"#,
        "-cpu cortex-m3 -machine lm3s6965evb -nographic -semihosting-config enable=on,target=native -kernel ELF",
        "-S -qmp stdio -chardev socket,id=serialsocket,path=/s -serial chardev:serialsocket -machine virt -cpu cortex-a57 -drive if=pflash,format=raw,file=f,id=nor0 -nic user,hostfwd=tcp::2222-:22,hostfwd=tcp::80-:80",
        "-machine malta -serial null -serial null -serial stdio",
        "-M virt -audio none -device vmcoreinfo",
    ] {
        config(line);
    }
}

/// What clients give and we do not have yet is refused by its name.
#[test]
fn what_is_not_there_yet_is_named() {
    for (line, says) in [
        ("-vnc :0", "-vnc: understood by QEMU, not yet implemented in Proteus"),
        ("--fsdev local,id=x", "-fsdev: understood by QEMU"),
        ("-numa node", "-numa: understood"),
        ("-tpmdev emulator,id=t", "-tpmdev: understood"),
        ("-usb", "-usb: understood"),
        ("-readconfig f", "-readconfig: understood"),
        ("-runas u", "-runas: understood"),
        ("-trace x", "-trace: understood"),
        ("-sandbox on,obsolete=deny", "-sandbox on,obsolete=deny: "),
        ("-overcommit mem-lock=on", "mem-lock=on is understood by QEMU"),
        ("-icount shift=1,rr=record,rrfile=f", "'rr' (record and replay) is understood"),
        ("-d trace:virtio", "trace events are understood"),
        ("-boot menu=on,splash=x", "'splash' is understood"),
        ("-audio pa", "-audio pa: understood"),
    ] {
        let error = error(line);
        assert!(error.starts_with("proteus-system-aarch64: -"), "{error}");
        assert!(error.contains(says), "{line}: {error}");
    }
}

#[test]
fn mistakes_are_refused_with_what_to_do() {
    for (line, says) in [
        ("-foo", "unknown option -foo; see --help"),
        ("-", "unknown option -;"),
        ("---M virt", "unknown option --M"),
        ("-M", "-M: needs a value: [type=]NAME"),
        ("-kernel", "-kernel: needs a value: FILE"),
        ("a b", "b: one disk image"),
        ("''", "the file name is empty"),
        ("-smp 0", "-smp 0: 'cpus' is 0"),
        ("-M smp.cores=0", "-machine smp: 'cores' is 0"),
        ("-smp 3,cores=2", "make them agree"),
        ("-smp 2,foo=1", "-smp 2,foo=1: unknown key 'foo'; known are cpus"),
        ("-m 1Q", "-m: 'size' is a size such as 512M"),
        ("-m 17179869184G", "'size' is a size"),
        ("-m 1G,maxmem=512M", "'maxmem' is less"),
        ("-m 1G,slots=2", "go together"),
        ("-m 1G,foo=2", "unknown key 'foo'"),
        ("-cpu ''", "the first part is a processor model"),
        ("-cpu max,,", "is not a feature"),
        ("-accel foo", "'accel' is one of tcg, kvm"),
        ("-accel tcg,thread=many", "'thread' is one of single, multi, not 'many'"),
        ("-accel kvm,thread=multi", "of tcg only"),
        ("-accel tcg -M virt,accel=kvm", "exclude each other"),
        ("-M virt,accel=foo", "-machine accel: 'accel' is one of"),
        ("-initrd i", "give it with -kernel"),
        ("-append a", "give it with -kernel"),
        ("-boot order=cz", "drive letters"),
        ("-boot cc", "none twice"),
        ("-device id=x", "needs driver="),
        ("-device '{\"driver\":1'", "not valid JSON"),
        ("-device a,id=1", "an id starts with a letter"),
        ("-device a,id=x -device b,id=x", "-device: the id 'x' is given twice"),
        ("-drive id=a -blockdev file,node-name=a", "'a' is given twice"),
        ("-drive readonly=maybe", "'readonly' is on or off"),
        ("-drive index=x", "'index' is a number"),
        ("-object rng-random", "needs id="),
        ("-global a=b", "needs driver="),
        ("-fw_cfg opt/x", "needs one of file="),
        ("-fw_cfg opt/x,file=a,string=b", "needs one of file="),
        ("-netdev user", "needs id="),
        ("-netdev foo,id=a", "unknown network back end 'foo'"),
        ("-nic foo", "unknown network back end"),
        ("-nic user,mac=1:2", "52:54:00:12:34:56"),
        ("-net", "-net: needs a value"),
        ("-chardev foo,id=a", "unknown back end 'foo'"),
        ("-chardev null", "needs id="),
        ("-chardev file,id=a", "file needs path="),
        ("-chardev socket,id=a", "socket needs one of"),
        ("-chardev socket,id=a,path=p,port=1", "socket needs one of"),
        ("-chardev socket,id=a,path=p,wait=off", "'wait' is for sockets with server=on"),
        ("-chardev null,id=a -chardev null,id=a", "-chardev: the id 'a'"),
        ("-serial foo", "'foo' is not a character device"),
        ("-serial tcp:1234", "is not HOST:PORT"),
        ("-serial chardev:x", "there is no -chardev with id=x"),
        ("-mon x", "there is no -chardev with id=x"),
        ("-mon x,mode=foo", "'mode' is one of readline, control"),
        ("-monitor mon:stdio", "a monitor is one already"),
        ("-serial stdio -monitor stdio", "the terminal (stdio) can be used once"),
        ("-nographic -daemonize", "-daemonize gives up"),
        ("-echr 256", "from 0 to 255"),
        ("-d foo", "unknown log item 'foo'; see -d help"),
        ("-dfilter 1", "is not a range"),
        ("-dfilter 0x10-0x20", "is not a range"),
        ("-icount shift=11", "from 0 to 10"),
        ("-icount align=on", "needs a shift"),
        ("-icount auto,align=on", "needs a fixed shift"),
        ("-icount 1,align=on,sleep=off", "contradict"),
        ("-rtc base=yesterday", "'base' is utc"),
        ("-rtc foo=1", "unknown key 'foo'"),
        ("-semihosting-config target=x", "'target' is one of auto, native, gdb"),
        ("-semihosting-config chardev=x", "no -chardev with id=x"),
        ("-uuid 1234", "the form is"),
        ("-action panic=explode", "'panic' is one of"),
        ("-incoming foo:x", "give defer"),
        ("-incoming defer -loadvm a", "give one of them"),
        ("-msg guest-name=on", "give it with -name"),
        ("-seed x", "'seed' is a number"),
        ("-kernel ''", "the file name is empty"),
    ] {
        let error = error(line);
        assert!(error.starts_with("proteus-system-aarch64: "), "{line}: {error}");
        assert!(error.contains(says), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn help_is_recognised() {
    use HelpRequest::*;
    for (line, expected) in [
        ("--help", Usage),
        ("-h -nonsense", Usage),
        ("-version", Version),
        ("--version", Version),
        ("-M help", Machines),
        ("-machine '?'", Machines),
        ("-machine virt,?", MachineProperties("virt".into())),
        ("-M virt -cpu help", Cpus),
        ("-accel help", Accelerators),
        ("-device '?'", Devices),
        ("-device virtio-blk-device,help", DeviceProperties("virtio-blk-device".into())),
        ("-object help", Objects),
        ("-object rng-random,help", ObjectProperties("rng-random".into())),
        ("-chardev '?'", Chardevs),
        ("-netdev help", Netdevs),
        ("-nic model=help", NicModels),
        ("-net nic,model=?", NicModels),
        ("-drive format=?", BlockFormats),
        ("-display help", Displays),
        ("-d help", LogItems),
        ("-L help", DataDirs),
    ] {
        match read(line) {
            Ok(Request::Help { help, .. }) => assert_eq!(help, expected, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
    let cpus = read("-cpu help -M malta").unwrap();
    assert_eq!(cpus, Request::Help { help: Cpus, machine: Some("malta".into()) });
    assert!(read("-cpu help -nonsense").is_err());
}

#[test]
fn machine_properties_that_are_options_become_them() {
    let c = config(
        "-M a,x=1,kernel=k -machine virt,x=2,append= -machine initrd=i,dtb=d,firmware=f,dumpdtb=o,smp.cpus=3,memory.size=1G,memory.max-size=2G,memory.slots=1,boot.order=c",
    );
    assert_eq!(c.machine.as_deref(), Some("virt"));
    assert_eq!(c.machine_properties.0, [("x".to_string(), "2".to_string())]);
    assert_eq!(c.kernel, Some("k".into()));
    assert_eq!((c.initrd, c.dtb), (Some("i".into()), Some("d".into())));
    assert_eq!((c.firmware, c.dumpdtb), (Some("f".into()), Some("o".into())));
    assert_eq!((c.smp.cpus, c.memory.size, c.memory.max_size), (3, Some(1 << 30), Some(2 << 30)));
    assert_eq!(c.boot.order.as_deref(), Some("c"));
    assert_eq!(config("-M kernel=a -kernel b").kernel, Some("b".into()), "the last one holds");
}

#[test]
fn processors_memory_and_accelerators() {
    let c = config("-cpu max,pauth-impdef=on,+sve,-neon,lpa2 -smp 2 -smp maxcpus=4 -m 1024");
    let cpu = c.cpu.unwrap();
    let features: Vec<_> = cpu.features.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(cpu.model, "max");
    assert_eq!(features, [("pauth-impdef", "on"), ("sve", "on"), ("neon", "off"), ("lpa2", "on")]);
    assert_eq!((c.smp.cpus, c.smp.max_cpus, c.smp.cores), (2, 4, 4));
    assert_eq!(c.memory.size, Some(1 << 30));
    assert_eq!(config("").memory.size, None);
    assert_eq!(config("-m 1G -m slots=2,maxmem=4G").memory, Memory { size: Some(1 << 30), slots: 2, max_size: Some(4 << 30) });
    let kinds = |line: &str| config(line).accelerators.iter().map(|a| a.kind.name()).collect::<Vec<_>>();
    assert_eq!(kinds("-accel kvm -accel tcg"), ["kvm", "tcg"]);
    assert_eq!(kinds("-M virt,accel=kvm:tcg"), ["kvm", "tcg"]);
    assert_eq!(kinds("-enable-kvm"), ["kvm"]);
    let tcg = &config("-accel tcg,thread=multi,tb-size=64,one-insn-per-tb=on").accelerators[0];
    assert_eq!((tcg.thread, tcg.code_size), (Some(TcgThread::Multi), Some(64 << 20)));
    assert_eq!(tcg.properties.get("one-insn-per-tb"), Some("on"));
}

#[test]
fn values_may_look_like_options_and_the_positional_is_a_disk() {
    let c = config("-kernel k -append -foo x.img -hdb y,,z.img -cdrom c.iso");
    assert_eq!(c.append.as_deref(), Some("-foo"));
    let files: Vec<_> = c.drives.iter().map(|d| (d.properties.get("index"), d.properties.get("media"), d.properties.get("file"))).collect();
    assert_eq!(files, [(Some("0"), Some("disk"), Some("x.img")), (Some("1"), Some("disk"), Some("y,,z.img")), (Some("2"), Some("cdrom"), Some("c.iso")),]);
    let c = config("-drive file=a,,b,if=none,id=d,readonly");
    assert_eq!(c.drives[0].properties.get("file"), Some("a,b"));
    assert_eq!(c.drives[0].properties.get("readonly"), Some("on"));
    assert_eq!(c.drives[0].id.as_deref(), Some("d"));
}

#[test]
fn arguments_that_are_not_text_are_refused() {
    use std::os::unix::ffi::OsStringExt;
    let bad = OsString::from_vec(vec![b'-', 0xff, b'\n']);
    let error = super::parse("p", [bad]).unwrap_err().to_string();
    assert_eq!(error, "p: -\u{fffd}?: the argument is not valid UTF-8");
}

/// Back end and ports, as `serials / monitors`.
fn consoles(line: &str) -> String {
    let name = |target: &CharTarget| match target {
        CharTarget::None => "none".to_string(),
        CharTarget::Ref(id) => format!("@{id}"),
        CharTarget::Own { chardev, with_monitor: true } => format!("mon:{}", chardev.backend),
        CharTarget::Own { chardev, .. } => chardev.backend.clone(),
    };
    let c = config(line);
    let serials: Vec<_> = c.serials.iter().map(name).collect();
    let monitors: Vec<_> = c.monitors.iter().map(|m| name(&m.target)).collect();
    format!("{} / {}", serials.join(" "), monitors.join(" "))
}

#[test]
fn the_terminal_goes_where_nothing_else_was_said() {
    for (line, expected) in [
        ("", "mon:stdio / "),
        ("-nographic", "mon:stdio / "),
        ("-nographic -monitor none", "stdio / "),
        ("-nographic -serial null", "null / stdio"),
        ("-serial null", "null / "),
        ("-nographic -serial stdio", "stdio / "),
        ("-nographic -serial mon:stdio", "mon:stdio / "),
        ("-nodefaults -nographic", " / "),
        ("-nodefaults -nographic -serial stdio", "stdio / "),
        ("-display none", "null / "),
        ("-nographic -display none", "mon:stdio / "),
        ("-nographic -qmp stdio", "null / stdio"),
        ("-qmp stdio", "null / stdio"),
        ("-qmp tcp:localhost:1,server", "stdio / socket"),
        ("-daemonize", "null / "),
        ("-chardev stdio,id=c,mux=on -serial chardev:c -mon c", "@c / @c"),
        ("-serial none -serial mon:stdio", "none mon:stdio / "),
    ] {
        assert_eq!(consoles(line), expected, "{line}");
    }
}

#[test]
fn short_forms_of_character_devices() {
    for (text, backend, properties) in [
        ("tcp:localhost:1234,server,nowait", "socket", &[("server", "on"), ("wait", "off"), ("host", "localhost"), ("port", "1234")][..]),
        ("tcp::1234", "socket", &[("host", ""), ("port", "1234")]),
        ("tcp:[::1]:5", "socket", &[("host", "::1"), ("port", "5")]),
        ("telnet:h:1,server=on", "socket", &[("server", "on"), ("host", "h"), ("port", "1"), ("telnet", "on")]),
        ("unix:/a,,b,server=on", "socket", &[("path", "/a,b"), ("server", "on")]),
        ("file:/x,y", "file", &[("path", "/x,y")]),
        ("pipe:/x", "pipe", &[("path", "/x")]),
        ("pty", "pty", &[]),
        ("vc:80Cx24C", "vc", &[("cols", "80"), ("rows", "24")]),
        ("/dev/ttyS0", "serial", &[("path", "/dev/ttyS0")]),
        ("/dev/null", "serial", &[("path", "/dev/null")]),
        ("udp:h:1@:2", "udp", &[("host", "h"), ("port", "1"), ("localaddr", ""), ("localport", "2")]),
        ("null", "null", &[]),
    ] {
        let CharTarget::Own { chardev, .. } = &config(&format!("-serial {text}")).serials[0] else {
            panic!("{text}");
        };
        let got: Vec<_> = chardev.properties.0.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!((chardev.backend.as_str(), got.as_slice()), (backend, properties), "{text}");
    }
    let Some(CharTarget::Own { chardev, .. }) = config("-s").gdb else { panic!() };
    assert_eq!(chardev.properties.get("port"), Some("1234"));
    assert_eq!(chardev.properties.get("server"), Some("on"));
    assert_eq!(chardev.properties.get("wait"), Some("off"));
    assert_eq!(config("-s -gdb none").gdb, None);
}

#[test]
fn network_defaults() {
    for (line, default) in [("", true), ("-nodefaults", false), ("-nic none", false), ("-net none", false), ("-netdev user,id=a", false)] {
        assert_eq!(config(line).default_nic, default, "{line}");
    }
    let c = config("-nic user,hostfwd=a,hostfwd=b -net nic -net user");
    let Nic::Both { kind, properties } = &c.nics[0] else { panic!() };
    assert_eq!((kind.as_str(), properties.get_all("hostfwd").count()), ("user", 2));
    assert_eq!(c.nics[1], Nic::Interface(KeyValues::default()));
    assert!(matches!(&c.nics[2], Nic::Backend { kind, .. } if kind == "user"));
}

#[test]
fn debugging_time_and_life_cycle() {
    let c =
        config("-d in_asm,int -d int,unimp -D log -dfilter 0x1000..0x1fff,0x2000+0x10,0x30-0x10 -icount 3 -icount sleep=off -rtc 2006-06-17T16:01:21,clock=vm");
    assert_eq!(c.log.items, [LogItem::InAsm, LogItem::Int, LogItem::Unimp]);
    assert_eq!(c.log.ranges, [0x1000..=0x1fff, 0x2000..=0x200f, 0x21..=0x30]);
    assert_eq!(c.icount, Some(Icount { shift: IcountShift::Fixed(3), align: false, sleep: false }));
    assert_eq!((c.rtc.base, c.rtc.clock), (RtcBase::At(1_150_560_081), RtcClock::Vm));
    let c = config("-semihosting -semihosting-config target=native,arg=a,arg=b,,c");
    let semihosting = c.semihosting.unwrap();
    assert_eq!(semihosting.target, SemihostingTarget::Native);
    assert_eq!(semihosting.args, ["a", "b,c"]);
    assert_eq!(config("-semihosting-config enable=off").semihosting, None);
    assert!(config("-semihosting").semihosting.is_some());
    let c = config(
        "-no-reboot -no-shutdown -action panic=exit-failure -watchdog-action pause -seed 0x10 -uuid 00112233-4455-6677-8899-aabbccddeeff -name vm,process=p",
    );
    assert_eq!((c.actions.reboot, c.actions.shutdown), (RebootAction::Shutdown, ShutdownAction::Pause));
    assert_eq!((c.actions.panic, c.actions.watchdog), (PanicAction::ExitFailure, WatchdogAction::Pause));
    assert_eq!((c.seed, c.uuid.unwrap()[15]), (Some(16), 0xff));
    assert_eq!((c.name.guest.as_deref(), c.name.process.as_deref()), (Some("vm"), Some("p")));
    assert_eq!(config("-incoming defer").incoming, Some(Incoming::Defer));
    let globals = config("-global virtio-mmio.force-legacy=false -global driver=a,property=b,value=c.d=e").globals;
    assert_eq!((globals[0].property.as_str(), globals[1].value.as_str()), ("force-legacy", "c.d=e"));
}

#[test]
fn no_name_is_given_twice() {
    let rows = GROUPS.iter().flat_map(|(_, rows)| rows.iter());
    let mut names: Vec<_> = rows.flat_map(|r| r.names).chain(not_yet::NAMES).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}

fn any_word() -> impl Strategy<Value = String> {
    let options = GROUPS.iter().flat_map(|(_, rows)| rows.iter()).flat_map(|r| r.names);
    let options: Vec<String> = options.map(|name| format!("-{name}")).collect();
    let values = [
        "stdio",
        "mon:stdio",
        "virt",
        "id=a",
        "1G",
        "size=1,slots=2",
        "help",
        "a,b=c,nod,,",
        "tcp:[::1]:2,server",
        "{\"driver\":\"x\",\"a\":[1,{\"b\":null}]}",
        "chardev:a",
        "null,id=a",
        "shift=1,sleep=off",
        "0x0-0x1",
        "vc:1Cx1",
    ];
    prop_oneof![
        3 => prop::sample::select(options),
        2 => prop::sample::select(values.to_vec()).prop_map(String::from),
        1 => "[-a-z0-9=,.:{}\"\n é+@x]{0,20}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn random_lines_never_panic(words in prop::collection::vec(any_word(), 0..8)) {
        if let Err(e) = super::parse("p", words.into_iter().map(OsString::from)) {
            let text = e.to_string();
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert!(text.len() < 4000);
        }
    }
}
