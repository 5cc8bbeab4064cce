//! A file that defines an app, and what is made of it.

use clusterops_core::marathon::{AppDefinition, AppId, SecretJson};
use clusterops_secrets::secrecy::ExposeSecret as _;
use clusterops_secrets::{
    DocumentId, Error as SecretsError, ErrorKind as SecretsErrorKind, Format, Identity, Pointer,
    SealedFile, open,
};
use serde_json::Value;

use crate::{Error, Result};

/// The definition of an app as it stands in a file, sealed. All that is made of a file is made of the one text that was read.
pub(super) struct Source {
    pub(super) id: DocumentId,
    pub(super) app: AppId,
    pub(super) root: Value,
}

impl Source {
    pub(super) fn of(file: &SealedFile) -> Result<Self> {
        let syntax = |message: &str| Err(refused(file, SecretsErrorKind::Syntax, message));
        if file.format() != Format::Json {
            return syntax("Marathon's apps are JSON; this file is not");
        }
        let root: Value = match serde_json::from_str(without_mark(file.text())) {
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

    /// Opens it as the app that it defines. What comes out of a sealed value is data, and may look like a marker in part; one that
    /// is a marker as a whole was sealed in place of its value.
    pub(super) async fn open(
        &self,
        file: &SealedFile,
        identities: &[&dyn Identity],
    ) -> Result<AppDefinition> {
        let opened = open(file.text(), file.format(), &self.id, identities)
            .await
            .map_err(|error| error.in_file(file.path()))?;
        let definition = AppDefinition::parse(without_mark(opened.text().expose_secret()))?;
        let json = definition.to_json();
        self.check_resolved(file, Some(&json))?;
        let mut secrets = Vec::new();
        add_secrets(&self.root, &json, false, &mut secrets);
        Ok(definition.secrets(secrets))
    }

    fn check_resolved(&self, file: &SealedFile, opened: Option<&Value>) -> Result<()> {
        let Some((path, marker)) = unresolved(&Pointer::root(), &self.root, opened) else {
            return Ok(());
        };
        let message = match opened {
            None => format!(
                "`{marker}` stands here, and Marathon would get it as it is: a value is to be sealed first, and as a whole"
            ),
            Some(_) => format!(
                "what is sealed here is itself a marker, `{marker}`, and Marathon would get it as it is: seal the value in its place"
            ),
        };
        let error = SecretsError::new(SecretsErrorKind::Unresolved, message);
        Err(error.in_file(file.path()).on(path.as_str()).into())
    }

    /// As [`open`](Self::open), to look into; `None` without identities, when only that is checked which needs none.
    pub(super) async fn look_into(
        &self,
        file: &SealedFile,
        identities: &[&dyn Identity],
    ) -> Result<Option<SecretJson>> {
        match self.open(file, identities).await {
            Ok(definition) => Ok(Some(definition.to_json())),
            Err(Error::Secrets(error))
                if identities.is_empty() && error.kind() == SecretsErrorKind::NotRecipient =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The text behind a byte order mark, which a document may have and JSON for others must not (RFC 8259 section 8.1).
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The member of the root that holds the epochs.
pub(super) const BLOCK: &str = "x-sealed";

pub(super) fn is_sealed(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with("SEALED["))
}

pub(super) fn refused(
    file: &SealedFile,
    kind: SecretsErrorKind,
    message: impl Into<String>,
) -> Error {
    SecretsError::new(kind, message).in_file(file.path()).into()
}

/// Under `env`, a text that stands in the open is kept out of what is shown from this length on: shorter ones are words and
/// numbers of every message.
const SHORTEST_IN_THE_OPEN: usize = 6;

/// What of an opened document is secret: what was sealed, and what stands under `env`.
pub(super) fn add_secrets<'o>(
    sealed: &Value,
    opened: &'o Value,
    is_in_env: bool,
    secrets: &mut Vec<&'o Value>,
) {
    match (sealed, opened) {
        (sealed, opened) if is_sealed(sealed) => secrets.push(opened),
        (Value::String(_), Value::String(text))
            if is_in_env && text.chars().count() >= SHORTEST_IN_THE_OPEN =>
        {
            secrets.push(opened);
        }
        (Value::Array(sealed), Value::Array(opened)) => {
            for (sealed, opened) in sealed.iter().zip(opened) {
                add_secrets(sealed, opened, is_in_env, secrets);
            }
        }
        (Value::Object(sealed), Value::Object(opened)) => {
            for (name, opened) in opened {
                if let Some(sealed) = sealed.get(name) {
                    add_secrets(sealed, opened, is_in_env || name == "env", secrets);
                }
            }
        }
        _ => {}
    }
}

/// The first place with a marker in it that nothing resolves: in a name or a value that is not sealed, or as all of what one was
/// opened to.
fn unresolved(
    path: &Pointer,
    value: &Value,
    opened: Option<&Value>,
) -> Option<(Pointer, &'static str)> {
    let found = |marker| (path.clone(), marker);
    match value {
        sealed if is_sealed(sealed) => whole_marker(opened?.as_str()?).map(found),
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

const MARKERS: [&str; 3] = ["ENC[", "SEALED[", "DEC["];

/// The marker that a text is, from its first to its last character.
fn whole_marker(text: &str) -> Option<&'static str> {
    MARKERS.into_iter().find(|marker| {
        let rest = text.strip_prefix(marker);
        rest.is_some_and(|rest| rest.ends_with(']') && is_rest_of(marker, rest))
    })
}

/// The marker that stands in a text, as all of it or at the beginning of a word: `ENC[name:value]` and `SEALED[token]`, and
/// Mantle's `DEC[name]`.
fn marker_in(text: &str) -> Option<&'static str> {
    let is_inside = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    MARKERS.into_iter().find(|marker| {
        text.match_indices(marker).any(|(at, _)| {
            let rest = &text[at + marker.len()..];
            !is_inside(&text[..at]) && is_rest_of(marker, rest)
        })
    })
}

/// Whether a text goes on as this marker does.
fn is_rest_of(marker: &str, rest: &str) -> bool {
    let up_to_bracket = rest.split_once(']').map_or("", |(inner, _)| inner);
    match marker {
        "ENC[" => rest
            .split_once(':')
            .is_some_and(|(name, value)| is_name(name) && value.contains(']')),
        "SEALED[" => {
            let of_token = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !up_to_bracket.is_empty() && up_to_bracket.chars().all(of_token)
        }
        _ => is_name(up_to_bracket),
    }
}

/// Whether this can be the name in a marker.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains([']', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_of_its_shape_and_begins_a_word() {
        for (text, marker) in [
            ("ENC[a:b]", "ENC["),
            ("ENC[a:]", "ENC["),
            ("ENC[db pass:x]y]", "ENC["),
            ("--pw=ENC[a:b] --verbose", "ENC["),
            ("ENC[ or ENC[a:b]", "ENC["),
            ("db://u:SEALED[eyJ.a-_b]@db", "SEALED["),
            ("DEC[db password]", "DEC["),
            ("DEC[db[1]", "DEC["),
            ("x DEC[a]", "DEC["),
        ] {
            assert_eq!(marker_in(text), Some(marker), "{text}");
        }
        for text in [
            "ENC[ is only a text",
            "an array ENC[] and ENC[:x]",
            "ENC[0] = a",
            "ENC[a:b",
            "ENC",
            "SEALED[by the king]",
            "SEALED[",
            "DEC[",
            "DEC[]",
            "$DEC[",
            "SILENC[a:b] CODEC[x] MY_DEC[x]",
            "grep '^ENC\\[' file",
        ] {
            assert_eq!(marker_in(text), None, "{text}");
        }
    }
}
