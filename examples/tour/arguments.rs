//! The command line of the tour.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
usage: tour [--report FILE] [--hosts EXPR] [--parallelism N] [--inventory FILE]

  --report FILE      writes the report as JSON
  --hosts EXPR       the hosts to run on, as a host set expression (default: @*)
  --parallelism N    how many hosts are worked on at once (default: 20)
  --inventory FILE   runs on the real hosts of this inventory instead of simulated ones

The exit code is 0 only when every host ended well, 1 when one did not, 2 for what cannot be run at all.";

pub(crate) struct Arguments {
    pub(crate) report: Option<PathBuf>,
    pub(crate) inventory: Option<PathBuf>,
    pub(crate) hosts: String,
    pub(crate) parallelism: usize,
}

impl Arguments {
    /// Reads the command line; `None` when help is asked for.
    pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut arguments = Self {
            report: None,
            inventory: None,
            hosts: "@*".into(),
            parallelism: 20,
        };
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            let (option, mut given) = match bytes.iter().position(|byte| *byte == b'=') {
                Some(at) => (
                    &bytes[..at],
                    Some(OsStr::from_bytes(&bytes[at + 1..]).into()),
                ),
                None => (bytes, None),
            };
            let option = String::from_utf8_lossy(option);
            let mut value = || {
                let next = || {
                    words
                        .next()
                        .filter(|word| !word.as_bytes().starts_with(b"--"))
                };
                let value = given.take().or_else(next);
                value
                    .filter(|value: &OsString| !value.is_empty())
                    .ok_or(format!("{option} needs a value; see --help"))
            };
            let text = |value: OsString| {
                let text = value.into_string();
                text.map_err(|value| format!("{option} {value:?} is not UTF-8"))
            };
            match &*option {
                "--report" => arguments.report = Some(value()?.into()),
                "--inventory" => arguments.inventory = Some(value()?.into()),
                "--hosts" => arguments.hosts = text(value()?)?,
                "--parallelism" => {
                    let number = text(value()?)?;
                    arguments.parallelism = number
                        .parse()
                        .ok()
                        .filter(|&n| n > 0)
                        .ok_or(format!("--parallelism '{number}': give a number from 1 on"))?;
                }
                "--help" | "-h" => return Ok(None),
                other if other.starts_with('-') => {
                    return Err(format!("unknown option `{other}`; see --help"));
                }
                other => {
                    return Err(format!(
                        "`{other}` belongs to no option: hosts follow --hosts; see --help"
                    ));
                }
            }
        }
        Ok(Some(arguments))
    }
}
