//! Which document a value belongs to.

use std::fmt;
use std::str::FromStr;

use crate::document::Document;
use crate::{Error, ErrorKind, Result};

/// The id of a sealed document: it names the app and, where there are several, the environment. Every value is bound to
/// it, so that none opens in another document.
///
/// By default it is the string `id` of the document's root, as in a Marathon app; a dotenv file has none and needs to be
/// given one.
///
/// ```
/// use clusterops_secrets::DocumentId;
///
/// let id: DocumentId = "/shop/web".parse()?;
/// assert_eq!(id.as_str(), "/shop/web");
/// assert!("".parse::<DocumentId>().is_err());
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId(String);

/// The most bytes of an id.
const LONGEST: usize = 1024;

impl DocumentId {
    /// The id as it stands in files.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id at the root of a document, which is to be what it is sealed as.
    ///
    /// # Errors
    /// As [`of`](Self::of); [`ErrorKind::Input`] also when only the reserved block names a document.
    pub(crate) fn shown_by(document: &Document) -> Result<Self> {
        let id = Self::of(document, None)?;
        if document.own_id().is_some() {
            return Ok(id);
        }
        let message = format!(
            "the document has no string `id` at its root, and a copy of another one says what that one does: it is sealed as `{}`; \
             if that is the document that you expect, give this id",
            crate::epoch::shown(id.as_str())
        );
        Err(Error::new(ErrorKind::Input, message))
    }

    /// What a document is sealed as, or would be sealed as when nobody says otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when it has no id and none is given, [`ErrorKind::Misplaced`] when it is sealed as another document
    /// than the one that it is.
    pub(crate) fn of(document: &Document, given: Option<&Self>) -> Result<Self> {
        let sealed = document.header().map(|header| header.document.as_str());
        let own = document.own_id();
        match (sealed, given.map(Self::as_str).or(own)) {
            (Some(sealed), Some(id)) if sealed != id => {
                let message = format!(
                    "this document is sealed as `{}`, not as `{}`; whoever can open it can reseal it under another id",
                    crate::epoch::shown(sealed),
                    crate::epoch::shown(id)
                );
                Err(Error::new(ErrorKind::Misplaced, message))
            }
            (Some(id), _) | (None, Some(id)) => id.parse(),
            (None, None) => {
                let message = "the document has no string `id` at its root; say which app and environment it is for";
                Err(Error::new(ErrorKind::Input, message))
            }
        }
    }
}

impl FromStr for DocumentId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let message = if text.is_empty() {
            "the id of a document is not empty".to_owned()
        } else if text.len() > LONGEST {
            format!("the id of a document has at most {LONGEST} bytes")
        } else if text.chars().any(char::is_control) {
            "the id of a document has no control characters".to_owned()
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(Error::new(ErrorKind::Input, message))
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
