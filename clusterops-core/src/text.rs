//! Text that people read, and characters in it that they cannot see.

use std::fmt;

/// A text as it can be shown: what acts on a terminal or hides is escaped, as in `\u{1b}`.
///
/// That is control characters except for tabs, line separators, what turns the direction of text, and spaces without
/// width. Errors of this project are made so; text from hosts should be.
///
/// ```
/// use clusterops_core::Printable;
///
/// assert_eq!(Printable("ok\u{1b}[2J\u{202e}").to_string(), r"ok\u{1b}[2J\u{202e}");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, character)) = rest.char_indices().find(|(_, c)| needs_escape(*c)) {
            f.write_str(&rest[..at])?;
            write!(f, "{}", character.escape_default())?;
            rest = &rest[at + character.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// The text as [`Printable`] shows it.
pub(crate) fn printable(text: String) -> String {
    match text.chars().any(needs_escape) {
        true => Printable(&text).to_string(),
        false => text,
    }
}

fn needs_escape(character: char) -> bool {
    match character {
        '\t' => false,
        '\u{61c}'
        | '\u{200b}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        _ => character.is_control(),
    }
}

/// Whether a character shows nothing and so has no place in a name: control characters, and what Unicode 16 calls
/// Default_Ignorable_Code_Point or an annotation. White space is another matter.
pub(crate) fn is_invisible(character: char) -> bool {
    match character {
        '\0'..='\u{ac}' => character.is_control(),
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// A text without the byte order mark that some editors put at its start.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// A text short enough for an error message.
pub(crate) fn shortened(text: &str) -> String {
    const LENGTH: usize = 60;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A message of a length that people read: what is wrong stands at its start, what to do at its end.
pub(crate) fn bounded(text: String) -> String {
    const LENGTH: usize = 1000;
    let start = text.char_indices().nth(LENGTH / 2);
    let end = text.char_indices().rev().nth(LENGTH / 2 - 1);
    match (start, end) {
        (Some((start, _)), Some((end, _))) if start < end => {
            format!("{} ... {}", &text[..start], &text[end..])
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_shape_is_escaped() {
        for (text, shown) in [
            ("a\tb ä ✔\u{fe0f}", "a\tb ä ✔\u{fe0f}"),
            ("a\nb\r\0\u{7f}\u{9b}", r"a\nb\r\u{0}\u{7f}\u{9b}"),
            (
                "\u{feff}w\u{200b}eb\u{2028}",
                r"\u{feff}w\u{200b}eb\u{2028}",
            ),
            // Letters that only programs see.
            ("ok\u{e0041}\u{fffa}", r"ok\u{e0041}\u{fffa}"),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
            assert_eq!(printable(text.to_owned()), shown);
        }
    }

    #[test]
    fn of_long_messages_both_ends_are_kept() {
        let short = "ä".repeat(1000);
        assert_eq!(bounded(short.clone()), short);
        let long = bounded(format!("`{}` is none; {}", "ä".repeat(3000), "mend it"));
        assert!(long.starts_with("`ää") && long.ends_with("ä` is none; mend it"));
        assert_eq!(long.chars().count(), 1005);
    }

    #[test]
    fn names_are_visible() {
        assert!(
            "web-1.example.org äöü 主机 é"
                .chars()
                .all(|c| !is_invisible(c))
        );
        for character in [
            '\0', '\u{1b}', '\u{7f}', '\u{9b}', '\u{ad}', '\u{200b}', '\u{200d}', '\u{feff}',
        ] {
            assert!(is_invisible(character), "{}", character.escape_unicode());
        }
    }
}
