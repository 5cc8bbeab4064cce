//! Commands as operators need them, against a real sshd.

use std::time::Duration;

use clusterops::{Session, SessionOptions, Target};

mod deadlines;
mod run_as;
mod shells;
mod stdin;
mod sudo_terminal;
#[path = "../support/mod.rs"]
mod support;
mod terminal;

use support::Sshd;

fn options() -> SessionOptions {
    SessionOptions::default()
        .agent(false)
        .command_deadline(Duration::from_secs(60))
}

async fn connect(sshd: &Sshd, target: &Target) -> Session {
    match Session::connect(target, &options()).await {
        Ok(session) => session,
        Err(error) => panic!("{error:?}\n{}", sshd.log()),
    }
}
