//! Documents that hold sealed values, read and edited by byte spans.
//!
//! A [`Document`] is the source as it stands, with a tree of where everything stands in it. [`Edits`] replaces spans and
//! never writes a document anew: comments, order, quotes, line ends and the spelling of numbers survive.

mod around;
mod dotenv;
mod edit;
mod format;
mod header;
mod insert;
mod json;
mod lines;
mod pointer;
mod scan;
mod tree;
mod write;
mod yaml;
mod yaml_write;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

pub(crate) use around::Step;
pub(crate) use edit::Edits;
pub use format::Format;
pub(crate) use header::Header;
pub use pointer::Pointer;
use scan::width;
pub(crate) use tree::{Kind, Scalar};
use tree::{NONE, ROOT, Shape, Style, Tree};

use crate::marker::markers_in;
use crate::{Error, ErrorKind, Result};

/// The most bytes of a document.
pub(crate) const MAX_DOCUMENT: usize = 64 << 20;
/// The deepest nesting.
const MAX_DEPTH: usize = 128;
const TOO_DEEP: &str = "objects and arrays are nested more than 128 deep, the limit";
/// The most objects, arrays and values, so that a file of brackets does not take a hundred times its size.
const MAX_NODES: usize = 4_000_000;
const TOO_MANY: &str = "the document has more than 4,000,000 values, the limit";
/// The name of the block that belongs to this crate.
pub(crate) const RESERVED: &str = "x-sealed";

/// A document as it stands, and where everything stands in it.
pub(crate) struct Document {
    source: Zeroizing<String>,
    format: Format,
    tree: Tree,
    header: Option<Header>,
    /// The node of the reserved block.
    reserved: Option<u32>,
    /// The lines of the reserved block in a dotenv file.
    lines: Option<Range<usize>>,
    /// Where the document ends: at YAML's `...`, else with the source.
    end: usize,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`] with line and column: no UTF-8, more than 64 MiB, nested deeper than 128, a root that is no
    /// object, a key that stands twice, and whatever the syntax forbids. [`ErrorKind::Format`] for a reserved block that is
    /// not as FORMAT.md describes it.
    pub(crate) fn parse(source: &[u8], format: Format) -> Result<Self> {
        if source.len() > MAX_DOCUMENT {
            let message = format!(
                "the document has {} bytes, more than the {MAX_DOCUMENT} that are read",
                source.len()
            );
            return Err(Error::new(ErrorKind::Syntax, message));
        }
        let text = std::str::from_utf8(source).map_err(|error| {
            let before = &source[..error.valid_up_to()];
            let start = before.iter().rposition(|&byte| byte == b'\n');
            let column = width(&before[start.map_or(0, |at| at + 1)..]) + 1;
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            Error::new(ErrorKind::Syntax, "the document is not UTF-8 here").at(line, column)
        })?;
        Self::read(Zeroizing::new(text.to_owned()), format)
    }

    fn read(source: Zeroizing<String>, format: Format) -> Result<Self> {
        let from = mark(&source);
        let mut end = source.len();
        let (mut tree, block) = match format {
            Format::Json => (json::parse(&source, from)?, None),
            Format::Yaml => {
                let (tree, at) = yaml::parse(&source, from)?;
                end = at;
                (tree, None)
            }
            Format::Dotenv => {
                let read = dotenv::parse(&source, from)?;
                (read.tree, read.block)
            }
        };
        // In a dotenv file the name is refused.
        let reserved = tree.child(&source, ROOT, RESERVED);
        let (header, lines) = match (reserved, block) {
            (Some(node), _) => (Some(Header::read(&tree, &source, node)?), None),
            (None, Some((header, lines))) => (Some(header), Some(lines)),
            (None, None) => (None, None),
        };
        if let Some(node) = reserved {
            tree.set_aside(node);
        }
        Ok(Self {
            source,
            format,
            tree,
            header,
            reserved,
            lines,
            end,
        })
    }

    /// The text as it stands.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// How it is read.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// All values in the order of the document, those of the reserved block left out.
    pub(crate) fn scalars(&self) -> &[Scalar] {
        &self.tree.scalars
    }

    /// What a value says: a string without quotes and escapes, anything else as it is spelled.
    pub(crate) fn text<'d>(&'d self, scalar: &'d Scalar) -> &'d str {
        self.tree.text(&self.source, scalar)
    }

    /// Where a value stands.
    pub(crate) fn path(&self, scalar: &Scalar) -> Pointer {
        self.tree.path(&self.source, scalar.node)
    }

    /// The value at a path; `None` when nothing, an object or an array stands there.
    pub(crate) fn find(&self, path: &Pointer) -> Option<&Scalar> {
        self.tree.scalar(self.tree.find(&self.source, path)?)
    }

    /// Whether anything stands at a path, an object or an array also; the reserved block does not count.
    pub(crate) fn contains(&self, path: &Pointer) -> bool {
        !is_reserved(path) && self.tree.find(&self.source, path).is_some()
    }

    /// Where something stands that holds no value: an empty object or array, or in YAML an alias. The place is line and column,
    /// and whether it is an alias.
    pub(crate) fn hollow(&self) -> impl Iterator<Item = (Pointer, (usize, usize), bool)> {
        let node = |number: usize| {
            let node = &self.tree.nodes[number];
            let is_alias = node.shape == Shape::Other;
            let is_empty = matches!(node.shape, Shape::Object { .. } | Shape::Array { .. });
            if !(is_alias || is_empty && node.last_child == NONE) {
                return None;
            }
            let path = self.tree.path(&self.source, u32::try_from(number).ok()?);
            let place = self.place_of(node.start as usize);
            (!is_reserved(&path)).then_some((path, place, is_alias))
        };
        (0..self.tree.nodes.len()).filter_map(node)
    }

    /// The string `id` at the root, which says what document this is; a dotenv file has none, whatever its variables.
    pub(crate) fn own_id(&self) -> Option<&str> {
        if self.format == Format::Dotenv {
            return None;
        }
        let scalar = self
            .tree
            .scalar(self.tree.child(&self.source, ROOT, "id")?)?;
        (scalar.kind == Kind::String).then(|| self.text(scalar))
    }

    /// Whether this is the path of [`own_id`](Self::own_id), which stands in the open: values are bound to it.
    pub(crate) fn is_own_id(&self, path: &Pointer) -> bool {
        self.format != Format::Dotenv && path.as_str() == "/id"
    }

    /// Whether this is a `name` or `id` that may address an element of an array: with another text, what stands in the array
    /// may have other paths.
    pub(crate) fn may_address(&self, scalar: &Scalar) -> bool {
        let node = self.tree.node(scalar.node);
        let token = self.token(scalar);
        let element = self.tree.nodes.get(node.parent as usize);
        let array = element.and_then(|node| self.tree.nodes.get(node.parent as usize));
        matches!(&*token, "name" | "id")
            && array.is_some_and(|node| matches!(node.shape, Shape::Array { .. }))
            && element.is_some_and(|node| matches!(node.shape, Shape::Object { .. }))
            && scalar.kind == Kind::String
            && tree::addresses(self.text(scalar))
    }

    /// Why a value may not be what its writer meant, with what to do; for an error about it.
    pub(crate) fn slip(&self, scalar: &Scalar) -> Option<&'static str> {
        let behind = &self.source[self.tree.node(scalar.node).end as usize..];
        match scalar.style {
            Style::Block if self.text(scalar).ends_with('\n') => Some(
                "the line end behind it is part of it; `|-` in place of `|`, or `>-` of `>`, leaves it out",
            ),
            Style::Plain
                if self.format == Format::Dotenv
                    && behind.trim_start_matches(' ').starts_with('#') =>
            {
                Some(
                    "without quotes a value ends at the first `#`, where a comment begins; put quotes around it, as in \
                     NAME='value'",
                )
            }
            _ => None,
        }
    }

    /// Whether a comment begins right behind this value, so that its writer may have meant the `#` as a part of it.
    pub(crate) fn is_cut(&self, scalar: &Scalar) -> bool {
        let behind = &self.source[self.tree.node(scalar.node).end as usize..];
        behind.starts_with('#') && self.slip(scalar).is_some()
    }

    fn token<'d>(&'d self, scalar: &Scalar) -> Cow<'d, str> {
        self.tree.token(&self.source, scalar.node)
    }

    /// What the reserved block says.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// How the lines end: as the first one does.
    fn eol(&self) -> &'static str {
        match self.source.find('\n') {
            Some(at) if self.source[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Document");
        debug.field("format", &self.format);
        debug.field("scalars", &self.tree.scalars.len());
        debug.finish_non_exhaustive()
    }
}

fn is_reserved(path: &Pointer) -> bool {
    path.tokens().next().as_deref() == Some(RESERVED)
}

/// Whether a text that is no document is one that can hold no sealed values: a JSON text that is no object or has comments, or YAML
/// that is not one mapping. What is broken may have been meant to hold some.
pub(crate) fn is_other(text: &str, format: Format) -> bool {
    let text = &text[mark(text)..];
    match format {
        Format::Json => !text.trim_start().starts_with('{') || json::has_comments(text),
        Format::Yaml => yaml::is_other(text),
        Format::Dotenv => false,
    }
}

/// How many bytes the byte order mark takes.
fn mark(source: &str) -> usize {
    source.len() - source.strip_prefix('\u{feff}').unwrap_or(source).len()
}

/// That a key stands twice. One that may hold a secret, as a value that was put into its place by mistake, is not repeated.
fn twice(key: &str, quote: char, first: usize) -> String {
    let shown = match key.contains('\\') || markers_in(key).next().is_some() {
        true => "(hidden)".to_owned(),
        false => format!("{quote}{}{quote}", key.escape_debug()),
    };
    format!("the key {shown} stands twice, first in line {first}; keep one")
}

/// The line of a byte, from 1.
fn line_of(source: &str, at: usize) -> usize {
    let before = &source.as_bytes()[..at];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}
