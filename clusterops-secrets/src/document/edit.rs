//! Changes to a document: spans are replaced, everything else stays byte for byte.

use std::collections::{BTreeMap, HashSet};

use zeroize::Zeroizing;

use super::insert::{self, Group, New};
use super::json::is_literal;
use super::tree::{Key, Kind, ROOT, Scalar, Shape};
use super::write::quoted;
use super::{Document, Format, Header, Pointer, dotenv, is_reserved, yaml_write};
use crate::{Error, ErrorKind, Result};

/// Changes to one document, made at once by [`apply`](Self::apply).
#[derive(Debug)]
pub(crate) struct Edits<'d> {
    document: &'d Document,
    /// By the number of the scalar.
    sets: BTreeMap<u32, Value>,
    groups: Vec<Group>,
    inserted: Vec<(Pointer, Zeroizing<String>)>,
    header: Block,
}

/// What a value is to be.
pub(super) enum Value {
    String(Zeroizing<String>),
    /// A number, `true`, `false` or `null`.
    Literal(Zeroizing<String>),
}

/// What becomes of the reserved block.
#[derive(Debug)]
pub(super) enum Block {
    Keep,
    Remove,
    Write(Header),
}

/// A span of the source and what stands there instead.
pub(super) struct Splice {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: Zeroizing<String>,
}

impl<'d> Edits<'d> {
    /// No changes yet.
    pub(crate) fn new(document: &'d Document) -> Self {
        Self {
            document,
            sets: BTreeMap::new(),
            groups: Vec::new(),
            inserted: Vec::new(),
            header: Block::Keep,
        }
    }

    /// Replaces the value at a path by a string. It keeps its quotes where the new text can be written so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when no value stands there, or one that cannot be replaced: in YAML one with an anchor or a tag.
    pub(crate) fn set_string(&mut self, path: &Pointer, text: &str) -> Result<()> {
        self.set(path, Value::String(Zeroizing::new(text.to_owned())))
    }

    /// Replaces the value at a path by a number, `true`, `false` or `null`, spelled as JSON has it.
    ///
    /// # Errors
    ///
    /// As [`set_string`](Self::set_string); also for any other text, and for dotenv, which has only strings.
    pub(crate) fn set_literal(&mut self, path: &Pointer, literal: &str) -> Result<()> {
        let message = match self.document.format {
            Format::Dotenv => "a dotenv file holds only strings",
            _ if !is_literal(literal) => "this is not a number, `true`, `false` or `null` of JSON",
            _ => return self.set(path, Value::Literal(Zeroizing::new(literal.to_owned()))),
        };
        Err(Error::new(ErrorKind::Input, message).on(path.as_str()))
    }

    fn set(&mut self, path: &Pointer, value: Value) -> Result<()> {
        let error = |message: &str| Error::new(ErrorKind::Input, message).on(path.as_str());
        let Some(scalar) = self.document.find(path) else {
            return Err(error(match self.document.contains(path) {
                true => "an object, an array or an alias stands here, not a value",
                false => "nothing stands here",
            }));
        };
        if let Some(reason) = scalar.fixed {
            return Err(error(reason).at(scalar.line, scalar.column));
        }
        if let Shape::Scalar(number) = self.document.tree.node(scalar.node).shape {
            self.sets.insert(number, value);
        }
        Ok(())
    }

    /// Adds a string where nothing stands yet, with the objects around it that are missing, in the style of its siblings; in a
    /// dotenv file as a new line at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when something stands there, when something around it is no object, and for a name that the format
    /// cannot have.
    pub(crate) fn insert(&mut self, path: &Pointer, text: &str) -> Result<()> {
        let error = |message: &str| Error::new(ErrorKind::Input, message).on(path.as_str());
        if is_reserved(path) {
            return Err(error("the block `x-sealed` is reserved"));
        }
        let (tree, source) = (&self.document.tree, self.document.source());
        let tokens: Vec<_> = path.tokens().collect();
        let mut container = ROOT;
        let mut known = 0;
        while let Some(child) = tokens
            .get(known)
            .and_then(|token| tree.child(source, container, token))
        {
            container = child;
            known += 1;
        }
        match tree.node(container).shape {
            _ if known == tokens.len() => return Err(error("something stands here already")),
            Shape::Object { .. } => {}
            Shape::Array { .. } => {
                return Err(error(
                    "the array has no such element; values are added to objects",
                ));
            }
            _ => return Err(error("the value that stands above this is no object")),
        }
        if self.document.format == Format::Dotenv && !dotenv::is_name(&tokens.join("/")) {
            return Err(error(
                "a name in a dotenv file has letters, digits, `_`, `.` and `-`",
            ));
        }
        let at = self
            .groups
            .iter()
            .position(|group| group.container == container);
        let at = at.unwrap_or_else(|| {
            self.groups.push(Group {
                container,
                members: Vec::new(),
            });
            self.groups.len() - 1
        });
        let mut members = &mut self.groups[at].members;
        let (last, around) = tokens[known..]
            .split_last()
            .expect("a token is left, checked above");
        for token in around {
            let found = members.iter().position(|(name, _)| name == token);
            let found = found.unwrap_or_else(|| {
                members.push((token.to_string(), New::Object(Vec::new())));
                members.len() - 1
            });
            members = match &mut members[found].1 {
                New::Object(inner) => inner,
                New::Value(_) => {
                    return Err(error("the value that is added above this is no object"));
                }
            };
        }
        if members.iter().any(|(name, _)| name == last) {
            return Err(error("this is added twice"));
        }
        members.push((
            last.to_string(),
            New::Value(Zeroizing::new(text.to_owned())),
        ));
        let text = Zeroizing::new(text.to_owned());
        self.inserted.push((path.clone(), text));
        Ok(())
    }

    /// Writes the reserved block, or removes it. Without it the document is again as it was before it had one.
    pub(crate) fn header(&mut self, header: Option<Header>) {
        self.header = match header {
            Some(header) => Block::Write(header),
            None => Block::Remove,
        };
    }

    /// Makes the changes: the new text, which has been read again and says what it was asked to say.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when a text cannot be written at its place, as with all kinds of quotes in a dotenv file.
    pub(crate) fn apply(&self) -> Result<Zeroizing<String>> {
        let mut splices = Vec::with_capacity(self.sets.len() + self.groups.len() + 1);
        for (&number, value) in &self.sets {
            let scalar = &self.document.tree.scalars[number as usize];
            splices.push(self.replace(scalar, value)?);
        }
        splices.extend(insert::splices(self.document, &self.groups, &self.header)?);
        // What is put in front of a removed span comes first.
        splices.sort_by_key(|splice| (splice.start, splice.end));
        let text = splice_all(&self.document.source, &splices)?;
        let new = Document::read(text, self.document.format).map_err(|error| {
            let message = "the changed document would not be readable; nothing was changed";
            Error::new(ErrorKind::Input, message).caused_by(error)
        })?;
        self.verify(&new)?;
        Ok(new.source)
    }

    fn replace(&self, scalar: &Scalar, value: &Value) -> Result<Splice> {
        let node = self.document.tree.node(scalar.node);
        let text = match (self.document.format, value) {
            (Format::Json, Value::String(text)) => quoted(text, false),
            (Format::Json, Value::Literal(text)) => text.clone(),
            (Format::Yaml, value) => yaml_write::replacement(self.document, scalar, value),
            (Format::Dotenv, Value::String(text) | Value::Literal(text)) => {
                dotenv::replacement(self.document, scalar, text)
                    .map_err(|error| error.on(self.document.path(scalar).as_str()))?
            }
        };
        Ok(Splice {
            start: node.start as usize,
            end: node.end as usize,
            text,
        })
    }

    /// Checks that the new document says what was asked, and beside that what the old one said.
    fn verify(&self, new: &Document) -> Result<()> {
        let differs = |path: Pointer| {
            let message = "the text would not read back as it was given; nothing was changed";
            Err(Error::new(ErrorKind::Input, message).on(path.as_str()))
        };
        let mut added = HashSet::with_capacity(self.inserted.len());
        for (path, text) in &self.inserted {
            match new.find(path) {
                Some(scalar) if (scalar.kind, new.text(scalar)) == (Kind::String, text) => {
                    added.insert(scalar.node);
                }
                _ => return differs(path.clone()),
            }
        }
        let old = self.document;
        let mut scalars = new
            .scalars()
            .iter()
            .filter(|scalar| !added.contains(&scalar.node));
        for (number, scalar) in (0..).zip(old.scalars()) {
            let expected = match self.sets.get(&number) {
                Some(Value::String(text)) => (Kind::String, text.as_str()),
                Some(Value::Literal(text)) => (literal_kind(text), text.as_str()),
                None => (scalar.kind, old.text(scalar)),
            };
            let same = scalars.next().is_some_and(|found| {
                (found.kind, new.text(found)) == expected && same_key((old, scalar), (new, found))
            });
            if !same {
                return differs(old.path(scalar));
            }
        }
        let header = match &self.header {
            Block::Keep => old.header.as_ref(),
            Block::Remove => None,
            Block::Write(header) => Some(header),
        };
        let says = |header: &Header| {
            (
                header.version,
                header.document.clone(),
                header.epochs.clone(),
            )
        };
        if scalars.next().is_some() || new.header.as_ref().map(says) != header.map(says) {
            return differs(Pointer::root());
        }
        Ok(())
    }
}

/// Makes the changes, which are sorted.
fn splice_all(source: &str, splices: &[Splice]) -> Result<Zeroizing<String>> {
    let grown: usize = splices.iter().map(|splice| splice.text.len()).sum();
    let gone: usize = splices.iter().map(|splice| splice.end - splice.start).sum();
    // Room for all of it, so that nothing is moved and leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(
        (source.len() + grown).saturating_sub(gone),
    ));
    let mut at = 0;
    for splice in splices {
        let between = source.get(at..splice.start).ok_or_else(|| {
            let message = "these changes cannot be made at once; make them one after the other";
            Error::new(ErrorKind::Input, message)
        })?;
        text.push_str(between);
        text.push_str(&splice.text);
        at = splice.end;
    }
    text.push_str(&source[at..]);
    Ok(text)
}

fn literal_kind(text: &str) -> Kind {
    match text {
        "null" => Kind::Null,
        "true" | "false" => Kind::Bool,
        _ => Kind::Number,
    }
}

/// Whether two members have the same name; elements may get another.
fn same_key(old: (&Document, &Scalar), new: (&Document, &Scalar)) -> bool {
    let is_member = |(document, scalar): (&Document, &Scalar)| {
        let key = &document.tree.node(scalar.node).key;
        matches!(key, Key::Source(..) | Key::Decoded(_))
    };
    let token = |(document, scalar)| Document::token(document, scalar);
    match (is_member(old), is_member(new)) {
        (true, true) => token(old) == token(new),
        (old, new) => old == new,
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}
