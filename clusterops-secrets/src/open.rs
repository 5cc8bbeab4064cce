//! Opening: what operations do, who hold a private key.

use std::fmt;

use secrecy::SecretString;

use crate::contents::{Contents, OpenedValue};
use crate::document::{Document, Edits, Format, Pointer};
use crate::identity::Identity;
use crate::{DocumentId, Error, ErrorKind, Result};

pub(crate) const UNRESOLVED: &str =
    "this value is marked to be sealed and is not; seal the document first";

/// A document with its values opened, in memory only.
///
/// Its text is the document without the reserved block, as it was before anything was sealed, with the values in their
/// places.
pub struct Opened {
    format: Format,
    text: SecretString,
    values: Vec<(Pointer, SecretString)>,
}

impl Opened {
    /// The document.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The values that were sealed, and where they stand.
    pub fn values(&self) -> impl Iterator<Item = (&Pointer, &SecretString)> {
        self.values.iter().map(|(path, value)| (path, value))
    }

    /// The environment that the document describes, sealed values and others: all of a dotenv file, the object `env` of
    /// JSON and YAML (as in a Marathon app). Numbers and booleans are as they are spelled; objects, arrays and `null` are not
    /// part of it. What is sealed elsewhere in the document is not either.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when JSON or YAML has no object `env`, or a sealed value stands deeper in it than variables do.
    /// [`ErrorKind::Input`] for YAML's aliases and merge keys (`<<`) where variables stand or could come from: none is followed, and
    /// a variable would be missing. [`ErrorKind::Syntax`] when the text cannot be read, which a document that has just been opened
    /// can.
    pub fn environment(&self) -> Result<Vec<(String, SecretString)>> {
        use secrecy::ExposeSecret as _;

        let document = Document::parse(self.text.expose_secret().as_bytes(), self.format)?;
        check_followed(&document)?;
        self.check_is_variables(&document)?;
        let mut environment = Vec::new();
        for scalar in document.scalars() {
            let path = document.path(scalar);
            let mut tokens = path.tokens();
            let is_inside =
                self.format == Format::Dotenv || tokens.next().as_deref() == Some("env");
            if let (true, Some(name), None) = (is_inside, tokens.next(), tokens.next())
                && scalar.kind != crate::document::Kind::Null
            {
                environment.push((name.into_owned(), document.text(scalar).into()));
            }
        }
        Ok(environment)
    }
}

impl Opened {
    /// Refuses a document of whose environment a part would be missing without a word.
    fn check_is_variables(&self, document: &Document) -> Result<()> {
        if self.format == Format::Dotenv {
            return Ok(());
        }
        let env = Pointer::root().join("env");
        if !document.contains(&env) || document.find(&env).is_some() {
            let message = "there is no object `env` with variables in this document";
            return Err(Error::new(ErrorKind::Input, message));
        }
        let is_deeper = |path: &&Pointer| {
            let mut tokens = path.tokens();
            tokens.next().as_deref() == Some("env") && tokens.nth(1).is_some()
        };
        match self.values.iter().map(|(path, _)| path).find(is_deeper) {
            Some(path) => {
                let message = "a variable is a text, a number or a boolean; this sealed value stands in a list or an object";
                Err(Error::new(ErrorKind::Input, message).on(path.as_str()))
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<&Pointer> = self.values.iter().map(|(path, _)| path).collect();
        f.debug_struct("Opened")
            .field("format", &self.format)
            .field("values", &paths)
            .finish_non_exhaustive()
    }
}

/// Refuses a document whose environment is partly elsewhere: in YAML behind an alias or a merge key, at the root or in `env`.
fn check_followed(document: &Document) -> Result<()> {
    if document.format() != Format::Yaml {
        return Ok(());
    }
    let refused = |path: &Pointer, (line, column): (usize, usize), what: &str| {
        let message =
            format!("{what} stands here, which is not followed; write out what it stands for");
        Error::new(ErrorKind::Input, message)
            .on(path.as_str())
            .at(line, column)
    };
    let is_around = |path: &Pointer, is_merge: bool| {
        let tokens: Vec<_> = path.tokens().collect();
        match &tokens[..] {
            [one] => is_merge || one == "env",
            [env, _] => env == "env",
            _ => false,
        }
    };
    let mut merges = document.keys(|key| key == "<<");
    if let Some((path, place)) = merges.find(|(path, _)| is_around(path, true)) {
        return Err(refused(&path, place, "a merge key (`<<`)"));
    }
    let mut aliases = document.hollow().filter(|(.., is_alias)| *is_alias);
    match aliases.find(|(path, ..)| is_around(path, false)) {
        Some((path, place, _)) => Err(refused(&path, place, "an alias (`*`)")),
        None => Ok(()),
    }
}

/// Opens all values of a document that is expected to be this one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), clusterops_secrets::Error> {
/// use clusterops_secrets::secrecy::ExposeSecret as _;
/// use clusterops_secrets::{Format, PrivateKey, Recipients, SealOptions, open, seal};
///
/// let ben = PrivateKey::from_pem(include_str!("keys/data/ben.pem"), None)?;
/// let options = SealOptions::new(Recipients::new([("ben", ben.public_key().clone())])?);
/// let source = r#"{"id": "/shop", "env": {"DB": "ENC[db:hunter2]"}}"#;
/// let sealed = seal(source, Format::Json, &options)?;
///
/// let opened = open(&sealed.text, Format::Json, &"/shop".parse()?, &[&ben]).await?;
/// assert_eq!(opened.text().expose_secret(), r#"{"id": "/shop", "env": {"DB": "hunter2"}}"#);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::Misplaced`] when it is another document, or a value is not where it belongs; [`ErrorKind::Unresolved`] when a
/// value is marked and has not been sealed; [`ErrorKind::NotRecipient`] when none of the identities is a recipient;
/// [`ErrorKind::Tampered`] when something does not authenticate; [`ErrorKind::Syntax`] and [`ErrorKind::Format`] for what cannot
/// be read.
pub async fn open(
    text: &str,
    format: Format,
    id: &DocumentId,
    identities: &[&dyn Identity],
) -> Result<Opened> {
    let document = Document::parse(text.as_bytes(), format)?;
    let contents = Contents::of(&document)?;
    contents.check_sealed()?;
    let values = contents.open(id, identities, |_| true).await?;
    let text = written(&document, &values)?;
    let values = values
        .iter()
        .map(|value| (value.sealed.path.clone(), value.text.as_str().into()))
        .collect();
    Ok(Opened {
        format,
        text,
        values,
    })
}

/// Opens one value; of the others, those that are still marked to be sealed are no hindrance.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), clusterops_secrets::Error> {
/// # use clusterops_secrets::secrecy::ExposeSecret as _;
/// # use clusterops_secrets::{Format, PrivateKey, Recipients, SealOptions, extract, seal};
/// # let ben = PrivateKey::from_pem(include_str!("keys/data/ben.pem"), None)?;
/// # let options = SealOptions::new(Recipients::new([("ben", ben.public_key().clone())])?);
/// # let text = seal(r#"{"id": "/shop", "env": {"DB": "ENC[db:hunter2]"}}"#, Format::Json, &options)?.text;
/// let value = extract(&text, Format::Json, &"/shop".parse()?, &"/env/DB".parse()?, &[&ben]).await?;
/// assert_eq!(value.expose_secret(), "hunter2");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`open`], where [`ErrorKind::Unresolved`] is about this value only; [`ErrorKind::Input`] when there is no sealed value at the
/// path.
pub async fn extract(
    text: &str,
    format: Format,
    id: &DocumentId,
    path: &Pointer,
    identities: &[&dyn Identity],
) -> Result<SecretString> {
    let document = Document::parse(text.as_bytes(), format)?;
    let contents = Contents::of(&document)?;
    let values = contents
        .open(id, identities, |value| value.path == *path)
        .await?;
    match values.first() {
        Some(value) => Ok(value.text.as_str().into()),
        None => {
            let is_marked = contents
                .marked()
                .any(|(scalar, _)| document.path(scalar) == *path);
            let (kind, message) = match document.contains(path) {
                _ if is_marked => (ErrorKind::Unresolved, UNRESOLVED),
                true => (ErrorKind::Input, "what stands here is not sealed"),
                false => (ErrorKind::Input, "there is no such value"),
            };
            Err(Error::new(kind, message).on(path.as_str()))
        }
    }
}

/// The document without its block, with the values in their places.
fn written(document: &Document, values: &[OpenedValue<'_, '_>]) -> Result<SecretString> {
    let mut edits = Edits::new(document);
    for value in values {
        let path = &value.sealed.path;
        match value.sealed.token.header().is_json {
            true => edits.set_literal(path, &value.text)?,
            false => edits.set_string(path, &value.text)?,
        }
    }
    edits.header(None);
    Ok(edits.apply()?.as_str().into())
}
