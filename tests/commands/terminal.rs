//! Terminals on demand.

use clusterops::config::Config;
use clusterops::ssh::{ErrorKind, Exit};
use clusterops::{Command, Session};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Sshd, SshdOptions};
use crate::{connect, options};

#[tokio::test]
async fn a_terminal_changes_nothing_of_what_goes_through() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd, &sshd.target("web1", "127.0.0.1")).await;
    goes_through(&session).await;
}

#[tokio::test]
async fn a_terminal_of_busybox_changes_nothing_either() {
    let options = SshdOptions::default().account("ops", "/bin/sh").busybox();
    let Some(sshd) = Sshd::start(options) else {
        return;
    };
    let session = connect(&sshd, &sshd.target_for("ops")).await;
    let help = Command::shell("/bin/sh --help 2>&1").pty();
    let help = session.output(&help).await.expect("it runs");
    assert!(help.stdout.to_string().contains("BusyBox"), "{help:?}");
    goes_through(&session).await;
}

async fn goes_through(session: &Session) {
    // The header is longer than a line may be on a terminal.
    let long = "w".repeat(20_000);
    let line =
        "test -t 0 && test -t 1 && test -t 2 && printf '%s\\n' \"$V\" && echo err >&2; exit 3";
    let command = Command::shell(line).env("V", &long).pty();
    let output = session.output(&command).await.expect("it runs");
    assert_eq!(output.stdout.to_string(), format!("{long}\nerr\n"));
    assert_eq!(output.exit, Exit::Status(3));
    assert_eq!(output.stderr.to_string(), "");

    // Every byte, lines of every length, and an end.
    let mut input: Vec<u8> = (0..=255).collect();
    input.extend([4, 4, 22, b'\n', 4, b'\r', b'\n', 0]);
    input.extend(vec![b'x'; 100_000]);
    for end in [&b""[..], b"\n", b"\x04"] {
        let input = [&input[..], end].concat();
        let command = Command::new(["cat"]).stdin(input.clone()).pty();
        let output = session.output(&command).await.expect("it runs");
        assert_eq!(output.stdout.bytes(), Some(&input[..]), "{end:?}");
    }
    let script = Command::script("cat; tty -s", ["/bin/sh"], [""; 0])
        .stdin("in")
        .pty();
    let output = session.output(&script).await.expect("it runs");
    assert_eq!(
        (output.stdout.to_string(), output.exit),
        ("in".into(), Exit::Status(0))
    );
}

#[tokio::test]
async fn any_amount_can_be_typed() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd, &sshd.target("web1", "127.0.0.1")).await;
    let input: Vec<u8> = (0..3_000_000_u64)
        .map(|at| u8::try_from(at * at % 251).unwrap_or_default())
        .collect();
    for reader in ["cat | cksum", "sleep 1; cat | cksum"] {
        let count = |command: Command| command.stdin(input.clone());
        let plain = session.output(&count(Command::shell(reader))).await;
        let plain = plain.expect("it runs").stdout.to_string();
        let typed = session
            .output(&count(Command::shell(reader)).pty())
            .await
            .expect("the connection stands");
        assert_eq!(typed.stdout.to_string(), plain, "{reader}");
    }
    // The end is there for whoever reads next, as it is on a pipe.
    let twice = Command::shell("cat; cat; cat").stdin("in").pty();
    let output = session.output(&twice).await.expect("it ends");
    assert_eq!(output.stdout.to_string(), "in");
    // Whoever writes first and reads later is not held up by that.
    let streamed = Command::shell("cksum").stdin_streamed().pty();
    let mut process = session.exec(&streamed).await.expect("it runs");
    let mut stdin = process.stdin().expect("it was asked for");
    let held = process.next();
    tokio::pin!(held);
    let typing = async {
        stdin.write_all(&input).await?;
        stdin.shutdown().await
    };
    let output = tokio::select! {
        biased;
        typed = typing => {
            typed.expect("it is taken");
            held.await
        }
        output = &mut held => output,
    };
    let output = output.expect("the connection stands").expect("it writes");
    assert!(output.bytes.ends_with(b" 3000000\n"), "{output:?}");
}

#[tokio::test]
async fn the_configuration_forces_terminals_on_commands_that_do_not_mind() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let target = sshd.target("web1", "127.0.0.1");
    let is_terminal = || Command::shell("test -t 0 && test -t 1 && test -t 2");
    for (value, is_forced) in [
        ("force", true),
        ("yes", false),
        ("auto", false),
        ("no", false),
    ] {
        let config = Config::parse(format!("RequestTTY {value}"), "test").expect(value);
        let session = Session::connect(&target, &options().config(config)).await;
        let session = session.expect("it connects");
        for (command, expected) in [
            (is_terminal(), is_forced),
            (is_terminal().pty(), true),
            (is_terminal().without_pty(), false),
        ] {
            let output = session.output(&command).await.expect("it runs");
            assert_eq!(output.exit.is_success(), expected, "{value} {command:?}");
        }
        // What is sent arrives as it was, and digests of files are read from a standard output of their own.
        let script = Command::script("cat; printf %s \"$SECRET\"", ["/bin/sh"], [""; 0])
            .secret_env("SECRET", "\u{4}secret".into())
            .stdin("in\u{4}\u{3}\r\n");
        let output = session.output(&script).await.expect("it runs");
        let expected = "in\u{4}\u{3}\r\n\u{4}secret";
        assert_eq!(output.stdout.to_string(), expected, "{value}");
        let files = session.files().await.expect("SFTP");
        let copy = sshd.folder().join("copy");
        let fetched = files.download("/etc/passwd", &copy).await;
        fetched.expect("it is verified");
    }
}

#[tokio::test]
async fn a_server_without_terminals_says_so() {
    let Some(sshd) = Sshd::start(SshdOptions::default().line("PermitTTY no")) else {
        return;
    };
    let session = connect(&sshd, &sshd.target("web1", "127.0.0.1")).await;
    let error = session
        .output(&Command::new(["true"]).pty())
        .await
        .expect_err("no terminal");
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("PermitTTY"), "{error}");
}
