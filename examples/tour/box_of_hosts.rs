//! The simulated hosts of the tour, and what is wrong with some of them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clusterops::sim::{Answer, Fault, Match, Sim, SimCommand, SimHost};
use clusterops::{HostSet, Target};

/// Something that is wrong with a host.
struct Trouble {
    hosts: &'static str,
    what: &'static str,
    fault: Option<Fault>,
}

/// The hosts on which deploys fail, and those that take their time.
const NO_LICENCE: &str = "web41";
const SLOW: &str = "web[20-22]";

fn troubles() -> Vec<Trouble> {
    let trouble = |hosts, what, fault| Trouble { hosts, what, fault };
    vec![
        trouble(
            "web07",
            "is dead: it refuses connections",
            Some(Fault::Refuse),
        ),
        trouble(
            "web19",
            "is dead: it takes connections and says nothing",
            Some(Fault::Silent),
        ),
        trouble(
            "web[11-13]",
            "fail once: they drop their first connection, as a busy sshd does",
            Some(Fault::DropFirst(1)),
        ),
        trouble(
            "web30",
            "does not take our key",
            Some(Fault::RejectAuthentication),
        ),
        trouble("db5", "shows another host key", Some(Fault::WrongHostKey)),
        trouble("db2", "has a full disk", Some(Fault::DiskFull)),
        trouble("db9", "never ends a command", Some(Fault::NeverExits)),
        trouble(
            NO_LICENCE,
            "has no licence, so that every deploy fails",
            None,
        ),
        trouble(SLOW, "are slow", None),
    ]
}

pub(crate) struct BoxOfHosts {
    sim: Sim,
    without_licence: Arc<Mutex<HostSet>>,
}

impl BoxOfHosts {
    pub(crate) async fn start(hosts: &HostSet) -> Result<Self, Box<dyn std::error::Error>> {
        let without_licence: HostSet = NO_LICENCE.parse()?;
        let without_licence = Arc::new(Mutex::new(without_licence));
        let slow: HostSet = SLOW.parse()?;
        let licences = Arc::clone(&without_licence);
        let healthy =
            SimHost::new("healthy").answer_with(Match::interpreter("/bin/sh"), move |command| {
                let has_licence = !licences
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .contains(&command.host);
                let delay = Duration::from_millis(if slow.contains(&command.host) {
                    600
                } else {
                    20
                });
                deploy(command, has_licence).with_delay(delay)
            });
        let troubles = troubles();
        let mut simulated = Vec::new();
        for name in hosts.iter() {
            let mut host = healthy.named(name.as_str());
            for trouble in &troubles {
                if let Some(fault) = &trouble.fault
                    && trouble.hosts.parse::<HostSet>()?.contains(&name)
                {
                    host = host.fault(fault.clone());
                }
            }
            simulated.push(host);
        }
        Ok(Self {
            sim: Sim::start(simulated).await?,
            without_licence,
        })
    }

    /// The targets with the addresses and keys of the simulated hosts.
    pub(crate) fn reach(&self, targets: Vec<Target>) -> Vec<Target> {
        let reach = |target: Target| {
            let here = self.sim.target(&target.name);
            Target {
                address: here.address,
                port: here.port,
                identity_file: here.identity_file,
                known_hosts: here.known_hosts,
                ..target
            }
        };
        targets.into_iter().map(reach).collect()
    }

    /// What an operator would do on each of these hosts.
    pub(crate) fn repair(&self, hosts: &HostSet) {
        for host in hosts.iter() {
            self.sim.host(&host).heal();
            self.without_licence
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&host);
        }
    }
}

/// What `deploy.sh` does, as far as the plan can see.
fn deploy(command: &SimCommand, has_licence: bool) -> Answer {
    let folder = command
        .environment
        .get("FOLDER")
        .map_or("/tmp", String::as_str);
    if has_licence {
        let output = format!("app 1.4 started in {folder}\n");
        Answer::stdout(output).with_file(format!("{folder}/app.conf.active"), "")
    } else {
        Answer::status(1).with_stderr("app: no licence for this host\n")
    }
}

impl fmt::Display for BoxOfHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} simulated hosts are up. Of these,",
            self.sim.hosts().count()
        )?;
        for trouble in troubles() {
            write!(f, "\n  {:<10} {}", trouble.hosts, trouble.what)?;
        }
        Ok(())
    }
}
