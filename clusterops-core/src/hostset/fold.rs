//! Sets as text: as few pieces as can be found quickly.

use super::cover::pieces;
use super::grid::Grid;
use super::index::IndexSet;
use super::name;

/// Appends the hosts of one template, folded, to the text.
pub(super) fn fold(template: &str, grid: &Grid, text: &mut String) {
    for piece in pieces(grid) {
        if !text.is_empty() {
            text.push(',');
        }
        let mut dimensions = piece.iter();
        let start = text.len();
        for (part, numbered) in name::parts(template) {
            if part.is_empty() && template.is_empty() {
                text.push_str("\"\"");
            }
            name::push_literal(text, part, text.len() == start);
            if let Some(indexes) = dimensions.next().filter(|_| numbered) {
                push_indexes(text, indexes);
            }
        }
    }
}

fn push_indexes(text: &mut String, indexes: &IndexSet) {
    let mut folded = String::new();
    indexes.fold(&mut folded);
    let one = indexes.len() == 1;
    text.push_str(if one { "" } else { "[" });
    text.push_str(&folded);
    text.push_str(if one { "" } else { "]" });
}
