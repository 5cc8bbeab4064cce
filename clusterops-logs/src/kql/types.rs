//! Which values fit which types of fields.

use std::net::IpAddr;

use crate::query::DateMath;

/// What a value is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To be equal to.
    Value,
    /// To be less or greater than.
    Bound,
    /// To be like, for it has wildcards.
    Wildcard,
}

/// Why a server would refuse a value for a field of this type, in words that follow the type; `None` where it may take it.
pub(super) fn misfit(kind: &str, value: &str, used: Use) -> Option<String> {
    let (is_fit, what, instead) = match kind {
        // Smaller ones are looked for as these are.
        "byte" | "short" | "integer" => whole(value, i32::MIN.into(), i32::MAX.into()),
        "long" => whole(value, i64::MIN as f64, i64::MAX as f64),
        "unsigned_long" => whole(value, 0.0, u64::MAX as f64),
        // What is rounded to 65504, the largest, is still one.
        "half_float" => finite(value, 65_520.0),
        "float" | "float_range" => finite(value, FLOAT_ENDS),
        "double" | "scaled_float" | "double_range" => finite(value, f64::INFINITY),
        "boolean" => (
            matches!(value, "true" | "false"),
            "neither true nor false",
            "write true or false",
        ),
        "integer_range" => whole_in_range(value, i32::MIN.into(), i32::MAX.into()),
        "long_range" => whole_in_range(value, i64::MIN as f64, i64::MAX as f64),
        "ip_range" => (
            is_address(value, Use::Bound),
            "no address",
            "write an address",
        ),
        "ip" => (
            is_address(value, used),
            "no address",
            "write a network such as 10.0.0.0/8",
        ),
        // Which texts are dates is for its format to say.
        "date" | "date_nanos" | "date_range" => {
            match date_problem(value).filter(|_| used != Use::Wildcard) {
                Some(problem) => return Some(problem),
                None => (true, "", INSTEAD_OF_NUMBERS),
            }
        }
        "geo_point" | "geo_shape" | "point" | "shape" => return Some(NO_PLACES.to_owned()),
        "binary" | "rank_feature" | "rank_features" | "percolator" if used != Use::Wildcard => {
            return Some(NO_VALUES.to_owned());
        }
        "completion" if used != Use::Value => {
            return Some("servers look for whole values there".to_owned());
        }
        _ => return None,
    };
    if used == Use::Wildcard {
        return Some(format!("wildcards have no meaning there, {instead}"));
    }
    (!is_fit).then(|| format!("`{value}` is {what}"))
}

/// Why a server would refuse to look into a field of its own; `None` where it may do it. `used` is `None` where it is
/// looked whether there is a value.
pub(super) fn misuse(name: &str, value: &str, used: Option<Use>) -> Option<String> {
    let why = match (name, used) {
        ("_source", None | Some(Use::Value | Use::Bound)) => {
            "servers do not look into it; name a field of the document"
        }
        ("_version", Some(_)) => "servers do not look for it",
        ("_id" | "_index" | "_field_names", Some(Use::Bound)) => {
            "it has no order that servers compare by"
        }
        ("_id" | "_field_names", Some(Use::Wildcard)) => "wildcards have no meaning there",
        ("_seq_no", Some(used)) => return misfit("long", value, used),
        _ => return None,
    };
    Some(why.to_owned())
}

const NO_PLACES: &str = "it is found by where it is, which KQL has no words for";
const NO_VALUES: &str = "servers look for no value there; `field: *` finds what has one";

/// What is wrong with a date that begins with `now` or has steps behind `||`, which servers read in each format.
fn date_problem(value: &str) -> Option<String> {
    let is_math = value.starts_with("now") || value.contains("||");
    let problem = is_math.then(|| value.parse::<DateMath>().err())??;
    Some(problem.message().to_owned())
}

/// The same where servers cut off nothing.
fn whole_in_range(value: &str, least: f64, most: f64) -> (bool, &'static str, &'static str) {
    match number(value) {
        Some(number) if number.fract() != 0.0 => (false, "no whole number", INSTEAD_OF_NUMBERS),
        _ => whole(value, least, most),
    }
}

const INSTEAD_OF_NUMBERS: &str = "compare with `>=` and `<`";

/// From here on what is rounded to 32 bits is no finite number: half a step above the largest.
const FLOAT_ENDS: f64 = f32::MAX as f64 * (1.0 + f32::EPSILON as f64 / 4.0);

/// Whether a value is a number, closer to 0 than this.
fn finite(value: &str, ends: f64) -> (bool, &'static str, &'static str) {
    let is_finite = number(value).is_some_and(|number| number.abs() < ends);
    (is_finite, "no finite number there", INSTEAD_OF_NUMBERS)
}

/// Whether a value is a number between these; servers cut off what is behind the point.
fn whole(value: &str, least: f64, most: f64) -> (bool, &'static str, &'static str) {
    match number(value) {
        None => (false, "no number", INSTEAD_OF_NUMBERS),
        Some(number) => {
            let is_within = (least..=most).contains(&number);
            (is_within, "out of its range", INSTEAD_OF_NUMBERS)
        }
    }
}

/// As Java reads one (`Double.valueOf`), which servers do; none that is not finite.
fn number(value: &str) -> Option<f64> {
    let value = value.trim();
    let digits = value
        .strip_suffix(['f', 'F', 'd', 'D'])
        .filter(|digits| digits.ends_with(|last: char| last.is_ascii_digit() || last == '.'));
    let number = digits.unwrap_or(value).parse::<f64>().ok()?;
    number.is_finite().then_some(number)
}

fn is_address(value: &str, used: Use) -> bool {
    let (address, bits) = match value.split_once('/') {
        Some((address, bits)) if used == Use::Value => (address, Some(bits)),
        _ => (value, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u32>().is_ok_and(|bits| bits <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_server_takes_are_told() {
        for (kind, value) in [
            ("long", "5"),
            ("long", "-5.5"),
            ("double", "1e3"),
            ("float", "1.5f"),
            ("half_float", "-65504"),
            ("float", "3.4028235e38"),
            ("boolean", "true"),
            ("ip", "10.0.0.1"),
            ("ip", "10.0.0.0/8"),
            ("ip", "2001:db8::/32"),
            ("date", "now-1d"),
            ("keyword", "anything"),
            ("version", "1.2"),
            ("integer_range", "5"),
            ("ip_range", "10.0.0.1"),
            ("date_range", "now/d"),
            ("date", "2024-05-01||+1M/d"),
            ("completion", "a"),
        ] {
            assert_eq!(misfit(kind, value, Use::Value), None, "{kind} {value}");
        }
        for (kind, value, why) in [
            ("long", "abc", "`abc` is no number"),
            ("integer", "", "`` is no number"),
            ("half_float", "5g", "`5g` is no finite number there"),
            ("double", "1e400", "`1e400` is no finite number there"),
            ("long", "inf", "`inf` is no number"),
            ("integer", "2147483648", "`2147483648` is out of its range"),
            ("boolean", "", "`` is neither true nor false"),
            ("boolean", "yes", "`yes` is neither true nor false"),
            ("ip", "10.0.0", "`10.0.0` is no address"),
            ("ip", "10.0.0.0/33", "`10.0.0.0/33` is no address"),
            ("integer_range", "5.5", "`5.5` is no whole number"),
            ("long_range", "1e300", "`1e300` is out of its range"),
            ("half_float", "65520", "`65520` is no finite number there"),
            ("float", "1e39", "`1e39` is no finite number there"),
            ("double_range", "x", "`x` is no finite number there"),
            ("ip_range", "10.0.0.0/8", "`10.0.0.0/8` is no address"),
            (
                "date",
                "now+1x",
                "`now+1x` is no date math: `x` after `now+1`; units are y, M, w, d, h, m and s",
            ),
            (
                "date_range",
                "nowhere",
                "`nowhere` is no date math: `h` after `now`; expected `+`, `-` or `/`",
            ),
            ("geo_point", "1,2", NO_PLACES),
            ("rank_feature", "5", NO_VALUES),
        ] {
            let told = misfit(kind, value, Use::Value);
            assert_eq!(told.as_deref(), Some(why), "{kind} {value}");
        }
        assert!(misfit("ip", "10.0.0.0/8", Use::Bound).is_some());
        for kind in ["long", "ip", "boolean", "date"] {
            assert!(misfit(kind, "1*", Use::Wildcard).is_some(), "{kind}");
        }
        assert_eq!(misfit("keyword", "1*", Use::Wildcard), None);
    }
}
