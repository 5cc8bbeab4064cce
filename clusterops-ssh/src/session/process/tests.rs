use std::future::ready;

use super::*;
use crate::config::Config;
use crate::session::{Session, Written};
use crate::sim::{Fault, Sim, SimHost};
use crate::wire::ending::Ending;
use crate::{Command, SessionOptions};

/// A process as it is when its end has been read, as that of a command that ended so, and not that of its channel.
async fn closing(session: &Session, exit: Exit) -> Process {
    let process = session.exec(&Command::new(["true"])).await;
    let mut process = process.expect("it is asked for");
    process.end_mark = Some(EndMark::new(&Ending::new()));
    process.closing_due = Some(deadline_in(CLOSING));
    process.exit = Some(exit);
    process
}

#[tokio::test]
async fn time_that_runs_out_while_a_channel_is_closing_changes_no_end() {
    let sim = Sim::start([SimHost::new("a")]).await.expect("started");
    sim.host("a").fault(Fault::NeverExits);
    let options = SessionOptions::default().config(Config::none().expect("there is a user"));
    let session = Session::connect(&sim.target("a"), &options).await;
    let session = session.expect("connected");

    let mut process = closing(&session, Exit::Status(3)).await;
    let leader = Leader {
        pid: 7,
        birth: None,
    };
    process.state = State::Running { leader };
    let ended = Written::new().collect(&mut process, ready(())).await;
    assert_eq!(ended.expect("it ran"), Ok(()), "it has ended");
    assert_eq!(process.exit(), Exit::Status(3));

    // Nothing was started, so that the status is none of a command.
    let mut process = closing(&session, Exit::Status(125)).await;
    process.directory = Some("/gone".into());
    process.refusal = Some(Ready::NoDirectory);
    let ended = Written::new().collect(&mut process, ready(())).await;
    let error = ended.expect_err("it was not started");
    assert_eq!(error.kind(), ErrorKind::Command);
    let says = "the working directory `/gone` cannot be entered";
    assert!(error.to_string().contains(says), "{error}");

    let process = session.exec(&Command::new(["true"])).await;
    let mut process = process.expect("it is asked for");
    let ended = Written::new().collect(&mut process, ready("late")).await;
    assert_eq!(ended.expect("it may run").err(), Some("late"));
}
