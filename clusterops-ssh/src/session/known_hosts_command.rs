//! Host keys that a command of the user's prints (KnownHostsCommand, ssh_config(5)).

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_encoding::base64::{Base64, Encoding};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::settings::HostName;
use crate::config::KnownHostsCommand;
use crate::known_hosts::{KnownHosts, PublicKey};
use crate::{Error, ErrorKind, Result};

/// How long the command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much it may print: some thousand keys.
const MOST: u64 = 1 << 20;

/// How much of what it says on standard error is told.
const MOST_WORDS: u64 = 1 << 10;

/// Runs the command for a host: with the key that the host shows, or before, to know which keys to ask the host for.
///
/// # Errors
/// [`ErrorKind::Local`] when it cannot be run, fails, prints too much or takes too long: nobody knows then which keys it
/// would have revoked.
pub(super) async fn ask(
    command: &KnownHostsCommand,
    host: &HostName,
    shown: Option<&PublicKeyOrCertificate>,
) -> Result<KnownHosts> {
    let looked_up = host.to_string();
    let key = shown.map(ShownKey::new);
    let words = command.words(|token| {
        Some(match (token, &key) {
            ('H', _) => looked_up.as_str(),
            ('I', Some(_)) => "HOSTNAME",
            ('I', None) => "ORDER",
            ('f', Some(key)) => &key.fingerprint,
            ('K', Some(key)) => &key.base64,
            ('t', Some(key)) => &key.key_type,
            ('f' | 'K' | 't', None) => "NONE",
            _ => return None,
        })
    })?;
    let text = match timeout(PATIENCE, run(&words)).await {
        Ok(text) => text?,
        Err(_) => return Err(failed(format!("took longer than {PATIENCE:?}"))),
    };
    Ok(KnownHosts::parse(text, "KnownHostsCommand"))
}

/// The key that a host shows, in the words that the command gets.
struct ShownKey {
    fingerprint: String,
    base64: String,
    key_type: String,
}

impl ShownKey {
    fn new(shown: &PublicKeyOrCertificate) -> Self {
        let key = shown.public_key();
        let plain = PublicKey::from_key_data(key.key_data());
        let (blob, key_type) = match shown.certificate() {
            Some(certificate) => (
                certificate.encode_vec(),
                certificate.algorithm().to_certificate_type(),
            ),
            None => (key.key_data().encode_vec(), key.algorithm().to_string()),
        };
        Self {
            fingerprint: plain.map(|key| key.fingerprint()).unwrap_or_default(),
            base64: Base64::encode_string(&blob.unwrap_or_default()),
            key_type,
        }
    }
}

async fn run(words: &[String]) -> Result<Vec<u8>> {
    let (program, arguments) = words.split_first().ok_or_else(|| failed("has no words"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {program}")).caused_by(error))?;
    let (output, said) = tokio::join!(
        read(child.stdout.take(), MOST + 1),
        read(child.stderr.take(), MOST_WORDS),
    );
    if output.len() as u64 > MOST {
        return Err(failed(format!("printed more than {MOST} bytes")));
    }
    let status = child
        .wait()
        .await
        .map_err(|error| failed("was lost").caused_by(error))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        let said = said.trim();
        let colon = if said.is_empty() { "" } else { ": " };
        return Err(failed(format!("failed ({status}){colon}{said}")));
    }
    Ok(output)
}

/// What a child writes, up to a limit. A child that goes on writing then gets a broken pipe.
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What cannot be read was not written.
        let _ = from.take(most).read_to_end(&mut bytes).await;
    }
    bytes
}

fn failed(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Local, format!("the KnownHostsCommand {what}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use crate::config::{Config, Query};
    use crate::known_hosts::Verdict;

    use super::*;

    const KEY: &str = include_str!("../known_hosts/test_keys/ecdsa-256.pub");

    async fn asked(command: &str, shown: Option<&str>) -> Result<KnownHosts> {
        let config = Config::parse(format!("KnownHostsCommand {command}"), "test").unwrap();
        let host = config.resolve(&Query::new("web1")).unwrap();
        let shown = shown.map(|key| russh::keys::PublicKey::from_openssh(key).unwrap().into());
        let name = HostName {
            name: "web1".into(),
            port: 2222,
        };
        ask(&host.known_hosts_command.unwrap(), &name, shown.as_ref()).await
    }

    #[tokio::test]
    async fn what_a_command_prints_is_known() {
        let key: PublicKey = KEY.parse().unwrap();
        let known = asked("/bin/echo %H %t %K", Some(KEY)).await.unwrap();
        assert_eq!(known.lookup("web1", 2222, &key), Verdict::Known);
        assert_eq!(known.lookup("web2", 2222, &key), Verdict::Unknown);
        let order = asked("/bin/echo %H %I %t", None).await.unwrap();
        let line = order.skipped().pop().unwrap().to_string();
        assert!(line.starts_with("KnownHostsCommand:1:"), "{line}");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_floods_is_an_error() {
        for (command, told) in [
            ("/nonexistent/command", "cannot be started"),
            ("/bin/sh -c \"echo no database >&2; exit 3\"", "no database"),
            ("/bin/cat /dev/zero", "printed more than"),
        ] {
            let error = asked(command, None).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Local);
            assert!(error.message().contains(told), "{error}");
        }
    }
}
