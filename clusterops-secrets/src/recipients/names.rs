//! What recipients and groups are called.

use std::collections::HashSet;

use crate::document::Document;
use crate::{Error, ErrorKind, Result};

/// Checks the names of recipients and groups, and that they have some.
///
/// # Errors
/// [`ErrorKind::Syntax`] with the place of the first that is none.
pub(super) fn check(document: &Document) -> Result<()> {
    let mut named = HashSet::new();
    for (path, place) in document.keys(|_| true) {
        let tokens: Vec<_> = path.tokens().collect();
        let [part @ ("recipients" | "groups"), name] =
            *tokens.iter().map(|token| &**token).collect::<Vec<_>>()
        else {
            continue;
        };
        if !is_name(name) {
            let message = format!(
                "`{}` is no name; names have letters, digits and `.`, `_`, `-`, `@`, `+`, and single spaces between words",
                name.escape_debug()
            );
            return Err(error(place, message));
        }
        named.insert((part.to_owned(), name.to_owned()));
    }
    let values = document.scalars().iter();
    let values = values.map(|value| (document.path(value), (value.line, value.column)));
    let hollow = document.hollow().map(|(path, place, _)| (path, place));
    for (path, place) in values.chain(hollow) {
        let mut tokens = path.tokens();
        let (Some(part), Some(name)) = (tokens.next(), tokens.next()) else {
            continue;
        };
        let wanted = match &*part {
            "recipients" => "`recipients` has names with their keys, as in `ana: ana.pub.pem`",
            "groups" => "`groups` has names with their members, as in `ops: [ana, ben]`",
            _ => continue,
        };
        // What has a name and no key is an element of a list.
        if !named.contains(&(part.into_owned(), name.into_owned())) {
            return Err(error(place, format!("{wanted}; this is a list")));
        }
    }
    Ok(())
}

fn error((line, column): (usize, usize), message: String) -> Error {
    Error::new(ErrorKind::Syntax, message).at(line, column)
}

/// Whether nothing but a name can be seen in a text.
fn is_name(text: &str) -> bool {
    /// Fillers, which are letters to Unicode.
    const UNSEEN: &str = "\u{115f}\u{1160}\u{3164}\u{ffa0}";
    let is_part = |c: char| (c.is_alphanumeric() || "._-@+".contains(c)) && !UNSEEN.contains(c);
    text.split(' ')
        .all(|word| !word.is_empty() && word.chars().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_that_people_see() {
        for name in [
            "ana",
            "Ana-Maria Müller",
            "ops+prod@example.org",
            "主机_1",
            "7",
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            " ",
            " ana",
            "ana ",
            "ana  ben",
            "ana\n  for ben",
            "ana\tben",
            "ana (Tx1bH)",
            "ana\u{1b}[8m",
            "ana\u{9b}8m",
            "ana\u{202e}",
            "ana\u{200b}",
            "ana\u{3164}",
            "ana, ben",
            "ana: ben",
            "a/b",
            "`ana`",
            "ana\u{a0}ben",
        ] {
            assert!(!is_name(name), "{}", name.escape_debug());
        }
    }
}
