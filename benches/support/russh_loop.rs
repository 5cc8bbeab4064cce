//! The least a program on russh can do for the work: no library between it and the protocol.

use std::sync::Arc;

use russh::client::{self, Handle, Handler};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect};
use tokio::task::JoinSet;

use super::Result;
use super::work::{COMMAND, Work};

/// The first argument with which a benchmark calls itself to do this.
pub(crate) const MODE: &str = "russh";

/// Does the work; the key is read once, and each connection checks the host key against the one that the first line of
/// the known hosts file holds.
pub(crate) async fn all_hosts(work: &Work) -> Result<()> {
    let shared = Arc::new(Shared::new(work)?);
    let mut hosts = JoinSet::new();
    for address in work.addresses()? {
        // A finished task keeps its memory until it is joined.
        if hosts.len() == work.parallelism
            && let Some(host) = hosts.join_next().await
        {
            host??;
        }
        let shared = Arc::clone(&shared);
        hosts.spawn(async move {
            match one_host(&shared, &address).await {
                Ok((output, Some(0))) if output == shared.work.expected.as_bytes() => Ok(()),
                other => Err(format!("{address}: {other:?}")),
            }
        });
    }
    while let Some(host) = hosts.join_next().await {
        host??;
    }
    Ok(())
}

/// What all connections have in common.
pub(crate) struct Shared {
    config: Arc<client::Config>,
    identity: Arc<PrivateKey>,
    host_key: PublicKey,
    work: Work,
}

impl Shared {
    pub(crate) fn new(work: &Work) -> Result<Self> {
        let known_hosts = std::fs::read_to_string(&work.known_hosts)?;
        let host_key = known_hosts
            .split_whitespace()
            .nth(2)
            .ok_or("the known hosts file holds no key")?;
        Ok(Self {
            config: Arc::new(client::Config {
                nodelay: true,
                ..client::Config::default()
            }),
            identity: Arc::new(russh::keys::load_secret_key(&work.identity_file, None)?),
            host_key: russh::keys::parse_public_key_base64(host_key)?,
            work: work.clone(),
        })
    }
}

/// The command's output without the white space at its end, and its exit status.
async fn one_host(shared: &Shared, address: &str) -> Result<(Vec<u8>, Option<u32>)> {
    let session = log_in(shared, address).await?;
    let answer = command(&session).await?;
    session
        .disconnect(Disconnect::ByApplication, "", "")
        .await?;
    Ok(answer)
}

pub(crate) async fn log_in(shared: &Shared, address: &str) -> Result<Handle<KnownKey>> {
    let handler = KnownKey {
        key: shared.host_key.clone(),
    };
    let mut session = client::connect(
        Arc::clone(&shared.config),
        (address, shared.work.port),
        handler,
    )
    .await?;
    let identity = PrivateKeyWithHashAlg::new(Arc::clone(&shared.identity), None);
    if !session
        .authenticate_publickey(&shared.work.user, identity)
        .await?
        .success()
    {
        return Err("the key was refused".into());
    }
    Ok(session)
}

async fn command(session: &Handle<KnownKey>) -> Result<(Vec<u8>, Option<u32>)> {
    let mut channel = session.channel_open_session().await?;
    channel.exec(true, COMMAND).await?;
    let (mut output, mut status) = (Vec::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => output.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
    }
    output.truncate(output.trim_ascii_end().len());
    Ok((output, status))
}

pub(crate) struct KnownKey {
    key: PublicKey,
}

impl Handler for KnownKey {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        presented: &PublicKeyOrCertificate,
    ) -> std::result::Result<bool, Self::Error> {
        Ok(
            matches!(presented, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.key.key_data()),
        )
    }
}
