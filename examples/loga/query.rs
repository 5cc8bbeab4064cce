//! The query, as it is sent.

use clusterops::logs::kql::{Fields, Kql};
use clusterops::logs::render::highlighting;
use clusterops::logs::{Client, Indices, Query, Search};
use serde_json::{Value, json};

use crate::arguments::{Language, Settings};
use crate::command_line::Result;
use crate::output::print;
use crate::show;

impl Settings {
    /// What is looked for, whenever it was.
    pub(crate) fn wanted(&self, fields: Option<&Fields>) -> Result<Query> {
        let excluded = self
            .excluded
            .iter()
            .map(|text| self.read(text, fields))
            .collect::<Result<Vec<_>>>()?;
        let wanted = self.read(&self.query, fields)?;
        match excluded.is_empty() {
            true => Ok(wanted),
            false => Ok(Query::bool().must(wanted).must_not_each(excluded).into()),
        }
    }

    /// What is looked for in the window of time.
    pub(crate) fn wanted_in_window(&self, fields: Option<&Fields>) -> Result<Query> {
        let mut window = json!({"gte": self.since.to_string()});
        if let Some(until) = self.until {
            window["lt"] = until.to_string().into();
        }
        let window = Query::raw(json!({"range": {"@timestamp": window}}));
        Ok(Query::bool()
            .must(self.wanted(fields)?)
            .filter(window)
            .into())
    }

    fn read(&self, text: &str, fields: Option<&Fields>) -> Result<Query> {
        match self.language {
            Language::Lucene => Ok(Query::query_string(text).analyze_wildcard(true).into()),
            Language::Kql => {
                let mut kql = Kql::new();
                if let Some(fields) = fields {
                    kql = kql.fields(fields.clone());
                    if let Some(zone) = self.zone.iana_name() {
                        kql = kql.time_zone(zone);
                    }
                }
                Ok(kql.query(text)?)
            }
        }
    }

    /// The fields that a query in Kibana's language is about; the other needs none.
    pub(crate) async fn fields(&self, client: &Client) -> clusterops::logs::Result<Option<Fields>> {
        if self.language == Language::Lucene {
            return Ok(None);
        }
        let caps = client
            .field_caps(&Indices::new(&self.index)?, &["*"])
            .await?;
        Ok(Some(Fields::from(&caps)))
    }

    /// What to add to a search so that matches can be shown, where they are.
    pub(crate) fn highlight(&self) -> Option<Value> {
        let is_shown = self.highlights && show::has_colours(self);
        is_shown.then(highlighting)
    }
}

/// Prints what would be sent, as Kibana's console and its kin take it.
pub(crate) fn print_all(settings: &Settings) -> Result<()> {
    let mut search = Search::new(settings.wanted_in_window(None)?).raw(
        "sort",
        json!([{"@timestamp": {"order": "asc", "unmapped_type": "date"}}]),
    );
    if let Some(count) = settings.count {
        search = search.size(count);
    }
    if let Some(highlight) = settings.highlight() {
        search = search.raw("highlight", highlight);
    }
    let body = serde_json::to_string_pretty(&search.to_json()?)?;
    for (_, urls) in &settings.clusters {
        let url = urls.first().map_or("", String::as_str);
        print(format_args!(
            "POST {url}/{}/_search\n{body}\n",
            settings.index
        ))?;
    }
    Ok(())
}
