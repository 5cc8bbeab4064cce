//! What matched in a hit.

use crate::Query;
use crate::query::parts::{Json, Parts};

/// Shows in which words of which fields a hit matched ("Highlighting").
///
/// ```
/// use clusterops_logs::search::{Highlight, HighlightField};
/// use clusterops_logs::{Query, Search};
/// use serde_json::json;
///
/// let highlight = Highlight::field(HighlightField::new("message").number_of_fragments(0))
///     .and("error.*")
///     .tags("\u{1}", "\u{2}");
/// let search = Search::new(Query::matches("message", "timeout")).highlight(highlight);
/// assert_eq!(
///     serde_json::to_value(&search)?["highlight"],
///     json!({
///         "pre_tags": ["\u{1}"],
///         "post_tags": ["\u{2}"],
///         "fields": {"message": {"number_of_fragments": 0}, "error.*": {}}
///     })
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Highlight(Parts);

/// A field to highlight in, and how.
///
/// ```
/// use clusterops_logs::search::{HighlightField, Highlighter};
///
/// let field = HighlightField::new("message").kind(Highlighter::Plain).fragment_size(80);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HighlightField {
    field: String,
    parts: Parts,
}

crate::query::words! {
    /// Which program of the server finds the words.
    ///
    /// ```
    /// use clusterops_logs::search::{Highlight, Highlighter};
    ///
    /// let highlight = Highlight::field("message").kind(Highlighter::Unified);
    /// ```
    Highlighter {
        /// The one by default
        Unified = "unified",
        /// For short texts and odd queries
        Plain = "plain",
        /// For fields with term vectors
        Fvh = "fvh",
    }
}

impl Highlight {
    /// In this field; its name can have wildcards.
    pub fn field(field: impl Into<HighlightField>) -> Self {
        Self(Parts::new()).and(field)
    }

    /// In this field too.
    #[must_use]
    pub fn and(mut self, field: impl Into<HighlightField>) -> Self {
        let field = field.into();
        if field.field.is_empty() {
            self.0.fail("highlight: the name of a field is empty");
        }
        self.0.insert("fields", field.field, field.parts);
        self
    }

    /// What stands before and after what matched; `<em>` and `</em>` by default.
    #[must_use]
    pub fn tags(mut self, before: impl Into<String>, after: impl Into<String>) -> Self {
        self.0.set("pre_tags", Json::list([before.into()]));
        self.0.set("post_tags", Json::list([after.into()]));
        self
    }

    /// Whether the text around is made HTML.
    #[must_use]
    pub fn html(mut self, html: bool) -> Self {
        self.0.set("encoder", if html { "html" } else { "default" });
        self
    }
}

impl HighlightField {
    /// This field; its name can have wildcards.
    pub fn new(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            parts: Parts::new(),
        }
    }

    /// What else to look in for matches that are shown here.
    #[must_use]
    pub fn matched_fields(mut self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let fields = fields.into_iter().map(Into::<String>::into);
        self.parts.set("matched_fields", Json::list(fields));
        self
    }
}

macro_rules! options {
    ($type:ident, $parts:tt) => {
        impl $type {
            /// Which program of the server finds the words.
            #[must_use]
            pub fn kind(mut self, kind: Highlighter) -> Self {
                self.$parts.set("type", kind);
                self
            }

            /// How many characters a piece of the text has; 100 by default.
            #[must_use]
            pub fn fragment_size(mut self, characters: u32) -> Self {
                self.$parts.set("fragment_size", characters);
                self
            }

            /// How many pieces are given, 5 by default; 0 gives the whole text.
            #[must_use]
            pub fn number_of_fragments(mut self, pieces: u32) -> Self {
                self.$parts.set("number_of_fragments", pieces);
                self
            }

            /// How many characters are given of a text without a match; none by default.
            #[must_use]
            pub fn no_match_size(mut self, characters: u32) -> Self {
                self.$parts.set("no_match_size", characters);
                self
            }

            /// Whether only fields count that the query named; they do by default.
            #[must_use]
            pub fn require_field_match(mut self, require: bool) -> Self {
                self.$parts.set("require_field_match", require);
                self
            }

            /// Another query whose matches are shown.
            #[must_use]
            pub fn query(mut self, query: impl Into<Query>) -> Self {
                self.$parts.set("highlight_query", query.into());
                self
            }

            /// Whether the best piece comes first, and not the first.
            #[must_use]
            pub fn best_first(mut self, best: bool) -> Self {
                self.$parts
                    .set("order", if best { "score" } else { "none" });
                self
            }

            /// An option in the server's own words, which nothing here checks.
            #[must_use]
            pub fn raw(mut self, name: &str, value: serde_json::Value) -> Self {
                self.$parts.set(name, value);
                self
            }
        }
    };
}

options!(Highlight, 0);
options!(HighlightField, parts);

impl From<&str> for HighlightField {
    fn from(field: &str) -> Self {
        Self::new(field)
    }
}

impl From<Highlight> for Json {
    fn from(highlight: Highlight) -> Self {
        highlight.0.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        // Elasticsearch Guide, "Highlighting": "Override global settings" and "Specify a highlight query".
        let highlight = Highlight::field(HighlightField::new("body").tags_for_test())
            .number_of_fragments(3)
            .fragment_size(150)
            .and(HighlightField::new("blog.title").number_of_fragments(0))
            .and(
                HighlightField::new("comment")
                    .fragment_size(150)
                    .query(Query::match_phrase("comment", "foo bar")),
            );
        let expected = json!({
            "number_of_fragments": 3,
            "fragment_size": 150,
            "fields": {
                "body": {"pre_tags": ["<em>"], "post_tags": ["</em>"]},
                "blog.title": {"number_of_fragments": 0},
                "comment": {
                    "fragment_size": 150,
                    "highlight_query": {"match_phrase": {"comment": "foo bar"}}
                }
            }
        });
        assert_eq!(Json::from(highlight).value(), &expected);
        let twice = Json::from(Highlight::field("a").and("a"));
        assert_eq!(twice.problem(), Some("`a` stands twice in `fields`"));
    }

    impl HighlightField {
        fn tags_for_test(self) -> Self {
            self.raw("pre_tags", json!(["<em>"]))
                .raw("post_tags", json!(["</em>"]))
        }
    }
}
