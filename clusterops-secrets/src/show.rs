//! A sealed document as people read it in a diff.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::document::{Document, Edits, Format, Kind};
use crate::epoch::Wrapped;
use crate::jose::base64url;
use crate::marker::{Marker, markers_in};
use crate::{RecipientsFile, Thumbprint};

/// A document with short names in place of sealed values, for `git diff` (`textconv`, gitattributes(5)): a value that was
/// sealed anew has another name, and the block of epochs says who can open how many values. It needs no key, shows no secret
/// that was sealed, and never fails: what cannot be read is shown as it is, each
/// line up to the first marker.
///
/// Values that are still marked `ENC[name:value]` are secrets too, and not shown; nor is a marker inside of a longer string, in a key or
/// in a comment, with what stands behind it in its line.
///
/// ```
/// use clusterops_secrets::{Format, show};
///
/// let text = show(r#"{"env": {"DB": "ENC[db:hunter2]"}}"#, Format::Json, None);
/// assert_eq!(text, r#"{"env": {"DB": "ENC[not sealed yet]"}}"#);
/// ```
pub fn show(text: &str, format: Format, names: Option<&RecipientsFile>) -> String {
    match shown(text, format, names) {
        Some(shown) => without_marked(&shown, |line| markers_in(line).next()),
        // What cannot be read may hold markers of any form.
        None => without_marked(text, |line| line.find("ENC[")),
    }
}

/// A text without what may be a secret: each line ends where a marker begins.
fn without_marked(text: &str, marker: impl Fn(&str) -> Option<usize>) -> String {
    let line = |line: &str| match marker(line) {
        None => line.to_owned(),
        Some(at) => format!("{}{NOT_SHOWN}\n", &line[..at]),
    };
    text.split_inclusive('\n').map(line).collect()
}

const NOT_SHOWN: &str = "ENC[not shown]";

fn shown(text: &str, format: Format, names: Option<&RecipientsFile>) -> Option<String> {
    let document = Document::parse(text.as_bytes(), format).ok()?;
    let mut edits = Edits::new(&document);
    let mut uses: Vec<Thumbprint> = Vec::new();
    for scalar in document.scalars() {
        let short = match Marker::of(&document, scalar) {
            Ok(None) => {
                let said = document.text(scalar);
                match markers_in(said).next() {
                    // It can go on in further lines.
                    Some(at) if scalar.kind == Kind::String => {
                        format!("{}{NOT_SHOWN}", &said[..at])
                    }
                    _ => continue,
                }
            }
            Ok(Some(Marker::ToSeal { .. })) => "ENC[not sealed yet]".to_owned(),
            Ok(Some(Marker::Sealed(token))) => {
                let epoch = &token.header().epoch;
                uses.push(epoch.clone());
                let value = base64url::encode(&Sha256::digest(document.text(scalar).as_bytes()));
                format!(
                    "SEALED[epoch {}, value {}]",
                    &epoch.as_str()[..8],
                    &value[..8]
                )
            }
            Err(_) => "SEALED[broken]".to_owned(),
        };
        edits.set_string(&document.path(scalar), &short).ok()?;
    }
    edits.header(None);
    let mut shown = edits.apply().ok()?.to_string();
    if let Some(header) = document.header() {
        let comment = match format {
            Format::Json => "//",
            Format::Yaml | Format::Dotenv => "#",
        };
        if !shown.ends_with('\n') {
            shown.push('\n');
        }
        // Writing to a string does not fail.
        let _ = writeln!(
            shown,
            "{comment} sealed as {}, version {}",
            crate::epoch::shown(&header.document),
            header.version
        );
        for (id, json) in &header.epochs {
            let number = uses.iter().filter(|epoch| epoch.as_str() == id).count();
            let whom = match Wrapped::parse(id, json) {
                Err(_) => "nobody: it is broken".to_owned(),
                Ok(wrapped) => {
                    let name = |key: &Thumbprint| match names.and_then(|names| names.name_of(key)) {
                        Some(name) => name.to_owned(),
                        None => key.to_string(),
                    };
                    let mut names: Vec<String> = wrapped.recipients().map(name).collect();
                    names.sort();
                    names.join(", ")
                }
            };
            let id = id.get(..8).unwrap_or(id);
            let _ = writeln!(shown, "{comment} epoch {id}, values: {number}, for {whom}");
        }
    }
    Some(shown)
}
