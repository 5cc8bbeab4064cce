//! The fixture of the tests against a real sshd, proved with OpenSSH's own client.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

mod support;
use support::{Sshd, SshdOptions, copy_folder};

/// `ssh` to one of the server's addresses, with nothing but what the fixture gives.
fn ssh(sshd: &Sshd, address: &str, command: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.args([
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "IdentityAgent=none",
    ]);
    ssh.args([
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "GlobalKnownHostsFile=none",
    ]);
    ssh.arg("-o").arg(format!(
        "UserKnownHostsFile={}",
        sshd.known_hosts().display()
    ));
    ssh.arg("-i").arg(sshd.identity_file());
    ssh.args([
        "-p",
        &sshd.port().to_string(),
        "-l",
        sshd.user(),
        address,
        command,
    ]);
    ssh.stdin(Stdio::null());
    ssh
}

fn run(sshd: &Sshd, address: &str, command: &str) -> Output {
    ssh(sshd, address, command)
        .output()
        .expect("the OpenSSH client is installed")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn exists(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn logs_in_on_every_loopback_address() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    for address in [sshd.address(), "127.0.0.2", "127.9.8.7"] {
        let output = run(&sshd, address, "id -un; echo \"$SSH_CONNECTION\"; exit 7");
        assert_eq!(
            output.status.code(),
            Some(7),
            "{}\n{}",
            text(&output.stderr),
            sshd.log()
        );
        let stdout = text(&output.stdout);
        let (user, connection) = stdout.split_once('\n').expect("two lines");
        assert_eq!(user, sshd.user());
        assert!(
            connection.contains(&format!(" {address} {}", sshd.port())),
            "{connection}"
        );
    }
    assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
}

#[test]
fn refuses_keys_when_asked() {
    let Some(sshd) = Sshd::start(SshdOptions::default().refuse_keys()) else {
        return;
    };
    let output = run(&sshd, sshd.address(), "true");
    assert_eq!(output.status.code(), Some(255));
    assert!(
        text(&output.stderr).contains("Permission denied (publickey)"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn has_the_host_keys_and_limits_of_its_options() {
    let options = SshdOptions::default()
        .host_keys(&["ecdsa", "ed25519"])
        .max_startups("1")
        .max_sessions(3);
    let Some(sshd) = Sshd::start(options) else {
        return;
    };
    for algorithm in ["ecdsa-sha2-nistp256", "ssh-ed25519"] {
        wait_until("a log-in past MaxStartups", || {
            let mut client = ssh(&sshd, sshd.address(), "true");
            client.args(["-o", &format!("HostKeyAlgorithms={algorithm}")]);
            client.output().is_ok_and(|output| output.status.success())
        });
    }
    // One connection that never authenticates fills the only place.
    let _idle = std::net::TcpStream::connect((sshd.address(), sshd.port())).expect("sshd listens");
    wait_until("a refusal for load", || {
        let refused = run(&sshd, sshd.address(), "true").status.code() == Some(255);
        refused && sshd.log().contains("MaxStartups")
    });
}

#[test]
fn root_logs_in_when_asked() {
    if !rustix::process::geteuid().is_root() {
        return support::skip_or_fail(
            "root_logs_in_when_asked",
            "only root can start an sshd for root",
        );
    }
    let Some(sshd) = Sshd::start(SshdOptions::default().root_login()) else {
        return;
    };
    let output = run(&sshd, sshd.address(), "id -u");
    assert_eq!(text(&output.stdout), "0\n", "{}", text(&output.stderr));
}

#[test]
fn ends_with_everything_it_started() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    // One process stays in the session, one leaves it and its group.
    let command = "setsid sleep 600 >/dev/null 2>&1 </dev/null & sleep 600 & echo started; wait";
    let mut client = ssh(&sshd, sshd.address(), command)
        .stdout(Stdio::null())
        .spawn()
        .expect("ssh");
    wait_until("two sleeping processes", || sleeping(&sshd) == 2);
    let processes = sshd.processes();
    drop(sshd);
    client.wait().expect("our own child");
    wait_until("the end of all processes", || {
        !processes.iter().any(|id| exists(*id))
    });
}

fn sleeping(sshd: &Sshd) -> usize {
    let name = |id: &u32| std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    sshd.processes()
        .iter()
        .map(name)
        .filter(|name| name.trim() == "sleep")
        .count()
}

#[test]
fn a_folder_is_copied_while_files_in_it_come_and_go() {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    let folder = tempfile::tempdir().expect("a folder");
    let from = folder.path().join("etc");
    fs::create_dir(&from).expect("ours");
    for name in 0..100 {
        fs::write(from.join(format!("file{name}")), "x").expect("ours");
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As useradd does with /etc/passwd and its lock.
            while !is_over.load(Ordering::Relaxed) {
                fs::write(from.join("file.lock"), "1").expect("ours");
                fs::write(from.join("file.new"), "y").expect("ours");
                fs::rename(from.join("file.new"), from.join("file50")).expect("ours");
                fs::remove_file(from.join("file.lock")).expect("ours");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for copy in 0..20 {
            let to = folder.path().join(format!("copy{copy}"));
            copy_folder(&from, &to);
            for name in 0..100 {
                let text = fs::read_to_string(to.join(format!("file{name}")));
                assert_eq!(text.expect("it was copied").len(), 1, "file{name}");
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
