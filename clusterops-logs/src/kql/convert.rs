//! From KQL to queries, as `toElasticsearchQuery` of Kibana's `@kbn/es-query` makes them.

use serde_json::{Value as Json, json};

use super::Kql;
use super::fields::{Field, Fields};
use super::node::{Kind, Node, Text, Value, ValueKind};
use super::types::{self, Use};
use crate::fields::with_article;
use crate::query::{MultiMatchType, NestedScore};
use crate::{Error, ErrorKind, Query, Result};

/// How many `bool` queries can be in each other: the limit of Elasticsearch 8.
const MAX_BOOL_DEPTH: usize = 30;

/// What is known on the way down.
#[derive(Clone, Copy)]
struct Within<'a> {
    /// The path of the nested documents around.
    path: Option<&'a str>,
    depth: usize,
}

pub(super) fn query(kql: &Kql, node: &Node) -> Result<Query> {
    let top = Within {
        path: None,
        depth: 0,
    };
    convert(kql, node, top)
}

fn convert(kql: &Kql, node: &Node, within: Within<'_>) -> Result<Query> {
    if within.depth == MAX_BOOL_DEPTH {
        let message =
            format!("more than {MAX_BOOL_DEPTH} queries are in each other: servers take no more");
        return Err(Error::new(ErrorKind::Syntax, message).at(node.column));
    }
    let below = Within {
        depth: within.depth + 1,
        ..within
    };
    match &node.kind {
        Kind::Everything => Ok(Query::match_all()),
        Kind::Or(nodes) => {
            let queries: Vec<Query> = each(kql, nodes, below)?;
            Ok(Query::bool()
                .should_each(queries)
                .minimum_should_match(1)
                .into())
        }
        Kind::And(nodes) => {
            let queries: Vec<Query> = each(kql, nodes, below)?;
            Ok(if kql.scored {
                Query::bool().must_each(queries).into()
            } else {
                Query::bool().filter_each(queries).into()
            })
        }
        Kind::Not(node) => {
            let query = convert(kql, node, below)?;
            Ok(Query::bool().must_not_one(query).into())
        }
        Kind::Nested(path, node) => nested(kql, path, node, below),
        Kind::Is(None, value) => anywhere(value),
        Kind::Is(Some(field), value) => is(kql, field, node.column, value, within.path),
        Kind::Range(field, operator, value) => {
            let json = json_of(value)?;
            let bound = json!({*operator: json});
            let column = node.column;
            fields(kql, field, column, within.path, |field| {
                if field.is_pattern {
                    let message = format!(
                        "a range over `{}` needs to know the fields of the index: name one field",
                        field.name
                    );
                    return Err(Error::new(ErrorKind::Input, message).at(column));
                }
                field.check_field(Some((value, Use::Bound)), column)?;
                field.check(value, Use::Bound)?;
                let mut bound = bound.clone();
                if field.is_date {
                    time_zone(kql, &mut bound, &json);
                }
                Ok(Query::raw(json!({"range": {field.name: bound}})))
            })
        }
    }
}

fn each(kql: &Kql, nodes: &[Node], within: Within<'_>) -> Result<Vec<Query>> {
    nodes
        .iter()
        .map(|node| convert(kql, node, within))
        .collect()
}

fn nested(kql: &Kql, path: &Text, node: &Node, within: Within<'_>) -> Result<Query> {
    let path = path.below(within.path).name();
    let within = Within {
        path: Some(&path),
        ..within
    };
    let inner = convert(kql, node, within)?;
    let mut fields = kql.fields.iter().flat_map(Fields::iter);
    let field = fields.find(|field| field.nested_path() == Some(&*path));
    Ok(in_nested(
        kql,
        &path,
        inner,
        field.and_then(Field::nested_in),
    ))
}

/// What is nested at this path, in some of the indices only where they are named: others refuse it.
fn in_nested(kql: &Kql, path: &str, inner: Query, indices: Option<&[String]>) -> Query {
    let query = Query::nested(path, inner).score_mode(NestedScore::None);
    let query = match kql.ignore_unmapped {
        Some(ignore) => query.ignore_unmapped(ignore),
        None => query,
    };
    match indices {
        Some(indices) => Query::bool()
            .filter(Query::terms("_index", indices.iter().cloned()))
            .must(query)
            .into(),
        None => query.into(),
    }
}

/// A value without a field.
fn anywhere(value: &Value) -> Result<Query> {
    if let ValueKind::Plain(text) = &value.kind
        && text.has_wildcard()
    {
        return Ok(Query::query_string(text.pattern()).into());
    }
    let query = Query::multi_match_default_fields(json_of(value)?);
    Ok(query.kind(multi_match_type(value)).lenient(true).into())
}

/// A field with a value.
fn is(kql: &Kql, field: &Text, column: usize, value: &Value, path: Option<&str>) -> Result<Query> {
    let wildcard = match &value.kind {
        ValueKind::Plain(text) if text.has_wildcard() => Some(text),
        _ => None,
    };
    let exists = wildcard.is_some_and(Text::is_lone_wildcard);
    if exists && field.is_lone_wildcard() {
        return Ok(Query::match_all());
    }
    let json = json_of(value)?;
    fields(kql, field, column, path, |field| {
        let used = match wildcard {
            Some(_) if exists => None,
            Some(_) => Some((value, Use::Wildcard)),
            None => Some((value, Use::Value)),
        };
        field.check_field(used, column)?;
        if exists {
            return Ok(Query::exists(field.name).into());
        }
        if let Some(wildcard) = wildcard {
            field.check(value, Use::Wildcard)?;
            let pattern = wildcard.pattern();
            if !field.is_keyword {
                let query = Query::query_string(pattern).field(field.name);
                return Ok(if field.is_guess {
                    query.lenient(true).into()
                } else {
                    query.into()
                });
            }
            let query = Query::wildcard(field.name, pattern);
            return Ok(match kql.case_insensitive {
                Some(ignore) => query.case_insensitive(ignore).into(),
                None => query.into(),
            });
        }
        if field.is_guess {
            return Ok(Query::matches(field.name, json.clone())
                .lenient(true)
                .into());
        }
        field.check(value, Use::Value)?;
        if field.is_date {
            let mut bounds = json!({"gte": json, "lte": json});
            time_zone(kql, &mut bounds, &json);
            return Ok(Query::raw(json!({"range": {field.name: bounds}})));
        }
        if field.is_keyword {
            let query = Query::term(field.name, json.clone());
            return Ok(match kql.case_insensitive {
                Some(ignore) => query.case_insensitive(ignore).into(),
                None => query.into(),
            });
        }
        if field.is_pattern {
            let query = Query::multi_match(json.clone(), [field.name]);
            return Ok(query.kind(multi_match_type(value)).lenient(true).into());
        }
        Ok(match value.kind {
            ValueKind::Quoted(_) => Query::match_phrase(field.name, json.clone()).into(),
            _ => Query::matches(field.name, json.clone()).into(),
        })
    })
}

/// What a query is made for.
struct Target<'a> {
    name: &'a str,
    is_keyword: bool,
    is_date: bool,
    /// The name has wildcards, and nobody knows for which fields.
    is_pattern: bool,
    /// One of several fields that a wildcard stands for, of a type that not every value fits.
    is_guess: bool,
    /// The type, where it is known, the same everywhere, and the field is meant.
    kind: Option<&'a str>,
    /// What is known of it, where the field is meant.
    field: Option<&'a Field>,
}

impl Target<'_> {
    /// Refuses what a server would, with the place of the value.
    fn check(&self, value: &Value, used: Use) -> Result<()> {
        let Some(text) = text_of(value) else {
            return Ok(());
        };
        // Where indices differ, what is equal to a value is looked for leniently, and what is less or greater is not.
        let kinds: Vec<&str> = match (self.kind, self.field, used) {
            (Some(kind), ..) => vec![kind],
            (None, Some(field), Use::Bound) => field.types().collect(),
            _ => Vec::new(),
        };
        let mut misfits = kinds
            .into_iter()
            .filter_map(|kind| Some((kind, types::misfit(kind, &text, used)?)));
        match misfits.next() {
            None => Ok(()),
            Some((kind, why)) => {
                let message = format!("`{}` is {}: {why}", self.name, with_article(kind));
                Err(Error::new(ErrorKind::Input, message).at(value.column))
            }
        }
    }

    /// Refuses a field that no server looks into, with its own place.
    fn check_field(&self, used: Option<(&Value, Use)>, column: usize) -> Result<()> {
        let name = self.name;
        let text = used
            .and_then(|(value, _)| text_of(value))
            .unwrap_or_default();
        let is_unindexed = used.is_some() && self.field.is_some_and(Field::is_unindexed);
        let why = match types::misuse(name, &text, used.map(|(_, used)| used)) {
            Some(why) => why,
            None if is_unindexed => "it is not indexed, so no server looks into it".to_owned(),
            None => return Ok(()),
        };
        Err(Error::new(ErrorKind::Input, format!("`{name}`: {why}")).at(column))
    }
}

fn text_of(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Quoted(text) => Some(text.clone()),
        ValueKind::Plain(text) => Some(text.name()),
        ValueKind::Truth(truth) => Some(truth.to_string()),
        ValueKind::Null => None,
    }
}

/// A query for each field of a name, of which one has to match.
fn fields(
    kql: &Kql,
    name: &Text,
    column: usize,
    path: Option<&str>,
    query: impl Fn(Target<'_>) -> Result<Query>,
) -> Result<Query> {
    let full = name.below(path);
    let known = match &kql.fields {
        Some(fields) => fields.like(&full),
        None => Vec::new(),
    };
    if !name.has_wildcard() || path.is_some() {
        for field in &known {
            check_nesting(field, path).map_err(|error| error.at(column))?;
        }
    }
    let mut queries = Vec::new();
    for field in &known {
        let target = Target {
            name: field.name(),
            is_keyword: field.is_keyword(),
            is_date: field.is_date(),
            is_pattern: false,
            is_guess: (known.len() > 1 || field.is_of_several_types()) && !field.is_text(),
            kind: field.only_type().filter(|_| known.len() == 1),
            field: Some(*field).filter(|_| known.len() == 1),
        };
        let query = query(target)?;
        let indices = field.nested_in();
        let is_outside = name.has_wildcard() || indices.is_some();
        match field.nested_path() {
            Some(at) if is_outside && path.is_none() => {
                if indices.is_some() {
                    // Where it is not nested.
                    queries.push(query.clone());
                }
                queries.push(in_nested(kql, at, query, indices));
            }
            _ => queries.push(query),
        }
    }
    if known.is_empty() {
        // As it is: other indices can have such a field.
        queries.push(query(Target {
            name: &full.name(),
            is_keyword: false,
            is_date: false,
            is_pattern: full.has_wildcard(),
            is_guess: false,
            kind: None,
            field: None,
        })?);
    }
    Ok(Query::bool()
        .should_each(queries)
        .minimum_should_match(1)
        .into())
}

/// A field of nested documents is named within their path, and no other is.
fn check_nesting(field: &Field, path: Option<&str>) -> Result<()> {
    let name = field.name();
    let message = match (path, field.nested_path()) {
        (asked, known) if asked == known => return Ok(()),
        (None, Some(_)) if field.nested_in().is_some() => return Ok(()),
        (Some(path), None) => {
            format!("`{name}` is no nested field: name it outside of `{path}:{{ }}`")
        }
        (None, Some(path)) => {
            let inner = name
                .strip_prefix(path)
                .unwrap_or(name)
                .trim_start_matches('.');
            format!("`{name}` is a nested field: write `{path}:{{ {inner}: ... }}`")
        }
        (Some(path), Some(known)) => {
            format!("`{name}` is nested at `{known}`, and not at `{path}`")
        }
        (None, None) => return Ok(()),
    };
    Err(Error::new(ErrorKind::Input, message))
}

/// Adds the zone, unless the value is a count of milliseconds, which has none.
fn time_zone(kql: &Kql, range: &mut Json, value: &Json) {
    let is_count = value
        .as_str()
        .is_some_and(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    if let Some(zone) = &kql.time_zone
        && !is_count
    {
        range["time_zone"] = Json::from(zone.as_str());
    }
}

fn multi_match_type(value: &Value) -> MultiMatchType {
    match value.kind {
        ValueKind::Quoted(_) => MultiMatchType::Phrase,
        _ => MultiMatchType::BestFields,
    }
}

fn json_of(value: &Value) -> Result<Json> {
    match &value.kind {
        ValueKind::Quoted(text) => Ok(text.as_str().into()),
        ValueKind::Plain(text) => Ok(text.name().into()),
        ValueKind::Truth(truth) => Ok((*truth).into()),
        ValueKind::Null => {
            let message = "null is no value that a server looks for: `not field: *` finds what has none, and \"null\" the word";
            Err(Error::new(ErrorKind::Input, message).at(value.column))
        }
    }
}
