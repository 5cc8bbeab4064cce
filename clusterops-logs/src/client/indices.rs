//! Which indices a request is about.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// An expression that names indices: names, aliases and data streams, patterns, lists, exclusions, date math, and all of
/// these in other clusters.
///
/// ```
/// use clusterops_logs::Indices;
///
/// let indices: Indices = "logs-*,-logs-debug-*,europe:logs-*,<logs-{now/d}>".parse().unwrap();
/// assert!(indices.has_remote());
/// let error = "logs-*,,app".parse::<Indices>().unwrap_err();
/// assert_eq!(error.column(), Some(8));
/// ```
///
/// What is written is what is sent; only what no server accepts, or would take for something much larger (an empty name is
/// every index), is refused. The rules are those of [Elasticsearch's multi-target syntax] and its [date math], which
/// OpenSearch shares.
///
/// [Elasticsearch's multi-target syntax]: https://www.elastic.co/guide/en/elasticsearch/reference/7.17/multi-index.html
/// [date math]: https://www.elastic.co/guide/en/elasticsearch/reference/7.17/date-math-index-names.html
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Indices(String);

impl Indices {
    /// Every index that is not hidden, in this cluster.
    pub fn all() -> Self {
        Self("_all".to_owned())
    }

    /// Checks an expression.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) with the column, for an empty name, an exclusion that excludes from nothing, date math
    /// that is not closed, and characters that no name of an index has.
    pub fn new(expression: &str) -> Result<Self> {
        let mut column = 1;
        let mut wildcard = false;
        for part in parts(expression)? {
            check(part, wildcard).map_err(|(offset, message)| {
                let message = format!("`{part}` names no index: {message}");
                Error::new(ErrorKind::Input, message).at(column + offset)
            })?;
            wildcard |= part.contains('*') || part == "_all";
            column += part.chars().count() + 1;
        }
        Ok(Self(expression.to_owned()))
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts that are names in this cluster, and no patterns.
    pub(crate) fn names(&self) -> Vec<&str> {
        let is_name = |part: &&str| {
            let is_pattern = part.contains('*') || part.starts_with('-') || *part == "_all";
            !is_pattern && split_cluster(part).0.is_none()
        };
        let parts = parts(&self.0).unwrap_or_default();
        parts.into_iter().filter(is_name).collect()
    }

    /// Whether a part of it is in another cluster.
    pub fn has_remote(&self) -> bool {
        parts(&self.0).is_ok_and(|parts| parts.iter().any(|part| split_cluster(part).0.is_some()))
    }
}

impl FromStr for Indices {
    type Err = Error;

    fn from_str(expression: &str) -> Result<Self> {
        Self::new(expression)
    }
}

impl TryFrom<&str> for Indices {
    type Error = Error;

    fn try_from(expression: &str) -> Result<Self> {
        Self::new(expression)
    }
}

impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts between the commas, which mean nothing inside date math.
fn parts(expression: &str) -> Result<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut open) = (0, None);
    for (place, (offset, character)) in expression.char_indices().enumerate() {
        match (character, open) {
            ('<', None) => open = Some(place + 1),
            ('>', Some(_)) => open = None,
            (',', None) => {
                parts.push(&expression[start..offset]);
                start = offset + 1;
            }
            _ => {}
        }
    }
    if let Some(column) = open {
        let message = "date math is not closed; it is written as <logs-{now/d}>";
        return Err(Error::new(ErrorKind::Input, message).at(column));
    }
    parts.push(&expression[start..]);
    Ok(parts)
}

/// The cluster that a part is in, and the rest. Two colons begin a selector, such as `::failures`.
fn split_cluster(part: &str) -> (Option<&str>, &str) {
    match part.find(':') {
        Some(at) if !part[at..].starts_with("::") && !part[..at].contains('<') => {
            (Some(&part[..at]), &part[at + 1..])
        }
        _ => (None, part),
    }
}

/// What is wrong with a part, and how many characters in.
fn check(part: &str, after_wildcard: bool) -> Result<(), (usize, String)> {
    let (cluster, local) = split_cluster(part);
    let skipped = cluster.map_or(0, |cluster| cluster.chars().count() + 1);
    if cluster.is_some_and(|cluster| cluster.trim_start_matches('-').is_empty()) {
        return Err((0, "the cluster before the colon has no name".to_owned()));
    }
    if local.is_empty() {
        let message = "it is empty, which servers take for every index; `Indices::all` says that";
        return Err((skipped, message.to_owned()));
    }
    if let Some(excluded) = local.strip_prefix('-') {
        if excluded.is_empty() {
            return Err((skipped, "nothing stands behind the minus".to_owned()));
        }
        if !after_wildcard && cluster.is_none() {
            let message = "an exclusion stands behind a pattern that it excludes from";
            return Err((skipped, message.to_owned()));
        }
    }
    if local.strip_prefix('-').unwrap_or(local).starts_with('<') {
        return match local.ends_with('>') {
            true => Ok(()),
            false => Err((skipped, "date math ends with its `>`".to_owned())),
        };
    }
    if local == "." || local == ".." {
        return Err((skipped, "no index is called so".to_owned()));
    }
    let name = local.split("::").next().unwrap_or(local);
    for (place, character) in name.chars().enumerate() {
        if character.is_whitespace() || character.is_control() || "\\/?\"<>|#:".contains(character)
        {
            let character = character.escape_default();
            return Err((skipped + place, format!("`{character}` stands in no name")));
        }
    }
    let longest = 255;
    if name.len() > longest {
        return Err((skipped, format!("it is longer than {longest} bytes")));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn what_servers_take_is_taken() {
        for text in [
            "logs",
            "logs-*",
            "*",
            "_all",
            "logs-*,-logs-old*",
            ".ds-logs-app-2024.01.01-000001",
            "Alias-With-Capitals",
            "<logs-{now/d}>",
            "<logs-{now/d{yyyy.MM.dd|+12:00}}>,<logs-{now/d-1d}>",
            "europe:logs-*",
            "*:logs-*,logs-*",
            "europe:logs-*,-europe:logs-old",
            "europe:<logs-{now/M}>",
            "logs::failures",
            "größe",
        ] {
            assert_eq!(Indices::new(text).unwrap().as_str(), text);
        }
        assert!(!Indices::new("<logs-{now/d{HH:mm}}>").unwrap().has_remote());
        assert!(!Indices::new("logs::data").unwrap().has_remote());
        assert!(Indices::new("logs,*:logs").unwrap().has_remote());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_column() {
        for (text, column) in [
            ("", 1),
            (",logs", 1),
            ("logs,", 6),
            ("logs a", 5),
            ("-logs", 1),
            ("logs,-logs-old", 6),
            ("ö,a/b", 4),
            ("logs-*,<logs-{now/d}", 8),
            ("a,:logs", 3),
            ("europe:", 8),
            ("a,europe:lo gs", 12),
            ("..", 1),
            ("logs-*,-", 8),
        ] {
            let error = Indices::new(text).unwrap_err();
            assert_eq!(error.column(), Some(column), "{text}: {error}");
            assert_eq!(error.kind(), ErrorKind::Input);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_checked(text in ".*", likely in "[a-z<>{},:*/-]{0,20}") {
            let _ = Indices::new(&text);
            let _ = Indices::new(&likely);
        }
    }
}
