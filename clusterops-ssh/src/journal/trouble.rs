//! What is said of a journal that cannot be used.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::read_only;
use crate::{Error, ErrorKind};

pub(super) fn cannot(path: &Path, what: &str) -> String {
    format!("the journal `{}` cannot {what}", path.display())
}

pub(super) fn failed(
    message: String,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::new(ErrorKind::Journal, message).caused_by(error)
}

pub(super) fn unreadable(path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;

    let shown = path.display();
    let message = match error.sqlite_error_code() {
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            let message = format!(
                "a run still writes to the journal `{shown}`: wait for its controller, or end it"
            );
            return Error::new(ErrorKind::Journal, message);
        }
        Some(Code::NotADatabase) => {
            let message = format!("`{shown}` is no journal of a run");
            return Error::new(ErrorKind::Journal, message);
        }
        _ if is_newer(&error) => format!(
            "the journal `{shown}` was written by a newer version: read it, or go on with its run, with that one"
        ),
        Some(Code::DatabaseCorrupt) | None => format!("the journal `{shown}` is damaged"),
        Some(_) if !read_only::is_writable(path) => {
            let named = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            read_only::copy_it(path, &named)
        }
        Some(_) => cannot(path, "be read"),
    };
    failed(message, error)
}

pub(super) fn from_json<T: DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<T> {
    from_json_if_any(row, column)?.ok_or_else(|| damaged("a value is missing"))
}

pub(super) fn from_json_if_any<T: DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    let value = text.map(|text| serde_json::from_str(&text)).transpose();
    value.map_err(|error| {
        let column = column.to_owned();
        unsuitable(Box::new(Unknown { column, error }))
    })
}

/// JSON that this version does not understand.
#[derive(Debug)]
struct Unknown {
    column: String,
    error: serde_json::Error,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.column, self.error)
    }
}

impl std::error::Error for Unknown {}

/// Whether a value is as well formed as a version makes it, and says what this one does not know.
fn is_newer(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, source) => source
            .downcast_ref::<Unknown>()
            .is_some_and(|unknown| unknown.error.is_data()),
        _ => false,
    }
}

pub(super) fn damaged(what: &str) -> rusqlite::Error {
    unsuitable(what.into())
}

fn unsuitable(what: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, what)
}
