//! Words of a server that repeat what it was sent.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use secrecy::zeroize::Zeroizing;

/// Knows which texts repeat a piece of a secret, without holding the secret.
///
/// Servers quote their input in error messages. A text is withheld when six consecutive characters of it stand in one of
/// the values, also where it escapes or leaves out quotes, backslashes and white space, and when one of its words is a
/// whole value of up to five characters. Of the values only hashes under a random key are kept; past 2 million
/// characters of them, every text is withheld. A server that encodes what it repeats in another way (base64, reversed)
/// is not seen through.
///
/// ```
/// use clusterops_core::http::Withhold;
///
/// let mut withhold = Withhold::new();
/// withhold.value("correct horse");
/// assert_eq!(withhold.shown("must be a number"), "must be a number");
/// assert_eq!(withhold.shown("`correct ho` is no number"), Withhold::MARK);
/// ```
#[derive(Clone, Default)]
pub struct Withhold {
    keys: RandomState,
    pieces: HashSet<u64>,
    short: HashSet<u64>,
    characters: usize,
}

/// How many consecutive characters give a value away.
const PIECE: usize = 6;
/// Past so many characters of values, every text is withheld.
const LIMIT: usize = 2_000_000;

impl Withhold {
    /// What stands in place of a withheld text.
    pub const MARK: &str = "(withheld: the server repeats what it was sent)";

    /// Withholds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value that no text may repeat.
    pub fn value(&mut self, value: &str) {
        let characters = Zeroizing::new(value.chars().collect::<Vec<_>>());
        self.characters = self.characters.saturating_add(characters.len());
        if characters.is_empty() || self.characters > LIMIT {
            return;
        }
        if characters.len() < PIECE {
            self.short.insert(self.keys.hash_one(&characters[..]));
            return;
        }
        let bare = Zeroizing::new(bare(&characters));
        for form in [&characters, &bare] {
            for piece in form.windows(PIECE) {
                self.pieces.insert(self.keys.hash_one(piece));
            }
        }
    }

    /// The text, or [`MARK`](Self::MARK) where it repeats a piece of a value.
    pub fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.repeats(text) {
            true => Cow::Borrowed(Self::MARK),
            false => Cow::Borrowed(text),
        }
    }

    /// Whether a text repeats a piece of a value.
    pub fn repeats(&self, text: &str) -> bool {
        if self.characters > LIMIT {
            return !text.is_empty();
        }
        if self.pieces.is_empty() && self.short.is_empty() {
            return false;
        }
        [
            text.chars().collect(),
            unescaped(text),
            percent_decoded(text),
        ]
        .iter()
        .any(|form| self.has_piece(form) || self.has_piece(&bare(form)) || self.has_word(form))
    }

    fn has_piece(&self, text: &[char]) -> bool {
        text.windows(PIECE)
            .any(|piece| self.pieces.contains(&self.keys.hash_one(piece)))
    }

    /// Whether a short value stands by itself in the text.
    fn has_word(&self, text: &[char]) -> bool {
        let loose = |c: &char| c.is_whitespace() || "'\"`()[]{}<>,:;=|".contains(*c);
        let tight = |c: &char| !c.is_alphanumeric();
        !self.short.is_empty()
            && (text.split(loose).chain(text.split(tight)))
                .filter(|word| (1..PIECE).contains(&word.len()))
                .any(|word| self.short.contains(&self.keys.hash_one(word)))
    }
}

impl fmt::Debug for Withhold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Withhold(..)")
    }
}

/// The characters that no escaping adds or takes away.
fn bare(text: &[char]) -> Vec<char> {
    let escaping = |c: &&char| !c.is_whitespace() && !c.is_control() && !"\\\"'`".contains(**c);
    text.iter().filter(escaping).copied().collect()
}

/// A text with the escapes of JSON strings undone (RFC 8259 section 7).
fn unescaped(text: &str) -> Vec<char> {
    let mut plain = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let escaped = match character {
            '\\' => rest.next(),
            _ => None,
        };
        match escaped {
            None => plain.push(character),
            Some('b') => plain.push('\u{8}'),
            Some('f') => plain.push('\u{c}'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('u') => match unit_sequence(rest.as_str()) {
                Some((decoded, length)) => {
                    plain.push(decoded);
                    rest = rest.as_str()[length..].chars();
                }
                None => plain.push('u'),
            },
            Some(other) => plain.push(other),
        }
    }
    plain
}

/// The character that stands behind `\u`, as four digits or as a surrogate pair, and how long that is.
fn unit_sequence(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let first = unit(text)?;
    let second = text
        .get(4..)
        .and_then(|rest| rest.strip_prefix("\\u"))
        .and_then(unit);
    let mut decoded = char::decode_utf16([Some(first), second].into_iter().flatten());
    let character = decoded.next()?.ok()?;
    Some((character, if character.len_utf16() == 2 { 10 } else { 4 }))
}

/// A text with percent-encoding undone.
fn percent_decoded(text: &str) -> Vec<char> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let pair = after
            .first()
            .and_then(digit)
            .zip(after.get(1).and_then(digit));
        match pair {
            Some((high, low)) if *first == b'%' => {
                bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
                rest = &after[2..];
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).chars().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Withhold {
        let mut withhold = Withhold::new();
        values.iter().for_each(|value| withhold.value(value));
        withhold
    }

    #[test]
    fn a_text_that_repeats_six_characters_is_withheld() {
        let withhold = of(&[
            "hunter2-and-more",
            "pässwörd \"quoted\"\nnext",
            "😀 key\u{8}!",
        ]);
        for text in [
            "cannot parse hunter2-and-more",
            "near `r2-and`",
            r"p\u00e4ssw\u00f6rd",
            r#""quoted\"\nnext""#,
            "/env?value=p%C3%A4ssw%C3%B6rd",
            r"\ud83d\ude00\u0020key\b!",
        ] {
            assert!(withhold.repeats(text), "{text}");
        }
        for text in [
            "",
            "hunte",
            "must be a number, not text",
            "50% of \\u12 \\ud83d\\u00 %4 \\",
        ] {
            assert!(!withhold.repeats(text), "{text}");
        }
    }

    #[test]
    fn a_short_value_is_withheld_where_it_stands_by_itself() {
        let withhold = of(&["4711", "a/b"]);
        for text in ["`4711` is no name", "pin=4711.", "not a/b", "4711"] {
            assert!(withhold.repeats(text), "{text}");
        }
        for text in ["47110", "ca/bc", "no name"] {
            assert!(!withhold.repeats(text), "{text}");
        }
    }

    #[test]
    fn what_knows_too_much_withholds_everything() {
        let withhold = of(&["x".repeat(LIMIT + 1).as_str()]);
        assert!(withhold.repeats("anything"));
        assert!(!withhold.repeats(""));
    }

    #[test]
    fn no_value_is_kept() {
        assert_eq!(format!("{:?}", of(&["hunter2-and-more"])), "Withhold(..)");
    }

    proptest::proptest! {
        #[test]
        fn no_piece_of_a_value_gets_through(value in "\\PC{6,40}|.{6,40}", before in ".*", after in ".*", at in 0_usize..30) {
            let withhold = of(&[&value]);
            let start = at.min(value.chars().count() - 6);
            let piece: String = value.chars().skip(start).take(6).collect();
            let text = format!("{before}{piece}{after}");
            proptest::prop_assert!(withhold.repeats(&text));
            let escaped = serde_json::to_string(&piece).unwrap_or_default();
            proptest::prop_assert!(withhold.repeats(&escaped));
            let percent: String = piece.bytes().map(|byte| format!("%{byte:02x}")).collect();
            proptest::prop_assert!(withhold.repeats(&percent));
        }
    }
}
