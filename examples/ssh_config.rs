//! What OpenSSH's configuration files say of a host, as `ssh -G` prints it.
//!
//! ```text
//! cargo run --example ssh_config -- web1
//! cargo run --example ssh_config -- deploy@web1 -F fleet.conf --origins
//! ```

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clusterops::JumpHosts;
use clusterops::config::{Config, ConfigOptions, Query};
use clusterops::core::Printable;

const USAGE: &str = "\
Usage: ssh_config [OPTIONS] [USER@]HOST | ssh://[USER@]HOST[:PORT]

  -F FILE            read this file only; `none` reads no file
  -l USER            the login name
  -p PORT            the port
  -P TAG             the tag that `Match tagged` looks for
  -o KEYWORD=VALUE   a setting that comes before those of files
  --origins          print behind each value where it was set
  -h, --help         this text

It prints what `ssh -G` does, but for keywords that have no effect here (forwardings, GSSAPI, IPQoS, EscapeChar, ...): those
are told on standard error where a file sets them. The values are OpenSSH's; a session of ours has defaults of its own
where no file says anything (ConnectTimeout 10 s, ServerAliveInterval 15 s, UpdateHostKeys no).
";

fn main() -> ExitCode {
    let mut text = String::new();
    let outcome = run(&mut text);
    let written = io::stdout().lock().write_all(text.as_bytes());
    match (outcome, written) {
        (Err(failure), _) => {
            warn(&failure);
            ExitCode::FAILURE
        }
        // The reader has seen enough, as with `| head`.
        (Ok(()), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            warn(&format!("standard output cannot be written: {error}"));
            ExitCode::FAILURE
        }
        (Ok(()), _) => ExitCode::SUCCESS,
    }
}

fn run(text: &mut String) -> Result<(), String> {
    let Some(arguments) = Arguments::read(std::env::args_os().skip(1))? else {
        text.push_str(USAGE);
        return Ok(());
    };
    let config = match &arguments.file {
        None => ConfigOptions::of(&arguments.query).load(),
        Some(file) if file == "none" => Config::none(),
        Some(file) => ConfigOptions::of(&arguments.query).from_file(file),
    };
    let config = config.map_err(one_line)?;
    let host = config.resolve(&arguments.query).map_err(one_line)?;
    for line in host.lines() {
        text.push_str(&line.to_string());
        if let Some(origin) = line.origin.filter(|_| arguments.origins) {
            text.push_str(&format!("  # {origin}"));
        }
        text.push('\n');
    }
    for unsupported in host.unsupported() {
        warn(&unsupported.to_string());
    }
    Ok(())
}

/// A line on standard error, with nothing in it that acts on a terminal; that nobody reads it is no failure.
fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "ssh_config: {}", Printable(line));
}

fn one_line(error: impl std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

struct Arguments {
    query: Query,
    file: Option<OsString>,
    origins: bool,
}

impl Arguments {
    /// `None` when help is asked for.
    fn read(mut words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let (mut file, mut origins, mut destination) = (None, false, None);
        let mut options = Vec::new();
        while let Some(word) = words.next() {
            let word = text(word)?;
            let mut path = || {
                let value = words.next().filter(|value| !value.is_empty());
                value.ok_or(format!("{word} needs a value; see --help"))
            };
            let mut value = || path().and_then(text);
            match word.as_str() {
                "-h" | "--help" => return Ok(None),
                "--origins" => origins = true,
                "-F" => file = Some(path()?),
                "-l" => options.push(format!("User \"{}\"", value()?)),
                "-p" => options.push(format!("Port {}", value()?)),
                "-P" => options.push(format!("Tag \"{}\"", value()?)),
                "-o" => options.push(value()?),
                _ if word.starts_with('-') => {
                    return Err(format!("there is no option `{word}`; see --help"));
                }
                _ if destination.is_some() => {
                    return Err(format!(
                        "only one host can be asked about, and `{word}` is another; see --help"
                    ));
                }
                _ => destination = Some(word),
            }
        }
        let destination = destination
            .filter(|destination| !destination.is_empty())
            .ok_or("a host is missing; see --help")?;
        let uri = destination.starts_with("ssh://").then_some(&destination);
        let uri: Option<JumpHosts> = uri.map(|uri| uri.parse()).transpose().map_err(one_line)?;
        let (user, host) = match uri.as_ref().map(JumpHosts::hosts) {
            Some([host]) => {
                options.extend(host.port().map(|port| format!("Port {port}")));
                (host.user(), host.host())
            }
            Some(_) => return Err("only one host can be asked about".into()),
            None => match destination.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, destination.as_str()),
            },
        };
        if user == Some("") || host.is_empty() {
            return Err(format!(
                "`{destination}` is not [USER@]HOST; the port follows -p; see --help"
            ));
        }
        let mut query = Query::new(host);
        for option in options {
            query = query.option(&option).map_err(one_line)?;
        }
        if let Some(user) = user {
            query = query.user(user);
        }
        Ok(Some(Self {
            query,
            file,
            origins,
        }))
    }
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string()
        .map_err(|word| format!("{word:?} is not UTF-8"))
}
