//! New keys for what is sealed: for other recipients, or because it is time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::contents::{Contents, New};
use crate::document::{Document, Format, Pointer};
use crate::epoch::Wrapped;
use crate::identity::Identity;
use crate::marker::Stray;
use crate::seal::{SealOptions, Sealed};
use crate::{DocumentId, Error, ErrorKind, Result, Thumbprint};

/// A document that has been sealed anew.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resealed {
    /// The document, and whom it is sealed for now.
    pub sealed: Sealed,
    /// Who is no recipient any more, and which values they could read until now. New keys do not take back what they have
    /// seen: change those values where they are used.
    pub leavers: Vec<(Thumbprint, Vec<Pointer>)>,
    /// Who is a recipient now of values that were sealed without them.
    pub joiners: Vec<Thumbprint>,
}

/// Seals all values anew for changed recipients, with a new key; values that are marked are sealed too, and a marker that is not a
/// whole value is an error, as it is where [`seal`](crate::seal()) meets one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), clusterops_secrets::Error> {
/// # use clusterops_secrets::{Format, PrivateKey, PublicKey, Recipients, SealOptions, reseal, seal};
/// # let ben = PrivateKey::from_pem(include_str!("keys/data/ben.pem"), None)?;
/// # let ana = PublicKey::from_pem(include_str!("keys/data/ana.pub.pem"))?;
/// let (both, alone) = (
///     Recipients::new([("ana", ana.clone()), ("ben", ben.public_key().clone())])?,
///     Recipients::new([("ben", ben.public_key().clone())])?,
/// );
/// let source = r#"{"id": "/shop", "env": {"DB": "ENC[db:hunter2]"}}"#;
/// let text = seal(source, Format::Json, &SealOptions::new(both))?.text;
///
/// let options = SealOptions::new(alone);
/// let resealed = reseal(&text, Format::Json, &"/shop".parse()?, &[&ben], &options).await?;
/// let (leaver, could_read) = &resealed.leavers[0];
/// assert_eq!((leaver, could_read[0].as_str()), (ana.thumbprint(), "/env/DB"));
/// # Ok(())
/// # }
/// ```
///
/// With another [`document`](SealOptions::document) in the options it is sealed as that one from now on; if the string `id` at its
/// root said what it was, it says the new one then.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), clusterops_secrets::Error> {
/// # use clusterops_secrets::{Format, PrivateKey, Recipients, SealOptions, reseal, seal};
/// # let ben = PrivateKey::from_pem(include_str!("keys/data/ben.pem"), None)?;
/// # let options = SealOptions::new(Recipients::new([("ben", ben.public_key().clone())])?);
/// # let text = seal(r#"{"id": "/shop", "env": {"DB": "ENC[db:hunter2]"}}"#, Format::Json, &options)?.text;
/// let (old, new) = ("/shop".parse()?, "/store".parse()?);
/// let resealed = reseal(&text, Format::Json, &old, &[&ben], &options.document(new)).await?;
/// assert!(resealed.sealed.text.starts_with(r#"{"id": "/store", "env""#));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`open`](crate::open()) and [`seal`](crate::seal()).
pub async fn reseal(
    text: &str,
    format: Format,
    id: &DocumentId,
    identities: &[&dyn Identity],
    options: &SealOptions,
) -> Result<Resealed> {
    let document = Document::parse(text.as_bytes(), format)?;
    all_anew(&Contents::of(&document)?, id, identities, options).await
}

/// Seals all values anew for the same recipients, with a new key.
///
/// # Errors
/// As [`reseal`]; [`ErrorKind::Recipients`] when the recipients are not those that the document is sealed for,
/// [`ErrorKind::Misplaced`] when the options name another document.
pub async fn rotate(
    text: &str,
    format: Format,
    id: &DocumentId,
    identities: &[&dyn Identity],
    options: &SealOptions,
) -> Result<Sealed> {
    let document = Document::parse(text.as_bytes(), format)?;
    let contents = Contents::of(&document)?;
    check_same(&contents, id, options)?;
    Ok(all_anew(&contents, id, identities, options).await?.sealed)
}

/// Merges the epochs that sealing with public keys has added into a new one. A document that has one epoch only keeps it,
/// and what is marked there stays as it is ([`Sealed::unsealed`]).
///
/// # Errors
/// As [`rotate`].
pub async fn compact(
    text: &str,
    format: Format,
    id: &DocumentId,
    identities: &[&dyn Identity],
    options: &SealOptions,
) -> Result<Sealed> {
    let document = Document::parse(text.as_bytes(), format)?;
    let contents = Contents::of(&document)?;
    check_same(&contents, id, options)?;
    if contents.used_epochs().len() > 1 {
        return Ok(all_anew(&contents, id, identities, options).await?.sealed);
    }
    let recipients = options.checked()?;
    let written = contents.write(id, Vec::new(), recipients)?;
    Ok(Sealed::in_part(&contents, written, recipients))
}

async fn all_anew(
    contents: &Contents<'_>,
    id: &DocumentId,
    identities: &[&dyn Identity],
    options: &SealOptions,
) -> Result<Resealed> {
    // What is marked is sealed too, and nothing that is marked is to stay behind.
    Stray::refuse_in(contents.document)?;
    let recipients = options.checked()?;
    let values = contents.open(id, identities, |_| true).await?;
    let mut new = Vec::with_capacity(values.len());
    for value in &values {
        let is_json = value.sealed.token.header().is_json;
        new.push(New::of(contents.document, value.sealed.scalar, &value.text)?.json(is_json));
    }
    for (scalar, value) in contents.marked() {
        new.push(New::of(contents.document, scalar, value)?);
    }
    let new_id = options.document.as_ref().unwrap_or(id);
    let written = contents.write_as(id, new_id, new, recipients)?;

    let now: BTreeSet<&Thumbprint> = recipients
        .iter()
        .map(|recipient| recipient.key.thumbprint())
        .collect();
    let mut inside: HashMap<&Thumbprint, Vec<&Pointer>> = HashMap::new();
    for value in contents.sealed() {
        let paths = inside.entry(&value.token.header().epoch).or_default();
        paths.push(&value.path);
    }
    let mut could_read: BTreeMap<&Thumbprint, Vec<Pointer>> = BTreeMap::new();
    let mut always: BTreeSet<&Thumbprint> = now.clone();
    for epoch in contents.used_epochs() {
        let before: BTreeSet<&Thumbprint> = epoch.recipients().collect();
        always.retain(|name| before.contains(name));
        for leaver in before.difference(&now) {
            let paths = could_read.entry(leaver).or_default();
            paths.extend(
                inside
                    .get(epoch.id())
                    .into_iter()
                    .flatten()
                    .copied()
                    .cloned(),
            );
        }
    }
    Ok(Resealed {
        sealed: Sealed::new(written, recipients),
        leavers: could_read
            .into_iter()
            .map(|(leaver, mut paths)| {
                paths.sort_unstable();
                (leaver.clone(), paths)
            })
            .collect(),
        joiners: now
            .difference(&always)
            .map(|name| (*name).clone())
            .collect(),
    })
}

/// Whether this is the document, it is to stay so, and every value is sealed for exactly the given recipients.
fn check_same(contents: &Contents<'_>, id: &DocumentId, options: &SealOptions) -> Result<()> {
    // Without it a document whose values stay as they are would be given an id that they are not bound to.
    contents.check_id(id)?;
    if let Some(other) = options.document.as_ref().filter(|other| *other != id) {
        let message =
            format!("the document stays `{id}` here; reseal it with a new id to make it `{other}`");
        return Err(Error::new(ErrorKind::Misplaced, message));
    }
    let given: BTreeSet<&Thumbprint> = options
        .recipients
        .iter()
        .map(|recipient| recipient.key.thumbprint())
        .collect();
    let differs = |epoch: &&Wrapped| epoch.recipients().collect::<BTreeSet<_>>() != given;
    match contents.used_epochs().into_iter().find(differs) {
        None => Ok(()),
        Some(epoch) => {
            let message = format!(
                "the epoch {} is sealed for others than the given recipients; reseal tells who joins and who leaves",
                epoch.id()
            );
            Err(Error::new(ErrorKind::Recipients, message))
        }
    }
}
