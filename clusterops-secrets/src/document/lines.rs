//! Adds members and the reserved block where each has its line: in YAML's block mappings and in dotenv files.

use zeroize::Zeroizing;

use super::edit::{Block, Splice};
use super::header::BlockStyle;
use super::insert::{New, own_line};
use super::tree::{NONE, Node, ROOT, Shape, Style};
use super::{Document, Format, dotenv, yaml_write};
use crate::Result;

/// Where lines are put.
struct Gap {
    at: usize,
    /// What stands in front has no line end.
    bare: bool,
}

/// New members behind the last one of a mapping, the reserved block left out.
pub(super) fn members(
    document: &Document,
    container: u32,
    members: &[(String, New)],
    block: &Block,
) -> Result<Splice> {
    let (tree, source) = (&document.tree, document.source());
    let node = tree.node(container);
    let reserved = document.reserved.filter(|_| container == ROOT);
    let last = match node.last_child {
        last if Some(last) == reserved => tree.node(last).previous,
        last => last,
    };
    let mut gap = match (document.format, last, reserved) {
        (Format::Dotenv, ..) => end_of_values(document),
        (_, NONE, Some(reserved)) => Gap {
            at: line_start(source, tree.node(reserved).key_start as usize),
            bare: false,
        },
        (_, NONE, None) => end_of_document(document),
        (_, last, _) => behind(document, last),
    };
    // When the block goes with the line end in front of it, so that the file ends without one, as it did before.
    if matches!(block, Block::Remove)
        && let Some(removed) = removed(document)
        && (removed.start..=removed.end).contains(&gap.at)
    {
        gap = Gap {
            at: removed.start,
            bare: removed.start > 0
                && removed.end == source.len()
                && !source[..removed.start].ends_with(['\n', '\r']),
        };
    }
    let indent = match document.format {
        Format::Dotenv => String::new(),
        _ => column(source, node),
    };
    let eol = document.eol();
    let mut lines = Vec::new();
    for (name, new) in members {
        match (document.format, new) {
            (Format::Dotenv, New::Value(value)) => {
                let value =
                    dotenv::new_value(value, eol).map_err(|error| error.on(format!("/{name}")))?;
                lines.push(line(&[name, "=", &value]));
            }
            _ => yaml_lines(document, name, new, &indent, &mut lines),
        }
    }
    Ok(gap.splice(&lines, eol))
}

/// Writes or removes the reserved block.
pub(super) fn block(document: &Document, block: &Block) -> Option<Splice> {
    let source = document.source();
    let eol = document.eol();
    let header = match block {
        Block::Keep => return None,
        Block::Remove => return removed(document),
        Block::Write(header) => header,
    };
    let (node, root) = (document.reserved, document.tree.node(ROOT));
    let indent = match document.format {
        Format::Dotenv => String::new(),
        _ => column(source, root),
    };
    let style = BlockStyle {
        indent,
        unit: "  ".to_owned(),
        eol,
    };
    let text = Zeroizing::new(header.lines(document.format, &style));
    let (start, end) = match (&document.lines, node) {
        (Some(lines), _) => (lines.start, lines.end),
        (None, Some(node)) => {
            let node = document.tree.node(node);
            (node.key_start as usize, node.end as usize)
        }
        (None, None) => {
            let text = line(&[&style.indent, &text]);
            return Some(end_of_document(document).splice(&[text], eol));
        }
    };
    Some(Splice { start, end, text })
}

/// What goes with the reserved block: its lines, and when the file ends with it without a line end, the one in front.
fn removed(document: &Document) -> Option<Splice> {
    let source = document.source();
    let (start, end) = match (&document.lines, document.reserved) {
        (Some(lines), _) => (lines.start, lines.end),
        (None, Some(node)) => {
            let node = document.tree.node(node);
            (node.key_start as usize, node.end as usize)
        }
        (None, None) => return None,
    };
    let mut start = own_line(source, start).map_or(start, |indent| start - indent.len());
    let end = match source[end..].find('\n') {
        Some(at) => end + at + 1,
        None => {
            let before = &source[..start];
            let before = before.strip_suffix('\n').unwrap_or(before);
            start = before.strip_suffix('\r').unwrap_or(before).len();
            source.len()
        }
    };
    Some(Splice {
        start,
        end,
        text: Zeroizing::default(),
    })
}

impl Gap {
    fn splice(&self, lines: &[Zeroizing<String>], eol: &str) -> Splice {
        let length: usize = lines.iter().map(|line| line.len() + eol.len()).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        for line in lines {
            if self.bare {
                text.push_str(eol);
                text.push_str(line);
            } else {
                text.push_str(line);
                text.push_str(eol);
            }
        }
        Splice {
            start: self.at,
            end: self.at,
            text,
        }
    }
}

fn end_of_document(document: &Document) -> Gap {
    let before = &document.source()[..document.end];
    Gap {
        at: document.end,
        bare: !before.is_empty() && !before.ends_with(['\n', '\r']),
    }
}

/// In a dotenv file the block is last.
fn end_of_values(document: &Document) -> Gap {
    match &document.lines {
        Some(lines)
            if document.source()[lines.end..]
                .trim_matches(['\r', '\n'])
                .is_empty() =>
        {
            Gap {
                at: lines.start,
                bare: false,
            }
        }
        _ => end_of_document(document),
    }
}

/// The line behind a member of a block mapping.
fn behind(document: &Document, id: u32) -> Gap {
    let (tree, source) = (&document.tree, document.source());
    let mut last = id;
    while matches!(
        tree.node(last).shape,
        Shape::Object { flow: false } | Shape::Array { flow: false }
    ) && tree.node(last).last_child != NONE
    {
        last = tree.node(last).last_child;
    }
    let mut at = tree.node(last).end as usize;
    let mut next = || {
        let end = source[at..].find('\n')?;
        at += end + 1;
        Some(at)
    };
    let Some(mut start) = next() else {
        return Gap {
            at: source.len(),
            bare: true,
        };
    };
    // Blank lines behind a block scalar may belong to it.
    let block = tree
        .scalar(last)
        .is_some_and(|scalar| scalar.style == Style::Block);
    while let (true, Some(end)) = (block, next()) {
        if !source[start..end].trim().is_empty() {
            break;
        }
        start = end;
    }
    Gap {
        at: start,
        bare: false,
    }
}

/// The lines of a member of a block mapping.
fn yaml_lines(
    document: &Document,
    name: &str,
    new: &New,
    indent: &str,
    lines: &mut Vec<Zeroizing<String>>,
) {
    let name = yaml_write::new_key(name);
    match new {
        New::Value(value) => {
            lines.push(line(&[indent, &name, ": ", &yaml_write::new_value(value)]));
        }
        New::Object(members) => {
            lines.push(line(&[indent, &name, ":"]));
            let inner = format!("{indent}{}", unit(document));
            for (name, new) in members {
                yaml_lines(document, name, new, &inner, lines);
            }
        }
    }
}

/// What the first nested mapping is indented by.
fn unit(document: &Document) -> String {
    let (tree, source) = (&document.tree, document.source());
    let nested = tree.nodes.iter().find(|node| {
        node.parent == ROOT
            && matches!(node.shape, Shape::Object { flow: false })
            && own_line(source, node.start as usize).is_some()
    });
    let outer = column(source, tree.node(ROOT)).len();
    let steps = nested.map_or(2, |nested| {
        column(source, nested).len().saturating_sub(outer)
    });
    " ".repeat(steps.clamp(1, 8))
}

/// Spaces as wide as what stands in front of a mapping in its line.
fn column(source: &str, mapping: &Node) -> String {
    let at = mapping.start as usize;
    let before = source[line_start(source, at)..at].trim_start_matches('\u{feff}');
    " ".repeat(before.chars().count())
}

fn line_start(source: &str, at: usize) -> usize {
    source[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1)
}

fn line(parts: &[&str]) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(
        parts.iter().map(|part| part.len()).sum(),
    ));
    parts.iter().for_each(|part| line.push_str(part));
    line
}
