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
use clusterops::logs::{Export, Hit, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::clusters::{Cluster, tell_left_out};
use crate::settings::Settings;
use crate::show::Printer;
use crate::{command_line, warn};

/// An export, of which pages are read when they are needed.
struct Reading {
    export: Export,
    pages: Option<Pages>,
    /// Whether lines are merged, for which their times are needed.
    is_one_of_several: bool,
    /// Whether no more is wanted.
    enough: Arc<AtomicBool>,
}

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
                let pages = self.pages.insert(self.export.start().await?);
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
    for cluster in clusters {
        let fields = match settings.fields(&cluster.client).await {
            Ok(fields) => fields,
            Err(error) if clusters.len() > 1 => {
                left_out(&cluster.name, error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let reading = Reading {
            export: settings.export(&cluster.client, fields.as_ref())?,
            pages: None,
            is_one_of_several: clusters.len() > 1,
            enough: Arc::clone(&enough),
        };
        merge.add(&cluster.name, reading);
    }
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut printer = Printer::new(settings);
    let most = settings.count.map_or(u64::MAX, u64::from);
    while printer.lines < most {
        let next = tokio::select! {
            next = merge.next() => next,
            _ = interrupted.recv() => break,
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
    printer.flush()?;
    // Points in time would stay open for minutes, and servers allow a few hundred.
    enough.store(true, Ordering::Relaxed);
    let end = async { while merge.next().await.is_some() {} };
    let _ = tokio::time::timeout(CLOSING, end).await;
    if printer.lines == 0 {
        for cluster in clusters {
            tell_nothing_matches(settings, cluster).await;
        }
    }
    Ok(code)
}

/// Says that there are no indices, where that is why nothing was found. Where it cannot be found out, nothing is said.
pub(crate) async fn tell_nothing_matches(settings: &Settings, cluster: &Cluster) {
    if let Ok(found) = cluster.client.resolve(&settings.indices).await
        && found.indices.is_empty()
        && found.aliases.is_empty()
        && found.data_streams.is_empty()
    {
        let of = match &*cluster.name {
            "" => String::new(),
            name => format!(" of {name}"),
        };
        let index = Printable(settings.indices.as_str());
        warn(format_args!(
            "loga: no index{of} matches `{index}`; --index names others"
        ));
    }
}
