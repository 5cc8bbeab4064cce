//! What clusters are asked: the same whether it is sent or shown.

use clusterops::core::Printable;
use clusterops::logs::export::Order;
use clusterops::logs::jiff::Timestamp;
use clusterops::logs::kql::{Fields, Kql};
use clusterops::logs::render::highlighting;
use clusterops::logs::tail::{Since, Tail};
use clusterops::logs::{Client, Export, Look, Query};
use serde_json::{Value, json};

use crate::clusters::Cluster;
use crate::command_line::Result;
use crate::output::{print, warn};
use crate::settings::{Language, Settings, What};
use crate::{complain, show, times};

/// The field of a document's time.
const TIME: &str = "@timestamp";

impl Settings {
    /// All lines of a cluster, the oldest first.
    pub(crate) fn export(&self, client: &Client, fields: Option<&Fields>) -> Result<Export> {
        let query = self.in_window(self.wanted(fields)?);
        let mut export = Export::new(client, &self.indices, query).order(Order::oldest_first(TIME));
        if let Some(count) = self.count {
            export = export.page_size(count.min(5000));
        }
        if let Some(highlight) = self.highlight() {
            export = export.raw("highlight", highlight);
        }
        Ok(export)
    }

    /// The lines of a cluster from the beginning of the window on, or from where a token says.
    pub(crate) fn tail(
        &self,
        client: &Client,
        fields: Option<&Fields>,
        token: Option<&str>,
    ) -> Result<Tail> {
        let query = self.wanted(fields)?;
        let mut tail = Tail::new(client, &self.indices, &query)?
            .since(Since::Time(self.since))
            .pause(self.interval)
            .overlap(self.overlap);
        if let Some(count) = self.count {
            tail = tail.batch(count as usize);
        }
        if let Some(highlight) = self.highlight() {
            tail = tail.raw("highlight", highlight);
        }
        if self.needs_fields() {
            // What it is for a server changes with the fields there.
            tail = tail.query_words(serde_json::to_string(&(&self.query, &self.excluded))?);
        }
        Ok(match token {
            Some(token) => {
                let resumed = token.parse().and_then(|token| tail.resume(token));
                resumed.map_err(|error| match self.resume.as_ref().or(self.state.as_ref()) {
                    Some(path) => format!("{}: {error}", path.display()),
                    None => error.to_string(),
                })?
            }
            None => tail,
        })
    }

    /// A look at the lines of a cluster.
    pub(crate) fn look(&self, client: &Client, fields: Option<&Fields>) -> Result<Look> {
        // It has to know what is excluded, which does not stand in the context either.
        let found = self.in_window(self.read(&self.query, fields)?);
        let mut look = Look::new(client, &self.indices, found);
        for excluded in self.unwanted(fields)? {
            look = look.exclude(excluded);
        }
        if let Some(highlight) = self.highlight() {
            look = look.highlight(highlight);
        }
        Ok(look)
    }

    /// The same up to now, unless an end was told: a line that is years ahead would make all others of a histogram one column.
    pub(crate) fn past(&self) -> Self {
        let mut past = self.clone();
        past.until.get_or_insert_with(Timestamp::now);
        past
    }

    /// How many frequent values are shown.
    pub(crate) fn top_values(&self) -> u32 {
        self.count.unwrap_or(10)
    }

    /// Around how many lines the context is shown.
    pub(crate) fn excerpts(&self) -> usize {
        self.count.map_or(500, |count| count as usize)
    }

    /// What is looked for, whenever it was.
    pub(crate) fn wanted(&self, fields: Option<&Fields>) -> Result<Query> {
        let excluded = self.unwanted(fields)?;
        let wanted = self.read(&self.query, fields)?;
        match excluded.is_empty() {
            true => Ok(wanted),
            false => Ok(Query::bool().must(wanted).must_not_each(excluded).into()),
        }
    }

    /// What is left out.
    fn unwanted(&self, fields: Option<&Fields>) -> Result<Vec<Query>> {
        let excluded = self.excluded.iter();
        excluded.map(|text| self.read(text, fields)).collect()
    }

    /// What is in the window of time.
    fn in_window(&self, query: Query) -> Query {
        // The field may have a format of its own, and one of nanoseconds is not compared with what is before 1970.
        let mut window = json!({
            "gte": self.since.max(Timestamp::UNIX_EPOCH).to_string(), "format": "strict_date_optional_time_nanos",
        });
        if let Some(until) = self.until {
            window["lt"] = until.to_string().into();
        }
        let window = Query::raw(json!({"range": {TIME: window}}));
        Query::bool().must(query).filter(window).into()
    }

    fn read(&self, text: &str, fields: Option<&Fields>) -> Result<Query> {
        match self.language {
            Language::Lucene => Ok(Query::query_string(text).analyze_wildcard(true).into()),
            Language::Kql => {
                let mut kql = Kql::new();
                if let Some(fields) = fields {
                    // Indices that lack what is nested have no match there.
                    kql = kql.fields(fields.clone()).ignore_unmapped(true);
                    kql = kql.time_zone(times::name_for_servers(&self.zone));
                }
                Ok(kql
                    .query(text)
                    .map_err(|error| format!("in `{text}`, {error}"))?)
            }
        }
    }

    /// Whether a cluster has to be asked for its fields before the query is whole.
    pub(crate) fn needs_fields(&self) -> bool {
        self.language == Language::Kql
    }

    /// The fields that a query in Kibana's language is about; the other needs none.
    pub(crate) async fn fields(&self, client: &Client) -> clusterops::logs::Result<Option<Fields>> {
        if !self.needs_fields() {
            return Ok(None);
        }
        let caps = client.field_caps(&self.indices, &["*"]).await?;
        Ok(Some(Fields::from(&caps)))
    }

    /// As [`fields`](Self::fields); and an error where nothing can be found by its time.
    pub(crate) async fn checked_fields(
        &self,
        client: &Client,
    ) -> clusterops::logs::Result<Option<Fields>> {
        let wanted = if self.needs_fields() { "*" } else { TIME };
        match client.field_caps(&self.indices, &[wanted]).await {
            Ok(caps) => {
                caps.check_dates(TIME)?;
                Ok(self.needs_fields().then(|| Fields::from(&caps)))
            }
            Err(error) if self.needs_fields() => Err(error),
            // The search tells what is wrong.
            Err(_) => Ok(None),
        }
    }

    /// What to add to a search so that matches can be shown, where they are.
    fn highlight(&self) -> Option<Value> {
        let is_shown = self.highlights && show::has_colours(self);
        is_shown.then(highlighting)
    }
}

/// Prints what would be sent, as Kibana's console and its kin take it.
pub(crate) async fn print_all(settings: &Settings, clusters: &[Cluster]) -> Result<()> {
    for cluster in clusters {
        let client = &cluster.client;
        let fields = match settings.fields(client).await {
            Ok(fields) => fields,
            Err(error) => {
                complain(&error);
                let of = match &*cluster.name {
                    "" => String::new(),
                    name => format!(" of {name}"),
                };
                warn(format_args!(
                    "loga: the types of the fields{of} are not known, so what is sent can differ from this"
                ));
                None
            }
        };
        let body = match &settings.what {
            What::Lines => settings.export(client, fields.as_ref())?.first_search()?,
            What::Follow => {
                let state = settings.kept_state()?;
                let token = state.get(&cluster.name).map(String::as_str);
                let tail = settings.tail(client, fields.as_ref(), token)?;
                tail.first_search()
            }
            What::Count => {
                let query = settings.look(client, fields.as_ref())?.query()?;
                json!({"query": query, "size": 0, "track_total_hits": true})
            }
            What::Histogram => {
                let past = settings.past();
                past.look(client, fields.as_ref())?.histogram_search()?
            }
            What::Top(field) => {
                let look = settings.look(client, fields.as_ref())?;
                look.top_search(field, settings.top_values())?
            }
            What::Context(_) => {
                let look = settings.look(client, fields.as_ref())?;
                look.excerpts_search(settings.excerpts())?
            }
        };
        let url = client
            .urls()
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        let (url, index) = (Printable(url), Printable(settings.indices.as_str()));
        print(format_args!(
            "POST {url}/{index}/_search\n{}\n\n",
            serde_json::to_string_pretty(&body)?
        ))?;
    }
    if let What::Histogram | What::Top(_) | What::Context(_) = settings.what {
        warn(format_args!(
            "loga: this is the first search; what is sent beside it depends on what the cluster answers"
        ));
    }
    Ok(())
}
