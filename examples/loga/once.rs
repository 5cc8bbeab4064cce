//! What is there, and then the end.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clusterops::core::Printable;
use clusterops::logs::export::Pages;
use clusterops::logs::jiff::Timestamp;
use clusterops::logs::merge::{Arrival, Merge, MergeOptions, Merged, Source};
use clusterops::logs::render::Line;
use clusterops::logs::{Client, Error, ErrorKind, Hit, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clusters::{Cluster, tell_left_out};
use crate::settings::Settings;
use crate::show::Printer;
use crate::{command_line, warn};

/// An export, of which pages are read when they are needed.
struct Reading {
    settings: Arc<Settings>,
    client: Client,
    pages: Option<Pages>,
    /// Whether lines are merged, for which their times are needed.
    is_one_of_several: bool,
    /// Whether no more is wanted.
    enough: Arc<AtomicBool>,
}

/// After how long it is told whom all wait for.
const SILENCE: Duration = Duration::from_secs(4);

/// How long servers may take to let go of what they hold for an export.
const CLOSING: Duration = Duration::from_secs(5);

impl Source for Reading {
    type Item = Hit;
    type Mark = ();

    async fn next(&mut self) -> Result<Option<Arrival<Hit, ()>>> {
        let page = match &mut self.pages {
            _ if self.enough.load(Ordering::Relaxed) => None,
            Some(pages) => pages.next().await?,
            None => {
                // Not before, so that no cluster waits for the fields of another.
                let fields = self.settings.checked_fields(&self.client).await?;
                let export = self.settings.export(&self.client, fields.as_ref());
                let export =
                    export.map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
                let pages = self.pages.insert(export.start().await?);
                pages.next().await?
            }
        };
        let Some(page) = page else {
            if let Some(pages) = self.pages.take() {
                pages.close().await;
            }
            return Ok(None);
        };
        let mut items: Vec<(Option<Timestamp>, Hit)> = Vec::with_capacity(page.len());
        for hit in page.hits() {
            let hit = hit.to_hit()?;
            let time = self
                .is_one_of_several
                .then(|| Line::of(&hit).time)
                .flatten();
            items.push((time, hit));
        }
        Ok(Some(Arrival::new(items)))
    }
}

pub(crate) async fn run(
    settings: &Settings,
    clusters: &[Cluster],
) -> command_line::Result<ExitCode> {
    let mut merge = Merge::new(MergeOptions::sorted());
    let enough = Arc::new(AtomicBool::new(false));
    let mut code = ExitCode::SUCCESS;
    let mut left_out = |source: &str, error| {
        tell_left_out(source, error);
        code = ExitCode::FAILURE;
    };
    let shared = Arc::new(settings.clone());
    for cluster in clusters {
        let reading = Reading {
            settings: Arc::clone(&shared),
            client: cluster.client.clone(),
            pages: None,
            is_one_of_several: clusters.len() > 1,
            enough: Arc::clone(&enough),
        };
        merge.add(&cluster.name, reading);
    }
    let mut signals = Signals::new()?;
    let mut stopped = None;
    let mut is_wait_told = false;
    let mut printer = Printer::new(settings);
    let most = settings.count.map_or(u64::MAX, u64::from);
    let shown: command_line::Result<()> = async {
        while printer.lines < most {
            let next = tokio::select! {
                next = tokio::time::timeout(SILENCE, merge.next()) => next,
                signal = signals.next() => {
                    stopped = Some(signal);
                    break;
                }
            };
            let Ok(next) = next else {
                let awaited: Vec<&str> = merge.awaited().filter(|name| !name.is_empty()).collect();
                if !is_wait_told && !awaited.is_empty() {
                    is_wait_told = true;
                    warn(format_args!(
                        "loga: nothing comes yet from {}, and nothing is shown before",
                        awaited.join(", ")
                    ));
                }
                continue;
            };
            match next {
                None => break,
                Some(Merged::Item { source, item, .. }) => printer.hit(&item, &source, None)?,
                Some(Merged::Failed { source, error }) => {
                    printer.flush()?;
                    if clusters.len() == 1 {
                        return Err(error.into());
                    }
                    left_out(&source, error);
                }
                Some(_) => {}
            }
        }
        Ok(printer.flush()?)
    }
    .await;
    // Points in time would stay open for minutes, and servers allow a few hundred.
    enough.store(true, Ordering::Relaxed);
    let end = async { while merge.next().await.is_some() {} };
    let _ = tokio::time::timeout(CLOSING, end).await;
    shown?;
    if let Some(signal) = stopped {
        return Ok(stopped_by(signal));
    }
    if printer.lines == 0 {
        for cluster in clusters {
            if nothing_matches(&shared, &cluster.client).await {
                tell_nothing_matches(settings, &cluster.name);
            }
        }
    }
    Ok(code)
}

/// What asks the program to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The number of the next one.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

/// How long the program has to come to its end when a signal asks for it: longer than servers have.
const PATIENCE: Duration = Duration::from_secs(10);

/// From now on a signal ends the program though it waits for somebody to read what it prints; a second one ends it at once.
pub(crate) fn end_when_told() -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let signal = signals.next().await;
        // Either is reason enough.
        let _ = tokio::time::timeout(PATIENCE, signals.next()).await;
        std::process::exit(128 + i32::from(signal));
    });
    Ok(())
}

/// Says that what was shown is not all, and how the program ends then: as a shell tells of a signal.
pub(crate) fn stopped_by(signal: u8) -> ExitCode {
    warn(format_args!(
        "loga: stopped by a signal; what is shown is not all"
    ));
    ExitCode::from(128 + signal)
}

/// Whether there are no indices, which is why nothing was found; not so where it cannot be found out.
pub(crate) async fn nothing_matches(settings: &Settings, client: &Client) -> bool {
    match client.resolve(&settings.indices).await {
        Ok(found) => {
            found.indices.is_empty() && found.aliases.is_empty() && found.data_streams.is_empty()
        }
        // As for a name without wildcards.
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Says that there are no indices.
pub(crate) fn tell_nothing_matches(settings: &Settings, cluster: &str) {
    let of = match cluster {
        "" => String::new(),
        name => format!(" of {name}"),
    };
    let index = Printable(settings.indices.as_str());
    warn(format_args!(
        "loga: no index{of} matches `{index}`; --index names others"
    ));
}
