//! Values that fields are compared with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::DateMath;
use super::parts::Json;

/// A value that a field is compared with: text, a number, a truth, an IP address, an instant, date math or raw JSON.
///
/// Nobody has to name it: what takes one takes everything that becomes one. Instants of [`jiff`] are written as RFC 3339
/// and ISO 8601, as the date formats of every server expect them by default.
///
/// ```
/// use clusterops_logs::Query;
///
/// let from = jiff::Timestamp::from_second(1_700_000_000)?;
/// let query = Query::range("@timestamp").gte(from).lt("now/d");
/// assert_eq!(
///     serde_json::to_value(&query)?,
///     serde_json::json!({"range": {"@timestamp": {"gte": "2023-11-14T22:13:20Z", "lt": "now/d"}}})
/// );
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Text(String),
    Other(Json),
}

impl Scalar {
    /// A text that is sent as it is: not even `now-` at its start is read as date math.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Kind::Other(text.into().into()))
    }

    /// What is wrong with it where a date can be meant.
    pub(crate) fn date_problem(&self) -> Option<String> {
        let Kind::Text(text) = &self.0 else {
            return None;
        };
        let rest = text.strip_prefix("now").unwrap_or("-");
        let math = rest.is_empty() || text.starts_with("now") && rest.starts_with(['+', '-', '/']);
        if !math && !text.contains("||") {
            return None;
        }
        let error = text.parse::<DateMath>().err()?;
        Some(error.message().to_owned())
    }
}

impl From<Scalar> for Json {
    fn from(scalar: Scalar) -> Self {
        match scalar.0 {
            Kind::Text(text) => text.into(),
            Kind::Other(json) => json,
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self(Kind::Text(text.to_owned()))
    }
}

impl From<&String> for Scalar {
    fn from(text: &String) -> Self {
        Self(Kind::Text(text.clone()))
    }
}

impl From<String> for Scalar {
    fn from(text: String) -> Self {
        Self(Kind::Text(text))
    }
}

impl From<f32> for Scalar {
    fn from(number: f32) -> Self {
        // By way of its text, so that 0.1 stays 0.1.
        let number = number.to_string().parse::<f64>().unwrap_or(f64::NAN);
        Self(Kind::Other(number.into()))
    }
}

impl From<f64> for Scalar {
    fn from(number: f64) -> Self {
        Self(Kind::Other(number.into()))
    }
}

impl From<Value> for Scalar {
    fn from(value: Value) -> Self {
        Self(Kind::Other(value.into()))
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl From<$type> for Scalar {
            fn from(value: $type) -> Self {
                Self(Kind::Other(Value::from(value).into()))
            }
        }
    )*};
}

numbers!(bool, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! displayed {
    ($($type:ty),*) => {$(
        impl From<$type> for Scalar {
            fn from(value: $type) -> Self {
                Self(Kind::Other(value.to_string().into()))
            }
        }
    )*};
}

displayed!(
    IpAddr,
    Ipv4Addr,
    Ipv6Addr,
    DateMath,
    jiff::Timestamp,
    jiff::civil::Date,
    jiff::civil::DateTime
);

impl From<jiff::Zoned> for Scalar {
    /// The instant; the name of the zone is not told, because dates of documents have none.
    fn from(value: jiff::Zoned) -> Self {
        value.timestamp().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_the_json_that_is_meant() {
        let cases: [(Scalar, Value); 9] = [
            ("error".into(), json!("error")),
            (0.1_f32.into(), json!(0.1)),
            (u64::MAX.into(), json!(u64::MAX)),
            (i64::MIN.into(), json!(i64::MIN)),
            (true.into(), json!(true)),
            (IpAddr::from([10, 0, 0, 1]).into(), json!("10.0.0.1")),
            (jiff::civil::date(2024, 2, 29).into(), json!("2024-02-29")),
            (
                jiff::civil::date(2024, 2, 29).at(1, 2, 3, 4_000_000).into(),
                json!("2024-02-29T01:02:03.004"),
            ),
            (json!([1]).into(), json!([1])),
        ];
        for (scalar, expected) in cases {
            assert_eq!(Json::from(scalar).value(), &expected);
        }
        assert!(Json::from(Scalar::from(f64::NAN)).problem().is_some());
    }

    #[test]
    fn only_what_can_be_date_math_is_read_as_such() {
        for fine in [
            "now",
            "now-15m",
            "nowhere",
            "2024-01-01||/M",
            "a|b",
            "2024-01-01",
        ] {
            assert_eq!(Scalar::from(fine).date_problem(), None, "{fine}");
        }
        for wrong in ["now-15x", "now-", "now/2d", "2024-01-01||+", "||+1d"] {
            assert!(Scalar::from(wrong).date_problem().is_some(), "{wrong}");
        }
        assert_eq!(Scalar::text("now-15x").date_problem(), None);
    }
}
