//! Patterns and lists of them, as OpenSSH's `match.c` reads them.

use crate::wildcard;

/// The longest pattern of a list that OpenSSH compares; a list with a longer one matches nothing.
const LONGEST: usize = 1022;

/// Whether `text` matches `pattern`.
pub(crate) fn matches(text: &str, pattern: &str) -> bool {
    let is_same = |of_text, of_pattern| of_text == of_pattern;
    wildcard::matches(text.as_bytes(), pattern.as_bytes(), is_same)
}

/// What a comma-separated list of patterns says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A pattern matches, and none with a `!`.
    Match,
    /// A pattern with a `!` matches.
    Refused,
    /// None matches.
    No,
}

/// Asks a comma-separated list of patterns.
pub(super) fn list(text: &str, patterns: &str) -> Verdict {
    let mut verdict = Verdict::No;
    if patterns.is_empty() {
        return verdict;
    }
    // A comma at the end ends the last pattern, and begins none.
    for pattern in patterns.strip_suffix(',').unwrap_or(patterns).split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        if pattern.len() > LONGEST {
            return Verdict::No;
        }
        if matches(text, pattern) {
            if negated {
                return Verdict::Refused;
            }
            verdict = Verdict::Match;
        }
    }
    verdict
}

/// Asks a list about a host name, ignoring case (`match_hostname`).
pub(super) fn host_list(host: &str, patterns: &str) -> Verdict {
    list(&host.to_ascii_lowercase(), &patterns.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (text, pattern, expected) in [
            ("web1", "web1", true),
            ("web1", "WEB1", false),
            ("web1", "web?", true),
            ("web1", "web??", false),
            ("web1", "*", true),
            ("web1", "w*1", true),
            ("web1", "*2", false),
            ("ababab", "*ab?b", true),
            ("", "", true),
            ("", "*", true),
            ("", "?", false),
        ] {
            assert_eq!(matches(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn lists() {
        for (text, patterns, expected) in [
            ("web1", "db*,web*", Verdict::Match),
            ("web1", "*,!web1", Verdict::Refused),
            ("web1", "!web2", Verdict::No),
            ("web1", "", Verdict::No),
            ("", "", Verdict::No),
            ("", "a,", Verdict::No),
            ("", ",a", Verdict::Match),
            ("web1", "WEB1", Verdict::No),
        ] {
            assert_eq!(list(text, patterns), expected, "{text} {patterns}");
        }
        assert_eq!(host_list("Web1", "wEB*"), Verdict::Match);
        let long = format!("web1,{}", "a".repeat(LONGEST + 1));
        assert_eq!(list("web1", &long), Verdict::No);
    }

    #[test]
    fn many_stars_take_no_time() {
        let text = "a".repeat(5000);
        let pattern = format!("{}b", "*a".repeat(2000));
        assert!(!matches(&text, &pattern));
    }
}
