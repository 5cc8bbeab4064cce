//! A command for one host, and how it ended.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::run_as::{Method, RunAs};
use crate::session::Raised;
use crate::template::is_name;
use crate::wire::ending::Ending;
use crate::wire::{Program, Request};
use crate::{Error, ErrorKind, Result};

/// What to run on a host, and what it gets to see.
///
/// Words reach the program unchanged, whatever they hold and whatever the login shell is; only [`shell`](Self::shell)
/// interprets its line.
///
/// ```
/// use std::time::Duration;
/// use clusterops_ssh::Command;
///
/// let command = Command::new(["systemctl", "restart", "app"])
///     .env("SYSTEMD_COLORS", "0")
///     .current_dir("/")
///     .deadline(Duration::from_secs(60));
/// ```
#[derive(Clone)]
pub struct Command {
    pub(crate) action: Action,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) secret_environment: BTreeMap<String, SecretString>,
    pub(crate) directory: Option<String>,
    pub(crate) stdin: Bytes,
    pub(crate) is_streamed: bool,
    pub(crate) raised: Option<Raised>,
    /// `None`: as OpenSSH's configuration says.
    pub(crate) has_terminal: Option<bool>,
    pub(crate) deadline: Option<Duration>,
}

#[derive(Clone)]
pub(crate) enum Action {
    Words(Vec<String>),
    Shell(String),
    Script {
        text: Bytes,
        interpreter: Vec<String>,
        arguments: Vec<String>,
    },
}

impl Command {
    /// A program, looked up in PATH, with its arguments.
    pub fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(Action::Words(words.into_iter().map(Into::into).collect()))
    }

    /// A line for `/bin/sh -c`, sent unchanged.
    pub fn shell(line: impl Into<String>) -> Self {
        Self::of(Action::Shell(line.into()))
    }

    /// A script's text for an interpreter, such as `["/bin/bash", "-eu"]`, and the script's own arguments.
    ///
    /// The text is kept in an unlinked file on the host, so that nothing stays behind however the script ends; the
    /// interpreter opens it as `/proc/self/fd/3`.
    pub fn script(
        text: impl Into<Bytes>,
        interpreter: impl IntoIterator<Item = impl Into<String>>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::of(Action::Script {
            text: text.into(),
            interpreter: interpreter.into_iter().map(Into::into).collect(),
            arguments: arguments.into_iter().map(Into::into).collect(),
        })
    }

    fn of(action: Action) -> Self {
        Self {
            action,
            environment: BTreeMap::new(),
            secret_environment: BTreeMap::new(),
            directory: None,
            stdin: Bytes::new(),
            is_streamed: false,
            raised: None,
            has_terminal: None,
            deadline: None,
        }
    }

    /// Sets an environment variable. It does not depend on the server's `AcceptEnv`.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Sets an environment variable to a secret. Like every word of a command it travels on standard input, never in
    /// the exec request or a remote argument list; processes of the same user and root can read it on the host.
    #[must_use]
    pub fn secret_env(mut self, name: impl Into<String>, value: SecretString) -> Self {
        self.secret_environment.insert(name.into(), value);
        self
    }

    /// Sets the working directory; without one it is the login directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<String>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// What the command reads on standard input, which ends after it. Without this, standard input is empty.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Bytes>) -> Self {
        self.stdin = input.into();
        self
    }

    /// Leaves the standard input open, for [`Process::stdin`](crate::Process::stdin) to write to. It ends when that is
    /// dropped.
    #[must_use]
    pub fn stdin_streamed(mut self) -> Self {
        self.is_streamed = true;
        self
    }

    /// Runs the command as another user; [`RunAs`] says what that means on the host.
    #[must_use]
    pub fn run_as(mut self, run_as: RunAs) -> Self {
        let password = self.raised.and_then(|raised| raised.password);
        self.raised = Some(Raised { run_as, password });
        self
    }

    /// Sets the password to give when sudo, su or doas ask for one; without [`run_as`](Self::run_as), by sudo as root.
    #[must_use]
    pub fn run_as_password(mut self, password: SecretString) -> Self {
        let run_as = self.raised.map_or_else(RunAs::sudo, |raised| raised.run_as);
        self.raised = Some(Raised {
            run_as,
            password: Some(password),
        });
        self
    }

    /// Gives the command a terminal (`RequestTTY`, ssh_config(5)) of 24 lines of 80 characters of the type `dumb`.
    ///
    /// Its standard error is part of its standard output then. Bytes arrive unchanged in both directions: nothing is
    /// echoed, line ends are not translated, control characters have no meaning (`stty` must be there). When the command's
    /// input ends, reading from the terminal gives an end of file, to the first eight programs that read one after the
    /// other. Kernels before 5.17 can show one too early to a program that reads single bytes of a line of more than 1021.
    ///
    /// That holds for programs that read lines, as most do. One that takes single keys (raw mode: an editor, a menu) or
    /// turns on what control characters do gets what is typed as it is typed: eight bytes 4 (Ctrl-D) where the input
    /// ends, the same byte in the middle of lines of more than 1021 bytes, and a byte 22 before each byte 4 or 22. Give
    /// such a program its keys through [`stdin_streamed`](Self::stdin_streamed), and leave the input open until it has
    /// ended.
    ///
    /// Under sudo the command is not the leader of its process group, and a signal that ends it is told as an exit status
    /// of 128 and the signal's number where the host's `/bin/sh` is bash, or the signal is SIGINT or SIGPIPE. A byte 1 at
    /// the end of what it has written so far comes with what it writes next, or at its end.
    ///
    /// A command that says nothing about it has a terminal where OpenSSH's configuration has `RequestTTY force` for the
    /// host. `RequestTTY yes` gives none: ssh(1) asks for none either when its standard input is no terminal.
    #[must_use]
    pub fn pty(mut self) -> Self {
        self.has_terminal = Some(true);
        self
    }

    /// Gives the command no terminal, whatever the configuration says, as `ssh -T` does; su and doas ask on one
    /// all the same.
    #[must_use]
    pub fn without_pty(mut self) -> Self {
        self.has_terminal = Some(false);
        self
    }

    /// How long the command may run; without one, [`SessionOptions::command_deadline`](crate::SessionOptions) holds. Where the
    /// output is read by the caller ([`Session::exec`](crate::Session::exec)), time is the caller's to watch.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The request to send: its header, and what stands on standard input before the command's own input.
    pub(crate) fn request(&self, tag: String) -> Result<(Request, Bytes)> {
        let mut environment: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.environment {
            environment.push((name.clone(), value.clone()));
        }
        for (name, value) in &self.secret_environment {
            environment.push((name.clone(), value.expose_secret().to_owned()));
        }
        let (program, script) = match &self.action {
            Action::Words(words) => (Program::Words(words.clone()), None),
            Action::Shell(line) => (Program::Shell(line.clone()), None),
            Action::Script {
                text,
                interpreter,
                arguments,
            } => {
                let program = Program::Script {
                    interpreter: interpreter.clone(),
                    arguments: arguments.clone(),
                    length: text.len() as u64,
                };
                (program, Some(text.clone()))
            }
        };
        let needs_terminal = |raised: &Raised| raised.run_as.needs_terminal();
        if let Some(raised) = &self.raised {
            raised.run_as.check()?;
            let password = raised.password.as_ref().map(ExposeSecret::expose_secret);
            if password.is_some_and(|password| password.contains(['\0', '\n', '\r'])) {
                let message =
                    "the password for sudo, su or doas holds a line end or a NUL character";
                return Err(Error::new(ErrorKind::Secret, message));
            }
        }
        let raised = self.raised.as_ref();
        let has_terminal = self.has_terminal == Some(true) || raised.is_some_and(needs_terminal);
        let is_sudo = raised.is_some_and(|raised| raised.run_as.method == Method::Sudo);
        let request = Request {
            tag,
            is_held: false,
            is_raised: raised.is_some(),
            has_terminal,
            ending: (is_sudo && has_terminal).then(Ending::new),
            environment,
            directory: self.directory.clone(),
            program,
        };
        check(&request)?;
        Ok((request, script.unwrap_or_default()))
    }
}

/// Input and scripts may hold what is not for logs, so of these only the size is shown.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Command");
        match &self.action {
            Action::Words(words) => shown.field("words", words),
            Action::Shell(line) => shown.field("line", line),
            Action::Script {
                text,
                interpreter,
                arguments,
            } => shown
                .field("script_bytes", &text.len())
                .field("interpreter", interpreter)
                .field("arguments", arguments),
        };
        shown
            .field("environment", &self.environment)
            .field("secret_environment", &self.secret_environment)
            .field("directory", &self.directory)
            .field("stdin_bytes", &self.stdin.len())
            .field("stdin_streamed", &self.is_streamed)
            .field("run_as", &self.raised.as_ref().map(|raised| &raised.run_as))
            .field("pty", &self.has_terminal)
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// Refuses what no program can be given (execve(2), POSIX environment names) before it is sent.
pub(crate) fn check(request: &Request) -> Result<()> {
    let wrong = |message: String| Err(Error::new(ErrorKind::Plan, message));
    for (name, value) in &request.environment {
        if !is_name(name) {
            return wrong(format!(
                "`{name}` is no name for an environment variable (letters, digits and `_`)"
            ));
        }
        if name.starts_with("_clusterops_") {
            return wrong(format!(
                "`{name}`: names that start with _clusterops_ are used by the remote shell's start"
            ));
        }
        if value.contains('\0') {
            return wrong(format!(
                "the environment variable `{name}` holds a NUL character"
            ));
        }
    }
    if request
        .directory
        .as_ref()
        .is_some_and(|path| path.is_empty() || path.contains('\0'))
    {
        return wrong("the working directory is empty or holds a NUL character".into());
    }
    let words: Vec<&String> = match &request.program {
        Program::Words(words) => words.iter().collect(),
        Program::Shell(line) if line.trim().is_empty() => {
            return wrong("the shell line is empty".into());
        }
        Program::Shell(line) => vec![line],
        Program::Script {
            interpreter,
            arguments,
            ..
        } => interpreter.iter().chain(arguments).collect(),
    };
    match words.first() {
        None => return wrong("a command needs at least one word".into()),
        Some(program)
            if !matches!(request.program, Program::Shell(_))
                && (program.is_empty() || program.starts_with('-')) =>
        {
            return wrong(format!("`{program}` is no name for a program"));
        }
        Some(_) => {}
    }
    if let Some(word) = words.iter().find(|word| word.contains('\0')) {
        return wrong(format!("the word {word:?} holds a NUL character"));
    }
    if let Some(word) = words.iter().find(|word| word.len() >= MAX_ARGUMENT) {
        let length = word.len();
        return wrong(format!(
            "an argument or shell line has {length} bytes, and Linux takes less than {MAX_ARGUMENT}: send a script or a file"
        ));
    }
    Ok(())
}

/// Linux takes no argument longer than this (MAX_ARG_STRLEN, execve(2)), in bytes with its NUL.
const MAX_ARGUMENT: usize = 128 * 1024;

/// How a remote command ended. The three are never mixed up: a command that was killed did not exit with a status, and
/// a channel that closed without either says nothing about success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Exit {
    /// It exited with this status (RFC 4254 section 6.10, `exit-status`).
    Status(u32),
    /// A signal ended it, by its name without `SIG` (`exit-signal`).
    Signal(String),
    /// The channel closed and the server never said how the command ended.
    ClosedWithoutStatus,
}

impl Exit {
    /// Whether it exited with status 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(127) => f.write_str("exit status 127 (no such program)"),
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(name) => write!(f, "ended by SIG{name}"),
            Self::ClosedWithoutStatus => f.write_str("the channel closed without an exit status"),
        }
    }
}

/// Which of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
