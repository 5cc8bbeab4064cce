//! Sealing with public keys: what a developer does who can open nothing.

use std::fmt;

use zeroize::Zeroizing;

use crate::contents::{Contents, New, Written};
use crate::document::{Document, Format, Kind, Pointer};
use crate::marker::{Marker, Stray};
use crate::{
    DocumentId, Error, ErrorKind, KeyWarning, Recipients, Result, Thumbprint, Unsealed, Value,
};

/// What to seal for, and as what.
///
/// ```
/// use clusterops_secrets::{Format, PublicKey, Recipients, SealOptions, seal};
///
/// let ana = PublicKey::from_pem(include_str!("keys/data/ana.pub.pem"))?;
/// let pinned = [ana.thumbprint().clone()];
/// let options = SealOptions::new(Recipients::new([("ana", ana)])?).pins(pinned);
/// let source = r#"{"id": "/shop/web", "env": {"DB_PASSWORD": "ENC[db:hunter:2]", "ZONE": "a"}}"#;
/// let sealed = seal(source, Format::Json, &options)?;
/// assert_eq!(sealed.values[0].as_str(), "/env/DB_PASSWORD");
/// assert_eq!(sealed.recipients[0].0, "ana");
/// assert!(!sealed.text.contains("hunter") && sealed.text.contains(r#""ZONE": "a""#));
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SealOptions {
    pub(crate) recipients: Recipients,
    pub(crate) document: Option<DocumentId>,
    pub(crate) pins: Option<Vec<Thumbprint>>,
}

impl SealOptions {
    /// For these recipients; the document's id is its own.
    pub fn new(recipients: Recipients) -> Self {
        Self {
            recipients,
            document: None,
            pins: None,
        }
    }

    /// Seals as this document; needed where it has no string `id` at its root.
    #[must_use]
    pub fn document(mut self, id: DocumentId) -> Self {
        self.document = Some(id);
        self
    }

    /// Refuses any other recipients than these: whoever can edit `recipients.yaml` could add a key of theirs.
    #[must_use]
    pub fn pins(mut self, recipients: impl IntoIterator<Item = Thumbprint>) -> Self {
        self.pins = Some(recipients.into_iter().collect());
        self
    }

    /// The recipients, once they are known to be the pinned ones.
    pub(crate) fn checked(&self) -> Result<&Recipients> {
        if let Some(pins) = &self.pins {
            self.recipients.check_pins(pins)?;
        }
        Ok(&self.recipients)
    }
}

/// A document with sealed values.
#[derive(Clone)]
#[non_exhaustive]
pub struct Sealed {
    /// The new text; it can still hold secrets that nobody marked.
    pub text: Zeroizing<String>,
    /// The values that this call sealed.
    pub values: Vec<Pointer>,
    /// Whom it sealed them for: names and thumbprints.
    pub recipients: Vec<(String, Thumbprint)>,
    /// What speaks against some of the recipients' keys, by name.
    pub warnings: Vec<(String, KeyWarning)>,
    /// What else is marked to be sealed, and stays in plain text: a call that seals certain values leaves the others.
    pub unsealed: Vec<Unsealed>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("values", &self.values)
            .field("recipients", &self.recipients)
            .field("warnings", &self.warnings)
            .field("unsealed", &self.unsealed)
            .finish_non_exhaustive()
    }
}

impl Sealed {
    pub(crate) fn new(written: Written, recipients: &Recipients) -> Self {
        let was_sealed = !written.values.is_empty();
        let recipients = recipients.iter().filter(|_| was_sealed);
        Self {
            text: written.text,
            values: written.values,
            recipients: recipients
                .clone()
                .map(|recipient| (recipient.name.clone(), recipient.key.thumbprint().clone()))
                .collect(),
            warnings: recipients
                .filter_map(|recipient| Some((recipient.name.clone(), recipient.key.warning()?)))
                .collect(),
            unsealed: Vec::new(),
        }
    }

    /// As [`new`](Self::new), with what is marked in the document that it was made of and has not been sealed.
    pub(crate) fn in_part(
        contents: &Contents<'_>,
        written: Written,
        recipients: &Recipients,
    ) -> Self {
        Self {
            unsealed: Unsealed::all_of(contents, &written.values),
            ..Self::new(written, recipients)
        }
    }
}

/// Seals every value that is marked `ENC[name:value]`, wherever it stands. Needs public keys only; what is sealed already
/// stays as it is.
///
/// Only whole values are sealed. A marker inside of a longer string (`--password=ENC[db:hunter2]`), in a key or in a comment is an
/// error, since what it holds would stay in plain text.
///
/// # Errors
/// [`ErrorKind::Syntax`] for a document that cannot be read, for broken markers and for those that are not a whole value,
/// [`ErrorKind::Recipients`] when the recipients
/// are not the pinned ones or none, [`ErrorKind::Input`] for a document without an id, [`ErrorKind::Misplaced`] for one that is
/// sealed under another id.
pub fn seal(text: &str, format: Format, options: &SealOptions) -> Result<Sealed> {
    let document = Document::parse(text.as_bytes(), format)?;
    let contents = Contents::of(&document)?;
    Stray::refuse_in(&document)?;
    let id = DocumentId::of(&document, options.document.as_ref())?;
    let new = contents
        .marked()
        .map(|(scalar, value)| New::of(&document, scalar, value))
        .collect::<Result<Vec<_>>>()?;
    let recipients = options.checked()?;
    let written = contents.write(&id, new, recipients)?;
    Ok(Sealed::new(written, recipients))
}

/// Seals the values at these paths, marked or not: strings, numbers and booleans, which keep their type. What is marked elsewhere
/// stays as it is ([`Sealed::unsealed`]).
///
/// ```
/// # use clusterops_secrets::{Format, PublicKey, Recipients, SealOptions, seal_paths};
/// # let ana = PublicKey::from_pem(include_str!("keys/data/ana.pub.pem"))?;
/// # let options = SealOptions::new(Recipients::new([("ana", ana)])?);
/// let source = "id: /shop\nenv:\n  PIN: 1234 # of the till\n";
/// let sealed = seal_paths(source, Format::Yaml, &["/env/PIN".parse()?], &options)?;
/// assert!(!sealed.text.contains("1234") && sealed.text.contains("# of the till"));
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
///
/// # Errors
/// As [`seal`]; [`ErrorKind::Input`] when there is no such value, or one that is sealed already.
pub fn seal_paths(
    text: &str,
    format: Format,
    paths: &[Pointer],
    options: &SealOptions,
) -> Result<Sealed> {
    let document = Document::parse(text.as_bytes(), format)?;
    let contents = Contents::of(&document)?;
    let id = DocumentId::of(&document, options.document.as_ref())?;
    let mut paths = paths.to_vec();
    paths.sort_unstable();
    paths.dedup();
    let mut new = Vec::with_capacity(paths.len());
    for path in &paths {
        let refused = |message| Error::new(ErrorKind::Input, message).on(path.as_str());
        let scalar = document.find(path).ok_or_else(|| {
            refused("there is no value here; objects and arrays are sealed value by value")
        })?;
        match (scalar.kind, Marker::of(&document, scalar)?) {
            (Kind::Null, _) => return Err(refused("`null` says nothing that could be sealed")),
            (_, Some(Marker::Sealed(_))) => return Err(refused("this value is sealed already")),
            (_, Some(Marker::ToSeal { value })) => new.push(New::of(&document, scalar, value)?),
            (_, None) if document.is_cut(scalar) => {
                // The rest would stay in the file as it is.
                return Err(refused(
                    "a comment begins right behind this value; put quotes around it, as in NAME='value', if the `#` is a part of \
                     it, or a space in front of the `#`",
                )
                .at(scalar.line, scalar.column));
            }
            (_, None) => new.push(New::of(&document, scalar, document.text(scalar))?),
        }
    }
    let recipients = options.checked()?;
    let written = contents.write(&id, new, recipients)?;
    Ok(Sealed::in_part(&contents, written, recipients))
}

/// Adds or replaces one value, with public keys only. What is missing around it is added too; what is marked elsewhere stays as it
/// is ([`Sealed::unsealed`]).
///
/// ```
/// # use clusterops_secrets::{Format, PublicKey, Recipients, SealOptions, Value, set};
/// # let ana = PublicKey::from_pem(include_str!("keys/data/ana.pub.pem"))?;
/// # let options = SealOptions::new(Recipients::new([("ana", ana)])?);
/// let source = r#"{"id": "/shop", "env": {"ZONE": "a"}}"#;
/// let sealed = set(source, Format::Json, &"/env/DB".parse()?, &Value::text("hunter2"), &options)?;
/// assert!(sealed.text.starts_with(r#"{"id": "/shop", "env": {"ZONE": "a", "DB": "SEALED["#));
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
///
/// # Errors
/// As [`seal`]; [`ErrorKind::Input`] when an object or an array stands at the path, or when nothing can be added there,
/// and for a value that a dotenv file could not hold once it is opened.
pub fn set(
    text: &str,
    format: Format,
    path: &Pointer,
    value: &Value,
    options: &SealOptions,
) -> Result<Sealed> {
    let document = Document::parse(text.as_bytes(), format)?;
    let contents = Contents::of(&document)?;
    let id = DocumentId::of(&document, options.document.as_ref())?;
    let new = New::at(&document, path, value.expose())?;
    let recipients = options.checked()?;
    let written = contents.write(&id, vec![new], recipients)?;
    Ok(Sealed::in_part(&contents, written, recipients))
}
