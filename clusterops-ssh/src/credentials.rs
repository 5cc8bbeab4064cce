//! What only a person or a vault can answer.

use async_trait::async_trait;
use clusterops_core::Target;
use secrecy::SecretString;

use crate::Result;

/// What a secret is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// A stage's [`secret_env`](crate::plan::Stage::secret_env): the secret's name in the plan.
    Environment(String),
}

/// Who is asked for secrets while a run goes on.
///
/// A plan names secrets and never holds them; each time a stage starts on a host, its secrets are asked for here. The
/// answer travels to the host on the standard input of the remote shell and is never stored, logged or reported.
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
    /// The secret for this purpose on this target; `None` when there is none, which fails the stage on that host.
    ///
    /// # Errors
    /// Whatever the source of secrets reports; the stage fails on that host with it.
    async fn secret(&self, target: &Target, purpose: &Purpose) -> Result<Option<SecretString>>;
}
