//! Times as people type them.

use clusterops::logs::jiff::civil::{Date, DateTime};
use clusterops::logs::jiff::fmt::temporal::DateTimeParser;
use clusterops::logs::jiff::tz::TimeZone;
use clusterops::logs::jiff::{SignedDuration, Timestamp};

use crate::command_line::{Misused, Result};

/// Whether a time can be told to a server: those before the year 0 are not written with four digits.
pub(crate) fn has_a_year(time: &Timestamp) -> bool {
    const YEAR_0: i64 = -62_167_219_200;
    time.as_second() >= YEAR_0
}

/// The time that a flag says: so long ago (`15m`, `now-2h`), `now`, a date, or a date and a time, in the zone where they name none.
pub(crate) fn point(name: &str, text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp> {
    let time = parsed(name, text, now, zone)?;
    match has_a_year(&time) {
        true => Ok(time),
        false => Err(Misused(format!("{name}: `{text}` is before the year 0")).into()),
    }
}

fn parsed(name: &str, text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp> {
    let wrong = || {
        Misused(format!(
            "{name}: `{text}` is no time; 15m, 2h, 3d, 2026-01-02 and 2026-01-02T03:04:05Z are some"
        ))
    };
    if text == "now" {
        return Ok(now);
    }
    let ago = text.strip_prefix("now-").unwrap_or(text);
    if let Some(span) = span(ago) {
        return now.checked_sub(span).map_err(|_| wrong().into());
    }
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let local = match text.parse::<DateTime>() {
        Ok(local) => local,
        Err(_) => text.parse::<Date>().map_err(|_| wrong())?.at(0, 0, 0, 0),
    };
    let zoned = local.to_zoned(zone.clone()).map_err(|_| wrong())?;
    Ok(zoned.timestamp())
}

fn span(text: &str) -> Option<SignedDuration> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let number: i64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.checked_mul(seconds).map(SignedDuration::from_secs)
}

/// A zone by its name or offset; the system's where none is said.
pub(crate) fn zone(name: Option<&str>) -> Result<TimeZone> {
    match name {
        None => Ok(TimeZone::system()),
        Some("UTC" | "utc" | "Z") => Ok(TimeZone::UTC),
        Some("system" | "local") => Ok(TimeZone::system()),
        Some(name) => DateTimeParser::new().parse_time_zone(name).map_err(|_| {
            Misused(format!(
                "there is no time zone {name}; Europe/Berlin is one, and +02:00"
            ))
            .into()
        }),
    }
}

/// A zone as servers name it. One without a name, such as that of a rule in TZ, is what it is now.
pub(crate) fn name_for_servers(zone: &TimeZone) -> String {
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None => zone.to_offset(Timestamp::now()).to_string(),
    }
}
