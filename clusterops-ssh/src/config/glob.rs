//! Names of files by pattern, as glob(3) gives them to an Include line.

use std::fs;
use std::path::{Path, PathBuf};

/// The paths that match, sorted; `*`, `?` and `[...]` match within a component, and no leading dot.
pub(super) fn glob(pattern: &str) -> Vec<PathBuf> {
    let root = if pattern.starts_with('/') { "/" } else { "" };
    let mut found = vec![PathBuf::from(root)];
    for component in pattern.split('/').filter(|component| !component.is_empty()) {
        let pattern: Vec<char> = component.chars().collect();
        found = if component.contains(['*', '?', '[']) {
            found
                .iter()
                .flat_map(|base| children(base, &pattern))
                .collect()
        } else {
            let name = component.replace('\\', "");
            found.iter().map(|base| base.join(&name)).collect()
        };
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    found.sort();
    found
}

fn children(base: &Path, pattern: &[char]) -> Vec<PathBuf> {
    let base_or_here = if base.as_os_str().is_empty() {
        Path::new(".")
    } else {
        base
    };
    let Ok(entries) = fs::read_dir(base_or_here) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_meant = |name: &String| {
        let letters: Vec<char> = name.chars().collect();
        (!name.starts_with('.') || pattern.first() == Some(&'.')) && matches(&letters, pattern)
    };
    names.filter(is_meant).map(|name| base.join(name)).collect()
}

/// Whether a name matches. Remembers the last `*` only, so the time is bounded by the product of the lengths.
fn matches(name: &[char], pattern: &[char]) -> bool {
    let (mut at_name, mut at_pattern) = (0, 0);
    let mut retry = None;
    while at_name < name.len() {
        if pattern.get(at_pattern) == Some(&'*') {
            at_pattern += 1;
            retry = Some((at_name, at_pattern));
            continue;
        }
        match one(name[at_name], &pattern[at_pattern..]) {
            Some(length) => {
                at_name += 1;
                at_pattern += length;
            }
            None => match retry {
                Some((start, after_star)) => {
                    retry = Some((start + 1, after_star));
                    (at_name, at_pattern) = (start + 1, after_star);
                }
                None => return false,
            },
        }
    }
    pattern[at_pattern..].iter().all(|letter| *letter == '*')
}

/// How much of the pattern stands for one letter, if it stands for this one.
fn one(letter: char, pattern: &[char]) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == letter).then_some(2),
        ['[', rest @ ..] => match set(letter, rest) {
            Some((is_in, length)) => is_in.then_some(length + 1),
            // Without its end it is a bracket.
            None => (letter == '[').then_some(1),
        },
        [plain, ..] => (*plain == letter).then_some(1),
        [] => None,
    }
}

/// Whether a letter is in the set that begins behind a bracket, and how long that is.
fn set(letter: char, pattern: &[char]) -> Option<(bool, usize)> {
    let is_negated = matches!(pattern.first(), Some('!' | '^'));
    let start = usize::from(is_negated);
    // A `]` in first place is a letter.
    let end = pattern
        .iter()
        .skip(start + 1)
        .position(|letter| *letter == ']')?
        + start
        + 1;
    let mut is_in = false;
    let mut left = &pattern[start..end];
    while let [first, rest @ ..] = left {
        (is_in, left) = match rest {
            ['-', last, rest @ ..] => (is_in || (*first..=*last).contains(&letter), rest),
            _ => (is_in || *first == letter, rest),
        };
    }
    Some((is_in != is_negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(name: &str, pattern: &str) -> bool {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        matches(&letters(name), &letters(pattern))
    }

    #[test]
    fn patterns() {
        for (name, pattern, expected) in [
            ("10-web.conf", "*.conf", true),
            ("10-web.conf", "[0-9]?-*", true),
            ("a-web", "[!0-9]-web", true),
            ("1-web", "[^0-9]-web", false),
            ("]", "[]]", true),
            ("[a", "[a", true),
            ("a*", "a\\*", true),
            ("ab", "a\\*", false),
            ("a", "a[", false),
            ("-", "[a-]", true),
        ] {
            assert_eq!(is_match(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    #[expect(clippy::unwrap_used, reason = "a test that fails says where")]
    fn finds_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "other"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let root = folder.path().to_str().unwrap();
        let names = |pattern: &str| -> Vec<String> {
            let found = glob(&format!("{root}/{pattern}"));
            found
                .iter()
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(names("./*"), ["a.conf", "b.conf", "other"]);
        assert_eq!(names(".h*"), [".hidden.conf"]);
        assert_eq!(names("other"), ["other"]);
        assert!(names("missing").is_empty());
        assert!(names("missing/*").is_empty());
    }
}
