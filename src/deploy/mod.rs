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
//! let plan = dry_run(&file, &[&key], &marathon).await?;
//! println!("{plan}");
//!
//! // What is deployed is what was reviewed, or nothing.
//! let deploy = Deploy::new(Trust::Reviewed(plan.digest));
//! for deployed in deploy.run(&file, &[&key], &[marathon]).await? {
//!     println!("{deployed}");
//! }
//! # Ok(())
//! # }
//! ```

mod diff;

use std::fmt;
use std::time::Duration;

use clusterops_core::marathon::{AppDefinition, AppId, Followed, Marathon, PutOptions};
use clusterops_core::secrecy::ExposeSecret as _;
use clusterops_secrets::{
    Digest, DocumentId, Error as SecretsError, ErrorKind as SecretsErrorKind, Format, Identity,
    Opened, SealedFile, VerifyingKey, open, verify_file,
};
pub use diff::{Change, ChangeKind, DryRun, dry_run};
use tokio::task::JoinSet;

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
#[derive(Debug, Clone)]
pub struct Deploy {
    trust: Trust,
    put: PutOptions,
    deadline: Duration,
}

impl Deploy {
    /// Deploys what is trusted for this reason; follows the deployment for ten minutes.
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            put: PutOptions::default(),
            deadline: Duration::from_secs(600),
        }
    }

    /// Cancels the deployments that have locked the app.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.put = self.put.force(force);
        self
    }

    /// Takes the document for the whole definition: what it does not mention gets Marathon's default, `instances` too. Without
    /// this such members stay as they are on the server.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.put = self.put.replace(replace);
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
    /// app that it defines, holds a value that is not resolved, or does not open. What goes wrong at one Marathon stands in its
    /// [`Deployed`].
    pub async fn run(
        &self,
        file: &SealedFile,
        identities: &[&dyn Identity],
        marathons: &[Marathon],
    ) -> Result<Vec<Deployed>> {
        let id = document_id(file)?;
        self.check_trust(file, &id)?;
        let opened = open_app(file, &id, identities).await?;
        let app: AppId = id.as_str().parse()?;
        let definition = AppDefinition::parse(opened.text().clone()).map_err(Error::from)?;
        drop(opened);

        let mut tasks = JoinSet::new();
        for (index, marathon) in marathons.iter().enumerate() {
            let (marathon, app, definition) = (marathon.clone(), app.clone(), definition.clone());
            let (put, deadline) = (self.put, self.deadline);
            tasks.spawn(async move {
                let result = async {
                    let deployment = marathon.put_app(&app, &definition, put).await?;
                    drop(definition);
                    marathon.follow(&deployment, deadline).await
                };
                (index, result.await)
            });
        }
        drop(definition);
        let mut results: Vec<(usize, Deployed)> = Vec::with_capacity(marathons.len());
        while let Some(joined) = tasks.join_next().await {
            // A task ends otherwise only when the runtime itself ends.
            if let Ok((index, result)) = joined {
                let marathon = marathons[index].url().to_owned();
                results.push((
                    index,
                    Deployed {
                        marathon,
                        app: app.clone(),
                        result,
                    },
                ));
            }
        }
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, deployed)| deployed).collect())
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
            Err(error) => error.fmt(f),
        }
    }
}

/// The id that a document has as an app: the string `id` of its root.
fn document_id(file: &SealedFile) -> Result<DocumentId> {
    let syntax = |message: &str| Err(refused(file, SecretsErrorKind::Syntax, message));
    if file.format() != Format::Json {
        return syntax("Marathon's apps are JSON; this file is not");
    }
    let root: serde_json::Value = match serde_json::from_str(file.text()) {
        Ok(root) => root,
        Err(error) => {
            let message = format!(
                "the file is no JSON (line {}, column {})",
                error.line(),
                error.column()
            );
            return syntax(&message);
        }
    };
    match root.get("id").and_then(serde_json::Value::as_str) {
        Some(id) => Ok(id.parse()?),
        None => syntax("the app has no string `id` at its root"),
    }
}

/// Opens a document as the app that it defines.
async fn open_app(
    file: &SealedFile,
    id: &DocumentId,
    identities: &[&dyn Identity],
) -> Result<Opened> {
    let opened = open(file.text(), file.format(), id, identities)
        .await
        .map_err(|error| error.in_file(file.path()))?;
    // What another tool has left open would be posted as it stands.
    let stray = ["ENC[", "SEALED[", "DEC["].into_iter().find(|marker| {
        opened
            .text()
            .expose_secret()
            .contains(&format!("\"{marker}"))
    });
    match stray {
        None => Ok(opened),
        Some(marker) => {
            let message = format!(
                "after opening, a value still begins with `{marker}`: it is not resolved; nothing was sent"
            );
            Err(refused(file, SecretsErrorKind::Unresolved, message))
        }
    }
}

fn refused(file: &SealedFile, kind: SecretsErrorKind, message: impl Into<String>) -> Error {
    SecretsError::new(kind, message).in_file(file.path()).into()
}
