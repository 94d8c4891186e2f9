//! Drives a program through its standard input and output, as a person at a serial console would.
//!
//! ```no_run
//! # use std::{process::Command, time::Duration};
//! # use proteus_guests::console::{Console, ConsoleError};
//! # fn main() -> Result<(), ConsoleError> {
//! let mut console = Console::spawn(Command::new("proteus").args(["-M", "virt", "-nographic"]))?;
//! console.expect("~ # ", Duration::from_secs(60))?;
//! let answer = console.shell("uname -m", Duration::from_secs(10))?;
//! assert_eq!((answer.status, answer.output.trim()), (0, "aarch64"));
//! console.send("poweroff -f\n")?;
//! assert!(console.wait_exit(Duration::from_secs(10))?.success());
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What a reader thread hands over.
enum Chunk {
    Output(Vec<u8>, Instant),
    Messages(Vec<u8>),
}

/// A running program and all that it has printed.
///
/// The program is killed when this is dropped.
pub struct Console {
    child: Child,
    stdin: Option<ChildStdin>,
    chunks: Receiver<Chunk>,
    output: Vec<u8>,
    /// When each chunk of `output` came: where it ends, and the time.
    arrivals: Vec<(usize, Instant)>,
    messages: Vec<u8>,
    /// Up to where `output` has been matched.
    seen: usize,
    started: Instant,
    name: String,
}

/// What [`Console::expect`] found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which of the patterns it was.
    pub index: usize,
    /// What was printed before it, since the last match.
    pub before: String,
    /// When its last byte came, since the program was started.
    pub at: Duration,
}

/// What [`Console::shell`] found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The command's exit status.
    pub status: i32,
    /// What it printed, with the terminal's line ends made plain.
    pub output: String,
}

/// Why a console did not do what was expected; printed with the full transcript.
#[derive(Debug)]
pub struct ConsoleError {
    /// What went wrong.
    pub what: String,
    /// All that the program has printed.
    pub transcript: String,
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n----- transcript -----\n{}\n----- end -----", self.what, self.transcript.trim_end())
    }
}

impl std::error::Error for ConsoleError {}

/// Shorthand for results of a console.
pub type Result<T> = std::result::Result<T, ConsoleError>;

impl Console {
    /// Starts `command` with its input, output and messages piped.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = |what: String| ConsoleError { what, transcript: String::new() };
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("cannot start {name}: {error}")))?;
        let (sender, chunks) = channel();
        if let Some(stdout) = child.stdout.take() {
            forward(stdout, sender.clone(), |bytes| Chunk::Output(bytes, Instant::now()));
        }
        if let Some(stderr) = child.stderr.take() {
            forward(stderr, sender, Chunk::Messages);
        }
        let stdin = child.stdin.take();
        let (output, arrivals, messages) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { child, stdin, chunks, output, arrivals, messages, seen: 0, started, name })
    }

    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the program has held so far, in bytes; `None` once it has ended.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// Everything printed so far, the messages on standard error last.
    pub fn transcript(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.output).into_owned();
        if !self.messages.is_empty() {
            text.push_str("\n----- standard error -----\n");
            text.push_str(&String::from_utf8_lossy(&self.messages));
        }
        text
    }

    /// Waits until `pattern` is printed after what was matched last.
    pub fn expect(&mut self, pattern: &str, limit: Duration) -> Result<Found> {
        self.expect_any(&[pattern], limit)
    }

    /// Waits until one of `patterns` is printed after what was matched last; of several, the one
    /// that starts first.
    pub fn expect_any(&mut self, patterns: &[&str], limit: Duration) -> Result<Found> {
        let deadline = Instant::now() + limit;
        let longest = patterns.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        let mut from = self.seen;
        loop {
            let first = patterns.iter().enumerate().filter_map(|(index, pattern)| Some((find(&self.output[from..], pattern.as_bytes())? + from, index))).min();
            if let Some((start, index)) = first {
                let end = start + patterns[index].len();
                let before = String::from_utf8_lossy(&self.output[self.seen..start]).into_owned();
                self.seen = end;
                return Ok(Found { index, before, at: self.arrival(end) });
            }
            // A match may begin in what is here and end in what is to come.
            from = from.max((self.output.len() + 1).saturating_sub(longest));
            match self.receive(deadline) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.error(format!("no {patterns:?} from {} within {limit:?}", self.name)));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let end = self.wait_exit(Duration::from_secs(1)).map_or("ended".into(), |status| status.to_string());
                    return Err(self.error(format!("no {patterns:?} before the end of {} ({end})", self.name)));
                }
            }
        }
    }

    /// Types `text`; a line needs its `\n`.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let sent = match &mut self.stdin {
            Some(stdin) => stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()),
            None => Err(io::Error::new(io::ErrorKind::BrokenPipe, "its input is closed")),
        };
        sent.map_err(|error| self.error(format!("cannot send {text:?} to {}: {error}", self.name)))
    }

    /// Closes the program's input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Runs `command` in the shell whose prompt was matched last, and waits for the next `# `.
    pub fn shell(&mut self, command: &str, limit: Duration) -> Result<Answer> {
        // The terminal echoes the line; the quotes keep the echo from looking like the answer.
        self.send(&format!("echo proteus\"-begin\"; {command}\necho proteus\"-end\" $?\n"))?;
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        self.expect("proteus-begin", left())?;
        let output = self.expect("proteus-end ", left())?.before;
        let status = self.expect("# ", left())?.before;
        let status = status.split_whitespace().next().and_then(|word| word.parse().ok());
        let Some(status) = status else { return Err(self.error(format!("no status from the shell after {command:?}"))) };
        // The last lines are the prompt and the echo of the second line sent.
        let plain = output.replace("\r\n", "\n").replace('\r', "");
        let plain = plain.trim_start_matches('\n');
        let body = match plain.rfind("# ").and_then(|prompt| plain[..prompt].rfind('\n')) {
            Some(end) => &plain[..=end],
            None => "",
        };
        Ok(Answer { status, output: body.to_owned() })
    }

    /// Waits until the program ends.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            // Both readers end when the program does (or closes both), so this does not poll.
            match self.receive(deadline) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.error(format!("{} did not end within {limit:?}", self.name)));
                }
                Err(RecvTimeoutError::Disconnected) => {}
            }
            return self.child.wait().map_err(|error| self.error(format!("cannot wait for {}: {error}", self.name)));
        }
    }

    fn receive(&mut self, deadline: Instant) -> std::result::Result<(), RecvTimeoutError> {
        match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now()))? {
            Chunk::Output(bytes, at) => {
                self.output.extend_from_slice(&bytes);
                self.arrivals.push((self.output.len(), at));
            }
            Chunk::Messages(bytes) => self.messages.extend_from_slice(&bytes),
        }
        Ok(())
    }

    /// When the byte before `end` came.
    fn arrival(&self, end: usize) -> Duration {
        let index = self.arrivals.partition_point(|(until, _)| *until < end);
        self.arrivals.get(index).map_or(Duration::ZERO, |(_, at)| at.duration_since(self.started))
    }

    fn error(&self, what: String) -> ConsoleError {
        ConsoleError { what, transcript: self.transcript() }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Either may fail because the program has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until the end on a thread of its own.
fn forward(mut from: impl Read + Send + 'static, to: Sender<Chunk>, wrap: fn(Vec<u8>) -> Chunk) {
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if to.send(wrap(buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    if pattern.is_empty() {
        return Some(0);
    }
    text.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn sh(script: &str) -> Console {
        Console::spawn(Command::new("sh").args(["-c", script])).expect("sh starts")
    }

    #[test]
    fn what_is_sent_comes_back_and_each_match_starts_after_the_last() {
        let mut cat = Console::spawn(&mut Command::new("cat")).expect("cat starts");
        cat.send("one two one\n").expect("sent");
        assert_eq!(cat.expect("one", LIMIT).expect("first").before, "");
        assert_eq!(cat.expect("one", LIMIT).expect("second").before, " two ");
        assert!(cat.peak_memory().is_some_and(|bytes| bytes > 100_000));
        cat.close_input();
        assert!(cat.wait_exit(LIMIT).expect("ended").success());
        assert_eq!(cat.transcript(), "one two one\n");
        assert!(cat.send("x").is_err());
    }

    #[test]
    fn the_first_of_several_patterns_wins_even_when_it_comes_in_parts() {
        let mut console = sh("printf 'kernel pa'; read go; printf 'nic; ~ # '");
        console.expect("kernel", LIMIT).expect("first part");
        console.send("go\n").expect("sent");
        let found = console.expect_any(&["~ # ", "panic"], LIMIT).expect("a match");
        assert_eq!((found.index, found.before.as_str()), (1, " "));
        assert_eq!(console.expect_any(&["panic", "~ # "], LIMIT).expect("a match").index, 1);
    }

    #[test]
    fn a_limit_or_an_early_end_is_an_error_with_the_transcript() {
        let mut console = sh("echo hello; echo trouble >&2; read forever");
        console.expect("hello", LIMIT).expect("hello");
        let error = console.expect("never", Duration::from_millis(1)).expect_err("a limit").to_string();
        assert!(error.contains("within 1ms") && error.contains("hello"), "{error}");
        let error = console.wait_exit(Duration::from_millis(1)).expect_err("a limit").to_string();
        assert!(error.contains("did not end"), "{error}");
        console.close_input();
        let error = console.expect("never", LIMIT).expect_err("an end").to_string();
        assert!(error.contains("before the end") && error.contains("exit status: 1"), "{error}");
        assert!(error.contains("trouble"), "{error}");
    }

    #[test]
    fn shell_gives_output_and_status() {
        // A shell that echoes what it reads, as a terminal does.
        let mut console = sh("printf '# '; s=0; while read -r line; do echo \"$line\"; (exit $s); eval \"$line\"; s=$?; printf '~ # '; done");
        console.expect("# ", LIMIT).expect("a prompt");
        let answer = console.shell("echo a; echo b", LIMIT).expect("an answer");
        assert_eq!((answer.status, answer.output.as_str()), (0, "a\nb\n"));
        let answer = console.shell("(exit 3)", LIMIT).expect("an answer");
        assert_eq!((answer.status, answer.output.as_str()), (3, ""));
    }

    #[test]
    fn exit_status_is_given_and_a_missing_program_named() {
        assert_eq!(sh("exit 7").wait_exit(LIMIT).expect("ended").code(), Some(7));
        let error = Console::spawn(&mut Command::new("no-such-program")).err().map(|error| error.what);
        assert!(error.is_some_and(|what| what.contains("no-such-program")));
    }

    #[test]
    fn dropping_kills_the_program() {
        let console = sh("exec sleep 1000");
        let process = format!("/proc/{}", console.pid());
        assert!(std::path::Path::new(&process).exists());
        drop(console);
        assert!(!std::path::Path::new(&process).exists());
    }
}
