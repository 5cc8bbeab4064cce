//! Date math: `now-15m`, `now/d`, `2024-05-01||+1M/d`.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// An instant that the server works out: an anchor, and steps from it ("Date Math" in the Elasticsearch Guide, "Date
/// math" in the OpenSearch documentation).
///
/// ```
/// use clusterops_logs::query::{DateMath, DateUnit};
///
/// let yesterday = DateMath::now().minus(1, DateUnit::Day).round(DateUnit::Day);
/// assert_eq!(yesterday.to_string(), "now-1d/d");
/// assert_eq!("now-1d/d".parse::<DateMath>()?, yesterday);
///
/// let error = "now-15min".parse::<DateMath>().unwrap_err();
/// assert_eq!(error.to_string(), "`now-15min` is no date math: `i` after `now-15m`; expected `+`, `-` or `/`");
/// # Ok::<_, clusterops_logs::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DateMath(String);

/// A unit of date math.
///
/// ```
/// use clusterops_logs::query::{DateMath, DateUnit};
///
/// // A month is `M`, a minute is `m`.
/// assert_eq!(DateMath::now().round(DateUnit::Month).to_string(), "now/M");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DateUnit {
    /// `y`
    Year,
    /// `M`
    Month,
    /// `w`
    Week,
    /// `d`
    Day,
    /// `h`
    Hour,
    /// `m`
    Minute,
    /// `s`
    Second,
}

impl DateMath {
    /// The moment at which the server reads the query.
    pub fn now() -> Self {
        Self("now".to_owned())
    }

    /// A fixed instant as the anchor.
    pub fn at(instant: jiff::Timestamp) -> Self {
        Self(format!("{instant}||"))
    }

    /// Later by so many units.
    #[must_use]
    pub fn plus(self, count: u32, unit: DateUnit) -> Self {
        Self(format!("{}+{count}{}", self.0, unit.letter()))
    }

    /// Earlier by so many units.
    #[must_use]
    pub fn minus(self, count: u32, unit: DateUnit) -> Self {
        Self(format!("{}-{count}{}", self.0, unit.letter()))
    }

    /// Rounded down to the start of the unit; for `gt` and `lte` a server rounds up to its end.
    #[must_use]
    pub fn round(self, unit: DateUnit) -> Self {
        Self(format!("{}/{}", self.0, unit.letter()))
    }
}

impl DateUnit {
    fn letter(self) -> char {
        match self {
            Self::Year => 'y',
            Self::Month => 'M',
            Self::Week => 'w',
            Self::Day => 'd',
            Self::Hour => 'h',
            Self::Minute => 'm',
            Self::Second => 's',
        }
    }
}

impl FromStr for DateMath {
    type Err = Error;

    /// Reads `now` or an anchor before `||`, and the steps that follow. The anchor's format is the field's: it is not
    /// checked.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for what no server takes as date math.
    fn from_str(text: &str) -> Result<Self> {
        match steps(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(reason) => {
                let message = format!("`{text}` is no date math: {reason}");
                Err(Error::new(ErrorKind::Input, message))
            }
        }
    }
}

/// Reads the steps after the anchor as the servers' date math parser does; `H` and `h` are both an hour.
fn steps(text: &str) -> Result<(), String> {
    let mut rest = match (text.strip_prefix("now"), text.split_once("||")) {
        (Some(rest), _) => rest,
        (None, Some(("", _))) => return Err("no date before `||`".to_owned()),
        (None, Some((_, steps))) => steps,
        (None, None) => return Err("it starts with `now` or with a date and `||`".to_owned()),
    };
    while let Some(operator) = rest.chars().next() {
        let before = &text[..text.len() - rest.len()];
        if !matches!(operator, '+' | '-' | '/') {
            return Err(format!(
                "`{operator}` after `{before}`; expected `+`, `-` or `/`"
            ));
        }
        rest = &rest[1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = rest.split_at(digits);
        let before = &text[..text.len() - unit.len()];
        if operator == '/' && !matches!(count, "" | "1") {
            return Err(format!("`{before}` rounds to one unit only"));
        }
        if digits > 0 && count.parse::<i32>().is_err() {
            return Err(format!("{count} is too large"));
        }
        match unit.chars().next() {
            Some('y' | 'M' | 'w' | 'd' | 'h' | 'H' | 'm' | 's') => rest = &unit[1..],
            Some(other) => {
                return Err(format!(
                    "`{other}` after `{before}`; units are y, M, w, d, h, m and s"
                ));
            }
            None => {
                return Err(format!(
                    "no unit after `{before}`; units are y, M, w, d, h, m and s"
                ));
            }
        }
    }
    Ok(())
}

impl fmt::Display for DateMath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_math_of_the_guide_is_read() {
        // Elasticsearch Guide, "Date Math" in "API conventions".
        for fine in [
            "now",
            "now+1h",
            "now-1h",
            "now-1h/d",
            "2001.02.01||+1M/d",
            "now/d-1d/d+12H",
            "now+h",
            "now/1d",
        ] {
            assert!(fine.parse::<DateMath>().is_ok(), "{fine}");
        }
    }

    #[test]
    fn other_texts_are_told_apart() {
        let cases = [
            ("", "it starts with `now` or with a date and `||`"),
            ("yesterday", "it starts with `now` or with a date and `||`"),
            ("||+1d", "no date before `||`"),
            ("now 1d", "` ` after `now`; expected `+`, `-` or `/`"),
            (
                "now+1",
                "no unit after `now+1`; units are y, M, w, d, h, m and s",
            ),
            (
                "now+1é",
                "`é` after `now+1`; units are y, M, w, d, h, m and s",
            ),
            ("now/2d", "`now/2` rounds to one unit only"),
            ("now+99999999999d", "99999999999 is too large"),
            ("now+1dé", "`é` after `now+1d`; expected `+`, `-` or `/`"),
        ];
        for (text, reason) in cases {
            assert_eq!(steps(text), Err(reason.to_owned()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<DateMath>();
            let _ = format!("now{text}").parse::<DateMath>();
        }
    }
}
