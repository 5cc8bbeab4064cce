//! Writes YAML scalars: in the style that stands there, as long as every reader takes the text for the same string.

use zeroize::Zeroizing;

use super::Document;
use super::edit::Value;
use super::scan::any;
use super::tree::{Kind, Scalar, Shape, Style};
use super::write::{quoted, yaml_printable};
use super::yaml::plain_kind;

/// What is to stand in place of a scalar.
pub(super) fn replacement(
    document: &Document,
    scalar: &Scalar,
    value: &Value,
) -> Zeroizing<String> {
    let tree = &document.tree;
    let node = tree.node(scalar.node);
    let raw = &document.source()[node.start as usize..node.end as usize];
    let flow = match tree
        .nodes
        .get(node.parent as usize)
        .map(|parent| parent.shape)
    {
        Some(Shape::Object { flow } | Shape::Array { flow }) => flow,
        _ => false,
    };
    let text = match (value, scalar.style) {
        (Value::Literal(literal), _) => literal.clone(),
        (Value::String(text), Style::Plain) if is_plain(text, flow) => text.clone(),
        (Value::String(text), Style::Single) if is_single(text) => single(text),
        (Value::String(text), _) => quoted(text, true),
    };
    let (before, after) = match scalar.style {
        _ if raw.is_empty() => (" ", ""),
        Style::Block => ("", comment(raw)),
        _ => ("", ""),
    };
    if before.is_empty() && after.is_empty() {
        return text;
    }
    let mut all = Zeroizing::new(String::with_capacity(
        text.len() + before.len() + after.len(),
    ));
    all.push_str(before);
    all.push_str(&text);
    all.push_str(after);
    all
}

/// A string value in a block mapping.
pub(super) fn new_value(text: &str) -> Zeroizing<String> {
    match is_plain(text, false) {
        true => Zeroizing::new(text.to_owned()),
        false => quoted(text, true),
    }
}

/// A name in a block mapping.
pub(super) fn new_key(name: &str) -> Zeroizing<String> {
    new_value(name)
}

/// The comment behind the `|` or `>` of a block scalar, with the space in front of it.
fn comment(raw: &str) -> &str {
    let line = raw.split(['\r', '\n']).next().unwrap_or_default();
    let line = line.trim_end_matches([' ', '\t']);
    line.find([' ', '\t']).map_or("", |at| &line[at..])
}

/// Whether the text needs no quotes: readers of YAML 1.1 and 1.2 take it for this string.
fn is_plain(text: &str, flow: bool) -> bool {
    let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else {
        return false;
    };
    let indicator = match first {
        '-' | '?' | ':' => text
            .chars()
            .nth(1)
            .is_none_or(|next| !next.is_ascii_alphanumeric()),
        ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
        | '@' | '`' | '=' | '<' => true,
        _ => false,
    };
    let flow_indicator = flow && text.contains([',', '[', ']', '{', '}', ':', '?']);
    !indicator
        && !flow_indicator
        && first != ' '
        && last != ' '
        && last != ':'
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
        && is_printable(text)
        && plain_kind(text) == Kind::String
        && !is_typed(text)
}

fn is_printable(text: &str) -> bool {
    let plain = |character| yaml_printable(character) && !is_wide_space(character);
    !any(text, |byte| !(0x20..0x7f).contains(&byte)) || text.chars().all(plain)
}

/// White space beyond the space, which some readers strip.
fn is_wide_space(character: char) -> bool {
    character != ' ' && character.is_whitespace()
}

/// Whether YAML 1.1, or a common reader, takes the text for something else than a string: `yes`, `0b1`, `1_000`, `1:30`,
/// `2001-12-14`.
fn is_typed(text: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if words.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return true;
    }
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    if [".inf", ".nan", "inf", "nan", "infinity"]
        .iter()
        .any(|word| number.eq_ignore_ascii_case(word))
    {
        return true;
    }
    let starts = |prefix: &str| {
        number
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if starts("0x") || starts("0b") || starts("0o") {
        let digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'_';
        return number.bytes().skip(2).all(digit);
    }
    let date = text.len() >= 8
        && text.bytes().take(4).all(|byte| byte.is_ascii_digit())
        && text.as_bytes()[4] == b'-'
        && text.as_bytes()[5].is_ascii_digit();
    let part = |byte: u8| {
        byte.is_ascii_digit()
            || matches!(byte, b'_' | b',' | b'.' | b':' | b'e' | b'E' | b'+' | b'-')
    };
    let starts_as_number =
        number.starts_with(|character: char| character.is_ascii_digit() || character == '.');
    let dots = number.bytes().filter(|&byte| byte == b'.').count();
    date || (starts_as_number && dots <= 1 && number.bytes().all(part))
}

/// Whether the text can stand between single quotes on one line.
fn is_single(text: &str) -> bool {
    text.chars().all(yaml_printable)
}

fn single(text: &str) -> Zeroizing<String> {
    let quotes = text.matches('\'').count();
    let mut out = Zeroizing::new(String::with_capacity(text.len() + quotes + 2));
    out.push('\'');
    for (at, part) in text.split('\'').enumerate() {
        out.push_str(if at == 0 { "" } else { "''" });
        out.push_str(part);
    }
    out.push('\'');
    out
}
