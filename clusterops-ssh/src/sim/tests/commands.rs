use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use russh::Sig;

use super::client::{Outcome, eventually, finish, login, run, start};
use crate::sim::{Answer, Match, Sim, SimCommand, SimHost};

#[tokio::test]
async fn answers_and_builtins() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let host = SimHost::new("web01")
        .answer("uname -r", Answer::stdout("6.1.0\n"))
        .answer(["id", "-u"], Answer::stdout("1000\n"))
        .answer(
            Match::prefix("systemctl "),
            Answer::status(4).with_stderr("no such unit\n"),
        )
        .answer_with("count", move |_: &SimCommand| {
            Answer::stdout(format!("{}\n", counted.fetch_add(1, Ordering::SeqCst) + 1))
        });
    let sim = Sim::start([host]).await.expect("started");
    let target = sim.target("web01");
    let session = login(&target).await;
    for (line, expected) in [
        ("uname -r", Outcome::stdout("6.1.0\n")),
        ("id  '-u'", Outcome::stdout("1000\n")),
        (
            "systemctl restart app",
            Outcome::failed(4, "no such unit\n"),
        ),
        ("count", Outcome::stdout("1\n")),
        ("true && count; hostname", Outcome::stdout("2\nweb01\n")),
        ("uname -n", Outcome::stdout("web01\n")),
        (
            "sh -c 'echo one && false || echo two'",
            Outcome::stdout("one\ntwo\n"),
        ),
        (
            "env A=1 B='2 3' env",
            Outcome::stdout(
                "A=1\nB=2 3\nHOME=/home/sim\nLOGNAME=sim\nPATH=/usr/local/bin:/usr/bin:/bin\nSHELL=/bin/sh\nUSER=sim\n",
            ),
        ),
        ("false", Outcome::failed(1, "")),
        ("exit 7", Outcome::failed(7, "")),
        ("foo --bar", Outcome::failed(127, "sh: 1: foo: not found\n")),
        (
            "ls | wc",
            Outcome::failed(
                127,
                "sh: 1: simulated hosts do not understand `|`; give this line an answer\n",
            ),
        ),
        ("printf '%s-%s\\n' a b c", Outcome::stdout("a-b\nc-\n")),
        (
            "mkdir -p /srv/a/b && test -d /srv/a/b && [ ! -e /srv/x ] && echo yes",
            Outcome::stdout("yes\n"),
        ),
        (
            "cat /srv/x",
            Outcome::failed(1, "cat: /srv/x: No such file or directory\n"),
        ),
        (
            "cd /srv/a; pwd; rm -r b; test -d b",
            Outcome {
                status: Some(1),
                ..Outcome::stdout("/srv/a\n")
            },
        ),
        (
            "rm /srv/none",
            Outcome::failed(
                1,
                "rm: cannot remove '/srv/none': No such file or directory\n",
            ),
        ),
        ("rm -f /srv/none", Outcome::stdout("")),
        ("sleep 0.01", Outcome::stdout("")),
    ] {
        assert_eq!(
            finish(start(&session, line).await).await,
            expected,
            "{line}"
        );
    }
    let temporary = finish(start(&session, "mktemp -d /tmp/deploy.XXXXXX").await)
        .await
        .stdout;
    assert!(temporary.starts_with("/tmp/deploy."), "{temporary}");
    assert_eq!(
        sim.host("web01").mode(temporary.trim()).expect("made"),
        0o700
    );

    let host = sim.host("web01");
    assert_eq!(host.connections(), 1);
    assert_eq!(host.commands()[0].line(), "uname -r");
    assert_eq!(host.commands().len(), 20);
    assert_eq!(host.processes(), []);
}

#[tokio::test]
async fn standard_input_is_echoed() {
    let sim = Sim::start([SimHost::new("a")]).await.expect("started");
    let session = login(&sim.target("a")).await;
    let channel = start(&session, "cat").await;
    let text = "line\n".repeat(100_000);
    channel.data(text.as_bytes()).await.expect("sent");
    channel.eof().await.expect("sent");
    assert_eq!(finish(channel).await, Outcome::stdout(&text));
}

#[tokio::test]
async fn a_process_outlives_its_connection_until_it_is_killed() {
    let host = SimHost::new("a").answer("serve", Answer::never_exits());
    let sim = Sim::start([host]).await.expect("started");
    let (target, host) = (sim.target("a"), sim.host("a"));
    let session = login(&target).await;
    let _channel = start(&session, "env CLUSTEROPS_TASK=r1.7 serve").await;
    eventually("the process", || host.commands().len() == 1).await;
    let process = host.processes().remove(0);
    let disconnected = session
        .disconnect(russh::Disconnect::ByApplication, "", "")
        .await;
    disconnected.expect("sent");
    eventually("the end of the connection", || host.open_connections() == 0).await;
    assert_eq!(host.processes().len(), 1);

    let group = process.group;
    let session = login(&target).await;
    let look = format!("grep -s -l -e ') [^ZX] [0-9]* {group} ' /proc/[0-9]*/stat");
    let found = finish(start(&session, &look).await).await;
    assert_eq!(
        found,
        Outcome::stdout(&format!("/proc/{}/stat\n", process.pid))
    );
    assert_eq!(
        finish(start(&session, &format!("kill -0 -- -{group}")).await)
            .await
            .status,
        Some(0)
    );
    assert_eq!(
        finish(start(&session, &format!("kill -s TERM -- -{group}")).await)
            .await
            .status,
        Some(0)
    );
    assert_eq!(host.processes(), []);
    assert_eq!(finish(start(&session, &look).await).await.status, Some(1));
    let again = finish(start(&session, &format!("kill -s KILL -- -{group}")).await).await;
    assert_eq!(again, Outcome::failed(1, "sh: 1: kill: No such process\n"));
}

#[tokio::test]
async fn signal_requests_are_honoured_as_sshd_does() {
    let serve = |host: SimHost| host.answer("serve", Answer::never_exits());
    let hosts = [
        serve(SimHost::new("plain")),
        serve(SimHost::new("root").user("root")),
        serve(SimHost::new("deaf").ignores_signals()),
        SimHost::new("stubborn").answer("serve", Answer::never_exits().ignoring_term()),
    ];
    let sim = Sim::start(hosts).await.expect("started");
    let session = login(&sim.target("plain")).await;
    let channel = start(&session, "serve").await;
    channel.signal(Sig::TERM).await.expect("sent");
    assert_eq!(finish(channel).await.signal.as_deref(), Some("TERM"));

    for name in ["root", "deaf", "stubborn"] {
        let session = login(&sim.target(name)).await;
        let channel = start(&session, "serve").await;
        let host = sim.host(name);
        eventually("the command", || host.commands().len() == 1).await;
        channel.signal(Sig::TERM).await.expect("sent");
        // Requests are served in order: this one comes after the signal.
        assert_eq!(finish(start(&session, "true").await).await.status, Some(0));
        let process = host.processes().remove(0);
        finish(start(&session, &format!("kill -s KILL {}", process.pid)).await).await;
        assert_eq!(
            finish(channel).await.signal.as_deref(),
            Some("KILL"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_process_that_left_its_group_is_found_by_its_environment() {
    let host = SimHost::new("a").answer(
        "start",
        Answer::new().with_detached("/opt/app/daemon --quiet"),
    );
    let sim = Sim::start([host]).await.expect("started");
    let session = login(&sim.target("a")).await;
    finish(start(&session, "env CLUSTEROPS_TASK=r1.8 start").await).await;
    let process = sim.host("a").processes().remove(0);
    assert_eq!(process.command, "/opt/app/daemon --quiet");
    let look = "grep -s -l -a -F -e 'CLUSTEROPS_TASK=r1.8' /proc/[0-9]*/environ; grep -s -l -e none /proc/[0-9]*/stat";
    let found = finish(start(&session, look).await).await;
    assert_eq!(found.stdout, format!("/proc/{}/environ\n", process.pid));
    finish(start(&session, &format!("kill {}", process.pid)).await).await;
    assert_eq!(sim.host("a").processes(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_hosts_on_one_port() {
    let template = SimHost::new("template").answer("uname -r", Answer::stdout("6.1.0\n"));
    let sim = Sim::start((0..2000).map(|n| template.named(format!("web{n}"))))
        .await
        .expect("started");
    let targets = sim.targets();
    let ports: std::collections::BTreeSet<_> = targets.iter().map(|target| target.port).collect();
    assert_eq!(ports.len(), 1);
    let mut running = tokio::task::JoinSet::new();
    for (n, target) in targets.into_iter().enumerate().step_by(20) {
        running.spawn(async move { (n, run(&target, "uname -n; uname -r").await) });
    }
    let mut done = 0;
    while let Some(ran) = running.join_next().await {
        let (n, outcome) = ran.expect("no panic");
        assert_eq!(outcome, Outcome::stdout(&format!("web{n}\n6.1.0\n")));
        done += 1;
    }
    assert_eq!(done, 100);
}

/// Where the real programs and the builtins are asked the same, in a folder of the same name.
#[tokio::test]
async fn builtins_agree_with_the_real_programs() {
    let folder = tempfile::Builder::new()
        .prefix("clusterops-")
        .tempdir_in("/tmp")
        .expect("made");
    let path = folder.path().to_str().expect("text");
    let sim = Sim::start([SimHost::new("a")]).await.expect("started");
    let session = login(&sim.target("a")).await;
    for (name, text) in [
        ("one", "web 1\ndb [2]\n"),
        ("two", "WEB 3\nweb* 10\n"),
        ("empty", ""),
    ] {
        std::fs::write(folder.path().join(name), text).expect("written");
        sim.host("a")
            .write_file(&format!("{path}/{name}"), text)
            .expect("written");
    }
    for line in [
        "printf '%s-%s\\n' a b c",
        "printf 'a\\tb\\\\n%%\\101\\n'",
        "printf plain a b",
        "printf '%d\\n' 7",
        "echo -n x; echo 'a  b' c",
        "false || echo no",
        "true && false",
        "false && echo never || echo instead",
        "test -n '' || [ a = b ] || [ a != b ] && echo yes",
        "test",
        "test x",
        "[ -z '' ]",
        "test ! -e FOLDER/none",
        "test -f FOLDER && echo file",
        "test -s FOLDER/empty || test -s FOLDER/one && echo some",
        "cat FOLDER/one FOLDER/none FOLDER/two",
        "cat FOLDER",
        "cd FOLDER && pwd && cat one",
        "cd /none-of-this-name",
        "echo FOLDER/*o* FOLDER/none*",
        "cd FOLDER; echo 'o'*",
        "grep web FOLDER/one",
        "grep -e web -e db FOLDER/one FOLDER/two",
        "grep -h -i web FOLDER/one FOLDER/two",
        "grep -l 'web' FOLDER/*",
        "grep -F -e 'web*' FOLDER/two",
        "grep -v web FOLDER/one",
        "grep -e '[0-9][0-9]*$' FOLDER/one FOLDER/two",
        "grep -q web FOLDER/none FOLDER/one",
        "grep -s web FOLDER/none FOLDER/one",
        "grep none FOLDER/one",
        "mkdir FOLDER/a",
        "mkdir FOLDER/a",
        "mkdir FOLDER/x/y",
        "mkdir -p FOLDER/a/b/c && test -d FOLDER/a/b/c && echo made",
        "mkdir -p FOLDER/one/x",
        "rm FOLDER/a",
        "rm FOLDER/none",
        "rm -f FOLDER/none",
        "rm -rf FOLDER/a FOLDER/empty; echo FOLDER/*",
        "sleep 0",
        "sleep x",
        "kill -0 999999999",
        "kill -s NOPE 1",
        "kill",
        "sh -c 'echo \"a b\"; exit 3'",
        "env A=1 sh -c 'exit 4'",
        "exec echo done",
        "exit 9",
        "none-of-this-name",
    ] {
        let line = line.replace("FOLDER", path);
        let real = std::process::Command::new("/bin/sh")
            .env("LC_ALL", "C")
            .args(["-c", &line])
            .output()
            .expect("run");
        let simulated = finish(start(&session, &line).await).await;
        assert_eq!(
            simulated.stdout,
            String::from_utf8_lossy(&real.stdout),
            "{line}"
        );
        // The shells among themselves give different statuses to wrong usage.
        let fails = real.status.code().expect("a status");
        match fails {
            0 | 1 | 3 | 4 | 9 | 127 => {
                assert_eq!(simulated.status, u32::try_from(fails).ok(), "{line}")
            }
            _ => assert_ne!(simulated.status, Some(0), "{line}"),
        }
        assert_eq!(
            simulated.stderr.is_empty(),
            real.stderr.is_empty(),
            "{line}: {}",
            simulated.stderr
        );
    }
}

#[tokio::test]
async fn simulators_run_side_by_side_and_targets_can_be_sent() {
    let one = Sim::start([SimHost::new("one")]).await.expect("started");
    let two = Sim::start([SimHost::new("two")]).await.expect("started");
    let targets = [one.targets(), two.targets()].concat();
    assert_eq!(targets[0].address, targets[1].address);
    let sent = serde_json::to_string(&targets).expect("JSON");
    let targets: Vec<clusterops_core::Target> = serde_json::from_str(&sent).expect("targets");
    for target in targets {
        assert_eq!(
            run(&target, "hostname").await,
            Outcome::stdout(&format!("{}\n", target.name))
        );
    }
}

#[tokio::test]
async fn a_host_can_be_a_jump_host() {
    let sim = Sim::start([SimHost::new("jump"), SimHost::new("inner")])
        .await
        .expect("started");
    let session = login(&sim.target("jump")).await;
    let inner = sim.target("inner");
    let port = inner.port.expect("set").into();
    let channel = session
        .channel_open_direct_tcpip(&inner.address, port, "127.0.0.1", 0)
        .await
        .expect("opened");
    let mut version = [0; 22];
    tokio::io::AsyncReadExt::read_exact(&mut channel.into_stream(), &mut version)
        .await
        .expect("read");
    assert_eq!(&version, b"SSH-2.0-clusterops_sim");
    session
        .channel_open_direct_tcpip("192.0.2.1", 22, "127.0.0.1", 0)
        .await
        .expect_err("not on loopback");
}
