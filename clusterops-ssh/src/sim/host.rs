//! How a simulated host is described before it starts.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::answer::{Answer, Fault};
use super::command::{SimCommand, SimProgram};
use super::files::Tree;
use super::shell;

/// A host to simulate: its name, its answers to commands, its files and its faults.
///
/// The first answer that fits a command is given. What no answer fits is run by the builtins (see the
/// [module](super)); a script that no answer fits is recorded and ends well without output.
///
/// Many alike hosts are made from one: a clone [named](Self::named) anew shares everything with it.
///
/// ```
/// use clusterops_ssh::sim::{Answer, Match, SimHost};
///
/// let web = SimHost::new("web")
///     .answer("uname -r", Answer::stdout("6.1.0\n"))
///     .answer(Match::prefix("systemctl restart"), Answer::new())
///     .scripts(Answer::stdout("deployed\n"))
///     .file("/etc/os-release", "ID=debian\n");
/// let fleet: Vec<SimHost> = (1..=60).map(|n| web.named(format!("web{n:02}"))).collect();
/// # let _ = fleet;
/// ```
#[derive(Debug, Clone)]
pub struct SimHost {
    pub(super) name: String,
    pub(super) behaviour: Arc<Behaviour>,
    pub(super) files: Arc<Tree>,
    pub(super) faults: Vec<Fault>,
    pub(super) own_port: bool,
}

/// What many hosts can share.
#[derive(Debug, Clone, Default)]
pub(super) struct Behaviour {
    rules: Vec<(Match, Reply)>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) ignores_signals: bool,
}

/// Which commands an answer is for.
///
/// A text fits a shell line that is equal to it, and words that a shell would make of it; an array or vector of words fits
/// the same words, or a shell line that means them.
///
/// ```
/// use clusterops_ssh::sim::{Answer, Match, SimHost};
///
/// let host = SimHost::new("web01")
///     .answer(["systemctl", "is-active", "app"], Answer::stdout("active\n"))
///     .answer(Match::prefix("apt-get "), Answer::status(100).with_stderr("E: Could not get lock\n"))
///     .answer(Match::interpreter("python3"), Answer::stdout("migrated\n"))
///     .answer(Match::when(|command| command.user == "guest"), Answer::status(1));
/// # let _ = host;
/// ```
#[derive(Debug, Clone)]
pub struct Match(Kind);

#[derive(Clone)]
enum Kind {
    Line(String),
    Words(Vec<String>),
    Prefix(String),
    Interpreter(String),
    Script(Bytes),
    AnyScript,
    When(Arc<dyn Fn(&SimCommand) -> bool + Send + Sync>),
}

#[derive(Clone)]
enum Reply {
    Answer(Answer),
    Closure(Arc<dyn Fn(&SimCommand) -> Answer + Send + Sync>),
}

impl SimHost {
    /// A host of this name that knows the builtins and has an empty file tree.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            behaviour: Arc::default(),
            files: Tree::initial(),
            faults: Vec::new(),
            own_port: false,
        }
    }

    /// The same host under another name; what both do is kept in memory once.
    #[must_use]
    pub fn named(&self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self.clone()
        }
    }

    /// Answers the commands that fit.
    #[must_use]
    pub fn answer(self, to: impl Into<Match>, answer: Answer) -> Self {
        self.rule(to.into(), Reply::Answer(answer))
    }

    /// Answers the commands that fit with what the closure gives, which may keep a state of its own.
    #[must_use]
    pub fn answer_with(
        self,
        to: impl Into<Match>,
        closure: impl Fn(&SimCommand) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.rule(to.into(), Reply::Closure(Arc::new(closure)))
    }

    /// Answers every script that no answer set before this fits.
    #[must_use]
    pub fn scripts(self, answer: Answer) -> Self {
        self.rule(Match(Kind::AnyScript), Reply::Answer(answer))
    }

    /// Adds a file with mode 0644, and the folders it lies in.
    ///
    /// # Panics
    /// If the path is not absolute or leads through a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Bytes>) -> Self {
        Arc::make_mut(&mut self.files)
            .put(path, &content.into())
            .expect("the path is absolute and leads through folders only");
        self
    }

    /// The login name that the [targets](super::Sim::targets) carry; `sim` if not set. Every login name is let in. To
    /// `root` the host behaves as sshd does: it ignores signal requests.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.behaviour).user = Some(user.into());
        self
    }

    /// Takes this password too.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.behaviour).password = Some(password.into());
        self
    }

    /// Ignores signal requests of every user, as sshd does for root logins (it needs privilege separation to honour
    /// them; `session_signal_req` in OpenSSH's session.c).
    #[must_use]
    pub fn ignores_signals(mut self) -> Self {
        Arc::make_mut(&mut self.behaviour).ignores_signals = true;
        self
    }

    /// Gives the host a port of its own from the start, so that later it can [refuse](Fault::Refuse) connections also of
    /// those who got its target before. This costs a file descriptor.
    #[must_use]
    pub fn own_port(mut self) -> Self {
        self.own_port = true;
        self
    }

    /// Starts with this fault. Several can be set.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.own_port |= fault == Fault::Refuse;
        self.faults.push(fault);
        self
    }

    fn rule(mut self, to: Match, reply: Reply) -> Self {
        Arc::make_mut(&mut self.behaviour).rules.push((to, reply));
        self
    }
}

impl Behaviour {
    /// The answer that the user of the simulator set for this command.
    pub(super) fn answer(&self, command: &SimCommand) -> Option<Answer> {
        self.rules
            .iter()
            .find(|(to, _)| to.fits(command))
            .map(|(_, reply)| match reply {
                Reply::Answer(answer) => answer.clone(),
                Reply::Closure(closure) => closure(command),
            })
    }
}

impl Match {
    /// Commands whose [line](SimCommand::line) starts with this.
    pub fn prefix(text: impl Into<String>) -> Self {
        Self(Kind::Prefix(text.into()))
    }

    /// Scripts for this interpreter, given by its path or its name alone.
    pub fn interpreter(name: impl Into<String>) -> Self {
        Self(Kind::Interpreter(name.into()))
    }

    /// The script with exactly this text.
    pub fn script(text: impl Into<Bytes>) -> Self {
        Self(Kind::Script(text.into()))
    }

    /// Commands for which the closure says so.
    pub fn when(closure: impl Fn(&SimCommand) -> bool + Send + Sync + 'static) -> Self {
        Self(Kind::When(Arc::new(closure)))
    }

    fn fits(&self, command: &SimCommand) -> bool {
        match &self.0 {
            Kind::When(closure) => closure(command),
            Kind::Prefix(prefix) => command.line().starts_with(prefix),
            Kind::Line(line) => match &command.program {
                SimProgram::Shell(other) => other == line,
                SimProgram::Words(words) => words_of(line).is_some_and(|line| line == *words),
                SimProgram::Script { .. } => false,
            },
            Kind::Words(words) => match &command.program {
                SimProgram::Shell(line) => words_of(line).is_some_and(|line| line == *words),
                SimProgram::Words(other) => other == words,
                SimProgram::Script { .. } => false,
            },
            Kind::Interpreter(name) => match &command.program {
                SimProgram::Script { interpreter, .. } => {
                    interpreter.first().is_some_and(|program| {
                        program == name || program.rsplit('/').next() == Some(name)
                    })
                }
                _ => false,
            },
            Kind::Script(text) => command.script() == Some(text),
            Kind::AnyScript => command.script().is_some(),
        }
    }
}

/// The words of a line that is one simple command.
fn words_of(line: &str) -> Option<Vec<String>> {
    match shell::split(line).ok()?.as_mut_slice() {
        [step] => Some(step.words.drain(..).map(|word| word.text).collect()),
        _ => None,
    }
}

impl From<&str> for Match {
    fn from(line: &str) -> Self {
        Self(Kind::Line(line.to_owned()))
    }
}

impl From<String> for Match {
    fn from(line: String) -> Self {
        Self(Kind::Line(line))
    }
}

impl<const N: usize> From<[&str; N]> for Match {
    fn from(words: [&str; N]) -> Self {
        Self(Kind::Words(words.map(str::to_owned).into()))
    }
}

impl From<Vec<String>> for Match {
    fn from(words: Vec<String>) -> Self {
        Self(Kind::Words(words))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Line(line) => f.debug_tuple("Line").field(line).finish(),
            Kind::Words(words) => f.debug_tuple("Words").field(words).finish(),
            Kind::Prefix(prefix) => f.debug_tuple("Prefix").field(prefix).finish(),
            Kind::Interpreter(name) => f.debug_tuple("Interpreter").field(name).finish(),
            Kind::Script(text) => f.debug_tuple("Script").field(text).finish(),
            Kind::AnyScript => f.write_str("AnyScript"),
            Kind::When(_) => f.write_str("When"),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Answer(answer) => answer.fmt(f),
            Reply::Closure(_) => f.write_str("Closure"),
        }
    }
}
