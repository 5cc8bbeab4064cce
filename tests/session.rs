//! Sessions against a real sshd.

use std::time::{Duration, Instant};

use clusterops::ssh::{ErrorKind, Exit, OutputStream, Termination};
use clusterops::{Command, Session, SessionOptions, Target};

mod support;
use support::{Sshd, SshdOptions, options};

async fn connect(sshd: &Sshd) -> Session {
    match Session::connect(&sshd.target("web1", "127.0.0.1"), &options()).await {
        Ok(session) => session,
        Err(error) => panic!("{error:?}\n{}", sshd.log()),
    }
}

#[tokio::test]
async fn words_environment_directory_and_input_arrive_unchanged() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let odd = [
        "a b",
        "",
        "it's",
        "$HOME `id` \\ \"!\" \n\t*",
        "größe ✓",
        "-n",
    ];
    let mut words = vec![
        "/bin/sh",
        "-c",
        "printf '%s\\0' \"$@\" \"$V\" \"$PWD\"; cat",
        "sh",
    ];
    words.extend(odd);
    let command = Command::new(words)
        .env("V", "v\n'w'")
        .current_dir("/usr/share")
        .stdin("input\nwithout end");
    let output = session.output(&command).await.expect("it runs");
    let mut expected = odd.join("\0") + "\0v\n'w'\0/usr/share\0";
    expected.push_str("input\nwithout end");
    assert_eq!(output.stdout.to_string(), expected);
    assert_eq!(output.exit, Exit::Status(0));
    session.close().await;
}

/// sshd gives a session ten channels at once.
#[tokio::test]
async fn what_is_dropped_gives_its_channel_back() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let hello = Command::new(["echo", "hello"]);
    let zeros = Command::new(["cat", "/dev/zero"]);
    for _ in 0..12 {
        let mut process = session.exec(&zeros).await.expect("there is a channel");
        process.next().await.expect("it writes");
    }
    for _ in 0..12 {
        // The request for a channel is sent by then, and not answered.
        tokio::select! {
            biased;
            _ = session.exec(&hello) => panic!("without an answer"),
            () = std::future::ready(()) => {}
        }
    }
    let output = session.output(&hello).await.expect("there is a channel");
    assert_eq!(output.stdout.to_string(), "hello\n");
}

/// sshd sends no signals to what root runs, so that nothing but the looks at the host ends it.
#[tokio::test]
async fn a_command_is_ended_with_all_the_time_there_is() {
    let Some(sshd) = Sshd::start(SshdOptions::default().root_login()) else {
        return;
    };
    let session = connect(&sshd).await;
    let sleep = session.exec(&Command::new(["sleep", "1743"])).await;
    let mut sleep = sleep.expect("it starts");
    let ended = sleep.terminate(&session, Duration::MAX).await;
    assert_eq!(ended, Termination::Confirmed);
}

#[tokio::test]
async fn the_three_ways_to_end_are_told_apart() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let exit = async |line: &str| {
        session
            .output(&Command::shell(line))
            .await
            .expect(line)
            .exit
    };
    assert_eq!(exit("exit 7").await, Exit::Status(7));
    assert_eq!(exit("kill -KILL $$").await, Exit::Signal("KILL".into()));
    assert_eq!(exit("kill -TERM $$").await, Exit::Signal("TERM".into()));
    assert_eq!(
        session
            .output(&Command::new(["/nonexistent"]))
            .await
            .expect("it is tried")
            .exit,
        Exit::Status(127)
    );
}

#[tokio::test]
async fn output_is_whole_whenever_it_comes() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    // What is written by a child that outlives the command still belongs to it.
    let line = "(sleep 0.3; printf late; printf '\\377\\000' >&2) & printf early";
    let output = session
        .output(&Command::shell(line))
        .await
        .expect("it runs");
    assert_eq!(output.stdout.bytes(), Some(&b"earlylate"[..]));
    assert_eq!(output.stderr.bytes(), Some(&b"\xff\0"[..]));
    for _ in 0..20 {
        let output = session
            .output(&Command::shell("head -c 300000 /dev/zero"))
            .await
            .expect("it runs");
        assert_eq!(output.stdout.total(), 300_000);
    }
    // Both directions at once, more than all windows hold.
    let input = vec![b'x'; 6 << 20];
    let output = session
        .output(&Command::new(["cat"]).stdin(input))
        .await
        .expect("it runs");
    assert_eq!(output.stdout.total(), 6 << 20);
}

#[tokio::test]
async fn scripts_run_with_their_interpreter_and_leave_nothing() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let folder = sshd.folder().join("tmp");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("ours");
    let tmp = folder.to_str().expect("UTF-8");
    let text = "import sys\nprint(sys.argv[1:], sys.stdin.read())\nsys.exit(3)\n";
    let script = Command::script(text, ["python3", "-I"], ["a b"])
        .env("TMPDIR", tmp)
        .stdin("in");
    let output = session.output(&script).await.expect("it runs");
    assert_eq!(
        (output.stdout.to_string(), output.exit),
        ("['a b'] in\n".into(), Exit::Status(3))
    );
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0);
    let script = Command::script("true", ["/bin/sh"], [""; 0]).env("TMPDIR", "/nonexistent");
    let error = session
        .output(&script)
        .await
        .expect_err("there is no such folder");
    assert_eq!(error.kind(), ErrorKind::Command);
    assert!(error.to_string().contains("/nonexistent"), "{error}");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let error = session
        .output(&Command::new(["true"]).current_dir("/nonexistent"))
        .await
        .expect_err("no such folder");
    assert_eq!(error.kind(), ErrorKind::Command);
    assert!(error.to_string().contains("nonexistent"), "{error}");
    for wrong in [
        Command::new(["", "x"]),
        Command::new([""; 0]),
        Command::new(["a\0"]),
        Command::shell(" "),
    ] {
        assert_eq!(
            session
                .output(&wrong)
                .await
                .expect_err("it cannot run")
                .kind(),
            ErrorKind::Plan
        );
    }
    let options = SshdOptions::default().line("ForceCommand echo no shell here; exit 1");
    let Some(forced) = Sshd::start(options) else {
        return;
    };
    let session = connect(&forced).await;
    let error = session
        .output(&Command::new(["true"]))
        .await
        .expect_err("another command is forced");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert!(error.to_string().contains("no shell here"), "{error}");
}

#[tokio::test]
async fn a_deadline_ends_the_remote_processes() {
    for options in [SshdOptions::default(), SshdOptions::default().root_login()] {
        let Some(sshd) = Sshd::start(options) else {
            continue;
        };
        let session = connect(&sshd).await;
        // One that ignores SIGTERM, and one that leaves the process group.
        // Nobody else's sleep is as long.
        let sleep = format!("sleep 1000.{}", std::process::id());
        let line = format!("trap '' TERM; setsid {sleep} & {sleep} & {sleep}");
        let started = Instant::now();
        let error = session
            .output(&Command::shell(line).deadline(Duration::from_millis(300)))
            .await
            .expect_err("it takes too long");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(started.elapsed() < Duration::from_secs(30));
        let left = session
            .output(&Command::shell(format!(
                "pgrep -f '[s]{}'; true",
                &sleep[1..]
            )))
            .await
            .expect("it runs");
        assert_eq!(left.stdout.to_string(), "", "{}", sshd.user());
    }
}

#[tokio::test]
async fn ending_is_confirmed_by_looking() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let mut process = session
        .exec(&Command::shell("echo ready; sleep 1001"))
        .await
        .expect("it starts");
    let chunk = process
        .next()
        .await
        .expect("it speaks")
        .expect("before it ends");
    assert_eq!(
        (chunk.stream, &chunk.bytes[..]),
        (OutputStream::Stdout, &b"ready\n"[..])
    );
    assert!(process.process_group().is_some());
    assert_eq!(
        process.terminate(&session, Duration::from_secs(2)).await,
        Termination::Confirmed
    );
    assert_eq!(process.exit(), Exit::Signal("TERM".into()));
}

#[tokio::test]
async fn connections_fail_each_in_its_own_way() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let good = sshd.target("web1", "127.0.0.1");
    let kind =
        async |target: Target, options: SessionOptions| match Session::connect(&target, &options)
            .await
        {
            Ok(_) => panic!("{target} let us in"),
            Err(error) => {
                assert_eq!(error.host(), Some(target.name.as_str()), "{error}");
                (error.kind(), error.is_retryable())
            }
        };
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port();
    let refused = Target {
        port: Some(closed),
        ..good.clone()
    };
    assert_eq!(kind(refused, options()).await, (ErrorKind::Refused, true));
    let nameless = Target {
        address: "no-such-host.invalid".into(),
        ..good.clone()
    };
    let (unreachable, _) = kind(nameless, options()).await;
    assert_eq!(unreachable, ErrorKind::Unreachable);
    let unknown = Target {
        known_hosts: Some(sshd.folder().join("none")),
        ..good.clone()
    };
    assert_eq!(kind(unknown, options()).await, (ErrorKind::HostKey, false));
    let Some(strict) = Sshd::start(SshdOptions::default().refuse_keys()) else {
        return;
    };
    let stranger = strict.target("web1", "127.0.0.1");
    assert_eq!(
        kind(stranger, options()).await,
        (ErrorKind::Authentication, false)
    );
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = Target {
        port: Some(silent.local_addr().expect("bound").port()),
        ..good
    };
    let hurried = options().handshake_deadline(Duration::from_millis(200));
    assert_eq!(kind(silent, hurried).await, (ErrorKind::Timeout, true));
}

#[tokio::test]
async fn new_host_keys_are_stored_once_and_changed_ones_refused() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let file = sshd.folder().join("new_known_hosts");
    let target = Target {
        known_hosts: Some(file.clone()),
        ..sshd.target("web1", "127.0.0.1")
    };
    let accepting = options().accept_new_host_keys();
    for _ in 0..2 {
        Session::connect(&target, &accepting)
            .await
            .expect("a new key is accepted")
            .close()
            .await;
    }
    Session::connect(&target, &options())
        .await
        .expect("now it is known")
        .close()
        .await;
    let text = std::fs::read_to_string(&file).expect("it was stored");
    assert_eq!(text.lines().count(), 1, "{text}");

    let Some(other) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let text = text.replace(&sshd.port().to_string(), &other.port().to_string());
    std::fs::write(&file, text).expect("our file");
    let target = Target {
        port: Some(other.port()),
        ..target
    };
    for options in [&options(), &accepting] {
        let error = Session::connect(&target, options)
            .await
            .expect_err("another server's key");
        assert_eq!(error.kind(), ErrorKind::HostKey);
        assert!(error.to_string().contains("new_known_hosts:1"), "{error}");
    }
    let any = options().danger_accept_any_host_key();
    let target = Target {
        identity_file: Some(other.identity_file()),
        ..target
    };
    Session::connect(&target, &any)
        .await
        .expect("asked for in so many words")
        .close()
        .await;
}

#[tokio::test]
async fn no_variable_of_the_command_changes_how_it_is_started() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    for (name, value) in [
        ("IFS", "0123456789"),
        ("PATH", "/nonexistent"),
        ("co_n", "x"),
    ] {
        let command = Command::new(["/usr/bin/printf", "%s", "a\nb"]).env(name, value);
        let output = session.output(&command).await.expect(name);
        assert_eq!(output.stdout.to_string(), "a\nb", "{name}");
        let script = Command::script("echo run", ["/bin/sh"], [""; 0]).env(name, value);
        let output = session.output(&script).await.expect(name);
        assert_eq!(output.stdout.to_string(), "run\n", "{name}");
    }
    let reserved = Command::new(["true"]).env("_clusterops_n", "x");
    let error = session
        .output(&reserved)
        .await
        .expect_err("that name is ours");
    assert_eq!(error.kind(), ErrorKind::Plan);
}

#[tokio::test]
async fn an_end_is_confirmed_only_by_a_look_that_works() {
    let broken_path = SshdOptions::default().line("SetEnv PATH=/nonexistent");
    let Some(sshd) = Sshd::start(broken_path) else {
        return;
    };
    let session = connect(&sshd).await;
    let line = "trap '' TERM; echo ready; while :; do /bin/sleep 0.1; done";
    let mut process = session
        .exec(&Command::shell(line))
        .await
        .expect("it starts");
    process.next().await.expect("it speaks");
    let group = process.process_group().expect("it runs");
    let end = process.terminate(&session, Duration::from_secs(2)).await;
    assert_eq!(end, Termination::Confirmed);
    // A zombie that nobody has reaped yet is no process that runs.
    let look = format!("/bin/grep -s -l -e ') [^ZX] [0-9]* {group} ' /proc/[0-9]*/stat; true");
    let left = session
        .output(&Command::shell(look))
        .await
        .expect("it runs");
    assert_eq!(left.stdout.to_string(), "");
}

/// Where a part of a test in a process of its own finds its target.
const TARGET_VARIABLE: &str = "CLUSTEROPS_TEST_TARGET";

#[test]
fn the_agent_is_asked_for_keys() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let socket = sshd.folder().join("agent");
    let agent = std::process::Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut agent = agent.expect("the OpenSSH client is installed");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !socket.exists() {
        assert!(Instant::now() < deadline, "the agent did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut target = sshd.target("web1", "127.0.0.1");
    let key = target.identity_file.take().expect("the fixture's key");
    let with_agent = |program: &mut std::process::Command| {
        program
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .expect("it starts")
    };
    // The agent's socket is the process's, so the client is a process of its own.
    let connect = || {
        let mut part = std::process::Command::new(std::env::current_exe().expect("this program"));
        part.args(["--ignored", "--exact", "part_that_has_an_agent"]);
        part.env(
            TARGET_VARIABLE,
            serde_json::to_string(&target).expect("plain data"),
        );
        with_agent(&mut part)
    };
    let empty = connect();
    let added = with_agent(std::process::Command::new("ssh-add").arg(&key));
    let full = connect();
    agent.kill().expect("our own process");
    agent.wait().expect("our own process");
    assert!(added.status.success(), "{added:?}");
    let said = String::from_utf8_lossy(&empty.stdout);
    assert!(
        !empty.status.success() && said.contains("nothing, for there is no key"),
        "{said}"
    );
    assert!(
        full.status.success(),
        "{}",
        String::from_utf8_lossy(&full.stdout)
    );
}

#[tokio::test]
#[ignore = "a part of the_agent_is_asked_for_keys, which starts it"]
async fn part_that_has_an_agent() {
    let target = std::env::var(TARGET_VARIABLE).expect("started as a part");
    let target: Target = serde_json::from_str(&target).expect("a target");
    let config = clusterops::config::Config::parse("IdentityFile none\n", "test");
    let options = SessionOptions::default().config(config.expect("a configuration"));
    match Session::connect(&target, &options).await {
        Ok(session) => session.close().await,
        Err(error) => panic!("{error}"),
    }
}
