//! Shell wildcards and basic regular expressions, for the builtins.

/// Whether a path matches a shell pattern; `/` is matched by itself only (POSIX.1-2024, Shell Command Language, 2.14).
pub(super) fn glob(pattern: &str, path: &str) -> bool {
    // A leading period is matched by itself only, too.
    let hidden = |part: &str| part.starts_with('.');
    let parts = pattern.split('/').zip(path.split('/'));
    if parts
        .into_iter()
        .any(|(pattern, path)| hidden(path) && !hidden(pattern))
    {
        return false;
    }
    let pattern: Vec<Item> = items(pattern, false);
    let path: Vec<char> = path.chars().collect();
    matches(&pattern, &path)
}

/// A basic regular expression (POSIX.1-2024, Base Definitions, 9.3) without groups, intervals and back-references.
#[derive(Debug)]
pub(super) struct Expression {
    items: Vec<Item>,
}

impl Expression {
    pub(super) fn new(text: &str) -> Self {
        // A match may start and end anywhere, so the expression stands between two `.*` unless it is anchored.
        let (text, start) = match text.strip_prefix('^') {
            Some(rest) => (rest, false),
            None => (text, true),
        };
        let (text, end) = match text.strip_suffix('$') {
            Some(rest) if !rest.ends_with('\\') => (rest, false),
            _ => (text, true),
        };
        let anything = || Item {
            set: Set::Any,
            repeats: true,
        };
        let mut items = items(text, true);
        if start {
            items.insert(0, anything());
        }
        if end {
            items.push(anything());
        }
        Self { items }
    }

    pub(super) fn is_match(&self, line: &str) -> bool {
        let line: Vec<char> = line.chars().collect();
        matches(&self.items, &line)
    }
}

#[derive(Debug)]
struct Item {
    set: Set,
    repeats: bool,
}

#[derive(Debug)]
enum Set {
    Any,
    AnyButSlash,
    One(char),
    Ranges {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Set {
    fn contains(&self, character: char) -> bool {
        match self {
            Set::Any => true,
            Set::AnyButSlash => character != '/',
            Set::One(one) => *one == character,
            Set::Ranges { negated, ranges } => {
                ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&character))
                    != *negated
            }
        }
    }
}

/// Reads a glob or a basic regular expression: both are sequences of character sets, some of which repeat.
fn items(text: &str, is_expression: bool) -> Vec<Item> {
    let characters: Vec<char> = text.chars().collect();
    let mut items: Vec<Item> = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let mut repeats = false;
        let set = match characters[at] {
            '\\' if at + 1 < characters.len() => {
                at += 1;
                Set::One(characters[at])
            }
            '*' if is_expression && !items.is_empty() => {
                if let Some(last) = items.last_mut() {
                    last.repeats = true;
                }
                at += 1;
                continue;
            }
            '*' if !is_expression => {
                repeats = true;
                Set::AnyButSlash
            }
            '?' if !is_expression => Set::AnyButSlash,
            '.' if is_expression => Set::Any,
            '[' => match bracket(&characters[at + 1..], is_expression) {
                Some((set, length)) => {
                    at += length;
                    set
                }
                None => Set::One('['),
            },
            character => Set::One(character),
        };
        at += 1;
        items.push(Item { set, repeats });
    }
    items
}

/// Reads a bracket expression after its `[`; gives the number of characters with the `]`.
fn bracket(text: &[char], is_expression: bool) -> Option<(Set, usize)> {
    let negated = match text.first()? {
        '^' => true,
        '!' if !is_expression => true,
        _ => false,
    };
    let mut at = usize::from(negated);
    let first = at;
    let mut ranges = Vec::new();
    loop {
        let from = *text.get(at)?;
        if from == ']' && at > first {
            return Some((Set::Ranges { negated, ranges }, at + 1));
        }
        match (text.get(at + 1), text.get(at + 2)) {
            (Some('-'), Some(&to)) if to != ']' => {
                ranges.push((from, to));
                at += 3;
            }
            _ => {
                ranges.push((from, from));
                at += 1;
            }
        }
    }
}

/// Matches the whole text in time proportional to both lengths: all states side by side, no backtracking.
fn matches(items: &[Item], text: &[char]) -> bool {
    let close = |states: &mut Vec<bool>| {
        for at in 0..items.len() {
            if states[at] && items[at].repeats {
                states[at + 1] = true;
            }
        }
    };
    let mut states = vec![false; items.len() + 1];
    states[0] = true;
    close(&mut states);
    for &character in text {
        let mut next = vec![false; items.len() + 1];
        for at in 0..items.len() {
            if states[at] && items[at].set.contains(character) {
                next[if items[at].repeats { at } else { at + 1 }] = true;
            }
        }
        close(&mut next);
        states = next;
    }
    states[items.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs() {
        for (pattern, path, expected) in [
            ("/proc/[0-9]*/stat", "/proc/1001/stat", true),
            ("/proc/[0-9]*/stat", "/proc/self/stat", false),
            ("/proc/*", "/proc/1/stat", false),
            ("*.conf", "a.conf", true),
            ("a?c", "abc", true),
            ("a\\?c", "abc", false),
            ("[!a]b", "ab", false),
            ("[]a]b", "]b", true),
            ("[", "[", true),
            ("/home/*", "/home/.ssh", false),
            ("/home/.*", "/home/.ssh", true),
        ] {
            assert_eq!(glob(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn basic_regular_expressions() {
        let group = Expression::new(") [^ZX] [0-9]* 1001 ");
        assert!(group.is_match("1001 (sleep) S 1 1001 1001 0"));
        assert!(!group.is_match("1001 (sleep) Z 1 1001 1001 0"));
        assert!(!group.is_match("1001 (sleep) S 1 11001 1001 0"));
        for (expression, line, expected) in [
            ("^a.c$", "abc", true),
            ("^a.c$", "xabc", false),
            ("b", "abc", true),
            ("a*b", "b", true),
            ("*a", "*a", true),
            ("a\\.c", "abc", false),
        ] {
            assert_eq!(
                Expression::new(expression).is_match(line),
                expected,
                "{expression} {line}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_pattern_ends(pattern in ".{0,20}", text in ".{0,20}") {
            let _ = glob(&pattern, &text);
            let _ = Expression::new(&pattern).is_match(&text);
        }
    }
}
