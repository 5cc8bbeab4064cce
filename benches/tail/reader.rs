//! The process that tails, and what it leaves for those who look.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use clusterops::logs::tail::{Since, Tail, Token};
use clusterops::logs::{Client, Indices, Query, http::HttpOptions};
use serde_json::Value;

use crate::bench::Result;

/// The first argument with which the benchmark calls itself.
pub(crate) const MODE: &str = "reader";

pub(crate) struct Reader(Child);

/// How it finds documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    ByCheckpoint,
    /// With the overlap that a tail has by default.
    ByTime,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::ByCheckpoint => "by-checkpoint",
            Self::ByTime => "by-time",
        }
    }
}

/// What the readers of a run left, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) documents: HashSet<String>,
    pub(crate) repeated_in_window: usize,
    pub(crate) repeated_beyond_window: usize,
    pub(crate) lags_ms: Vec<f64>,
}

impl Reader {
    pub(crate) fn spawn(urls: &[String], pattern: &str, how: How, folder: &Path) -> Result<Self> {
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("out"))?;
        // The kill can have cut the last line.
        writeln!(log, "\nstarted")?;
        let child = Command::new(std::env::current_exe()?)
            .args([MODE, &urls.join(","), pattern, how.word()])
            .arg(folder)
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// How much was printed, which grows with what was read.
    pub(crate) fn count(folder: &Path) -> Result<u64> {
        Ok(std::fs::metadata(folder.join("out"))?.len())
    }

    pub(crate) fn result(folder: &Path) -> Result<Read> {
        let text = std::fs::read_to_string(folder.join("out"))?;
        let mut read = Read::default();
        // Since the last token that was kept.
        let mut unkept = Vec::new();
        let mut may_repeat = HashSet::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["kept"] => unkept.clear(),
                ["started"] => may_repeat.extend(unkept.drain(..)),
                [id, version, lag] => {
                    // Those who write do so once: a version tells of nothing but the first time.
                    let id = match version {
                        "1" => id.to_owned(),
                        _ => format!("{id}/{version}"),
                    };
                    if let Ok(lag) = lag.parse() {
                        read.lags_ms.push(lag);
                    }
                    unkept.push(id.clone());
                    if !read.documents.insert(id.clone()) {
                        match may_repeat.remove(&id) {
                            true => read.repeated_in_window += 1,
                            false => read.repeated_beyond_window += 1,
                        }
                    }
                }
                // Cut off by the kill.
                _ => {}
            }
        }
        Ok(read)
    }
}

/// Tails until it is killed: prints each document, then keeps the token.
pub(crate) async fn read(arguments: &[String]) -> Result<()> {
    let [urls, pattern, how, folder] = arguments else {
        return Err("the reader takes the nodes, the indices, how to read and its folder".into());
    };
    let folder = Path::new(folder);
    let urls: Vec<&str> = urls.split(',').collect();
    let client = Client::new(&urls, HttpOptions::default())?;
    let mut tail =
        Tail::new(&client, &Indices::new(pattern)?, &Query::match_all())?.since(Since::Start);
    if how == How::ByTime.word() {
        tail = tail.by_time();
    }
    let token = folder.join("token");
    if let Ok(text) = std::fs::read_to_string(&token) {
        tail = tail.resume(text.parse::<Token>()?)?;
    }
    let append = |name: &str| {
        File::options()
            .create(true)
            .append(true)
            .open(folder.join(name))
    };
    let mut out = BufWriter::new(append("out")?);
    let mut notices = append("notices")?;
    let keep = |token_text: String, out: &mut BufWriter<File>| -> Result<()> {
        let new = folder.join("token.new");
        std::fs::write(&new, token_text)?;
        std::fs::rename(&new, &token)?;
        writeln!(out, "kept")?;
        Ok(out.flush()?)
    };
    loop {
        let batch = tail.next().await?;
        for notice in &batch.notices {
            writeln!(notices, "{notice}")?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
        for document in &batch.documents {
            let source = document
                .hit
                .source
                .as_ref()
                .map_or("{}", |source| source.get());
            let written = written(source).unwrap_or(now);
            let version = document.hit.version.unwrap_or_default();
            writeln!(out, "{} {version} {:.1}", document.hit.id, now - written)?;
        }
        out.flush()?;
        keep(batch.token.to_string(), &mut out)?;
    }
}

/// When a document was written, in milliseconds since 1970.
fn written(source: &str) -> Option<f64> {
    serde_json::from_str::<Value>(source).ok()?["written"].as_f64()
}
