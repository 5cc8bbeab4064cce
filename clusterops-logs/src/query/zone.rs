//! Time zones, as servers read them.

/// What is wrong with the name of a zone.
pub(crate) fn zone_problem(zone: &str) -> Option<String> {
    (!is_zone(zone)).then(|| {
        format!("`{zone}` is no time zone: expected an offset such as +01:00, or a name such as Europe/Berlin")
    })
}

/// Whether a text has the form of a zone; which names there are, only the server knows.
fn is_zone(zone: &str) -> bool {
    let Some(offset) = zone.strip_prefix(['+', '-']) else {
        let word = |c: char| c.is_ascii_alphanumeric() || "_-+/:".contains(c);
        return zone.starts_with(|c: char| c.is_ascii_alphabetic()) && zone.chars().all(word);
    };
    let digits =
        |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match offset.split_once(':') {
        Some((hours, minutes)) => digits(hours) && minutes.len() == 2 && digits(minutes),
        None => digits(offset) || offset.len() == 4 && offset.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Aggregation, Bucket, Interval};
    use crate::{Kql, Query, Search};

    #[test]
    fn zones_are_told_from_other_texts() {
        for fine in [
            "Z",
            "UTC",
            "+01:00",
            "-8",
            "+0530",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+5",
        ] {
            assert!(is_zone(fine), "{fine}");
        }
        for wrong in ["", "+", "+1:0", "Europe Berlin", "+01:00:00", "+123", "/x"] {
            assert!(!is_zone(wrong), "{wrong}");
        }
    }

    #[test]
    fn all_who_take_a_zone_say_the_same_of_a_wrong_one() {
        let aggregated = |aggregation: Aggregation| {
            let search = Search::new(Query::match_all()).aggregation("a", aggregation);
            search.check()
        };
        let zone = "Europe Berlin";
        let days = Aggregation::date_histogram("t", Interval::Day).time_zone(zone);
        let recent = Aggregation::date_range("t", [Bucket::from("now-1d")]).time_zone(zone);
        for checked in [
            Query::from(Query::range("t").gte(1).time_zone(zone)).check(),
            Query::from(Query::query_string("a").time_zone(zone)).check(),
            aggregated(days.into()),
            aggregated(recent.into()),
            Kql::new().time_zone(zone).query("a").map(drop),
        ] {
            let error = checked.expect_err("a wrong zone").to_string();
            let expected = zone_problem(zone).expect("a wrong zone");
            assert!(error.ends_with(&expected), "{error}");
        }
    }
}
