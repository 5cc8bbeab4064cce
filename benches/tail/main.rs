//! `cargo bench --bench tail`: whether a tail loses or repeats anything, on a real cluster of three OpenSearch nodes.
//!
//! 200,000 documents are indexed in bulk at full speed into three indices of three shards and one replica, with shuffled,
//! equal, future and years-old times. Meanwhile the process that tails them is killed (SIGKILL) ten times and continues from
//! its token; a node that holds primaries is killed and started again; an index is rolled over; the refresh interval changes.
//! All of it twice, with document and with segment replication. Beside it, over the same writing: a tail by time, killed at the
//! same moments, and Logasaurus's rule (a window of time each round, a size cap), not killed.
//!
//! What a restart may repeat is the batch whose token was not kept yet; whatever else comes twice is counted.
//! `cargo bench --bench tail -- DOCUMENTS` writes another number.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clusterops::logs::Client;
use clusterops::logs::http::{HttpOptions, HttpRequest};
use clusterops::secrecy::SecretString;
use serde_json::json;

#[path = "../support/mod.rs"]
mod bench;
mod peers;
mod reader;
mod writer;

use bench::Result;
use bench::figures::rounded;
use bench::servers::Servers;
use reader::{How, Reader};
use writer::Progress;

const DOCUMENTS: usize = 200_000;
const KILLS: usize = 10;
const SEED: u64 = 20_261_126;
/// How long nothing may come while something is still missing.
const PATIENCE: Duration = Duration::from_secs(90);

fn main() -> Result<()> {
    bench::dispatch(|mode, rest| match mode {
        Some(reader::MODE) => bench::on_two_threads()?.block_on(reader::read(rest)),
        documents => {
            let documents = documents.filter(|text| !text.starts_with('-'));
            let documents = documents.map_or(Ok(DOCUMENTS), str::parse)?;
            bench::on_two_threads()?.block_on(all(documents))
        }
    })
}

/// What came of one run.
#[derive(Debug, Default)]
struct Outcome {
    kills: usize,
    missing: usize,
    /// What came again in the window that is stated: the batch whose token was not kept.
    repeated_in_window: usize,
    repeated_beyond_window: usize,
    by_time_missing: usize,
    by_time_repeated_beyond_window: usize,
    logasaurus_missing: usize,
    lags_ms: Vec<f64>,
    seconds: f64,
}

async fn all(documents: usize) -> Result<()> {
    let mut servers = Servers::start("opensearch-2", 3, 2400)?;
    println!(
        "{:<12}{:>10}{:>7}{:>9}{:>10}{:>10}{:>14}{:>16}{:>12}{:>11}{:>11}{:>8}",
        "replication",
        "documents",
        "kills",
        "missing",
        "repeated",
        "beyond it",
        "by time lost",
        "Logasaurus lost",
        "docs/s",
        "lag p50 ms",
        "lag p99 ms",
        "s"
    );
    let mut outcomes = Vec::new();
    for replication in ["DOCUMENT", "SEGMENT"] {
        let mut outcome = run(&mut servers, documents, replication).await?;
        outcome.lags_ms.sort_by(f64::total_cmp);
        println!(
            "{:<12}{:>10}{:>7}{:>9}{:>10}{:>10}{:>14}{:>16}{:>12.0}{:>11.0}{:>11.0}{:>8.1}",
            replication.to_lowercase(),
            documents,
            outcome.kills,
            outcome.missing,
            outcome.repeated_in_window,
            outcome.repeated_beyond_window,
            outcome.by_time_missing,
            outcome.logasaurus_missing,
            documents as f64 / outcome.seconds,
            percentile(&outcome.lags_ms, 0.5),
            percentile(&outcome.lags_ms, 0.99),
            outcome.seconds,
        );
        outcomes.push(outcome);
    }
    println!(
        "repeated: in the batches whose tokens were not kept when the reader was killed; beyond it by time: {}",
        outcomes
            .iter()
            .map(|outcome| outcome.by_time_repeated_beyond_window)
            .sum::<usize>()
    );
    let sum = |figure: fn(&Outcome) -> usize| outcomes.iter().map(figure).sum::<usize>();
    let mut lags: Vec<f64> = outcomes
        .iter()
        .flat_map(|outcome| outcome.lags_ms.clone())
        .collect();
    lags.sort_by(f64::total_cmp);
    let figures = json!({
        "runs": outcomes.len(),
        "documents": documents,
        "kills": outcomes.iter().map(|outcome| outcome.kills).min(),
        "missing": sum(|outcome| outcome.missing),
        "repeated_beyond_window": sum(|outcome| outcome.repeated_beyond_window),
        "watermark_missing": sum(|outcome| outcome.by_time_missing),
        "watermark_repeated_beyond_window": sum(|outcome| outcome.by_time_repeated_beyond_window),
        "logasaurus_missing": sum(|outcome| outcome.logasaurus_missing),
        "lag_p50_ms": rounded(percentile(&lags, 0.5)),
        "lag_p99_ms": rounded(percentile(&lags, 0.99)),
    });
    println!("{figures}");
    Ok(())
}

async fn run(servers: &mut Servers, documents: usize, replication: &str) -> Result<Outcome> {
    let urls = servers.urls();
    let client = Client::new(&urls, HttpOptions::default())?;
    let prefix = format!("bench-{}", replication.to_lowercase());
    let pattern = format!("{prefix}-*");
    writer::make(&client, &prefix, replication).await?;
    let (folder, folder_by_time) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let progress = Arc::new(Progress::default());

    let mut random = fastrand::Rng::with_seed(SEED);
    let spawn = || Reader::spawn(&urls, &pattern, How::ByCheckpoint, folder.path());
    let spawn_by_time = || Reader::spawn(&urls, &pattern, How::ByTime, folder_by_time.path());
    let (mut reader, mut by_time) = (spawn()?, spawn_by_time()?);
    let logasaurus = tokio::spawn(peers::logasaurus(
        client.clone(),
        pattern.clone(),
        Arc::clone(&progress),
    ));
    let began = Instant::now();
    let writing = tokio::spawn(writer::write(
        client.clone(),
        prefix.clone(),
        documents,
        SEED,
        Arc::clone(&progress),
    ));

    // What happens meanwhile, by the part of the documents that is written.
    let mut events = vec![
        (0.70, Event::Refresh("5s")),
        (0.60, Event::StartNode),
        (0.45, Event::Refresh("200ms")),
        (0.35, Event::KillNode),
        (0.20, Event::Refresh("-1")),
    ];
    let mut killed_node = None;
    let mut kills = 0;
    // After so many documents, which is anywhere in its rounds.
    let mut moments: Vec<usize> = (0..KILLS)
        .map(|_| random.usize(documents / 20..documents * 19 / 20))
        .collect();
    moments.sort_unstable_by(|a, b| b.cmp(a));
    let (mut last_count, mut last_moved) = (0, Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let written = progress.written.load(Ordering::Relaxed);
        if let Some((_, event)) =
            events.pop_if(|(part, _)| written as f64 >= *part * documents as f64)
        {
            match event {
                Event::Refresh(interval) => set_refresh(&client, &pattern, interval).await?,
                Event::KillNode => {
                    let node = peers::node_with_primaries(&client, &pattern, servers).await?;
                    servers.kill(node)?;
                    killed_node = Some(node);
                }
                Event::StartNode => {
                    if let Some(node) = killed_node.take() {
                        tokio::task::block_in_place(|| servers.start_again(node))?;
                    }
                }
            }
        }
        if moments.pop_if(|moment| written >= *moment).is_some() {
            reader.kill()?;
            by_time.kill()?;
            kills += 1;
            (reader, by_time) = (spawn()?, spawn_by_time()?);
        }
        let count = Reader::count(folder.path())?;
        if count != last_count {
            (last_count, last_moved) = (count, Instant::now());
        }
        if writing.is_finished() && kills == KILLS && events.is_empty() {
            let all = Reader::result(folder.path())?.documents.len() >= documents;
            // A document that comes twice would come after its first time.
            let settled = last_moved.elapsed() > Duration::from_secs(5);
            if (all && settled) || last_moved.elapsed() > PATIENCE {
                break;
            }
        }
    }
    reader.kill()?;
    by_time.kill()?;
    writing.await??;
    let seconds = progress.seconds(began);
    progress.ended.store(true, Ordering::Relaxed);
    let logasaurus = logasaurus.await??;

    let read = Reader::result(folder.path())?;
    let read_by_time = Reader::result(folder_by_time.path())?;
    let lost = |seen: &HashSet<String>| {
        let is_lost = |n: &usize| !seen.contains(&n.to_string());
        (0..documents).filter(is_lost).count()
    };
    let outcome = Outcome {
        kills,
        missing: lost(&read.documents),
        repeated_in_window: read.repeated_in_window,
        repeated_beyond_window: read.repeated_beyond_window,
        by_time_missing: lost(&read_by_time.documents),
        by_time_repeated_beyond_window: read_by_time.repeated_beyond_window,
        logasaurus_missing: lost(&logasaurus),
        lags_ms: read.lags_ms,
        seconds,
    };
    keep_on_failure(&outcome, folder.path());
    writer::remove(&client, &pattern).await?;
    Ok(outcome)
}

enum Event {
    Refresh(&'static str),
    KillNode,
    StartNode,
}

async fn set_refresh(client: &Client, pattern: &str, interval: &str) -> Result<()> {
    let body = json!({"index": {"refresh_interval": interval}}).to_string();
    let request = HttpRequest::put(format!("/{pattern}/_settings")).json(&SecretString::from(body));
    client.send(request).await?;
    Ok(())
}

/// Says what came wrong, with what the reader printed to its error output.
fn keep_on_failure(outcome: &Outcome, folder: &Path) {
    if outcome.missing > 0 || outcome.repeated_beyond_window > 0 {
        let said = std::fs::read_to_string(folder.join("notices")).unwrap_or_default();
        eprintln!("the reader said:\n{said}");
    }
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
