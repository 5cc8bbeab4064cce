//! Host sets in a terminal, much as ClusterShell's `nodeset` does it.
//!
//! ```text
//! cargo run --example hosts -- expand 'web[01-03]!web02'
//! cargo run --example hosts -- --inventory fleet.yaml fold '@role:agent!@zone:b'
//! cargo run --example hosts -- --groups groups.d count @racks:r1
//! ```

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clusterops::Inventory;
use clusterops::core::{ErrorKind, Printable};
use clusterops::hostset::{Context, FileGroups, GroupSource, GroupsConf, HostSet};

const USAGE: &str = "\
Usage: hosts [OPTIONS] expand|fold|count EXPRESSION...
       hosts [OPTIONS] split PARTS EXPRESSION...
       hosts [OPTIONS] list [EXPRESSION...]

expand prints names, fold the shortest text, count a number, split one folded set per part;
list prints the groups that are known, or those that hosts of the expressions are in.

  EXPRESSION         web[01-50],db[1-4/2]  a!b  a&b  a^b  @group  @source:group  @*  web*
                     several are joined; - reads names and expressions from standard input,
                     where # at the start of a word begins a comment
  -i, --inventory F  an inventory of clusterops or Ansible: its hosts, groups, tags and variables
  -g, --groups PATH  groups of ClusterShell: a groups.conf, a YAML file of groups.d, or a folder of them
  -S, --separator S  between names or sets (a newline unless set; \\n and \\t are understood)
  -h, --help         this text
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough, as with `| head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            warn(&failure.to_string());
            ExitCode::from(if matches!(failure, Failure::Usage(_)) {
                2
            } else {
                1
            })
        }
    }
}

fn run() -> Result<(), Failure> {
    let Some(arguments) = Arguments::read(std::env::args_os().skip(1))? else {
        return write(USAGE);
    };
    let groups = Groups::load(arguments.groups.as_deref())?;
    let known = match &arguments.inventory {
        Some(file) => {
            let inventory = Inventory::load(file)?;
            for unread in inventory.unread() {
                warn(&unread.to_string());
            }
            Known::Inventory(groups.added_to(inventory))
        }
        None => Known::Groups(groups),
    };
    let mut hosts = HostSet::new();
    for expression in &arguments.expressions {
        if expression == "-" {
            hosts = hosts | from_input(&known)?;
        } else {
            let found = known
                .parse(expression)
                .map_err(|error| Failure::Expression {
                    text: expression.clone(),
                    before: 0,
                    line: None,
                    error,
                })?;
            hosts = hosts | found;
        }
    }
    let lines: Vec<String> = match arguments.action {
        Action::Expand => hosts.into_iter().map(as_expression).collect(),
        Action::Fold if hosts.is_empty() => Vec::new(),
        Action::Fold => vec![hosts.to_string()],
        Action::Count => vec![hosts.len().to_string()],
        Action::Split(parts) => hosts.split(parts).iter().map(ToString::to_string).collect(),
        Action::List if arguments.expressions.is_empty() => known.list(None)?,
        Action::List => known.list(Some(&hosts))?,
    };
    if lines.is_empty() {
        return Ok(());
    }
    write(&(lines.join(&arguments.separator) + "\n"))
}

/// The hosts of all words on standard input.
fn from_input(known: &Known) -> Result<HostSet, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .read_to_end(&mut bytes)
        .map_err(Failure::Input)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        Failure::NotText(1 + before.iter().filter(|byte| **byte == b'\n').count())
    })?;
    // Some editors put a byte order mark at the start.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut names = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (before, word) in words(line) {
            let found = known.parse(word).map_err(|error| Failure::Expression {
                text: line.to_owned(),
                before,
                line: Some(number + 1),
                error,
            })?;
            names.extend(found);
        }
    }
    Ok(names.into_iter().collect())
}

/// The words of a line up to a comment, each with the number of characters before it: white space in quotes and brackets
/// does not end one.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    let mut before = 0;
    line.split(move |c: char| {
        let ends = c.is_whitespace() && !quoted && !bracketed;
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '[' | ']' if !quoted => bracketed = c == '[',
            _ => {}
        }
        ends
    })
    .map(move |word| {
        let start = before;
        // What separates words is one character.
        before += word.chars().count() + 1;
        (start, word)
    })
    .take_while(|(_, word)| !word.starts_with('#'))
    .filter(|(_, word)| !word.is_empty())
}

/// A name, in quotes where the syntax would read it as something else.
fn as_expression(name: String) -> String {
    match name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    {
        true => name,
        false => HostSet::from_iter([name]).to_string(),
    }
}

/// A line on standard error; that nobody reads it is no failure.
fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "hosts: {line}");
}

fn write(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(Failure::Output)
}

struct Arguments {
    action: Action,
    expressions: Vec<String>,
    inventory: Option<PathBuf>,
    groups: Option<PathBuf>,
    separator: String,
}

enum Action {
    Expand,
    Fold,
    Count,
    Split(usize),
    List,
}

impl Arguments {
    /// `None` when help is asked for.
    fn read(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let mut words = Vec::new();
        let (mut inventory, mut groups, mut separator) = (None, None, "\n".to_owned());
        while let Some(argument) = arguments.next() {
            let bytes = argument.as_bytes();
            let is_attached = bytes.len() > 2 && matches!(bytes[..2], [b'-', b'i' | b'g' | b'S']);
            let (name, mut value) = match bytes.iter().position(|byte| *byte == b'=') {
                _ if is_attached => (&bytes[..2], Some(OsStr::from_bytes(&bytes[2..]).to_owned())),
                Some(at) if bytes.starts_with(b"--") => (
                    &bytes[..at],
                    Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned()),
                ),
                _ => (bytes, None),
            };
            let name = String::from_utf8_lossy(name);
            let mut value = || {
                let value = value.take().or_else(|| arguments.next());
                value.ok_or_else(|| Failure::Usage(format!("{name} needs a value; see --help")))
            };
            match &*name {
                "-h" | "--help" => return Ok(None),
                "-i" | "--inventory" => inventory = Some(path(value()?)?),
                "-g" | "--groups" => groups = Some(path(value()?)?),
                "-S" | "--separator" => {
                    separator = text(value()?)?.replace("\\n", "\n").replace("\\t", "\t")
                }
                "--" => words.extend(arguments.by_ref()),
                _ if argument.len() > 1 && name.starts_with('-') => {
                    return Err(Failure::Usage(format!(
                        "there is no option `{name}`; see --help"
                    )));
                }
                _ => words.push(argument),
            }
        }
        let words: Vec<String> = words.into_iter().map(text).collect::<Result<_, _>>()?;
        let mut words = words.into_iter();
        let action = match words.next().as_deref() {
            Some("expand") => Action::Expand,
            Some("fold") => Action::Fold,
            Some("count") => Action::Count,
            Some("list") => Action::List,
            Some("split") => match words.next().map(|parts| parts.parse()) {
                Some(Ok(parts)) if parts > 0 => Action::Split(parts),
                _ => {
                    return Err(Failure::Usage(
                        "split needs a number of parts, 1 or more".into(),
                    ));
                }
            },
            Some(other) => {
                return Err(Failure::Usage(format!(
                    "there is no command `{other}`; see --help"
                )));
            }
            None => return Err(Failure::Usage("a command is missing; see --help".into())),
        };
        let expressions: Vec<String> = words.collect();
        if expressions.is_empty() && !matches!(action, Action::List) {
            return Err(Failure::Usage(
                "an expression is missing, or - for standard input; see --help".into(),
            ));
        }
        if matches!(action, Action::List) && inventory.is_none() && groups.is_none() {
            return Err(Failure::Usage(
                "list needs --inventory or --groups; see --help".into(),
            ));
        }
        Ok(Some(Self {
            action,
            expressions,
            inventory,
            groups,
            separator,
        }))
    }
}

fn path(word: OsString) -> Result<PathBuf, Failure> {
    match word.is_empty() {
        true => Err(Failure::Usage("the name of a file is empty".into())),
        false => Ok(word.into()),
    }
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string()
        .map_err(|word| Failure::Usage(format!("{word:?} is not UTF-8")))
}

/// The sources of groups that were asked for.
enum Groups {
    Files(Vec<FileGroups>),
    Conf(GroupsConf),
}

impl Groups {
    fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::Files(Vec::new()));
        };
        let conf = path.join("groups.conf");
        if conf.is_file() {
            Ok(Self::Conf(GroupsConf::load(conf)?))
        } else if path
            .extension()
            .is_some_and(|extension| extension == "conf")
        {
            Ok(Self::Conf(GroupsConf::load(path)?))
        } else {
            let sources = FileGroups::load(path)?;
            if sources.is_empty() {
                return Err(Failure::NoGroups(path.display().to_string()));
            }
            Ok(Self::Files(sources))
        }
    }

    fn sources(&self) -> Vec<&dyn GroupSource> {
        match self {
            Self::Files(sources) => sources.iter().map(|source| source as _).collect(),
            Self::Conf(conf) => conf.sources().collect(),
        }
    }

    fn default_source(&self) -> Option<&dyn GroupSource> {
        match self {
            Self::Files(sources) => sources.first().map(|source| source as _),
            Self::Conf(conf) => conf.default_source(),
        }
    }

    fn context(&self) -> Context<'_> {
        let context = self
            .sources()
            .into_iter()
            .fold(Context::new(), Context::source);
        match self.default_source() {
            Some(source) => context.default_source(source),
            None => context,
        }
    }

    fn added_to(self, mut inventory: Inventory) -> Inventory {
        let sources: Vec<Box<dyn GroupSource>> = match self {
            Self::Files(sources) => sources
                .into_iter()
                .map(|source| Box::new(source) as _)
                .collect(),
            Self::Conf(conf) => conf.into_sources(),
        };
        sources
            .into_iter()
            .for_each(|source| inventory.add_source(source));
        inventory
    }
}

/// What expressions are read against.
enum Known {
    Inventory(Inventory),
    Groups(Groups),
}

impl Known {
    fn parse(&self, expression: &str) -> Result<HostSet, clusterops::core::Error> {
        match self {
            Self::Inventory(inventory) => inventory.resolve(expression),
            Self::Groups(groups) => groups.context().parse(expression).map_err(|error| {
                if error.kind() != ErrorKind::UnknownGroup || !groups.sources().is_empty() {
                    return error;
                }
                let message = format!("{}; give --inventory or --groups", error.message());
                let advised = clusterops::core::Error::new(error.kind(), message);
                match error.place() {
                    Some(place) => advised.at(place.clone()),
                    None => advised,
                }
            }),
        }
    }

    /// All groups, or those with some of these hosts, then followed by these.
    fn list(&self, hosts: Option<&HostSet>) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        let mut add = |group: String, members: &HostSet| match hosts.map(|hosts| hosts & members) {
            None => lines.push(group),
            Some(inside) if !inside.is_empty() => lines.push(format!("{group} {inside}")),
            Some(_) => {}
        };
        let (sources, context, default): (Vec<_>, _, _) = match self {
            Self::Inventory(inventory) => {
                for (group, members) in inventory.groups() {
                    add(format!("@{group}"), members);
                }
                let context = Context::new()
                    .known(inventory.hosts())
                    .default_source(inventory);
                let context = inventory.sources().fold(context, Context::source);
                (inventory.sources().collect(), context, None)
            }
            Self::Groups(groups) => {
                let default = groups.default_source().map(GroupSource::name);
                (groups.sources(), groups.context(), default)
            }
        };
        for source in sources {
            for group in source.list()? {
                let members = match hosts {
                    Some(_) => context.group(source, &group)?,
                    None => HostSet::new(),
                };
                // As nodeset does: the default source needs no name.
                let name = match default == Some(source.name()) {
                    true => format!("@{group}"),
                    false => format!("@{}:{group}", source.name()),
                };
                add(name, &members);
            }
        }
        Ok(lines)
    }
}

enum Failure {
    Usage(String),
    Input(io::Error),
    /// The number of the line.
    NotText(usize),
    Output(io::Error),
    Groups(clusterops::core::Error),
    NoGroups(String),
    Expression {
        /// What it stands in, and how many characters before it.
        text: String,
        before: usize,
        line: Option<usize>,
        error: clusterops::core::Error,
    },
}

impl From<clusterops::core::Error> for Failure {
    fn from(error: clusterops::core::Error) -> Self {
        Self::Groups(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(message) => Printable(message).fmt(f),
            Self::NotText(line) => {
                write!(f, "standard input, line {line}: this is not UTF-8 text")
            }
            Self::Input(error) => write!(f, "standard input cannot be read: {error}"),
            Self::Output(error) => write!(f, "standard output cannot be written: {error}"),
            Self::Groups(error) => match std::error::Error::source(error) {
                Some(source) => write!(f, "{error}: {source}"),
                None => write!(f, "{error}"),
            },
            Self::NoGroups(path) => {
                let path = Printable(path);
                write!(
                    f,
                    "{path}: there are no groups, neither a groups.conf nor a *.yaml with some"
                )
            }
            Self::Expression {
                text,
                before,
                line,
                error,
            } => {
                if let Some(line) = line {
                    write!(f, "standard input, line {line}: ")?;
                }
                // What is wrong in a file of groups stands there.
                if error.place().is_some_and(|place| place.file.is_some()) {
                    return write!(f, "{error}");
                }
                f.write_str(error.message())?;
                // A caret under the place, unless the expression would fill the screen or change it.
                match error.place().and_then(|place| place.column) {
                    Some(column)
                        if text.chars().count() <= 200 && !text.contains(char::is_control) =>
                    {
                        write!(f, "\n  {text}\n  {:>1$}", '^', before + column)
                    }
                    Some(column) => write!(f, " (column {})", before + column),
                    None => Ok(()),
                }
            }
        }
    }
}
