//! What the process's limit of open files leaves for a run.

use crate::Plan;
use crate::fleet::FleetOptions;
use crate::plan::Step;
use crate::session::LocalCommands;
use crate::transfer::{OPEN_TO_FETCH, OPEN_TO_SEND};

/// File descriptors left to the rest of the process; the few commands of `Match exec` that run at once need no more.
const SPARE: usize = 64;

/// What a connection takes: a socket, or the pipes and the process of a command.
const SOCKET: usize = 1;
const PROXY_COMMAND: usize = 4;

/// The pipes and the process of a command that prints host keys.
const KNOWN_HOSTS_COMMAND: usize = 3;

/// What the process's limit of open files leaves for a run.
pub(super) struct Limits {
    /// How many hosts are worked on at once.
    pub(super) parallelism: usize,
    /// Whether hosts can keep their connection while they wait for others.
    pub(super) keep_connections: bool,
    /// What the operator should know about it.
    pub(super) warning: Option<String>,
}

impl Limits {
    pub(super) fn of(
        options: &FleetOptions,
        plan: &Plan,
        hosts: usize,
        commands: LocalCommands,
    ) -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .map_or(usize::MAX, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            })
            .saturating_sub(SPARE);
        Self::within(descriptors, options, plan, hosts, commands)
    }

    fn within(
        descriptors: usize,
        options: &FleetOptions,
        plan: &Plan,
        hosts: usize,
        commands: LocalCommands,
    ) -> Self {
        let files = most_files(plan, options.output_folder.is_some());
        let host_keys = match commands.print_host_keys {
            true => KNOWN_HOSTS_COMMAND,
            false => 0,
        };
        // A host at work holds a connection, and local files, a command or a second connection beside it.
        let at_work = |way: usize| way + way.max(files).max(host_keys);
        let (plain, by_command) = (at_work(SOCKET), at_work(PROXY_COMMAND));
        // At worst all those are worked on at once that a command leads to.
        let costly = commands.lead_to.min(hosts);
        let room_in = |descriptors: usize, more: usize| {
            let (plain, by_command) = (plain + more, by_command + more);
            let left = descriptors.saturating_sub(costly.saturating_mul(by_command));
            match left / plain {
                0 => descriptors / by_command,
                others => costly.saturating_add(others),
            }
        };
        // A target behind a jump host has no socket of its own, but the jump host's command is more than one. There are as
        // many of these as jump hosts, and no more than hosts at work.
        let more = PROXY_COMMAND - SOCKET;
        let jumps = commands.lead_to_jump_hosts.saturating_mul(more);
        let room = match jumps {
            0 => room_in(descriptors, 0),
            _ => room_in(descriptors.saturating_sub(jumps), 0).max(room_in(descriptors, more)),
        };
        let parallelism = options.parallelism.min(room.max(1));
        let costly_at_work = costly.min(parallelism);
        let working = costly_at_work * by_command + (parallelism - costly_at_work) * plain;
        let waiting = (hosts * SOCKET + costly * more).saturating_add(jumps);
        Self {
            parallelism,
            warning: (parallelism < options.parallelism.min(hosts)).then(|| {
                format!("the limit of open files (ulimit -n) lets no more than {parallelism} hosts be worked on at once; raise it, or set a parallelism that it allows")
            }),
            keep_connections: waiting.saturating_add(working) <= descriptors,
        }
    }
}

/// How many local files and folders a host has open at most, whichever stage it is at.
fn most_files(plan: &Plan, are_outputs_written: bool) -> usize {
    let steps = plan.stages.iter();
    let steps = steps.flat_map(|stage| std::iter::once(&stage.step).chain(&stage.rollback));
    let files = steps.map(|step| match step {
        Step::Command { .. } | Step::Shell { .. } | Step::Script { .. } => {
            2 * usize::from(are_outputs_written)
        }
        Step::Upload { .. } => 1,
        Step::UploadTree { .. } => OPEN_TO_SEND,
        // It may be of a folder.
        Step::Fetch { .. } => OPEN_TO_FETCH,
    });
    files.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fleet;
    use crate::plan::Stage;

    /// How many of 2000 hosts are worked on at once where 960 descriptors are left, and up to how many keep a connection.
    fn limits(stage: Stage, outputs: bool, commands: LocalCommands) -> (usize, usize) {
        let mut fleet = Fleet::new([]).parallelism(1000);
        if outputs {
            fleet = fleet.output_folder("out");
        }
        let plan = Plan::new("p").stage(stage);
        let limits = Limits::within(960, &fleet.options(), &plan, 2000, commands);
        let parallelism = limits.parallelism;
        assert_eq!(limits.warning.is_some(), parallelism < 1000);
        if let Some(warning) = limits.warning {
            assert!(warning.contains(&format!("no more than {parallelism} hosts")));
        }
        let of_few = fleet.parallelism(10).options();
        let keep = |hosts| Limits::within(960, &of_few, &plan, hosts, commands).keep_connections;
        let most = (1..2000).take_while(|hosts| keep(*hosts)).count();
        (parallelism, most)
    }

    #[test]
    fn a_host_has_as_many_descriptors_as_its_stages_and_its_way_take() {
        let none = LocalCommands::default();
        let talk = || Stage::command("talk", ["true"]);
        let undone = talk().rollback(Step::fetch("/etc", "out"));
        assert_eq!(limits(talk(), false, none), (480, 940));
        assert_eq!(limits(talk(), true, none), (320, 960 - 30));
        let upload = Stage::upload("send", "a", "a");
        assert_eq!(limits(upload, false, none), (480, 940));
        let tree = Stage::upload_tree("send", "a", "a");
        assert_eq!(limits(tree, false, none), (960 / 9, 960 - 90));
        for fetching in [Stage::fetch("fetch", "/etc", "out"), undone] {
            assert_eq!(limits(fetching, true, none), (960 / 18, 960 - 180));
        }

        let printed = LocalCommands {
            print_host_keys: true,
            ..none
        };
        assert_eq!(limits(talk(), false, printed), (960 / 4, 960 - 40));
        let led = |hosts| LocalCommands {
            lead_to: hosts,
            ..none
        };
        assert_eq!(limits(talk(), false, led(2000)), (960 / 8, (960 - 80) / 4));
        // A few among many.
        assert_eq!(limits(talk(), false, led(100)).0, 100 + (960 - 800) / 2);
        let behind = |hosts| LocalCommands {
            lead_to_jump_hosts: hosts,
            ..none
        };
        assert_eq!(limits(talk(), false, behind(10)), (930 / 2, 960 - 20 - 30));
        // As many as targets.
        assert_eq!(limits(talk(), false, behind(2000)).0, 960 / 5);
        assert_eq!(limits(talk(), false, led(120)).0, 120);
    }

    #[test]
    fn one_host_is_worked_on_in_any_case() {
        let (options, plan) = (Fleet::new([]).options(), Plan::new("p"));
        for descriptors in [0, 1, 5] {
            for lead_to in [0, 1, 2] {
                let commands = LocalCommands {
                    lead_to,
                    lead_to_jump_hosts: lead_to,
                    print_host_keys: true,
                };
                let limits = Limits::within(descriptors, &options, &plan, 2, commands);
                assert!(limits.parallelism == 1 && !limits.keep_connections);
            }
        }
        let limits = Limits::within(usize::MAX, &options, &plan, 2, LocalCommands::default());
        assert!(limits.parallelism == 100 && limits.warning.is_none() && limits.keep_connections);
    }
}
