//! Which fields indices have, and of which types.

use std::collections::BTreeMap;

use clusterops_core::http::HttpRequest;
use serde::Deserialize;

use super::{Client, Indices};
use crate::fields::with_article;
use crate::{Error, ErrorKind, Result};

/// The fields of some indices: by field, then by type, since a field can have several.
///
/// ```
/// use clusterops_logs::client::FieldCaps;
///
/// let answer = r#"{"indices":["logs"],"fields":{"level":{"keyword":{"type":"keyword","searchable":true,"aggregatable":true}}}}"#;
/// let caps: FieldCaps = serde_json::from_str(answer).unwrap();
/// assert_eq!(caps.types("level").collect::<Vec<_>>(), ["keyword"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FieldCaps {
    /// The indices that were asked.
    pub indices: Vec<String>,
    /// By field, by type.
    pub fields: BTreeMap<String, BTreeMap<String, Field>>,
}

/// A field where it is of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Field {
    /// Whether it can be searched, in all indices that have it.
    pub searchable: bool,
    /// Whether it can be sorted by and aggregated, in all indices that have it.
    pub aggregatable: bool,
    /// Whether it belongs to the server, such as `_id`; known to Elasticsearch from 7.11 on.
    pub metadata_field: bool,
    /// The indices where it has this type, where others have another.
    pub indices: Option<Vec<String>>,
    /// The indices where it cannot be searched, where it can in others.
    pub non_searchable_indices: Option<Vec<String>>,
    /// The indices where it cannot be aggregated, where it can in others.
    pub non_aggregatable_indices: Option<Vec<String>>,
}

impl FieldCaps {
    /// The types that a field has, none where no index has it.
    pub fn types(&self, field: &str) -> impl Iterator<Item = &str> {
        let types = self.fields.get(field).into_iter().flatten();
        types
            .map(|(name, _)| &**name)
            .filter(|name| *name != "unmapped")
    }

    /// Whether a field can stand for the time of documents: it is a `date` or a `date_nanos` wherever it is. One that is
    /// nowhere can.
    ///
    /// ```
    /// use clusterops_logs::client::FieldCaps;
    ///
    /// let answer = r#"{"indices":["a","b"],"fields":{"@timestamp":{"date":{"indices":["a"]},"long":{"indices":["b"]}}}}"#;
    /// let caps: FieldCaps = serde_json::from_str(answer).unwrap();
    /// let error = caps.check_dates("@timestamp").unwrap_err();
    /// assert!(error.to_string().starts_with("`@timestamp` is a `long` in b, not a date"));
    /// ```
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input), which names the type, the indices, and what to do.
    pub fn check_dates(&self, field: &str) -> Result<()> {
        let types = self.fields.get(field).into_iter().flatten();
        let is_other = |name: &str| !matches!(name, "date" | "date_nanos" | "unmapped");
        let Some((name, there)) = types.into_iter().find(|(name, _)| is_other(name)) else {
            return Ok(());
        };
        let indices = there.indices.as_ref().unwrap_or(&self.indices);
        let mut shown = indices
            .iter()
            .take(3)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        if indices.len() > 3 {
            shown.push_str(&format!(" and {} more indices", indices.len() - 3));
        }
        let kind = with_article(name);
        let message = format!(
            "`{field}` is {kind} in {shown}, not a date, so nothing can be found by its time there: leave that out, \
             name the field that is the time, or map this one as a `date` (its format may be `epoch_millis`)"
        );
        Err(Error::new(ErrorKind::Input, message))
    }
}

impl Client {
    /// The fields of these names or patterns (`*` for all).
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn field_caps(&self, indices: &Indices, fields: &[&str]) -> Result<FieldCaps> {
        let request = HttpRequest::get("/")
            .segment(indices.as_str())
            .segment("_field_caps")
            .query("fields", fields.join(","))
            // An index that is not there has none.
            .query("ignore_unavailable", "true");
        self.json(request).await
    }
}
