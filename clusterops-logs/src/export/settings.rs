//! What to export, and how.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::pages::Pages;
use super::source::{self, Held, Source, input};
use super::token::{Binding, SliceState, State};
use super::{Order, Token};
use crate::client::Pit;
use crate::digest::digest;
use crate::places::{Ask, MOST, PageSize};
use crate::{Client, Indices, Query, Result};

/// The most slices that are of use: a server has no more threads for one caller.
const MOST_SLICES: usize = 64;

/// Every document that a query finds in some indices. The [module](super) says what holds.
///
/// In a fast network an export is done sooner without compression
/// ([`HttpOptions::gzip`](crate::http::HttpOptions::gzip)): in half the time on the machine of the server.
///
/// ```no_run
/// use clusterops_logs::export::{Export, Format};
/// use clusterops_logs::http::HttpOptions;
/// use clusterops_logs::{Client, Indices, Query};
///
/// # async fn example() -> clusterops_logs::Result<()> {
/// let client = Client::new(&["http://localhost:9200"], HttpOptions::default())?;
/// let export = Export::new(&client, &Indices::new("logs-*")?, Query::match_all()).slices(2);
/// let summary = export.to_file("logs.ndjson", &Format::ndjson(), |progress| eprintln!("{progress}")).await?;
/// println!("{} documents", summary.documents);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Export {
    client: Client,
    indices: Indices,
    query: Query,
    fields: Vec<String>,
    members: Map<String, Value>,
    order: Order,
    page_size: u32,
    slices: usize,
    keep_alive: Duration,
    patience: Duration,
}

impl Export {
    /// An export of what the query finds in these indices.
    pub fn new(client: &Client, indices: &Indices, query: Query) -> Self {
        Self {
            client: client.clone(),
            indices: indices.clone(),
            query,
            fields: Vec::new(),
            members: Map::new(),
            order: Order::Arrival,
            page_size: 5000,
            slices: 1,
            keep_alive: Duration::from_secs(300),
            patience: Duration::from_secs(60),
        }
    }

    /// Only these fields of the documents, `*` standing for any text; the server then writes the documents anew.
    #[must_use]
    pub fn fields<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.fields = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a member to the bodies of the searches, such as `highlight`, which nothing here checks; what it adds to a hit
    /// stands in [`Hit::whole`](super::Hit::whole).
    #[must_use]
    pub fn raw(mut self, name: impl Into<String>, value: Value) -> Self {
        self.members.insert(name.into(), value);
        self
    }

    /// In what order: by arrival unless this says something else.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How many documents to ask for at a time, 2 to 10,000; 5,000 if not said. Of large documents fewer are asked for, so
    /// that a page has about 8 MiB at most.
    #[must_use]
    pub fn page_size(mut self, documents: u32) -> Self {
        self.page_size = documents.clamp(1, MOST);
        self
    }

    /// How many parts to fetch at the same time, 1 to 64; one if not said. The pages of several come mixed.
    #[must_use]
    pub fn slices(mut self, slices: usize) -> Self {
        self.slices = slices.clamp(1, MOST_SLICES);
        self
    }

    /// How long the server keeps the point in time after the last request; five minutes if not said. It is renewed while
    /// the export runs, however slow its reader is.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive.max(Duration::from_secs(1));
        self
    }

    /// How long to go on trying where the servers are busy or away, beyond what the client does for one call; a minute if
    /// not said.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Counts the documents, takes a point in time where the server has such, and begins.
    ///
    /// # Errors
    /// [`Input`](crate::ErrorKind::Input) for a query that no server would take, or several slices in another order than that
    /// of arrival; [`NotFound`](crate::ErrorKind::NotFound) for an index that is not there; what the servers say else.
    pub async fn start(&self) -> Result<Pages> {
        let query = self.check()?;
        let pit = source::open_pit(&self.client, &self.indices, self.keep_alive).await?;
        let nanoseconds = match self.order.field() {
            Some(field) => source::has_both_dates(&self.client, &self.indices, field).await?,
            None => false,
        };
        let of = self.binding(&query);
        let mut source = self.source(query, pit.clone(), 0);
        let counted = source.survey().await?;
        source.bounds = counted.bounds;
        source.keys = self.order.keys(nanoseconds, !source.is_of_one_index());
        let highest = counted
            .highest
            .and_then(|highest| i64::try_from(highest).ok());
        let mut slices = Vec::new();
        for range in self.ranges(highest) {
            slices.push(SliceState {
                range,
                after: None,
                total: counted.total,
                done: 0,
                finished: counted.total == 0,
            });
        }
        if slices.len() > 1 && counted.total > 0 {
            for slice in &mut slices {
                slice.total = source.count(slice).await?;
                slice.finished = slice.total == 0;
            }
        }
        let state = State {
            of,
            total: counted.total,
            pit: pit.map(|pit| pit.id().to_owned()),
            bounds: source.bounds.clone(),
            nanoseconds,
            slices,
            breaks: Vec::new(),
        };
        Ok(Pages::start(source, state, self.page_size, 0))
    }

    /// Goes on from where a token says.
    ///
    /// The point in time of the export's start goes on to be used if the server still has it.
    ///
    /// # Errors
    /// [`Input`](crate::ErrorKind::Input) for a token of another export, and what [`start`](Self::start) gives.
    pub async fn resume(&self, token: &Token) -> Result<Pages> {
        let query = self.check()?;
        token.check(&self.binding(&query))?;
        let state = (*token.0).clone();
        // Another point in time than the first is none of what was counted.
        let generation = u64::from(!state.breaks.is_empty());
        let pit = state.pit.clone().map(|id| Pit::new(id, self.keep_alive));
        let mut source = self.source(query, pit, generation);
        source.bounds.clone_from(&state.bounds);
        source.keys = self
            .order
            .keys(state.nanoseconds, !source.is_of_one_index());
        Ok(Pages::start(source, state, self.page_size, generation))
    }

    /// The body of the search for the first page, for those who want to see it before it is sent.
    ///
    /// What only the cluster can say is left out: the id of the point in time, or else the bounds of the `_seq_no`, and
    /// the type that times are compared in where indices have several. Of several slices it is what they have in common.
    ///
    /// ```
    /// use clusterops_logs::export::Order;
    /// use clusterops_logs::http::HttpOptions;
    /// use clusterops_logs::{Client, Export, Indices, Query};
    ///
    /// let client = Client::new(&["http://localhost:9200"], HttpOptions::default())?;
    /// let export = Export::new(&client, &Indices::new("logs-*")?, Query::match_all());
    /// let export = export.order(Order::oldest_first("@timestamp"));
    /// let body = export.first_search()?;
    /// assert_eq!(body["query"]["bool"]["filter"][0]["match_all"], serde_json::json!({}));
    /// assert_eq!(body["sort"][0]["@timestamp"]["order"], "asc");
    /// # Ok::<(), clusterops_logs::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Input`](crate::ErrorKind::Input) for an export that [`start`](Self::start) would refuse before it asks anybody.
    pub fn first_search(&self) -> Result<Value> {
        let query = self.check()?;
        let mut source = self.source(query, None, 0);
        source.keys = self.order.keys(false, true);
        let slice = SliceState {
            range: None,
            after: None,
            total: 0,
            done: 0,
            finished: false,
        };
        let held = Held {
            pit: None,
            generation: 0,
        };
        let ask = Ask::Page(PageSize::new(self.page_size).now());
        Ok(source.page_body(&held, &slice, &ask).into())
    }

    /// What tells this export from others.
    fn binding(&self, query: &Value) -> Binding {
        Binding {
            indices: digest([self.indices.as_str()]),
            query: digest([query.to_string().as_str()]),
            fields: digest(self.fields.iter().map(String::as_str)),
            order: self.order.name(),
            slices: self.slices,
        }
    }

    /// The query's JSON, where what is set goes together.
    fn check(&self) -> Result<Value> {
        if self.slices > 1 && self.order != Order::Arrival {
            return Err(input(
                "an export in the order of a field has one slice; several come mixed",
            ));
        }
        self.query.to_json()
    }

    fn source(&self, query: Value, pit: Option<Pit>, generation: u64) -> Source {
        let mut members = self.members.clone();
        if !self.fields.is_empty() {
            members.insert("_source".into(), json!({"includes": self.fields}));
        }
        Source {
            client: self.client.clone(),
            indices: self.indices.clone(),
            query,
            members,
            keys: Value::Null,
            keep_alive: self.keep_alive,
            patience: self.patience,
            bounds: Vec::new(),
            preference: format!("clusterops-{}", digest([self.indices.as_str()])),
            frozen: AtomicBool::new(pit.is_some() && generation == 0),
            held: Mutex::new(Held { pit, generation }),
        }
    }

    /// Divides all numbers up to the highest evenly.
    fn ranges(&self, highest: Option<i64>) -> Vec<Option<(i64, i64)>> {
        let Some(highest) = highest.filter(|_| self.order == Order::Arrival) else {
            return vec![None; self.slices];
        };
        let slices = i64::try_from(self.slices).unwrap_or(1);
        let border = |slice: i64| {
            let at = i128::from(highest + 1) * i128::from(slice) / i128::from(slices);
            i64::try_from(at).unwrap_or(highest + 1) - 1
        };
        (0..slices)
            .map(|slice| Some((border(slice), border(slice + 1))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use clusterops_core::http::HttpOptions;

    use super::*;

    fn export() -> Export {
        let client = Client::new(&["http://127.0.0.1:1"], HttpOptions::default()).unwrap();
        Export::new(&client, &Indices::new("logs").unwrap(), Query::match_all())
    }

    #[test]
    fn slices_have_every_number_once() {
        for (slices, highest) in [(1, 0), (3, 9), (4, 2), (64, 1_000_003)] {
            let ranges = export().slices(slices).ranges(Some(highest));
            let ranges: Vec<(i64, i64)> = ranges.into_iter().map(Option::unwrap).collect();
            assert_eq!(ranges.len(), slices);
            assert_eq!(ranges[0].0, -1);
            assert_eq!(ranges.last().unwrap().1, highest);
            assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
        }
    }

    #[test]
    fn exports_differ_by_what_they_give() {
        let binding = |export: Export| export.binding(&export.check().unwrap());
        let ours = binding(export());
        assert_eq!(ours, binding(export().page_size(7)));
        assert_ne!(ours, binding(export().slices(2)));
        assert_ne!(ours, binding(export().fields(["a"])));
        assert_ne!(ours, binding(export().order(Order::oldest_first("a"))));
    }

    #[tokio::test]
    async fn what_no_server_would_take_is_not_sent() {
        let wrong = Query::range("@timestamp").gte("now-15min");
        let export = Export {
            query: wrong.into(),
            ..export()
        };
        let token = crate::export::token::tests::token();
        for begun in [export.start().await, export.resume(&token).await] {
            let error = begun.unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Input);
            assert!(error.message().contains("now-15min"), "{error}");
        }
    }
}
