//! The values that are frequent.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Look, read};
use crate::Result;

/// The most frequent values of a field.
///
/// ```
/// use clusterops_logs::look::{Top, TopValue};
///
/// let top = Top {
///     field: "host.name.keyword".into(),
///     values: vec![TopValue { value: "web-1".into(), count: 90 }],
///     other: 10,
///     error_bound: 0,
/// };
/// assert!(top.is_exact());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// The field that was counted: the one asked for, or its subfield for whole values.
    pub field: String,
    /// The values, the most frequent first.
    pub values: Vec<TopValue>,
    /// How many documents have values that are not shown; of a field of nested documents, how many of those.
    pub other: u64,
    /// By how much a count may be too low, since each shard tells of its own most frequent values only; a value that is not
    /// shown may be that frequent.
    pub error_bound: u64,
}

/// A value, and how many documents have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopValue {
    /// The value; a date, a number or an address as the server writes it.
    pub value: String,
    /// How many documents have it; of a field of nested documents, those that they stand in.
    pub count: u64,
}

impl Top {
    /// Whether the counts are exact.
    pub fn is_exact(&self) -> bool {
        self.error_bound == 0
    }
}

#[derive(Default, Deserialize)]
struct Terms {
    #[serde(default)]
    doc_count_error_upper_bound: i64,
    #[serde(default)]
    sum_other_doc_count: u64,
    buckets: Vec<Term>,
}

#[derive(Deserialize)]
struct Term {
    key: Value,
    key_as_string: Option<String>,
    doc_count: u64,
    /// The documents that nested ones stand in.
    roots: Option<Roots>,
}

#[derive(Deserialize)]
struct Roots {
    doc_count: u64,
}

impl Look {
    /// The most frequent values of a field, so many at most.
    ///
    /// In nested documents, the values are those that most of them have. Of a text field the subfield for whole values is counted, as `host.keyword` of `host`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) where no index has the field, [`Input`](crate::ErrorKind::Input) where its
    /// values cannot be counted, and what the server says.
    pub async fn top(&self, field: &str, most: u32) -> Result<Top> {
        let exact = self.exact(field).await?;
        let nested = exact.nested();
        let field = exact.aggregatable()?;
        let page = self.search(self.top_body(field, nested, most)?).await?;
        // A pattern that no index fits has no aggregations.
        let terms: Terms = match page.aggregations.get("top") {
            Some(found) if nested.is_some() => match found.get("top") {
                Some(found) => read(found)?,
                None => Terms::default(),
            },
            Some(found) => read(found)?,
            None => Terms::default(),
        };
        let value = |term: Term| TopValue {
            value: match (term.key_as_string, term.key) {
                (Some(text), _) | (None, Value::String(text)) => text,
                (None, other) => other.to_string(),
            },
            count: term.roots.map_or(term.doc_count, |roots| roots.doc_count),
        };
        Ok(Top {
            field: field.to_owned(),
            values: terms.buckets.into_iter().map(value).collect(),
            other: terms.sum_other_doc_count,
            // -1 where it is not known, which is with orders that we do not ask for.
            error_bound: terms
                .doc_count_error_upper_bound
                .try_into()
                .unwrap_or(u64::MAX),
        })
    }

    /// The body of the search for frequent values, for those who want to see it before it is sent: as it is where the field
    /// is one of whole values and not of nested documents, which the server is asked first.
    ///
    /// # Errors
    /// [`Input`](crate::ErrorKind::Input) for a query that no server would take.
    pub fn top_search(&self, field: &str, most: u32) -> Result<Value> {
        self.top_body(field, None, most).map(Value::Object)
    }

    fn top_body(&self, field: &str, nested: Option<&str>, most: u32) -> Result<Map<String, Value>> {
        let terms = json!({"terms": {"field": field, "size": most.max(1)}});
        let aggregation = match nested {
            None => terms,
            Some(path) => {
                let mut terms = terms;
                terms["aggs"] = json!({"roots": {"reverse_nested": {}}});
                json!({"nested": {"path": path}, "aggs": {"top": terms}})
            }
        };
        self.counting(json!({"top": aggregation}))
    }
}
