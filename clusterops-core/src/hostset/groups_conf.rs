//! ClusterShell's `groups.conf`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::groups_command::{CommandGroups, Commands, substitute};
use super::{FileGroups, GroupSource};
use crate::{Error, ErrorKind, Place, Result, files};

/// The section that holds settings, not a source.
const MAIN: &str = "Main";

/// How long answers are kept where the file does not say so (groups.conf(5)).
const CACHE_TIME: Duration = Duration::from_secs(3600);

/// The sources of groups that a `groups.conf` of ClusterShell 1.9 declares: external commands in its sections and in the
/// `*.conf` files of `confdir`, and the YAML files of `autodir` (groups.conf(5)).
///
/// ```no_run
/// use clusterops_core::hostset::{Context, GroupsConf};
///
/// let groups = GroupsConf::load("/etc/clustershell/groups.conf")?;
/// let mut context = Context::new();
/// for source in groups.sources() {
///     context = context.source(source);
/// }
/// if let Some(source) = groups.default_source() {
///     context = context.default_source(source);
/// }
/// println!("{}", context.parse("@compute!@slurm:drained")?);
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct GroupsConf {
    sources: Vec<Box<dyn GroupSource>>,
    default: Option<usize>,
}

impl GroupsConf {
    /// Reads the file and those that it points to; no command is run before a group is asked for.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) and [`Syntax`](ErrorKind::Syntax), with file and line; folders that are not there are
    /// passed over, as in ClusterShell. [`UnknownGroup`](ErrorKind::UnknownGroup) when the default source is not there.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let sections = read(path)?;
        let mut sources: Vec<Box<dyn GroupSource>> = Vec::new();
        let main = sections.iter().find(|section| section.name == MAIN);
        let setting = |key: &str| {
            main.and_then(|main| main.values.get(key))
                .map(String::as_str)
        };
        let configured = setting("groupsdir").or(setting("confdir"));
        for folder in folders(configured.unwrap_or_default(), folder) {
            for file in files::with_extension(&folder, "conf")? {
                add_commands(&mut sources, &read(&file)?, &file, &folder)?;
            }
        }
        for folder in folders(setting("autodir").unwrap_or_default(), folder) {
            for source in FileGroups::load(&folder)? {
                sources.push(Box::new(source));
            }
        }
        add_commands(&mut sources, &sections, path, folder)?;
        let wanted = setting("default").filter(|name| !name.is_empty());
        let default = match wanted {
            None => (!sources.is_empty()).then_some(0),
            Some(name) => {
                let found = sources.iter().position(|source| source.name() == name);
                if found.is_none() {
                    let message = format!("the default source `{name}` is not declared");
                    return Err(
                        Error::new(ErrorKind::UnknownGroup, message).at(in_file(path, None))
                    );
                }
                found
            }
        };
        Ok(Self { sources, default })
    }

    /// All sources, in the order of their declaration.
    pub fn sources(&self) -> impl Iterator<Item = &dyn GroupSource> {
        self.sources.iter().map(AsRef::as_ref)
    }

    /// All sources, to own them.
    pub fn into_sources(self) -> Vec<Box<dyn GroupSource>> {
        self.sources
    }

    /// The source that `default` in the section `Main` names, or else the first one.
    pub fn default_source(&self) -> Option<&dyn GroupSource> {
        self.default.map(|number| self.sources[number].as_ref())
    }
}

/// The folders of a setting that are there, each once.
fn folders(setting: &str, folder: &Path) -> Vec<PathBuf> {
    let variables = [("CFGDIR", folder.display().to_string())];
    let mut folders = Vec::new();
    for name in setting.split_whitespace() {
        let path = PathBuf::from(substitute(name, &variables));
        if path.exists() && !folders.contains(&path) {
            folders.push(path);
        }
    }
    folders
}

fn add_commands(
    sources: &mut Vec<Box<dyn GroupSource>>,
    sections: &[Section],
    file: &Path,
    folder: &Path,
) -> Result<()> {
    for section in sections.iter().filter(|section| section.name != MAIN) {
        let value = |key: &str| section.values.get(key).cloned();
        let wrong = |message: String| {
            Err(Error::new(ErrorKind::Syntax, message).at(in_file(file, Some(section.line))))
        };
        let Some(map) = value("map") else {
            return wrong(format!(
                "group source `{}` needs a `map` command",
                section.name
            ));
        };
        let cache_time = match value("cache_time") {
            None => CACHE_TIME,
            Some(text) => match text.parse().ok().map(Duration::try_from_secs_f64) {
                Some(Ok(time)) => time,
                _ => return wrong(format!("`cache_time` is a number of seconds, not `{text}`")),
            },
        };
        for name in section.name.split(',').map(str::trim) {
            let commands = Commands {
                map: map.clone(),
                all: value("all"),
                list: value("list"),
                reverse: value("reverse"),
            };
            let source = CommandGroups::new(name, commands, folder, cache_time);
            sources.push(Box::new(
                source.declared_at(in_file(file, Some(section.line))),
            ));
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Section {
    name: String,
    line: usize,
    values: BTreeMap<String, String>,
}

/// Reads what Python's `configparser` reads: `[sections]`, `key: value` or `key = value`, indented lines that go on, and
/// comment lines that start with `#` or `;`.
fn read(path: &Path) -> Result<Vec<Section>> {
    let text = files::text(files::read(path)?, path)?;
    let mut sections: Vec<Section> = Vec::new();
    let mut last_key: Option<String> = None;
    for (number, line) in text.lines().enumerate() {
        let wrong = |message: &str| {
            Err(Error::new(ErrorKind::Syntax, message).at(in_file(path, Some(number + 1))))
        };
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let indented = line.starts_with(char::is_whitespace);
        if indented && let (Some(section), Some(key)) = (sections.last_mut(), &last_key) {
            let value = section.values.entry(key.clone()).or_default();
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else {
                return wrong("this section is not closed with `]`");
            };
            if sections.iter().any(|section| section.name == name) {
                return wrong("this section is there twice");
            }
            sections.push(Section {
                name: name.to_owned(),
                line: number + 1,
                values: BTreeMap::new(),
            });
            last_key = None;
            continue;
        }
        let Some(section) = sections.last_mut() else {
            return wrong("a `[section]` must come first");
        };
        let Some((key, value)) = trimmed.split_once([':', '=']) else {
            return wrong("this is neither a `[section]` nor `key: value`");
        };
        let key = key.trim().to_lowercase();
        if section
            .values
            .insert(key.clone(), value.trim().to_owned())
            .is_some()
        {
            return wrong("this key is there twice in its section");
        }
        last_key = Some(key);
    }
    Ok(sections)
}

fn in_file(path: &Path, line: Option<usize>) -> Place {
    Place {
        file: Some(path.display().to_string()),
        line,
        column: None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Context;
    use super::*;

    #[test]
    fn reads_commands_folders_and_the_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("groups.conf");
        fs::create_dir(folder.path().join("groups.d")).expect("a folder");
        fs::write(
            folder.path().join("groups.d/local.yaml"),
            "local:\n  front: web[1-2]\n",
        )
        .expect("a file");
        fs::write(folder.path().join("racks"), "r1: web[1-4]\nr2: web[5-8]\n").expect("a file");
        fs::write(
            &file,
            "# groups\n[Main]\ndefault: racks\nautodir: $CFGDIR/groups.d $CFGDIR/none\n\n[racks,copies]\n\
             map: sed -n 's/^$GROUP: //p' ${CFGDIR}/racks\nlist: cut -d: -f1 racks\n\
             reverse: test $NODE = web1 && echo r1 $SOURCE\n",
        )
        .expect("a file");
        let groups = GroupsConf::load(&file).expect("valid");
        let mut context = Context::new().default_source(groups.default_source().expect("racks"));
        for source in groups.sources() {
            context = context.source(source);
        }
        let parse = |text: &str| context.parse(text).map(|hosts| hosts.to_string());
        assert_eq!(parse("@r1!@local:front").expect("known"), "web[3-4]");
        assert_eq!(parse("@*").expect("known"), "web[1-8]");
        assert_eq!(parse("@copies:r[1-2]&web?").expect("known"), "web[1-8]");
        assert_eq!(
            parse("@r3").expect_err("unknown").kind(),
            ErrorKind::UnknownGroup
        );
        let copies = groups.sources().last().expect("copies");
        assert_eq!(
            context.groups_of(copies, "web1").expect("a command"),
            ["r1", "copies"]
        );
        let error = context.groups_of(copies, "web2").expect_err("exit code 1");
        assert_eq!(error.kind(), ErrorKind::GroupSource);
        let place = format!("{}:6: ", file.display());
        let message = "the `reverse` command of group source `copies` (`test web2 = web1 && echo r1 copies`) ended with";
        assert!(error.to_string().starts_with(&(place + message)), "{error}");
    }

    #[test]
    fn errors_name_file_and_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("groups.conf");
        for (text, line) in [
            ("map: x\n", 1),
            ("[a\n", 1),
            ("[a]\nmap\n", 2),
            ("[a]\nlist: x\n", 1),
            ("[a]\nmap: x\nmap: y\n", 3),
            ("[a]\nmap: x\n[a]\n", 3),
            ("\n[a]\nmap: x\ncache_time: soon\n", 2),
        ] {
            fs::write(&file, text).expect("a file");
            let error = GroupsConf::load(&file).expect_err(text);
            assert_eq!(
                error.place().and_then(|place| place.line),
                Some(line),
                "{error}"
            );
        }
    }
}
