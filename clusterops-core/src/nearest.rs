//! The name that was probably meant.

/// The candidate nearest to `name`, if one is near enough to be a likely slip of the hand.
///
/// Near enough: at most one edit for every three characters, and at least one.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = name.chars().count();
    let limit = (length / 3).clamp(length.min(1), 8);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name && candidate.len().abs_diff(name.len()) <= 4 * limit)
        .filter_map(|candidate| Some((distance(name, candidate, limit)?, candidate)))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// The end of an error about a name that nobody knows: `; did you mean X?`, or nothing when no candidate is near.
///
/// ```
/// use clusterops_core::did_you_mean;
///
/// assert_eq!(did_you_mean("prot", ["host", "port"]), "; did you mean `port`?");
/// assert_eq!(did_you_mean("database", ["host", "port"]), "");
/// ```
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, candidates) {
        Some(candidate) => format!("; did you mean `{candidate}`?"),
        None => String::new(),
    }
}

/// How many insertions, deletions, substitutions and swaps of neighbours turn `a` into `b` (optimal string
/// alignment), case ignored; `None` past `limit`.
pub(crate) fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, of_a) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, of_b) in b.iter().enumerate() {
            let substituted = last[j] + usize::from(of_a != of_b);
            row[j + 1] = substituted.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *of_a == b[j - 1] && a[i - 1] == *of_b {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        if row.iter().min().is_some_and(|least| *least > limit) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|edits| *edits <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(distance("port", "port", 0), Some(0));
        assert_eq!(distance("prot", "port", 1), Some(1));
        assert_eq!(distance("adress", "address", 1), Some(1));
        assert_eq!(distance("Port", "port", 0), Some(0));
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
        assert_eq!(distance("kitten", "sitting", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
    }

    #[test]
    fn finds_the_nearest() {
        let known = ["agents", "masters", "canary"];
        assert_eq!(nearest("agent", known), Some("agents"));
        assert_eq!(nearest("canray", known), Some("canary"));
        assert_eq!(nearest("database", known), None);
        assert_eq!(did_you_mean("agent", known), "; did you mean `agents`?");
    }
}
