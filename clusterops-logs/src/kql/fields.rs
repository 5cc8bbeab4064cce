//! The fields of indices.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::node::Text;
use crate::client::{self, FieldCaps};

/// The fields of indices and their types, as [`Client::field_caps`](crate::Client::field_caps) tells them.
///
/// ```
/// use clusterops_logs::kql::Fields;
///
/// let fields: Fields = serde_json::from_str(
///     r#"{"indices": ["logs"], "fields": {
///         "level": {"keyword": {"type": "keyword", "searchable": true, "aggregatable": true}},
///         "spans": {"nested": {"type": "nested", "searchable": false, "aggregatable": false}},
///         "spans.took": {"long": {"type": "long", "searchable": true, "aggregatable": true}}
///     }}"#,
/// )?;
/// let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
/// assert_eq!(names, ["level", "spans.took"]);
/// assert_eq!(fields.get("spans.took").and_then(|field| field.nested_path()), Some("spans"));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(BTreeMap<String, Field>);

/// A field of indices.
///
/// ```
/// use clusterops_logs::kql::{Field, Fields};
///
/// let fields = Fields::from_iter([Field::new("message", ["text"])]);
/// assert!(fields.get("message").is_some_and(|field| field.types().eq(["text"])));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    types: Vec<String>,
    nested: Option<String>,
    /// The indices where it belongs to nested documents, where in others it does not.
    nested_in: Option<Vec<String>>,
    /// Whether it can be searched anywhere.
    is_searchable: bool,
    /// Whether no index has what a search of it needs.
    is_unindexed: bool,
}

impl Fields {
    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.values()
    }

    /// Those whose name is like this.
    pub(super) fn like(&self, name: &Text) -> Vec<&Field> {
        if name.has_wildcard() {
            return self
                .iter()
                .filter(|field| field.is_searchable && name.is_like(&field.name))
                .collect();
        }
        self.get(&name.name()).into_iter().collect()
    }
}

impl Field {
    /// A field of these types, of which it has several where indices differ.
    pub fn new(
        name: impl Into<String>,
        types: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            name: name.into(),
            types: types.into_iter().map(Into::into).collect(),
            nested: None,
            nested_in: None,
            is_searchable: true,
            is_unindexed: false,
        }
    }

    /// The same field within documents that are nested at this path.
    #[must_use]
    pub fn nested_at(mut self, path: impl Into<String>) -> Self {
        self.nested = Some(path.into());
        self
    }

    /// Its whole name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its types: one, unless indices differ.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.iter().map(String::as_str)
    }

    /// The path of the nested documents it belongs to.
    pub fn nested_path(&self) -> Option<&str> {
        self.nested.as_deref()
    }

    /// The indices where it belongs to nested documents, where in others it does not.
    pub(super) fn nested_in(&self) -> Option<&[String]> {
        self.nested_in.as_deref()
    }

    /// The type that it has in all indices.
    pub(super) fn only_type(&self) -> Option<&str> {
        match self.types.as_slice() {
            [kind] => Some(kind),
            _ => None,
        }
    }

    /// Whether indices differ in it.
    pub(super) fn is_of_several_types(&self) -> bool {
        self.types.len() > 1
    }

    /// Whether every server refuses to look into it (`index: false`, and no values in columns).
    pub(super) fn is_unindexed(&self) -> bool {
        self.is_unindexed
    }

    pub(super) fn is_keyword(&self) -> bool {
        self.types.as_slice() == ["keyword"]
    }

    pub(super) fn is_text(&self) -> bool {
        self.types
            .iter()
            .all(|kind| kind == "text" || kind == "keyword")
    }

    pub(super) fn is_date(&self) -> bool {
        let is_date = |kind: &String| kind == "date" || kind == "date_nanos";
        !self.types.is_empty() && self.types.iter().all(is_date)
    }
}

impl FromIterator<Field> for Fields {
    fn from_iter<T: IntoIterator<Item = Field>>(fields: T) -> Self {
        let named = |field: Field| (field.name.clone(), field);
        Self(fields.into_iter().map(named).collect())
    }
}

impl From<&FieldCaps> for Fields {
    /// Objects, the server's own fields such as `_id`, and those that only some indices do not have (`unmapped`) are left
    /// out.
    fn from(caps: &FieldCaps) -> Self {
        let is_nested = |path: &str| caps.types(path).any(|kind| kind == "nested");
        let mut known = Self::default();
        for (name, capabilities) in &caps.fields {
            let own = |(kind, field): (&String, &client::Field)| {
                field.metadata_field || kind.starts_with('_')
            };
            if capabilities.iter().any(own) {
                continue;
            }
            let types: Vec<String> = caps
                .types(name)
                .filter(|kind| !matches!(*kind, "object" | "nested"))
                .map(str::to_owned)
                .collect();
            if types.is_empty() {
                continue;
            }
            let dots = name.rmatch_indices('.').map(|(dot, _)| &name[..dot]);
            let nested = dots
                .into_iter()
                .find(|path| is_nested(path))
                .map(str::to_owned);
            let nested_in = nested.as_deref().and_then(|path| {
                let is_partly = caps.types(path).any(|kind| kind != "nested");
                let kinds = caps.fields.get(path).filter(|_| is_partly)?;
                kinds.get("nested")?.indices.clone()
            });
            // Where there are columns (`doc_values`), newer servers search them; of the rest, some find nothing then.
            let is_bare = |(kind, field): (&String, &client::Field)| {
                let can_be = !matches!(
                    &**kind,
                    "binary" | "percolator" | "rank_features" | "date" | "date_nanos"
                );
                let is_searched = field.searchable || field.aggregatable;
                can_be && !is_searched && field.non_searchable_indices.is_none()
            };
            let field = Field {
                is_unindexed: capabilities
                    .iter()
                    .filter(|(kind, _)| *kind != "unmapped")
                    .all(is_bare),
                name: name.clone(),
                types,
                nested,
                nested_in,
                is_searchable: capabilities.values().any(|field| field.searchable),
            };
            known.0.insert(name.clone(), field);
        }
        known
    }
}

impl<'de> Deserialize<'de> for Fields {
    /// Reads the answer of `_field_caps`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&FieldCaps::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_read() {
        let caps =
            |kind: &str| json!({kind: {"type": kind, "searchable": true, "aggregatable": true}});
        let answer = json!({"indices": ["a", "b"], "fields": {
            "_id": {"_id": {"type": "_id", "metadata_field": true}},
            "_seq_no": caps("_seq_no"),
            "@timestamp": {"date": {"type": "date"}, "date_nanos": {"type": "date_nanos"}},
            "status": {"long": {"type": "long", "indices": ["a"]}, "keyword": {"type": "keyword", "indices": ["b"]}},
            "host": caps("object"),
            "host.name": {"keyword": {"type": "keyword"}, "unmapped": {"type": "unmapped", "indices": ["b"]}},
            "a": caps("nested"),
            "a.b": caps("nested"),
            "a.b.c": caps("text"),
            "a.d.e": caps("text"),
        }});
        let fields: Fields = serde_json::from_value(answer).unwrap_or_default();
        let names: Vec<_> = fields
            .iter()
            .map(|field| (field.name(), field.nested_path()))
            .collect();
        assert_eq!(
            names,
            [
                ("@timestamp", None),
                ("a.b.c", Some("a.b")),
                ("a.d.e", Some("a")),
                ("host.name", None),
                ("status", None)
            ]
        );
        let is = |name: &str, test: fn(&Field) -> bool| fields.get(name).is_some_and(test);
        assert!(is("@timestamp", Field::is_date));
        assert!(is("host.name", Field::is_keyword));
        assert!(!is("status", Field::is_keyword));
    }
}
