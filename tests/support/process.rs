//! Finding and ending processes on this machine by their id.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Kills the process `root`, everything below it, and every process whose environment holds `marker`.
///
/// A session's processes leave the tree when their parent ends; the marker finds those.
pub(crate) fn kill_tree(root: u32, marker: &str) {
    // A stopped process starts no further children while we look.
    signal(root, Signal::STOP);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let mut found = family(root, marker);
        for process in &found {
            signal(*process, Signal::KILL);
        }
        found.remove(&root);
        if found.is_empty() || Instant::now() > deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The process `root`, its descendants, the processes whose environment holds `marker`, and their descendants.
pub(crate) fn family(root: u32, marker: &str) -> BTreeSet<u32> {
    let parents: BTreeMap<u32, u32> = processes()
        .filter_map(|id| Some((id, parent(id)?)))
        .collect();
    let mut members: BTreeSet<u32> = parents
        .keys()
        .copied()
        .filter(|id| *id == root || has_in_environment(*id, marker))
        .collect();
    loop {
        let before = members.len();
        for (id, parent) in &parents {
            if members.contains(parent) {
                members.insert(*id);
            }
        }
        if members.len() == before {
            members.remove(&std::process::id());
            return members;
        }
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The parent's id; none for a process that is gone or a zombie.
fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in the second field is in parentheses and may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}

fn has_in_environment(id: u32, marker: &str) -> bool {
    fs::read(format!("/proc/{id}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == marker.as_bytes())
    })
}

fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // The process may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}
