//! Excerpts that touch become one, as with grep(1).

use std::collections::BTreeMap;

use super::lines::Place;
use crate::Hit;

/// Lines of one origin that stand one behind the other: what was found, and what is around it.
///
/// Between two of them grep(1) prints a line with `--`.
#[derive(Debug, Clone)]
pub struct Excerpt {
    /// The fields of the origin and their values, as `host.name` and `web-1`; empty where the line has no such field, and
    /// then no context.
    pub origin: Vec<(String, String)>,
    /// The lines, the oldest first.
    pub lines: Vec<Line>,
}

/// A line, and whether it is one that was looked for.
#[derive(Debug, Clone)]
pub struct Line {
    /// The document.
    pub hit: Hit,
    /// Whether it was looked for; else it stands near one that was.
    pub matched: bool,
}

/// A line that was found with those around it, before excerpts are made of several.
#[derive(Debug, Clone)]
pub(super) struct Around {
    pub(super) origin: Vec<(String, String)>,
    /// In their order.
    pub(super) lines: BTreeMap<Place, Line>,
    /// The line behind the last, which is not shown.
    pub(super) next: Option<Place>,
}

/// Joins what overlaps or touches; the rest in the order of the first lines.
pub(super) fn merged(around: Vec<Around>) -> Vec<Excerpt> {
    let mut by_origin: BTreeMap<Vec<(String, String)>, Vec<Around>> = BTreeMap::new();
    let mut done: Vec<Around> = Vec::new();
    for one in around {
        match one.origin.is_empty() {
            true => done.push(one),
            false => by_origin.entry(one.origin.clone()).or_default().push(one),
        }
    }
    for mut group in by_origin.into_values() {
        group.sort_by(|a, b| a.lines.keys().next().cmp(&b.lines.keys().next()));
        let mut group = group.into_iter();
        let Some(mut last) = group.next() else {
            continue;
        };
        for one in group {
            let (end, start) = (last.lines.keys().next_back(), one.lines.keys().next());
            let touches = start <= end || (last.next.is_some() && start == last.next.as_ref());
            if touches {
                if one.lines.keys().next_back() > end {
                    last.next = one.next;
                }
                for (place, line) in one.lines {
                    // As one that was looked for it says what matched in it.
                    if line.matched {
                        last.lines.insert(place, line);
                    } else {
                        last.lines.entry(place).or_insert(line);
                    }
                }
            } else {
                done.push(std::mem::replace(&mut last, one));
            }
        }
        done.push(last);
    }
    done.sort_by(|a, b| a.lines.keys().next().cmp(&b.lines.keys().next()));
    let excerpt = |one: Around| Excerpt {
        origin: one.origin,
        lines: one.lines.into_values().collect(),
    };
    done.into_iter().map(excerpt).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use super::*;

    fn around(host: &str, from: i64, matched: i64, to: i64) -> Around {
        let line = |number: i64| {
            let text = format!(r#"{{"_index":"i","_id":"{number}","sort":[{number},0,"i"]}}"#);
            let hit: Hit = serde_json::from_str(&text).unwrap();
            (
                Place::of(&hit).unwrap(),
                Line {
                    hit,
                    matched: number == matched,
                },
            )
        };
        Around {
            origin: vec![("host".into(), host.into())],
            lines: (from..=to).map(line).collect(),
            next: Some(line(to + 1).0),
        }
    }

    fn shown(excerpts: &[Excerpt]) -> Vec<String> {
        let line = |line: &Line| format!("{}{}", line.hit.id, if line.matched { ":" } else { "-" });
        let lines =
            |excerpt: &Excerpt| excerpt.lines.iter().map(line).collect::<Vec<_>>().join(" ");
        excerpts.iter().map(lines).collect()
    }

    #[test]
    fn excerpts_that_overlap_or_touch_are_one() {
        let excerpts = merged(vec![
            around("a", 20, 21, 22),
            around("a", 1, 2, 3),
            around("a", 3, 4, 5),
            around("a", 6, 7, 8),
        ]);
        assert_eq!(shown(&excerpts), ["1- 2: 3- 4: 5- 6- 7: 8-", "20- 21: 22-"]);
        // One within another.
        let excerpts = merged(vec![
            around("a", 1, 5, 9),
            around("a", 3, 4, 5),
            around("a", 10, 10, 10),
        ]);
        assert_eq!(shown(&excerpts), ["1- 2- 3- 4: 5: 6- 7- 8- 9- 10:"]);
    }

    #[test]
    fn what_matched_in_a_line_stays_where_it_is_context_too() {
        let mut late = around("a", 2, 3, 4);
        for line in late.lines.values_mut().filter(|line| line.matched) {
            let fragments = vec!["what matched".to_owned()];
            line.hit.highlight.insert("message".to_owned(), fragments);
        }
        for all in [
            vec![around("a", 1, 2, 3), late.clone()],
            vec![late, around("a", 3, 4, 5)],
        ] {
            let excerpts = merged(all);
            let mut lines = excerpts[0].lines.iter();
            let line = lines.find(|line| line.hit.id == "3").unwrap();
            assert!(line.matched && line.hit.highlight.contains_key("message"));
        }
    }

    #[test]
    fn other_origins_stay_apart() {
        let excerpts = merged(vec![around("b", 2, 2, 4), around("a", 1, 2, 3)]);
        assert_eq!(shown(&excerpts), ["1- 2: 3-", "2: 3- 4-"]);
    }
}
