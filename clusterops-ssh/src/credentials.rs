//! What only a person or a vault can answer.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::task::Poll;

use async_trait::async_trait;
use clusterops_core::Target;
use secrecy::SecretString;

use crate::{Error, ErrorKind, Result, RunAs};

/// What a secret is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// A stage's [`secret_env`](crate::plan::Stage::secret_env): the secret's name in the plan.
    Environment(String),
    /// The passphrase of this private key file. It opens the key for all hosts of a fleet, so the first host that needs
    /// the key is the one that is asked for.
    Passphrase(PathBuf),
    /// The login password of the target's user.
    Password,
    /// The password that sudo, su or doas may ask for to run a command as this user. It is asked for before each such
    /// command, since only the host knows whether it is needed; without an answer, a host that asks fails the stage.
    RunAs(RunAs),
    /// One question of the server's keyboard-interactive authentication (RFC 4256), such as a one-time code.
    KeyboardInteractive {
        /// What the server calls the questions; often empty.
        name: String,
        /// What the server says before its questions; often empty.
        instruction: String,
        /// The question.
        prompt: String,
        /// Whether the answer may be shown while it is typed.
        echo: bool,
    },
}

/// Who is asked for secrets: for passphrases, passwords and answers when a connection is made, and for a plan's secrets
/// each time a stage that names them starts on a host.
///
/// An answer is asked for only when it is needed, and sent to the host alone: it is never stored, logged or reported. What
/// a server or a key file refused is asked for again, as often as ssh would (`NumberOfPasswordPrompts`), and sent again only
/// if the answer is another one.
///
/// A server waits for two minutes (`LoginGraceTime`, sshd_config(5)), and so do we.
///
/// ```
/// use async_trait::async_trait;
/// use clusterops_core::{Target, secrecy::SecretString};
/// use clusterops_ssh::{Credentials, Purpose, Result};
///
/// #[derive(Debug)]
/// struct FromEnvironment;
///
/// #[async_trait]
/// impl Credentials for FromEnvironment {
///     async fn secret(&self, _target: &Target, purpose: &Purpose) -> Result<Option<SecretString>> {
///         Ok(match purpose {
///             Purpose::Environment(name) => std::env::var(format!("SECRET_{name}")).ok().map(SecretString::from),
///             _ => None,
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait Credentials: std::fmt::Debug + Send + Sync {
    /// The secret for this purpose on this target; `None` when there is none. A stage fails on that host then, and a
    /// login goes on with what else there is.
    ///
    /// # Errors
    /// Whatever the source of secrets reports; the stage or the login fails on that host with it, and so it does when this
    /// panics.
    async fn secret(&self, target: &Target, purpose: &Purpose) -> Result<Option<SecretString>>;
}

/// Asks credentials. They are not ours: where they panic, that is an error like another one, of this host alone.
pub(crate) async fn ask(
    credentials: &dyn Credentials,
    target: &Target,
    purpose: &Purpose,
) -> Result<Option<SecretString>> {
    let mut asking = std::pin::pin!(async { credentials.secret(target, purpose).await });
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| asking.as_mut().poll(context)));
        // What a panic says may be the secret; the panic hook has shown it to whoever is to see it.
        polled.unwrap_or_else(|_| {
            let message = "the credentials panicked when they were asked for a secret";
            Poll::Ready(Err(Error::new(ErrorKind::Secret, message)))
        })
    })
    .await
}
