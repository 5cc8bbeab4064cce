//! Host patterns of Ansible's inventories: `www[01:50].example.com`, `db-[a:f]:2222`.

use std::net::Ipv6Addr;

use crate::inventory::native::MAX_HOSTS;

/// Names and the port behind them; the error is a sentence.
///
/// The rules are those of `expand_hostname_range` and `parse_address` in ansible-core 2.19: a port is split off only
/// when a valid host name stands before it. Unlike there, a range that counts down is an error, not no host.
pub(super) fn expand(pattern: &str, limit: usize) -> Result<(Vec<String>, Option<u16>), String> {
    let (hosts, port) = split_port(pattern)?;
    if hosts.is_empty() {
        return Err("a host name is empty".to_owned());
    }
    if port.is_none() && hosts.ends_with(':') {
        return Err(format!("`{pattern}` ends in `:`; remove it or give a port"));
    }
    let mut names = vec![String::new()];
    let mut rest = hosts;
    while let Some(open) = rest.find('[') {
        let (head, bracket) = rest.split_at(open);
        let Some(close) = bracket.find(']') else {
            return Err(format!("the bracket in `{pattern}` is not closed"));
        };
        let values = range(&bracket[1..close], limit)?;
        if names.len().saturating_mul(values.len()) > limit {
            return Err(format!(
                "`{pattern}` gives more than {limit} hosts; an inventory has {MAX_HOSTS} at most"
            ));
        }
        names = names
            .iter()
            .flat_map(|name| {
                values
                    .iter()
                    .map(move |value| format!("{name}{head}{value}"))
            })
            .collect();
        rest = &bracket[close + 1..];
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok((names, port))
}

/// The values of `begin:end` or `begin:end:step`.
fn range(text: &str, limit: usize) -> Result<Vec<String>, String> {
    let wrong = |why: &str| format!("the range `[{text}]` {why}");
    let bounds: Vec<_> = text.split(':').collect();
    let (first, last, step) = match bounds[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return Err(wrong("is not `[begin:end]` or `[begin:end:step]`")),
    };
    let first = if first.is_empty() { "0" } else { first };
    let step = step.parse().ok().filter(|step| *step > 0);
    let step: usize = step.ok_or_else(|| wrong("has a step that is not a number above 0"))?;
    let values: Vec<String> = if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        (first..=last)
            .step_by(step)
            .map(|at| char::from(if at < 26 { b'a' + at } else { b'A' + at - 26 }).to_string())
            .collect()
    } else {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let number = plain.then(|| digits.parse::<u64>().ok()).flatten();
            number.ok_or_else(|| wrong("has bounds that are neither numbers nor single letters"))
        };
        let (from, to) = (number(first)?, number(last)?);
        let width = if first.len() > 1 && first.starts_with('0') {
            first.len()
        } else {
            0
        };
        if width > 0 && last.len() != width {
            return Err(wrong("begins with 0, so both bounds need as many digits"));
        }
        if (to.saturating_sub(from)) / step as u64 >= limit as u64 {
            return Err(wrong(&format!(
                "gives more than {limit} hosts; an inventory has {MAX_HOSTS} at most"
            )));
        }
        (from..=to)
            .step_by(step)
            .map(|number| format!("{number:0width$}"))
            .collect()
    };
    if values.is_empty() {
        return Err(wrong("counts down; write the smaller bound first"));
    }
    Ok(values)
}

/// The position of a single letter in `a..zA..Z`.
fn letter(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [c @ b'a'..=b'z'] => Some(c - b'a'),
        [c @ b'A'..=b'Z'] => Some(c - b'A' + 26),
        _ => None,
    }
}

/// Splits `host:port`, where the host may hold ranges, and `[address]:port`.
fn split_port(pattern: &str) -> Result<(&str, Option<u16>), String> {
    let Some((host, digits)) = pattern.rsplit_once(':') else {
        return Ok((pattern, None));
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok((pattern, None));
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let host = match bracketed {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() || is_host_name(inner) => inner,
        _ if is_host_name(host) => host,
        _ => return Ok((pattern, None)),
    };
    match digits.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err(format!(
            "`{digits}` in `{pattern}` is not a port (1 to 65535)"
        )),
    }
}

/// Whether this is labels with dots between them, made of letters, digits, `_`, `-` and ranges.
fn is_host_name(text: &str) -> bool {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let Some(close) = rest[open..].find(']').map(|close| open + close) else {
            return false;
        };
        if !is_range(&rest[open + 1..close]) {
            return false;
        }
        plain.push_str(&rest[..open]);
        plain.push('0');
        rest = &rest[close + 1..];
    }
    plain.push_str(rest);
    plain.split('.').all(|label| {
        label.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
            && !label.ends_with(['_', '-'])
    })
}

fn is_range(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let bounds: Vec<_> = text.split(':').collect();
    match bounds[..] {
        [first, last] | [first, last, _] => {
            (number(first) && number(last) || letter(first).is_some() && letter(last).is_some())
                && bounds.get(2).is_none_or(|step| number(step))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expands_ranges() {
        for (pattern, names, port) in [
            ("web1", &["web1"][..], None),
            (
                "www[01:03].example.com",
                &[
                    "www01.example.com",
                    "www02.example.com",
                    "www03.example.com",
                ],
                None,
            ),
            ("db-[a:c]:2222", &["db-a", "db-b", "db-c"], Some(2222)),
            ("n[1:7:3]", &["n1", "n4", "n7"], None),
            ("r[1:2]n[:1]", &["r1n0", "r1n1", "r2n0", "r2n1"], None),
            ("x[y:B]", &["xy", "xz", "xA", "xB"], None),
            ("[::1]:22", &["::1"], Some(22)),
            ("[web1]:22", &["web1"], Some(22)),
            ("2001:db8::1", &["2001:db8::1"], None),
            ("web_:22", &["web_:22"], None),
            ("web[:1]:22", &["web0:22", "web1:22"], None),
        ] {
            let expected: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(expand(pattern, 100), Ok((expected, port)), "{pattern}");
        }
    }

    #[test]
    fn refuses_what_is_no_range() {
        for pattern in [
            "",
            "web[",
            "web[1]",
            "web[1:2:3:4]",
            "web[01:100]",
            "web[1:x]",
            "web[2:1]",
            "web[1:2:0]",
            "web:",
            "web[0:1000000]",
            "web[1:50][1:50]",
            "web:99999",
            "[::1]",
        ] {
            assert!(expand(pattern, 100).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-cZ0-2:\\[\\].\\-_é]{0,16}") {
            let _ = expand(&text, 100);
        }
    }
}
