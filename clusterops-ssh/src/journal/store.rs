//! The file of a journal.

use std::collections::HashMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clusterops_core::Target;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use serde::Serialize;

use super::record::{Head, Known, RecordedHost, RecordedMode, State};
use super::trouble::{cannot, damaged, failed, from_json, from_json_if_any, unreadable};
use crate::report::{Ending, HostReport, InFlight, StageReport};
use crate::{Error, ErrorKind, Result};

/// Says that a SQLite file is a journal (`PRAGMA application_id`): "cops".
const APPLICATION: i32 = 0x636f_7073;

/// The version of the file's form that this version of the crate writes and reads (`PRAGMA user_version`).
const FORMAT: i32 = 1;

/// How long a controller that is just ending may take to let the file go.
const PATIENCE: Duration = Duration::from_secs(1);

/// A host's place is that of its target; hosts that are no targets follow. A stage's place counts through the stages of the
/// first host, then those of the second, and so on.
const SCHEMA: &str = "
    CREATE TABLE run (
        id TEXT NOT NULL, started TEXT NOT NULL, plan TEXT NOT NULL, plan_digest TEXT NOT NULL, terms TEXT NOT NULL,
        files TEXT NOT NULL, mode TEXT, ending TEXT
    ) STRICT;
    CREATE TABLE hosts (
        place INTEGER PRIMARY KEY, target TEXT, state TEXT NOT NULL, report TEXT NOT NULL, in_flight TEXT
    ) STRICT;
    CREATE TABLE stages (place INTEGER PRIMARY KEY, report TEXT NOT NULL) STRICT;
";

/// A journal's file. Nobody else has it open.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
    /// Which file was opened, wherever the working directory is later: its device and inode.
    file: (PathBuf, Option<(u64, u64)>),
    /// Whether it is ours and nothing was written to it yet.
    is_empty: bool,
    /// Whether it holds a run without an ending.
    goes_on: bool,
    /// How many stages the plan has.
    stages: usize,
}

/// Why something was not noted.
#[derive(Debug)]
pub(crate) enum NotNoted {
    /// What is written to a file without a name is lost.
    Gone,
    Failed(rusqlite::Error),
}

/// Something to be noted.
#[derive(Debug)]
pub(crate) enum Change {
    Host(HostChange),
    Mode(RecordedMode),
    Ending(Ending),
}

/// What is known of a host now.
#[derive(Debug)]
pub(crate) struct HostChange {
    pub(crate) place: usize,
    pub(crate) state: State,
    /// As JSON, without stages.
    pub(crate) report: String,
    pub(crate) in_flight: Option<InFlight>,
    /// The stages that changed, by their place in the plan, as JSON.
    pub(crate) stages: Vec<(usize, String)>,
}

impl HostChange {
    /// `changed` holds the places of the stages that were not noted yet.
    pub(crate) fn new(
        place: usize,
        host: &HostReport,
        state: State,
        changed: impl IntoIterator<Item = usize>,
    ) -> Self {
        let stages = changed.into_iter().filter_map(|position| {
            let report = host.stages.get(position)?;
            Some((position, json(report)))
        });
        Self {
            place,
            state,
            report: json(&without_stages(host)),
            in_flight: None,
            stages: stages.collect(),
        }
    }
}

impl Store {
    /// Makes the file, which must not be there yet. Blocks.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let options = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        options.map_err(|error| {
            let path = path.display();
            let message = if error.kind() == io::ErrorKind::AlreadyExists {
                format!("`{path}` is there already: resume its run, or name another file for the journal")
            } else {
                format!("the journal `{path}` cannot be made")
            };
            failed(message, error)
        })?;
        match Self::connect(path) {
            Ok(mut store) => {
                store.is_empty = true;
                Ok(store)
            }
            Err(error) => {
                // Nobody can have changed the folder since.
                remove(path);
                Err(failed(cannot(path, "be written"), error))
            }
        }
    }

    /// Writes what is known of a run that begins: of the targets' hosts, and of hosts that are no targets.
    pub(crate) fn begin(
        &mut self,
        head: &Head,
        targets: &[Target],
        hosts: impl IntoIterator<Item = (HostReport, State)>,
        others: &[HostReport],
    ) -> Result<()> {
        self.stages = head.plan.stages.len();
        let others = others.iter().map(|host| (host.clone(), State::Adopted));
        self.try_begin(head, targets, hosts.into_iter().chain(others))
            .and_then(|()| self.settle())
            .and_then(|()| self.keep_log(false))
            .map_err(|error| failed(cannot(&self.path, "be written"), error))?;
        self.is_empty = false;
        self.goes_on = true;
        Ok(())
    }

    /// Notes that the run goes on. Blocks.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        self.goes_on = true;
        self.note_ending(None)
            .map_err(|error| failed(cannot(&self.path, "be written"), error))
    }

    fn note_ending(&self, ending: Option<Ending>) -> rusqlite::Result<()> {
        let ending = ending.as_ref().map(json);
        self.connection
            .execute("UPDATE run SET ending = ?", [ending])?;
        self.settle()
    }

    /// Brings what was committed from the log into the file itself: whether the run has ended is always seen there. The log
    /// stays as it is, for one that is empty belongs to nothing.
    fn settle(&self) -> rusqlite::Result<()> {
        let all = "PRAGMA wal_checkpoint(PASSIVE)";
        self.connection.query_row(all, [], |_| Ok(()))
    }

    /// Whether the log stays as it is when the file is closed.
    fn keep_log(&self, keep: bool) -> rusqlite::Result<()> {
        let keeping = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        self.connection.set_db_config(keeping, keep).map(drop)
    }

    /// Opens the journal of a run whose controller has ended. Blocks.
    pub(crate) fn open(path: &Path) -> Result<(Self, Known)> {
        if let Err(error) = std::fs::metadata(path) {
            return Err(failed(cannot(path, "be read"), error));
        }
        // SQLite puts the log beside the file itself, not beside a link to it.
        let named = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let has_log = has_log(&named);
        look(path)?;
        let mut store = Self::connect(path).map_err(|error| unreadable(path, error))?;
        let known = store.read()?;
        check_whole(&known, has_log, path, &named)?;
        store
            .keep_log(false)
            .map_err(|error| unreadable(path, error))?;
        store.stages = known.head.plan.stages.len();
        store.goes_on = known.ending.is_none();
        Ok((store, known))
    }

    fn connect(path: &Path) -> rusqlite::Result<Self> {
        // Not URI, so that every path is only a path.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // Whoever turns away again changes nothing.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(PATIENCE)?;
        // One controller at a time; and no file of shared memory beside it.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let mode = "PRAGMA journal_mode = WAL";
        connection.query_row(mode, [], |_| Ok(()))?;
        // What is committed survives the machine's crash too.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        // What is written is not read again: 256 KiB of it in memory will do.
        connection.pragma_update(None, "cache_size", -256)?;
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        Ok(Self::reading(connection, path))
    }

    /// A journal that nothing is written to as long as it does not go on.
    pub(super) fn reading(connection: Connection, path: &Path) -> Self {
        let named = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            connection,
            file: (named, identity(path)),
            path: path.to_owned(),
            is_empty: false,
            goes_on: false,
            stages: 0,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn try_begin(
        &mut self,
        head: &Head,
        targets: &[Target],
        hosts: impl Iterator<Item = (HostReport, State)>,
    ) -> rusqlite::Result<()> {
        let stages = self.stages;
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.execute(
            "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
            params![
                head.run_id,
                json(&head.started),
                json(&head.plan),
                head.plan.digest(),
                json(&head.terms),
                json(&head.files),
            ],
        )?;
        {
            let mut host = transaction.prepare("INSERT INTO hosts VALUES (?, ?, ?, ?, NULL)")?;
            let mut stage = transaction.prepare("INSERT INTO stages VALUES (?, ?)")?;
            for (place, (report, state)) in hosts.enumerate() {
                let target = targets.get(place).map(json);
                let text = json(&without_stages(&report));
                host.execute(params![place, target, json(&state), text])?;
                for (position, report) in report.stages.iter().enumerate() {
                    stage.execute(params![place * stages + position, json(report)])?;
                }
            }
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()
    }

    /// Notes all of these, or none.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> std::result::Result<(), NotNoted> {
        let (named, file) = &self.file;
        if file.is_none() || identity(named) != *file {
            return Err(NotNoted::Gone);
        }
        self.try_apply(changes).map_err(NotNoted::Failed)
    }

    fn try_apply(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let stages = self.stages;
        let mut ends = false;
        let transaction = self.connection.transaction()?;
        // Of what is known of a host, the last holds.
        let mut last = HashMap::new();
        for (index, change) in changes.iter().enumerate() {
            if let Change::Host(change) = change {
                last.insert(change.place, index);
            }
        }
        for (index, change) in changes.iter().enumerate() {
            match change {
                Change::Host(change) => {
                    if last[&change.place] == index {
                        let mut host = transaction.prepare_cached(
                            "UPDATE hosts SET state = ?, report = ?, in_flight = ? WHERE place = ?",
                        )?;
                        let in_flight = change.in_flight.as_ref().map(json);
                        host.execute(params![
                            json(&change.state),
                            change.report,
                            in_flight,
                            change.place
                        ])?;
                    }
                    let mut stage = transaction
                        .prepare_cached("INSERT OR REPLACE INTO stages VALUES (?, ?)")?;
                    for (position, report) in &change.stages {
                        stage.execute(params![change.place * stages + position, report])?;
                    }
                }
                Change::Mode(mode) => {
                    transaction.execute("UPDATE run SET mode = ?", [json(mode)])?;
                }
                Change::Ending(ending) => {
                    transaction.execute("UPDATE run SET ending = ?", [json(ending)])?;
                    ends = true;
                }
            }
        }
        transaction.commit()?;
        self.goes_on &= !ends;
        Ok(())
    }

    pub(super) fn read(&self) -> Result<Known> {
        let number = |pragma: &str| -> rusqlite::Result<i32> {
            self.connection
                .pragma_query_value(None, pragma, |row| row.get(0))
        };
        let of_file = |error| unreadable(&self.path, error);
        let format = number("user_version").map_err(of_file)?;
        if format != FORMAT {
            let message = format!(
                "`{}` is a journal of format {format}; this version reads format {FORMAT}",
                self.path.display()
            );
            return Err(Error::new(ErrorKind::Journal, message));
        }
        self.try_read().map_err(of_file)
    }

    fn try_read(&self) -> rusqlite::Result<Known> {
        let mut known = self.connection.query_row("SELECT * FROM run", [], |row| {
            Ok(Known {
                head: Head {
                    run_id: row.get("id")?,
                    started: from_json(row, "started")?,
                    plan: from_json(row, "plan")?,
                    terms: from_json(row, "terms")?,
                    files: from_json(row, "files")?,
                },
                mode: from_json_if_any(row, "mode")?,
                ending: from_json_if_any(row, "ending")?,
                targets: Vec::new(),
                hosts: Vec::new(),
                others: Vec::new(),
            })
        })?;
        let stages = known.head.plan.stages.len();
        let mut hosts = self
            .connection
            .prepare("SELECT * FROM hosts ORDER BY place")?;
        let mut hosts = hosts.query([])?;
        let mut reports = self.connection.prepare(
            "SELECT place, report FROM stages WHERE place >= ? AND place < ? ORDER BY place",
        )?;
        let mut place = 0_usize;
        while let Some(row) = hosts.next()? {
            let mut report: HostReport = from_json(row, "report")?;
            if row.get::<_, usize>("place")? != place {
                return Err(damaged("hosts are missing"));
            }
            let first = place.saturating_mul(stages);
            let mut rows = reports.query([first, first.saturating_add(stages)])?;
            while let Some(row) = rows.next()? {
                if row.get::<_, usize>("place")? != first + report.stages.len() {
                    return Err(damaged("stages are missing"));
                }
                report.stages.push(from_json::<StageReport>(row, "report")?);
            }
            match from_json_if_any(row, "target")? {
                Some(target) => {
                    let in_flight: Option<InFlight> = from_json_if_any(row, "in_flight")?;
                    let mut left = in_flight.iter().chain(report.leftover.as_deref());
                    if !left.all(|left| left.fits(stages)) {
                        return Err(damaged("a stage under way is none of the plan's"));
                    }
                    if let Some(begun) = &in_flight
                        && begun.stage == report.stages.len()
                    {
                        // What came of it is not known.
                        report.stages.push(StageReport::new(begun.attempt));
                    }

                    known.targets.push(target);
                    known.hosts.push(RecordedHost {
                        report,
                        state: from_json(row, "state")?,
                        in_flight,
                    });
                }
                None => known.others.push(report),
            }
            place += 1;
        }
        Ok(known)
    }
}

/// Whether a database is a journal with a run; what is none is not touched.
fn look(path: &Path) -> Result<()> {
    let connection = lookout(path).map_err(|error| unreadable(path, error))?;
    look_at(&connection, path)
}

pub(super) fn look_at(connection: &Connection, path: &Path) -> Result<()> {
    let facts = facts(connection).map_err(|error| unreadable(path, error))?;
    let what = match facts {
        (APPLICATION, _) => return Ok(()),
        (0, 0) => {
            "holds no run yet: its controller ended before the first connection; remove it and start the run anew"
        }
        _ => "is no journal of a run",
    };
    let message = format!("`{}` {what}", path.display());
    Err(Error::new(ErrorKind::Journal, message))
}

fn lookout(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Without it a full disk has no room for the file of shared memory.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(connection)
}

/// Whose database it is, and how many tables it has.
fn facts(connection: &Connection) -> rusqlite::Result<(i32, i64)> {
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables = connection.query_row(tables, [], |row| row.get(0))?;
    Ok((application, tables))
}

/// The file that has a name: its device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// The file of what was noted last, beside that of a database.
pub(super) fn log_of(named: &Path) -> PathBuf {
    let mut log = named.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Whether there is something in that file.
pub(super) fn has_log(named: &Path) -> bool {
    std::fs::metadata(log_of(named)).is_ok_and(|log| log.len() > 0)
}

/// Refuses what was read of a run that goes on without the log that belongs to it.
pub(super) fn check_whole(known: &Known, has_log: bool, path: &Path, named: &Path) -> Result<()> {
    if known.ending.is_some() || has_log {
        return Ok(());
    }
    let message = format!(
        "the journal `{}` is not whole: `{}` belongs to it, which holds what was noted last; copy both",
        path.display(),
        log_of(named).display()
    );
    Err(Error::new(ErrorKind::Journal, message))
}

/// Removes a file that holds nothing. One that stays says so to whoever tries to resume it.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(log_of(path));
    let _ = std::fs::remove_file(path);
}

/// A run that did not begin leaves no file. One that is left leaves its file whole, without a log beside it: a file of a
/// run that goes on has one, or it was copied without.
impl Drop for Store {
    fn drop(&mut self) {
        if self.is_empty {
            remove(&self.file.0);
        } else if self.goes_on && self.note_ending(Some(Ending::Interrupted)).is_err() {
            let _ = self.keep_log(true);
        }
    }
}

impl fmt::Display for NotNoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the file was removed or replaced while the run went on"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

fn without_stages(host: &HostReport) -> HostReport {
    HostReport {
        name: host.name.clone(),
        failure: host.failure.clone(),
        connection_attempts: host.connection_attempts,
        attempts: host.attempts.clone(),
        stages: Vec::new(),
        termination: host.termination.clone(),
        leftover: host.leftover.clone(),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own data has text keys and no failing part")
}
