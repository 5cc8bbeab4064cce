//! Logs: queries, searches, looks, tails and exports.

mod aggregation;
mod bulk;
mod client;
mod context;
mod export;
mod export_merge;
mod fields;
mod hit;
mod look;
mod merge;
mod pit;
mod query;
mod render;
mod tail;

pub(crate) use aggregation::Aggregation;
pub(crate) use bulk::{Bulk, BulkItem};
pub(crate) use client::{Client, LogServer};
pub(crate) use context::Excerpt;
pub(crate) use export::{Export, ExportPage, ExportPages, ExportProgress, ExportSummary};
pub(crate) use export_merge::ExportMerge;
pub(crate) use fields::{Fields, Validation};
pub(crate) use hit::{Hit, Page};
pub(crate) use look::{Histogram, Look, Top};
pub(crate) use merge::{TailEvent, TailMerge};
pub(crate) use pit::Pit;
pub(crate) use query::{Query, escape_kql, escape_lucene};
pub(crate) use render::Renderer;
pub(crate) use tail::{Notice, Tail, TailBatch, TailDocument};

use clusterops::logs::jiff::Timestamp;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

use crate::errors::Raised;

/// What `json.dumps` takes, and mappings of any class, as JSON.
fn value_of(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    let py = object.py();
    let others = PyDict::new(py);
    others.set_item("default", py.import("clusterops._json")?.getattr("plain")?)?;
    let text: String = py
        .import("json")?
        .call_method("dumps", (object,), Some(&others))?
        .extract()?;
    serde_json::from_str(&text).map_err(|error| Raised::invalid(format!("JSON: {error}")).into())
}

/// The instant that a `datetime` with a zone stands for.
fn instant_of(time: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    let text: String = time.call_method0("isoformat")?.extract()?;
    text.parse().map_err(|_| {
        let message = format!("`{text}` is no instant: it takes a datetime with a time zone");
        Raised::invalid(message).into()
    })
}
