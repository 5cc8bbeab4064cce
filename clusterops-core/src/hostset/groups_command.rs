//! Groups that external commands know.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{GroupSource, expand_pattern};
use crate::text::shortened;
use crate::{Error, ErrorKind, Place, Result};

/// How long a command may take unless [`CommandGroups::deadline`] says otherwise.
const DEADLINE: Duration = Duration::from_secs(30);

/// The most that a command may print.
const MAX_OUTPUT: u64 = 16 << 20;

/// The most group names that one pattern in a list may stand for.
const MAX_GROUPS: usize = 1_000_000;

/// The commands of a [`CommandGroups`], as in ClusterShell's groups.conf(5): shell lines in which `$GROUP`, `$NODE`,
/// `$SOURCE` and `$CFGDIR` are replaced.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// Prints the hosts of `$GROUP`.
    pub map: String,
    /// Prints all hosts.
    pub all: Option<String>,
    /// Prints the names of all groups.
    pub list: Option<String>,
    /// Prints the groups of `$NODE`.
    pub reverse: Option<String>,
}

/// A source of groups that asks external commands and keeps their answers for a while.
///
/// The commands run in the folder of the configuration, one `/bin/sh -c` for each question. Group and host names with
/// characters that mean something to a shell are refused.
///
/// ```
/// use std::time::Duration;
/// use clusterops_core::hostset::{CommandGroups, Commands, Context};
///
/// let commands = Commands { map: "echo $GROUP[1-3]".into(), ..Commands::default() };
/// let source = CommandGroups::new("racks", commands, "/", Duration::from_secs(60));
/// let hosts = Context::new().source(&source).parse("@racks:r7n")?;
/// assert_eq!(hosts.to_string(), "r7n[1-3]");
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct CommandGroups {
    name: String,
    commands: Commands,
    folder: PathBuf,
    /// The file and the line that declare it.
    declared: Option<Place>,
    cache_time: Duration,
    deadline: Duration,
    cache: Mutex<HashMap<String, (Instant, String)>>,
}

impl CommandGroups {
    /// A source of this name whose commands run in `folder`, and whose answers are kept for `cache_time`.
    pub fn new(
        name: impl Into<String>,
        commands: Commands,
        folder: impl Into<PathBuf>,
        cache_time: Duration,
    ) -> Self {
        Self {
            name: name.into(),
            commands,
            folder: folder.into(),
            declared: None,
            cache_time,
            deadline: DEADLINE,
            cache: Mutex::default(),
        }
    }

    /// Sets how long a command may take before it is killed (30 seconds unless set).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(super) fn declared_at(mut self, place: Place) -> Self {
        self.declared = Some(place);
        self
    }

    /// The error about the command under this key, which ends the sentence.
    fn failed(&self, key: &str, message: impl fmt::Display) -> Error {
        let message = format!(
            "the `{key}` command of group source `{}` {message}",
            self.name
        );
        let error = Error::new(ErrorKind::GroupSource, message);
        match &self.declared {
            Some(place) => error.at(place.clone()),
            None => error,
        }
    }

    /// The answer of the command under this key, from the cache where it is fresh.
    fn ask(
        &self,
        key: &str,
        command: &str,
        variable: Option<(&'static str, &str)>,
    ) -> Result<String> {
        let mut variables = vec![
            ("SOURCE", self.name.clone()),
            ("CFGDIR", self.folder.display().to_string()),
        ];
        if let Some((name, value)) = variable {
            if !is_harmless(value) {
                let message =
                    format!("is not run for `{value}`, which a shell would read otherwise");
                return Err(self.failed(key, message));
            }
            variables.push((name, value.to_owned()));
        }
        let line = substitute(command, &variables);
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, answer)) = cache().get(&line)
            && asked.elapsed() < self.cache_time
        {
            return Ok(answer.clone());
        }
        let asked = Instant::now();
        let answer = self.run(key, &line)?;
        cache().insert(line, (asked, answer.clone()));
        Ok(answer)
    }

    fn run(&self, key: &str, line: &str) -> Result<String> {
        let failed =
            |message: String| self.failed(key, format!("(`{}`) {message}", shortened(line)));
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(line)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| failed("could not be started".into()).caused_by(error))?;
        let group = Pid::from_child(&child);
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(collect(child)));
        let Ok(finished) = receiver.recv_timeout(self.deadline) else {
            // The thread then sees the end of the output and reaps the shell.
            let _ = kill_process_group(group, Signal::KILL);
            return Err(failed(format!(
                "took longer than {:?} and was killed",
                self.deadline
            ))
            .retryable());
        };
        let output = finished.map_err(|error| failed("was lost".into()).caused_by(error))?;
        if output.stdout.len() as u64 > MAX_OUTPUT {
            return Err(failed(format!("printed more than {MAX_OUTPUT} bytes")));
        }
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next_back().unwrap_or_default();
            let separator = if said.is_empty() { "" } else { ": " };
            let error = failed(format!("ended with {}{separator}{said}", output.status));
            let killed = output.status.signal().is_some();
            return Err(if killed { error.retryable() } else { error });
        }
        String::from_utf8(output.stdout)
            .map_err(|error| failed("printed text that is not UTF-8".into()).caused_by(error))
    }
}

impl GroupSource for CommandGroups {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        let file = self.declared.as_ref().and_then(|place| place.file.as_ref());
        match file {
            Some(file) => format!("group source `{}` of {file}", self.name),
            None => format!("group source `{}`", self.name),
        }
    }

    fn place(&self, _: &str) -> Option<Place> {
        self.declared.clone()
    }

    /// An answer without hosts means that there is no such group when the list of groups lacks it too.
    fn map(&self, group: &str) -> Result<Option<String>> {
        if group.is_empty() {
            return Ok(None);
        }
        let answer = self.ask("map", &self.commands.map, Some(("GROUP", group)))?;
        let unknown = answer.trim().is_empty()
            && self.commands.list.is_some()
            && !self.list()?.iter().any(|known| known == group);
        Ok((!unknown).then_some(answer))
    }

    fn all(&self) -> Result<Option<String>> {
        let all = self.commands.all.as_ref();
        all.map(|command| self.ask("all", command, None))
            .transpose()
    }

    fn list(&self) -> Result<Vec<String>> {
        let Some(command) = &self.commands.list else {
            return Err(self.failed("list", "is not given, so its groups are not known"));
        };
        let answer = self.ask("list", command, None)?;
        let mut groups = Vec::new();
        for pattern in answer.split_whitespace() {
            let names = expand_pattern(pattern, MAX_GROUPS).map_err(|error| {
                let pattern = shortened(pattern);
                self.failed("list", format!("printed `{pattern}`: {error}"))
            })?;
            groups.extend(names);
        }
        Ok(groups)
    }

    fn reverse(&self, host: &str) -> Result<Option<Vec<String>>> {
        let Some(command) = &self.commands.reverse else {
            return Ok(None);
        };
        let answer = self.ask("reverse", command, Some(("NODE", host)))?;
        Ok(Some(answer.split_whitespace().map(str::to_owned).collect()))
    }
}

/// All that a command prints, up to a limit, and how it ends.
fn collect(mut child: Child) -> io::Result<Output> {
    let stderr = child.stderr.take();
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(MAX_OUTPUT).read_to_end(&mut text);
        }
        text
    });
    let mut stdout = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MAX_OUTPUT + 1).read_to_end(&mut stdout)?;
    }
    Ok(Output {
        stdout,
        stderr: errors.join().unwrap_or_default(),
        status: child.wait()?,
    })
}

/// Replaces `$NAME` and `${NAME}`; `$$` is a dollar sign, and other names stay, as in Python's `safe_substitute`.
pub(super) fn substitute(template: &str, variables: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{');
        let name = braced.unwrap_or(after);
        let length = name
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(name.len());
        let (name, mut end) = name.split_at(length);
        let closed = match braced {
            Some(_) => end.strip_prefix('}').map(|after| end = after).is_some(),
            None => true,
        };
        match variables
            .iter()
            .find(|(known, _)| *known == name)
            .filter(|_| closed)
        {
            Some((_, value)) => {
                text.push_str(value);
                rest = end;
            }
            None => {
                text.push('$');
                rest = after;
            }
        }
    }
    text + rest
}

/// Whether a name can stand in a shell line, in quotes or without, or in a regular expression of sed.
fn is_harmless(name: &str) -> bool {
    let harmless = |c: char| c.is_alphanumeric() || "_-.:@%+=,".contains(c);
    !name.starts_with('-') && name.chars().all(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(map: &str) -> CommandGroups {
        let commands = Commands {
            map: map.into(),
            ..Commands::default()
        };
        CommandGroups::new("test", commands, "/", Duration::from_secs(60))
    }

    #[test]
    fn substitutes_like_python() {
        let variables = [("GROUP", "g".to_owned()), ("A", "b".to_owned())];
        for (template, text) in [
            ("$GROUP.$A$A ${GROUP}x", "g.bb gx"),
            ("$GROUPS $$GROUP ${GROUP", "$GROUPS $GROUP ${GROUP"),
            ("cost: $5 $", "cost: $5 $"),
        ] {
            assert_eq!(substitute(template, &variables), text);
        }
    }

    #[test]
    fn kills_what_takes_too_long() {
        let source = source("sleep 600 & sleep 600").deadline(Duration::from_millis(50));
        let error = source.map("g").expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::GroupSource);
        assert!(
            error.is_retryable() && error.message().contains("killed"),
            "{error}"
        );
    }

    #[test]
    fn says_what_the_command_said() {
        let error = source("echo no racks >&2; exit 3")
            .map("g")
            .expect_err("exit code 3");
        assert_eq!(
            error.message(),
            "the `map` command of group source `test` (`echo no racks >&2; exit 3`) ended with exit status: 3: no racks"
        );
        assert!(!error.is_retryable(), "it would say the same again");
        let error = source("kill -9 $$$$").map("g").expect_err("a signal");
        assert!(error.is_retryable(), "{error}");
    }

    #[test]
    fn hands_no_shell_syntax_to_commands() {
        for group in ["a;b", "a b", "$(id)", "a/b", "-x", "a\nb", "'"] {
            let error = source("echo $GROUP").map(group).expect_err(group);
            assert_eq!(error.kind(), ErrorKind::GroupSource, "{group}");
        }
    }

    #[test]
    fn keeps_answers_for_a_while() {
        let folder = tempfile::tempdir().expect("a folder");
        let count = folder.path().join("count");
        let commands = Commands {
            map: "echo x >> count; echo web1".into(),
            ..Commands::default()
        };
        let asked = || std::fs::read_to_string(&count).expect("a file").len() / 2;
        let source = CommandGroups::new("t", commands, folder.path(), Duration::from_secs(600));
        for _ in 0..3 {
            assert_eq!(source.map("g").expect("hosts").as_deref(), Some("web1\n"));
        }
        assert_eq!(asked(), 1);
        let source = CommandGroups {
            cache_time: Duration::ZERO,
            ..source
        };
        source.map("g").expect("hosts");
        assert_eq!(asked(), 2);
    }
}
