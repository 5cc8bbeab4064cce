//! From a sealed document to a running app: opened in memory, posted, overwritten.
//!
//! ```no_run
//! use clusterops::deploy::{Deploy, Trust, dry_run};
//! use clusterops::http::HttpOptions;
//! use clusterops::marathon::Marathon;
//! use clusterops::secrets::{PrivateKey, SealedFile};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let file = SealedFile::read("prod/web.json")?;
//! let marathon = Marathon::new("https://marathon.example.org:8443", HttpOptions::default())?;
//! let key = PrivateKey::read("ops.pem", Some(&"the passphrase".into()))?;
//!
//! // What a reviewer looks at: every difference, no secret, and the digest of these very bytes.
//! let marathons = [marathon];
//! for plan in dry_run(&file, &[&key], &marathons).await? {
//!     println!("{plan}");
//! }
//!
//! // What is deployed is what was reviewed, or nothing.
//! let reviewed = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse()?;
//! let deploy = Deploy::new(Trust::Reviewed(reviewed));
//! for deployed in deploy.run(&file, &[&key], &marathons).await? {
//!     println!("{deployed}");
//! }
//! # Ok(())
//! # }
//! ```

mod diff;
mod source;

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use clusterops_core::marathon::{AppDefinition, AppId, Followed, Locked, Marathon, PutOptions};
use clusterops_core::{Error as CoreError, ErrorKind as CoreErrorKind, Printable};
use clusterops_secrets::{
    Digest, DocumentId, ErrorKind as SecretsErrorKind, Identity, SealedFile, VerifyingKey,
    verify_file,
};
pub use diff::{Change, ChangeKind, Differences, DryRun, dry_run};
use serde_json::Value;
use tokio::task::JoinSet;

use self::source::{Source, refused};
use crate::{Error, Result};

/// Why a file may be deployed. There is no default: somebody has vouched for these bytes, or has reviewed them.
#[derive(Debug, Clone)]
pub enum Trust {
    /// One of these signers has signed the file, in the signature file beside it.
    Signers(Vec<VerifyingKey>),
    /// The file has this digest: that of the file that was reviewed.
    Reviewed(Digest),
}

/// How to deploy.
///
/// ```
/// use std::time::Duration;
/// use clusterops::deploy::{Deploy, Trust};
/// use clusterops::secrets::Digest;
///
/// # fn main() -> Result<(), clusterops::secrets::Error> {
/// let reviewed: Digest =
///     "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse()?;
/// let deploy = Deploy::new(Trust::Reviewed(reviewed)).deadline(Duration::from_secs(120));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Deploy {
    trust: Trust,
    force: bool,
    replace: bool,
    deadline: Duration,
}

impl Deploy {
    /// Deploys what is trusted for this reason, as the whole definition; follows each deployment for ten minutes.
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            force: false,
            replace: true,
            deadline: Duration::from_secs(600),
        }
    }

    /// Cancels the deployments that have locked the app. Not by default.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Whether the document is the whole definition, so that what it does not mention gets Marathon's default: by default it
    /// is.
    ///
    /// Nobody has reviewed what stands on the server. If that stayed, a `cmd` or a volume that somebody put there would run
    /// with the secrets of a document that says nothing of it. So `replace(false)`, with which Marathon keeps the members
    /// at the definition's root that the document does not mention, is for apps that something else changes too, as an
    /// autoscaler that sets `instances`; [`dry_run`] lists those members as [`ChangeKind::Unmentioned`].
    ///
    /// Marathon's default for `instances` is one, so an app of which another number runs is not replaced by a document that
    /// does not say how many: that Marathon's result is an error, and nothing was sent to it.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// How long each deployment is followed.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Checks the file, opens it in memory, puts it to every Marathon at the same time and follows what becomes of it. Trust, id
    /// and values are checked on the one set of bytes that `file` holds, before anything is sent; the opened text is overwritten
    /// when the last Marathon has it.
    ///
    /// Not cancel-safe: what was sent goes on at the Marathons when this is dropped.
    ///
    /// # Errors
    /// When nothing was sent: the file is not what was signed or reviewed, is no JSON, is sealed as another document than the
    /// app that it defines, holds a value that is not resolved, or does not open; or there is no Marathon to send it to, or one
    /// is given twice. What goes wrong at one Marathon stands in its [`Deployed`].
    pub async fn run(
        &self,
        file: &SealedFile,
        identities: &[&dyn Identity],
        marathons: &[Marathon],
    ) -> Result<Vec<Deployed>> {
        check_marathons(marathons)?;
        let document = Source::of(file)?;
        self.check_trust(file, &document.id)?;
        let definition = document.open(file, identities).await?;

        let works = marathons.iter().cloned().map(|marathon| {
            let (deploy, app, definition) =
                (self.clone(), document.app.clone(), definition.clone());
            async move {
                let result = deploy.run_at(&marathon, &app, definition).await;
                let marathon = marathon.url().to_owned();
                Deployed {
                    marathon,
                    app,
                    result,
                }
            }
        });
        let tasks = at_once(works);
        drop(definition);
        Ok(in_order(tasks).await)
    }

    async fn run_at(
        &self,
        marathon: &Marathon,
        app: &AppId,
        definition: AppDefinition,
    ) -> clusterops_core::Result<Followed> {
        let says_instances = |definition: &AppDefinition| {
            let json = definition.to_json();
            json.get("instances").and_then(Value::as_f64)
        };
        if self.replace && says_instances(&definition).is_none() {
            let running = marathon.app(app).await?;
            if let Some(running) = running.as_ref().and_then(says_instances)
                && running != 1.0
            {
                let message = format!(
                    "{}: {running} instances of {app} are asked for there, and the document, which replaces the definition, \
                     does not say how many; add `instances` to it, or deploy it with `replace(false)`; nothing was sent",
                    marathon.url()
                );
                return Err(CoreError::new(CoreErrorKind::Options, message));
            }
        }
        let put = PutOptions::default()
            .force(self.force)
            .replace(self.replace);
        let deployment = marathon.put_app(app, &definition, put).await?;
        drop(definition);
        marathon.follow(&deployment, self.deadline).await
    }

    fn check_trust(&self, file: &SealedFile, id: &DocumentId) -> Result<()> {
        match &self.trust {
            Trust::Signers(signers) => verify_file(file, id, signers)
                .map(drop)
                .map_err(Error::from),
            Trust::Reviewed(digest) if *digest == file.digest() => Ok(()),
            Trust::Reviewed(digest) => {
                let message = format!(
                    "the file is not the one that was reviewed: its digest is {}, that of the review {digest}; nothing was sent",
                    file.digest()
                );
                Err(refused(file, SecretsErrorKind::Signature, message))
            }
        }
    }
}

/// What became of the app at one Marathon.
#[derive(Debug)]
#[non_exhaustive]
pub struct Deployed {
    /// The Marathon's URL.
    pub marathon: String,
    /// The app.
    pub app: AppId,
    /// How the deployment went, or why there is none.
    pub result: clusterops_core::Result<Followed>,
}

impl Deployed {
    /// Whether the app runs as it was posted.
    pub fn is_success(&self) -> bool {
        self.result.as_ref().is_ok_and(Followed::is_done)
    }
}

impl fmt::Display for Deployed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: ", self.app, self.marathon)?;
        match &self.result {
            Ok(followed) => followed.fmt(f),
            Err(error) => WithCauses(error).fmt(f),
        }
    }
}

/// What went wrong at one Marathon, with why, in one line.
struct WithCauses<'e>(&'e CoreError);

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        let mut cause = std::error::Error::source(self.0);
        // The deployments that lock an app are named already.
        if Locked::of(self.0).is_some() {
            return Ok(());
        }
        while let Some(error) = cause {
            let text: String = error.to_string().chars().take(300).collect();
            write!(f, ": {}", Printable(&text))?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Refuses no Marathon at all, and one that is given twice: its second deployment would find the app locked by the first.
fn check_marathons(marathons: &[Marathon]) -> Result<()> {
    let mut urls = HashSet::new();
    let twice = marathons
        .iter()
        .find(|marathon| !urls.insert(marathon.url()));
    let message = match twice {
        Some(marathon) => format!(
            "the Marathon {} is given twice; nothing was sent",
            marathon.url()
        ),
        None if marathons.is_empty() => "no Marathon was given; nothing was sent".to_owned(),
        None => return Ok(()),
    };
    Err(CoreError::new(CoreErrorKind::Options, message).into())
}

/// Starts these, each with its place.
fn at_once<T: Send + 'static>(
    works: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> JoinSet<(usize, T)> {
    works
        .enumerate()
        .map(|(place, work)| async move { (place, work.await) })
        .collect()
}

/// What comes of all of them, by their places.
async fn in_order<T: 'static>(mut tasks: JoinSet<(usize, T)>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(result) => results.push(result),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends, and with it this future.
            Err(_) => {}
        }
    }
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
