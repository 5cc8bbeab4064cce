//! A plain russh client that checks the host key as OpenSSH does for the line the simulator writes.

use std::sync::Arc;
use std::time::Duration;

use clusterops_core::Target;
use russh::client::{Config, Handle, Handler, Msg};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate, load_secret_key};
use russh::{Channel, ChannelMsg};

/// How long anything may take before a test gives up.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Checked {
    known: PublicKey,
}

impl Handler for Checked {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(
            matches!(key, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.known.key_data()),
        )
    }
}

/// What a command did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) status: Option<u32>,
    pub(super) signal: Option<String>,
}

pub(super) async fn connect(target: &Target) -> Result<Handle<Checked>, russh::Error> {
    let known_hosts =
        std::fs::read_to_string(target.known_hosts.as_ref().expect("set")).expect("readable");
    let key = known_hosts
        .lines()
        .next()
        .expect("a line")
        .split_once(' ')
        .expect("a key")
        .1;
    let checked = Checked {
        known: PublicKey::from_openssh(key).expect("a public key"),
    };
    let endpoint = (target.address.as_str(), target.port.expect("set"));
    let config = Config {
        // Otherwise a small request waits for the acknowledgement of the one before.
        nodelay: true,
        ..Config::default()
    };
    let connecting = russh::client::connect(Arc::new(config), endpoint, checked);
    tokio::time::timeout(DEADLINE, connecting)
        .await
        .expect("connecting ends")
}

/// A connection that has logged in.
pub(super) async fn login(target: &Target) -> Handle<Checked> {
    let mut session = connect(target).await.expect("connected");
    let key = load_secret_key(target.identity_file.as_ref().expect("set"), None).expect("a key");
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let user = target.user.clone().expect("set");
    let result = session
        .authenticate_publickey(user, key)
        .await
        .expect("answered");
    assert!(result.success(), "{result:?}");
    session
}

pub(super) async fn start(session: &Handle<Checked>, line: &str) -> Channel<Msg> {
    let channel = session.channel_open_session().await.expect("a channel");
    channel.exec(true, line).await.expect("sent");
    channel
}

/// Reads until the channel is closed.
pub(super) async fn finish(mut channel: Channel<Msg>) -> Outcome {
    let mut outcome = Outcome::default();
    let reading = async {
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    outcome.stdout.push_str(&String::from_utf8_lossy(&data))
                }
                ChannelMsg::ExtendedData { data, ext: 1 } => {
                    outcome.stderr.push_str(&String::from_utf8_lossy(&data))
                }
                ChannelMsg::ExitStatus { exit_status } => outcome.status = Some(exit_status),
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    outcome.signal = Some(format!("{signal_name:?}"))
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading)
        .await
        .expect("the command ends");
    outcome
}

/// Runs a shell line on a connection of its own.
pub(super) async fn run(target: &Target, line: &str) -> Outcome {
    let session = login(target).await;
    let channel = start(&session, line).await;
    finish(channel).await
}

/// Waits until a condition holds.
pub(super) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Outcome {
    pub(super) fn stdout(stdout: &str) -> Self {
        Self {
            stdout: stdout.to_owned(),
            status: Some(0),
            ..Self::default()
        }
    }

    pub(super) fn failed(status: u32, stderr: &str) -> Self {
        Self {
            stderr: stderr.to_owned(),
            status: Some(status),
            ..Self::default()
        }
    }
}
