//! Ending remote processes, and making sure of it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::process::{Process, Remnant, TASK_VARIABLE};
use super::{Output, Session, Written};
use crate::clock::deadline_in;
use crate::wire::{Birth, Leader};
use crate::{Command, Error, ErrorKind, Result};

/// The longest pause between two looks at the host.
const PAUSE: Duration = Duration::from_millis(400);

/// The longest pause where nothing is in a hurry.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long one look at the host may take.
const LOOK: Duration = Duration::from_secs(10);

/// Whether the end of a command's remote processes was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Termination {
    /// The host was asked, and none of the processes is left.
    Confirmed,
    /// It could not be made sure; the text says why.
    Unconfirmed(String),
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed => f.write_str("all remote processes ended"),
            Self::Unconfirmed(why) => {
                write!(f, "the end of what ran there is not confirmed: {why}")
            }
        }
    }
}

/// Ends whatever is left of a command: SIGTERM, after `grace` SIGKILL, after another `grace` it is given up.
///
/// What is left is the command's process group and every process that has its tag in its environment, as far as /proc
/// shows it (proc(5)); a zombie does not count. Of a command that runs as another user only that user can look and send
/// signals, so both are done as that user, by the same means. What may as well be another command's gets no signal, and is
/// told as unconfirmed.
///
/// Where the session cannot be used for it, because it was lost or its commands have all the channels that a server gives
/// (MaxSessions, sshd_config(5)), another connection is.
pub(crate) async fn terminate(
    session: &Session,
    remnant: &Remnant,
    grace: Duration,
) -> Termination {
    let mut ended = try_terminate(session, remnant, grace).await;
    if ended.is_err() {
        // Boxed, as what is seldom needed.
        let again = Box::pin(async {
            let other = session.connector.connect(&session.target).await?;
            let ended = try_terminate(&other, remnant, grace).await;
            other.close().await;
            ended
        });
        // What the first one met says more than why there is no second.
        ended = again.await.or(ended);
    }
    match ended {
        Ok(found) if found.is_nothing() => Termination::Confirmed,
        Ok(found) => Termination::Unconfirmed(found.words()),
        Err(error) => Termination::Unconfirmed(error.full_message()),
    }
}

/// Waits until nothing is left of a command, by looking again and again.
///
/// # Errors
/// When the host cannot be looked at.
pub(crate) async fn wait_for_end(session: &Session, remnant: &Remnant) -> Result<()> {
    let mut pause = Duration::from_millis(50);
    let mut found = Found::default();
    loop {
        found = look(session, remnant, &found.left).await?;
        if found.is_nothing() {
            return Ok(());
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Who leads the processes of the subsystem that a session has started last; `None` where the host does not say.
///
/// A subsystem has no environment of ours, so it is found as a child of the process that serves the connection, of which
/// the look itself is another one. OpenSSH's makes each a leader of its own process group (`setsid` in `do_exec_no_pty`),
/// one that is built in (`internal-sftp`) too.
pub(crate) async fn newest_subsystem(session: &Session) -> Option<Leader> {
    // proc_pid_stat(5): pid (comm) state ppid.
    let line =
        format!("echo $$; grep -s -h -e \") [^ZX] $PPID \" /proc/[0-9]*/stat; cat {BOOT_ID}");
    let nobody = Remnant {
        tag: String::new(),
        leader: None,
        raised: None,
        has_terminal: false,
    };
    let output = ask(session, line, &nobody).await.ok()?;
    youngest(&output.stdout.to_string_lossy())
}

/// The youngest of these processes but for the look, whose id comes first.
fn youngest(text: &str) -> Option<Leader> {
    let (own, rest) = text.split_once('\n')?;
    let own: u32 = own.trim().parse().ok()?;
    let boot = rest.lines().rev().find_map(Birth::boot)?;
    let leader = |line: &str| {
        let pid = line.split_once(" (")?.0.parse().ok()?;
        let ticks = Birth::ticks(line)?;
        let birth = Some(Birth { ticks, boot });
        (pid > 1 && pid != own).then_some((ticks, Leader { pid, birth }))
    };
    let found = rest.lines().filter_map(leader);
    let (_, leader) = found.max_by_key(|(ticks, leader)| (*ticks, leader.pid))?;
    Some(leader)
}

async fn try_terminate(session: &Session, remnant: &Remnant, grace: Duration) -> Result<Found> {
    let mut found = look(session, remnant, &BTreeSet::new()).await?;
    for signal in ["TERM", "KILL"] {
        if found.is_nothing() {
            break;
        }
        if !found.left.is_empty() {
            signal_all(session, signal, &found.left, remnant).await?;
        }
        let deadline = deadline_in(grace);
        let mut pause = Duration::from_millis(25);
        loop {
            found = look(session, remnant, &found.left).await?;
            if found.is_nothing() || Instant::now() >= deadline {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
    }
    Ok(found)
}

/// The live processes of a command, of which these were found before.
///
/// # Errors
/// When the host cannot be looked at. The look must find itself first: a host without grep or /proc would else seem to
/// have nothing left.
async fn look(session: &Session, remnant: &Remnant, before: &BTreeSet<u32>) -> Result<Found> {
    let tag = &remnant.tag;
    // Its own command line holds this text.
    let own = Process::new_tag();
    let mut line = format!(
        "grep -s -l -a -F -e '{own}' /proc/[0-9]*/cmdline; grep -s -l -a -F -e '{TASK_VARIABLE}={tag}' /proc/[0-9]*/environ"
    );
    if let Some(Leader { pid: group, birth }) = remnant.leader {
        // proc_pid_stat(5): pid (comm) state ppid pgrp. X and Z are dead.
        line.push_str(&format!(
            "; grep -s -l -e ') [^ZX] [0-9]* {group} ' /proc/[0-9]*/stat"
        ));
        if birth.is_some() {
            line.push_str(&format!("; cat /proc/{group}/stat {BOOT_ID}"));
        }
    }
    let output = ask(session, line, remnant).await?;
    let found = Found::read(&output.stdout.to_string_lossy(), remnant.leader, before);
    if !found.own {
        let said = output.stderr.to_string_lossy();
        let error = Error::new(
            ErrorKind::Protocol,
            "the processes of the host cannot be looked at (grep, /proc)",
        );
        return Err(if said.trim().is_empty() {
            error
        } else {
            error.caused_by(said.trim().to_owned())
        });
    }
    Ok(found)
}

/// Where a host says which of its starts this is (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What a look has found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// The look itself.
    own: bool,
    left: BTreeSet<u32>,
    /// Members of a group with the id that was noted, whose leader is gone: they are the command's, or the group is a later
    /// one, whose leader is gone too.
    unsure: BTreeSet<u32>,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.left.is_empty() && self.unsure.is_empty()
    }

    /// Says what could not be ended.
    fn words(&self) -> String {
        let list = |pids: &BTreeSet<u32>| {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            pids.join(", ")
        };
        match self.left.is_empty() {
            false => format!("still there after SIGKILL: process {}", list(&self.left)),
            true => format!(
                "the leader of its process group is gone, and process {} is in a group of that id; see whose it is, and end it by hand",
                list(&self.unsure)
            ),
        }
    }

    fn read(text: &str, leader: Option<Leader>, before: &BTreeSet<u32>) -> Self {
        let pid = |path: &str| path.split('/').next()?.parse::<u32>().ok();
        let (mut own, mut left, mut group) = (false, BTreeSet::new(), BTreeSet::new());
        let (mut ticks, mut boot) = (None, None);
        for line in text.lines() {
            match line.strip_prefix("/proc/") {
                Some(path) if path.ends_with("/cmdline") => own = true,
                Some(path) if path.ends_with("/stat") => group.extend(pid(path)),
                Some(path) => left.extend(pid(path)),
                None => {
                    ticks = ticks.or_else(|| Birth::ticks(line));
                    boot = boot.or_else(|| Birth::boot(line));
                }
            }
        }
        let birth = leader.and_then(|leader| leader.birth);
        let is_same = match birth {
            None => true,
            // Its id may have gone to somebody else's group since.
            Some(birth) => ticks == Some(birth.ticks) && boot == Some(birth.boot),
        };
        // A group keeps its id for as long as somebody is in it, also without its leader.
        let is_ours = is_same || !group.is_disjoint(before) || !group.is_disjoint(&left);
        let is_this_start = |birth: Birth| boot.is_none_or(|boot| boot == birth.boot);
        let mut unsure = BTreeSet::new();
        if is_ours {
            left.append(&mut group);
        } else if ticks.is_none() && birth.is_some_and(is_this_start) {
            unsure = group;
        }
        Self { own, left, unsure }
    }
}

async fn signal_all(
    session: &Session,
    signal: &str,
    left: &BTreeSet<u32>,
    remnant: &Remnant,
) -> Result<()> {
    let mut line = format!("kill -s {signal} --");
    // A group that is known by its birth is there only with its leader.
    let group = remnant
        .leader
        .filter(|leader| leader.birth.is_none() || left.contains(&leader.pid))
        .map(|leader| leader.pid);
    if let Some(group) = group {
        line.push_str(&format!(" -{group}"));
    }
    for pid in left.iter().filter(|&&pid| Some(pid) != group) {
        line.push_str(&format!(" {pid}"));
    }
    // Its status says nothing: a process may end between the look and the signal. The next look tells.
    ask(session, line, remnant).await.map(drop)
}

/// Runs a line that ends by itself, whatever PATH the login has.
async fn ask(session: &Session, line: String, remnant: &Remnant) -> Result<Output> {
    let mut command = Command::shell(line).env("PATH", SYSTEM_PATH);
    command.raised = remnant.raised.clone();
    if command.raised.is_some() && remnant.has_terminal {
        command = command.pty();
    }
    let looking = async {
        let mut process = session.exec(&command).await?;
        let mut written = Written::new();
        let Ok(()) = written
            .collect(&mut process, pending::<Infallible>())
            .await?;
        Ok(written.output(process.exit()))
    };
    match timeout(LOOK, looking).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!("the host did not answer within {LOOK:?}"),
        )),
    }
}

/// Where grep is.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_child_but_the_look_serves_the_subsystem() {
        let zeros = " 0".repeat(12);
        let stat = |pid: u32, ticks: u64| {
            format!("{pid} (sftp ) server) S 40 {pid} {pid} 0 -1 0{zeros} {ticks} 0 0\n")
        };
        let text = |children: &str| format!("77\n{children}00000000-0000-0000-0000-00000000000b\n");
        let children = [stat(41, 900), stat(77, 1000), stat(43, 950)].concat();
        let birth = Some(Birth {
            ticks: 950,
            boot: 0xb,
        });
        assert_eq!(youngest(&text(&children)), Some(Leader { pid: 43, birth }));
        assert_eq!(
            youngest(&text(&stat(77, 1000))),
            None,
            "nothing but the look"
        );
        assert_eq!(
            youngest(&format!("77\n{children}")),
            None,
            "no start of the host"
        );
        for odd in ["", "\n", "sh: echo: not found\n"] {
            assert_eq!(youngest(odd), None);
        }
    }

    #[test]
    fn a_group_whose_id_has_gone_to_somebody_else_is_not_ours() {
        let birth = Some(Birth {
            ticks: 77,
            boot: 0xb00,
        });
        let ours = Some(Leader { pid: 41, birth });
        let boot = |boot: u32| format!("00000000-0000-0000-0000-{boot:012x}");
        let zeros = " 0".repeat(12);
        let stat = |ticks: u32| format!("41 (a ) 1 (b) S 1 41 41 0 -1 0{zeros} {ticks} 0 0");
        let found = |leader, ticks, is_boot| {
            let text = format!(
                "/proc/9/cmdline\n/proc/40/environ\n/proc/41/stat\n/proc/42/stat\n{}\n{}\n",
                stat(ticks),
                boot(is_boot)
            );
            let found = Found::read(&text, leader, &BTreeSet::new());
            assert!(found.own);
            found.left.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(found(ours, 77, 0xb00), [40, 41, 42]);
        assert_eq!(found(ours, 78, 0xb00), [40], "another process");
        assert_eq!(found(ours, 77, 0xb01), [40], "another start of the host");
        let known_now = Some(Leader {
            pid: 41,
            birth: None,
        });
        assert_eq!(found(known_now, 78, 0xb01), [40, 41, 42]);
        let nothing = Found::read("", ours, &BTreeSet::new());
        assert!(!nothing.own && nothing.left.is_empty());

        // Its leader has ended since, and another member has not.
        let alone = "/proc/9/cmdline\n/proc/42/stat\n";
        let here = format!("{alone}{}\n", boot(0xb00));
        let tagged = format!("{here}/proc/42/environ\n");
        let elsewhere = format!("{alone}{}\n", boot(0xb01));
        let another = format!("{here}{}\n", stat(78));
        for (text, before, left, unsure) in [
            (alone, [41, 42], &[42][..], &[][..]),
            (&here, [40, 42], &[42], &[]),
            (&tagged, [40, 41], &[42], &[]),
            (&here, [40, 41], &[], &[42]),
            (alone, [40, 41], &[], &[42]),
            (&elsewhere, [40, 41], &[], &[]),
            (&another, [40, 41], &[], &[]),
        ] {
            let found = Found::read(text, ours, &BTreeSet::from(before));
            assert_eq!(found.left, BTreeSet::from_iter(left.to_owned()), "{text}");
            assert_eq!(
                found.unsure,
                BTreeSet::from_iter(unsure.to_owned()),
                "{text}"
            );
        }
    }
}
