//! Moving over from Mantle (malnick/mantle), the Go tool for DC/OS: its configuration, keys, stores and safe files are read, and
//! what they hold is sealed anew.
//!
//! Mantle keeps one key pair for each user, and for each user a store of values encrypted with it (RSA-OAEP with SHA-1, so at most
//! 86 bytes with its keys of 1024 bits); its safe files are app definitions with `DEC[name]` in place of values.
//!
//! ```no_run
//! use clusterops_secrets::mantle::{Config, MantleKey, Store, migrate};
//! use clusterops_secrets::{RecipientsFile, SealOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::load("/home/ops/.mantle/config.yaml")?;
//! let store = Store::load(config.store("ops"), &MantleKey::read(config.private_key("ops"))?)?;
//! let recipients = RecipientsFile::load("apps/recipients.yaml")?.for_path("apps/web.json")?;
//! let safe = std::fs::read_to_string(config.safe_dir.join("web.json"))?;
//! let sealed = migrate(&safe, &store, &SealOptions::new(recipients))?;
//! std::fs::write("apps/web.json", &*sealed.text)?;
//! # Ok(())
//! # }
//! ```

mod config;
mod store;

use std::collections::HashSet;

pub use config::Config;
pub use store::{MantleKey, Store};

use crate::contents::{Contents, New};
use crate::document::{Document, Format, Kind, Pointer};
use crate::seal::{SealOptions, Sealed};
use crate::{DocumentId, Error, ErrorKind, Result, Unsealed};

/// Seals a safe file of Mantle's: every `DEC[name]`, wherever it stands, becomes the sealed value of that name. What is still marked
/// `ENC[name:value]` is sealed too; all else stays byte for byte.
///
/// Mantle let be what is not a whole value (`prefix ENC[name:value]`, `--password=DEC[name]`, keys), and so does this; it stays in plain
/// text and is told ([`Sealed::unsealed`]). Make whole values of it before the file is committed.
///
/// # Errors
/// [`ErrorKind::Unresolved`] with path and line for a name that the store does not have, and as [`seal`](crate::seal()), which refuses what is no
/// whole value.
pub fn migrate(safe: &str, store: &Store, options: &SealOptions) -> Result<Sealed> {
    let document = Document::parse(safe.as_bytes(), Format::Json)?;
    let contents = Contents::of(&document)?;
    let id = DocumentId::of(&document, options.document.as_ref())?;
    let mut new = contents
        .marked()
        .map(|(scalar, value)| New::of(&document, scalar, value))
        .collect::<Result<Vec<_>>>()?;
    for scalar in document
        .scalars()
        .iter()
        .filter(|scalar| scalar.kind == Kind::String)
    {
        let Some(name) = document.text(scalar).strip_prefix("DEC[") else {
            continue;
        };
        let unresolved = |message: String| {
            Error::new(ErrorKind::Unresolved, message)
                .on(document.path(scalar).as_str())
                .at(scalar.line, scalar.column)
        };
        let name = name.strip_suffix(']').ok_or_else(|| {
            unresolved("a reference to Mantle's store is `DEC[name]`, whole: this one does not end with `]`".into())
        })?;
        let value = store.expose(name).ok_or_else(|| {
            unresolved(format!(
                "the store has no `{}`; is it another user's?",
                crate::epoch::shown(name)
            ))
        })?;
        new.push(New::of(&document, scalar, value)?);
    }
    let recipients = options.checked()?;
    let written = contents.write(&id, new, recipients)?;
    let left = left_in(&document, &written.values);
    let mut sealed = Sealed::in_part(&contents, written, recipients);
    sealed.unsealed.extend(left);
    sealed.unsealed.sort_by_key(|one| (one.line, one.column));
    Ok(sealed)
}

/// The `DEC[name]` that are not a whole value, which Mantle left too.
fn left_in(document: &Document, sealed: &[Pointer]) -> Vec<Unsealed> {
    let sealed: HashSet<&str> = sealed.iter().map(Pointer::as_str).collect();
    let values = document.scalars().iter().filter_map(|scalar| {
        let path = document.path(scalar);
        let is_left = scalar.kind == Kind::String
            && !sealed.contains(path.as_str())
            && has_reference(document.text(scalar));
        is_left.then(|| {
            let message =
                "`DEC[name]` stands inside of a longer text here, and only whole values are replaced: this one stays";
            Unsealed::new(Some(path), (scalar.line, scalar.column), message)
        })
    });
    let keys = document.keys(has_reference).map(|(_, place)| {
        let message =
            "`DEC[name]` stands in a key here, and only values are replaced: this one stays";
        Unsealed::new(None, place, message)
    });
    values.chain(keys).collect()
}

/// Whether `DEC[name]` stands in a text, and goes on from no word.
fn has_reference(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices("DEC[").any(|(at, marker)| {
        let name = text[at + marker.len()..].split_once(']');
        name.is_some_and(|(name, _)| !name.is_empty() && !name.contains('\n'))
            && !text[..at].ends_with(is_word)
    })
}
