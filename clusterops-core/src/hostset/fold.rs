//! Sets as text: as few pieces as can be found quickly.

use super::cover::pieces;
use super::grid::Grid;
use super::index::IndexSet;
use super::name;

/// Appends the hosts of one template, folded, to the text.
pub(super) fn fold(template: &str, grid: &Grid, text: &mut String) {
    for piece in pieces(grid) {
        push_piece(template, piece.iter().map(numbers), text);
    }
}

/// Appends the hosts of a template with one number, 0 among them, and those with the numbers below zero, -1 among them.
///
/// `below` are the runs of these without their sign, in ascending order.
pub(super) fn fold_across_zero(
    template: &str,
    below: &[(u64, u64)],
    indexes: &IndexSet,
    text: &mut String,
) {
    let mut folded = String::new();
    for (first, last) in below.iter().skip(1).rev() {
        folded += &match first == last {
            true => format!("-{first},"),
            false => format!("-{last}--{first},"),
        };
    }
    // The run that ends at -1 goes on with the one that starts at 0.
    if let Some((_, last)) = below.first() {
        folded += &format!("-{last}-");
    }
    let mut others = String::new();
    indexes.fold(&mut others);
    folded += others.strip_prefix("0-").unwrap_or(&others);
    push_piece(template, std::iter::once(format!("[{folded}]")), text);
}

/// Appends names whose numbers are written so.
fn push_piece(template: &str, numbers: impl Iterator<Item = String>, text: &mut String) {
    if !text.is_empty() {
        text.push(',');
    }
    let mut numbers = numbers;
    let start = text.len();
    for (part, numbered) in name::parts(template) {
        if part.is_empty() && template.is_empty() {
            text.push_str("\"\"");
        }
        name::push_literal(text, part, text.len() == start);
        if let Some(numbers) = numbers.next().filter(|_| numbered) {
            text.push_str(&numbers);
        }
    }
}

fn numbers(indexes: &IndexSet) -> String {
    let mut folded = String::new();
    indexes.fold(&mut folded);
    match indexes.len() {
        1 => folded,
        _ => format!("[{folded}]"),
    }
}
