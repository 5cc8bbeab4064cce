//! The example `loga` as people call it: what Logasaurus's users typed means what it meant, and its faults stay dead.
//!
//! `data` has what two versions of Logasaurus were given, sent and printed.

mod configured;
mod following;
mod meant;
mod real;
mod sent;
mod shown;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const LOGA_YAML: &str = include_str!("data/loga.yaml");

/// How long something may take that is sure to come.
const DEADLINE: Duration = Duration::from_secs(60);

/// The example, which is built beside the tests.
fn example() -> PathBuf {
    let own = std::env::current_exe().expect("ourselves");
    let profile = own.ancestors().nth(2).expect("the folder of the profile");
    let built = profile.join("examples/loga");
    assert!(
        built.exists(),
        "{} is not there; `cargo build --examples` builds it",
        built.display()
    );
    built
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("ours");
        std::fs::write(path, text).expect("ours");
    }
    folder
}

fn command<A: AsRef<str>>(folder: &Path, arguments: &[A]) -> Command {
    let mut command = Command::new(example());
    command
        .args(arguments.iter().map(AsRef::as_ref))
        .current_dir(folder)
        .env("HOME", folder.join("home"))
        .env("TZ", "UTC")
        .env_remove("NO_COLOR")
        .env_remove("LOGA_PASSWORD")
        .stdin(Stdio::null());
    command
}

/// What a call prints, what it says, and how it ends.
struct Ran {
    code: Option<i32>,
    printed: String,
    said: String,
}

fn run<A: AsRef<str>>(folder: &Path, arguments: &[A]) -> Ran {
    let output = command(folder, arguments).output().expect("it runs");
    Ran {
        code: output.status.code(),
        printed: String::from_utf8(output.stdout).expect("UTF-8"),
        said: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A call that goes on until it is ended.
struct Running {
    child: Child,
    printed: Receiver<String>,
    said: Receiver<String>,
}

impl Running {
    fn start<A: AsRef<str>>(folder: &Path, arguments: &[A]) -> Self {
        let mut child = command(folder, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = |stream: Box<dyn std::io::Read + Send>| {
            let (sender, receiver) = channel();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
            receiver
        };
        Self {
            printed: lines(Box::new(child.stdout.take().expect("a pipe"))),
            said: lines(Box::new(child.stderr.take().expect("a pipe"))),
            child,
        }
    }

    /// The next line that it prints.
    fn line(&self) -> String {
        self.printed
            .recv_timeout(DEADLINE)
            .expect("it prints a line")
    }

    /// Waits for it to say something that has this in it.
    fn says(&self, part: &str) -> String {
        let mut said = Vec::new();
        loop {
            match self.said.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => said.push(line),
                Err(_) => panic!("it says {part}, and not only {said:?}"),
            }
        }
    }

    /// Ends it as Ctrl-C does; what it printed and said besides.
    fn interrupt(&mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let status = interrupt(&mut self.child);
        (
            status,
            self.printed.iter().collect(),
            self.said.iter().collect(),
        )
    }
}

/// Sends what Ctrl-C does, and waits for the end.
fn interrupt(child: &mut Child) -> ExitStatus {
    let id = i32::try_from(child.id()).expect("an id");
    kill(Pid::from_raw(id), Signal::SIGINT).expect("it runs");
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("ours") {
            return status;
        }
        if Instant::now() > deadline {
            // It is ours to clean up.
            let _ = child.kill();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
