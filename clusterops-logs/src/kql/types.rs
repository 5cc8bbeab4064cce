//! Which values fit which types of fields.

use std::net::IpAddr;

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
        "byte" => whole(value, i8::MIN.into(), i8::MAX.into()),
        "short" => whole(value, i16::MIN.into(), i16::MAX.into()),
        "integer" => whole(value, i32::MIN.into(), i32::MAX.into()),
        "long" => whole(value, i64::MIN as f64, i64::MAX as f64),
        "unsigned_long" => whole(value, 0.0, u64::MAX as f64),
        "half_float" | "float" | "double" | "scaled_float" => (
            number(value).is_some(),
            "no finite number",
            INSTEAD_OF_NUMBERS,
        ),
        "boolean" => (
            matches!(value, "true" | "false"),
            "neither true nor false",
            "write true or false",
        ),
        "ip" => (
            is_address(value, used),
            "no address",
            "write a network such as 10.0.0.0/8",
        ),
        // Which texts are dates is for its format to say.
        "date" | "date_nanos" => (true, "", "compare with `>=` and `<`"),
        _ => return None,
    };
    if used == Use::Wildcard {
        return Some(format!("wildcards have no meaning there, {instead}"));
    }
    (!is_fit).then(|| format!("`{value}` is {what}"))
}

const INSTEAD_OF_NUMBERS: &str = "compare with `>=` and `<`";

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
            ("boolean", "true"),
            ("ip", "10.0.0.1"),
            ("ip", "10.0.0.0/8"),
            ("ip", "2001:db8::/32"),
            ("date", "now-1d"),
            ("keyword", "anything"),
            ("version", "1.2"),
        ] {
            assert_eq!(misfit(kind, value, Use::Value), None, "{kind} {value}");
        }
        for (kind, value, why) in [
            ("long", "abc", "`abc` is no number"),
            ("integer", "", "`` is no number"),
            ("half_float", "5g", "`5g` is no finite number"),
            ("double", "1e400", "`1e400` is no finite number"),
            ("long", "inf", "`inf` is no number"),
            ("integer", "2147483648", "`2147483648` is out of its range"),
            ("boolean", "", "`` is neither true nor false"),
            ("boolean", "yes", "`yes` is neither true nor false"),
            ("ip", "10.0.0", "`10.0.0` is no address"),
            ("ip", "10.0.0.0/33", "`10.0.0.0/33` is no address"),
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
