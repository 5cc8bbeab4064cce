//! The JSON of a construct under way: how deep it is, and what is wrong with it.

use serde::{Serialize, Serializer, ser};
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result};

/// How many levels of JSON a query, an aggregation or a search can have.
///
/// Elasticsearch refuses more than 30 `bool` queries in each other (20 before 8.0), which are 93 levels; what is deeper
/// would also not be read back by serde_json, whose limit is 128.
pub(crate) const MAX_JSON_DEPTH: usize = 100;

/// A JSON value with its depth, and the first problem in it. It is never deeper than [`MAX_JSON_DEPTH`]: what would be is
/// dropped, and a problem.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Json {
    value: Value,
    depth: usize,
    problem: Option<Box<str>>,
}

/// A JSON object that is being filled.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Parts {
    members: Map<String, Value>,
    depth: usize,
    problem: Option<Box<str>>,
}

impl Json {
    pub(crate) fn invalid(problem: impl Into<Box<str>>) -> Self {
        Self {
            value: Value::Null,
            depth: 0,
            problem: Some(problem.into()),
        }
    }

    fn new(value: Value, depth: usize, problem: Option<Box<str>>) -> Self {
        if depth <= MAX_JSON_DEPTH {
            return Self {
                value,
                depth,
                problem,
            };
        }
        dismantle(value);
        let deep = || {
            format!("more than {MAX_JSON_DEPTH} levels of JSON in each other: no server takes that")
                .into()
        };
        Self {
            value: Value::Null,
            depth: 0,
            problem: Some(problem.unwrap_or_else(deep)),
        }
    }

    pub(crate) fn list(items: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        let (mut values, mut depth, mut problem) = (Vec::new(), 0, None);
        for item in items {
            let item = item.into();
            depth = depth.max(item.depth);
            problem = problem.or(item.problem);
            values.push(item.value);
        }
        Self::new(Value::Array(values), depth + 1, problem)
    }

    /// An object with this one member.
    pub(crate) fn below(self, name: impl Into<String>) -> Self {
        let members = Map::from_iter([(name.into(), self.value)]);
        Self::new(Value::Object(members), self.depth + 1, self.problem)
    }

    pub(crate) fn or_problem(mut self, problem: Option<String>) -> Self {
        self.problem = self.problem.or(problem.map(Into::into));
        self
    }

    #[cfg(test)]
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    pub(crate) fn check(&self) -> Result<&Value> {
        match &self.problem {
            Some(problem) => Err(Error::new(ErrorKind::Input, &**problem)),
            None => Ok(&self.value),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.problem {
            Some(problem) => Err(ser::Error::custom(problem)),
            None => self.value.serialize(serializer),
        }
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        let depth = depth(&value);
        Self::new(value, depth, None)
    }
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl From<$type> for Json {
            fn from(value: $type) -> Self {
                Self::new(Value::from(value), 0, None)
            }
        }
    )*};
}

plain!(&str, String, bool, i32, i64, u8, u32, u64, usize);

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        match serde_json::Number::from_f64(value) {
            Some(number) => Self::new(Value::Number(number), 0, None),
            None => Self::invalid(format!("{value} is no number that JSON can write")),
        }
    }
}

impl From<Parts> for Json {
    fn from(parts: Parts) -> Self {
        Self::new(Value::Object(parts.members), parts.depth + 1, parts.problem)
    }
}

impl Parts {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets a member, in place of what it was.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Json>) {
        let value = self.take(value.into());
        self.members.insert(name.to_owned(), value);
    }

    /// [`set`](Self::set), for a chain.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.set(name, value);
        self
    }

    /// Appends to a member that is a list.
    pub(crate) fn push(&mut self, name: &str, value: impl Into<Json>) {
        let value = self.take(value.into().nested());
        match self.members.get_mut(name) {
            Some(Value::Array(list)) => list.push(value),
            _ => {
                self.members
                    .insert(name.to_owned(), Value::Array(vec![value]));
            }
        }
    }

    /// Sets a member of a member that is an object; a name that is there already is a problem.
    pub(crate) fn insert(&mut self, name: &str, key: String, value: impl Into<Json>) {
        let value = self.take(value.into().nested());
        if !matches!(self.members.get(name), Some(Value::Object(_))) {
            self.members
                .insert(name.to_owned(), Value::Object(Map::new()));
        }
        if let Some(Value::Object(map)) = self.members.get_mut(name) {
            if map.contains_key(&key) {
                self.fail(format!("`{key}` stands twice in `{name}`"));
            } else {
                map.insert(key, value);
            }
        }
    }

    /// Notes a problem, unless there is one already.
    pub(crate) fn fail(&mut self, problem: impl Into<Box<str>>) {
        self.problem.get_or_insert_with(|| problem.into());
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.members.remove(name);
    }

    /// Becomes this object, such as a query, in place of what it was.
    pub(crate) fn whole(&mut self, json: Json) {
        match self.take(json) {
            Value::Object(members) => self.members = members,
            Value::Null => {}
            _ => self.fail("a query is a JSON object"),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The one member there is, where there is no other.
    pub(crate) fn only(&self, name: &str) -> Option<Json> {
        match (self.members.len(), self.members.get(name), &self.problem) {
            (1, Some(value), None) => Some(Json::from(value.clone())),
            _ => None,
        }
    }

    fn take(&mut self, json: Json) -> Value {
        self.depth = self.depth.max(json.depth);
        if let Some(problem) = json.problem {
            self.fail(problem);
        }
        json.value
    }
}

impl Json {
    /// Counts one level more: it goes into a list or an object of its own.
    fn nested(self) -> Self {
        Self::new(self.value, self.depth + 1, self.problem)
    }
}

/// How many lists and objects are in each other at most, without recursion.
fn depth(value: &Value) -> usize {
    let mut deepest = 0;
    let mut rest = vec![(value, 0)];
    while let Some((value, depth)) = rest.pop() {
        deepest = deepest.max(depth);
        match value {
            Value::Array(items) => {
                deepest = deepest.max(depth + 1);
                rest.extend(items.iter().map(|item| (item, depth + 1)));
            }
            Value::Object(members) => {
                deepest = deepest.max(depth + 1);
                rest.extend(members.values().map(|item| (item, depth + 1)));
            }
            _ => {}
        }
    }
    deepest
}

/// Drops a value without recursion.
fn dismantle(value: Value) {
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(members) => rest.extend(members.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_of_any_depth_is_measured_and_dropped_without_recursion() {
        let mut value = Value::Null;
        for _ in 0..1_000_000 {
            value = Value::Array(vec![value]);
        }
        let json = Json::from(value);
        assert!(
            json.problem()
                .is_some_and(|problem| problem.contains("100 levels"))
        );
        assert_eq!(Json::from(json!({"a": [{"b": 1}], "c": {}})).depth, 3);
    }

    #[test]
    fn depth_grows_by_what_is_wrapped() {
        let mut parts = Parts::new();
        parts.push("list", json!({"a": 1}));
        parts.insert("map", "key".into(), json!([]));
        let json = Json::from(parts);
        assert_eq!(json.depth, depth(json.value()));
        assert_eq!(
            json.value(),
            &json!({"list": [{"a": 1}], "map": {"key": []}})
        );
    }
}
