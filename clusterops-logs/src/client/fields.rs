//! Which fields indices have, and of which types.

use std::collections::BTreeMap;

use clusterops_core::http::HttpRequest;
use serde::Deserialize;

use super::{Client, Indices};
use crate::Result;

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
