//! What stands in a document for a value: a marker to be sealed, or a sealed value.

use crate::document::{Document, Kind, Scalar};
use crate::jose::token::Token;
use crate::{Error, ErrorKind, Result};

/// What a string of a document is to this crate.
#[derive(Debug)]
pub(crate) enum Marker<'d> {
    /// `ENC[name:value]`: the value is to be sealed.
    ToSeal { value: &'d str },
    /// `SEALED[token]`.
    Sealed(Token<'d>),
}

const TO_SEAL: &str = "ENC[";
const SEALED: &str = "SEALED[";

impl<'d> Marker<'d> {
    /// `None` for any other value.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] for a marker that is not whole, [`ErrorKind::Format`] for a token that is not of the right form.
    pub(crate) fn of(document: &'d Document, scalar: &'d Scalar) -> Result<Option<Self>> {
        if scalar.kind != Kind::String {
            return Ok(None);
        }
        let text = document.text(scalar);
        let placed = |error: Error| {
            error
                .on(document.path(scalar).as_str())
                .at(scalar.line, scalar.column)
        };
        let told = |message: &str| match document.slip(scalar) {
            Some(slip) => format!("{message}; {slip}"),
            None => message.to_owned(),
        };
        if let Some(rest) = text.strip_prefix(SEALED) {
            let token = rest.strip_suffix(']').ok_or_else(|| {
                let message = told("the sealed value is cut off: it does not end with `]`");
                placed(Error::new(ErrorKind::Format, message))
            })?;
            return Token::parse(token)
                .map(Self::Sealed)
                .map(Some)
                .map_err(placed);
        }
        let Some(rest) = text.strip_prefix(TO_SEAL) else {
            return Ok(None);
        };
        let unfinished = |message| Err(placed(Error::new(ErrorKind::Syntax, told(message))));
        // The value is whatever stands between the first colon and the last character.
        match (rest.strip_suffix(']'), rest.split_once(':')) {
            (None, _) => unfinished(
                "a value to be sealed is `ENC[name:value]`, whole: this one does not end with `]`",
            ),
            (_, None) | (_, Some(("", _))) => unfinished(
                "a value to be sealed is `ENC[name:value]`: this one has no name before a colon",
            ),
            (Some(inner), Some((name, _))) if inner.len() > name.len() => Ok(Some(Self::ToSeal {
                value: &inner[name.len() + 1..],
            })),
            _ => unfinished("a value to be sealed is `ENC[name:value]`: this one has no colon"),
        }
    }

    /// How a value is written to be sealed; whatever the name, it reads back as the same value.
    pub(crate) fn to_seal(name: &str, value: &str) -> String {
        let name: String = name.chars().filter(|c| *c != ':').collect();
        let name = if name.is_empty() { "value" } else { &name };
        format!("{TO_SEAL}{name}:{value}]")
    }

    /// How a token is written.
    pub(crate) fn sealed(token: &str) -> String {
        format!("{SEALED}{token}]")
    }
}
