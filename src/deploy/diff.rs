//! What a deploy would change, without a secret in it.

use std::fmt;

use clusterops_core::marathon::{AppId, Marathon};
use clusterops_secrets::{Digest, DocumentId, Identity, Pointer, SealedFile};
use serde_json::Value;

use super::{document_id, open_app};
use crate::Result;

/// What a deploy of a file to a Marathon would change. `Display` gives it as a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRun {
    /// The digest of the file that was looked at, for [`Trust::Reviewed`](super::Trust::Reviewed).
    pub digest: Digest,
    /// The id of the document.
    pub document: DocumentId,
    /// The Marathon's URL.
    pub marathon: String,
    /// Whether there is no such app yet.
    pub is_new: bool,
    /// The differences, in the order of the document.
    pub changes: Vec<Change>,
}

/// One difference between a document and the running app.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Where, with indices for the elements of arrays.
    pub path: Pointer,
    /// What would happen.
    pub kind: ChangeKind,
    /// What stands there now, as JSON. Only numbers, booleans and the name of an image are shown of a running app: any string of
    /// it may be a secret that was sealed once.
    pub before: Option<String>,
    /// What the document says, as JSON; `None` for a sealed value.
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
    /// It is sealed, and was not opened to be compared.
    Sealed,
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", self.document, self.marathon)?;
        writeln!(f, "file {}", self.digest)?;
        match (self.is_new, self.changes.is_empty()) {
            (true, _) => writeln!(f, "the app is new")?,
            (false, true) => writeln!(f, "nothing would change")?,
            (false, false) => {}
        }
        self.changes
            .iter()
            .try_for_each(|change| writeln!(f, "{change}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.before.as_deref().unwrap_or("(hidden)");
        let after = self.after.as_deref().unwrap_or("(sealed)");
        match self.kind {
            ChangeKind::Added => write!(f, "+ {}: {after}", self.path),
            ChangeKind::Removed => write!(f, "- {}: {before}", self.path),
            ChangeKind::Changed => write!(f, "~ {}: {before} -> {after}", self.path),
            ChangeKind::Sealed => write!(f, "? {}: (sealed, not compared)", self.path),
        }
    }
}

/// Compares a file with the app that runs, and sends nothing.
///
/// With identities the values are opened in memory, to say which of them differ; without, they are only named. Members that the
/// document does not mention are not compared, but for those of `env` and `labels`, which Marathon replaces as a whole.
///
/// # Errors
/// When the file is no definition of an app that could be deployed, and when the Marathon cannot be asked.
pub async fn dry_run(
    file: &SealedFile,
    identities: &[&dyn Identity],
    marathon: &Marathon,
) -> Result<DryRun> {
    let document = document_id(file)?;
    let app: AppId = document.as_str().parse()?;
    let opened = match identities.is_empty() {
        true => None,
        false => Some(open_app(file, &document, identities).await?),
    };
    let opened = match &opened {
        // Strings of it are overwritten when it is dropped.
        Some(opened) => {
            Some(clusterops_core::marathon::AppDefinition::parse(opened.text().clone())?.to_json())
        }
        None => None,
    };
    let running = marathon.app(&app).await?;
    let is_new = running.is_none();
    let running = running.map(|running| running.to_json());
    let mut sealed: Value = serde_json::from_str(file.text()).unwrap_or_default();
    if let Some(root) = sealed.as_object_mut() {
        root.remove("x-sealed");
    }
    let mut walk = Walk::default();
    let place = Pointer::root();
    walk.compare(&place, &sealed, opened.as_deref(), running.as_deref());
    Ok(DryRun {
        digest: file.digest(),
        document,
        marathon: marathon.url().to_owned(),
        is_new,
        changes: walk.changes,
    })
}

/// Objects whose members Marathon replaces as a whole.
const WHOLE: [&str; 2] = ["/env", "/labels"];

#[derive(Default)]
struct Walk {
    changes: Vec<Change>,
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
            (Value::Object(members), None) => {
                for (name, value) in members {
                    self.compare(
                        &path.join(name),
                        value,
                        opened.and_then(|opened| opened.get(name)),
                        None,
                    );
                }
            }
            (Value::Object(members), Some(Value::Object(before))) => {
                for (name, value) in members {
                    let opened = opened.and_then(|opened| opened.get(name));
                    self.compare(&path.join(name), value, opened, before.get(name));
                }
                if WHOLE.contains(&path.as_str()) {
                    for (name, value) in before
                        .iter()
                        .filter(|(name, _)| !members.contains_key(*name))
                    {
                        self.push(&path.join(name), ChangeKind::Removed, Some(value), None);
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
            (value, Some(before)) if is_same(opened.unwrap_or(value), before) => {}
            (value, Some(before)) => {
                self.push(path, ChangeKind::Changed, Some(before), Some(value))
            }
            (value, None) => self.push(path, ChangeKind::Added, None, Some(value)),
        }
    }

    fn compare_sealed(&mut self, path: &Pointer, opened: Option<&Value>, running: Option<&Value>) {
        let kind = match (opened, running) {
            (_, None) => ChangeKind::Added,
            (None, Some(_)) => ChangeKind::Sealed,
            (Some(opened), Some(running)) if is_same(opened, running) => return,
            (Some(_), Some(_)) => ChangeKind::Changed,
        };
        self.push(path, kind, None, None);
    }

    fn push(
        &mut self,
        path: &Pointer,
        kind: ChangeKind,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        let is_harmless = |value: &&Value| {
            value.is_number()
                || value.is_boolean()
                || value.is_null()
                || path.as_str() == "/container/docker/image"
        };
        self.changes.push(Change {
            path: path.clone(),
            kind,
            before: before.filter(is_harmless).map(Value::to_string),
            after: after.map(|after| without_sealed(after).to_string()),
        });
    }
}

fn is_sealed(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with("SEALED["))
}

/// A value with short words for the sealed values in it.
fn without_sealed(value: &Value) -> Value {
    match value {
        value if is_sealed(value) => "SEALED".into(),
        Value::Array(elements) => elements.iter().map(without_sealed).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), without_sealed(value)));
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
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|other| is_same(value, other)))
        }
        (one, other) => one == other,
    }
}
