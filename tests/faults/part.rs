//! Parts of a test that need a process of their own: other limits, another clock, other files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The environment variable that tells a part what it is about, as JSON.
const ABOUT: &str = "CLUSTEROPS_TEST_PART";

/// The command that runs the ignored test `name` of this program, behind the words of `wrapper`.
pub(crate) fn command(wrapper: &[&str], name: &str, about: &serde_json::Value) -> Command {
    let own = std::env::current_exe().expect("this program has a path");
    let (program, arguments) = match wrapper.split_first() {
        Some((program, arguments)) => (program.into(), arguments),
        None => (own.clone().into_os_string(), wrapper),
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if !wrapper.is_empty() {
        command.arg(own);
    }
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env(ABOUT, about.to_string());
    command
}

/// Runs a part to its end beside what the test itself serves.
pub(crate) async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic")
        .expect("the program can be started")
}

/// Runs a part that must succeed.
pub(crate) async fn succeeds(command: Command) {
    let output = run(command).await;
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What this process is about, in a part.
pub(crate) fn about() -> serde_json::Value {
    let text = std::env::var(ABOUT).expect("started as a part");
    serde_json::from_str(&text).expect("written by the test")
}

/// A wrapper for a part whose files are its own: `script` changes mounts first. `None` where the machine does not let us.
pub(crate) fn with_own_mounts(script: &'static str) -> Option<[&'static str; 7]> {
    let mut wrapper = ["unshare", "-r", "-m", "sh", "-c", script, "sh"];
    if rustix::process::geteuid().is_root() {
        wrapper[1] = "-m";
    }
    Command::new(wrapper[0])
        .args(&wrapper[1..3])
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success())
        .then_some(wrapper)
}

/// A library to be loaded into a part before others (`LD_PRELOAD`), from its source. `None` where there is no C compiler.
pub(crate) fn library(folder: &Path, source: &str) -> Option<PathBuf> {
    let (file, library) = (folder.join("library.c"), folder.join("library.so"));
    std::fs::write(&file, source).expect("our folder");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &file])
        .status();
    compiled
        .is_ok_and(|status| status.success())
        .then_some(library)
}
