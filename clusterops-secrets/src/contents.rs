//! What a sealed document holds, and how a new one is written.

use std::collections::{HashMap, HashSet};

use zeroize::Zeroizing;

use crate::document::{Document, Edits, Format, Header, Kind, Pointer, Scalar};
use crate::epoch::{EpochKey, Wrapped};
use crate::identity::Identity;
use crate::jose::token::{self, Token};
use crate::marker::Marker;
use crate::open::UNRESOLVED;
use crate::{DocumentId, Error, ErrorKind, Recipients, Result, Thumbprint};

/// The markers, the sealed values and the epochs of a document.
pub(crate) struct Contents<'d> {
    pub(crate) document: &'d Document,
    marked: Vec<(&'d Scalar, &'d str)>,
    sealed: Vec<SealedValue<'d>>,
    epochs: HashMap<Thumbprint, Wrapped>,
}

/// A sealed value where it stands.
pub(crate) struct SealedValue<'d> {
    pub(crate) scalar: &'d Scalar,
    pub(crate) path: Pointer,
    pub(crate) token: Token<'d>,
}

/// A sealed value and what it says.
pub(crate) struct OpenedValue<'c, 'd> {
    pub(crate) sealed: &'c SealedValue<'d>,
    pub(crate) text: Zeroizing<String>,
}

/// A value that is to be sealed.
pub(crate) struct New<'v> {
    path: Pointer,
    text: &'v str,
    is_json: bool,
    /// Whether nothing stands at the path yet.
    is_added: bool,
}

/// A document that has been written.
pub(crate) struct Written {
    pub(crate) text: Zeroizing<String>,
    pub(crate) values: Vec<Pointer>,
}

impl<'d> Contents<'d> {
    /// Reads all markers, tokens and epochs.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] and [`ErrorKind::Format`] for the first that is broken, with its place.
    pub(crate) fn of(document: &'d Document) -> Result<Self> {
        let mut epochs = HashMap::new();
        if let Some(header) = document.header() {
            for (id, json) in &header.epochs {
                let wrapped = Wrapped::parse(id, json).map_err(|error| error.at(header.line, 1))?;
                epochs.insert(wrapped.id().clone(), wrapped);
            }
        }
        let (mut marked, mut sealed) = (Vec::new(), Vec::new());
        for scalar in document.scalars() {
            match Marker::of(document, scalar)? {
                None => {}
                Some(Marker::ToSeal { value }) => marked.push((scalar, value)),
                Some(Marker::Sealed(token)) => {
                    let path = document.path(scalar);
                    if !epochs.contains_key(&token.header().epoch) {
                        let message = format!(
                            "the sealed value names the epoch {}, which this document does not have; was it copied from \
                             another one?",
                            token.header().epoch
                        );
                        return Err(Error::new(ErrorKind::Misplaced, message)
                            .on(path.as_str())
                            .at(scalar.line, scalar.column));
                    }
                    sealed.push(SealedValue {
                        scalar,
                        path,
                        token,
                    });
                }
            }
        }
        Ok(Self {
            document,
            marked,
            sealed,
            epochs,
        })
    }

    /// The values that are marked to be sealed.
    pub(crate) fn marked(&self) -> impl Iterator<Item = (&'d Scalar, &'d str)> {
        self.marked.iter().copied()
    }

    /// Refuses a document with values that are still to be sealed.
    pub(crate) fn check_sealed(&self) -> Result<()> {
        match self.marked().next() {
            Some((scalar, _)) => Err(Error::new(ErrorKind::Unresolved, UNRESOLVED)
                .on(self.document.path(scalar).as_str())
                .at(scalar.line, scalar.column)),
            None => Ok(()),
        }
    }

    /// The values that are sealed.
    pub(crate) fn sealed(&self) -> &[SealedValue<'d>] {
        &self.sealed
    }

    /// The epochs that sealed values use, sorted.
    pub(crate) fn used_epochs(&self) -> Vec<&Wrapped> {
        let mut used: Vec<&Wrapped> = self
            .sealed
            .iter()
            .filter_map(|value| self.epochs.get(&value.token.header().epoch))
            .collect();
        used.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        used.dedup_by(|a, b| a.id() == b.id());
        used
    }

    /// Whether nothing here is sealed as another document.
    ///
    /// # Errors
    /// [`ErrorKind::Misplaced`] when something is.
    pub(crate) fn check_id(&self, id: &DocumentId) -> Result<()> {
        match self.document.header() {
            Some(header) if header.document != id.as_str() => {
                let message = format!(
                    "this document is sealed as `{}`, not as `{id}`",
                    crate::epoch::shown(&header.document)
                );
                Err(Error::new(ErrorKind::Misplaced, message).at(header.line, 1))
            }
            _ => Ok(()),
        }
    }

    /// Opens the sealed values that are wanted, each bound to its place in this document; one private-key operation for each
    /// epoch that they use.
    ///
    /// # Errors
    /// [`ErrorKind::Misplaced`] when the document or a value is not where it belongs, [`ErrorKind::NotRecipient`],
    /// [`ErrorKind::Tampered`].
    pub(crate) async fn open<'c>(
        &'c self,
        id: &DocumentId,
        identities: &[&dyn Identity],
        is_wanted: impl Fn(&SealedValue<'d>) -> bool,
    ) -> Result<Vec<OpenedValue<'c, 'd>>> {
        self.check_id(id)?;
        let wanted: Vec<&SealedValue<'d>> = self
            .sealed
            .iter()
            .filter(|value| is_wanted(value))
            .collect();
        let mut keys: HashMap<&Thumbprint, EpochKey> = HashMap::new();
        for value in &wanted {
            let epoch = &value.token.header().epoch;
            if !keys.contains_key(epoch)
                && let Some(wrapped) = self.epochs.get(epoch)
            {
                keys.insert(epoch, wrapped.open(identities).await?);
            }
        }
        let open = |sealed: &'c SealedValue<'d>| {
            let header = sealed.token.header();
            let key = &keys[&header.epoch];
            let placed = |error: Error| {
                error
                    .on(sealed.path.as_str())
                    .at(sealed.scalar.line, sealed.scalar.column)
            };
            let bytes = sealed.token.open(key).map_err(placed)?;
            // Only what has authenticated says where it belongs.
            if header.document != id.as_str() || header.path != sealed.path.as_str() {
                return Err(placed(misplaced(&header.document, &header.path, id)));
            }
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                let message = "the sealed value is not UTF-8; another program sealed it";
                placed(Error::new(ErrorKind::Format, message))
            })?;
            let text = Zeroizing::new(text.to_owned());
            Ok(OpenedValue { sealed, text })
        };
        wanted.into_iter().map(open).collect()
    }

    /// Writes the document with these values sealed under a new epoch. What else is sealed stays, and so do the epochs that it
    /// uses; the others go.
    pub(crate) fn write(
        &self,
        id: &DocumentId,
        new: Vec<New<'_>>,
        recipients: &Recipients,
    ) -> Result<Written> {
        let replaced: HashSet<&str> = new.iter().map(|value| value.path.as_str()).collect();
        let kept = self
            .sealed
            .iter()
            .filter(|value| !replaced.contains(value.path.as_str()))
            .map(|value| &value.token.header().epoch)
            .collect();
        check_held(self.document, &new)?;
        self.finish(Edits::new(self.document), kept, id, new, recipients)
    }

    /// As [`write`](Self::write), where everything is sealed anew and as another document if `id` is not `old`. A document that says
    /// `old` at its root says `id` there then: it is to show what it is sealed as.
    pub(crate) fn write_as(
        &self,
        old: &DocumentId,
        id: &DocumentId,
        new: Vec<New<'_>>,
        recipients: &Recipients,
    ) -> Result<Written> {
        let mut edits = Edits::new(self.document);
        if id != old && self.document.own_id() == Some(old.as_str()) {
            edits.set_string(&Pointer::root().join("id"), id.as_str())?;
        }
        check_held(self.document, &new)?;
        self.finish(edits, HashSet::new(), id, new, recipients)
    }

    /// As [`write`](Self::write) a document that was made of this one: what was sealed here stands there again at these
    /// paths, which are the same as here.
    pub(crate) fn write_other(
        &self,
        other: &Document,
        again: &[&SealedValue<'_>],
        id: &DocumentId,
        new: Vec<New<'_>>,
        recipients: &Recipients,
    ) -> Result<Written> {
        let mut edits = Edits::new(other);
        for value in again {
            edits.set_string(&value.path, self.document.text(value.scalar))?;
        }
        let kept = again
            .iter()
            .map(|value| &value.token.header().epoch)
            .collect();
        check_held(other, &new)?;
        self.finish(edits, kept, id, new, recipients)
    }

    fn finish(
        &self,
        mut edits: Edits<'_>,
        kept: HashSet<&Thumbprint>,
        id: &DocumentId,
        new: Vec<New<'_>>,
        recipients: &Recipients,
    ) -> Result<Written> {
        let mut epochs: Vec<(String, String)> = self
            .epochs
            .values()
            .filter(|wrapped| kept.contains(wrapped.id()))
            .map(|wrapped| (wrapped.id().to_string(), wrapped.text().to_owned()))
            .collect();
        if !new.is_empty() {
            let key = EpochKey::mint();
            let wrapped = Wrapped::wrap(&key, &recipients.keys())?;
            epochs.push((wrapped.id().to_string(), wrapped.text().to_owned()));
            for value in &new {
                let path = value.path.as_str();
                let token = token::seal(
                    &key,
                    id.as_str(),
                    path,
                    value.is_json,
                    value.text.as_bytes(),
                )?;
                let text = Marker::sealed(&token);
                match value.is_added {
                    true => edits.insert(&value.path, &text)?,
                    false => edits.set_string(&value.path, &text)?,
                }
            }
        }
        edits.header((!epochs.is_empty()).then(|| Header::new(id.as_str(), epochs)));
        Ok(Written {
            text: edits.apply()?,
            values: new.into_iter().map(|value| value.path).collect(),
        })
    }
}

impl<'v> New<'v> {
    /// A value that stands in the document.
    pub(crate) fn of(document: &Document, scalar: &Scalar, text: &'v str) -> Result<Self> {
        let is_json = matches!(scalar.kind, Kind::Number | Kind::Bool);
        let new = Self::instead_of(document, scalar, text)?.json(is_json);
        if is_json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
            let message = "this is not spelled as JSON spells numbers and booleans; put it in quotes, or spell it so";
            return Err(Error::new(ErrorKind::Input, message)
                .on(new.path.as_str())
                .at(scalar.line, scalar.column));
        }
        Ok(new)
    }

    /// A string that replaces what stands in the document, of whatever kind that is.
    fn instead_of(document: &Document, scalar: &Scalar, text: &'v str) -> Result<Self> {
        let path = document.path(scalar);
        if document.is_own_id(&path) {
            return Err(own_id(&path).at(scalar.line, scalar.column));
        }
        if document.may_address(scalar) {
            let message = "this `name` or `id` says which element of an array others are meant by; it cannot be sealed";
            return Err(Error::new(ErrorKind::Input, message)
                .on(path.as_str())
                .at(scalar.line, scalar.column));
        }
        Ok(Self {
            path,
            text,
            is_json: false,
            is_added: false,
        })
    }

    /// A string at a path, where one may stand or not.
    pub(crate) fn at(document: &Document, path: &Pointer, text: &'v str) -> Result<Self> {
        let scalar = document.find(path);
        if scalar.is_none() && document.contains(path) {
            let message = "an object or an array stands here; only a value can be sealed";
            return Err(Error::new(ErrorKind::Input, message).on(path.as_str()));
        }
        if document.is_own_id(path) {
            return Err(own_id(path));
        }
        match scalar {
            Some(scalar) => Self::instead_of(document, scalar, text),
            None => Ok(Self {
                path: path.clone(),
                text,
                is_json: false,
                is_added: true,
            }),
        }
    }

    /// Seals it as the JSON literal that it is spelled as.
    pub(crate) fn json(self, is_json: bool) -> Self {
        Self { is_json, ..self }
    }
}

/// Whether a dotenv file can hold these values once they are opened. JSON and YAML hold any text; here it is said to who seals,
/// who can do something about it, and not first to who opens.
fn check_held(document: &Document, new: &[New<'_>]) -> Result<()> {
    if document.format() != Format::Dotenv || new.is_empty() {
        return Ok(());
    }
    let mut opened = Edits::new(document);
    for value in new {
        match value.is_added {
            true => opened.insert(&value.path, value.text)?,
            false => opened.set_string(&value.path, value.text)?,
        }
    }
    opened.apply().map(drop)
}

fn own_id(path: &Pointer) -> Error {
    let message = "this is the document's id, which its values are bound to and which stands in the block for all to read; it \
                   cannot be sealed";
    Error::new(ErrorKind::Input, message).on(path.as_str())
}

fn misplaced(document: &str, path: &str, id: &DocumentId) -> Error {
    let path = crate::epoch::shown(path);
    let message = if document == id.as_str() {
        format!("this sealed value belongs at `{path}`; move it back, or set it here anew")
    } else {
        let document = crate::epoch::shown(document);
        format!(
            "this sealed value belongs to the document `{document}`, at `{path}`; it was copied here"
        )
    };
    Error::new(ErrorKind::Misplaced, message)
}
