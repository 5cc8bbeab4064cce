//! What a deploy would change, without a secret in it.

use std::fmt;
use std::sync::Arc;

use clusterops_core::Printable;
use clusterops_core::http::Withhold;
use clusterops_core::marathon::{Marathon, STATUS_MEMBERS};
use clusterops_secrets::secrecy::zeroize::Zeroizing;
use clusterops_secrets::{Digest, DocumentId, Identity, Pointer, SealedFile};
use serde_json::Value;

use super::source::{BLOCK, Source, add_secrets, is_sealed};
use super::{WithCauses, at_once, check_marathons, in_order};
use crate::Result;

/// What a deploy of a file to one Marathon would change. `Display` gives it as a diff.
///
/// No value that is sealed, and none under `env`, stands in it: neither the document's nor that of the running app.
#[derive(Debug)]
#[non_exhaustive]
pub struct DryRun {
    /// The digest of the file that was looked at, for [`Trust::Reviewed`](super::Trust::Reviewed).
    pub digest: Digest,
    /// The id of the document.
    pub document: DocumentId,
    /// The Marathon's URL.
    pub marathon: String,
    /// How the document differs from the app that runs there, or why that is not known.
    pub result: clusterops_core::Result<Differences>,
}

/// How a document differs from the app that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Differences {
    /// Whether there is no such app yet.
    pub is_new: bool,
    /// The differences, sorted by path.
    pub changes: Vec<Change>,
    /// Where the running app has the very value that is sealed; empty without identities.
    pub unchanged: Vec<Pointer>,
}

/// One difference between a document and the running app.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Where, with indices for the elements of arrays.
    pub path: Pointer,
    /// What would happen.
    pub kind: ChangeKind,
    /// Whether the document has a sealed value there.
    pub is_sealed: bool,
    /// What stands there now, as JSON, if it can be shown. Of a running app only numbers, booleans and the name of an image can: any
    /// of its texts may be a secret that was sealed once.
    pub before: Option<String>,
    /// What the document says, as JSON, if it can be shown: not what is sealed, and nothing under `env`.
    pub after: Option<String>,
}

/// What would happen to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It would be added.
    Added,
    /// It would be another one.
    Changed,
    /// It would go.
    Removed,
    /// The document does not mention this member of the definition, which is not as Marathon would have it by default. It would
    /// go, or stay with [`Deploy::replace(false)`](super::Deploy::replace).
    Unmentioned,
    /// It is sealed, and was not opened to be compared.
    Sealed,
}

/// Compares a file with the app that runs at each of these Marathons, all at the same time, and changes nothing there.
///
/// With identities the values are opened in memory, to say which of them differ; without, they are only named. What Marathon
/// adds to every definition (its state, and its defaults where they are known) is no difference.
///
/// # Errors
/// When the file is no definition of an app that could be deployed, whoever vouches for it; when no Marathon is given, or one
/// twice. What goes wrong at one Marathon stands in its [`DryRun`].
pub async fn dry_run(
    file: &SealedFile,
    identities: &[&dyn Identity],
    marathons: &[Marathon],
) -> Result<Vec<DryRun>> {
    check_marathons(marathons)?;
    let source = Source::of(file)?;
    // This, and what runs, is overwritten when it is dropped.
    let opened = source.look_into(file, identities).await?;
    let (digest, compared) = (file.digest(), Arc::new((source, opened)));
    let works = marathons.iter().cloned().map(|marathon| {
        let compared = Arc::clone(&compared);
        async move {
            let (source, opened) = &*compared;
            let running = marathon.app(&source.app).await;
            let result = running.map(|running| {
                let running = running.map(|running| running.to_json());
                Differences::of(&source.root, opened.as_deref(), running.as_deref())
            });
            DryRun {
                digest,
                document: source.id.clone(),
                marathon: marathon.url().to_owned(),
                result,
            }
        }
    });
    let tasks = at_once(works);
    drop(compared);
    Ok(in_order(tasks).await)
}

impl Differences {
    /// Compares what a document says, sealed and opened, with what runs.
    fn of(sealed: &Value, opened: Option<&Value>, running: Option<&Value>) -> Self {
        let mut walk = Walk::default();
        walk.compare(&Pointer::root(), sealed, opened, running);
        if let Some(opened) = opened {
            walk.withhold(sealed, opened);
        }
        walk.changes.sort_by(|a, b| a.path.cmp(&b.path));
        walk.unchanged.sort();
        Self {
            is_new: running.is_none(),
            changes: walk.changes,
            unchanged: walk.unchanged,
        }
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", self.document, self.marathon)?;
        writeln!(f, "file {}", self.digest)?;
        match &self.result {
            Ok(differences) => differences.fmt(f),
            Err(error) => writeln!(f, "not compared: {}", WithCauses(error)),
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_new, self.changes.is_empty()) {
            (true, _) => writeln!(f, "the app is new")?,
            (false, true) => writeln!(f, "nothing would change")?,
            (false, false) => {}
        }
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        for path in &self.unchanged {
            writeln!(f, "= {}: (sealed), unchanged", Printable(path.as_str()))?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and texts are those of a server, or of somebody's file.
        let path = Printable(self.path.as_str());
        let before = Printable(self.before.as_deref().unwrap_or("(hidden)"));
        let after = self.after.as_deref().map(Printable);
        let after = after.unwrap_or(Printable(match self.is_sealed {
            true => "(sealed)",
            false => "(hidden)",
        }));
        match self.kind {
            ChangeKind::Added => write!(f, "+ {path}: {after}"),
            ChangeKind::Removed => write!(f, "- {path}: {before}"),
            ChangeKind::Unmentioned => write!(f, "- {path}: {before}, not in the document"),
            ChangeKind::Changed => write!(f, "~ {path}: {before} -> {after}"),
            ChangeKind::Sealed => write!(f, "? {path}: (sealed), not compared"),
        }
    }
}

#[derive(Default)]
struct Walk {
    changes: Vec<Change>,
    unchanged: Vec<Pointer>,
}

impl Walk {
    /// Compares what the document says, sealed and opened, with what runs.
    fn compare(
        &mut self,
        path: &Pointer,
        sealed: &Value,
        opened: Option<&Value>,
        running: Option<&Value>,
    ) {
        if is_sealed(sealed) {
            return self.compare_sealed(path, opened, running);
        }
        match (sealed, running) {
            (Value::Object(members), None | Some(Value::Object(_))) => {
                // State, not definition; but a `version` that a document has makes Marathon go back to that one.
                let is_state = |name: &str| path.is_root() && STATUS_MEMBERS.contains(&name);
                let is_passed_over = |name: &str| {
                    (path.is_root() && ["id", BLOCK].contains(&name))
                        || (is_state(name) && name != "version")
                };
                for (name, value) in members.iter().filter(|(name, _)| !is_passed_over(name)) {
                    let opened = opened.and_then(|opened| opened.get(name));
                    let before = running.and_then(|running| running.get(name));
                    self.compare(&path.join(name), value, opened, before);
                }
                let before = running.and_then(Value::as_object);
                for (name, value) in before.into_iter().flatten() {
                    if !members.contains_key(name) && !is_passed_over(name) && !is_state(name) {
                        self.compare_unmentioned(path, name, value);
                    }
                }
            }
            (Value::Array(elements), Some(Value::Array(before)))
                if elements.len() == before.len() =>
            {
                for (index, (value, before)) in elements.iter().zip(before).enumerate() {
                    let opened = opened.and_then(|opened| opened.get(index));
                    self.compare(&path.join(&index.to_string()), value, opened, Some(before));
                }
            }
            (value, Some(before)) if is_same(value, before) => {}
            // Marathon does not show every member that is as it is by default.
            (Value::Null, None) => {}
            (value, Some(before)) => {
                self.push(path, ChangeKind::Changed, Some(before), Some(value));
            }
            (value, None) => self.push(path, ChangeKind::Added, None, Some(value)),
        }
    }

    fn compare_sealed(&mut self, path: &Pointer, opened: Option<&Value>, running: Option<&Value>) {
        let kind = match (opened, running) {
            (_, None) => ChangeKind::Added,
            (None, Some(_)) => ChangeKind::Sealed,
            (Some(opened), Some(running)) if is_same(opened, running) => {
                return self.unchanged.push(path.clone());
            }
            (Some(_), Some(_)) => ChangeKind::Changed,
        };
        self.changes.push(Change {
            path: path.clone(),
            kind,
            is_sealed: true,
            before: None,
            after: None,
        });
    }

    /// Hides what of the running app repeats a secret of the document.
    fn withhold(&mut self, sealed: &Value, opened: &Value) {
        let mut secrets = Vec::new();
        add_secrets(sealed, opened, false, &mut secrets);
        let mut withhold = Withhold::new();
        for secret in secrets {
            match secret {
                Value::String(text) => withhold.value(text),
                other => withhold.value(&Zeroizing::new(other.to_string())),
            }
        }
        for change in &mut self.changes {
            change
                .before
                .take_if(|before| withhold.repeats(before.as_str()));
        }
    }

    /// A member of the running app that the document does not have. Marathon merges definitions at their root only; an object
    /// in there is replaced by the document's.
    fn compare_unmentioned(&mut self, object: &Pointer, name: &str, value: &Value) {
        let is_free = ["/env", "/labels"].contains(&object.as_str());
        if is_free || !is_default(name, value) {
            let kind = match object.is_root() {
                true => ChangeKind::Unmentioned,
                false => ChangeKind::Removed,
            };
            self.push(&object.join(name), kind, Some(value), None);
        }
    }

    fn push(
        &mut self,
        path: &Pointer,
        kind: ChangeKind,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        let is_hidden = path.tokens().any(|name| name == "env");
        let is_harmless = |value: &&Value| {
            value.is_number()
                || value.is_boolean()
                || value.is_null()
                || path.as_str() == "/container/docker/image"
        };
        let before = before.filter(|value| !is_hidden && is_harmless(value));
        let after = after.filter(|_| !is_hidden);
        self.changes.push(Change {
            path: path.clone(),
            kind,
            is_sealed: false,
            before: before.map(Value::to_string),
            after: after.map(|value| redacted(value).to_string()),
        });
    }
}

/// A value with words in place of what is sealed and of what stands under `env` in it.
fn redacted(value: &Value) -> Value {
    match value {
        value if is_sealed(value) => "(sealed)".into(),
        Value::Array(elements) => elements.iter().map(redacted).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| match name.as_str() {
                "env" => (name.clone(), "(hidden)".into()),
                _ => (name.clone(), redacted(value)),
            });
            Value::Object(members.collect())
        }
        value => value.clone(),
    }
}

/// Whether two values are the same; Marathon writes 1 as 1.0.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (one, other) => one == other,
    }
}

/// Whether Marathon shows this of an app that does not say it. Marathon 1.x's defaults, of several versions; one that is not
/// known is a line too much in a diff.
fn is_default(name: &str, value: &Value) -> bool {
    const TEXTS: &[(&str, &str)] = &[
        ("killSelection", "YOUNGEST_FIRST"),
        ("mode", "host"),
        ("protocol", "tcp"),
        ("type", "MESOS"),
    ];
    const NUMBERS: &[(&str, f64)] = &[
        ("backoffFactor", 1.15),
        ("backoffSeconds", 1.0),
        ("cpus", 1.0),
        ("delaySeconds", 15.0),
        ("disk", 0.0),
        ("expungeAfterSeconds", 0.0),
        ("gpus", 0.0),
        ("gracePeriodSeconds", 300.0),
        ("hostPort", 0.0),
        ("inactiveAfterSeconds", 0.0),
        ("instances", 1.0),
        ("intervalSeconds", 60.0),
        ("maxConsecutiveFailures", 3.0),
        ("maxLaunchDelaySeconds", 300.0),
        ("maxLaunchDelaySeconds", 3600.0),
        ("maximumOverCapacity", 1.0),
        ("mem", 128.0),
        ("minimumHealthCapacity", 1.0),
        ("timeoutSeconds", 20.0),
    ];
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(value) => value.is_empty() || TEXTS.contains(&(name, value)),
        Value::Number(value) => value
            .as_f64()
            .is_some_and(|value| NUMBERS.contains(&(name, value))),
        Value::Array(elements) => elements.iter().all(|element| is_default(name, element)),
        Value::Object(members) => members.iter().all(|(name, value)| is_default(name, value)),
    }
}
