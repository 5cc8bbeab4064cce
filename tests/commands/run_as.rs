//! Commands that run as another user: real sudo, su and doas, with configurations of their own.

use std::time::{Duration, Instant};

use clusterops::core::secrecy::SecretString;
use clusterops::ssh::{ErrorKind, Exit, RunAs, Termination};
use clusterops::{Command, Session};

use crate::support::{PASSWORD, Sshd, SshdOptions};
use crate::{connect, options};

/// `ops` may do all with its password, `free` without, `none` nothing; `typist` needs a terminal for it.
const SUDOERS: &str = "\
Defaults lecture=always\n\
Defaults:typist requiretty, use_pty\n\
Defaults passwd_tries=3\n\
root ALL=(ALL) ALL\n\
ops ALL=(ALL) ALL\n\
typist ALL=(ALL) ALL\n\
free ALL=(ALL) NOPASSWD: ALL\n";

const DOAS: &str = "permit ops\npermit nopass free\n";

fn sshd() -> Option<Sshd> {
    let options = ["ops", "typist", "free", "none", "app"]
        .iter()
        .fold(SshdOptions::default(), |options, user| {
            options.account(user, "/bin/sh")
        });
    Sshd::start(options.etc("sudoers", SUDOERS).etc("doas.conf", DOAS))
}

async fn log_in(sshd: &Sshd, user: &str) -> Session {
    connect(sshd, &sshd.target_for(user)).await
}

fn password() -> SecretString {
    PASSWORD.into()
}

/// Says as whom it runs, what its environment holds, and what it was given to read.
fn probe(run_as: RunAs) -> Command {
    Command::shell("id -un; echo \"$V\"; cat; echo to stderr >&2")
        .env("V", "a value")
        .stdin("input\nwithout end")
        .run_as(run_as)
}

const PROBED: &str = "a value\ninput\nwithout end";

#[tokio::test]
async fn sudo_asks_for_a_password_or_for_none() {
    let Some(sshd) = sshd() else { return };
    for (login, user) in [
        ("ops", "root"),
        ("ops", "app"),
        ("free", "root"),
        ("free", "app"),
    ] {
        let session = log_in(&sshd, login).await;
        let command = probe(RunAs::sudo().user(user)).run_as_password(password());
        let output = session.output(&command).await.expect("it may");
        assert_eq!(
            output.stdout.to_string(),
            format!("{user}\n{PROBED}"),
            "{login}"
        );
        assert_eq!(
            output.stderr.to_string(),
            "to stderr\n",
            "nothing of sudo's"
        );
        assert_eq!(output.exit, Exit::Status(0));
    }
    let session = log_in(&sshd, "free").await;
    let output = session.output(&probe(RunAs::sudo())).await.expect("it may");
    assert_eq!(output.stdout.to_string(), format!("root\n{PROBED}"));
}

#[tokio::test]
async fn a_terminal_serves_sudoers_that_want_one() {
    let Some(sshd) = sshd() else { return };
    let session = log_in(&sshd, "typist").await;
    let command = probe(RunAs::sudo()).run_as_password(password());
    let error = session.output(&command).await.expect_err("requiretty");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    for said in ["must have a tty", "`Command::pty`"] {
        assert!(error.to_string().contains(said), "{error}");
    }
    let output = session.output(&command.pty()).await.expect("there is one");
    assert_eq!(
        output.stdout.to_string(),
        format!("root\n{PROBED}to stderr\n")
    );
    assert_eq!(output.stderr.to_string(), "");
}

#[tokio::test]
async fn a_terminal_of_sudos_own_ends_with_its_command() {
    let Some(sshd) = sshd() else { return };
    let session = log_in(&sshd, "typist").await;
    for (line, times) in [("true", 20), ("cat", 2), ("echo out; exit 3", 20)] {
        for _ in 0..times {
            let command = Command::shell(line)
                .run_as(RunAs::sudo())
                .run_as_password(password())
                .pty()
                .deadline(Duration::from_secs(20));
            let output = session.output(&command).await.expect(line);
            assert!(output.exit != Exit::ClosedWithoutStatus, "{line}");
        }
    }
}

#[tokio::test]
async fn su_and_doas_ask_on_a_terminal() {
    let Some(sshd) = sshd() else { return };
    for (login, run_as, user) in [
        ("none", RunAs::su().user("app"), "app"),
        ("ops", RunAs::doas(), "root"),
        ("ops", RunAs::doas().user("app"), "app"),
        ("free", RunAs::doas(), "root"),
    ] {
        let session = log_in(&sshd, login).await;
        let command = probe(run_as.clone()).run_as_password(password());
        let output = session.output(&command).await.expect("it may");
        assert_eq!(
            output.stdout.to_string(),
            format!("{user}\n{PROBED}to stderr\n"),
            "{run_as} for {login}"
        );
    }
}

#[tokio::test]
async fn what_is_refused_says_so_at_once() {
    let Some(sshd) = sshd() else { return };
    let session = log_in(&sshd, "ops").await;
    for run_as in [RunAs::sudo(), RunAs::su().user("app"), RunAs::doas()] {
        let wrong = Command::shell("cat").run_as(run_as.clone());
        let error = session.output(&wrong).await.expect_err("no password");
        assert_eq!(error.kind(), ErrorKind::Secret, "{run_as}: {error}");
        let wrong = wrong.run_as_password("not-this-one".into());
        let error = session.output(&wrong).await.expect_err("a wrong password");
        assert_eq!(error.kind(), ErrorKind::Authentication, "{run_as}: {error}");
        assert!(
            error.to_string().contains("refused the password"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("not-this-one"), "{error:?}");
    }
    let session = log_in(&sshd, "none").await;
    for run_as in [
        RunAs::sudo(),
        RunAs::doas(),
        RunAs::sudo().user("nobody-of-this-name"),
    ] {
        let command = probe(run_as.clone()).run_as_password(password());
        let error = session.output(&command).await.expect_err("not allowed");
        assert_eq!(error.kind(), ErrorKind::Authentication, "{run_as}: {error}");
    }
    // Where sudo is not found.
    let bare = SshdOptions::default()
        .account("ops", "/bin/sh")
        .line("SetEnv PATH=/nonexistent");
    let Some(bare) = Sshd::start(bare) else {
        return;
    };
    let session = log_in(&bare, "ops").await;
    let error = session
        .output(&probe(RunAs::sudo()))
        .await
        .expect_err("no sudo");
    assert_eq!(error.kind(), ErrorKind::Command);
    assert!(error.to_string().contains("there is no sudo"), "{error}");
}

#[tokio::test]
async fn a_script_is_read_and_removed_as_the_other_user() {
    let Some(sshd) = sshd() else { return };
    let folder = sshd.folder().join("tmp");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("ours");
    let tmp = folder.to_str().expect("UTF-8");
    for (login, run_as) in [
        ("free", RunAs::sudo().user("app")),
        ("typist", RunAs::sudo().user("app")),
        ("ops", RunAs::doas().user("app")),
        ("none", RunAs::su().user("app")),
    ] {
        let session = log_in(&sshd, login).await;
        let on_terminal = |command: Command| match login {
            "typist" => command.pty(),
            _ => command,
        };
        let text = "import os, pwd, sys\nprint(pwd.getpwuid(os.getuid()).pw_name, sys.argv[1:], sys.stdin.read())\n";
        let script = Command::script(text, ["python3", "-I"], ["a b"])
            .env("TMPDIR", tmp)
            .stdin("in")
            .run_as(run_as.clone())
            .run_as_password(password());
        let output = session.output(&on_terminal(script)).await;
        let output = output.expect("it runs");
        assert_eq!(output.stdout.to_string(), "app ['a b'] in\n", "{run_as}");
        // Killed before it can tidy up.
        let script = Command::script("kill -KILL $$", ["/bin/sh"], [""; 0])
            .env("TMPDIR", tmp)
            .run_as(run_as.clone())
            .run_as_password(password());
        let output = session.output(&on_terminal(script)).await;
        let output = output.expect("it runs");
        assert!(!output.exit.is_success(), "{run_as}");
        assert_eq!(
            std::fs::read_dir(&folder).expect("the folder").count(),
            0,
            "{run_as}"
        );
    }
}

#[tokio::test]
async fn a_deadline_ends_the_processes_of_the_other_user() {
    let Some(sshd) = sshd() else { return };
    for (login, run_as) in [
        ("ops", RunAs::sudo()),
        ("ops", RunAs::sudo().user("app")),
        ("ops", RunAs::doas()),
        ("none", RunAs::su().user("app")),
        ("typist", RunAs::sudo()),
    ] {
        let session = log_in(&sshd, login).await;
        // One that ignores SIGTERM, and one that leaves the process group.
        let line = "trap '' TERM; setsid sleep 1717 & sleep 1717 & echo ready; sleep 1717";
        let command = Command::shell(line)
            .run_as(run_as.clone())
            .run_as_password(password());
        let command = match login {
            "typist" => command.pty(),
            _ => command,
        };
        let mut process = session.exec(&command).await.expect("it starts");
        let chunk = process
            .next()
            .await
            .expect("it speaks")
            .expect("before it ends");
        assert_eq!(&chunk.bytes[..], b"ready\n");
        let deadline = Instant::now() + Duration::from_secs(20);
        while remaining(&sshd, "sleep\x001717").len() < 3 {
            assert!(Instant::now() < deadline, "{run_as}: they did not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let end = process.terminate(&session, Duration::from_secs(2)).await;
        assert_eq!(end, Termination::Confirmed, "{run_as}");
        let left = remaining(&sshd, "sleep\x001717");
        assert!(left.is_empty(), "{run_as}: {left:?}");
    }
}

/// An end that the host does not let us see is not called one.
#[tokio::test]
async fn an_end_that_policy_hides_is_not_confirmed() {
    let Some(sshd) = sshd() else { return };
    let session = log_in(&sshd, "ops").await;
    let command = Command::shell("trap '' TERM; echo ready; sleep 1718")
        .run_as(RunAs::sudo())
        .run_as_password(password());
    let mut process = session.exec(&command).await.expect("it starts");
    process.next().await.expect("it speaks");
    let sudoers = sshd.folder().join("etc/sudoers");
    std::fs::write(sudoers, "root ALL=(ALL) ALL\n").expect("our own copy");
    match process.terminate(&session, Duration::from_secs(1)).await {
        Termination::Unconfirmed(why) => {
            assert!(why.contains("does not run commands as `root`"), "{why}");
        }
        Termination::Confirmed => panic!("nobody could look"),
    }
}

#[tokio::test]
async fn secrets_are_in_no_argument_list() {
    let Some(sshd) = sshd() else { return };
    let (secret, given) = ("s3cret-value", "g1ven-input");
    for run_as in [
        None,
        Some(RunAs::sudo()),
        Some(RunAs::doas()),
        Some(RunAs::su().user("app")),
    ] {
        let session = log_in(&sshd, "ops").await;
        let mut command = Command::shell("echo ready; cat >/dev/null; echo \"$V\"")
            .secret_env("V", secret.into())
            .stdin_streamed();
        if let Some(run_as) = &run_as {
            command = command.run_as(run_as.clone()).run_as_password(password());
        }
        assert!(!format!("{command:?}").contains("hun"), "{command:?}");
        assert!(!format!("{command:?}").contains(secret), "{command:?}");
        let mut process = session.exec(&command).await.expect("it starts");
        let mut stdin = process.stdin().expect("it was asked for");
        tokio::io::AsyncWriteExt::write_all(&mut stdin, given.as_bytes())
            .await
            .expect("it reads");
        process.next().await.expect("it speaks");
        for hidden in [secret, given, PASSWORD] {
            assert_eq!(remaining(&sshd, hidden), [""; 0], "{run_as:?}");
        }
        // The look is one that finds things.
        assert!(!remaining(&sshd, "echo ready; cat").is_empty());
        drop(stdin);
        let mut said = Vec::new();
        while let Some(chunk) = process.next().await.expect("it goes on") {
            said.extend_from_slice(&chunk.bytes);
        }
        assert_eq!(
            String::from_utf8_lossy(&said),
            format!("{secret}\n"),
            "{run_as:?}"
        );
        assert!(!sshd.log().contains(secret));
    }
}

/// The argument lists of the sshd's processes that hold a text.
pub(crate) fn remaining(sshd: &Sshd, text: &str) -> Vec<String> {
    let lists = sshd.processes().into_iter().filter_map(|id| {
        let list = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
        Some(String::from_utf8_lossy(&list).into_owned())
    });
    lists.filter(|list| list.contains(text)).collect()
}

/// Passwords that the targets have, and one that is asked for; in a plan.
#[tokio::test]
async fn a_plan_runs_as_each_host_says() {
    use clusterops::ssh::Credentials;
    use clusterops::{Fleet, Plan, Purpose, Stage, Target};

    #[derive(Debug)]
    struct Vault;

    #[async_trait::async_trait]
    impl Credentials for Vault {
        async fn secret(
            &self,
            target: &Target,
            purpose: &Purpose,
        ) -> clusterops::ssh::Result<Option<SecretString>> {
            assert_eq!(*purpose, Purpose::RunAs(RunAs::sudo()));
            Ok((target.name == "asked").then(password))
        }
    }

    let Some(sshd) = sshd() else { return };
    let become_it = |name: &str, secret: Option<&str>| {
        let mut target = Target {
            name: name.into(),
            ..sshd.target_for("ops")
        };
        target.variables.insert("ansible_become", "true");
        if let Some(secret) = secret {
            target
                .secrets
                .insert("ansible_become_password".into(), secret.into());
        }
        target
    };
    let targets = [
        become_it("told", Some(PASSWORD)),
        become_it("asked", None),
        become_it("wrong", Some("not-this-one")),
        become_it("unknown", None),
        sshd.target_for("ops"),
    ];
    let plan = Plan::new("p").stage(Stage::command("who", ["id", "-un"]).creates("/nonexistent"));
    let fleet = Fleet::new(targets)
        .session(options())
        .credentials(std::sync::Arc::new(Vault));
    let report = fleet
        .run(&plan)
        .expect("a valid plan")
        .await
        .expect("it goes on");
    let said = |name: &str| {
        let host = report.host(name).expect("a host");
        match &host.failure {
            None => host.stages[0].stdout.to_string(),
            Some(failure) => failure.kind.to_string(),
        }
    };
    let all = ["told", "asked", "wrong", "unknown", "web1"].map(said);
    assert_eq!(
        all,
        ["root\n", "root\n", "authentication", "secret", "ops\n"],
        "{report}"
    );
    let json = serde_json::to_string(&report).expect("plain data");
    assert!(
        !json.contains("not-this-one") && !json.contains("hun"),
        "{json}"
    );
}
