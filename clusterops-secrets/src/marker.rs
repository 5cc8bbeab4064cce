//! What stands in a document for a value: a marker to be sealed, or a sealed value.

use crate::document::{Document, Kind, Pointer, Scalar};
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

/// A marker that nothing seals, since it is not the whole of a value.
#[derive(Debug)]
pub(crate) struct Stray {
    /// The value that it is a part of.
    pub(crate) path: Option<Pointer>,
    pub(crate) place: (usize, usize),
    /// What is wrong with it, in one sentence.
    pub(crate) message: &'static str,
}

impl Stray {
    const INSIDE: &str = "`ENC[name:value]` stands inside of a longer text here, and only whole values are sealed: this one stays \
                          in plain text; make it the whole value";
    const IN_KEY: &str = "`ENC[name:value]` stands in a key here, and only values are sealed: this one stays in plain text";
    const IN_COMMENT: &str = "`ENC[name:value]` stands in a comment here, and only values are sealed: this one stays in plain \
                              text; remove it";
    /// A document full of them need not be told all.
    const MOST: usize = 100;

    /// All of them in a document: inside of longer strings, in keys and in comments. What has not the whole form of a marker is
    /// ordinary text, and so is what goes on from a word (`PATIENC[a:b]`).
    pub(crate) fn all_of(document: &Document) -> Vec<Self> {
        let source = document.source();
        let mut strays = Vec::new();
        for scalar in document.scalars() {
            let text = document.text(scalar);
            if scalar.kind == Kind::String
                && !text.starts_with(TO_SEAL)
                && !text.starts_with(SEALED)
                && markers_in(text).next().is_some()
            {
                strays.push(Self {
                    path: Some(document.path(scalar)),
                    place: (scalar.line, scalar.column),
                    message: Self::INSIDE,
                });
            }
        }
        let keys = document.keys(|key| markers_in(key).next().is_some());
        // The path would repeat what it holds.
        strays.extend(keys.take(Self::MOST).map(|(_, place)| Self {
            path: None,
            place,
            message: Self::IN_KEY,
        }));
        if source.contains(TO_SEAL) {
            let in_lines = |between: std::ops::Range<usize>| {
                let mut start = between.start;
                let lines = source[between].split_inclusive('\n');
                lines.flat_map(move |line| {
                    let from = start;
                    start += line.len();
                    markers_in(line).map(move |at| from + at)
                })
            };
            let comments = document.comments().flat_map(in_lines).take(Self::MOST);
            strays.extend(comments.map(|at| Self {
                path: None,
                place: document.place_of(at),
                message: Self::IN_COMMENT,
            }));
        }
        strays
    }

    /// Refuses a document in which something is marked that would not be sealed.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] for the first of them.
    pub(crate) fn refuse_in(document: &Document) -> Result<()> {
        let strays = Self::all_of(document);
        let Some(first) = strays.into_iter().min_by_key(|stray| stray.place) else {
            return Ok(());
        };
        let (line, column) = first.place;
        let error = Error::new(ErrorKind::Syntax, first.message).at(line, column);
        Err(match first.path {
            Some(path) => error.on(path.as_str()),
            None => error,
        })
    }
}

/// Where `ENC[name:value]` begins in a text, and goes on from no word: the name is short, and no bracket, comma, quote or line end
/// stands in it (`ENC[AES256_GCM,data:..]` is what another program has sealed).
pub(crate) fn markers_in(text: &str) -> impl Iterator<Item = usize> {
    const LONGEST_NAME: usize = 256;
    let last = text.rfind(']').unwrap_or(0);
    text.match_indices(TO_SEAL)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let name = &text[at + TO_SEAL.len()..];
            let no_name =
                |c: char| matches!(c, ':' | '[' | ']' | ',' | '"' | '\'' | '`') || c.is_control();
            let end = name.find(no_name).unwrap_or(0);
            (1..=LONGEST_NAME).contains(&end)
                && name[end..].starts_with(':')
                && at + TO_SEAL.len() + end < last
                && !text[..at].ends_with(is_word)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_markers_are_seen_in_a_text() {
        for text in [
            "--password=ENC[a:b]",
            " ENC[a:b]",
            "ENC[a:b] ",
            "x ENC[db password:p:w]d]",
            "ENC[a:]",
            "ENCODING, ENC[, ENC[a:b]",
            "ENC[ä:b\nc]",
        ] {
            assert_eq!(markers_in(text).count(), 1, "{text}");
        }
        for text in [
            "ENCODING",
            "ENCODING=[a:b]",
            "ENC[",
            "ENC[a:b",
            "ENC[...]",
            "ENC[:b]",
            "ENC[]: a]",
            "PATIENC[a:b]",
            "_ENC[a:b]",
            "enc[a:b]",
            "]ENC[a:b",
            "ENC[AES256_GCM,data:x,type:str]",
            "ENC[\"a\": [1]]",
        ] {
            assert_eq!(markers_in(text).count(), 0, "{text}");
        }
    }
}
