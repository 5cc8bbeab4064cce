//! Which field holds a value whole.

use serde_json::{Value, json};

use super::Look;
use crate::client::FieldCaps;
use crate::{Error, ErrorKind, Result};

/// Where the values of a field stand whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exact {
    /// The field itself where it is no text, and its subfields for whole values.
    fields: Vec<String>,
    /// Whether some indices have it as text.
    text: bool,
    name: String,
}

impl Look {
    /// Finds out where the whole values of a field stand.
    pub(super) async fn exact(&self, field: &str) -> Result<Exact> {
        let wanted = [field, &format!("{field}.*")];
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
        Self {
            fields: found,
            text,
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
            Some(field) => Ok(field),
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
