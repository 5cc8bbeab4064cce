//! What the comparison with the local `ssh` (`tests/ssh_config_oracle`) does not reach: later releases, DNS, files and
//! their permissions, and anything that is no configuration at all.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::local::Local;
use super::{AddressFamily, Ask, Config, ConfigOptions, HostConfig, IdentityAgent, Proxy, Query};

fn no_names(_: &str, _: Option<AddressFamily>) -> Option<String> {
    None
}

fn config(text: &str) -> Config {
    let local = Local::made_up(&[("FROM_ENV", "value"), ("HOME", "/home/me")], no_names);
    Config::parse_for(
        local,
        ConfigOptions::default(),
        text.as_bytes(),
        Path::new("test"),
    )
    .unwrap()
}

fn host(text: &str) -> HostConfig {
    config(text).resolve(&Query::new("web1")).unwrap()
}

fn refusal(text: &str) -> String {
    let local = Local::made_up(&[], no_names);
    let read = Config::parse_for(
        local,
        ConfigOptions::default(),
        text.as_bytes(),
        Path::new("test"),
    );
    let resolved = read.and_then(|config| config.resolve(&Query::new("web1")));
    resolved.unwrap_err().to_string()
}

#[test]
fn keywords_of_later_releases() {
    // ssh_config(5) of the releases named.
    let text = "\
ChannelTimeout session=5m global=1h        # 9.6
ObscureKeystrokeTiming interval:80         # 9.5
Tag blue                                   # 9.4
VersionAddendum fleet                      # 10.0
WarnWeakCrypto no-pq-kex                   # 10.1
RevokedHostKeys ~/revoked /etc/%h.revoked  # several files: 10.1
KexAlgorithms mlkem768x25519-sha256        # 9.9
SetEnv WHERE=%h FROM=${FROM_ENV}           # tokens: 10.2
User %u-%h                                 # tokens: 10.0
Match tagged blue,green                    # 9.4
  Port 2201
Match version OpenSSH_10.*                 # 10.0
  ConnectTimeout 1.5s
Match sessiontype shell command=\"\"       # 10.0
  IdentityAgent /run/%j/agent              # %j: 9.6
Match localnetwork 127.0.0.0/8             # 9.4
  BindAddress 127.0.0.1
Match !final
  HostKeyAlias first-pass
";
    let host = host(text);
    assert_eq!((host.port, host.user.as_str()), (2201, "me-web1"));
    assert_eq!(host.connect_timeout, Some(Duration::from_secs(1)));
    assert_eq!(
        host.identity_agent,
        IdentityAgent::Socket("/run//agent".into())
    );
    assert_eq!(host.bind_address.as_deref(), Some("127.0.0.1"));
    assert_eq!(host.kex_algorithms[..], ["mlkem768x25519-sha256"]);
    assert_eq!(host.host_key_alias.as_deref(), Some("first-pass"));
    let revoked = ["/home/me/revoked", "/etc/web1.revoked"].map(PathBuf::from);
    assert_eq!(host.revoked_host_keys, revoked);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(host.set_env, [pair("WHERE", "web1"), pair("FROM", "value")]);
    let told: Vec<_> = host.unsupported().map(|told| told.keyword).collect();
    assert_eq!(told, ["ChannelTimeout", "VersionAddendum"]);
}

#[test]
fn what_the_query_knows_comes_first_and_is_matched() {
    let config = config(
        "Match tagged a\n Port 1\nMatch command uname*\n User b\nMatch sessiontype exec\n HostKeyAlias c\nTag b\n",
    );
    let query = Query::new("web1").tag("a").command("uname -a");
    let host = config.resolve(&query).unwrap();
    assert_eq!(
        (
            host.port,
            host.user.as_str(),
            host.host_key_alias.as_deref()
        ),
        (1, "b", Some("c"))
    );
    let query = query.port(9).option("ServerAliveInterval 1m").unwrap();
    let host = config.resolve(&query).unwrap();
    assert_eq!(
        (host.port, host.server_alive_interval),
        (9, Some(Duration::from_secs(60)))
    );
}

#[test]
fn what_has_no_effect_is_told_with_its_place() {
    let told = |line: &str| {
        let config = config(line);
        let of_host = config.resolve(&Query::new("web1")).unwrap();
        let of_host: Vec<_> = of_host.unsupported().map(|told| told.to_string()).collect();
        let told: Vec<_> = config
            .unsupported()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, of_host, "{line}");
        told.join("\n")
    };
    for (line, expected) in [
        ("CheckHostIP no", ""),
        ("CheckHostIP yes", "test:1: CheckHostIP has no effect here"),
        ("VerifyHostKeyDNS no", ""),
        (
            "VerifyHostKeyDNS ask",
            "test:1: VerifyHostKeyDNS has no effect here",
        ),
        (
            "VerifyHostKeyDNS yes",
            "test:1: VerifyHostKeyDNS has no effect here",
        ),
        ("RequestTTY force", ""),
        ("RequestTTY no", ""),
        ("RequestTTY auto", ""),
        (
            "RequestTTY yes",
            "test:1: RequestTTY yes gives no terminal here, for there is none on this side; RequestTTY force does",
        ),
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
    for (line, expected) in [
        ("Match command \"\"", 0),
        ("Match !command=*", 0),
        ("Match command uptime\nMatch host a command df*", 1),
    ] {
        let config = config(line);
        assert_eq!(config.unsupported().len(), expected, "{line}");
        for told in config.unsupported() {
            let text = told.to_string();
            assert!(
                text.starts_with("test:1: Match command knows no command"),
                "{text}"
            );
        }
    }
}

#[test]
fn names_that_could_become_commands_are_refused() {
    let config = config("");
    // As in `ssh -G`; nothing has such a name.
    let nowhere = config.resolve(&Query::new("")).unwrap();
    assert_eq!((nowhere.host.as_str(), nowhere.hostname.as_str()), ("", ""));
    for name in ["-oProxyCommand=x", "a;b", "a b", "$(x)", "a\nb"] {
        assert!(config.resolve(&Query::new(name)).is_err(), "{name:?}");
    }
    for user in ["-l", "a;b", "`x`", "a\\", "a -b"] {
        assert!(
            config.resolve(&Query::new("web1").user(user)).is_err(),
            "{user:?}"
        );
    }
    assert!(config.resolve(&Query::new("web1").user("DOM\\ops")).is_ok());
}

#[test]
fn keywords_that_are_to_be_ignored_are_so_in_files_that_are_included_later() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web1"), "Theirs yes\nPort 5\n").unwrap();
    let include = format!("Include {}/%h\n", folder.path().display());
    let port = |config: Config| config.resolve(&Query::new("web1")).map(|host| host.port);
    let options = || ConfigOptions::default().ignore_unknown("theirs");
    let read = options().parse(&include, "example").and_then(port);
    assert_eq!(read.unwrap(), 5);
    let read = Config::parse(format!("IgnoreUnknown Theirs\n{include}"), "example");
    assert_eq!(read.and_then(port).unwrap(), 5);
    assert!(Config::parse(&include, "example").and_then(port).is_err());
    // The first value counts, and it is the option's.
    let read = options().parse("IgnoreUnknown Other\nOther yes\n", "example");
    assert!(read.and_then(port).is_err());
}

#[test]
fn values_ready_for_use() {
    let host = host(
        "\
IdentityFile ~/.ssh/%r@%h
IdentityFile none
IdentityAgent $MY_AGENT
GlobalKnownHostsFile none
UserKnownHostsFile ~/kh ${FROM_ENV}/kh
ProxyCommand nc -X 5 %h %p # %r
PreferredAuthentications publickey,password
UpdateHostKeys ask
RequestTTY no
RekeyLimit 1M 30m
User ops
",
    );
    assert_eq!(host.identity_files, [Path::new("/home/me/.ssh/ops@web1")]);
    assert_eq!(
        host.identity_agent,
        IdentityAgent::Environment("MY_AGENT".into())
    );
    assert!(host.global_known_hosts_files.is_empty());
    assert_eq!(
        host.user_known_hosts_files,
        ["/home/me/kh", "value/kh"].map(PathBuf::from)
    );
    assert_eq!(host.proxy, Proxy::Command("nc -X 5 web1 22 # ops".into()));
    assert_eq!(
        host.preferred_authentications.unwrap(),
        ["publickey", "password"]
    );
    assert_eq!(host.update_host_keys, Ask::No);
    assert_eq!(
        (host.rekey_bytes, host.rekey_interval),
        (Some(1 << 20), Some(Duration::from_secs(1800)))
    );

    let jump = |text| match self::host(text).proxy {
        Proxy::Jump(hosts) => hosts.to_string(),
        proxy => panic!("{proxy:?}"),
    };
    assert_eq!(jump("ProxyJump gate-%h,ops@b:23"), "gate-web1,ops@b:23");
    assert_eq!(
        self::host("ProxyJump none # text\nProxyJump gate").proxy,
        Proxy::Direct
    );
}

#[test]
fn mistakes_say_what_to_do() {
    for (text, message) in [
        (
            "Host *\n\n  Prot 22",
            "test line 3: Bad configuration option: prot; did you mean `Port`?",
        ),
        (
            "StrictHostKeyChecking maybe",
            "test line 1: unsupported option \"maybe\"; it is one of yes, true, no, false, off, ask, accept-new",
        ),
        (
            "Port x\nPort y\nPort z",
            "test line 1: Bad port 'x' (and 2 more mistakes)",
        ),
        (
            "Match hots web1",
            "test line 1: Unsupported Match attribute hots; did you mean `host`?",
        ),
        (
            "UserKnownHostsFile ${NOT_SET}/x",
            "web1: test line 1: UserKnownHostsFile: environment variable ${NOT_SET} has no value",
        ),
        (
            "IdentityFile ~/a\nIdentityFile ~/%z",
            "web1: test line 2: IdentityFile: the token %z has no meaning here",
        ),
        (
            "Port 1\nHostname %n.example.org",
            "web1: test line 2: Hostname: the token %n has no meaning here",
        ),
        (
            "ConnectionAttempts 0",
            "web1: test line 1: ConnectionAttempts: it is at least 1",
        ),
        (
            "ProxyJump web1",
            "web1: test line 1: ProxyJump: jumphost loop via web1",
        ),
        (
            "MACs hmac-sha2-256,hmac-sha-512",
            "test line 1: Bad MACs 'hmac-sha2-256,hmac-sha-512': no release knows `hmac-sha-512`; did you mean `hmac-sha2-512`?",
        ),
        (
            "ConnectTimeout 5x",
            "test line 1: invalid time value `5x`; it is a number with s, m, h, d or w behind it, as in 1m30s",
        ),
        (
            "\u{feff}Host web1",
            "test line 1: here is a byte order mark; save the file as UTF-8 without one",
        ),
        (
            "Host web1\n\u{a0}Port 22",
            "test line 2: Bad configuration option: \\u{a0}port; did you mean `Port`?",
        ),
        (
            "Port\u{b}22",
            "test line 1: no argument after keyword \"port\\u{b}22\"",
        ),
        (
            "UseKeychain yes",
            "test line 1: Bad configuration option: usekeychain; if another program knows it, write `IgnoreUnknown usekeychain` before it",
        ),
        (
            "Match host web*\n RefuseConnection \"ask ops first\"",
            "web1: test line 2: RefuseConnection: ask ops first",
        ),
        (
            "IgnoreUnknown a*\nHost db*\nIgnoreUnknown b*\nHost *\nBeta yes",
            "web1: test line 5: Bad configuration option: beta; if another program knows it, write `IgnoreUnknown beta` before it",
        ),
        ("User \u{e9}\nUser \\", ""),
    ] {
        if message.is_empty() {
            let read = Config::parse_for(
                Local::made_up(&[], no_names),
                ConfigOptions::default(),
                text.as_bytes(),
                Path::new("test"),
            );
            assert!(read.is_ok());
        } else {
            assert_eq!(refusal(text), message, "{text}");
        }
    }
    let latin = Config::parse(b"# caf\xe9\nUser caf\xe9\n", "test").unwrap_err();
    assert_eq!(
        latin.to_string(),
        "test line 2: this is not UTF-8 text; save the file as UTF-8"
    );
}

#[test]
fn short_names_are_completed() {
    fn names(name: &str, _: Option<AddressFamily>) -> Option<String> {
        match name {
            "web1.b.example." => Some("web1.b.example".into()),
            "www.b.example." => Some("WEB7.pool.example".into()),
            "alias" => Some("real.pool.example".into()),
            _ => None,
        }
    }
    let ask = |text: &str, host: &str| {
        let local = Local::made_up(&[], names);
        let config = Config::parse_for(
            local,
            ConfigOptions::default(),
            text.as_bytes(),
            Path::new("test"),
        )
        .unwrap();
        let host = config.resolve(&Query::new(host));
        host.map(|host| (host.hostname, host.port))
            .map_err(|error| error.to_string())
    };
    let common = "\
CanonicalizeHostname yes
CanonicalDomains a.example b.example
CanonicalizePermittedCNAMEs *.b.example:*.pool.example
Host *.b.example
  Port 2201
Match canonical host *.pool.example
  Port 2202
";
    // The second pass sees the name that was found.
    assert_eq!(ask(common, "web1"), Ok(("web1.b.example".into(), 2201)));
    assert_eq!(ask(common, "www"), Ok(("web7.pool.example".into(), 2202)));
    assert_eq!(
        ask(common, "other"),
        Err("other: Could not resolve hostname other".into())
    );
    // What is not completed follows where the resolver leads, too.
    let rule = "CanonicalizePermittedCNAMEs alias:*.pool.example";
    assert_eq!(ask(rule, "alias"), Ok(("real.pool.example".into(), 22)));
    let no_rules = common.replace("CanonicalizePermittedCNAMEs", "#");
    assert_eq!(ask(&no_rules, "other"), Ok(("other".into(), 22)));
    assert_eq!(ask(&no_rules, "web1.x.y"), Ok(("web1.x.y".into(), 22)));
    assert_eq!(ask(&no_rules, "10.1"), Ok(("10.0.0.1".into(), 22)));
    let strict = format!("CanonicalizeFallbackLocal no\n{no_rules}");
    assert_eq!(
        ask(&strict, "other"),
        Err("other: Could not resolve host \"other\"".into())
    );
    // A proxy looks names up itself, unless all are to be canonical.
    let proxied = format!("ProxyJump gate\n{common}");
    assert_eq!(ask(&proxied, "web1"), Ok(("web1".into(), 22)));
    let always = proxied.replace("CanonicalizeHostname yes", "CanonicalizeHostname always");
    assert_eq!(ask(&always, "web1"), Ok(("web1.b.example".into(), 2201)));
}

#[test]
fn only_safe_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let included = folder.path().join("included");
    fs::write(&path, format!("Include {}\n", included.display())).unwrap();
    fs::write(&included, "Port 2222\n").unwrap();
    fs::set_permissions(&included, Permissions::from_mode(0o644)).unwrap();
    let port = || {
        Config::from_file(&path)?
            .resolve(&Query::new("web1"))
            .map(|host| host.port)
    };
    assert_eq!(port().unwrap(), 2222);
    fs::set_permissions(&included, Permissions::from_mode(0o646)).unwrap();
    let error = port().unwrap_err().to_string();
    assert!(error.starts_with("Bad owner or permissions on "), "{error}");
    let error = Config::from_file(folder.path().join("missing")).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn included_files_keep_to_their_section_and_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write(
        "config",
        format!(
            "Host db*\nInclude {root}/[ab]\nHost *\nInclude {root}/%h {root}/missing ~no-such-user/x\nUser last\n"
        ),
    );
    write("a", "Host *\nPort 1\n".into());
    write("b", "Port 2\n".into());
    write(
        "web1",
        "Host web1\nUser first\nMatch final\nPort 3\n".into(),
    );
    let config = Config::from_file(folder.path().join("config")).unwrap();
    let resolve = |host: &str| config.resolve(&Query::new(host)).unwrap();
    assert_eq!(
        (resolve("db1").port, resolve("db1").user.as_str()),
        (1, "last")
    );
    assert_eq!(
        (resolve("web1").port, resolve("web1").user.as_str()),
        (3, "first")
    );

    write("loop", format!("Include {root}/loop {root}/loop\n"));
    let error = Config::from_file(folder.path().join("loop")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("Too many recursive configuration includes"),
        "{error}"
    );
}

#[test]
fn commands_of_match_are_run_once_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    let text = format!(
        "Match host db* exec \"touch {0}\"\nPort 1\nMatch exec \"test %h-%n-%p = web1-web1-22\"\nPort 2\n",
        ran.display()
    );
    assert_eq!(host(&text).port, 2);
    assert!(!ran.exists(), "no command is run in vain");
    assert!(refusal("Match exec \"kill -TERM $$\"").contains("ended by a signal"));
}

#[test]
fn many_sections_are_looked_up_by_name() {
    use std::fmt::Write;

    let mut text = String::new();
    for number in 0..20_000 {
        writeln!(
            text,
            "Host host{number} alias{number}\n  Port {}\n  User u{number}",
            number % 60_000 + 1
        )
        .unwrap();
    }
    text.push_str("Host *9\n  HostKeyAlias nine\nHost *\n  User common\n");
    let config = config(&text);
    let host = config.resolve(&Query::new("alias12349")).unwrap();
    assert_eq!(
        (
            host.port,
            host.user.as_str(),
            host.host_key_alias.as_deref()
        ),
        (12350, "u12349", Some("nine"))
    );
    let began = Instant::now();
    for number in 0..1000 {
        config
            .resolve(&Query::new(format!("host{number}")))
            .unwrap();
    }
    println!("{:?} a host among 20,000 sections", began.elapsed() / 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn anything_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let read = Config::parse_for(Local::made_up(&[], no_names), ConfigOptions::default(), &text, Path::new("test"));
        if let Ok(config) = read {
            let _ = config.resolve(&Query::new("web1")).map(|host| host.to_string());
        }
    }

    #[test]
    fn anything_behind_a_keyword_is_read_or_refused(
        lines in proptest::collection::vec((0..KEYWORDS.len(), "[-+^!,*?%:@/.=$(){}\\[\\]\"'\\\\ a-z0-9é]{0,24}"), 1..6),
        host in "[a-z0-9.:%]{1,12}",
    ) {
        let lines: Vec<String> =
            lines.iter().map(|(at, rest)| format!("{} {rest}", KEYWORDS[*at])).collect();
        let text = lines.join("\n");
        let read = Config::parse_for(Local::made_up(&[], no_names), ConfigOptions::default(), text.as_bytes(), Path::new("test"));
        if let Ok(config) = read {
            let _ = config.resolve(&Query::new(host)).map(|host| host.to_string());
        }
    }
}

/// Keywords of every kind, but none that runs a command or reads a file.
const KEYWORDS: &[&str] = &[
    "Host",
    "Match host",
    "Match user",
    "Match localnetwork",
    "Port",
    "User",
    "Hostname",
    "IdentityFile",
    "UserKnownHostsFile",
    "ProxyJump",
    "ProxyCommand",
    "KnownHostsCommand",
    "Ciphers",
    "HostKeyAlgorithms",
    "RekeyLimit",
    "ConnectTimeout",
    "SendEnv",
    "SetEnv",
    "CanonicalDomains",
    "CanonicalizePermittedCNAMEs",
    "IdentityAgent",
    "IgnoreUnknown",
    "LocalForward",
    "ServerAliveCountMax",
];
