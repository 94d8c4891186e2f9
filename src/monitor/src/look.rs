//! What is asked of a machine whose cores stand still for it.

use crate::Subject;
use proteus_exec::runner::View;
use proteus_exec::vcpu::Vcpu;
use proteus_model::Mapping;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::sync_channel;

/// Bytes of guest memory copied at a time.
const CHUNK: usize = 1 << 16;

impl Subject {
    /// Does something while the cores stand still; `None` where the run is over.
    pub(crate) fn look<R: Send + 'static>(&self, f: impl FnOnce(&mut View<'_>) -> R + Send + 'static) -> Option<R> {
        let (send, receive) = sync_channel(1);
        let done = self.runner.look(Box::new(move |v| {
            // The one who waits for it is this function.
            let _ = send.send(f(v));
        }));
        if done { receive.recv().ok() } else { None }
    }

    /// Does something with a core that stands still; `None` where there is none of that number.
    pub(crate) fn on_core<R: Send + 'static>(&self, core: usize, f: impl FnOnce(&mut dyn Vcpu) -> R + Send + 'static) -> Option<R> {
        self.look(move |v| v.cpus.get_mut(core).map(|cpu| f(&mut **cpu)))?
    }

    /// How many cores there are.
    pub(crate) fn cores(&self) -> usize {
        self.machine.upgrade().map_or(0, |m| m.core_count())
    }

    /// Waits until the run loop has obeyed what it was told before.
    pub(crate) fn wait(&self) {
        let _ = self.look(|_| ());
    }

    /// Memory by virtual address of a core, or by physical address where `core` is `None`; gives
    /// what could be read, from the start.
    pub(crate) fn memory(&self, core: Option<usize>, address: u64, length: usize) -> Vec<u8> {
        let read = move |v: &mut View<'_>| {
            let mut bytes = vec![0; length];
            let done = read(v, core, address, &mut bytes);
            bytes.truncate(done);
            bytes
        };
        self.look(read).unwrap_or_default()
    }

    /// Writes what the display shows to a file, as a portable pixmap (PPM).
    ///
    /// # Errors
    /// In the words of QMP.
    pub(crate) fn screen_dump(&self, path: &str) -> Result<(), String> {
        let machine = self.machine.upgrade().ok_or("the run is over")?;
        let picture = machine.picture(None).ok_or("There is no console to take a screendump from, or it shows nothing")?;
        let head = format!("P6\n{} {}\n255\n", picture.width, picture.height);
        let written = File::create(Path::new(path)).and_then(|mut f| f.write_all(head.as_bytes()).and_then(|()| f.write_all(&picture.rgb)));
        written.map_err(|e| format!("Could not write '{path}': {}", os_text(&e)))
    }

    /// Writes guest memory to a file; see [`Subject::memory`]. The cores stand still meanwhile.
    ///
    /// # Errors
    /// In the words of QMP.
    pub(crate) fn save_memory(&self, core: Option<usize>, address: u64, length: u64, path: &str) -> Result<(), String> {
        let mut file = File::create(Path::new(path)).map_err(|e| format!("Could not open '{path}': {}", os_text(&e)))?;
        let save = move |v: &mut View<'_>| {
            let mut done = 0;
            let mut bytes = vec![0; CHUNK];
            while done < length {
                let n = CHUNK.min(usize::try_from(length - done).unwrap_or(CHUNK));
                let part = &mut bytes[..n];
                if read(v, core, address.wrapping_add(done), part) < n {
                    return Err(format!("Invalid addr 0x{address:016x}/size {length} specified"));
                }
                file.write_all(part).map_err(|e| format!("writing memory to a file failed: {}", os_text(&e)))?;
                done += n as u64;
            }
            Ok(())
        };
        self.look(save).unwrap_or_else(|| Err("the run is over".into()))
    }
}

/// The text of an error without its number.
fn os_text(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

/// Reads memory; gives the bytes read.
fn read(v: &mut View<'_>, core: Option<usize>, address: u64, to: &mut [u8]) -> usize {
    if let Some(core) = core {
        return v.cpus.get_mut(core).map_or(0, |cpu| cpu.read_memory(address, to));
    }
    let space = v.machine.space();
    let mut done = 0;
    while done < to.len() {
        let Some(at) = address.checked_add(done as u64) else { break };
        let Some(Mapping::Ram { region, offset, len_left, .. }) = space.find(at) else { break };
        let n = (to.len() - done).min(usize::try_from(len_left).unwrap_or(usize::MAX));
        if n == 0 || region.read(offset, &mut to[done..done + n]).is_err() {
            break;
        }
        done += n;
    }
    done
}
