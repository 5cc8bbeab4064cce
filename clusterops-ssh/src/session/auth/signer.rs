//! Proving that we have a private key.

use std::sync::Arc;

use russh::SendError;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::{HashAlg, Signature};
use russh::keys::{PrivateKey, PublicKey};
use signature::Signer as _;
use tokio::net::UnixStream;

use super::asking::Asking;
use super::key_file::KeyFile;
use crate::Error;

/// Who signs.
pub(super) enum Signer<'a> {
    /// A key file, whose passphrase is asked for only when the server takes the key.
    File {
        file: &'a KeyFile,
        prompts: u32,
        asking: &'a Asking<'a>,
    },
    /// The agent.
    Agent {
        client: &'a mut AgentClient<UnixStream>,
        /// The plain key, where the agent has that and not the certificate that is shown.
        plain: Option<Arc<PublicKey>>,
        asking: &'a Asking<'a>,
    },
}

/// Why there is no signature.
#[derive(Debug)]
pub(super) enum Unsigned {
    /// The connection is gone.
    Disconnected,
    /// This key is not to be had; another may be.
    Refused(String),
    /// The agent is not to be had any more.
    AgentLost(String),
    /// Whoever was asked failed.
    Failed(Error),
}

impl From<SendError> for Unsigned {
    fn from(_: SendError) -> Self {
        Self::Disconnected
    }
}

impl From<Error> for Unsigned {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl russh::Signer for Signer<'_> {
    type Error = Unsigned;

    /// Appends the signature to what is signed, as russh wants it.
    async fn auth_sign(
        &mut self,
        shown: &AgentIdentity,
        hash: Option<HashAlg>,
        mut text: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        match self {
            Self::File {
                file,
                prompts,
                asking,
            } => {
                let key = file.open(asking, *prompts).await?;
                let signature = sign(&key, hash, &text)
                    .and_then(|signature| signature.encode_vec().ok())
                    .and_then(|signature| signature.encode(&mut text).ok());
                match signature {
                    Some(()) => Ok(text),
                    None => Err(Unsigned::Refused("it does not sign".into())),
                }
            }
            Self::Agent {
                client,
                plain,
                asking,
            } => {
                let identity = match plain {
                    Some(key) => &AgentIdentity::from(PublicKey::clone(key)),
                    None => shown,
                };
                // It may ask for a confirmation, or for a touch.
                match asking.wait(client.sign_request(identity, hash, text)).await {
                    Some(Ok(text)) => Ok(text),
                    Some(Err(russh::keys::Error::AgentFailure)) => {
                        Err(Unsigned::Refused("the agent refuses to sign".into()))
                    }
                    Some(Err(russh::keys::Error::IO(error))) => {
                        Err(Unsigned::AgentLost(format!("the agent is gone: {error}")))
                    }
                    Some(Err(error)) => Err(Unsigned::Refused(format!(
                        "the agent does not sign: {error}"
                    ))),
                    None => Err(Unsigned::AgentLost("the agent does not answer".into())),
                }
            }
        }
    }
}

fn sign(key: &PrivateKey, hash: Option<HashAlg>, text: &[u8]) -> Option<Signature> {
    match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(text).ok(),
        _ => key.try_sign(text).ok(),
    }
}
