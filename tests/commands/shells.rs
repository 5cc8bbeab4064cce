//! Words arrive whatever the login shell is.

use clusterops::Command;
use clusterops::ssh::RunAs;

use crate::connect;
use crate::support::{Sshd, SshdOptions};

/// Login shells, as Debian installs them.
const SHELLS: [&str; 6] = ["dash", "bash", "zsh", "csh", "tcsh", "fish"];

/// A word of characters that shells care about, among others.
fn word(random: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 26] = [
        "'",
        "\"",
        "\\",
        "!",
        "!!",
        "$",
        "$HOME",
        "`id`",
        "$(id)",
        "\n",
        "\t",
        "\r",
        " ",
        "*",
        "?",
        "~",
        "#",
        "{a,b}",
        "%",
        "^",
        "größe",
        "✓",
        "\u{1F680}",
        "\x1b",
        "-n",
        "x",
    ];
    let count = random.usize(0..8);
    (0..count)
        .map(|_| PIECES[random.usize(0..PIECES.len())])
        .collect()
}

#[tokio::test]
async fn generated_words_arrive_through_every_login_shell() {
    let mut shells = Vec::new();
    for shell in SHELLS {
        let found = ["/bin", "/usr/bin"].map(|folder| format!("{folder}/{shell}"));
        match found
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
        {
            Some(path) => shells.push((format!("user-{shell}"), path)),
            None => crate::support::skip_or_fail(
                "generated_words_arrive_through_every_login_shell",
                &format!("{shell} is not installed"),
            ),
        }
    }
    let options = shells
        .iter()
        .fold(SshdOptions::default(), |options, (user, shell)| {
            options.account(user, shell)
        });
    let Some(sshd) = Sshd::start(options.etc("sudoers", "ALL ALL=(ALL) NOPASSWD: ALL\n")) else {
        return;
    };
    let seed = fastrand::u64(..);
    for (user, _) in &shells {
        let session = connect(&sshd, &sshd.target_for(user)).await;
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..25 {
            let words: Vec<String> = (0..6).map(|_| word(&mut random)).collect();
            let value = word(&mut random);
            let program = ["/bin/sh", "-c", "printf '%s\\0' \"$V\" \"$@\"; cat", "sh"];
            let all = program.into_iter().chain(words.iter().map(String::as_str));
            let mut command = Command::new(all).env("V", &value).stdin(value.clone());
            command = match round % 5 {
                0 => command.run_as(RunAs::sudo()),
                1 => command.pty(),
                _ => command,
            };
            let output = session.output(&command).await.expect("it runs");
            let expected = format!("{value}\0{}\0{value}", words.join("\0"));
            assert_eq!(
                output.stdout.to_string(),
                expected,
                "{user}, seed {seed}, {command:?}"
            );
        }
    }
}
