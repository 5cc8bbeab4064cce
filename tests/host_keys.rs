//! Host keys and host certificates of a real sshd.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clusterops::config::Config;
use clusterops::ssh::ErrorKind;
use clusterops::{Connector, Fleet, Plan, Stage, Target};

mod support;
use support::{Sshd, SshdOptions, configured, log_in, options, ssh_keygen};

/// A target that is known by these lines only, in which `{authority}` and `{host}` are public keys.
fn known_by(sshd: &Sshd, lines: &str) -> Target {
    let read = |name: &str| {
        let text = fs::read_to_string(sshd.folder().join(name)).unwrap_or_default();
        text.trim_end().to_owned()
    };
    let text = lines
        .replace("{authority}", &read("authority.pub"))
        .replace("{host_rsa}", &read("host_rsa.pub"))
        .replace("{host}", &read("host_ed25519.pub"));
    let file = sshd.folder().join("known_by");
    fs::write(&file, text).expect("our own folder");
    Target {
        known_hosts: Some(file),
        ..sshd.target("web1", "127.0.0.1")
    }
}

#[tokio::test]
async fn a_certificate_of_a_known_authority_is_enough() {
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let certified = SshdOptions::default()
            .host_keys(&[kind])
            .host_certificate(&["-n", "127.0.0.1,web1.example.com", "-V", "-1h:+1h"]);
        let Some(sshd) = Sshd::start(certified) else {
            return;
        };
        let target = known_by(&sshd, "@cert-authority [127.0.0.*]:* {authority}\n");
        if let Err(error) = log_in(&target, &options()).await {
            panic!("{kind}: {error:?}\n{}", sshd.log());
        }
    }
}

#[tokio::test]
async fn what_to_do_about_another_key_helps() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let other = format!("[127.0.0.1]:{} {{authority}}\n", sshd.port());
    let target = known_by(&sshd, &other);
    let error = log_in(&target, &options()).await.expect_err("another key");
    let text = error.to_string();
    let at = text.find("ssh-keygen -f").expect(&text);
    let removed = Command::new("sh").args(["-c", &text[at..]]).output();
    let removed = removed.expect("a shell");
    assert!(removed.status.success(), "{text}: {removed:?}");
    log_in(&target, &options().accept_new_host_keys())
        .await
        .expect("the old key is removed");
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_refused_with_the_reason() {
    for (arguments, reason) in [
        (
            ["-n", "127.0.0.1", "-V", "20200101:20200102"],
            "expired on 2020-01-0",
        ),
        (
            ["-n", "127.0.0.1", "-V", "20990101:20990102"],
            "is not valid before 20",
        ),
        (
            ["-n", "web2,*.example.com", "-V", "-1h:+1h"],
            "is for web2, *.example.com, not for 127.0.0.1",
        ),
    ] {
        let certified = SshdOptions::default().host_certificate(&arguments);
        let Some(sshd) = Sshd::start(certified) else {
            return;
        };
        let target = known_by(&sshd, "@cert-authority * {authority}\n");
        for options in [options(), options().accept_new_host_keys()] {
            let error = log_in(&target, &options).await.expect_err(reason);
            assert_eq!(error.kind(), ErrorKind::HostKey);
            let text = error.to_string();
            assert!(
                text.contains(reason) && text.contains("known_by:1"),
                "{text}"
            );
        }
        // As for ssh, the key may be known without a certificate.
        let target = known_by(&sshd, "@cert-authority * {authority}\n* {host}\n");
        log_in(&target, &options()).await.expect("the key is known");
    }
}

#[tokio::test]
async fn an_authority_counts_for_its_hosts_until_it_is_revoked() {
    let certified = SshdOptions::default().host_certificate(&["-n", "127.0.0.1"]);
    let Some(sshd) = Sshd::start(certified) else {
        return;
    };
    ssh_keygen(
        sshd.folder(),
        &["-N", "", "-t", "ed25519", "-f", "host_rsa"],
    );
    for (lines, reason) in [
        (
            "@cert-authority web2 {authority}\n",
            "in no known hosts file (/",
        ),
        (
            "@cert-authority * {authority}\n@revoked * {authority}\n",
            "is revoked (/",
        ),
        (
            "@cert-authority * {authority}\n@revoked * {host}\n",
            "is revoked (/",
        ),
        (
            "@cert-authority * {host_rsa}\n",
            "which is no authority for 127.0.0.1",
        ),
    ] {
        let error = log_in(&known_by(&sshd, lines), &options()).await;
        let error = error.expect_err(lines);
        assert_eq!(error.kind(), ErrorKind::HostKey, "{lines}");
        assert!(error.to_string().contains(reason), "{lines}{error}");
    }
}

#[tokio::test]
async fn a_new_key_is_stored_under_a_hash_where_that_is_asked_for() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let file: PathBuf = sshd.folder().join("hashed");
    let target = Target {
        known_hosts: Some(file.clone()),
        ..sshd.target("web1", "127.0.0.1")
    };
    let accepting = options().accept_new_host_keys().hash_known_hosts(true);
    log_in(&target, &accepting)
        .await
        .expect("a new key is accepted");
    let text = fs::read_to_string(file).expect("it was stored");
    assert!(text.starts_with("|1|") && !text.contains("127"), "{text}");
    log_in(&target, &options()).await.expect("now it is known");
}

/// As ssh(1) connects then, with a warning.
#[tokio::test]
async fn a_new_key_that_cannot_be_stored_is_known_for_now() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let target = Target {
        known_hosts: Some("/proc/self/known_hosts".into()),
        ..sshd.target("web1", "127.0.0.1")
    };
    let connector = Connector::new(options().accept_new_host_keys());
    for _ in 0..2 {
        connector.connect(&target).await.expect("it is accepted");
    }
    let [warning] = &connector.warnings()[..] else {
        panic!("{:?}", connector.warnings());
    };
    for says in [
        "a new host key was accepted and not stored",
        "/proc/self/known_hosts cannot take a new key",
    ] {
        assert!(warning.contains(says), "{warning}");
    }
    // Where there is none at all, ssh connects to no new host, and nothing goes into the system's file.
    let none = Config::parse("UserKnownHostsFile none", "test").expect("it is one");
    let target = Target {
        known_hosts: None,
        ..target
    };
    let accepting = options().config(none).accept_new_host_keys();
    let error = log_in(&target, &accepting).await.expect_err("nowhere to");
    assert_eq!(error.kind(), ErrorKind::HostKey);
    assert!(
        error
            .to_string()
            .contains("no known hosts file of the user's"),
        "{error}"
    );
}

#[tokio::test]
async fn a_lock_that_another_program_holds_costs_no_host_its_connection() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let path = sshd.folder().join("locked");
    let other = fs::File::create(&path).expect("our folder");
    other.lock().expect("nobody else has it");
    let targets = (1..=30).map(|n| Target {
        known_hosts: Some(path.clone()),
        ..sshd.target(&format!("web{n}"), &format!("127.0.0.{n}"))
    });
    let options = options()
        .accept_new_host_keys()
        .handshake_deadline(std::time::Duration::from_secs(5));
    let plan = Plan::new("p").stage(Stage::command("true", ["true"]));
    let run = Fleet::new(targets)
        .parallelism(30)
        .session(options)
        .run(&plan);
    let report = run.expect("it starts").await.expect("it goes on");
    assert_eq!(report.succeeded().len(), 30, "{report}");
    let warnings = report.warnings.join("\n");
    assert!(
        warnings.contains("30 new host keys were accepted and not stored"),
        "{warnings}"
    );
    assert!(
        warnings.contains("another process has held its lock"),
        "{warnings}"
    );
    assert_eq!(fs::read(&path).expect("it is there"), b"");
}

#[tokio::test]
async fn a_key_in_a_file_of_revoked_keys_is_refused() {
    let Some(sshd) = Sshd::start(SshdOptions::default().host_certificate(&["-n", "127.0.0.1"]))
    else {
        return;
    };
    let known = known_by(&sshd, "* {host}\n@cert-authority * {authority}\n");
    log_in(&known, &options()).await.expect("it is known twice");
    for key in ["host_ed25519.pub", "authority.pub"] {
        let revoking = options().revoked_host_keys(sshd.folder().join(key));
        let error = log_in(&known, &revoking).await.expect_err(key);
        assert_eq!(error.kind(), ErrorKind::HostKey);
        assert!(
            error
                .to_string()
                .contains(&format!("is revoked ({}/{key}:1", sshd.folder().display())),
            "{error}"
        );
    }
    let missing = options().revoked_host_keys("/nonexistent/revoked");
    let error = log_in(&known, &missing)
        .await
        .expect_err("nobody knows what is revoked");
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
}

#[tokio::test]
async fn the_other_keys_of_a_known_host_are_learnt_where_that_is_asked_for() {
    let keys = SshdOptions::default().host_keys(&["ed25519", "ecdsa", "rsa"]);
    let Some(sshd) = Sshd::start(keys) else {
        return;
    };
    let learning = options().update_host_keys(true);
    let by_name = format!("[127.0.0.1]:{} {{host}}", sshd.port());
    for (lines, known_then) in [(by_name.as_str(), 3), ("[127.*]:* {host}", 1)] {
        let target = known_by(&sshd, lines);
        let known = || fs::read_to_string(sshd.folder().join("known_by")).expect("it is there");
        log_in(&target, &options()).await.expect("it is known");
        assert_eq!(known().lines().count(), 1, "nobody asked for more");
        // A server that is busy may not tell its keys in time for the login, which does not wait for long.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            log_in(&target, &learning).await.expect("it is known");
            if known().lines().count() == known_then || std::time::Instant::now() > until {
                break;
            }
        }
        log_in(&target, &learning).await.expect("it is known");
        assert_eq!(known().lines().count(), known_then, "{}", known());
    }
}

#[tokio::test]
async fn the_configuration_says_which_host_keys_are_known() {
    let certified = SshdOptions::default().host_certificate(&["-n", "the-alias,127.0.0.1"]);
    let Some(sshd) = Sshd::start(certified) else {
        return;
    };
    ssh_keygen(sshd.folder(), &["-N", "", "-t", "rsa", "-f", "host_rsa"]);
    let unknown = known_by(&sshd, "");
    let (folder, public) = (sshd.folder().display(), "host_ed25519.pub");
    let told = sshd.folder().join("told");
    let key = fs::read_to_string(sshd.folder().join(public)).expect("the fixture's key");
    fs::write(&told, format!("@cert-authority x {key}* {key}")).expect("our own folder");
    let cat = format!("KnownHostsCommand /bin/cat {}", told.display());
    log_in(&unknown, &configured(&cat))
        .await
        .expect("the command knows it");
    let revoked = format!("{cat}\nRevokedHostKeys {folder}/{public}");
    let broken = "KnownHostsCommand /bin/false".to_owned();
    for (lines, kind) in [
        (revoked, ErrorKind::HostKey),
        (broken, ErrorKind::Local),
        (String::new(), ErrorKind::HostKey),
    ] {
        let error = log_in(&unknown, &configured(&lines))
            .await
            .expect_err(&lines);
        assert_eq!(error.kind(), kind, "{lines}: {error}");
    }
    let here = configured("NoHostAuthenticationForLocalhost yes");
    log_in(&unknown, &here).await.expect("it is this machine");

    let target = known_by(&sshd, "@cert-authority the-alias {authority}\n");
    let alias = "HostKeyAlias the-alias";
    log_in(&target, &configured(alias))
        .await
        .expect("the alias is known");
    let rsa_only = format!("{alias}\nCASignatureAlgorithms rsa-sha2-512");
    let error = log_in(&target, &configured(&rsa_only))
        .await
        .expect_err("it is ssh-ed25519");
    assert!(
        error.to_string().contains("is signed with ssh-ed25519"),
        "{error}"
    );
}

#[tokio::test]
async fn an_rsa_key_that_is_too_short_is_refused_whatever_is_known_of_it() {
    // ssh-keygen makes 3072 bits.
    let server = SshdOptions::default().host_keys(&["rsa"]);
    for server in [
        server.clone(),
        server.host_certificate(&["-n", "127.0.0.1"]),
    ] {
        let Some(sshd) = Sshd::start(server) else {
            return;
        };
        let target = known_by(&sshd, "@cert-authority * {authority}\n* {host_rsa}");
        for (lines, is_taken) in [
            ("RequiredRSASize 3072", true),
            ("RequiredRSASize 3073", false),
            ("RequiredRSASize 3073\nStrictHostKeyChecking off", false),
            (
                "RequiredRSASize 3073\nNoHostAuthenticationForLocalhost yes",
                false,
            ),
        ] {
            match log_in(&target, &configured(lines)).await {
                Ok(()) => assert!(is_taken, "{lines}"),
                Err(error) => {
                    assert!(!is_taken && error.kind() == ErrorKind::HostKey, "{error}");
                    let text = error.to_string();
                    assert!(text.contains("of 3072 bits, and 3073 are"), "{text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_even_where_none_is_checked() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let revoked = sshd.folder().join("host_ed25519.pub");
    let target = known_by(&sshd, "");
    for lines in [
        "StrictHostKeyChecking no",
        "NoHostAuthenticationForLocalhost yes",
    ] {
        log_in(&target, &configured(lines))
            .await
            .expect("any key will do");
        let lines = format!("{lines}\nRevokedHostKeys {}", revoked.display());
        let error = log_in(&target, &configured(&lines))
            .await
            .expect_err("it is revoked");
        assert_eq!(error.kind(), ErrorKind::HostKey, "{error}");
    }
}

/// Known keys that speak against the host's do not keep anybody out there, but from the password.
#[tokio::test]
async fn no_password_goes_to_a_host_that_may_be_another() {
    let server = SshdOptions::default().passwords("password");
    let Some(sshd) = Sshd::start(server.host_certificate(&["-n", "127.0.0.1"])) else {
        return;
    };
    for (lines, is_sent) in [
        ("", true),
        ("* {host}", true),
        ("* {authority}", false),
        ("* {host}\n@revoked * {host}", false),
        (
            "@cert-authority * {authority}\n@revoked * {authority}",
            false,
        ),
    ] {
        let mut target = known_by(&sshd, lines);
        let password = sshd.password().into();
        target.secrets.insert("ansible_password".into(), password);
        match log_in(&target, &configured("StrictHostKeyChecking no")).await {
            Ok(()) => assert!(is_sent, "`{lines}`"),
            Err(error) => {
                assert!(!is_sent, "`{lines}`: {error}\n{}", sshd.log());
                assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
                let text = error.to_string();
                assert!(text.contains("it gets no password, for the "), "{text}");
            }
        }
    }
    let failed = sshd.log().matches("Failed password").count();
    assert_eq!(failed, 0);
}
