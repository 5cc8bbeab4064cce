//! A hit as JSON in one line.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use clusterops_core::Printable;

use super::Origin;
use crate::Hit;

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(rename = "_cluster", skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(rename = "_remark", skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(rename = "_version", skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(rename = "_seq_no", skip_serializing_if = "Option::is_none")]
    seq_no: Option<u64>,
    #[serde(rename = "_source", skip_serializing_if = "Option::is_none")]
    source: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: &'a BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    highlight: &'a BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    sort: &'a [Value],
}

/// The hit with everything that the server said of it; numbers are spelled as it spelled them.
pub(super) fn line(hit: &Hit, origin: Origin<'_>) -> String {
    let whole = Whole {
        cluster: origin.cluster,
        remark: origin.remark,
        index: &hit.index,
        id: &hit.id,
        version: hit.version,
        seq_no: hit.seq_no,
        source: hit.source.as_deref(),
        fields: &hit.fields,
        highlight: &hit.highlight,
        sort: &hit.sort,
    };
    // Keys are text, and nothing here fails to serialise.
    compact(&serde_json::to_string(&whole).unwrap_or_default())
}

/// JSON without space between its tokens, and with what acts on a terminal escaped in its texts.
pub(super) fn compact(json: &str) -> String {
    let mut output = String::with_capacity(json.len());
    let mut in_text = false;
    let mut escaped = false;
    for character in json.chars() {
        if !in_text {
            in_text = character == '"';
            if !character.is_ascii_whitespace() {
                output.push(character);
            }
            continue;
        }
        in_text = escaped || character != '"';
        escaped = !escaped && character == '\\';
        match acts(character) {
            true => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(output, "\\u{unit:04x}");
                }
            }
            false => output.push(character),
        }
    }
    output
}

/// Whether [`Printable`] would escape it.
fn acts(character: char) -> bool {
    if character.is_ascii_graphic() || character == ' ' {
        return false;
    }
    let mut text = [0; 4];
    let text = &*character.encode_utf8(&mut text);
    Printable(text).to_string() != text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_one_line_and_stays_what_it_is() {
        let json = "{\n  \"a\" : [1.10, 1e400 , \"x  y\\\"\\\\\", \"\u{9b}31m\u{202e}\t\"],\r\n\t\"b\\u001b\": null }";
        let line = compact(json);
        assert_eq!(
            line,
            "{\"a\":[1.10,1e400,\"x  y\\\"\\\\\",\"\\u009b31m\\u202e\t\"],\"b\\u001b\":null}"
        );
    }
}
