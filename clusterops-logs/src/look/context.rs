//! What stood around a line.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Look;
use super::fields::Exact;
use super::lines::{Direction, Place};
use super::merge::{Around, Excerpt, Line, merged};
use crate::export::format::path::{Found, Members};
use crate::fields::{CONTAINERS, HOSTS, SERVICES};
use crate::{Error, ErrorKind, Hit, Result};

/// How many lines are looked around at the same time.
const AT_ONCE: usize = 8;

/// How many lines before and after a found one to show, and whose.
///
/// ```
/// use clusterops_logs::look::{Context, Origin};
///
/// let context = Context::default().before(2).after(5).origin(Origin::Service);
/// assert_eq!(context, Context { before: 2, after: 5, origin: Origin::Service });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// How many lines before each, as with grep's `-B`.
    pub before: usize,
    /// How many lines after each, as with grep's `-A`.
    pub after: usize,
    /// Whose lines.
    pub origin: Origin,
}

/// Whose lines stand around a line: those with the same value in the first of some fields that the line has.
///
/// ```
/// use clusterops_logs::look::Origin;
///
/// let same_pod = Origin::Fields(vec!["kubernetes.namespace".into(), "kubernetes.pod.name".into()]);
/// assert_ne!(same_pod, Origin::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The same host, which stands where [`render`](crate::render) looks for it; for lines without one, the same container
    /// or service.
    #[default]
    Host,
    /// The same service, which stands where [`render`](crate::render) looks for it.
    Service,
    /// The same container, which stands in what the table of [`render`](crate::render) says.
    Container,
    /// The same values in all of these fields.
    Fields(Vec<String>),
}

impl Context {
    /// So many lines before each.
    #[must_use]
    pub fn before(mut self, lines: usize) -> Self {
        self.before = lines;
        self
    }

    /// So many lines after each.
    #[must_use]
    pub fn after(mut self, lines: usize) -> Self {
        self.after = lines;
        self
    }

    /// Whose lines.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

impl Origin {
    /// The fields and values of a document; none where it has not got them.
    fn of(&self, source: &[u8]) -> Vec<(String, String)> {
        let members = Members::of(source);
        let value = |name: &str| match members.at(name) {
            Found::Text(text) if !text.is_empty() => Some((name.to_owned(), text.into_owned())),
            Found::Scalar(text) => Some((name.to_owned(), text.to_owned())),
            // A list of one is the one.
            Found::Json(json) => match serde_json::from_str::<[Value; 1]>(&json).ok()? {
                [Value::String(text)] if !text.is_empty() => Some((name.to_owned(), text)),
                [one @ (Value::Number(_) | Value::Bool(_))] => {
                    Some((name.to_owned(), one.to_string()))
                }
                _ => None,
            },
            Found::Text(_) | Found::Nothing => None,
        };
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| value(name))
                .into_iter()
                .collect::<Vec<_>>()
        };
        match self {
            Self::Host => {
                let all = [HOSTS, CONTAINERS, SERVICES].concat();
                first(&all)
            }
            Self::Service => first(SERVICES),
            Self::Container => first(CONTAINERS),
            Self::Fields(names) => {
                let values: Option<Vec<_>> = names.iter().map(|name| value(name)).collect();
                values.unwrap_or_default()
            }
        }
    }
}

impl Look {
    /// The newest lines that are found, so many at most, with what stands around them: the oldest first, and excerpts that
    /// overlap or touch as one.
    ///
    /// Lines stand in the order of their time; those of one time as their shards took them in. None is lost or repeated
    /// however many have the same time. Around a line the query does not hold, but what is excluded stays so.
    ///
    /// # Errors
    /// What the servers say.
    pub async fn excerpts(&self, context: &Context, most: usize) -> Result<Vec<Excerpt>> {
        let nanoseconds = self.in_nanoseconds().await?;
        let filter = self.filter(&[self.timed()])?;
        let hits = self
            .lines(
                filter,
                Direction::Older,
                nanoseconds,
                most,
                self.highlight.as_ref(),
            )
            .await?;
        self.around_all(hits, context, nanoseconds).await
    }

    /// The body of the first search for [`excerpts`](Self::excerpts), for those who want to see it before it is sent. What
    /// stands around the lines is searched for by what they say.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a query that no server would take.
    pub fn excerpts_search(&self, most: usize) -> Result<Value> {
        let filter = self.filter(&[self.timed()])?;
        Ok(self.first_page(&filter, Direction::Older, most))
    }

    /// A line, and what stands around it. The query need not find it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) for a document that is not there, [`Input`](ErrorKind::Input) for one without a
    /// time or without the origin that is asked for, and what the servers say.
    pub async fn around(&self, index: &str, id: &str, context: &Context) -> Result<Excerpt> {
        let nanoseconds = self.in_nanoseconds().await?;
        let one =
            json!({"bool": {"filter": [{"ids": {"values": [id]}}, {"term": {"_index": index}}]}});
        let mut hits = self
            .lines(one, Direction::Older, nanoseconds, 1, None)
            .await?;
        let Some(hit) = hits.pop() else {
            let message = format!("there is no document `{id}` in the index `{index}`");
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let problem = if Place::of(&hit).is_none() {
            Some(format!(
                "no `{}`, by which lines stand around it",
                self.time_field
            ))
        } else if context.origin.of(source_of(&hit)).is_empty() {
            Some(
                "none of the fields that say where it is from; name one by `Origin::Fields`"
                    .to_owned(),
            )
        } else {
            None
        };
        if let Some(problem) = problem {
            let message = format!("the document `{id}` in the index `{index}` has {problem}");
            return Err(Error::new(ErrorKind::Input, message));
        }
        let mut excerpts = self.around_all(vec![hit], context, nanoseconds).await?;
        excerpts
            .pop()
            .ok_or_else(|| Error::new(ErrorKind::Answer, "a line has an excerpt"))
    }

    async fn around_all(
        &self,
        hits: Vec<Hit>,
        context: &Context,
        nanoseconds: bool,
    ) -> Result<Vec<Excerpt>> {
        let mut exact: BTreeMap<String, Exact> = BTreeMap::new();
        let mut running = JoinSet::new();
        let mut done = Vec::new();
        for hit in hits {
            let Some(place) = Place::of(&hit) else {
                continue;
            };
            let origin = context.origin.of(source_of(&hit));
            let mut filters = vec![self.timed()];
            for (field, value) in &origin {
                let known = match exact.get(field) {
                    Some(known) => known,
                    None => {
                        let found = self.exact(field).await?;
                        exact.entry(field.clone()).or_insert(found)
                    }
                };
                filters.push(known.has(value));
            }
            let (look, before, after) = (self.clone(), context.before, context.after);
            if running.len() >= AT_ONCE
                && let Some(one) = running.join_next().await
            {
                done.push(joined(one)?);
            }
            let filter = self.filter_all(filters)?;
            running.spawn(async move {
                look.around_one(hit, place, origin, filter, (before, after), nanoseconds)
                    .await
            });
        }
        while let Some(one) = running.join_next().await {
            done.push(joined(one)?);
        }
        Ok(merged(done))
    }

    async fn around_one(
        &self,
        hit: Hit,
        place: Place,
        origin: Vec<(String, String)>,
        filter: Value,
        (before, after): (usize, usize),
        nanoseconds: bool,
    ) -> Result<Around> {
        let mut lines = BTreeMap::new();
        let mut next = None;
        if !origin.is_empty() {
            let older = self.beside(&filter, &place, Direction::Older, nanoseconds, before);
            // One more says whether another excerpt begins right behind.
            let newer = self.beside(
                &filter,
                &place,
                Direction::Newer,
                nanoseconds,
                after.saturating_add(1),
            );
            let (older, mut newer) = (older.await?, newer.await?);
            if newer.len() > after {
                next = newer.pop().as_ref().and_then(Place::of);
            }
            for hit in older.into_iter().chain(newer) {
                if let Some(place) = Place::of(&hit) {
                    lines.insert(
                        place,
                        Line {
                            hit,
                            matched: false,
                        },
                    );
                }
            }
        }
        lines.insert(place, Line { hit, matched: true });
        Ok(Around {
            origin,
            lines,
            next,
        })
    }

    /// What has no time stands nowhere.
    fn timed(&self) -> Value {
        json!({"exists": {"field": self.time_field}})
    }
}

fn source_of(hit: &Hit) -> &[u8] {
    hit.source
        .as_ref()
        .map_or(b"{}", |source| source.get().as_bytes())
}

fn joined(outcome: Result<Result<Around>, tokio::task::JoinError>) -> Result<Around> {
    match outcome {
        Ok(around) => around,
        Err(error) => {
            let message = "the runtime ended during a search";
            Err(Error::new(ErrorKind::Io, message).caused_by(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_the_first_field_that_is_there() {
        let of = |origin: &Origin, source: &str| origin.of(source.as_bytes());
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(
            of(&Origin::Host, r#"{"host":{"name":"a"}}"#),
            pair("host.name", "a")
        );
        assert_eq!(of(&Origin::Host, r#"{"host":"a"}"#), pair("host", "a"));
        assert_eq!(
            of(&Origin::Host, r#"{"service":{"name":"s"}}"#),
            pair("service.name", "s")
        );
        // A line that is shown with a host has one.
        let beat = r#"{"beat":{"hostname":"a","name":"b"},"service":"s"}"#;
        assert_eq!(of(&Origin::Host, beat), pair("beat.hostname", "a"));
        assert_eq!(of(&Origin::Service, r#"{"host":"a"}"#), []);
        // A list of one is the one; of more, none is the origin.
        let list = |hosts: &str| of(&Origin::Host, &format!(r#"{{"host":{{"name":{hosts}}}}}"#));
        assert_eq!(list(r#"["a"]"#), pair("host.name", "a"));
        assert_eq!(list(r#"["a","b"]"#), []);
        let both = Origin::Fields(vec!["a".into(), "b".into()]);
        assert_eq!(of(&both, r#"{"a":1,"b":"x"}"#).len(), 2);
        assert_eq!(of(&both, r#"{"a":1}"#), []);
    }
}
