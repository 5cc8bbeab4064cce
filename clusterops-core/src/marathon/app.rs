//! Apps: their names and their definitions.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::zeroize::{Zeroize, Zeroizing};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::http::Withhold;
use crate::text::shortened;
use crate::{Error, ErrorKind, Result};

/// The id of an app: an absolute path as `/prod/web`.
///
/// A path without its first slash gets one, as Marathon does it. Segments are made of lower-case letters, digits, dashes
/// and dots, where dots join parts that begin and end with a letter or digit (Marathon's rule for ids); `.` and `..` are
/// none. The last one is not `restart`, `tasks` or `versions`, which Marathon's own URLs have there.
///
/// ```
/// use clusterops_core::marathon::AppId;
///
/// assert_eq!("prod/web".parse::<AppId>()?.to_string(), "/prod/web");
/// assert!("/prod/../web".parse::<AppId>().is_err());
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(String);

/// An app's definition: JSON, kept and sent as it is written.
///
/// It holds secrets, so `Debug` does not show it, and its text is overwritten when it is dropped.
///
/// ```
/// use clusterops_core::marathon::AppDefinition;
///
/// let definition = AppDefinition::parse(r#"{"id": "/prod/web", "env": {"PASSWORD": "hunter2"}}"#)?;
/// assert_eq!(definition.id().unwrap().as_str(), "/prod/web");
/// assert_eq!(format!("{definition:?}"), "AppDefinition(/prod/web)");
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Clone)]
pub struct AppDefinition {
    id: Option<AppId>,
    text: SecretString,
    /// What repeats a secret of it; `None` where every value is one.
    withhold: Option<Arc<Withhold>>,
}

/// JSON whose strings are overwritten when it is dropped; `Debug` does not show it.
///
/// It reads as the [`Value`] that it holds. Strings that are cloned out of it are the caller's to overwrite. (Of a string
/// with escapes, the parser's own buffer is not overwritten.)
pub struct SecretJson(Value);

/// The members with which Marathon shows an app's state beside its definition.
pub const STATUS_MEMBERS: &[&str] = &[
    "deployments",
    "lastTaskFailure",
    "readinessCheckResults",
    "taskStats",
    "tasks",
    "tasksHealthy",
    "tasksRunning",
    "tasksStaged",
    "tasksUnhealthy",
    "version",
    "versionInfo",
];

impl AppId {
    /// The id as Marathon writes it, with its first slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }
}

impl FromStr for AppId {
    type Err = Error;

    /// # Errors
    /// [`Syntax`](ErrorKind::Syntax), with what is wrong.
    fn from_str(text: &str) -> Result<Self> {
        let path = text.strip_prefix('/').unwrap_or(text);
        let wrong = path.split('/').find_map(wrong_segment).or_else(|| {
            let last = path.rsplit('/').next().unwrap_or_default();
            ["restart", "tasks", "versions"]
                .contains(&last)
                .then_some("its last segment is one of `restart`, `tasks` and `versions`")
        });
        match wrong {
            None => Ok(Self(format!("/{path}"))),
            Some(wrong) => {
                let message = format!("`{}` is no id of an app: {wrong}", shortened(text));
                Err(Error::new(ErrorKind::Syntax, message))
            }
        }
    }
}

/// What is wrong with a segment of an id.
fn wrong_segment(segment: &str) -> Option<&'static str> {
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    if segment.is_empty() {
        return Some("a segment is empty");
    }
    let sound = segment
        .split('.')
        .map(str::as_bytes)
        .all(|part| edge(part.first()) && edge(part.last()) && part.iter().all(inner));
    (!sound).then_some(
        "a segment has lower-case letters, digits, dashes and dots, and begins and ends with a letter or digit around each dot",
    )
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AppDefinition {
    /// Takes a definition: a JSON object, whose `id` may be left out.
    ///
    /// # Errors
    /// [`Syntax`](ErrorKind::Syntax) with line and column, and without quoting it.
    pub fn parse(text: impl Into<SecretString>) -> Result<Self> {
        let text = text.into();
        let mut id = None;
        let outline = Outline(&mut id);
        let mut parser = serde_json::Deserializer::from_str(text.expose_secret());
        outline
            .deserialize(&mut parser)
            .and_then(|()| parser.end())
            .map_err(|error| {
                // What the parser says may quote what it reads.
                let (line, column) = (error.line(), error.column());
                let what = match error.is_data() {
                    true => "is no JSON object with a text as `id` at most once",
                    false => "is not JSON",
                };
                let message =
                    format!("the definition of an app {what} (line {line}, column {column})");
                Error::new(ErrorKind::Syntax, message)
            })?;
        let id = id.map(|id| id.parse()).transpose()?;
        Ok(Self {
            id,
            text,
            withhold: None,
        })
    }

    /// Says which of its values are secret: these, with all that stands in them. By default every value is.
    ///
    /// What Marathon says of an app is told unless it repeats a secret ([`Withhold`]), so the fewer there are, the more of its
    /// words people see.
    #[must_use]
    pub fn secrets<'v>(mut self, values: impl IntoIterator<Item = &'v Value>) -> Self {
        let mut withhold = Withhold::new();
        for value in values {
            let all = Values {
                withhold: &mut withhold,
                root: false,
                shortest_number: 1,
            };
            // Nothing in it fails.
            let _ = all.deserialize(value);
        }
        self.withhold = Some(Arc::new(withhold));
        self
    }

    /// The app that the definition names.
    pub fn id(&self) -> Option<&AppId> {
        self.id.as_ref()
    }

    /// The definition's text.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    /// The definition to look into, as for a comparison.
    pub fn to_json(&self) -> SecretJson {
        SecretJson(serde_json::from_str(self.text.expose_secret()).unwrap_or_default())
    }

    /// What repeats a secret of the definition: where it was not said which those are, every string and every long number but
    /// the app's own id.
    pub(super) fn withhold(&self) -> Arc<Withhold> {
        if let Some(withhold) = &self.withhold {
            return Arc::clone(withhold);
        }
        let mut withhold = Withhold::new();
        let mut parser = serde_json::Deserializer::from_str(self.text.expose_secret());
        // It was parsed before.
        let _ = Values {
            withhold: &mut withhold,
            root: true,
            // Short ones are counts and ports, and stand in every message.
            shortest_number: 6,
        }
        .deserialize(&mut parser);
        Arc::new(withhold)
    }

    /// Whether a running app is as this definition wants it, as far as that can be told: what it says holds there, and
    /// Marathon's defaults for what it leaves out are not looked at.
    pub(super) fn is_met_by(&self, running: &Self) -> bool {
        let (mut wanted, running) = (self.to_json(), running.to_json());
        if let Some(members) = wanted.0.as_object_mut() {
            members.remove("id");
            STATUS_MEMBERS
                .iter()
                .for_each(|name| drop(members.remove(*name)));
        }
        covers(&running, &wanted)
    }
}

impl fmt::Debug for AppDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "AppDefinition({id})"),
            None => f.write_str("AppDefinition(..)"),
        }
    }
}

impl Deref for SecretJson {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        overwrite(&mut self.0);
    }
}

impl fmt::Debug for SecretJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretJson(..)")
    }
}

fn overwrite(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(overwrite),
        Value::Object(members) => members.values_mut().for_each(overwrite),
        _ => {}
    }
}

/// Whether `running` has everything that `wanted` says.
fn covers(running: &Value, wanted: &Value) -> bool {
    match (running, wanted) {
        (Value::Object(running), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| covers(running.get(name).unwrap_or(&Value::Null), wanted)),
        (Value::Array(running), Value::Array(wanted)) => {
            running.len() == wanted.len()
                && running
                    .iter()
                    .zip(wanted)
                    .all(|(running, wanted)| covers(running, wanted))
        }
        (Value::Number(running), Value::Number(wanted)) => running.as_f64() == wanted.as_f64(),
        (running, wanted) => running == wanted,
    }
}

/// Reads the `id` of an object and passes over the rest, which it checks.
struct Outline<'a>(&'a mut Option<String>);

impl<'de> DeserializeSeed<'de> for Outline<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Outline<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the definition of an app")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name != "id" {
                // Not `IgnoredAny`, which lets numbers pass that a `Value` cannot hold.
                drop(SecretJson(members.next_value()?));
            } else if self.0.replace(members.next_value()?).is_some() {
                return Err(serde::de::Error::custom("two ids"));
            }
        }
        Ok(())
    }
}

/// Adds every string and number to what is withheld.
struct Values<'a> {
    withhold: &'a mut Withhold,
    root: bool,
    /// Of so many characters.
    shortest_number: usize,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl Values<'_> {
    fn number(self, spelled: String) {
        let spelled = Zeroizing::new(spelled);
        if spelled.len() >= self.shortest_number {
            self.withhold.value(&spelled);
        }
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.withhold.value(text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.number(number.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.number(number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.number(number.to_string());
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items
            .next_element_seed(Values {
                withhold: &mut *self.withhold,
                root: false,
                ..self
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if self.root && name == "id" {
                members.next_value::<IgnoredAny>()?;
            } else {
                members.next_value_seed(Values {
                    withhold: &mut *self.withhold,
                    root: false,
                    ..self
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_path_of_marathons_segments() {
        for (text, id) in [
            ("/foo", "/foo"),
            ("foo", "/foo"),
            ("/a/b-1/c.d", "/a/b-1/c.d"),
            ("/versions/web", "/versions/web"),
        ] {
            assert_eq!(text.parse::<AppId>().unwrap().as_str(), id);
        }
        for text in [
            "",
            "/",
            "//a",
            "/a/",
            "/a//b",
            "/A",
            "/a b",
            "/a/..",
            "/.",
            "/a_b",
            "/-a",
            "/a-",
            "/a..b",
            "/a?b",
            "/a%2e",
            "/ä",
            "/web/versions",
            "/web/tasks",
            "restart",
        ] {
            let error = text.parse::<AppId>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Syntax, "{text}");
        }
    }

    #[test]
    fn a_definition_is_an_object_and_errors_do_not_quote_it() {
        for text in [
            "",
            "[]",
            "\"hunter2hunter2\"",
            "{\"id\": 1}",
            "{\"id\": \"/a\", \"id\": \"/b\"}",
            "{\"a\": hunter2hunter2}",
            "{} hunter2hunter2",
        ] {
            let error = AppDefinition::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Syntax, "{text}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(
            AppDefinition::parse("{\"cmd\": null}")
                .unwrap()
                .id()
                .is_none()
        );
    }

    #[test]
    fn every_value_but_the_id_is_withheld() {
        let text = r#"{"id": "/prod/web-front", "env": {"A": "hunter2-secret", "N": 12345678.5, "P": "4711"},
            "args": ["--key", {"deep": "deep-down-secret"}], "instances": 3}"#;
        let withhold = AppDefinition::parse(text).unwrap().withhold();
        for text in ["hunter2-secret", "is 12345678.5", "deep-down", "pin 4711"] {
            assert!(withhold.repeats(text), "{text}");
        }
        for text in ["App '/prod/web-front' does not exist", "must be at most 3"] {
            assert!(!withhold.repeats(text), "{text}");
        }
    }

    #[test]
    fn a_definition_is_met_by_an_app_that_has_what_it_says() {
        let running = r#"{"id": "/a", "cpus": 0.1, "mem": 16.0, "env": {"A": "1"}, "user": null, "ports": [1, 2],
            "version": "2015-09-30T09:09:17.614Z"}"#;
        let running = AppDefinition::parse(running).unwrap();
        for (text, met) in [
            (r#"{"mem": 16, "env": {"A": "1"}}"#, true),
            (
                r#"{"id": "a", "acceptedResourceRoles": null, "version": "x"}"#,
                true,
            ),
            (r#"{"ports": [1]}"#, false),
            (r#"{"env": {"A": "2"}}"#, false),
            (r#"{"env": {"B": "1"}}"#, false),
        ] {
            let wanted = AppDefinition::parse(text).unwrap();
            assert_eq!(wanted.is_met_by(&running), met, "{text}");
        }
    }
}
