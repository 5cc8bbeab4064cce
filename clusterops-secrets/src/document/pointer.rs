//! Where in a document a value stands.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The path of a value inside its document, a JSON Pointer (RFC 6901): `/env/DB_PASSWORD`.
///
/// One rule is added, so that a path outlives an element that is put in front of another: an element of an array is
/// addressed by its `name`, else by its `id`, if that is a string that no other element of the array has as `name` or
/// `id`; otherwise by its index. A name that is empty, that has only digits, or that is itself marked or sealed
/// (`ENC[`, `SEALED[`) does not address.
///
/// ```
/// use clusterops_secrets::Pointer;
///
/// let path: Pointer = "/containers/web/env/A~1B".parse()?;
/// assert_eq!(path.tokens().collect::<Vec<_>>(), ["containers", "web", "env", "A/B"]);
/// assert_eq!(Pointer::root().join("env").join("A/B").as_str(), "/env/A~1B");
/// assert!("env/DB".parse::<Pointer>().is_err());
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(String);

impl Pointer {
    /// The whole document.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// Whether this is the whole document.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path as RFC 6901 writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of what stands under `token` (the name as it is, not escaped) inside of this.
    #[must_use]
    pub fn join(&self, token: &str) -> Self {
        let mut path = self.0.clone();
        push_token(&mut path, token);
        Self(path)
    }

    /// The names along the path, without escapes.
    pub fn tokens(&self) -> impl DoubleEndedIterator<Item = Cow<'_, str>> {
        // The text in front of the first slash is no token.
        let tokens = self.0.get(1..).map(|tokens| tokens.split('/'));
        tokens.into_iter().flatten().map(unescape)
    }

    /// Makes a pointer of names along the path.
    pub(crate) fn from_tokens<'t>(tokens: impl IntoIterator<Item = &'t str>) -> Self {
        let mut path = String::new();
        for token in tokens {
            push_token(&mut path, token);
        }
        Self(path)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Pointer {
    type Err = Error;

    /// Reads a pointer strictly (RFC 6901 section 3).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when the text neither is empty nor starts with `/`, and for a `~` without `0` or `1` after it.
    fn from_str(text: &str) -> Result<Self> {
        if !text.is_empty() && !text.starts_with('/') {
            let message = "a path starts with `/`, as in `/env/DB_PASSWORD`";
            return Err(Error::new(ErrorKind::Input, message).on(text));
        }
        let mut tildes = text.split('~').skip(1);
        if tildes.any(|after| !after.starts_with(['0', '1'])) {
            let message = "in a path `~` is written `~0`, and a `/` inside a name `~1`";
            return Err(Error::new(ErrorKind::Input, message).on(text));
        }
        Ok(Self(text.to_owned()))
    }
}

fn push_token(path: &mut String, token: &str) {
    path.push('/');
    if !token.contains(['~', '/']) {
        path.push_str(token);
        return;
    }
    for character in token.chars() {
        match character {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            _ => path.push(character),
        }
    }
}

fn unescape(token: &str) -> Cow<'_, str> {
    match token.contains('~') {
        true => token.replace("~1", "/").replace("~0", "~").into(),
        false => token.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_are_no_pointer_are_refused() {
        for text in ["a", "a/b", "/a~", "/a~2", "~0", "/~/a", " /a"] {
            let error = text.parse::<Pointer>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Input, "{text}");
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 6901 section 5.
        for (text, tokens) in [
            ("", &[][..]),
            ("/foo", &["foo"]),
            ("/foo/0", &["foo", "0"]),
            ("/", &[""]),
            ("/a~1b", &["a/b"]),
            ("/c%d", &["c%d"]),
            ("/m~0n", &["m~n"]),
            ("/~01", &["~1"]),
            ("//", &["", ""]),
        ] {
            let pointer: Pointer = text.parse().expect(text);
            assert_eq!(pointer.tokens().collect::<Vec<_>>(), tokens, "{text}");
            assert_eq!(pointer.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn names_come_back(tokens in prop::collection::vec("[a~/01é ]{0,6}", 0..5)) {
            let pointer = Pointer::from_tokens(tokens.iter().map(String::as_str));
            let read: Pointer = pointer.as_str().parse().expect("a pointer");
            prop_assert_eq!(read.tokens().collect::<Vec<_>>(), tokens);
        }
    }
}
