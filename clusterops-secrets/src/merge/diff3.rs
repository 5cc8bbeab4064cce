//! Merging texts by lines, as diff3(1) does.

use std::collections::HashMap;

/// A piece of a merged text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hunk<'t> {
    /// Lines that both sides agree on.
    Agreed(&'t [&'t str]),
    /// Lines that each side has changed in another way.
    Conflict {
        ours: &'t [&'t str],
        theirs: &'t [&'t str],
    },
}

/// Merges two texts that come from a third, all as lines with their ends.
pub(crate) fn merge<'t>(
    base: &'t [&'t str],
    ours: &'t [&'t str],
    theirs: &'t [&'t str],
) -> Vec<Hunk<'t>> {
    let (with_ours, with_theirs) = (matches(base, ours), matches(base, theirs));
    let mut hunks = Vec::new();
    let (mut at, mut our_at, mut their_at) = (0, 0, 0);
    loop {
        // How far all three run side by side.
        let stable = (at..base.len())
            .zip(our_at..)
            .zip(their_at..)
            .take_while(|((line, our), their)| {
                with_ours[*line] == Some(*our) && with_theirs[*line] == Some(*their)
            })
            .count();
        if stable > 0 {
            hunks.push(Hunk::Agreed(&base[at..at + stable]));
            (at, our_at, their_at) = (at + stable, our_at + stable, their_at + stable);
        }
        // And where they meet again.
        let meets =
            (at..base.len()).find_map(|line| Some((line, with_ours[line]?, with_theirs[line]?)));
        let (end, our_end, their_end) = meets.unwrap_or((base.len(), ours.len(), theirs.len()));
        let (from, our, their) = (
            &base[at..end],
            &ours[our_at..our_end],
            &theirs[their_at..their_end],
        );
        if our == their || their == from {
            push_agreed(&mut hunks, our);
        } else if our == from {
            push_agreed(&mut hunks, their);
        } else {
            hunks.push(Hunk::Conflict {
                ours: our,
                theirs: their,
            });
        }
        (at, our_at, their_at) = (end, our_end, their_end);
        if meets.is_none() {
            return hunks;
        }
    }
}

fn push_agreed<'t>(hunks: &mut Vec<Hunk<'t>>, lines: &'t [&'t str]) {
    if !lines.is_empty() {
        hunks.push(Hunk::Agreed(lines));
    }
}

/// For each line of the base its counterpart in the other text, both in order: lines that are unique in both match first, and
/// what lies between two matches is matched in turn (patience diff), which keeps time near the number of lines.
fn matches(base: &[&str], other: &[&str]) -> Vec<Option<usize>> {
    let mut found = vec![None; base.len()];
    let mut work = vec![((0, base.len()), (0, other.len()))];
    while let Some(((mut start, mut end), (mut other_start, mut other_end))) = work.pop() {
        while start < end && other_start < other_end && base[start] == other[other_start] {
            found[start] = Some(other_start);
            (start, other_start) = (start + 1, other_start + 1);
        }
        while start < end && other_start < other_end && base[end - 1] == other[other_end - 1] {
            (end, other_end) = (end - 1, other_end - 1);
            found[end] = Some(other_end);
        }
        let anchors = anchors(&base[start..end], &other[other_start..other_end]);
        let mut from = (start, other_start);
        for (line, counterpart) in &anchors {
            let (line, counterpart) = (start + line, other_start + counterpart);
            found[line] = Some(counterpart);
            work.push(((from.0, line), (from.1, counterpart)));
            from = (line + 1, counterpart + 1);
        }
        if !anchors.is_empty() {
            work.push(((from.0, end), (from.1, other_end)));
        }
    }
    found
}

/// The longest rising sequence of lines that stand once in each text.
fn anchors(base: &[&str], other: &[&str]) -> Vec<(usize, usize)> {
    let once = |lines: &[&str]| {
        let mut places: HashMap<String, Option<usize>> = HashMap::new();
        for (index, line) in lines.iter().enumerate() {
            let place = places.entry((*line).to_owned()).or_insert(Some(index));
            if *place != Some(index) {
                *place = None;
            }
        }
        places
    };
    let (base_places, other_places) = (once(base), once(other));
    let mut pairs: Vec<(usize, usize)> = base_places
        .iter()
        .filter_map(|(line, place)| Some(((*place)?, (*other_places.get(line)?)?)))
        .collect();
    pairs.sort_unstable();
    // Patience sorting: the last pair of each pile, and for each pair the one before it.
    let mut piles: Vec<usize> = Vec::new();
    let mut before = vec![None; pairs.len()];
    for (index, (_, counterpart)) in pairs.iter().enumerate() {
        let pile = piles.partition_point(|last| pairs[*last].1 < *counterpart);
        before[index] = pile.checked_sub(1).map(|pile| piles[pile]);
        match piles.get_mut(pile) {
            Some(last) => *last = index,
            None => piles.push(index),
        }
    }
    let mut longest: Vec<(usize, usize)> =
        std::iter::successors(piles.last().copied(), |index| before[*index])
            .map(|index| pairs[index])
            .collect();
    longest.reverse();
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(base: &str, ours: &str, theirs: &str) -> String {
        let lines = |text: &str| {
            text.split_inclusive('\n')
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (base, ours, theirs) = (lines(base), lines(ours), lines(theirs));
        let [base, ours, theirs] = [&base, &ours, &theirs]
            .map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
        let piece = |hunk: &Hunk<'_>| match hunk {
            Hunk::Agreed(lines) => lines.concat(),
            Hunk::Conflict { ours, theirs } => format!("<{}|{}>", ours.concat(), theirs.concat()),
        };
        merge(&base, &ours, &theirs).iter().map(piece).collect()
    }

    #[test]
    fn changes_in_different_lines_merge() {
        assert_eq!(merged("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n"), "A\nb\nC\n");
        assert_eq!(merged("a\nb\nc\n", "b\nc\n", "a\nb\nc\nd\n"), "b\nc\nd\n");
        assert_eq!(merged("a\nb\n", "a\nx\nb\n", "a\nx\nb\n"), "a\nx\nb\n");
        assert_eq!(merged("", "a\n", ""), "a\n");
        assert_eq!(merged("a\n", "", "a\n"), "");
    }

    #[test]
    fn changes_in_the_same_lines_are_a_conflict() {
        assert_eq!(
            merged("a\nb\nc\n", "a\nx\nc\n", "a\ny\nc\n"),
            "a\n<x\n|y\n>c\n"
        );
        assert_eq!(merged("", "a\n", "b\n"), "<a\n|b\n>");
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec("[a-d]\n", 0..12).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn a_side_that_changed_nothing_yields_to_the_other(base in text(), other in text()) {
            prop_assert_eq!(&merged(&base, &base, &other), &other);
            prop_assert_eq!(&merged(&base, &other, &base), &other);
            prop_assert_eq!(&merged(&base, &other, &other), &other);
        }

        #[test]
        fn any_three_texts_merge(base in text(), ours in text(), theirs in text()) {
            let result = merged(&base, &ours, &theirs);
            let swapped = merged(&base, &theirs, &ours);
            prop_assert_eq!(result.contains('<'), swapped.contains('<'));
        }
    }
}
