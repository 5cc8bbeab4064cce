//! What is there, and what is written from now on.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clusterops::logs::jiff::Timestamp;
use clusterops::logs::kql::Fields;
use clusterops::logs::merge::{Arrival, Merge, MergeOptions, Merged, Source};
use clusterops::logs::tail::{Batch, Document, Notice, Tail, Token};
use clusterops::logs::{Client, Error, ErrorKind, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::clusters::{Cluster, tell_left_out};
use crate::command_line;
use crate::output::{Unwritten, warn};
use crate::settings::Settings;
use crate::show::Printer;

/// The tail of a cluster. Kibana's language needs its fields first, which come once it answers.
struct Tailing {
    settings: Arc<Settings>,
    client: Client,
    /// Where it goes on, should it be begun anew.
    token: Option<String>,
    /// What the query was made from.
    fields: Option<Fields>,
    tail: Option<Tail>,
}

impl Tailing {
    async fn tail(&mut self) -> Result<&mut Tail> {
        let tail = match self.tail.take() {
            Some(tail) => tail,
            None => {
                self.fields = self.settings.fields(&self.client).await?;
                let token = self.token.as_deref();
                let tail = self
                    .settings
                    .tail(&self.client, self.fields.as_ref(), token);
                tail.map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?
            }
        };
        Ok(self.tail.insert(tail))
    }

    /// What comes next, found by the fields that there are: a new index can bring some by which more of it is meant, from
    /// its first document on.
    async fn batch(&mut self) -> Result<Batch> {
        loop {
            let batch = self.tail().await?.next().await?;
            if self.settings.needs_fields() {
                let is_new = |notice: &Notice| matches!(notice, Notice::Found { .. });
                if batch.notices.iter().any(is_new) {
                    // Without an answer, and with another one, it is begun anew where the last batch ended: this one comes
                    // again.
                    let tail = self.tail.take();
                    if self.settings.fields(&self.client).await? != self.fields {
                        continue;
                    }
                    self.tail = tail;
                }
                self.token = Some(batch.token.to_string());
            }
            return Ok(batch);
        }
    }
}

enum Piece {
    Document(Box<Document>),
    Notice(Notice),
}

impl Source for Tailing {
    type Item = Piece;
    type Mark = Token;

    async fn next(&mut self) -> Result<Option<Arrival<Piece, Token>>> {
        let batch = self.batch().await?;
        let notices = batch
            .notices
            .iter()
            .map(|notice| (None, Piece::Notice(notice.clone())));
        let documents = batch
            .documents
            .into_iter()
            .map(|document| (document.time, Piece::Document(Box::new(document))));
        Ok(Some(
            Arrival::new(notices.chain(documents)).mark(batch.token),
        ))
    }

    fn has_worked(&self) -> bool {
        self.tail.as_ref().is_some_and(Tail::has_worked)
    }
}

/// Where the tail of each cluster stands, by its name.
pub(crate) type State = BTreeMap<String, String>;

impl Settings {
    /// Where the tails stood when they ended, if that is to be gone on from.
    pub(crate) fn kept_state(&self) -> command_line::Result<State> {
        match (&self.resume, &self.state) {
            (Some(path), _) => read(path),
            (None, Some(path)) if path.exists() => read(path),
            (None, _) => Ok(State::new()),
        }
    }

    /// Says what a file that is gone on from means for what was asked.
    fn tell_kept(&self, state: &State, clusters: &[Cluster]) {
        let Some(path) = self.resume.as_ref().or(self.state.as_ref()) else {
            return;
        };
        if state.is_empty() {
            return;
        }
        let file = path.display();
        if self.resume.is_none() {
            warn(format_args!("loga: goes on from where {file} says"));
        }
        let knows = |cluster: &Cluster| state.contains_key(&cluster.name);
        if self.is_since_given && clusters.iter().all(knows) {
            warn(format_args!(
                "loga: --since has no effect where {file} says from when on"
            ));
        }
        for cluster in clusters {
            if !knows(cluster) {
                let name = match &*cluster.name {
                    "" => "that has no name",
                    name => name,
                };
                let since = self.since;
                warn(format_args!(
                    "loga: {file} does not know the cluster {name}, which begins at {since:.0}"
                ));
            }
        }
    }
}

pub(crate) async fn run(
    settings: &Settings,
    clusters: &[Cluster],
) -> command_line::Result<ExitCode> {
    let mut following = Following {
        settings,
        printer: Printer::new(settings),
        state: settings.kept_state()?,
        shown_to: None,
        clusters: clusters
            .iter()
            .map(|cluster| (&*cluster.name, (&cluster.client, Health::Well)))
            .collect(),
        left_out: 0,
    };
    if let Some(path) = &settings.state {
        check_writable(path)?;
    }
    // They stay, so that none is missed while a line is printed.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    settings.tell_kept(&following.state, clusters);
    let mut merge = Merge::new(MergeOptions::following());
    let shared = Arc::new(settings.clone());
    for cluster in clusters {
        let token = following.state.get(&cluster.name).cloned();
        // What is wrong with it is told at once where nobody needs to be asked.
        let tail = match settings.needs_fields() {
            true => None,
            false => Some(settings.tail(&cluster.client, None, token.as_deref())?),
        };
        let tailing = Tailing {
            settings: Arc::clone(&shared),
            client: cluster.client.clone(),
            token,
            fields: None,
            tail,
        };
        merge.add(&cluster.name, tailing);
    }
    let mut ticks = interval(SILENCE / 4);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while following.left_out < clusters.len() {
        let next = tokio::select! {
            next = merge.next() => next,
            _ = ticks.tick() => {
                following.tell_silent()?;
                continue;
            }
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
        };
        match next {
            Some(merged) => following.take(merged)?,
            None => break,
        }
    }
    following.end()
}

/// After which time a cluster that does not answer is told.
const SILENCE: Duration = Duration::from_secs(4);

/// What people know of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// It does not answer.
    Silent,
    /// Something went wrong, of which the end is told, too.
    Down,
}

/// How far it has come.
struct Following<'s> {
    settings: &'s Settings,
    printer: Printer,
    state: State,
    /// The latest time of a line that was shown.
    shown_to: Option<Timestamp>,
    clusters: BTreeMap<&'s str, (&'s Client, Health)>,
    left_out: usize,
}

impl Following<'_> {
    fn take(&mut self, merged: Merged<Piece, Token>) -> command_line::Result<()> {
        let (source, item, late) = match merged {
            Merged::Item { source, item, late } => (source, item, late),
            other => return self.note(other),
        };
        match item {
            Piece::Document(document) => self.show(&document, &source, late)?,
            Piece::Notice(notice) => {
                self.printer.flush()?;
                match notice {
                    Notice::Interrupted { .. } => self.is(&source, Health::Down),
                    Notice::Recovered => self.is(&source, Health::Well),
                    _ => {}
                }
                told(&source, &notice.to_string());
            }
        }
        Ok(())
    }

    fn show(&mut self, document: &Document, source: &str, late: bool) -> Result<(), Unwritten> {
        // One from the future is no place to go on from.
        let time = document.time.map(|time| time.min(Timestamp::now()));
        self.shown_to = self.shown_to.max(time);
        // One that is written anew comes again, where it was shown before.
        let is_updated = document.hit.version.is_some_and(|version| version > 1);
        // What the tail calls late was mostly held long enough to be shown in its place.
        let remark = match (late, is_updated) {
            (_, true) => Some("updated"),
            (true, false) => Some("late"),
            (false, false) => None,
        };
        self.printer.hit(&document.hit, source, remark)
    }

    /// What is no line: how far a cluster was followed, and what became of it. Lines stand before it.
    fn note(&mut self, merged: Merged<Piece, Token>) -> command_line::Result<()> {
        self.printer.flush()?;
        match merged {
            Merged::Mark { source, mark } => {
                if let Some(path) = &self.settings.state {
                    self.state.insert(source.to_string(), mark.to_string());
                    write(path, &self.state)?;
                }
            }
            Merged::Down { source, error } => {
                self.is(&source, Health::Down);
                told(&source, &format!("{error}; trying again"));
            }
            Merged::Back { source } => {
                self.is(&source, Health::Well);
                told(&source, AGAIN);
            }
            Merged::Failed { error, .. } if self.clusters.len() == 1 => return Err(error.into()),
            Merged::Failed { source, error } => {
                self.left_out += 1;
                self.is(&source, Health::Down);
                tell_left_out(&source, error);
            }
            _ => {}
        }
        Ok(())
    }

    fn is(&mut self, cluster: &str, health: Health) {
        if let Some((_, known)) = self.clusters.get_mut(cluster) {
            *known = health;
        }
    }

    /// Says which clusters do not answer, and which do again, of which nobody has said it.
    fn tell_silent(&mut self) -> Result<(), Unwritten> {
        for (name, (client, health)) in &mut self.clusters {
            let is_silent = client.unanswered().is_some_and(|span| span >= SILENCE);
            let (now, what) = match (*health, is_silent) {
                (Health::Well, true) => (
                    Health::Silent,
                    format!("no answer for {} s, waiting", SILENCE.as_secs()),
                ),
                (Health::Silent, false) => (Health::Well, AGAIN.to_owned()),
                _ => continue,
            };
            *health = now;
            // Lines stand before it.
            self.printer.flush()?;
            told(name, &what);
        }
        Ok(())
    }

    fn end(mut self) -> command_line::Result<ExitCode> {
        self.printer.flush()?;
        say_how_to_go_on(self.settings, self.shown_to);
        Ok(match self.left_out == self.clusters.len() {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}

/// What is said of a cluster that did not answer for a while.
const AGAIN: &str = "answers again";

/// Says something about a cluster.
fn told(cluster: &str, what: &str) {
    match cluster.is_empty() {
        true => warn(format_args!("loga: {what}")),
        false => warn(format_args!("loga: {cluster}: {what}")),
    }
}

fn say_how_to_go_on(settings: &Settings, shown_to: Option<Timestamp>) {
    match (&settings.state, shown_to) {
        (Some(path), _) if path.exists() => {
            warn(format_args!(
                "loga: `--resume {}` goes on from here",
                path.display()
            ));
        }
        (_, Some(time)) => warn(format_args!(
            "loga: `--since {time}` goes on from about here; `--state FILE` loses nothing and repeats at most a batch, or what was shown in the last half second"
        )),
        _ => {}
    }
}

fn read(path: &Path) -> command_line::Result<State> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name}: {error}; --state makes one"),
        _ => format!("{name}: {error}"),
    })?;
    Ok(serde_json::from_str(&text)
        .map_err(|error| format!("{name}: this is no file that --state has written: {error}"))?)
}

fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// What went wrong with a file, without the name of the one beside it that nobody knows.
fn unwritable(path: &Path, error: &std::io::Error) -> String {
    let why = error.to_string();
    let why = why.split(" at path ").next().unwrap_or_default();
    format!("{}: {why}", path.display())
}

/// Whether the file can be written, found out before anything is shown.
fn check_writable(path: &Path) -> command_line::Result<()> {
    if path.is_dir() {
        return Err(format!("{}: this is a folder", path.display()).into());
    }
    let file = tempfile::NamedTempFile::new_in(folder_of(path));
    file.map(drop)
        .map_err(|error| unwritable(path, &error).into())
}

/// Writes the file anew, whole or not at all.
fn write(path: &Path, state: &State) -> command_line::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder_of(path))?;
        file.write_all(serde_json::to_string(state)?.as_bytes())?;
        file.as_file().sync_data()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| unwritable(path, &error).into())
}
