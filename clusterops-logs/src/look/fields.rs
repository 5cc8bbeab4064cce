//! Which field holds a value whole.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Look;
use crate::client::{Field, FieldCaps};
use crate::fields::with_article;
use crate::{Error, ErrorKind, Result};

/// Where the values of a field stand whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exact {
    /// The field itself where it is no text, and its subfields for whole values.
    fields: Vec<String>,
    /// Whether some indices have it as text.
    text: bool,
    /// The types that values are counted by differently, and of which the field has several, each with an index.
    kinds: Vec<String>,
    /// The nested documents that it stands in, where it is in any.
    nested: Option<String>,
    /// What these are, each with an index; several where they are nested in some indices only.
    nested_kinds: Vec<String>,
    name: String,
}

impl Look {
    /// Finds out where the whole values of a field stand.
    pub(super) async fn exact(&self, field: &str) -> Result<Exact> {
        let below = format!("{field}.*");
        let parents = parents(field);
        let wanted: Vec<&str> = [field, &below].into_iter().chain(parents).collect();
        let caps = self.client.field_caps(&self.indices, &wanted).await?;
        Ok(Exact::of(field, &caps))
    }
}

impl Exact {
    fn of(name: &str, caps: &FieldCaps) -> Self {
        let fields = &caps.fields;
        let is_text = |kind: &str| matches!(kind, "text" | "match_only_text" | "annotated_text");
        let own = fields.get(name);
        let text = own.is_some_and(|types| types.keys().any(|kind| is_text(kind)));
        let mut found = Vec::new();
        if own.is_some_and(|types| types.values().any(|kind| kind.aggregatable)) {
            found.push(name.to_owned());
        }
        if text {
            // That of the default mapping first.
            let below = format!("{name}.");
            let mut subfields: Vec<&String> = fields
                .iter()
                .filter(|(field, types)| field.starts_with(&below) && types.contains_key("keyword"))
                .map(|(field, _)| field)
                .collect();
            subfields.sort_by_key(|field| (field[below.len()..] != *"keyword", field.len()));
            found.extend(subfields.into_iter().cloned());
        }
        let kinds = found.first().and_then(|field| fields.get(field));
        let kinds = kinds.map(counted_apart).unwrap_or_default();
        let is_nested = |path: &&str| caps.types(path).any(|kind| kind == "nested");
        let nested = parents(name).find(is_nested).map(str::to_owned);
        let nested_kinds = nested.as_ref().and_then(|path| fields.get(path));
        let nested_kinds = nested_kinds.map(counted_apart).unwrap_or_default();
        Self {
            fields: found,
            text,
            kinds,
            nested,
            nested_kinds,
            name: name.to_owned(),
        }
    }

    /// A query for documents with this value. Where only a text holds it, as a phrase.
    pub(super) fn has(&self, value: &str) -> Value {
        let mut any: Vec<Value> = self
            .fields
            .iter()
            .map(|field| json!({"term": {field: {"value": value}}}))
            .collect();
        if any.is_empty() {
            any.push(json!({"match_phrase": {&self.name: value}}));
        }
        json!({"bool": {"should": any, "minimum_should_match": 1}})
    }

    /// The nested documents that the field stands in.
    pub(super) fn nested(&self) -> Option<&str> {
        self.nested.as_deref()
    }

    /// The one field to count values of.
    pub(super) fn aggregatable(&self) -> Result<&str> {
        let name = &self.name;
        let mixed = self.text && self.fields.iter().any(|field| field == name);
        match self.fields.first() {
            Some(_) if mixed => {
                let message = format!(
                    "the field `{name}` is a text in some of the indices and not in others; look at fewer indices, or at \
                     one of its subfields by name"
                );
                Err(Error::new(ErrorKind::Input, message))
            }
            Some(field) if self.kinds.len() > 1 => {
                let message = format!(
                    "the field `{field}` is {}, whose values no server counts together; look at fewer indices",
                    self.kinds.join(" and ")
                );
                Err(Error::new(ErrorKind::Input, message))
            }
            Some(field) => match &self.nested {
                // Where they are not nested, nothing would be counted, without a word.
                Some(path) if self.nested_kinds.len() > 1 => {
                    let message = format!(
                        "the field `{field}` stands in `{path}`, which is {}, and no server counts values in both together; \
                         look at fewer indices",
                        self.nested_kinds.join(" and ")
                    );
                    Err(Error::new(ErrorKind::Input, message))
                }
                _ => Ok(field),
            },
            None if self.text => {
                let message = format!(
                    "the field `{name}` is a text without a subfield for whole values, so they cannot be counted"
                );
                Err(Error::new(ErrorKind::Input, message))
            }
            None => {
                let message = format!("no index has a field `{name}` whose values can be counted");
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }
}

/// What stands around a field, from the inside out: `a.b` and `a` of `a.b.c`.
fn parents(field: &str) -> impl Iterator<Item = &str> {
    field.rmatch_indices('.').map(|(dot, _)| &field[..dot])
}

/// The types that servers do not count values of together (each with an index that has it), in words.
fn counted_apart(kinds: &BTreeMap<String, Field>) -> Vec<String> {
    let kin = |kind: &str| {
        match kind {
            "byte" | "short" | "integer" | "half_float" | "float" | "double" | "scaled_float" => {
                "long"
            }
            "constant_keyword" | "wildcard" => "keyword",
            "date_nanos" => "date",
            other => return other.to_owned(),
        }
        .to_owned()
    };
    let mut apart: BTreeMap<String, String> = BTreeMap::new();
    for (kind, field) in kinds.iter().filter(|(kind, _)| *kind != "unmapped") {
        let index = field.indices.as_ref().and_then(|indices| indices.first());
        let there = index.map_or(String::new(), |index| format!(" in {index}"));
        apart
            .entry(kin(kind))
            .or_insert_with(|| format!("{}{there}", with_article(kind)));
    }
    apart.into_values().collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use super::*;

    fn exact(fields: Value) -> Exact {
        Exact::of(
            "host",
            &serde_json::from_value(json!({"fields": fields})).unwrap(),
        )
    }

    #[test]
    fn a_text_has_its_values_in_a_subfield() {
        let text = exact(json!({
            "host": {"text": {"aggregatable": false}},
            "host.raw": {"keyword": {"aggregatable": true}},
            "host.keyword": {"keyword": {"aggregatable": true}},
        }));
        assert_eq!(text.aggregatable().unwrap(), "host.keyword");
        let whole = exact(json!({"host": {"keyword": {"aggregatable": true}}}));
        assert_eq!(whole.aggregatable().unwrap(), "host");
        assert_eq!(
            whole.has("a")["bool"]["should"][0],
            json!({"term": {"host": {"value": "a"}}})
        );
    }

    #[test]
    fn types_that_are_not_counted_together_are_told() {
        let of = |kinds: &[&str]| {
            let kind = |kind: &&str| {
                (
                    (*kind).to_owned(),
                    json!({"aggregatable": true, "indices": [format!("a-{kind}")]}),
                )
            };
            let kinds: serde_json::Map<String, Value> = kinds.iter().map(kind).collect();
            exact(json!({ "host": kinds }))
                .aggregatable()
                .map(str::to_owned)
        };
        for fine in [
            &["long", "double"][..],
            &["date", "date_nanos"],
            &["constant_keyword", "keyword"],
            &["ip"],
        ] {
            assert_eq!(of(fine).unwrap(), "host");
        }
        let error = of(&["integer", "keyword"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the field `host` is a `keyword` in a-keyword and an `integer` in a-integer, whose values no server counts \
             together; look at fewer indices"
        );
        assert!(of(&["boolean", "long"]).is_err());
    }

    #[test]
    fn what_is_nested_in_some_indices_only_is_told() {
        let of = |spans: Value| {
            let fields = json!({"spans": spans, "spans.name": {"keyword": {"aggregatable": true}}});
            Exact::of(
                "spans.name",
                &serde_json::from_value(json!({ "fields": fields })).unwrap(),
            )
        };
        let nested = of(json!({"nested": {}, "unmapped": {"indices": ["b"]}}));
        assert_eq!(nested.nested(), Some("spans"));
        assert_eq!(nested.aggregatable().unwrap(), "spans.name");
        let object = of(json!({"object": {}}));
        assert_eq!(object.nested(), None);
        assert_eq!(object.aggregatable().unwrap(), "spans.name");
        let both = of(json!({"nested": {"indices": ["a"]}, "object": {"indices": ["b", "c"]}}));
        let error = both.aggregatable().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert_eq!(
            error.to_string(),
            "the field `spans.name` stands in `spans`, which is a `nested` in a and an `object` in b, and no server counts \
             values in both together; look at fewer indices"
        );
    }

    #[test]
    fn what_cannot_be_counted_is_told() {
        let mixed = exact(json!({
            "host": {"text": {"aggregatable": false}, "keyword": {"aggregatable": true}},
            "host.keyword": {"keyword": {"aggregatable": true}},
        }));
        assert_eq!(mixed.aggregatable().unwrap_err().kind(), ErrorKind::Input);
        assert_eq!(
            mixed.has("a")["bool"]["should"].as_array().unwrap().len(),
            2
        );
        let object = exact(
            json!({"host": {"object": {"aggregatable": false}}, "host.name": {"keyword": {"aggregatable": true}}}),
        );
        assert_eq!(
            object.aggregatable().unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let text = exact(json!({"host": {"text": {"aggregatable": false}}}));
        assert_eq!(text.aggregatable().unwrap_err().kind(), ErrorKind::Input);
        assert!(text.has("a").to_string().contains("match_phrase"));
    }
}
