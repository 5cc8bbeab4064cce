//! Documents at full speed, each written exactly once.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clusterops::logs::Client;
use clusterops::logs::http::HttpRequest;
use clusterops::secrecy::{SecretSlice, SecretString};
use serde_json::{Value, json};

use crate::bench::Result;

/// How far the writing has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) written: AtomicUsize,
    /// Whether the readers beside the tail have had their time.
    pub(crate) ended: AtomicBool,
    finished: Mutex<Option<Instant>>,
}

impl Progress {
    /// How long the writing took.
    pub(crate) fn seconds(&self, began: Instant) -> f64 {
        let finished = self.finished.lock().ok().and_then(|finished| *finished);
        finished.map_or(f64::NAN, |finished| (finished - began).as_secs_f64())
    }
}

const WRITERS: [&str; 3] = ["a", "b", "c"];
const BULK: usize = 500;

/// Makes three indices of three shards, each behind an alias to write by.
pub(crate) async fn make(client: &Client, prefix: &str, replication: &str) -> Result<()> {
    for writer in WRITERS {
        let body = json!({
            "settings": settings(replication),
            "mappings": mappings(),
            "aliases": {format!("{prefix}.{writer}"): {"is_write_index": true}},
        });
        let request = HttpRequest::put(format!("/{prefix}-{writer}-000001"))
            .json(&SecretString::from(body.to_string()));
        client.send(request.repeatable(false)).await?;
    }
    let request = HttpRequest::get(format!("/_cluster/health/{prefix}-*"))
        .query("wait_for_status", "green")
        .query("timeout", "60s");
    client
        .send(request.deadline(Duration::from_secs(70)))
        .await?;
    Ok(())
}

pub(crate) async fn remove(client: &Client, pattern: &str) -> Result<()> {
    client
        .send(HttpRequest::delete(format!("/{pattern}")))
        .await?;
    Ok(())
}

fn settings(replication: &str) -> Value {
    json!({"number_of_shards": 3, "number_of_replicas": 1, "index.replication.type": replication,
        "index.unassigned.node_left.delayed_timeout": "0"})
}

fn mappings() -> Value {
    json!({"properties": {"@timestamp": {"type": "date"}, "message": {"type": "text"}, "written": {"type": "double"}}})
}

/// Writes so many documents, whose ids are their numbers, by three writers at once.
pub(crate) async fn write(
    client: Client,
    prefix: String,
    documents: usize,
    seed: u64,
    progress: Arc<Progress>,
) -> Result<()> {
    let mut writers = Vec::new();
    for (number, writer) in WRITERS.into_iter().enumerate() {
        let numbers: Vec<usize> = (number..documents).step_by(WRITERS.len()).collect();
        let alias = format!("{prefix}.{writer}");
        let (client, progress) = (client.clone(), Arc::clone(&progress));
        let random = fastrand::Rng::with_seed(seed + number as u64);
        let rolls = writer == "b";
        let replication = prefix.rsplit('-').next().unwrap_or_default().to_uppercase();
        writers.push(tokio::spawn(async move {
            one(client, alias, numbers, rolls, replication, random, progress).await
        }));
    }
    for writer in writers {
        writer.await??;
    }
    if let Ok(mut finished) = progress.finished.lock() {
        *finished = Some(Instant::now());
    }
    Ok(())
}

async fn one(
    client: Client,
    alias: String,
    numbers: Vec<usize>,
    rolls: bool,
    replication: String,
    mut random: fastrand::Rng,
    progress: Arc<Progress>,
) -> Result<()> {
    let mut rolled = !rolls;
    for (part, bulk) in numbers.chunks(BULK).enumerate() {
        if !rolled && part * BULK > numbers.len() / 2 {
            let body = json!({"settings": settings(&replication), "mappings": mappings()});
            let request = HttpRequest::post(format!("/{alias}/_rollover"))
                .json(&SecretString::from(body.to_string()));
            client.send(request).await?;
            rolled = true;
        }
        let mut waiting: Vec<(usize, String)> = bulk
            .iter()
            .map(|number| (*number, document(*number, &mut random)))
            .collect();
        while !waiting.is_empty() {
            // One that was written by an attempt whose answer was lost is there already, and stays the one it is.
            let lines: String = waiting
                .iter()
                .map(|(number, document)| {
                    format!("{{\"create\":{{\"_id\":\"{number}\"}}}}\n{document}\n")
                })
                .collect();
            let request = HttpRequest::post(format!("/{alias}/_bulk"))
                .body(
                    "application/x-ndjson",
                    &SecretSlice::from(lines.into_bytes()),
                )
                .repeatable(true);
            let before = waiting.len();
            if let Ok(answer) = client.json::<Value>(request).await {
                let items = answer["items"].as_array().cloned().unwrap_or_default();
                let mut items = items.iter().map(|item| item["create"]["status"].as_u64());
                waiting.retain(|_| !matches!(items.next(), Some(Some(201 | 409))));
            }
            progress
                .written
                .fetch_add(before - waiting.len(), Ordering::Relaxed);
            if !waiting.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

/// A log line whose time says little of when it is written.
fn document(number: usize, random: &mut fastrand::Rng) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
        * 1000.0;
    let time = match random.u32(0..10) {
        // Shuffled within half a minute.
        0..=5 => now - random.f64() * 30_000.0,
        6 | 7 => (now / 60_000.0).floor() * 60_000.0,
        8 => now + random.f64() * 1e9,
        _ => now - random.f64() * 1e11,
    };
    let message = "GET /api/v1/things/17 took 12 ms and answered 200 to a client of no importance";
    format!(
        r#"{{"@timestamp":{},"written":{now:.1},"message":"{message} {number}","host":{{"name":"web-{}"}}}}"#,
        time as i64,
        random.u32(0..50)
    )
}
