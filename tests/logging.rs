//! What runs and sessions tell by the `log` crate: at which levels, and nothing of what they run.

use std::sync::{Mutex, PoisonError};

use clusterops::config::Config;
use clusterops::sim::{Answer, Sim, SimHost};
use clusterops::{Command, Connector, Fleet, Plan, SessionOptions, Stage};
use log::{Level, LevelFilter, Log, Metadata, Record};

static LOGGED: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "clusterops::ssh"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
            logged.push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// What was logged at a level since this was last asked.
fn logged(level: Level) -> Vec<String> {
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = logged.iter().filter(|(of, _)| *of == level);
    let found = found.map(|(_, text)| text.clone()).collect();
    logged.retain(|(of, _)| *of != level);
    found
}

#[tokio::test]
async fn runs_and_sessions_tell_what_they_do_and_not_what_they_run() {
    log::set_logger(&Capture).expect("the only one of this process");
    log::set_max_level(LevelFilter::Debug);
    let host = SimHost::new("web1").answer("secret-command", Answer::stdout("secret-output"));
    let sim = Sim::start([host]).await.expect("it starts");
    let config = Config::parse("ForwardAgent yes\n", "the configuration").expect("it is one");
    let options = SessionOptions::default().config(config);
    let unsupported = "the configuration:1: ForwardAgent has no effect here";

    let fleet = Fleet::new(sim.targets()).session(options.clone());
    let plan = Plan::new("kernel").stage(Stage::shell("run", "secret-command"));
    let run = fleet.run(&plan).expect("it begins");
    let id = run.id().to_owned();
    let report = run.await.expect("it goes on");
    assert_eq!(report.warnings, [unsupported]);
    assert_eq!(logged(Level::Warn), [unsupported]);
    let ends = [
        format!("run {id} of plan `kernel` on 1 hosts begins"),
        format!("run {id} is over: kernel: 1 of 1 hosts succeeded"),
    ];
    assert_eq!(logged(Level::Info), ends);
    let of_run = logged(Level::Debug);

    let connector = Connector::new(options);
    let session = connector
        .connect(&sim.targets()[0])
        .await
        .expect("it connects");
    let output = session.output(&Command::new(["secret-command"])).await;
    assert_eq!(output.expect("it runs").stdout.to_string(), "secret-output");
    session.close().await;
    assert_eq!(logged(Level::Warn), [unsupported]);
    assert!(logged(Level::Info).is_empty());
    for steps in [of_run, logged(Level::Debug)] {
        let [login, connected, closed] = &steps[..] else {
            panic!("{steps:?}");
        };
        assert!(
            login.starts_with("web1: ") && login.ends_with(": accepted"),
            "{login}"
        );
        assert!(
            connected.starts_with("web1: connected to 127."),
            "{connected}"
        );
        assert_eq!(closed, "web1: the connection is closed");
        assert!(!steps.concat().contains("secret"), "{steps:?}");
    }
}
