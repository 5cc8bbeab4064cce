//! OpenSSH's clients against the simulator.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use clusterops_core::Target;

use crate::sim::{Answer, Fault, Sim, SimHost};

/// Runs an OpenSSH client with its standard input; `None` where it is not installed.
async fn client(
    program: &'static str,
    target: &Target,
    arguments: &[&str],
    input: &'static str,
) -> Option<Output> {
    let mut command = Command::new(program);
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().expect("set").display().to_string();
    command
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ])
        .args([
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "GlobalKnownHostsFile=none",
            "-o",
            "LogLevel=INFO",
        ])
        .args([
            "-o",
            &format!("IdentityFile={}", path(&target.identity_file)),
        ])
        .args([
            "-o",
            &format!("UserKnownHostsFile={}", path(&target.known_hosts)),
        ])
        .args(["-o", &format!("Port={}", target.port.expect("set"))])
        .args(arguments.first().filter(|first| first.starts_with("-b")))
        .arg(format!(
            "{}@{}",
            target.user.as_deref().expect("set"),
            target.address
        ))
        .args(
            arguments
                .iter()
                .filter(|argument| !argument.starts_with("-b")),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("skipped: `{program}` is not installed");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(input.as_bytes())
            .expect("the client reads");
        Some(child.wait_with_output().expect("the client ends"))
    })
    .await
    .expect("no panic")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn ssh_runs_commands() {
    let hosts = [
        SimHost::new("a").answer(
            "uname -r",
            Answer::stdout("6.1.0\n")
                .with_stderr("warned\n")
                .with_status(3),
        ),
        SimHost::new("own").own_port(),
    ];
    let sim = Sim::start(hosts).await.expect("started");
    let Some(output) = client("ssh", &sim.target("a"), &["uname -r"], "").await else {
        return;
    };
    assert_eq!(
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr)
        ),
        (Some(3), "6.1.0\n".into(), "warned\n".into())
    );
    let output = client("ssh", &sim.target("a"), &["cat"], "typed\n")
        .await
        .expect("installed");
    assert_eq!(text(&output.stdout), "typed\n");
    let output = client("ssh", &sim.target("own"), &["hostname"], "")
        .await
        .expect("installed");
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("own\n".into(), String::new())
    );
}

#[tokio::test]
async fn ssh_sees_the_faults() {
    let sim = Sim::start([SimHost::new("a")]).await.expect("started");
    let host = sim.host("a");
    for (fault, said) in [
        (Fault::WrongHostKey, "Host key verification failed"),
        (Fault::RejectAuthentication, "Permission denied (publickey)"),
        (
            Fault::DropInKeyExchange,
            "kex_exchange_identification|Connection closed|Connection reset",
        ),
        (Fault::DropFirst(1), "Connection closed|Connection reset"),
    ] {
        host.fault(fault.clone());
        let Some(output) = client("ssh", &sim.target("a"), &["true"], "").await else {
            return;
        };
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(255), "{fault:?}: {stderr}");
        assert!(
            said.split('|').any(|said| stderr.contains(said)),
            "{fault:?}: {stderr}"
        );
        host.heal();
        let output = client("ssh", &sim.target("a"), &["true"], "")
            .await
            .expect("installed");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{fault:?}: {}",
            text(&output.stderr)
        );
    }
}

#[tokio::test]
async fn sftp_moves_files() {
    let sim = Sim::start([SimHost::new("a").file("/etc/motd", "welcome\n")])
        .await
        .expect("started");
    let folder = tempfile::tempdir().expect("made");
    let local = folder.path().join("app");
    std::fs::write(&local, "content\n").expect("written");
    let back = folder.path().join("motd");
    let batch = folder.path().join("batch");
    let lines = format!(
        "put {0} /opt/app\nchmod 750 /opt/app\nrename /opt/app /opt/app2\nmkdir /opt/d\nls /opt\nget /etc/motd {1}\n",
        local.display(),
        back.display()
    );
    std::fs::write(&batch, lines).expect("written");
    let batch = format!("-b{}", batch.display());
    let Some(output) = client("sftp", &sim.target("a"), &[&batch], "").await else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let listed = text(&output.stdout);
    assert!(
        listed.contains("/opt/app2") && listed.contains("/opt/d"),
        "{listed}"
    );
    assert_eq!(
        sim.host("a").read_file("/opt/app2").expect("there"),
        b"content\n"
    );
    assert_eq!(sim.host("a").mode("/opt/app2").expect("there"), 0o750);
    assert_eq!(std::fs::read_to_string(&back).expect("there"), "welcome\n");
}
