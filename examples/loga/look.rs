//! Questions about logs: how many, when, which values, and what stood around.

use std::io::stdout;
use std::process::ExitCode;

use clusterops::core::Printable;
use clusterops::logs::ErrorKind;
use clusterops::logs::look::Drawing;
use rustix::termios::tcgetwinsize;

use crate::clusters::{Cluster, tell_left_out};
use crate::command_line;
use crate::once::tell_nothing_matches;
use crate::output::warn;
use crate::settings::{Settings, What};
use crate::show::Printer;

/// How many columns a histogram has for its intervals, about.
const INTERVALS: usize = 60;

pub(crate) async fn run(
    settings: &Settings,
    clusters: &[Cluster],
) -> command_line::Result<ExitCode> {
    let mut printer = Printer::new(settings);
    let mut code = ExitCode::SUCCESS;
    for cluster in clusters {
        let answered = tokio::select! {
            answered = answer(settings, cluster, &mut printer) => answered,
            _ = tokio::signal::ctrl_c() => break,
        };
        printer.flush()?;
        match answered {
            Err(error) if clusters.len() > 1 && error.is::<clusterops::logs::Error>() => {
                if let Ok(error) = error.downcast() {
                    tell_left_out(&cluster.name, *error);
                }
                code = ExitCode::FAILURE;
            }
            answered => answered?,
        }
    }
    Ok(code)
}

async fn answer(
    settings: &Settings,
    cluster: &Cluster,
    printer: &mut Printer,
) -> command_line::Result<()> {
    let fields = settings.fields(&cluster.client).await?;
    let look = settings.look(&cluster.client, fields.as_ref())?;
    let name = &*cluster.name;
    let mark = match name {
        "" => String::new(),
        name => format!("[{}] ", Printable(name)),
    };
    let is_empty = match &settings.what {
        What::Count => {
            let count = look.count().await?;
            printer.text(&format!("{mark}{count}"))?;
            count == 0
        }
        What::Histogram => {
            let histogram = look.histogram(INTERVALS).await?;
            let width = tcgetwinsize(stdout()).map_or(80, |size| usize::from(size.ws_col).max(20));
            let drawing = Drawing::new(width, 8).time_zone(settings.zone.clone());
            let (total, seconds) = (histogram.total(), histogram.interval.as_secs_f64());
            printer.text(&format!("{mark}{total}, each column {seconds} s or more"))?;
            printer.text(drawing.draw(&histogram).trim_end_matches('\n'))?;
            total == 0
        }
        What::Top(field) => {
            let top = match look.top(field, settings.count.unwrap_or(10)).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    tell_nothing_matches(settings, cluster).await;
                    return Err(error.into());
                }
                top => top?,
            };
            for value in &top.values {
                let (count, value) = (value.count, Printable(&value.value));
                printer.text(&format!("{mark}{count:>9} {value}"))?;
            }
            if top.other > 0 {
                printer.text(&format!("{mark}{:>9} others", top.other))?;
            }
            if !top.is_exact() {
                printer.flush()?;
                warn(format_args!(
                    "loga: {mark}each count may be too low, by {} at most, since shards tell of their most frequent values only",
                    top.error_bound
                ));
            }
            top.values.is_empty()
        }
        What::Context(context) => {
            let most = settings.count.map_or(500, |count| count as usize);
            let excerpts = look.excerpts(context, most).await?;
            for (number, excerpt) in excerpts.iter().enumerate() {
                if number > 0 {
                    printer.text("--")?;
                }
                for line in &excerpt.lines {
                    printer.line(line, name)?;
                }
            }
            excerpts.is_empty()
        }
        What::Lines | What::Follow => false,
    };
    if is_empty {
        printer.flush()?;
        tell_nothing_matches(settings, cluster).await;
    }
    Ok(())
}
