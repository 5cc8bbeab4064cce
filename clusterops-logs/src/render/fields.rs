//! Fields by their dotted names, however a document nests them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Hit;

/// What a hit has: its document, and the values asked for by name.
pub(super) struct Fields<'a> {
    document: Option<Value>,
    named: &'a BTreeMap<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(hit: &'a Hit) -> Self {
        let raw = hit.source.as_ref();
        Self {
            document: raw.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            named: &hit.fields,
        }
    }

    /// The value of a field, unless it is null.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        let document = self.document.as_ref();
        document
            .and_then(|document| find(document, name))
            .or_else(|| self.named.get(name).filter(|value| !value.is_null()))
    }

    /// A field that is a text, a number, a truth value, or a list of these; objects and empty texts are none.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let is_plain = |value: &&Value| match value {
            Value::Array(items) => !items.iter().any(Value::is_object),
            value => !value.is_object(),
        };
        let text = text(self.value(name).filter(is_plain)?);
        (!text.is_empty()).then_some(text)
    }

    /// The first of the fields that is there, with its name.
    pub(super) fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, String)> {
        let mut found = names
            .iter()
            .filter_map(|name| Some((*name, self.text(name)?)));
        found.next()
    }
}

/// A value as people read it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => {
            let whole = members.get(name).filter(|value| !value.is_null());
            whole.or_else(|| {
                let mut dots = name.match_indices('.').map(|(at, _)| at);
                dots.find_map(|at| find(members.get(&name[..at])?, &name[at + 1..]))
            })
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_found_however_they_are_nested() {
        for document in [
            json!({"a": {"b": {"c": 1}}}),
            json!({"a.b.c": 1}),
            json!({"a.b": {"c": 1}}),
            json!({"a": {"b.c": 1}}),
            json!({"a": {"x": 0}, "a.b.c": 1}),
            json!({"a": [{"x": 0}, {"b.c": 1}]}),
            json!({"a": {"b": null}, "a.b": {"c": 1}}),
        ] {
            assert_eq!(find(&document, "a.b.c"), Some(&json!(1)), "{document}");
            assert_eq!(find(&document, "a.c"), None);
        }
        assert_eq!(find(&json!({"a": null}), "a"), None);
    }
}
