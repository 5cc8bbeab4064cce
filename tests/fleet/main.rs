//! Fleets, plans and runs against a real sshd.

use std::time::{Duration, Instant};

use clusterops::ssh::ConnectRetries;
use clusterops::{Fleet, Plan, Report, SessionOptions, Target};

#[path = "../support/mod.rs"]
mod support;
use support::Sshd;

mod connections;
mod ending;
mod output;
mod plans;
mod retrying;
mod rollback;
mod secrets;

/// `count` hosts that are all the same server, each by its own address.
fn targets(sshd: &Sshd, count: usize) -> Vec<Target> {
    (1..=count)
        .map(|number| {
            sshd.target(
                &format!("web{number}"),
                &format!("127.0.{}.{}", number / 250, number % 250 + 1),
            )
        })
        .collect()
}

fn fleet(targets: impl IntoIterator<Item = Target>) -> Fleet {
    Fleet::new(targets)
        .session(
            SessionOptions::default()
                .config(clusterops::config::Config::none().expect("there is a user"))
                .agent(false),
        )
        .connect_retries(ConnectRetries::default().first_pause(Duration::from_millis(50)))
}

async fn run(fleet: &Fleet, plan: &Plan) -> Report {
    fleet
        .run(plan)
        .expect("a valid plan")
        .await
        .expect("the run goes on")
}

/// A folder that the login user can write to.
fn shared_folder(sshd: &Sshd, name: &str) -> String {
    let folder = sshd.folder().join(name);
    std::fs::create_dir(&folder).expect("a new folder");
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("our folder");
    folder.to_str().expect("UTF-8").to_owned()
}

fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

async fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
