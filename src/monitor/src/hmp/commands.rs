//! The commands of HMP, but `info`.

use super::{Arguments, Complete, Context, INFO, Outcome, Row, find, info, memory, shown, usage};
use crate::qmp::needs_reset;

/// Items of `log`, for completion; the command line knows which there are.
pub const LOG_ITEMS: &[&str] = &["none", "in_asm", "int", "exec", "cpu", "mmu", "unimp", "guest_errors", "nochain"];

/// All commands.
pub const COMMANDS: &[Row] = &[
    Row::new(&["cont", "c"], "", "let the processors go on", cont),
    Row::new(&["cpu"], "N", "make commands be about core N", cpu),
    Row::new(&["gpa2hva"], "ADDR", "refused: guest memory is not the host's to touch", |_, a| {
        a.0 = "";
        Err("gpa2hva: host addresses of guest memory are not given out; x and memsave read it".into())
    }),
    Row::new(&["gva2gpa"], "ADDR", "the physical address of a virtual one", gva2gpa),
    Row::new(&["help", "?"], "[COMMAND]", "show the commands, or one", help).complete(Complete::Commands),
    Row::new(&["info"], "[WHAT]", "show something of the machine", info_list).complete(Complete::Info),
    Row::new(&["log"], "ITEM[,...]", "log these items, as with -d; none for no more", log).complete(Complete::Log),
    Row::new(&["memsave"], "ADDR SIZE FILE", "write memory by virtual address to a file", |cx, a| save(cx, a, true)),
    Row::new(&["nmi"], "", "refused: no board has a non-maskable interrupt", |_, _| Err("nmi: no board of this program has a non-maskable interrupt".into())),
    Row::new(&["pmemsave"], "ADDR SIZE FILE", "write memory by physical address to a file", |cx, a| save(cx, a, false)),
    Row::new(&["print", "p"], "[/FMT] EXPR", "the value of an expression; $NAME is a register", memory::print),
    Row::new(&["quit", "q"], "", "end the emulator", |cx, _| {
        cx.subject.runner.quit();
        Ok(())
    }),
    Row::new(&["screendump"], "FILE", "write what the display shows to a file (PPM)", |cx, a| {
        let file = a.word().ok_or_else(|| usage("the name of a file is missing"))?;
        cx.subject.screen_dump(&file).map_err(|e| format!("Error: {e}"))
    }),
    Row::new(&["stop", "s"], "", "stop the processors", |cx, _| {
        cx.subject.runner.pause();
        cx.subject.wait();
        Ok(())
    }),
    Row::new(&["system_powerdown"], "", "press the power button", |cx, _| match cx.subject.host.power_button() {
        true => {
            cx.subject.runner.power_down();
            Ok(())
        }
        false => Err("this machine has no power button".into()),
    }),
    Row::new(&["system_reset"], "", "reset the machine", |cx, _| {
        cx.subject.runner.reset();
        Ok(())
    }),
    Row::new(&["x"], "[/FMT] ADDR", "memory by virtual address; FMT is [COUNT][xduocis][bhwg]", |cx, a| memory::examine(cx, a, true)),
    Row::new(&["xp"], "[/FMT] ADDR", "memory by physical address", |cx, a| memory::examine(cx, a, false)),
];

fn cont(cx: &mut Context<'_>, _: &mut Arguments<'_>) -> Outcome {
    let runner = &cx.subject.runner;
    if needs_reset(runner.state()) {
        return Err("Error: Resetting the Virtual Machine is required".into());
    }
    runner.resume();
    cx.subject.wait();
    Ok(())
}

fn cpu(cx: &mut Context<'_>, a: &mut Arguments<'_>) -> Outcome {
    let core = a.value(cx).map_err(usage)?;
    match usize::try_from(core).ok().filter(|n| *n < cx.subject.cores()) {
        Some(n) => cx.hmp.core = n,
        None => return Err("invalid CPU index".into()),
    }
    Ok(())
}

fn gva2gpa(cx: &mut Context<'_>, a: &mut Arguments<'_>) -> Outcome {
    let address = a.value(cx).map_err(usage)?;
    match cx.subject.on_core(cx.hmp.core, move |cpu| cpu.translate(address)).flatten() {
        Some(phys) => cx.line(format_args!("gpa: {phys:#x}")),
        None => cx.line("Unmapped"),
    }
    Ok(())
}

fn help(cx: &mut Context<'_>, a: &mut Arguments<'_>) -> Outcome {
    match (a.word().as_deref(), a.word()) {
        (None, _) => COMMANDS.iter().for_each(|row| cx.out.push_str(&row.usage())),
        (Some("info"), None) => return info_list(cx, a),
        (Some("info"), Some(what)) => match find(INFO, &what) {
            Some(row) => cx.out.push_str(&format!("info {}", row.usage())),
            None => return Err(format!("unknown command: 'info {}'", shown(&what))),
        },
        (Some(name), _) => match find(COMMANDS, name) {
            Some(row) => cx.out.push_str(&row.usage()),
            None => return Err(format!("unknown command: '{}'", shown(name))),
        },
    }
    Ok(())
}

fn info_list(cx: &mut Context<'_>, _: &mut Arguments<'_>) -> Outcome {
    info::INFO.iter().for_each(|row| cx.out.push_str(&format!("info {}", row.usage())));
    Ok(())
}

fn log(cx: &mut Context<'_>, a: &mut Arguments<'_>) -> Outcome {
    let items = a.word().ok_or_else(|| usage("log: items are missing"))?;
    cx.subject.host.log(&items)
}

fn save(cx: &mut Context<'_>, a: &mut Arguments<'_>, translated: bool) -> Outcome {
    let address = a.value(cx).map_err(usage)?;
    let size = a.value(cx).map_err(usage)?;
    let file = a.word().ok_or_else(|| usage("the name of a file is missing"))?;
    let core = translated.then_some(cx.hmp.core);
    cx.subject.save_memory(core, address, size, &file).map_err(|e| format!("Error: {e}"))
}
