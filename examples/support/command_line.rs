//! Command lines: subcommands with their words and options, and the help that says them.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clusterops::core::did_you_mean;

pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// A program with subcommands.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// What it does without arguments, if that is something.
    pub(crate) alone: Option<&'static str>,
    pub(crate) subcommands: &'static [Subcommand],
}

/// A subcommand, as its help says it.
#[derive(Debug)]
pub(crate) struct Subcommand {
    /// Empty for a program that has no others.
    pub(crate) name: &'static str,
    /// What follows it; what stands in brackets can be left out, and of the last there are several if it ends with `...`.
    pub(crate) words: &'static str,
    pub(crate) about: &'static str,
    pub(crate) options: &'static [&'static Switch],
}

/// An option.
#[derive(Debug)]
pub(crate) struct Switch {
    pub(crate) name: &'static str,
    /// What is behind it, if anything is.
    pub(crate) value: Option<&'static str>,
    pub(crate) is_repeatable: bool,
    /// Other ways to write it.
    pub(crate) also: &'static [&'static str],
    /// Whether `=true` or `=false` may follow, as flags of Go have it.
    pub(crate) is_switchable: bool,
    pub(crate) about: &'static str,
}

impl Switch {
    /// With a value, once.
    pub(crate) const fn of(name: &'static str, value: &'static str, about: &'static str) -> Self {
        Self {
            name,
            value: Some(value),
            is_repeatable: false,
            also: &[],
            is_switchable: false,
            about,
        }
    }

    /// With a value, as often as one likes.
    pub(crate) const fn many(name: &'static str, value: &'static str, about: &'static str) -> Self {
        Self {
            is_repeatable: true,
            ..Self::of(name, value, about)
        }
    }

    /// Without a value.
    pub(crate) const fn flag(name: &'static str, about: &'static str) -> Self {
        Self {
            value: None,
            ..Self::of(name, "", about)
        }
    }

    fn is(&self, name: &[u8]) -> bool {
        // Go's programs take one dash or two.
        let with_two = |known: &&str| name.strip_prefix(b"-") == Some(known.as_bytes());
        let mut names = std::iter::once(&self.name).chain(self.also);
        names.any(|known| known.as_bytes() == name) || self.also.iter().any(with_two)
    }
}

/// What somebody asks a program for.
#[derive(Debug)]
pub(crate) enum Asked {
    Nothing,
    /// Help, or the version: this text.
    Text(String),
    Something(Arguments),
}

/// A subcommand with what follows it.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) command: &'static str,
    pub(crate) words: Vec<OsString>,
    given: Vec<(&'static Switch, OsString)>,
}

/// What was asked for is not understood.
#[derive(Debug)]
pub(crate) struct Misused(pub(crate) String);

impl fmt::Display for Misused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; `help` lists what there is", self.0)
    }
}

impl std::error::Error for Misused {}

fn misused<T>(why: String) -> Result<T> {
    Err(Misused(why).into())
}

impl Program {
    /// Understands what stands on the command line, without the program's own name.
    pub(crate) fn read(&'static self, mut words: impl Iterator<Item = OsString>) -> Result<Asked> {
        let Some(name) = words.next() else {
            return Ok(Asked::Nothing);
        };
        if name == "--version" || name == "-V" {
            let version = env!("CARGO_PKG_VERSION");
            return Ok(Asked::Text(format!("{} {version}\n", self.name)));
        }
        if name == "help" || name == "--help" || name == "-h" {
            return match words.next() {
                None => Ok(Asked::Text(self.help())),
                Some(name) => Ok(Asked::Text(self.subcommand(&name)?.help(self.name))),
            };
        }
        let subcommand = self.subcommand(&name)?;
        match subcommand.read(words)? {
            Some(arguments) => Ok(Asked::Something(arguments)),
            None => Ok(Asked::Text(subcommand.help(self.name))),
        }
    }

    fn subcommand(&self, name: &OsStr) -> Result<&'static Subcommand> {
        let found = self.subcommands.iter().find(|known| name == known.name);
        found.map_or_else(
            || misused(format!("there is no command {}", shown(name))),
            Ok,
        )
    }

    fn help(&self) -> String {
        let mut lines = Vec::new();
        if let Some(alone) = self.alone {
            lines.push((self.name.to_owned(), alone));
        }
        lines.extend(self.subcommands.iter().map(|subcommand| {
            let (name, words) = (subcommand.name, subcommand.words);
            (format!("{} {name} {words}", self.name), subcommand.about)
        }));
        let mut help = columns(&lines).replace("\n  ", "\n       ");
        help.replace_range(..2, "Usage: ");
        let mut options: Vec<&Switch> = Vec::new();
        for option in self.subcommands.iter().flat_map(|known| known.options) {
            if !options.iter().any(|known| known.name == option.name) {
                options.push(option);
            }
        }
        // Writing to a string does not fail.
        let _ = write!(
            help,
            "\n{}\n`{} COMMAND --help` says which of them a command has; --version says the version.\n",
            described(&options),
            self.name
        );
        help
    }
}

impl Subcommand {
    fn help(&self, program: &str) -> String {
        let (name, words, about) = (self.name, self.words, self.about);
        let options = described(self.options);
        let gap = if options.is_empty() { "" } else { "\n" };
        format!("Usage: {program} {name} {words}\n\n  {about}\n{gap}{options}")
    }

    /// `None` when help is asked for.
    pub(crate) fn read(
        &'static self,
        mut words: impl Iterator<Item = OsString>,
    ) -> Result<Option<Arguments>> {
        let has_h = self.options.iter().any(|option| option.is(b"-h"));
        let mut arguments = Arguments {
            command: self.name,
            words: Vec::new(),
            given: Vec::new(),
        };
        while let Some(word) = words.next() {
            if word == "--" {
                // The rest is a command.
                arguments.words.extend(words.by_ref());
            } else if word == "--help" || (word == "-h" && !has_h) {
                return Ok(None);
            } else if word.as_bytes().starts_with(b"-") && word != "-" {
                let (option, value) = self.option(&word, words.by_ref())?;
                let is_there = arguments.given(option).next().is_some();
                if is_there && !option.is_repeatable {
                    return misused(format!("{} is given twice", option.name));
                }
                arguments.given.push((option, value));
            } else {
                arguments.words.push(word);
            }
        }
        self.check(&arguments.words)?;
        Ok(Some(arguments))
    }

    /// An option and its value, which stands behind `=` or is the next word.
    fn option(
        &self,
        word: &OsStr,
        mut next: impl Iterator<Item = OsString>,
    ) -> Result<(&'static Switch, OsString)> {
        let bytes = word.as_bytes();
        let equals = bytes.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]))),
            None => (bytes, None),
        };
        let find = |name: &[u8]| {
            let mut known = self.options.iter();
            known.find(|option| option.is(name)).copied()
        };
        let Some(option) = find(name) else {
            // A secret can begin with a dash too, and is not said again.
            let whose = match self.name {
                "" => "there is".to_owned(),
                name => format!("{name} has"),
            };
            let mut why = match looks_like_an_option(name) {
                true => {
                    let name = shown(OsStr::from_bytes(name));
                    let long = self.options.iter().map(|option| option.name);
                    // Any letter is near any other.
                    let long = long.filter(|_| name.len() > 3);
                    format!("{whose} no option {name}{}", did_you_mean(&name, long))
                }
                false => format!("{whose} no such option"),
            };
            let meant = |option: &&&Switch| {
                let bytes = option.name.as_bytes();
                name.len() == 2 && bytes.starts_with(b"--") && bytes[2] == name[1]
            };
            if let Some(option) = self.options.iter().find(meant) {
                let _ = write!(why, " (is it {}?)", option.name);
            }
            if self.words.contains(" -- ") {
                why.push_str("; what is the command's own stands behind --");
            }
            return misused(why);
        };
        let value = match (option.value, value) {
            (Some(_), Some(value)) => value.to_owned(),
            (Some(_), None) => match next.next() {
                Some(value) if find(value.as_bytes()).is_none() => value,
                _ => return misused(format!("{} needs a value", option.name)),
            },
            (None, None) => OsString::new(),
            (None, Some(value))
                if option.is_switchable && (value == "true" || value == "false") =>
            {
                value.to_owned()
            }
            (None, Some(_)) => return misused(format!("{} takes no value", option.name)),
        };
        Ok((option, value))
    }

    /// Whether there are as many words as it takes.
    fn check(&self, words: &[OsString]) -> Result<()> {
        let takes: Vec<&str> = self
            .words
            .split(' ')
            .filter(|word| !matches!(*word, "" | "--"))
            .collect();
        let needed = takes.iter().filter(|word| !word.starts_with('[')).count();
        let (name, all) = (self.name, self.words);
        if let Some(missing) = takes[..needed].get(words.len()) {
            let missing = missing.trim_end_matches("...");
            return misused(format!("{name} takes {all}; {missing} is missing"));
        }
        let is_endless = takes.last().is_some_and(|word| word.contains("..."));
        let takes_count = takes.len();
        match words.get(takes_count) {
            // What it is stays unsaid: it may have been meant as a secret.
            Some(_) if !is_endless => {
                let takes = match takes.is_empty() {
                    true => "no words",
                    false => all,
                };
                let more = words.len() - takes_count;
                let hint = match self.about.contains("read from standard input") {
                    true => "; the value is read from standard input",
                    false => "",
                };
                misused(format!(
                    "{name} takes {takes}; {more} more cannot be understood{hint}"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Whether this is written as options are: `-n`, `--name`.
fn looks_like_an_option(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'-';
    name.len() == 2 || name.iter().all(is_part)
}

/// What somebody typed, for a message.
fn shown(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    word.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Options with what they are.
pub(crate) fn described(options: &[&Switch]) -> String {
    let line = |option: &&Switch| {
        let value = option.value.map(|value| format!(" {value}"));
        let names: Vec<&str> = option.also.iter().copied().chain([option.name]).collect();
        (
            format!("{}{}", names.join(", "), value.unwrap_or_default()),
            option.about,
        )
    };
    columns(&options.iter().map(line).collect::<Vec<_>>())
}

/// Two columns, indented.
fn columns(lines: &[(String, &str)]) -> String {
    let width = lines.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    lines
        .iter()
        .map(|(left, right)| format!("  {left:width$}  {right}\n"))
        .collect()
}

impl Arguments {
    /// What an option was given, each time.
    pub(crate) fn given(&self, option: &Switch) -> impl Iterator<Item = &OsString> {
        let given = self
            .given
            .iter()
            .filter(move |(known, _)| known.name == option.name);
        given.map(|(_, value)| value)
    }

    pub(crate) fn has(&self, option: &Switch) -> bool {
        self.given(option).next().is_some()
    }

    pub(crate) fn path(&self, option: &Switch) -> Option<&Path> {
        self.given(option).next().map(Path::new)
    }

    pub(crate) fn paths(&self, option: &Switch) -> Vec<PathBuf> {
        self.given(option).map(PathBuf::from).collect()
    }

    /// What an option was given, read as what it is, each time.
    pub(crate) fn parsed<T: FromStr<Err: std::error::Error + 'static>>(
        &self,
        option: &Switch,
    ) -> Result<Vec<T>> {
        let parse = |value: &OsString| {
            let text = text(value).map_err(|error| format!("{}: {error}", option.name))?;
            Ok(text.parse()?)
        };
        self.given(option).map(parse).collect()
    }

    /// The words, which are as many as the subcommand takes.
    pub(crate) fn words<const COUNT: usize>(&self) -> Result<[&OsString; COUNT]> {
        let words: Vec<&OsString> = self.words.iter().collect();
        words.try_into().map_err(|words: Vec<_>| {
            let (command, given) = (self.command, words.len());
            Misused(format!("{command} takes {COUNT}, not {given}")).into()
        })
    }
}

/// A word that is text; a path need not be.
pub(crate) fn text(word: &OsStr) -> Result<&str> {
    word.to_str()
        .ok_or_else(|| format!("`{}` is not UTF-8", shown(word)).into())
}
