//! Times, as documents have them and as people read them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::fields::{self, Fields};
use crate::fields::TIMES;

/// The time of a document; where it does not read as one, its text.
pub(super) fn of(fields: &Fields<'_>) -> (Option<Timestamp>, Option<String>) {
    let mut text = None;
    for name in TIMES {
        let Some(mut value) = fields.value(name) else {
            continue;
        };
        while let Value::Array(items) = value
            && let Some(first) = items.first()
        {
            value = first;
        }
        match parse(value) {
            Some(time) => return (Some(time), None),
            None if text.is_none() && (value.is_string() || value.is_number()) => {
                text = Some(fields::text(value));
            }
            None => {}
        }
    }
    (None, text.filter(|text| !text.is_empty()))
}

/// A time as text: to the millisecond, or as much further as it goes.
pub(super) fn shown(time: Timestamp, zone: &TimeZone) -> String {
    let digits = match time.subsec_nanosecond() {
        nanos if nanos % 1_000_000 == 0 => 3,
        nanos if nanos % 1000 == 0 => 6,
        _ => 9,
    };
    let printer = DateTimePrinter::new().precision(Some(digits));
    // A system's zone is another value, though it may be called so.
    let is_utc = *zone == TimeZone::UTC || matches!(zone.iana_name(), Some("UTC" | "Etc/UTC"));
    match is_utc {
        true => printer.timestamp_to_string(&time),
        false => printer.timestamp_with_offset_to_string(&time, zone.to_offset(time)),
    }
}

fn parse(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => from_text(text.trim()),
        Value::Number(number) => match number.as_i64() {
            Some(count) => from_count(count),
            // Seconds with a fraction.
            None => from_fraction(number.as_f64()?),
        },
        _ => None,
    }
}

fn from_text(text: &str) -> Option<Timestamp> {
    // No time is longer, and a log may say anything.
    if text.len() > 64 {
        return None;
    }
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if let Ok(count) = text.parse() {
        return from_count(count);
    }
    if let Ok(fraction) = text.parse() {
        return from_fraction(fraction);
    }
    // Log4j and Python write the fraction behind a comma.
    let text = text.replacen(',', ".", 1);
    text.parse().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        let zoned = local.to_zoned(TimeZone::UTC).ok()?;
        Some(zoned.timestamp())
    })
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, by how many there are: nobody logs what happened before
/// 1973, or after 5138.
fn from_count(count: i64) -> Option<Timestamp> {
    match count.unsigned_abs() {
        0..100_000_000_000 => Timestamp::from_second(count),
        100_000_000_000..100_000_000_000_000 => Timestamp::from_millisecond(count),
        100_000_000_000_000..100_000_000_000_000_000 => Timestamp::from_microsecond(count),
        _ => Timestamp::from_nanosecond(count.into()),
    }
    .ok()
}

fn from_fraction(count: f64) -> Option<Timestamp> {
    if count.abs() >= 1e11 {
        // Lossless below 2^53, and a time in milliseconds is.
        return (count.abs() < 9e15).then(|| from_count(count as i64))?;
    }
    // Microseconds are what a floating point number of today has.
    let micros = (count * 1e6).round();
    micros
        .is_finite()
        .then(|| Timestamp::from_microsecond(micros as i64).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_in_each_form() {
        for (value, expected) in [
            (json!("2026-01-02T03:04:05.100Z"), "2026-01-02T03:04:05.1Z"),
            (
                json!("2026-01-02T04:04:05.1+01:00"),
                "2026-01-02T03:04:05.1Z",
            ),
            (json!("2026-01-02 03:04:05,100"), "2026-01-02T03:04:05.1Z"),
            (json!("2026-01-02T03:04:05"), "2026-01-02T03:04:05Z"),
            (json!(1_767_323_045_100_i64), "2026-01-02T03:04:05.1Z"),
            (json!("1767323045100"), "2026-01-02T03:04:05.1Z"),
            (json!(1_767_323_045), "2026-01-02T03:04:05Z"),
            (json!(1_767_323_045.1), "2026-01-02T03:04:05.1Z"),
            (json!("1767323045.1"), "2026-01-02T03:04:05.1Z"),
            (
                json!(1_767_323_045_100_200_i64),
                "2026-01-02T03:04:05.1002Z",
            ),
            (
                json!(1_767_323_045_100_200_300_i64),
                "2026-01-02T03:04:05.1002003Z",
            ),
        ] {
            let expected: Timestamp = expected.parse().expect("ours");
            assert_eq!(parse(&value), Some(expected), "{value}");
        }
        for value in [
            json!("soon"),
            json!(""),
            json!({}),
            json!(1e300),
            json!(i64::MAX),
            json!(u64::MAX),
        ] {
            let _ = parse(&value);
        }
        assert_eq!(parse(&json!("soon")), None);
    }

    #[test]
    fn times_are_shown_in_the_zone() {
        let time: Timestamp = "2026-01-02T03:04:05.1Z".parse().expect("ours");
        assert_eq!(shown(time, &TimeZone::UTC), "2026-01-02T03:04:05.100Z");
        let berlin = TimeZone::get("Europe/Berlin").expect("the system has zones");
        assert_eq!(shown(time, &berlin), "2026-01-02T04:04:05.100+01:00");
        let time: Timestamp = "2026-01-02T03:04:05.1002Z".parse().expect("ours");
        assert_eq!(shown(time, &TimeZone::UTC), "2026-01-02T03:04:05.100200Z");
        for time in [Timestamp::MIN, Timestamp::MAX] {
            shown(time, &berlin);
        }
    }
}
