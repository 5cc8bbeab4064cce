//! Sets of vectors as few products.
//!
//! The fewest products that make up a set are hard to find (for two dimensions this is the partition of a bipartite graph
//! into bicliques), so several cheap ways are tried and the best result is kept.

use std::collections::{BinaryHeap, HashMap};

use super::grid::Grid;
use super::index::IndexSet;
use super::iter::Vectors;

/// A product: one set for each dimension.
pub(super) type Piece = Vec<IndexSet>;

/// Sets with at most so many vectors are also built up from single vectors.
const MAX_VECTORS: u64 = 20_000;

/// So many pieces, counted once for each order of the dimensions, are looked at.
const MAX_EFFORT: usize = 60_000;

/// How many numbers of pieces may be compared in all: a few seconds' work. What is not joined by then stays apart, so that
/// the text of a huge and irregular set of many dimensions is longer than it could be, and soon there.
const MAX_COMPARISONS: u64 = 24_000_000;

/// Disjoint products that together are the set, ordered by their first vector.
pub(super) fn pieces(grid: &Grid) -> Vec<Piece> {
    pieces_within(grid, Budget(MAX_COMPARISONS))
}

fn pieces_within(grid: &Grid, mut budget: Budget) -> Vec<Piece> {
    let rows = rows(grid);
    if rows.len() < 2 || rows[0].len() < 2 {
        return rows;
    }
    let dimensions = rows[0].len();
    let mut best = merge(rows.clone(), &mut budget);
    if grid.len() <= MAX_VECTORS && budget.allows(grid.len() as usize, dimensions) {
        keep_better(&mut best, merge(points(grid), &mut budget));
    }
    let orders = (MAX_EFFORT / rows.len()).max(1);
    for order in permutations(dimensions).into_iter().skip(1).take(orders) {
        if !budget.spend(rows.len(), dimensions) {
            break;
        }
        let turned = Grid::union(rows.iter().map(|piece| product(piece, &order)).collect());
        let mut pieces = self::rows(&turned);
        for piece in &mut pieces {
            *piece = turn_back(std::mem::take(piece), &order);
        }
        keep_better(&mut best, merge(pieces, &mut budget));
    }
    best.sort_by_cached_key(|piece| piece.iter().map(IndexSet::first).collect::<Vec<_>>());
    best
}

/// The comparisons that are left.
struct Budget(u64);

impl Budget {
    /// Whether one look at these pieces, in each of their dimensions, is left.
    fn allows(&self, pieces: usize, dimensions: usize) -> bool {
        self.0 >= Self::cost(pieces, dimensions)
    }

    fn spend(&mut self, pieces: usize, dimensions: usize) -> bool {
        let allowed = self.allows(pieces, dimensions);
        self.0 = self.0.saturating_sub(Self::cost(pieces, dimensions));
        allowed
    }

    fn cost(pieces: usize, dimensions: usize) -> u64 {
        (pieces * dimensions * dimensions) as u64
    }
}

fn keep_better(best: &mut Vec<Piece>, pieces: Vec<Piece>) {
    if pieces.len() < best.len() {
        *best = pieces;
    }
}

/// One product for each path through the rows.
fn rows(grid: &Grid) -> Vec<Piece> {
    let Some(rows_of_grid) = grid.rows() else {
        return vec![Vec::new()];
    };
    let mut pieces = Vec::new();
    for row in rows_of_grid {
        for rest in rows(&row.rest) {
            let mut piece = Vec::with_capacity(rest.len() + 1);
            piece.push(row.indexes.clone());
            piece.extend(rest);
            pieces.push(piece);
        }
    }
    pieces
}

fn points(grid: &Grid) -> Vec<Piece> {
    Vectors::new(grid)
        .map(|vector| vector.into_iter().map(IndexSet::one).collect())
        .collect()
}

/// Joins pieces that differ in one dimension only, the largest groups first, until there are none or the budget is spent.
fn merge(pieces: Vec<Piece>, budget: &mut Budget) -> Vec<Piece> {
    let Some(dimensions) = pieces.first().map(Vec::len) else {
        return pieces;
    };
    let mut sets = Interner::default();
    let mut pieces: Vec<Vec<usize>> = pieces
        .into_iter()
        .map(|piece| piece.into_iter().map(|set| sets.number(set)).collect())
        .collect();
    while budget.spend(pieces.len(), dimensions) {
        let before = pieces.len();
        pieces = merge_once(&pieces, dimensions, &mut sets);
        if pieces.len() == before {
            break;
        }
    }
    pieces
        .into_iter()
        .map(|piece| {
            piece
                .into_iter()
                .map(|number| sets.sets[number].clone())
                .collect()
        })
        .collect()
}

fn merge_once(pieces: &[Vec<usize>], dimensions: usize, sets: &mut Interner) -> Vec<Vec<usize>> {
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    for dimension in 0..dimensions {
        let mut alike: HashMap<Vec<usize>, Vec<usize>> = HashMap::new();
        for (number, piece) in pieces.iter().enumerate() {
            let mut others = piece.clone();
            others.swap_remove(dimension);
            alike.entry(others).or_default().push(number);
        }
        let alike = alike.into_values().filter(|members| members.len() > 1);
        groups.extend(alike.map(|members| (dimension, members)));
    }
    // Equal groups in the order of their first pieces, so that the text is always the same.
    groups.sort_unstable_by(|one, other| (&one.1, one.0).cmp(&(&other.1, other.0)));
    let mut heap: BinaryHeap<(usize, std::cmp::Reverse<usize>)> = groups
        .iter()
        .enumerate()
        .map(|(number, (_, members))| (members.len(), std::cmp::Reverse(number)))
        .collect();
    let mut taken = vec![false; pieces.len()];
    let mut merged = Vec::new();
    while let Some((size, std::cmp::Reverse(number))) = heap.pop() {
        let (dimension, members) = &mut groups[number];
        members.retain(|member| !taken[*member]);
        if members.len() < 2 {
            continue;
        }
        if members.len() < size {
            heap.push((members.len(), std::cmp::Reverse(number)));
            continue;
        }
        let union = members
            .iter()
            .flat_map(|member| sets.sets[pieces[*member][*dimension]].intervals())
            .copied()
            .collect();
        let mut piece = pieces[members[0]].clone();
        piece[*dimension] = sets.number(IndexSet::from_intervals(union));
        merged.push(piece);
        for member in members {
            taken[*member] = true;
        }
    }
    let untouched = pieces.iter().zip(taken).filter(|(_, taken)| !taken);
    merged.extend(untouched.map(|(piece, _)| piece.clone()));
    merged
}

/// Sets by number, so that comparing them is comparing numbers.
#[derive(Default)]
struct Interner {
    numbers: HashMap<IndexSet, usize>,
    sets: Vec<IndexSet>,
}

impl Interner {
    fn number(&mut self, set: IndexSet) -> usize {
        if let Some(number) = self.numbers.get(&set) {
            return *number;
        }
        self.sets.push(set.clone());
        self.numbers.insert(set, self.sets.len() - 1);
        self.sets.len() - 1
    }
}

fn product(piece: &Piece, order: &[usize]) -> Grid {
    Grid::product(order.iter().map(|dimension| piece[*dimension].clone()))
}

fn turn_back(piece: Piece, order: &[usize]) -> Piece {
    let mut turned = vec![IndexSet::default(); piece.len()];
    for (set, dimension) in piece.into_iter().zip(order) {
        turned[*dimension] = set;
    }
    turned
}

/// All orders of up to four dimensions, the rotations of more; the natural order first.
fn permutations(dimensions: usize) -> Vec<Vec<usize>> {
    let natural: Vec<usize> = (0..dimensions).collect();
    if dimensions > 4 {
        return natural
            .iter()
            .map(|start| [&natural[*start..], &natural[..*start]].concat())
            .collect();
    }
    let mut orders = vec![Vec::new()];
    for _ in &natural {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                let unused = natural
                    .iter()
                    .filter(|dimension| !order.contains(dimension))
                    .copied();
                let unused: Vec<usize> = unused.collect();
                unused
                    .into_iter()
                    .map(move |dimension| [order.as_slice(), &[dimension]].concat())
            })
            .collect();
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::super::index::Index;
    use super::*;

    #[test]
    fn every_budget_gives_the_same_set() {
        // Knuth's multiplicative hash; its high bits are irregular.
        let digit = |number: u32| u64::from(number.wrapping_mul(2_654_435_761) >> 29);
        let vectors: Vec<Index> = (0..3000)
            .map(|number| Index::new(digit(number), 1))
            .collect();
        let grid = Grid::from_vectors(&vectors, 5);
        let mut lengths = Vec::new();
        for budget in [0, 1_000, 10_000, MAX_COMPARISONS] {
            let pieces = pieces_within(&grid, Budget(budget));
            let natural: Vec<usize> = (0..5).collect();
            let products: Vec<Grid> = pieces
                .iter()
                .map(|piece| product(piece, &natural))
                .collect();
            let hosts: u64 = products.iter().map(Grid::len).sum();
            assert_eq!(hosts, grid.len(), "the pieces are disjoint");
            assert_eq!(Grid::union(products), grid);
            lengths.push(pieces.len());
        }
        assert!(
            lengths.is_sorted_by(|one, other| one >= other) && lengths[0] > lengths[3],
            "{lengths:?}"
        );
    }
}
