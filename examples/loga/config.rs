//! Logasaurus's configuration: `loga.yaml`, and the `config.yaml` of versions up to 0.0.12.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clusterops::core::did_you_mean;
use granit_parser::{Event, Parser};

use crate::command_line::Result;
use crate::output::warn;

/// What a configuration says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    path: Option<PathBuf>,
    pub(crate) form: Form,
    pub(crate) queries: Vec<Defined>,
    pub(crate) interval: Option<u32>,
    pub(crate) depth: Option<u32>,
    /// With where it stands.
    pub(crate) url: Option<(String, String)>,
    pub(crate) port: Option<String>,
    pub(crate) index: Option<String>,
    pub(crate) highlights: Option<bool>,
    pub(crate) shows_host: Option<bool>,
    pub(crate) start: Option<u32>,
    pub(crate) count: Option<u32>,
    pub(crate) is_verbose: Option<bool>,
}

/// A query that has a name.
#[derive(Debug)]
pub(crate) struct Defined {
    pub(crate) name: String,
    pub(crate) query: String,
    /// Where it stands: file, line and column.
    pub(crate) place: String,
}

/// Which version of Logasaurus it is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// With `defined_queries`, where `-h` highlights.
    #[default]
    Defined,
    /// With `define`, where `-h` shows hosts.
    Define,
}

const KEYS: [&str; 12] = [
    "defined_queries",
    "define",
    "sync_interval",
    "sync_depth",
    "elasticsearch_url",
    "elasticsearch_port",
    "elasticsearch_index",
    "highlight_query",
    "search_host",
    "start_time",
    "count",
    "log_verbose",
];

/// A value and where it stands, from 1 on.
struct Node {
    value: Value,
    line: usize,
    column: usize,
}

enum Value {
    Text(String),
    Pairs(Vec<(Node, Node)>),
    List,
}

impl Config {
    /// The file that is named; else what is in the working directory, else in the home; else nothing.
    pub(crate) fn find(named: Option<PathBuf>) -> Result<Self> {
        if let Some(path) = named {
            return Self::read(path);
        }
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".loga/config.yaml"));
        let known = [Some(PathBuf::from("loga.yaml")), home];
        match known.into_iter().flatten().find(|path| path.exists()) {
            Some(path) => Self::read(path),
            None => Ok(Self::default()),
        }
    }

    fn read(path: PathBuf) -> Result<Self> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
        let mut config = Self::parse(&text, &shown)?;
        config.path = Some(path);
        Ok(config)
    }

    /// The file, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn parse(text: &str, file: &str) -> Result<Self> {
        let mut config = Self::default();
        let Some(root) = parse(text, file)? else {
            return Ok(config);
        };
        let Value::Pairs(pairs) = &root.value else {
            return root.wrong(file, "a configuration is a mapping, such as `count: 500`");
        };
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in pairs {
            let name = key.text(file, "a key")?;
            if seen.contains(&name) {
                return key.wrong(file, format!("`{name}` is given twice; keep one"));
            }
            seen.push(name);
            match name {
                "defined_queries" | "define" => {
                    if name == "define" {
                        config.form = Form::Define;
                    }
                    value.add_queries(file, name, &mut config.queries)?;
                }
                "sync_interval" => config.interval = value.number(file, name)?,
                "sync_depth" => config.depth = value.minutes(file, name)?,
                "elasticsearch_url" => {
                    let url = value.some(file, name)?;
                    config.url = url.map(|url| (url, value.place(file)));
                }
                "elasticsearch_port" => config.port = value.port(file, name)?,
                // An empty one means all, as it did.
                "elasticsearch_index" => config.index = Some(value.text(file, name)?.to_owned()),
                "highlight_query" => config.highlights = value.truth(file, name)?,
                "search_host" => config.shows_host = value.truth(file, name)?,
                "start_time" => config.start = value.minutes(file, name)?,
                "count" => config.count = value.number(file, name)?.filter(|count| *count > 0),
                "log_verbose" => config.is_verbose = value.truth(file, name)?,
                // What it brings in would be missing without a word.
                "<<" => {
                    return key.wrong(file, "settings are not merged (`<<`) here; write them out");
                }
                unknown => warn(format_args!(
                    "{file}:{}:{}: there is no setting `{unknown}`{}",
                    key.line,
                    key.column,
                    did_you_mean(unknown, KEYS)
                )),
            }
        }
        Ok(config)
    }
}

impl Node {
    fn place(&self, file: &str) -> String {
        format!("{file}:{}:{}", self.line, self.column)
    }

    fn wrong<T>(&self, file: &str, why: impl Display) -> Result<T> {
        Err(format!("{}: {why}", self.place(file)).into())
    }

    fn text(&self, file: &str, name: &str) -> Result<&str> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => self.wrong(file, format!("{name} is a single value")),
        }
    }

    /// A text that is not empty.
    fn some(&self, file: &str, name: &str) -> Result<Option<String>> {
        let text = self.text(file, name)?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn number(&self, file: &str, name: &str) -> Result<Option<u32>> {
        let text = self.text(file, name)?;
        match whole(text) {
            Some(number) => Ok(Some(number)),
            None if text.is_empty() => Ok(None),
            None if text.starts_with('0') && whole(text.trim_start_matches('0')).is_some() => {
                // YAML 1.1 reads octal digits here, YAML 1.2 does not.
                let plain = text.trim_start_matches('0');
                self.wrong(file, format!("{name}: `{text}` can be read in two ways; write `{plain}`, or `0o{plain}` for octal digits"))
            }
            None => self.wrong(file, format!("{name} is a whole number, not `{text}`")),
        }
    }

    /// Not so many that it is before the year 0.
    fn minutes(&self, file: &str, name: &str) -> Result<Option<u32>> {
        const MOST: u32 = 500_000_000;
        match self.number(file, name)? {
            Some(minutes) if minutes > MOST => self.wrong(
                file,
                format!("{name} is {MOST} minutes at most, not `{minutes}`"),
            ),
            minutes => Ok(minutes),
        }
    }

    fn port(&self, file: &str, name: &str) -> Result<Option<String>> {
        let port = self.some(file, name)?;
        match &port {
            Some(port) => match whole(port).and_then(|port| u16::try_from(port).ok()) {
                Some(port) => Ok(Some(port.to_string())),
                None => self.wrong(
                    file,
                    format!("{name} is a number up to 65535, not `{port}`"),
                ),
            },
            None => Ok(None),
        }
    }

    /// As YAML 1.1 spells it, and so Logasaurus's parser did (yaml.org/type/bool.html).
    fn truth(&self, file: &str, name: &str) -> Result<Option<bool>> {
        match self.text(file, name)? {
            "" => Ok(None),
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
                Ok(Some(true))
            }
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n"
            | "N" => Ok(Some(false)),
            other => self.wrong(file, format!("{name} is true or false, not `{other}`")),
        }
    }

    fn add_queries(&self, file: &str, name: &str, queries: &mut Vec<Defined>) -> Result<()> {
        let pairs = match &self.value {
            Value::Pairs(pairs) => pairs,
            Value::Text(text) if text.is_empty() => return Ok(()),
            _ => {
                return self.wrong(
                    file,
                    format!("{name} has names and queries, such as `nginx: error AND nginx`"),
                );
            }
        };
        for (key, query) in pairs {
            let name = key.text(file, "the name of a query")?;
            if name == "<<" {
                return key.wrong(file, "queries are not merged (`<<`) here; write them out");
            }
            if queries.iter().any(|known| known.name == name) {
                return key.wrong(file, format!("the query `{name}` is given twice; keep one"));
            }
            queries.push(Defined {
                name: name.to_owned(),
                query: query.text(file, "a query")?.to_owned(),
                place: query.place(file),
            });
        }
        Ok(())
    }
}

/// A whole number as YAML writes it: with a sign, underscores between digits, and as `0x`, `0o` or `0b`
/// (yaml.org/type/int.html). One that begins with a further 0 is none.
fn whole(text: &str) -> Option<u32> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .iter()
        .find_map(|(prefix, base)| Some((text.strip_prefix(prefix)?, *base)));
    let (digits, base) = based.unwrap_or((text, 10));
    let is_octal = base == 10 && digits.len() > 1 && digits.starts_with('0');
    // Rust reads a sign, too.
    let begins = digits.starts_with(|first: char| first.is_ascii_hexdigit());
    let digits = digits.replace('_', "");
    (begins && !is_octal)
        .then(|| u32::from_str_radix(&digits, base).ok())
        .flatten()
}

/// Reads YAML of one document. What is nested deeper than a configuration is refused where it stands.
fn parse(text: &str, file: &str) -> Result<Option<Node>> {
    let mut open: Vec<(Node, Option<Node>)> = Vec::new();
    let mut root = None;
    for next in Parser::new_from_str(text) {
        let at = |line: usize, column: usize| format!("{file}:{line}:{}", column + 1);
        let (event, span) = next.map_err(|error| {
            let mark = error.marker();
            format!(
                "{}: this is not YAML: {}",
                at(mark.line(), mark.col()),
                error.kind()
            )
        })?;
        let node = |value| Node {
            value,
            line: span.start.line(),
            column: span.start.col() + 1,
        };
        let done = match event {
            Event::Scalar(text, style, ..) => {
                let is_null = style == granit_parser::ScalarStyle::Plain
                    && matches!(&*text, "~" | "null" | "Null" | "NULL");
                node(Value::Text(if is_null {
                    String::new()
                } else {
                    text.into_owned()
                }))
            }
            Event::MappingStart(..) => {
                open.push((node(Value::Pairs(Vec::new())), None));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push((node(Value::List), None));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some((node, _)) => node,
                None => continue,
            },
            Event::Alias(..) => {
                let place = at(span.start.line(), span.start.col());
                return Err(format!("{place}: a configuration has no aliases").into());
            }
            Event::DocumentStart(..) if root.is_some() => {
                let place = at(span.start.line(), span.start.col());
                return Err(
                    format!("{place}: a second document begins here; a file is one").into(),
                );
            }
            _ => continue,
        };
        match open.last_mut() {
            None => root = Some(done),
            Some((parent, key)) => match (&mut parent.value, key.take()) {
                (Value::Pairs(pairs), Some(key)) => pairs.push((key, done)),
                (Value::Pairs(_), None) => *key = Some(done),
                _ => {}
            },
        }
    }
    Ok(root)
}
