//! A stage as one host gets it: variables filled in, paths made definite.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use clusterops_core::{Printable, Target};

use crate::plan::{Stage, Step};
use crate::template::fill;
use crate::wire::{Program, Request};
use crate::{Error, ErrorKind, Result, RunAs, TransferOptions, command};

/// What one host gets in one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// The stage's name.
    pub stage: String,
    /// The step, with variables filled in.
    pub step: Step,
    /// The environment, with variables filled in; secrets are not in it.
    pub env: BTreeMap<String, String>,
    /// The environment variables that get secrets, by the name of the secret.
    pub secret_env: BTreeMap<String, String>,
    /// The working directory.
    pub current_dir: Option<String>,
    /// As whom commands run, when not as the login user.
    pub run_as: Option<RunAs>,
    /// Whether the command gets a terminal.
    pub pty: bool,
    /// The stage is skipped where this path exists.
    pub creates: Option<String>,
    /// The stage is skipped where this command succeeds.
    pub unless: Vec<String>,
    /// What undoes the stage.
    pub rollback: Option<Step>,
    /// Only the first host that comes so far takes the step.
    pub run_once: bool,
}

impl Prepared {
    pub(super) fn new(stage: &Stage, target: &Target) -> Result<Self> {
        let prepared = Self {
            stage: stage.name.clone(),
            step: filled(&stage.step, target)?,
            env: stage
                .env
                .iter()
                .map(|(name, value)| Ok((name.clone(), fill(value, target)?)))
                .collect::<Result<_>>()?,
            secret_env: stage.secret_env.clone(),
            current_dir: stage
                .current_dir
                .as_deref()
                .map(|path| fill(path, target))
                .transpose()?,
            run_as: match &stage.run_as {
                Some(run_as) => Some(run_as.clone()),
                None => RunAs::of_target(target)?,
            },
            pty: stage.pty,
            creates: stage
                .creates
                .as_deref()
                .map(|path| fill(path, target))
                .transpose()?,
            unless: words(&stage.unless, target)?,
            rollback: stage
                .rollback
                .as_ref()
                .map(|step| filled(step, target))
                .transpose()?,
            run_once: stage.run_once,
        };
        prepared.check().map_err(|error| error.on(&target.name))?;
        Ok(prepared)
    }

    /// The local files that the stage reads.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Step> {
        std::iter::once(&self.step)
            .chain(&self.rollback)
            .filter(|step| step.source().is_some())
    }

    /// Checks what the host would be sent, now that variables are filled in.
    fn check(&self) -> Result<()> {
        let mut programs = Vec::new();
        for step in std::iter::once(&self.step).chain(&self.rollback) {
            step.validate()?;
            programs.push(match step {
                Step::Command { words } => Program::Words(words.clone()),
                Step::Shell { line } => Program::Shell(line.clone()),
                Step::Script {
                    interpreter,
                    arguments,
                    ..
                } => Program::Script {
                    interpreter: interpreter.clone(),
                    arguments: arguments.clone(),
                    length: 0,
                },
                Step::Upload { destination, .. } | Step::UploadTree { destination, .. } => {
                    file_test(destination)
                }
                Step::Fetch { source, .. } => file_test(source),
            });
        }
        if let Some(path) = &self.creates {
            if path.is_empty() {
                return Err(Error::new(
                    ErrorKind::Plan,
                    "the guard `creates` has an empty path",
                ));
            }
            programs.push(file_test(path));
        }
        if !self.unless.is_empty() {
            programs.push(Program::Words(self.unless.clone()));
        }
        let environment: Vec<_> = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for program in programs {
            command::check(&Request {
                tag: String::new(),
                is_held: false,
                is_raised: false,
                has_terminal: false,
                ending: None,
                environment: environment.clone(),
                directory: self.current_dir.clone(),
                program,
            })?;
        }
        Ok(())
    }
}

/// A command with this path among its words.
fn file_test(path: &str) -> Program {
    Program::Words(vec!["test".into(), "-e".into(), path.into()])
}

/// One line for people.
impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&fmt::from_fn(|f| self.line(f)).to_string()).fmt(f)
    }
}

impl Prepared {
    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, Shown(&self.step))?;
        for (name, value) in &self.env {
            write!(f, " {name}={value:?}")?;
        }
        for (name, secret) in &self.secret_env {
            write!(f, " {name}=(secret {secret})")?;
        }
        if let Some(path) = &self.current_dir {
            write!(f, " in {path}")?;
        }
        // Files are copied as the login user, and what guards or undoes that is not.
        let as_user = match &self.run_as {
            Some(run_as) => format!(" as {run_as}"),
            None => String::new(),
        };
        let is_transfer = self.step.is_transfer();
        if !is_transfer {
            f.write_str(&as_user)?;
        }
        if self.pty {
            f.write_str(" on a terminal")?;
        }
        if self.run_once {
            f.write_str(" on the first host only")?;
        }
        if let Some(path) = &self.creates {
            write!(f, " unless {path} exists")?;
            if is_transfer {
                f.write_str(&as_user)?;
            }
        }
        if !self.unless.is_empty() {
            write!(f, " unless {}", Shown(&Step::command(&self.unless)))?;
            if is_transfer {
                f.write_str(&as_user)?;
            }
        }
        if let Some(step) = &self.rollback {
            let as_user = match is_transfer && !step.is_transfer() {
                true => &*as_user,
                false => "",
            };
            write!(f, " (rollback: {}{as_user})", Shown(step))?;
        }
        Ok(())
    }
}

struct Shown<'a>(&'a Step);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |f: &mut fmt::Formatter<'_>, words: &[String]| {
            for (index, word) in words.iter().enumerate() {
                let space = if index == 0 { "" } else { " " };
                let is_plain = !word.is_empty()
                    && word
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c));
                if is_plain {
                    write!(f, "{space}{word}")?
                } else {
                    write!(f, "{space}{word:?}")?
                }
            }
            Ok(())
        };
        match self.0 {
            Step::Command { words } => {
                f.write_str("run ")?;
                quoted(f, words)
            }
            Step::Shell { line } => write!(f, "run in sh: {}", line.escape_debug()),
            Step::Upload {
                source,
                destination,
                options,
            } => {
                write!(f, "copy {} to {destination}", source.display())?;
                shown_options(options, f)
            }
            Step::UploadTree {
                source,
                destination,
                options,
            } => {
                write!(f, "copy folder {} to {destination}", source.display())?;
                shown_options(options, f)
            }
            Step::Fetch {
                source,
                destination,
                options,
            } => {
                write!(f, "fetch {source} into {}", destination.display())?;
                shown_options(options, f)
            }
            Step::Script {
                source,
                interpreter,
                arguments,
            } => {
                write!(f, "run script {} with ", source.display())?;
                quoted(f, interpreter)?;
                if arguments.is_empty() {
                    return Ok(());
                }
                f.write_str(", arguments ")?;
                quoted(f, arguments)
            }
        }
    }
}

/// What is not as usual.
fn shown_options(options: &TransferOptions, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(mode) = options.mode {
        write!(f, " with mode {mode:04o}")?;
    }
    let usual = TransferOptions::default();
    for (is, usually, on, off) in [
        (options.modes, usual.modes, "", " without modes"),
        (options.times, usual.times, " with times", ""),
        (options.verify, usual.verify, "", " without verification"),
        (options.resume, usual.resume, "", " without resuming"),
        (options.sync, usual.sync, "", " without syncing"),
    ] {
        if is != usually {
            f.write_str(if is { on } else { off })?;
        }
    }
    Ok(())
}

fn filled(step: &Step, target: &Target) -> Result<Step> {
    let path = |path: &PathBuf| -> Result<PathBuf> {
        match path.to_str() {
            Some(text) => Ok(fill(text, target)?.into()),
            None => Ok(path.clone()),
        }
    };
    Ok(match step {
        Step::Command { words: all } => Step::Command {
            words: words(all, target)?,
        },
        Step::Shell { line } => Step::Shell { line: line.clone() },
        Step::Upload {
            source,
            destination,
            options,
        } => Step::Upload {
            source: path(source)?,
            destination: fill(destination, target)?,
            options: options.clone(),
        },
        Step::UploadTree {
            source,
            destination,
            options,
        } => Step::UploadTree {
            source: path(source)?,
            destination: fill(destination, target)?,
            options: options.clone(),
        },
        Step::Fetch {
            source,
            destination,
            options,
        } => Step::Fetch {
            source: fill(source, target)?,
            destination: path(destination)?,
            options: options.clone(),
        },
        Step::Script {
            source,
            interpreter,
            arguments,
        } => Step::Script {
            source: path(source)?,
            interpreter: words(interpreter, target)?,
            arguments: words(arguments, target)?,
        },
    })
}

fn words(all: &[String], target: &Target) -> Result<Vec<String>> {
    all.iter().map(|word| fill(word, target)).collect()
}
