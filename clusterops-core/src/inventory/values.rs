//! Values whose ranges go side by side with the range of a host entry.

use crate::ErrorKind;
use crate::hostset::expand_pattern;
use crate::text::shortened;

use super::native::MAX_HOSTS;

/// What an entry says for one field of its hosts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// The same for all.
    Shared(String),
    /// One for each, in the order of the hosts.
    Each(Vec<String>),
}

impl Values {
    /// The value of the host at this position.
    pub(super) fn of(&self, at: usize) -> &str {
        match self {
            Self::Shared(text) => text,
            Self::Each(texts) => &texts[at],
        }
    }
}

/// Reads a value beside an entry of `hosts` hosts; the error is a sentence.
///
/// A bracket is a range when it holds numbers in the way of `[1-50]`, `[1,3,5-9]` or `[0-98/2]`; there must be as many
/// values as hosts. Other brackets (`[prod]`, `[0]`, `[2001:db8::1]`, `["a"]`) are text, and so is a range after
/// another opening bracket: `[[0-9]+` is the text `[0-9]+`.
pub(super) fn beside(text: &str, hosts: usize) -> Result<Values, String> {
    let mut values = vec![String::new()];
    let mut ranges = false;
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let (before, bracket) = rest.split_at(open);
        values.iter_mut().for_each(|value| value.push_str(before));
        if let Some(range) = range(bracket) {
            ranges = true;
            let too_many = || format!("`{}` has more than {MAX_HOSTS} values", shortened(text));
            let numbers = expand_pattern(&format!("n{range}"), MAX_HOSTS).map_err(|error| {
                match error.kind() {
                    ErrorKind::TooLarge => too_many(),
                    _ => error.message().to_owned(),
                }
            })?;
            if values.len().saturating_mul(numbers.len()) > MAX_HOSTS {
                return Err(too_many());
            }
            values = values
                .iter()
                .flat_map(|value| {
                    numbers
                        .iter()
                        .map(move |number| format!("{value}{}", &number[1..]))
                })
                .collect();
            rest = &bracket[range.len()..];
        } else {
            // The text of an escaped range, or the bracket alone.
            let literal = range_after_bracket(bracket).unwrap_or("[");
            values.iter_mut().for_each(|value| value.push_str(literal));
            let escape = usize::from(literal.len() > 1);
            rest = &bracket[escape + literal.len()..];
        }
    }
    values.iter_mut().for_each(|value| value.push_str(rest));
    if !ranges {
        return Ok(Values::Shared(values.pop().unwrap_or_default()));
    }
    if values.len() != hosts {
        return Err(format!(
            "the range in `{}` has {} values for {hosts} host{}; give as many, or write `[[` for a plain bracket",
            shortened(text),
            values.len(),
            if hosts == 1 { "" } else { "s" },
        ));
    }
    Ok(Values::Each(values))
}

/// Writes a text so that [`beside`] reads it back as it is.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let (before, bracket) = rest.split_at(open);
        escaped.push_str(before);
        // A range, or what would read as an escaped one, gets one more bracket.
        match range(bracket) {
            Some(range) => {
                escaped.push('[');
                escaped.push_str(range);
                rest = &bracket[range.len()..];
            }
            None => {
                escaped.push('[');
                rest = &bracket[1..];
            }
        }
    }
    escaped.push_str(rest);
    escaped
}

/// The address in `text`, without the brackets of IPv6; `None` when it is none.
pub(super) fn address(text: &str) -> Option<&str> {
    let bare = text
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text);
    let target: crate::Target = text.parse().ok()?;
    (target.user.is_none()
        && target.port.is_none()
        && target.address == bare
        && !bare.contains(['[', ']', '/']))
    .then_some(bare)
}

/// The numeric range, with its brackets, that `text` starts with.
fn range(text: &str) -> Option<&str> {
    let end = text.find(']')?;
    let inner = text.strip_prefix('[')?.get(..end - 1)?;
    let number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let part = |part: &str| match part.split_once('-') {
        None => number(part),
        Some((first, last)) => match last.split_once('/') {
            None => number(first) && number(last),
            Some((last, step)) => number(first) && number(last) && number(step),
        },
    };
    (inner.contains(['-', ',']) && inner.split(',').all(part)).then(|| &text[..=end])
}

/// The range after an escaping bracket: `[1-2]` of `[[1-2]x`.
fn range_after_bracket(text: &str) -> Option<&str> {
    range(text.strip_prefix('[')?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn each(text: &str, hosts: usize) -> Vec<String> {
        match beside(text, hosts).expect(text) {
            Values::Each(values) => values,
            Values::Shared(text) => panic!("shared: {text}"),
        }
    }

    fn shared(text: &str) -> String {
        match beside(text, 3).expect(text) {
            Values::Shared(text) => text,
            Values::Each(values) => panic!("each: {values:?}"),
        }
    }

    #[test]
    fn ranges_of_numbers_go_side_by_side() {
        assert_eq!(
            each("10.0.1.[1-3]", 3),
            ["10.0.1.1", "10.0.1.2", "10.0.1.3"]
        );
        assert_eq!(each("[01-02]", 2), ["01", "02"]);
        assert_eq!(each("r[1-2].[1,3]", 4), ["r1.1", "r1.3", "r2.1", "r2.3"]);
        assert_eq!(
            each("[2001:db8::[1-2]]", 2),
            ["[2001:db8::1]", "[2001:db8::2]"]
        );
        assert_eq!(each("a b [0-4/2]", 3), ["a b 0", "a b 2", "a b 4"]);
    }

    #[test]
    fn other_brackets_are_text() {
        for text in [
            "[prod]",
            "disk[0]",
            "[2001:db8::1]",
            "[\"a\"]",
            "[",
            "]",
            "[]",
            "[[",
            "[a-z]+",
            "[2026-11-22]",
        ] {
            assert_eq!(shared(text), text);
        }
        assert_eq!(shared("[[0-9]+ [[1,2]]"), "[0-9]+ [1,2]]");
    }

    #[test]
    fn counts_must_agree() {
        let problem = beside("10.0.1.[1-49]", 50).expect_err("49 for 50");
        assert!(problem.contains("49 values for 50 hosts"), "{problem}");
        assert!(
            beside("[0-9]+", 1)
                .expect_err("10 for 1")
                .contains("10 values for 1 host;")
        );
        assert!(beside("[1-1000][1-1000][1-1000][1-1000]", 4).is_err());
    }

    #[test]
    fn addresses_have_no_port_and_no_brackets() {
        assert_eq!(address("10.0.0.1"), Some("10.0.0.1"));
        assert_eq!(address("[2001:db8::1]"), Some("2001:db8::1"));
        assert_eq!(address("2001:db8::1"), Some("2001:db8::1"));
        for wrong in [
            "",
            "10.0.0.1:22",
            "[::1]:22",
            "u@web1",
            "10.0.0.[5]",
            "10.0.0.1/24",
            "a b",
        ] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_reads_back(text in "[\\[\\]0-9,a-]{0,12}") {
            prop_assert_eq!(shared(&escape(&text)), text);
        }
    }
}
