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
use clusterops_core::{Error as CoreError, ErrorKind as CoreErrorKind};
use clusterops_secrets::{
    Digest, DocumentId, Error as SecretsError, ErrorKind as SecretsErrorKind, Format, Identity,
    Pointer, SealedFile, VerifyingKey, open, verify_file,
};
pub use diff::{Change, ChangeKind, DryRun, dry_run};
use serde_json::Value;
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
    /// app that it defines, holds a value that is not resolved, or does not open; or there is no Marathon to send it to. What
    /// goes wrong at one Marathon stands in its [`Deployed`].
    pub async fn run(
        &self,
        file: &SealedFile,
        identities: &[&dyn Identity],
        marathons: &[Marathon],
    ) -> Result<Vec<Deployed>> {
        if marathons.is_empty() {
            let message = "no Marathon was given to deploy to; nothing was sent";
            return Err(CoreError::new(CoreErrorKind::Options, message).into());
        }
        let document = Source::of(file)?;
        self.check_trust(file, &document.id)?;
        let definition = document.open(file, identities).await?;

        let mut tasks = JoinSet::new();
        for (index, marathon) in marathons.iter().enumerate() {
            let (marathon, app) = (marathon.clone(), document.app.clone());
            let (deploy, definition) = (self.clone(), definition.clone());
            tasks.spawn(async move {
                let result = deploy.run_at(&marathon, &app, definition).await;
                let marathon = marathon.url().to_owned();
                let deployed = Deployed {
                    marathon,
                    app,
                    result,
                };
                (index, deployed)
            });
        }
        drop(definition);
        let mut results: Vec<(usize, Deployed)> = Vec::with_capacity(marathons.len());
        while let Some(joined) = tasks.join_next().await {
            match joined {
                Ok(result) => results.push(result),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime ends, and with it this future.
                Err(_) => {}
            }
        }
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, deployed)| deployed).collect())
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
            Err(error) => error.fmt(f),
        }
    }
}

/// The definition of an app as it stands in a file, sealed. All that is made of a file is made of the one text that was read.
struct Source {
    id: DocumentId,
    app: AppId,
    root: Value,
}

impl Source {
    fn of(file: &SealedFile) -> Result<Self> {
        let syntax = |message: &str| Err(refused(file, SecretsErrorKind::Syntax, message));
        if file.format() != Format::Json {
            return syntax("Marathon's apps are JSON; this file is not");
        }
        let root: Value = match serde_json::from_str(file.text()) {
            Ok(root) => root,
            // What the parser says may quote what it reads.
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                return syntax(&format!(
                    "the file is no JSON (line {line}, column {column})"
                ));
            }
        };
        let Some(named) = root.get("id").and_then(Value::as_str) else {
            return syntax("the app has no string `id` at its root");
        };
        let app = named.parse()?;
        // Refuses keys that stand twice, too, of which readers of JSON take different ones.
        let id = file.id()?;
        if id.as_str() != named {
            let message = format!("the document's id is `{id}`, not that of the app");
            return Err(refused(file, SecretsErrorKind::Misplaced, message));
        }
        let source = Self { id, app, root };
        source.check_resolved(file, None)?;
        Ok(source)
    }

    /// Opens it as the app that it defines.
    async fn open(&self, file: &SealedFile, identities: &[&dyn Identity]) -> Result<AppDefinition> {
        let opened = open(file.text(), file.format(), &self.id, identities)
            .await
            .map_err(|error| error.in_file(file.path()))?;
        let definition = AppDefinition::parse(opened.text().clone())?;
        self.check_resolved(file, Some(&definition.to_json()))?;
        Ok(definition)
    }

    fn check_resolved(&self, file: &SealedFile, opened: Option<&Value>) -> Result<()> {
        let Some((path, marker)) = unresolved(&Pointer::root(), &self.root, opened) else {
            return Ok(());
        };
        let message = format!(
            "`{marker}` stands here, and Marathon would get it as it is: a value is to be sealed first, as a whole, or what was \
             sealed is itself sealed or marked"
        );
        let error = SecretsError::new(SecretsErrorKind::Unresolved, message);
        Err(error.in_file(file.path()).on(path.as_str()).into())
    }
}

/// What marks a value that somebody has yet to put there: ours, and Mantle's `DEC[name]`.
const MARKERS: [&str; 3] = ["ENC[", "SEALED[", "DEC["];

/// The first place with a marker that nothing has resolved: at the beginning of an opened value, or at the beginning of a word in
/// anything else.
fn unresolved(
    path: &Pointer,
    sealed: &Value,
    opened: Option<&Value>,
) -> Option<(Pointer, &'static str)> {
    let found = |marker| (path.clone(), marker);
    match sealed {
        sealed if is_sealed(sealed) => {
            let opened = opened?.as_str()?;
            let mut markers = MARKERS.into_iter();
            markers.find(|marker| opened.starts_with(marker)).map(found)
        }
        Value::String(text) => marker_in(text).map(found),
        Value::Array(elements) => elements.iter().enumerate().find_map(|(index, element)| {
            let opened = opened.and_then(|opened| opened.get(index));
            unresolved(&path.join(&index.to_string()), element, opened)
        }),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !(path.is_root() && *name == BLOCK))
            .find_map(|(name, member)| {
                let path = path.join(name);
                match marker_in(name) {
                    Some(marker) => Some((path, marker)),
                    None => unresolved(&path, member, opened.and_then(|opened| opened.get(name))),
                }
            }),
        _ => None,
    }
}

fn marker_in(text: &str) -> Option<&'static str> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    MARKERS.into_iter().find(|marker| {
        let mut places = text.match_indices(marker);
        places.any(|(at, _)| !text[..at].ends_with(is_word))
    })
}

/// The member of the root that holds the epochs.
const BLOCK: &str = "x-sealed";

fn is_sealed(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with("SEALED["))
}

fn refused(file: &SealedFile, kind: SecretsErrorKind, message: impl Into<String>) -> Error {
    SecretsError::new(kind, message).in_file(file.path()).into()
}
