//! The processes of one simulated host: who runs, in which group, and what a signal does to them.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::command::SimCommand;
use crate::session::TASK_VARIABLE;
use crate::wire::Birth;

/// The process id before the first one of a host.
const FIRST: u32 = 1000;

/// The signals that simulated processes know; every one of them ends a process that does not ignore it.
///
/// ```
/// use clusterops_ssh::sim::Signal;
///
/// assert_eq!("SIGTERM".parse(), Ok(Signal::Term));
/// assert_eq!("9".parse(), Ok(Signal::Kill));
/// assert_eq!(Signal::Hup.name(), "HUP");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// The terminal is gone.
    Hup,
    /// Interrupted from the keyboard.
    Int,
    /// Quit from the keyboard.
    Quit,
    /// An illegal instruction.
    Ill,
    /// The process gave up by itself (`abort`).
    Abrt,
    /// An arithmetic error.
    Fpe,
    /// The end that no process can refuse.
    Kill,
    /// For the program to define.
    Usr1,
    /// An invalid memory access.
    Segv,
    /// For the program to define.
    Usr2,
    /// Output that nobody reads.
    Pipe,
    /// A timer that ran out.
    Alrm,
    /// The polite request to end.
    Term,
}

/// Names as in RFC 4254, section 6.10, and numbers as in signal(7).
const SIGNALS: [(Signal, &str, u8); 13] = [
    (Signal::Hup, "HUP", 1),
    (Signal::Int, "INT", 2),
    (Signal::Quit, "QUIT", 3),
    (Signal::Ill, "ILL", 4),
    (Signal::Abrt, "ABRT", 6),
    (Signal::Fpe, "FPE", 8),
    (Signal::Kill, "KILL", 9),
    (Signal::Usr1, "USR1", 10),
    (Signal::Segv, "SEGV", 11),
    (Signal::Usr2, "USR2", 12),
    (Signal::Pipe, "PIPE", 13),
    (Signal::Alrm, "ALRM", 14),
    (Signal::Term, "TERM", 15),
];

impl Signal {
    /// The name without `SIG`, as the SSH protocol writes it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The number on Linux.
    pub fn number(self) -> u8 {
        self.row().2
    }

    fn row(self) -> (Self, &'static str, u8) {
        SIGNALS
            .into_iter()
            .find(|(signal, ..)| *signal == self)
            .expect("every signal has a row")
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Reads a name, with or without `SIG`, or a number.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let name = text.strip_prefix("SIG").unwrap_or(text);
        SIGNALS
            .into_iter()
            .find(|(_, known, number)| *known == name || number.to_string() == name)
            .map(|(signal, ..)| signal)
            .ok_or(UnknownSignal)
    }
}

/// A signal's name that simulated processes do not know.
///
/// ```
/// use clusterops_ssh::sim::{Signal, UnknownSignal};
///
/// assert_eq!("WINCH".parse::<Signal>(), Err(UnknownSignal));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signal that simulated processes know (see `Signal`)")]
pub struct UnknownSignal;

/// A process of a simulated host, as [`SimHandle::processes`](super::SimHandle::processes) shows it.
///
/// ```
/// use clusterops_ssh::sim::SimHandle;
///
/// /// What of an attempt is left on a host?
/// fn left(host: &SimHandle, attempt: &str) -> Vec<u32> {
///     let processes = host.processes().into_iter();
///     processes.filter(|process| process.attempt() == Some(attempt)).map(|process| process.pid).collect()
/// }
/// # let _ = left;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimProcess {
    /// The process id.
    pub pid: u32,
    /// The process group: the id of its leader.
    pub group: u32,
    /// What it runs, as one line.
    pub command: String,
    /// The environment that its client gave it.
    pub environment: BTreeMap<String, String>,
}

impl SimProcess {
    /// The attempt this process belongs to, where its client named one (`CLUSTEROPS_TASK` in its environment).
    pub fn attempt(&self) -> Option<&str> {
        self.environment.get(TASK_VARIABLE).map(String::as_str)
    }
}

/// Every simulated host has started once, and this is what that start is called.
const BOOT_ID: &str = "51b05fd2-1111-4a11-8a11-111111111111";

/// Where hosts say so (random(4)).
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The processes of one host. They do not end with their connection.
#[derive(Debug, Default)]
pub(super) struct ProcessTable {
    started: u32,
    entries: BTreeMap<u32, Entry>,
}

#[derive(Debug)]
struct Entry {
    group: u32,
    /// What a detached process is called; others are called by their command.
    title: Option<String>,
    /// `None` until the client has said what to run.
    command: Option<Arc<SimCommand>>,
    ignores_term: bool,
    /// Tells the task that plays this process; detached processes have none.
    end: Option<oneshot::Sender<Signal>>,
}

/// Whom a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipient {
    Process(u32),
    Group(u32),
}

impl ProcessTable {
    /// Adds a process that leads its own group; the receiver yields the signal that ends it.
    pub(super) fn start(&mut self) -> (u32, oneshot::Receiver<Signal>) {
        let (end, ended) = oneshot::channel();
        let pid = self.insert(None, None, Some(end));
        (pid, ended)
    }

    /// Adds a process that left the group of its parent and has only a name; it stays until it is killed.
    pub(super) fn detach(&mut self, title: String, command: &Arc<SimCommand>) {
        self.insert(Some(title), Some(command.clone()), None);
    }

    fn insert(
        &mut self,
        title: Option<String>,
        command: Option<Arc<SimCommand>>,
        end: Option<oneshot::Sender<Signal>>,
    ) -> u32 {
        self.started += 1;
        let pid = FIRST + self.started;
        let entry = Entry {
            group: pid,
            title,
            command,
            ignores_term: false,
            end,
        };
        self.entries.insert(pid, entry);
        pid
    }

    /// Says what the process runs.
    pub(super) fn name(&mut self, pid: u32, command: &Arc<SimCommand>) {
        if let Some(entry) = self.entries.get_mut(&pid) {
            entry.command = Some(command.clone());
        }
    }

    pub(super) fn set_ignores_term(&mut self, pid: u32, ignores_term: bool) {
        if let Some(entry) = self.entries.get_mut(&pid) {
            entry.ignores_term = ignores_term;
        }
    }

    /// Takes away a process that ended by itself.
    pub(super) fn remove(&mut self, pid: u32) {
        self.entries.remove(&pid);
    }

    /// Ends every process without telling anybody why.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Sends a signal (`None`: only looks, as `kill -0`); says whether there was anybody to receive it.
    pub(super) fn signal(&mut self, to: Recipient, signal: Option<Signal>) -> bool {
        let reached: Vec<u32> = self
            .entries
            .iter()
            .filter(|(pid, entry)| match to {
                Recipient::Process(wanted) => **pid == wanted,
                Recipient::Group(wanted) => entry.group == wanted,
            })
            .map(|(pid, _)| *pid)
            .collect();
        if let Some(signal) = signal {
            for pid in &reached {
                let ends = |entry: &mut Entry| signal == Signal::Kill || !entry.ignores_term;
                if self.entries.get_mut(pid).is_some_and(ends)
                    && let Some(end) = self.entries.remove(pid).and_then(|entry| entry.end)
                {
                    // A task that is gone needs no message.
                    let _ = end.send(signal);
                }
            }
        }
        !reached.is_empty()
    }

    /// All processes, by id.
    pub(super) fn list(&self) -> impl Iterator<Item = SimProcess> + '_ {
        self.entries.iter().map(|(pid, entry)| SimProcess {
            pid: *pid,
            group: entry.group,
            command: entry.line(),
            environment: entry
                .command
                .as_ref()
                .map(|command| command.environment.clone())
                .unwrap_or_default(),
        })
    }

    /// When a process came to be, in ticks that are steps of the process ids.
    pub(super) fn birth(pid: u32) -> Option<Birth> {
        Some(Birth {
            ticks: u64::from(pid),
            boot: Birth::boot(BOOT_ID)?,
        })
    }

    /// The names of the files below `/proc` that show these processes.
    pub(super) fn proc_paths(&self) -> impl Iterator<Item = String> + '_ {
        self.entries.keys().flat_map(|pid| {
            ["cmdline", "environ", "stat"].map(|file| format!("/proc/{pid}/{file}"))
        })
    }

    /// What such a file holds (proc(5)).
    pub(super) fn proc_file(&self, path: &str) -> Option<Vec<u8>> {
        if path == BOOT_ID_FILE {
            return Some(format!("{BOOT_ID}\n").into_bytes());
        }
        let (pid, file) = path.strip_prefix("/proc/")?.split_once('/')?;
        let pid = pid.parse().ok()?;
        let entry = self.entries.get(&pid)?;
        match file {
            "cmdline" => Some(entry.line().replace(' ', "\0").into_bytes()),
            "environ" => Some(
                entry
                    .command
                    .iter()
                    .flat_map(|command| command.full_environment())
                    .flat_map(|(name, value)| format!("{name}={value}\0").into_bytes())
                    .collect(),
            ),
            "stat" => {
                let line = entry.line();
                let program = line.split(' ').next().unwrap_or_default();
                let name = program.rsplit('/').next().unwrap_or_default();
                let name: String = name.chars().take(15).collect();
                let group = entry.group;
                // The fields after the session: terminal, its group, flags, and counters that stay at zero but for the
                // start time, which is the 22nd of all fields.
                Some(
                    format!(
                        "{pid} ({name}) S 1 {group} {group} 0 -1 0{} {pid}{}\n",
                        " 0".repeat(12),
                        " 0".repeat(30)
                    )
                    .into_bytes(),
                )
            }
            _ => None,
        }
    }
}

impl Entry {
    fn line(&self) -> String {
        match (&self.title, &self.command) {
            (Some(title), _) => title.clone(),
            (None, Some(command)) => command.line().into_owned(),
            (None, None) => "sh".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_reaches_a_process_or_its_group() {
        let mut table = ProcessTable::default();
        let (first, mut first_end) = table.start();
        let (second, mut second_end) = table.start();
        assert!(table.signal(Recipient::Group(first), None));
        assert!(!table.signal(Recipient::Group(4), Some(Signal::Kill)));
        assert!(table.signal(Recipient::Process(first), Some(Signal::Term)));
        assert_eq!(first_end.try_recv(), Ok(Signal::Term));
        assert!(!table.signal(Recipient::Process(first), None));

        table.set_ignores_term(second, true);
        assert!(table.signal(Recipient::Group(second), Some(Signal::Term)));
        assert!(second_end.try_recv().is_err());
        assert!(table.signal(Recipient::Group(second), Some(Signal::Kill)));
        assert_eq!(second_end.try_recv(), Ok(Signal::Kill));
        assert_eq!(table.list().count(), 0);
    }

    #[test]
    fn proc_shows_the_group_and_the_environment() {
        let mut table = ProcessTable::default();
        let (pid, _end) = table.start();
        let mut command = SimCommand::shell("deploy", "/opt/app/run --once");
        command
            .environment
            .insert("CLUSTEROPS_TASK".into(), "7".into());
        table.name(pid, &Arc::new(command));
        let stat = table
            .proc_file(&format!("/proc/{pid}/stat"))
            .expect("a stat file");
        let stat = String::from_utf8(stat).expect("text");
        assert!(
            stat.starts_with(&format!("{pid} (run) S 1 {pid} {pid} ")),
            "{stat}"
        );
        assert_eq!(stat.split_whitespace().count(), 52);
        assert_eq!(
            Birth::ticks(&stat),
            ProcessTable::birth(pid).map(|birth| birth.ticks)
        );
        let environ = table
            .proc_file(&format!("/proc/{pid}/environ"))
            .expect("an environ file");
        assert!(
            environ
                .windows(18)
                .any(|window| window == b"CLUSTEROPS_TASK=7\0")
        );
        assert_eq!(table.proc_file("/proc/1/stat"), None);
    }
}
