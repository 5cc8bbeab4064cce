//! The pages of several exports as one.

use std::sync::Arc;

use clusterops::logs;
use clusterops::logs::jiff::Timestamp;
use clusterops::logs::merge::{self, Arrival, MergeOptions, Merged};
use clusterops::logs::{Error, ErrorKind};
use pyo3::prelude::*;
use serde_json::Value;
use tokio::sync::Mutex;

use super::export::{ExportPages, Paging};
use super::hit::Hit;
use crate::errors::{Raised, raise};
use crate::handing::{Handed, Kept, Source, awaited, blocking};
use crate::owned::Owned;
use crate::runtime::{handle, wait};
use crate::table::Table;

/// Several exports in one order, that of their documents' times: iterated (``for``, ``async for``) for names and hits.
///
/// Each export gives its oldest documents first (``oldest_first``, by a date), and documents without that field come last, in
/// the merge too. One that fails is given up: what it failed with is
/// raised once, and who goes on iterating gets the others. The pages belong to the merge from then on.
///
/// Parameters
/// ----------
/// pages : mapping
///     What `Export.pages` gave, by the names of the exports, such as those of clusters.
///
/// Raises
/// ------
/// InvalidError
///     An export is not in the order of a date, which may show only as it is read.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Export, ExportMerge
/// >>> eu = Export(client, "logs-*", query, oldest_first="@timestamp")  # doctest: +SKIP
/// >>> for name, hit in ExportMerge({"eu": eu.pages(), "us": us.pages()}):  # doctest: +SKIP
/// ...     print(name, hit.source["message"])
#[pyclass(module = "clusterops.logs", frozen)]
pub(crate) struct ExportMerge {
    merging: Owned<Arc<Merging>>,
    names: Vec<String>,
}

/// An export as a source of lines, and its name.
struct Reading(Arc<Paging>, String);

impl merge::Source for Reading {
    type Item = logs::Hit;
    type Mark = ();

    async fn next(&mut self) -> logs::Result<Option<Arrival<logs::Hit, ()>>> {
        let Some(page) = self.0.page().await? else {
            return Ok(None);
        };
        let hits = page.hits().map(|hit| {
            let hit = hit.to_hit()?;
            let time =
                time_of(&hit).ok_or_else(|| Error::new(ErrorKind::Input, not_by_time(&self.1)))?;
            Ok((Some(time), hit))
        });
        Ok(Some(Arrival::new(hits.collect::<logs::Result<Vec<_>>>()?)))
    }
}

/// When the document is from, by what the server sorted it by: milliseconds, or nanoseconds where the field knows them. These
/// are told apart by how many there are: no time before the year 5138 has as many milliseconds, and none after the second of
/// January 1970 as few nanoseconds.
fn time_of(hit: &logs::Hit) -> Option<Timestamp> {
    const LEAST_NANOSECONDS: u64 = 100_000_000_000_000;
    match hit.sort.first()? {
        // It has none, and comes last.
        Value::Null => Some(Timestamp::MAX),
        value => match value.as_i64()? {
            i64::MAX => Some(Timestamp::MAX),
            time if time.unsigned_abs() < LEAST_NANOSECONDS => {
                Timestamp::from_millisecond(time).ok()
            }
            time => Timestamp::from_nanosecond(time.into()).ok(),
        },
    }
}

/// What is told of an export that is in another order.
fn not_by_time(name: &str) -> String {
    format!(
        "the export `{name}` is not ordered by a date, oldest first; make it with `oldest_first=` and the field of the time"
    )
}

/// The merge, and what nobody has taken yet.
struct Merging {
    merge: Mutex<merge::Merge<logs::Hit, ()>>,
    kept: Kept<Option<(String, Hit)>>,
}

impl Source for Merging {
    type Piece = Option<(String, Hit)>;

    async fn fetch(self: Arc<Self>) {
        let mut merge = self.merge.lock().await;
        while !self.kept.is_there() {
            self.kept.keep(match merge.next().await {
                None => Ok(None),
                Some(Merged::Item { source, item, .. }) => {
                    Ok(Some((source.to_string(), Hit(item))))
                }
                Some(Merged::Failed { error, .. }) => Err(raise(error)),
                Some(_) => continue,
            });
        }
    }

    fn take(&self) -> Option<PyResult<Self::Piece>> {
        self.kept.take()
    }
}

impl ExportMerge {
    fn merging(&self) -> PyResult<&Arc<Merging>> {
        let names = self.names.join(", ");
        self.merging
            .get(format_args!("the merge of the exports {names}"))
    }
}

#[pymethods]
impl ExportMerge {
    #[new]
    fn new(pages: Table<Bound<'_, ExportPages>>) -> PyResult<Self> {
        // Each export is read in a task of its own.
        let _inside = handle()?.enter();
        let mut merge = merge::Merge::new(MergeOptions::sorted());
        for (name, pages) in &pages.0 {
            let paging = pages.get().source()?;
            if !paging.is_oldest_first {
                return Err(Raised::invalid(not_by_time(name)).into());
            }
            merge.add(name, Reading(Arc::clone(paging), name.clone()));
        }
        Ok(Self {
            merging: Owned::new(Arc::new(Merging {
                merge: Mutex::new(merge),
                kept: Kept::default(),
            })),
            names: pages.0.into_keys().collect(),
        })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<(String, Hit)>> {
        blocking(self.merging()?, |fetching| wait(py, fetching))
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(&self) -> PyResult<Handed> {
        Ok(awaited(self.merging()?).or_end())
    }

    fn __repr__(&self) -> String {
        format!("<ExportMerge of {}>", self.names.join(", "))
    }
}
