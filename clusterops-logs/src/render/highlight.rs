//! What the server matched: asked for with marks that no log has, and put back onto the text.

use std::ops::Range;

use serde_json::{Value, json};

use crate::Hit;

/// Stands before what matched, in the fragments of [`highlighting`]: a private character, at the far end of Unicode.
pub const MATCH_START: char = '\u{10fff0}';
/// Stands behind what matched.
pub const MATCH_END: char = '\u{10fff1}';

/// The `highlight` of a search whose hits are to be rendered: all fields, whole, with [`MATCH_START`] and [`MATCH_END`].
///
/// Servers refuse a search that matches in a text of more than 1,000,000 characters (`index.highlight.max_analyzed_offset`).
/// A [`Client`](crate::Client) then asks again, for what matched in the beginnings of texts where the server can limit it
/// (Elasticsearch from 7.12 on, OpenSearch from 2.2 on), and otherwise without marks. So tails and exports do not fail by
/// one text; a search of which servers may give a part (`allow_partial_search_results`) lacks its shard.
///
/// ```
/// use clusterops_logs::render::highlighting;
/// use clusterops_logs::{Query, Search};
///
/// let search = Search::new(Query::match_all()).raw("highlight", highlighting());
/// # let body = serde_json::to_value(&search)?;
/// # assert_eq!(body["highlight"]["number_of_fragments"], 0);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn highlighting() -> Value {
    json!({
        "pre_tags": [MATCH_START],
        "post_tags": [MATCH_END],
        "number_of_fragments": 0,
        "fields": {"*": {}},
    })
}

/// A text, and the parts of it that matched.
///
/// ```
/// use clusterops_logs::render::{MATCH_END, MATCH_START, Marked};
///
/// let fragment = format!("payment {MATCH_START}failed{MATCH_END}");
/// let marked = Marked::new("payment failed twice", &[fragment]);
/// assert_eq!(&marked.text()[marked.matches()[0].clone()], "failed");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marked {
    text: String,
    matches: Vec<Range<usize>>,
}

impl Marked {
    /// A text, marked as the fragments of it say; a fragment that is not of this text marks nothing.
    pub fn new<F: AsRef<str>>(text: impl Into<String>, fragments: &[F]) -> Self {
        let text = text.into();
        let mut matches = Vec::new();
        let mut from = 0;
        for fragment in fragments {
            let (plain, marks) = unmarked(fragment.as_ref());
            if plain.is_empty() {
                continue;
            }
            // They mostly come in order, and one text can stand twice.
            let found = text[from..].find(&plain).map(|at| from + at);
            let Some(at) = found.or_else(|| text.find(&plain)) else {
                continue;
            };
            from = at + plain.len();
            matches.extend(marks.into_iter().map(|mark| at + mark.start..at + mark.end));
        }
        Self {
            text,
            matches: joined(matches),
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What of it matched, in bytes: in order, without overlap, at the borders of characters.
    pub fn matches(&self) -> &[Range<usize>] {
        &self.matches
    }

    /// A text that matched as a whole, or not at all.
    pub(super) fn whole(text: String, matched: bool) -> Self {
        let all = (matched && !text.is_empty()).then_some(0..text.len());
        Self {
            text,
            matches: all.into_iter().collect(),
        }
    }

    /// The text in pieces, each with whether it matched.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&str, bool)> {
        let mut at = 0;
        let mut pieces = Vec::with_capacity(2 * self.matches.len() + 1);
        for found in &self.matches {
            pieces.push((&self.text[at..found.start], false));
            pieces.push((&self.text[found.clone()], true));
            at = found.end;
        }
        pieces.push((&self.text[at..], false));
        pieces.into_iter().filter(|(piece, _)| !piece.is_empty())
    }
}

impl From<String> for Marked {
    fn from(text: String) -> Self {
        Self {
            text,
            matches: Vec::new(),
        }
    }
}

/// What matched in a field, or in one of the forms that it is indexed in too, as `message.keyword`.
pub(super) fn fragments<'h>(hit: &'h Hit, name: &str) -> Vec<&'h String> {
    let of_field = |key: &str| {
        let rest = key.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found = hit.highlight.iter().filter(|(key, _)| of_field(key));
    found.flat_map(|(_, fragments)| fragments).collect()
}

/// A fragment without its marks, and what stood between them.
fn unmarked(fragment: &str) -> (String, Vec<Range<usize>>) {
    let mut plain = String::with_capacity(fragment.len());
    let mut marks = Vec::new();
    let mut open = None;
    for character in fragment.chars() {
        match character {
            MATCH_START => {
                open.get_or_insert(plain.len());
            }
            MATCH_END => marks.extend(open.take().map(|start| start..plain.len())),
            character => plain.push(character),
        }
    }
    (plain, marks)
}

fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, fragments: &[&str]) -> String {
        let fragments: Vec<String> = fragments
            .iter()
            .map(|fragment| {
                fragment
                    .replace('<', "\u{10fff0}")
                    .replace('>', "\u{10fff1}")
            })
            .collect();
        let marked = Marked::new(text, &fragments);
        let pieces = marked.pieces().map(|(piece, found)| match found {
            true => format!("<{piece}>"),
            false => piece.to_owned(),
        });
        pieces.collect()
    }

    #[test]
    fn fragments_mark_the_text_that_they_are_of() {
        for (text, fragments, expected) in [
            ("größe error", &["größe <error>"][..], "größe <error>"),
            (
                "error 1, error 2",
                &["<error> 1", "<error> 2"],
                "<error> 1, <error> 2",
            ),
            ("error error", &["<error>", "<error>"], "<error> <error>"),
            ("b a", &["<a>", "<b>"], "<b> <a>"),
            ("abc", &["<ab>c", "a<bc>"], "<abc>"),
            ("a b", &["another <text>"], "a b"),
            ("a b", &["a <b", "> a<", "<>"], "a b"),
            ("", &["<a>"], ""),
        ] {
            assert_eq!(shown(text, fragments), expected, "{text} {fragments:?}");
        }
    }

    #[test]
    fn a_text_with_the_marks_in_it_is_not_harmed() {
        let text = format!("a{MATCH_START}b{MATCH_END}c");
        let marked = Marked::new(text.as_str(), &[&text]);
        assert_eq!(marked.text(), text);
        assert_eq!(marked.matches(), []);
    }
}
