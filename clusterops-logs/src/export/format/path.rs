//! Fields of a document, found in its bytes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in their order; of anything else none.
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// Nothing, or `null`.
    Nothing,
    /// A text.
    Text(Cow<'a, str>),
    /// A number, `true` or `false`, as it is written.
    Scalar(&'a str),
    /// An object or an array, as JSON.
    Json(Cow<'a, str>),
}

impl<'a> Members<'a> {
    pub(crate) fn of(source: &'a [u8]) -> Self {
        serde_json::from_slice(source).unwrap_or(Self(Vec::new()))
    }

    fn of_value(value: &'a RawValue) -> Self {
        serde_json::from_str(value.get()).unwrap_or(Self(Vec::new()))
    }

    /// What stands at a path of names with dots between them, which may be names of objects in objects, names with dots in
    /// them, or a mixture; in an array of objects it stands in each.
    pub(crate) fn at(&self, path: &str) -> Found<'a> {
        let mut found = Vec::new();
        self.collect(path, &mut found);
        match found.as_slice() {
            [] => Found::Nothing,
            [one] => Found::of(one.get()),
            several => {
                let parts: Vec<&str> = several.iter().map(|value| value.get()).collect();
                Found::Json(Cow::Owned(format!("[{}]", parts.join(","))))
            }
        }
    }

    fn collect(&self, path: &str, found: &mut Vec<&'a RawValue>) {
        for (name, value) in &self.0 {
            let Some(rest) = path.strip_prefix(name.as_ref()) else {
                continue;
            };
            if rest.is_empty() {
                found.push(value);
            } else if let Some(rest) = rest.strip_prefix('.') {
                match value.get().as_bytes().first() {
                    Some(b'{') => Self::of_value(value).collect(rest, found),
                    Some(b'[') => {
                        let values: Vec<&'a RawValue> =
                            serde_json::from_str(value.get()).unwrap_or_default();
                        for value in values {
                            Self::of_value(value).collect(rest, found);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

impl<'a> Found<'a> {
    fn of(json: &'a str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => match json.get(1..json.len() - 1) {
                Some(inner) if !inner.contains('\\') => Self::Text(Cow::Borrowed(inner)),
                // Half of a surrogate pair is JSON, but no text.
                _ => serde_json::from_str(json).map_or(Self::Json(json.into()), Self::Text),
            },
            Some(b'{' | b'[') => Self::Json(Cow::Borrowed(json)),
            Some(b'n') | None => Self::Nothing,
            _ => Self::Scalar(json),
        }
    }

    /// The value as people read it; nothing is an empty text.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Text(text) | Self::Json(text) => text,
            Self::Scalar(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_lead_through_objects_dotted_names_and_arrays() {
        let source = r#"{"host":{"name":"a"},"log.level":"warn","a.b":{"c.d":1.50},"n":null,
            "items":[{"id":1},{"id":"x"},7],"tags":["a", "b"],"esc":"a\"\u00e4","half":"\ud800","host.ip":"::1"}"#;
        let members = Members::of(source.as_bytes());
        for (path, text) in [
            ("host.name", "a"),
            ("host.ip", "::1"),
            ("host", r#"{"name":"a"}"#),
            ("log.level", "warn"),
            ("a.b.c.d", "1.50"),
            ("n", ""),
            ("n.x", ""),
            ("absent", ""),
            ("items.id", r#"[1,"x"]"#),
            ("tags", r#"["a", "b"]"#),
            ("esc", "a\"ä"),
            ("half", r#""\ud800""#),
            ("hos", ""),
            ("", ""),
        ] {
            assert_eq!(members.at(path).text(), text, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(source in r#"[\[\]{}":,.a-c\\ 0-9]{0,60}"#, path in "[a-c.]{0,6}") {
            let _ = Members::of(source.as_bytes()).at(&path).text();
        }
    }
}
