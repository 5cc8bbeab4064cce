//! The work that every candidate does: `uname -n` on each host, and a look at what it printed.

use std::path::{Path, PathBuf};

use clusterops::Target;
use clusterops::ssh::SessionOptions;

use super::Result;

/// The command that runs on each host.
pub(crate) const COMMAND: &str = "uname -n";

/// What a candidate is told, on its command line in this order.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) identity_file: PathBuf,
    /// One line for each host.
    pub(crate) known_hosts: PathBuf,
    /// One address on each line.
    pub(crate) hosts: PathBuf,
    pub(crate) parallelism: usize,
    /// What each host must print.
    pub(crate) expected: String,
}

impl Work {
    pub(crate) fn arguments(&self) -> Vec<String> {
        vec![
            self.port.to_string(),
            self.user.clone(),
            self.identity_file.display().to_string(),
            self.known_hosts.display().to_string(),
            self.hosts.display().to_string(),
            self.parallelism.to_string(),
            self.expected.clone(),
        ]
    }

    pub(crate) fn from_arguments(arguments: &[String]) -> Result<Self> {
        let [
            port,
            user,
            identity_file,
            known_hosts,
            hosts,
            parallelism,
            expected,
        ] = arguments
        else {
            return Err(
                "the arguments are PORT USER KEY KNOWN_HOSTS HOSTS PARALLELISM EXPECTED".into(),
            );
        };
        Ok(Self {
            port: port.parse()?,
            user: user.clone(),
            identity_file: identity_file.into(),
            known_hosts: known_hosts.into(),
            hosts: hosts.into(),
            parallelism: parallelism.parse()?,
            expected: expected.clone(),
        })
    }

    /// The same on this many addresses of a server of this machine that answers on all of 127.0.0.0/8: the lists of hosts
    /// and of their keys are written into a folder, and the keys are the first line's of the known hosts so far.
    pub(crate) fn on_loopback(self, folder: &Path, count: usize) -> Result<Self> {
        let known = std::fs::read_to_string(&self.known_hosts)?;
        let (_pattern, key) = known.split_once(' ').ok_or("the server has a host key")?;
        let addresses = loopback_addresses(count);
        let line = |address: &String| format!("[{address}]:{} {key}", self.port);
        let name = std::process::Command::new("uname").arg("-n").output()?;
        let work = Self {
            known_hosts: folder.join("known_hosts_of_all"),
            hosts: folder.join("hosts"),
            expected: String::from_utf8(name.stdout)?.trim_end().to_owned(),
            ..self
        };
        std::fs::write(
            &work.known_hosts,
            addresses.iter().map(line).collect::<String>(),
        )?;
        std::fs::write(&work.hosts, addresses.join("\n"))?;
        Ok(work)
    }

    /// The hosts as targets, `host0` and the following.
    pub(crate) fn targets(&self) -> Result<Vec<Target>> {
        let target = |(index, address): (usize, String)| Target {
            port: Some(self.port),
            ..Target::new(format!("host{index}"), address)
        };
        let addresses = self.addresses()?;
        Ok(addresses.into_iter().enumerate().map(target).collect())
    }

    /// What holds for all of them.
    pub(crate) fn options(&self) -> SessionOptions {
        SessionOptions::default()
            .user(&self.user)
            .identity_file(&self.identity_file)
            .known_hosts([&self.known_hosts])
    }

    /// The addresses of the hosts.
    pub(crate) fn addresses(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(&self.hosts)?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// The `count` loopback addresses from 127.1.0.1 on, with neither 0 nor 255 as their last byte.
pub(crate) fn loopback_addresses(count: usize) -> Vec<String> {
    let address = |index: usize| format!("127.1.{}.{}", index / 254, index % 254 + 1);
    (0..count).map(address).collect()
}
