//! Host names as a template and the numbers in it.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use super::index::{Index, MAX_DIGITS};
use crate::text::is_invisible;

/// The most numbers in a name that ranges can vary; further ones are plain text.
pub(super) const MAX_DIMENSIONS: usize = 32;

/// Splits a name into its template, in which each number is `%s` and `%` is `%%`, and its numbers.
///
/// Templates order names as ClusterShell does. An IPv6 address in brackets is plain text.
pub(super) fn split(name: &str, template: &mut String, indexes: &mut Vec<Index>) {
    template.clear();
    indexes.clear();
    let bytes = name.as_bytes();
    let (mut at, mut plain) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'0'..=b'9' => {
                let end = digits_end(bytes, at);
                let index = Index::parse(&bytes[at..end]);
                if let Some(index) = index.filter(|_| indexes.len() < MAX_DIMENSIONS) {
                    template.push_str(&name[plain..at]);
                    template.push_str("%s");
                    indexes.push(index);
                    plain = end;
                }
                at = end;
            }
            b'%' => {
                template.push_str(&name[plain..=at]);
                plain = at;
                at += 1;
            }
            b'[' => match address_length(&name[at..]) {
                Some(length) => {
                    template.push_str(&name[plain..at]);
                    push_escaped(template, &name[at..at + length]);
                    at += length;
                    plain = at;
                }
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    template.push_str(&name[plain..]);
}

/// Writes the name that a template and its numbers stand for.
pub(super) fn join(template: &str, indexes: &[Index]) -> String {
    let mut name = String::with_capacity(template.len() + 4 * indexes.len());
    let mut indexes = indexes.iter();
    for (part, numbered) in parts(template) {
        push_unescaped(&mut name, part);
        if numbered && let Some(index) = indexes.next() {
            // Writing to a string cannot fail.
            let _ = write!(name, "{index}");
        }
    }
    name
}

/// The literal parts of a template (still with `%%`), each with whether a number follows it.
pub(super) fn parts(template: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = Some(template);
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let mut at = 0;
        while at + 1 < bytes.len() {
            match (bytes[at], bytes[at + 1]) {
                (b'%', b's') => {
                    rest = Some(&text[at + 2..]);
                    return Some((&text[..at], true));
                }
                (b'%', _) => at += 2,
                _ => at += 1,
            }
        }
        rest = None;
        Some((text, false))
    })
}

/// How many numbers a template has.
pub(super) fn dimensions(template: &str) -> usize {
    parts(template).filter(|(_, numbered)| *numbered).count()
}

/// Writes a literal part of a template as an expression: as it is, or in quotes where the syntax would misread it.
pub(super) fn push_literal(text: &mut String, part: &str, starts_name: bool) {
    let mut literal = String::with_capacity(part.len());
    push_unescaped(&mut literal, part);
    if is_plain(&literal, starts_name) {
        text.push_str(&literal);
    } else {
        text.push('"');
        for character in literal.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    }
}

/// The length of the bracketed IPv6 address that `text` starts with, brackets included.
pub(super) fn address_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let inner = &inner[..inner.find(']')?];
    let (address, zone) = inner.split_once('%').unwrap_or((inner, "zone"));
    let plain = zone
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (plain && !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok()).then_some(inner.len() + 2)
}

/// Where the ASCII digits that start at `at` end.
pub(super) fn digits_end(bytes: &[u8], at: usize) -> usize {
    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
    at + digits.count()
}

/// Whether a character means something in an expression, wherever it stands.
pub(super) fn is_special(character: char) -> bool {
    matches!(
        character,
        ',' | '!' | '&' | '^' | '[' | ']' | '*' | '?' | '"'
    ) || character.is_whitespace()
        || is_invisible(character)
}

fn is_plain(mut text: &str, starts_name: bool) -> bool {
    if starts_name && text.starts_with('@') {
        return false;
    }
    while let Some(at) = text.find(is_special) {
        match address_length(&text[at..]) {
            Some(length) => text = &text[at + length..],
            None => return false,
        }
    }
    true
}

/// Appends text to a template.
pub(super) fn push_escaped(template: &mut String, text: &str) {
    for (number, part) in text.split('%').enumerate() {
        template.push_str(if number == 0 { "" } else { "%%" });
        template.push_str(part);
    }
}

fn push_unescaped(text: &mut String, part: &str) {
    let mut part = part;
    while let Some(at) = part.find('%') {
        text.push_str(&part[..=at]);
        part = &part[(at + 2).min(part.len())..];
    }
    text.push_str(part);
}

const _: () = assert!(MAX_DIGITS < 20, "ranks must fit into 64 bits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_splitting() {
        for (name, template, numbers) in [
            ("web", "web", 0),
            ("web01", "web%s", 1),
            ("r1n02-ib", "r%sn%s-ib", 2),
            ("100%d5", "%s%%d%s", 2),
            ("[2001:db8::1]:22", "[2001:db8::1]:%s", 1),
            ("root@[fe80::1%eth0]", "root@[fe80::1%%eth0]", 0),
            ("x[12]", "x[%s]", 1),
            ("a12345678901234567890b1", "a12345678901234567890b%s", 1),
            ("", "", 0),
            ("%s", "%%s", 0),
        ] {
            let (mut found, mut indexes) = (String::new(), Vec::new());
            split(name, &mut found, &mut indexes);
            assert_eq!((found.as_str(), indexes.len()), (template, numbers));
            assert_eq!(dimensions(&found), numbers);
            assert_eq!(join(&found, &indexes), name);
        }
    }
}
