//! Writes single values.

use zeroize::Zeroizing;

use super::json::is_special;
use super::scan::any;

/// The text between double quotes, as JSON has it (RFC 8259 section 7); for YAML also with escapes for what YAML calls not
/// printable, and for what YAML 1.1 takes for line ends.
pub(super) fn quoted(text: &str, yaml: bool) -> Zeroizing<String> {
    // Most texts are nothing special.
    let wide = |byte: u8| yaml & (byte >= 0x7f);
    if !any(text, |byte| is_special(byte) | wide(byte)) {
        let mut out = Zeroizing::new(String::with_capacity(text.len() + 2));
        out.push('"');
        out.push_str(text);
        out.push('"');
        return out;
    }
    let special = |character: char| match character {
        '"' | '\\' | '\0'..='\u{1f}' => true,
        _ => yaml && !yaml_printable(character),
    };
    // Room for all of it, so that nothing is moved and leaves a copy behind.
    let escapes = text.chars().filter(|&character| special(character)).count();
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 5 * escapes + 2));
    out.push('"');
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        if !special(character) {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + character.len_utf8();
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ => out.push_str(&format!("\\u{:04x}", u32::from(character))),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
    out
}

/// Whether every YAML reader takes the character as it is, inside of a line.
pub(super) fn yaml_printable(character: char) -> bool {
    !matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
