//! Terminals on demand.

use clusterops::Command;
use clusterops::ssh::{ErrorKind, Exit};

use crate::connect;
use crate::support::{Sshd, SshdOptions};

#[tokio::test]
async fn a_terminal_changes_nothing_of_what_goes_through() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd, &sshd.target("web1", "127.0.0.1")).await;
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
