//! What stands around the values of a document: the names they have, and comments.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::width;
use super::tree::{Key, ROOT, Scalar, Shape, Style};
use super::{Document, Pointer, is_reserved, line_of};

/// What a value or something around it is called.
pub(crate) enum Step<'d> {
    /// The name of a member, or of a variable.
    Member(Cow<'d, str>),
    /// The index of an element, or its `name` or `id`.
    Element(Cow<'d, str>),
}

impl Document {
    /// The names that lead from the root to a value.
    pub(crate) fn steps(&self, scalar: &Scalar) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        let mut id = scalar.node;
        while id != ROOT {
            let (node, token) = (self.tree.node(id), self.tree.token(&self.source, id));
            steps.push(match node.key {
                Key::Source(..) | Key::Decoded(_) => Step::Member(token),
                Key::Index(_) | Key::Named(_) => Step::Element(token),
            });
            id = node.parent;
        }
        steps.reverse();
        steps
    }

    /// The keys that the caller wants, the reserved block left out: the path of what each names, line and column.
    pub(crate) fn keys(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (Pointer, (usize, usize))> {
        (0_u32..)
            .zip(&self.tree.nodes)
            .filter_map(move |(id, node)| {
                let is_key = matches!(node.key, Key::Source(..) | Key::Decoded(_));
                if !is_key || !is_wanted(&self.tree.token(&self.source, id)) {
                    return None;
                }
                let path = self.tree.path(&self.source, id);
                let place = (!is_reserved(&path)).then(|| self.place_of(node.key_start as usize));
                place.map(|place| (path, place))
            })
    }

    /// The pieces of the source that are neither a key nor a value nor the reserved block: comments and punctuation.
    pub(crate) fn comments(&self) -> impl Iterator<Item = Range<usize>> {
        let value = |scalar: u32, start: usize, end: usize| {
            let scalar = self.tree.scalars.get(scalar as usize);
            let is_block = scalar.is_some_and(|scalar| scalar.style == Style::Block);
            // A comment can stand behind the `|` of a block.
            let first = is_block.then(|| self.source.get(start..end)?.find('\n'));
            start + first.flatten().unwrap_or(0)..end
        };
        let mut spans: Vec<Range<usize>> = self.lines.iter().cloned().collect();
        for node in &self.tree.nodes {
            spans.push(node.key_start as usize..node.key_end as usize);
            let (start, end) = (node.start as usize, node.end as usize);
            match node.shape {
                Shape::Scalar(scalar) => spans.push(value(scalar, start, end)),
                Shape::Other => spans.push(start..end),
                Shape::Object { .. } | Shape::Array { .. } => {}
            }
        }
        spans.push(self.source.len()..self.source.len());
        spans.sort_unstable_by_key(|span| span.start);
        let mut at = 0;
        spans.into_iter().filter_map(move |span| {
            let between = at..span.start;
            at = at.max(span.end);
            (!between.is_empty()).then_some(between)
        })
    }

    /// The line and the column of a byte, from 1.
    pub(crate) fn place_of(&self, at: usize) -> (usize, usize) {
        let before = &self.source[..at];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        (
            line_of(&self.source, at),
            width(&before.as_bytes()[start..]) + 1,
        )
    }
}
