//! Questions about logs: how many, when, which values, and what stood around.

use std::io::stdout;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clusterops::core::Printable;
use clusterops::logs::look::{Drawing, Excerpt, Histogram, Top};
use clusterops::logs::render;
use clusterops::logs::{Client, Error, ErrorKind, Result};
use rustix::termios::tcgetwinsize;
use tokio::task::JoinSet;

use crate::clusters::{Cluster, tell_left_out};
use crate::command_line;
use crate::once::{Signals, nothing_matches, stopped_by, tell_nothing_matches};
use crate::output::{Unwritten, warn};
use crate::settings::{Settings, What};
use crate::show::Printer;

/// How many columns a histogram has for its intervals, about.
const INTERVALS: usize = 60;

/// What a cluster says to a question.
enum Answer {
    Count(u64),
    /// And how many lie in the future, which it does not show.
    Histogram(Histogram, u64),
    Top(Top),
    Excerpts(Vec<Excerpt>),
}

impl Answer {
    fn is_empty(&self) -> bool {
        match self {
            Self::Count(count) => *count == 0,
            Self::Histogram(histogram, future) => histogram.total() + future == 0,
            Self::Top(top) => top.values.is_empty(),
            Self::Excerpts(excerpts) => excerpts.is_empty(),
        }
    }
}

/// All clusters are asked at once, and each answer is shown when it comes; lines with those around them in the order of their
/// times, when all are there.
pub(crate) async fn run(
    settings: &Settings,
    clusters: &[Cluster],
) -> command_line::Result<ExitCode> {
    let mut printer = Printer::new(settings);
    let mut excerpts: Vec<(String, Excerpt)> = Vec::new();
    let mut code = ExitCode::SUCCESS;
    let mut signals = Signals::new()?;
    let mut asked = JoinSet::new();
    let shared = Arc::new(settings.clone());
    for cluster in clusters {
        let (name, client) = (cluster.name.clone(), cluster.client.clone());
        let settings = Arc::clone(&shared);
        asked.spawn(async move {
            let answer = ask(&settings, &client).await;
            let is_empty = match &answer {
                Ok(answer) => answer.is_empty(),
                Err(error) => error.kind() == ErrorKind::NotFound,
            };
            (
                name,
                answer,
                is_empty && nothing_matches(&settings, &client).await,
            )
        });
    }
    loop {
        let answered = tokio::select! {
            answered = asked.join_next() => answered,
            signal = signals.next() => {
                code = stopped_by(signal);
                break;
            }
        };
        let Some(answered) = answered else { break };
        let (name, answer, nothing_matches) = answered?;
        let failed = match answer {
            Ok(Answer::Excerpts(found)) => {
                excerpts.extend(found.into_iter().map(|excerpt| (name.clone(), excerpt)));
                None
            }
            Ok(answer) => {
                show(settings, &answer, &name, &mut printer)?;
                None
            }
            Err(error) => Some(error),
        };
        printer.flush()?;
        if nothing_matches {
            tell_nothing_matches(settings, &name);
        }
        match failed {
            Some(error) if clusters.len() == 1 => return Err(error.into()),
            Some(error) => {
                tell_left_out(&name, error);
                code = ExitCode::FAILURE;
            }
            None => {}
        }
    }
    let begins = |(_, excerpt): &(String, Excerpt)| {
        let first = excerpt.lines.first();
        first.and_then(|line| render::Line::of(&line.hit).time)
    };
    if clusters.len() > 1 {
        let place = |name: &str| clusters.iter().position(|cluster| cluster.name == name);
        excerpts.sort_by_cached_key(|found| (begins(found), place(&found.0)));
    }
    let nameless = excerpts.iter().filter(|(_, found)| found.origin.is_empty());
    let nameless = nameless.map(|(_, found)| found.lines.len()).sum::<usize>();
    for (number, (name, excerpt)) in excerpts.iter().enumerate() {
        if number > 0 {
            printer.text("--")?;
        }
        for line in &excerpt.lines {
            printer.line(line, name)?;
        }
    }
    printer.flush()?;
    if nameless > 0 {
        warn(format_args!(
            "loga: {nameless} lines name no host, container or service, so nothing is known to stand around them"
        ));
    }
    Ok(code)
}

async fn ask(settings: &Settings, client: &Client) -> Result<Answer> {
    let fields = settings.checked_fields(client).await?;
    let look = |settings: &Settings| {
        let look = settings.look(client, fields.as_ref());
        look.map_err(|error| Error::new(ErrorKind::Input, error.to_string()))
    };
    if let (What::Histogram, None) = (&settings.what, settings.until) {
        let (past, mut future) = (settings.past(), settings.clone());
        future.since = settings.since.max(past.until.unwrap_or(settings.since));
        let histogram = look(&past)?.histogram(INTERVALS).await?;
        let future = look(&future)?.count().await?;
        return Ok(Answer::Histogram(histogram, future));
    }
    let look = look(settings)?;
    Ok(match &settings.what {
        What::Histogram => Answer::Histogram(look.histogram(INTERVALS).await?, 0),
        What::Top(field) => Answer::Top(look.top(field, settings.top_values()).await?),
        What::Context(context) => {
            Answer::Excerpts(look.excerpts(context, settings.excerpts()).await?)
        }
        What::Count | What::Lines | What::Follow => Answer::Count(look.count().await?),
    })
}

/// A span in the largest unit of which it is a multiple.
fn span(span: Duration) -> String {
    let milliseconds = span.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1000, "s"),
    ];
    let unit = units
        .iter()
        .find(|(unit, _)| milliseconds.is_multiple_of(*unit));
    match unit.filter(|_| milliseconds > 0) {
        Some((unit, name)) => format!("{} {name}", milliseconds / unit),
        None => format!("{milliseconds} ms"),
    }
}

fn show(
    settings: &Settings,
    answer: &Answer,
    name: &str,
    printer: &mut Printer,
) -> std::result::Result<(), Unwritten> {
    let mark = match name {
        "" => String::new(),
        name => format!("[{}] ", Printable(name)),
    };
    match answer {
        Answer::Count(count) => printer.text(&format!("{mark}{count}"))?,
        Answer::Histogram(histogram, future) => {
            let width = tcgetwinsize(stdout()).map_or(80, |size| usize::from(size.ws_col).max(20));
            let drawing = Drawing::new(width, 8).time_zone(settings.zone.clone());
            let (total, column) = (histogram.total(), span(histogram.interval));
            printer.text(&format!("{mark}{total}, each column {column} or more"))?;
            printer.text(drawing.draw(histogram).trim_end_matches('\n'))?;
            if *future > 0 {
                printer.text(&format!("{mark}{future} more lie in the future"))?;
            }
        }
        Answer::Top(top) => {
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
        }
        // They wait for those of the other clusters.
        Answer::Excerpts(_) => {}
    }
    Ok(())
}
