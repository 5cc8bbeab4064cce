//! Files to and from a real sshd.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clusterops::ssh::transfer::SkippedBecause;
use clusterops::ssh::{Bandwidth, ErrorKind, Event, Files, Termination, TransferOptions};
use clusterops::{Fleet, Plan, Session, SessionOptions, Stage};
use tempfile::TempDir;

#[path = "../support/mod.rs"]
mod support;

mod fleets;
mod hostile;
mod one_file;
mod resuming;
mod trees;

use support::{Sshd, SshdOptions};

fn options() -> SessionOptions {
    SessionOptions::default().agent(false)
}

async fn connect(sshd: &Sshd) -> Session {
    match Session::connect(&sshd.target("web1", "127.0.0.1"), &options()).await {
        Ok(session) => session,
        Err(error) => panic!("{error:?}\n{}", sshd.log()),
    }
}

/// A folder that both the test and the login user can write to.
fn shared_folder(sshd: &Sshd, name: &str) -> PathBuf {
    let folder = sshd.folder().join(name);
    fs::create_dir(&folder).expect("a new folder");
    set_mode(&folder, 0o777);
    folder
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    metadata.mode() & 0o7777
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Bytes that no transfer can mix up.
fn content(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(length as u64);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

/// The names in a folder, unfinished files included.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every path of a tree with what it is.
fn listing(root: &Path) -> BTreeMap<PathBuf, (String, u32, i64)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("there");
            let what = if metadata.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                all.insert(
                    path.strip_prefix(root).expect("below").to_owned(),
                    (format!("link to {}", target.display()), 0, 0),
                );
                continue;
            } else {
                format!("{:?}", fs::read(&path).expect("readable"))
            };
            let path = path.strip_prefix(root).expect("below").to_owned();
            all.insert(path, (what, metadata.mode() & 0o7777, metadata.mtime()));
        }
    }
    all
}

/// A tree with whatever a tree can hold, and nothing that would be left out.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().expect("a folder");
    let root = tree.path();
    fs::create_dir_all(root.join("empty")).expect("ours");
    fs::create_dir_all(root.join("größe ✓/deep er/new\nline")).expect("ours");
    let odd = std::ffi::OsStr::from_bytes(b"not \xff utf-8");
    fs::create_dir(root.join(odd)).expect("ours");
    for (name, content) in [
        ("a", &b"a"[..]),
        ("empty file", b""),
        ("-n", b"option"),
        ("back\\slash 'quote' $HOME `id`", b"\0\xff"),
        ("größe ✓/deep er/new\nline/f", &content(300_000)),
    ] {
        fs::write(root.join(name), content).expect("ours");
    }
    fs::write(root.join(odd).join(odd), "odd").expect("ours");
    for number in 0..150 {
        fs::write(root.join(format!("many{number}")), number.to_string()).expect("ours");
    }
    set_mode(&root.join("a"), 0o4751);
    set_mode(&root.join("empty"), 0o750);
    symlink("a", root.join("link")).expect("ours");
    symlink("../a", root.join("größe ✓/up")).expect("ours");
    symlink("größe ✓/deep er", root.join("to folder")).expect("ours");
    symlink("nowhere", root.join("broken")).expect("ours");
    for entry in listing(root).keys() {
        let path = root.join(entry);
        if !path.is_symlink() && !path.is_dir() {
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            let file = fs::File::open(&path).expect("ours");
            file.set_modified(time).expect("ours");
        }
    }
    tree
}
