//! JSON objects whose members are few, known and strings.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

/// The members of a flat JSON object, in the order of their names; two of one name are an error.
///
/// A header of ours holds strings only, so a member of another type is one that we do not know.
#[derive(Debug)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Members<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Takes a member out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// The name of a member that nobody has taken.
    pub(crate) fn left(&self) -> Option<&str> {
        self.0.first().map(|(name, _)| &**name)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, Cow<'de, str>)> = Vec::new();
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    // What could make this slow is refused long before by the number of known names.
                    if members.len() == MOST || members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(
                            "a member stands twice, or there are too many",
                        ));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// More members than any object of ours has.
const MOST: usize = 16;

/// A string that is borrowed where it has no escapes; serde's own `Cow` never is.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_taken_once_and_others_are_noticed() {
        let mut members = Members::parse(br#"{"a":"1","b\u0063":"\n"}"#).expect("an object");
        assert_eq!(members.take("a").as_deref(), Some("1"));
        assert_eq!(members.take("a"), None);
        assert_eq!(members.left(), Some("bc"));
        assert_eq!(members.take("bc").as_deref(), Some("\n"));
        assert_eq!(members.left(), None);
    }

    #[test]
    fn nothing_but_an_object_of_strings_is_read() {
        for json in [
            r#"{"a":"1","a":"2"}"#,
            r#"{"a":"1","\u0061":"2"}"#,
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":["b"]}"#,
            r#"{"a":"1"} x"#,
            r#"{"a":"1",}"#,
            r#"["a"]"#,
            r#""a""#,
            "",
        ] {
            assert!(Members::parse(json.as_bytes()).is_none(), "{json}");
        }
    }
}
