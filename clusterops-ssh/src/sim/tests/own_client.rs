//! What our own client sends: one fixed exec string, and the request as a header.

use russh::client::Msg;
use russh::{Channel, ChannelMsg};

use super::client::{Checked, DEADLINE, login, start};
use crate::sim::{Answer, Fault, Match, Sim, SimHost};
use crate::wire::{self, Leader, Program, Ready, Request};

const TAG: &str = "5eed";

fn request(program: Program) -> Request {
    Request {
        tag: TAG.into(),
        is_held: false,
        is_raised: false,
        has_terminal: false,
        ending: None,
        environment: vec![("CLUSTEROPS_TASK".into(), "r1.1".into())],
        directory: None,
        program,
    }
}

fn script(text: &str) -> (Request, String) {
    let request = request(Program::Script {
        interpreter: vec!["/bin/bash".into(), "-e".into()],
        arguments: vec!["one two".into()],
        length: text.len() as u64,
    });
    let input = format!("{}{text}{}", request.header(), request.script_end());
    (request, input)
}

/// Sends the bootstrap and its input; gives what the shell said first, the output after that, and the exit status.
async fn play(
    session: &russh::client::Handle<Checked>,
    input: &str,
) -> (Option<Ready>, String, Option<u32>) {
    let mut channel: Channel<Msg> = start(session, wire::BOOTSTRAP).await;
    channel.data(input.as_bytes()).await.expect("sent");
    channel.eof().await.expect("sent");
    let (mut output, mut status) = (Vec::new(), None);
    let reading = async {
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => output.extend_from_slice(&data),
                ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading)
        .await
        .expect("the command ends");
    let (ready, start) = match wire::find_ready(&output, TAG) {
        Some((ready, start)) => (Some(ready), start),
        None => (None, 0),
    };
    (
        ready,
        String::from_utf8_lossy(&output[start..]).into_owned(),
        status,
    )
}

#[tokio::test]
async fn requests_are_decoded() {
    let host = SimHost::new("a")
        .answer(Match::script("exit 5\n"), Answer::status(5))
        .answer(Match::interpreter("bash"), Answer::stdout("deployed\n"));
    let sim = Sim::start([host]).await.expect("started");
    let session = login(&sim.target("a")).await;
    let host = sim.host("a");

    let words = request(Program::Words(vec![
        "echo".into(),
        "it's\n".into(),
        "$HOME".into(),
    ]));
    let (ready, output, status) = play(&session, &words.header()).await;
    assert!(matches!(ready, Some(Ready::Process(leader)) if leader.pid > 1));
    assert_eq!((output.as_str(), status), ("it's\n $HOME\n", Some(0)));

    let line = Request {
        directory: Some("/opt".into()),
        ..request(Program::Shell("pwd; env".into()))
    };
    let (_, output, _) = play(&session, &line.header()).await;
    assert!(
        output.starts_with("/opt\nCLUSTEROPS_TASK=r1.1\n"),
        "{output}"
    );

    let (_, output, status) = play(&session, &script("echo hello\n").1).await;
    assert_eq!((output.as_str(), status), ("deployed\n", Some(0)));
    assert_eq!(play(&session, &script("exit 5\n").1).await.2, Some(5));

    let commands = host.commands();
    assert_eq!(commands.len(), 4);
    assert_eq!(commands[2].line(), "/bin/bash -e 'one two'");
    assert_eq!(commands[2].script(), Some(b"echo hello\n".as_slice()));
    assert_eq!(commands[2].attempt(), Some("r1.1"));
    assert_eq!(commands[1].directory.as_deref(), Some("/opt"));
}

#[tokio::test]
async fn a_held_command_waits_with_its_environment_on() {
    let sim = Sim::start([SimHost::new("a")]).await.expect("started");
    let session = login(&sim.target("a")).await;
    let host = sim.host("a");
    let held = Request {
        is_held: true,
        ..request(Program::Shell("echo started".into()))
    };

    let mut channel: Channel<Msg> = start(&session, wire::BOOTSTRAP).await;
    let header = held.header();
    channel.data(header.as_bytes()).await.expect("sent");
    let ready = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(ChannelMsg::Data { data }) = channel.wait().await {
                break wire::find_ready(&data, TAG);
            }
        }
    });
    assert!(ready.await.expect("it says that it is there").is_some());
    let waiting = host.processes();
    assert_eq!(waiting[0].attempt(), Some("r1.1"));
    assert_eq!(host.commands(), []);
    channel.eof().await.expect("sent");

    let (_, output, status) = play(&session, &header).await;
    assert_eq!((output.as_str(), status), ("", Some(125)), "never let go");
    assert_eq!(host.commands(), []);
    let input = format!("{header}{}", Request::go(TAG));
    let (_, output, status) = play(&session, &input).await;
    assert_eq!((output.as_str(), status), ("started\n", Some(0)));
}

#[tokio::test]
async fn what_cannot_start_says_so() {
    let sim = Sim::start([SimHost::new("a")]).await.expect("started");
    let session = login(&sim.target("a")).await;
    let host = sim.host("a");
    let nowhere = Request {
        directory: Some("/none".into()),
        ..request(Program::Shell("true".into()))
    };
    let (ready, _, status) = play(&session, &nowhere.header()).await;
    assert_eq!((ready, status), (Some(Ready::NoDirectory), Some(125)));

    let (_, input) = script("a long script\n");
    let (ready, _, status) = play(&session, &input[..input.len() - 8]).await;
    assert_eq!((ready, status), (Some(Ready::NoScript), Some(125)));
    host.fault(Fault::DiskFull);
    let (ready, _, status) = play(&session, &input).await;
    assert_eq!((ready, status), (Some(Ready::NoScript), Some(125)));
    host.heal();

    let (ready, _, status) = play(&session, "rm -rf /\n").await;
    assert_eq!((ready, status), (None, Some(2)));
    let (ready, _, status) = play(&session, "no line feed").await;
    assert_eq!((ready, status), (None, Some(1)));
    assert_eq!(host.commands(), []);
    assert_eq!(host.processes(), []);
}

#[tokio::test]
async fn a_connection_lost_during_a_command_has_said_that_it_runs() {
    let host = SimHost::new("a").answer(
        "serve",
        Answer::never_exits().with_fault(Fault::DropDuringCommand),
    );
    let sim = Sim::start([host]).await.expect("started");
    let session = login(&sim.target("a")).await;
    let serve = request(Program::Shell("serve".into()));
    let (ready, _, status) = play(&session, &serve.header()).await;
    let process = sim.host("a").processes().remove(0);
    let leader = Leader {
        pid: process.pid,
        birth: None,
    };
    assert_eq!((ready, status), (Some(Ready::Process(leader)), None));
    assert_eq!(process.attempt(), Some("r1.1"));
}
