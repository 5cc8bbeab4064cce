//! Servers that take few connections or sessions.

use std::time::Duration;

use clusterops::ssh::{ConnectRetries, Termination};
use clusterops::{Plan, Stage};

use super::support::{Sshd, SshdOptions};
use super::{fleet, run, targets};

#[tokio::test]
async fn a_server_that_drops_connections_under_load_gets_them_again() {
    for max_startups in ["2:50:6", "1000"] {
        let Some(sshd) = Sshd::start(SshdOptions::default().max_startups(max_startups)) else {
            return;
        };
        let plan = Plan::new("p").stage(Stage::command("s", ["uname", "-n"]));
        let fleet = fleet(targets(&sshd, 60)).parallelism(30).connect_retries(
            ConnectRetries::default()
                .attempts(20)
                .first_pause(Duration::from_millis(100))
                .longest_pause(Duration::from_secs(2)),
        );
        let report = run(&fleet, &plan).await;
        assert!(report.is_success(), "{report}");
        assert_eq!(report.gather("s").answers().len(), 1);
    }
}

#[tokio::test]
async fn a_server_with_one_session_a_connection_still_ends_its_processes() {
    let Some(sshd) = Sshd::start(SshdOptions::default().max_sessions(1)) else {
        return;
    };
    let plan = Plan::new("p").stage(
        Stage::shell("s", "trap '' TERM; sleep 1005; sleep 1005")
            .deadline(Duration::from_millis(500)),
    );
    let report = run(&fleet(targets(&sshd, 1)), &plan).await;
    assert_eq!(
        report.hosts[0].termination,
        Some(Termination::Confirmed),
        "{report}"
    );
}
