//! The command line of the tour.

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
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self {
            report: None,
            inventory: None,
            hosts: "@*".into(),
            parallelism: 20,
        };
        while let Some(word) = words.next() {
            let (option, mut given) = match word.split_once('=') {
                Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let mut value = || {
                given
                    .take()
                    .or_else(|| words.next())
                    .ok_or(format!("{option} needs a value; see --help"))
            };
            match option.as_str() {
                "--report" => arguments.report = Some(value()?.into()),
                "--inventory" => arguments.inventory = Some(value()?.into()),
                "--hosts" => arguments.hosts = value()?,
                "--parallelism" => {
                    let number = value()?;
                    arguments.parallelism = number
                        .parse()
                        .ok()
                        .filter(|&n| n > 0)
                        .ok_or(format!("--parallelism {number}: a number from 1 on"))?;
                }
                "--help" | "-h" => return Ok(None),
                other => return Err(format!("unknown option `{other}`; see --help")),
            }
        }
        Ok(Some(arguments))
    }
}
