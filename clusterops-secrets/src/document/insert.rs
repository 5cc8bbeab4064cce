//! Adds members to objects, and writes and removes the reserved block, in the style of what stands around.

use zeroize::Zeroizing;

use super::edit::{Block, Splice};
use super::header::BlockStyle;
use super::tree::{NONE, Node, ROOT, Shape};
use super::write::quoted;
use super::{Document, Format, lines};
use crate::Result;

/// New members of one object.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) container: u32,
    pub(super) members: Vec<(String, New)>,
}

pub(super) enum New {
    Value(Zeroizing<String>),
    Object(Vec<(String, New)>),
}

impl std::fmt::Debug for New {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// What is to be put where.
pub(super) fn splices(document: &Document, groups: &[Group], block: &Block) -> Result<Vec<Splice>> {
    let mut splices = Vec::with_capacity(groups.len() + 2);
    let mut root = &[][..];
    for group in groups {
        match group.container {
            ROOT => root = &group.members,
            container if is_flow(document, container) => {
                splices.push(flow(document, container, &group.members, &Block::Keep));
            }
            container => splices.push(lines::members(document, container, &group.members, block)?),
        }
    }
    if !is_flow(document, ROOT) {
        if !root.is_empty() {
            splices.push(lines::members(document, ROOT, root, block)?);
        }
        splices.extend(lines::block(document, block));
        return Ok(splices);
    }
    match (document.reserved, block) {
        (Some(node), Block::Remove) => splices.push(without_member(document, node)),
        (Some(node), Block::Write(header)) => {
            let member = document.tree.node(node);
            splices.push(Splice {
                start: member.key_start as usize,
                end: member.end as usize,
                text: Zeroizing::new(header.member(&block_style(document, member))),
            });
        }
        _ => {}
    }
    let new = document.reserved.is_none() && matches!(block, Block::Write(_));
    if !root.is_empty() || new {
        splices.push(flow(document, ROOT, root, block));
    }
    Ok(splices)
}

fn is_flow(document: &Document, container: u32) -> bool {
    matches!(
        document.tree.node(container).shape,
        Shape::Object { flow: true }
    )
}

/// Adds members between braces, and to the root the new reserved block.
fn flow(document: &Document, container: u32, members: &[(String, New)], block: &Block) -> Splice {
    let (tree, source) = (&document.tree, document.source());
    let node = tree.node(container);
    let reserved = document.reserved.filter(|_| container == ROOT);
    let last = match node.last_child {
        last if Some(last) == reserved => tree.node(last).previous,
        last => last,
    };
    let style = FlowStyle::of(document, container, last);
    let first = last == NONE;
    let mut text = Zeroizing::new(String::new());
    for (at, member) in members.iter().enumerate() {
        let separator = match (&style.indent, first && at == 0) {
            (None, true) => "",
            (_, true) => &style.separator,
            (_, false) => {
                text.push(',');
                &style.separator
            }
        };
        text.push_str(separator);
        style.member(&mut text, member, style.indent.as_deref());
    }
    match block {
        Block::Write(header) if reserved.is_none() => {
            if !(first && members.is_empty()) {
                text.push(',');
            }
            let style = match first {
                true => BlockStyle::new(style.indent.as_deref(), document),
                false => block_style(document, tree.node(last)),
            };
            text.push_str(&format!("{}{}", style.eol, style.indent));
            text.push_str(&header.member(&style));
        }
        _ if first && reserved.is_some() && !matches!(block, Block::Remove) => text.push(','),
        _ if first => {
            let inside = &source[node.start as usize + 1..node.end as usize - 1];
            if style.indent.is_some() && !inside.contains('\n') {
                text.push_str(document.eol());
                text.push_str(line_indent(source, node.start as usize));
            }
        }
        _ => {}
    }
    let at = match first {
        true => node.start as usize + 1,
        false => tree.node(last).end as usize,
    };
    Splice {
        start: at,
        end: at,
        text,
    }
}

/// How the members of an object between braces are written.
struct FlowStyle {
    /// What stands between a comma and a name.
    separator: String,
    colon: String,
    /// What stands in front of a name, when each has its line.
    indent: Option<String>,
    unit: String,
    eol: &'static str,
}

impl FlowStyle {
    fn of(document: &Document, container: u32, last: u32) -> Self {
        let source = document.source();
        let node = document.tree.node(container);
        let unit = unit(document);
        let (mut colon, mut indent) = (": ".to_owned(), None);
        if last == NONE {
            if document.format == Format::Json && source.contains('\n') {
                let outer = line_indent(source, node.start as usize);
                indent = Some(format!("{outer}{unit}"));
            }
        } else {
            let last = document.tree.node(last);
            indent = own_line(source, last.key_start as usize).map(str::to_owned);
            let between = &source[last.key_end as usize..last.start as usize];
            let usual = between.trim_matches([' ', '\t']) == ":";
            if document.format == Format::Json && usual {
                colon = between.to_owned();
            }
        }
        let eol = document.eol();
        let separator = match &indent {
            Some(indent) => format!("{eol}{indent}"),
            None if colon.ends_with(' ') => " ".to_owned(),
            None => String::new(),
        };
        Self {
            separator,
            colon,
            indent,
            unit,
            eol,
        }
    }

    fn member(&self, text: &mut String, (name, new): &(String, New), indent: Option<&str>) {
        text.push_str(&quoted(name, true));
        text.push_str(&self.colon);
        let members = match new {
            New::Value(value) => return text.push_str(&quoted(value, true)),
            New::Object(members) => members,
        };
        text.push('{');
        let inner = indent.map(|indent| format!("{indent}{}", self.unit));
        for (at, member) in members.iter().enumerate() {
            match (&inner, at) {
                (Some(inner), _) => {
                    text.push_str(if at == 0 { "" } else { "," });
                    text.push_str(&format!("{}{inner}", self.eol));
                }
                (None, 0) => {}
                (None, _) => text.push_str(&format!(",{}", self.separator)),
            }
            self.member(text, member, inner.as_deref());
        }
        if let Some(indent) = indent {
            text.push_str(&format!("{}{indent}", self.eol));
        }
        text.push('}');
    }
}

/// Removes a member and the comma that belongs to it.
fn without_member(document: &Document, id: u32) -> Splice {
    let tree = &document.tree;
    let (node, root) = (tree.node(id), tree.node(ROOT));
    let next = tree
        .children(ROOT)
        .find(|&child| tree.node(child).previous == id);
    let (start, end) = match (node.previous, next) {
        (NONE, None) => (root.start + 1, node.end),
        (NONE, Some(next)) => (node.key_start, tree.node(next).key_start),
        (previous, _) => (tree.node(previous).end, node.end),
    };
    Splice {
        start: start as usize,
        end: end as usize,
        text: Zeroizing::default(),
    }
}

impl BlockStyle {
    fn new(indent: Option<&str>, document: &Document) -> Self {
        let unit = unit(document);
        Self {
            indent: indent.unwrap_or(&unit).to_owned(),
            unit,
            eol: document.eol(),
        }
    }
}

/// The layout of a block that stands beside this member, or in its place.
fn block_style(document: &Document, member: &Node) -> BlockStyle {
    BlockStyle::new(
        own_line(document.source(), member.key_start as usize),
        document,
    )
}

/// What one level of nesting adds: as much as the first level has.
pub(super) fn unit(document: &Document) -> String {
    let tree = &document.tree;
    let first = tree.children(ROOT).last();
    let indent =
        first.and_then(|first| own_line(document.source(), tree.node(first).key_start as usize));
    match indent {
        Some(indent) if !indent.is_empty() => indent.to_owned(),
        _ => "  ".to_owned(),
    }
}

/// The space in front of a byte, when nothing else stands in front of it in its line and it is not in the first line.
pub(super) fn own_line(source: &str, at: usize) -> Option<&str> {
    let before = &source[..at];
    let line = &before[before.rfind(['\n', '\r'])? + 1..];
    line.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t'))
        .then_some(line)
}

/// The space at the start of the line of a byte.
fn line_indent(source: &str, at: usize) -> &str {
    let before = &source[..at];
    let line = &before[before.rfind(['\n', '\r']).map_or(0, |at| at + 1)..];
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}
