//! What a client asked a simulated host to run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::shell;
use crate::session::TASK_VARIABLE;

/// One command that reached a simulated host, decoded: what [`SimHandle::commands`](super::SimHandle::commands) lists
/// and what the closure of an [`answer_with`](super::SimHost::answer_with) gets.
///
/// ```
/// use clusterops_ssh::sim::{Answer, SimCommand, SimHost};
///
/// // An answer that depends on the environment.
/// let host = SimHost::new("web01").answer_with("zone", |command: &SimCommand| {
///     Answer::stdout(format!("{}\n", command.environment["ZONE"]))
/// });
/// # let _ = host;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimCommand {
    /// The host's name.
    pub host: String,
    /// The login name.
    pub user: String,
    /// What to run.
    pub program: SimProgram,
    /// The environment that the client gave, by `env` requests or with the command; the login's own (`HOME`, `PATH`) is
    /// not among it.
    pub environment: BTreeMap<String, String>,
    /// The working directory the client asked for.
    pub directory: Option<String>,
}

/// The three things that a client can have run.
///
/// ```
/// use clusterops_ssh::sim::{Answer, Match, SimHost, SimProgram};
///
/// // Refuses scripts that were written on Windows.
/// let host = SimHost::new("web01").answer(
///     Match::when(|command| match &command.program {
///         SimProgram::Script { text, .. } => text.contains(&b'\r'),
///         _ => false,
///     }),
///     Answer::status(127).with_stderr("bad interpreter\n"),
/// );
/// # let _ = host;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimProgram {
    /// A program and its arguments.
    Words(Vec<String>),
    /// A line for the shell. Every exec request of another SSH client is one.
    Shell(String),
    /// A script that was sent along.
    Script {
        /// The interpreter and its options.
        interpreter: Vec<String>,
        /// The arguments of the script.
        arguments: Vec<String>,
        /// The script itself.
        text: bytes::Bytes,
    },
}

impl SimCommand {
    /// The command as one line: a shell line as it is, words quoted where a shell would need it, and of a script the
    /// interpreter and the arguments.
    pub fn line(&self) -> Cow<'_, str> {
        match &self.program {
            SimProgram::Shell(line) => Cow::Borrowed(line),
            SimProgram::Words(words) => Cow::Owned(shell::join(words)),
            SimProgram::Script {
                interpreter,
                arguments,
                ..
            } => Cow::Owned(shell::join(interpreter.iter().chain(arguments))),
        }
    }

    /// The text of a script; `None` for words and shell lines.
    pub fn script(&self) -> Option<&[u8]> {
        match &self.program {
            SimProgram::Script { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The attempt this command belongs to, where the client named one (`CLUSTEROPS_TASK` in its environment).
    pub fn attempt(&self) -> Option<&str> {
        self.environment.get(TASK_VARIABLE).map(String::as_str)
    }

    /// The home folder of the login.
    pub(super) fn home(&self) -> String {
        home(&self.user)
    }

    /// What `env` prints: the login's own environment, then the client's.
    pub(super) fn full_environment(&self) -> BTreeMap<String, String> {
        let mut environment: BTreeMap<String, String> = [
            ("HOME", self.home().as_str()),
            ("LOGNAME", &self.user),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("SHELL", "/bin/sh"),
            ("USER", &self.user),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        environment.extend(self.environment.clone());
        environment
    }

    #[cfg(test)]
    pub(super) fn shell(user: &str, line: &str) -> Self {
        Self {
            host: "sim".to_owned(),
            user: user.to_owned(),
            program: SimProgram::Shell(line.to_owned()),
            environment: BTreeMap::new(),
            directory: None,
        }
    }
}

/// The home folder of a user.
pub(super) fn home(user: &str) -> String {
    match user {
        "root" => "/root".to_owned(),
        user => format!("/home/{user}"),
    }
}
