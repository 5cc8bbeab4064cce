//! Patterns for host names, as OpenSSH's `match.c` reads them.

use crate::wildcard;

/// The longest pattern that OpenSSH compares (`match_pattern_list`); a list with a longer one matches nothing.
pub(super) const LONGEST: usize = 1022;

/// Whether a list has a wildcard or a negated pattern, so that its names cannot be looked up one by one.
pub(super) fn is_pattern(list: &[u8]) -> bool {
    list.iter().any(|byte| matches!(byte, b'*' | b'?'))
        || list
            .split(|byte| *byte == b',')
            .any(|one| one.starts_with(b"!"))
}

/// Whether `name`, in lower case, matches a pattern of the comma-separated list, and no negated one.
pub(super) fn matches_list(name: &[u8], list: &[u8]) -> bool {
    let mut matched = false;
    for pattern in list.split(|byte| *byte == b',') {
        if let Some(negated) = pattern.strip_prefix(b"!") {
            if matches(name, negated) {
                return false;
            }
        } else {
            matched |= !pattern.is_empty() && matches(name, pattern);
        }
    }
    matched
}

/// Whether `name`, in lower case, matches `pattern`, in any case.
pub(super) fn matches(name: &[u8], pattern: &[u8]) -> bool {
    wildcard::matches(name, pattern, |of_name, of_pattern| {
        of_name == of_pattern.to_ascii_lowercase()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (name, pattern, expected) in [
            ("web1", "web1", true),
            ("web1", "WEB1", true),
            ("web1", "web", false),
            ("web1", "web?", true),
            ("web1", "web??", false),
            ("web1", "*", true),
            ("web1", "w*1", true),
            ("web1", "**1*", true),
            ("web1", "*2", false),
            ("ababab", "*ab?b", true),
            ("ababab", "*?ba", false),
            ("[web1]:2222", "[*]:2222", true),
            ("", "*", true),
            ("", "?", false),
        ] {
            assert_eq!(
                matches(name.as_bytes(), pattern.as_bytes()),
                expected,
                "{name} {pattern}"
            );
        }
    }

    #[test]
    fn a_negated_match_ends_it() {
        assert!(matches_list(b"web1", b"*,!web2"));
        assert!(!matches_list(b"web2", b"*,!web2"));
        assert!(!matches_list(b"web2", b"!web2,web2"));
        assert!(!matches_list(b"web1", b"!web2"));
        assert!(matches_list(b"!web1", b"!!web2,!web1,*") && !matches_list(b"!web2", b"!!web2,*"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let name = vec![b'a'; LONGEST];
        let pattern = [b"*a".repeat(LONGEST / 2 - 1), b"b".to_vec()].concat();
        assert!(!matches(&name, &pattern));
    }
}
