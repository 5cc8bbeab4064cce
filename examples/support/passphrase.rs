//! Passphrases and passwords: from a file, or from the person at the terminal. No copy of one is left in memory.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use clusterops::core::Printable;
use clusterops::secrets::secrecy::zeroize::Zeroizing;
use clusterops::secrets::secrecy::{ExposeSecret as _, SecretString};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::SignalFd;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::command_line::Result;

/// The longest line, with its end. A terminal takes no longer one.
const LONGEST: usize = 4096;

/// What to do about a passphrase without a terminal.
pub(crate) const IN_A_FILE: &str = "--passphrase names a file with it";

/// The first line of a file, without its end.
pub(crate) fn first_line(path: &Path) -> Result<SecretString> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut line = Zeroizing::new([0; LONGEST]);
    let mut length = 0;
    while length < LONGEST && !line[..length].contains(&b'\n') {
        match file.read(&mut line[length..]).map_err(failed)? {
            0 => break,
            more => length += more,
        }
    }
    secret(&line[..length])
        .map_err(|why| format!("{}: its first line {why}", path.display()).into())
}

/// Asks for the passphrase of a key.
pub(crate) fn ask(key: &Path) -> Result<SecretString> {
    ask_for(&format!("passphrase of {}", key.display()), IN_A_FILE)
}

/// Asks for the passphrase of a new key, twice.
pub(crate) fn ask_twice(key: &Path) -> Result<SecretString> {
    let first = not_empty(ask_for(
        &format!("new passphrase of {}", key.display()),
        IN_A_FILE,
    )?)?;
    let second = ask_for(
        &format!("once more, the passphrase of {}", key.display()),
        IN_A_FILE,
    )?;
    match first.expose_secret() == second.expose_secret() {
        true => Ok(first),
        false => Err("the two passphrases are not the same; no key was made".into()),
    }
}

pub(crate) fn not_empty(passphrase: SecretString) -> Result<SecretString> {
    match passphrase.expose_secret().is_empty() {
        true => Err("an empty passphrase protects nothing".into()),
        false => Ok(passphrase),
    }
}

/// Asks for one line that is not shown; what else can be done is told where there is no terminal.
pub(crate) fn ask_for(what: &str, otherwise: &str) -> Result<SecretString> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal
        .map_err(|_| format!("there is no terminal to ask for the {what} at; {otherwise}"))?;
    let mut line = Zeroizing::new([0; LONGEST]);
    let length = loop {
        write!(terminal, "{}: ", Printable(what))?;
        let length = read_silently(&terminal, &mut line[..])?;
        writeln!(terminal)?;
        if let Some(length) = length {
            break length;
        }
    };
    if length == 0 {
        return Err(format!("{what}: nothing was given").into());
    }
    secret(&line[..length]).map_err(|why| format!("{what}: the line {why}").into())
}

/// Reads a line while the terminal shows nothing of what is typed. `None` when a signal came in between that has not ended this
/// process: it was stopped, and goes on.
fn read_silently(terminal: &File, line: &mut [u8]) -> Result<Option<usize>> {
    let held = Held::signals()?;
    let _silence = Silence::of(terminal)?;
    let mut ready =
        [terminal.as_fd(), held.arrived.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    poll(&mut ready, PollTimeout::NONE)?;
    if ready[1].any().unwrap_or(false) {
        return Ok(None);
    }
    // A terminal gives one line at a time.
    let mut terminal = terminal;
    Ok(Some(terminal.read(line)?))
}

/// Signals that would end or stop this process wait as long as this lives; then they do what they always do.
struct Held {
    before: SigSet,
    arrived: SignalFd,
}

impl Held {
    fn signals() -> Result<Self> {
        let signals = SigSet::from_iter([
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGTSTP,
        ]);
        let arrived = SignalFd::new(&signals)?;
        let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { before, arrived })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

/// A terminal that echoes nothing as long as this lives. What was typed and not read is thrown away at both ends: it would show.
struct Silence<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Silence<'t> {
    fn of(terminal: &'t File) -> Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// The first line of what was read.
fn secret(read: &[u8]) -> Result<SecretString, &'static str> {
    let line = read.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() == LONGEST {
        return Err("is longer than 4095 bytes, the limit");
    }
    let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    Ok(SecretString::from(line.strip_suffix('\r').unwrap_or(line)))
}
