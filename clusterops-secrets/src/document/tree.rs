//! The tree of a document: containers, keys and scalars, with the bytes at which each stands.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use zeroize::Zeroizing;

use super::{MAX_NODES, Pointer};

/// No node.
pub(super) const NONE: u32 = u32::MAX;
/// The root.
pub(super) const ROOT: u32 = 0;

/// What a scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A text.
    String,
    /// A number, as it is spelled.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`, in YAML also `~` and nothing at all.
    Null,
}

/// One value that is neither an object nor an array. What it says gives [`Document::text`](super::Document::text), where
/// it stands [`Document::path`](super::Document::path).
#[derive(Debug)]
pub(crate) struct Scalar {
    /// What it is.
    pub(crate) kind: Kind,
    /// The line in which it starts, from 1.
    pub(crate) line: usize,
    /// The column in which it starts, in characters from 1.
    pub(crate) column: usize,
    pub(super) node: u32,
    pub(super) style: Style,
    pub(super) text: Text,
    /// Why its text cannot be replaced.
    pub(super) fixed: Option<&'static str>,
}

impl Scalar {
    /// Whether it cannot be replaced: in YAML one with a tag that says what the text means, or with an anchor.
    pub(crate) fn is_tagged(&self) -> bool {
        self.fixed.is_some()
    }
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Backtick,
    Block,
}

/// What a scalar says.
pub(super) enum Text {
    /// These bytes of the source.
    Source(u32, u32),
    Decoded(Zeroizing<String>),
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `flow`: between braces, as always in JSON.
    Object {
        flow: bool,
    },
    Array {
        flow: bool,
    },
    /// Which of the scalars.
    Scalar(u32),
    /// YAML's alias, or a scalar of the reserved block.
    Other,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    pub(super) parent: u32,
    /// The child of the same parent in front of this one.
    pub(super) previous: u32,
    pub(super) last_child: u32,
    pub(super) children: u32,
    pub(super) key: Key,
    /// Where the key stands, quotes included; empty for elements.
    pub(super) key_start: u32,
    pub(super) key_end: u32,
    /// Where the value stands, quotes and brackets included.
    pub(super) start: u32,
    pub(super) end: u32,
}

/// What a node is called inside its parent.
#[derive(Debug)]
pub(super) enum Key {
    Index(u32),
    /// An element, by its member that is this node, a string.
    Named(u32),
    /// A member, by these bytes of the source.
    Source(u32, u32),
    Decoded(Box<str>),
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) scalars: Vec<Scalar>,
    /// From the hash of parent and name to the node; the next free number when two hashes are equal.
    index: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    hasher: RandomState,
}

/// Takes a number that is a hash already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Tree {
    pub(super) fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn scalar(&self, node: u32) -> Option<&Scalar> {
        match self.node(node).shape {
            Shape::Scalar(scalar) => self.scalars.get(scalar as usize),
            _ => None,
        }
    }

    pub(super) fn text<'t>(&'t self, source: &'t str, scalar: &'t Scalar) -> &'t str {
        match &scalar.text {
            Text::Source(start, end) => &source[*start as usize..*end as usize],
            Text::Decoded(text) => text,
        }
    }

    /// What the node is called inside its parent.
    pub(super) fn token<'t>(&'t self, source: &'t str, id: u32) -> Cow<'t, str> {
        match &self.node(id).key {
            Key::Index(index) => index.to_string().into(),
            Key::Named(member) => match self.scalar(*member) {
                Some(scalar) => self.text(source, scalar).into(),
                None => "".into(),
            },
            Key::Source(start, end) => source[*start as usize..*end as usize].into(),
            Key::Decoded(text) => (&**text).into(),
        }
    }

    pub(super) fn path(&self, source: &str, mut id: u32) -> Pointer {
        let mut tokens = Vec::new();
        while id != ROOT {
            tokens.push(self.token(source, id));
            id = self.node(id).parent;
        }
        Pointer::from_tokens(tokens.iter().rev().map(|token| &**token))
    }

    /// The child of `parent` that is called `token`.
    pub(super) fn child(&self, source: &str, parent: u32, token: &str) -> Option<u32> {
        let node = self.node(parent);
        if matches!(node.shape, Shape::Array { .. }) && self.is_flat(parent) {
            let index: u32 = token.parse().ok().filter(|&index| index < node.children)?;
            // Neither `01` nor `+1`.
            return (index.to_string() == token).then_some(parent + 1 + index);
        }
        self.look_up(source, parent, token).ok()
    }

    /// Whether the children follow this node one by one, and none is an object.
    fn is_flat(&self, id: u32) -> bool {
        let node = self.node(id);
        let Some(last) = self.nodes.get(node.last_child as usize) else {
            return true;
        };
        node.last_child == id + node.children && !matches!(last.shape, Shape::Object { .. })
    }

    pub(super) fn find(&self, source: &str, path: &Pointer) -> Option<u32> {
        let mut tokens = path.tokens();
        tokens.try_fold(ROOT, |node, token| self.child(source, node, &token))
    }

    /// The children, from the last to the first.
    pub(super) fn children(&self, parent: u32) -> impl Iterator<Item = u32> {
        let some = |id| (id != NONE).then_some(id);
        std::iter::successors(some(self.node(parent).last_child), move |&id| {
            some(self.node(id).previous)
        })
    }

    /// The node, or the number under which to put it.
    fn look_up(&self, source: &str, parent: u32, token: &str) -> Result<u32, u64> {
        let mut hash = self.hasher.hash_one((parent, token));
        while let Some(&id) = self.index.get(&hash) {
            if self.node(id).parent == parent && self.token(source, id) == token {
                return Ok(id);
            }
            hash = hash.wrapping_add(1);
        }
        Err(hash)
    }
}

/// A tree while it grows, in the order of the source.
#[derive(Debug)]
pub(super) struct Builder<'s> {
    source: &'s str,
    tree: Tree,
    open: Vec<u32>,
    key: Option<Pending>,
}

/// A key whose value is still to come.
#[derive(Debug)]
struct Pending {
    hash: u64,
    key: Key,
    start: u32,
    end: u32,
}

impl<'s> Builder<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self {
            source,
            tree: Tree::default(),
            open: Vec::new(),
            key: None,
        }
    }

    /// How many containers are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Whether no more nodes are taken.
    pub(super) fn is_full(&self) -> bool {
        self.tree.nodes.len() >= MAX_NODES
    }

    /// Whether the next node is a key.
    pub(super) fn wants_key(&self) -> bool {
        let inside = self.open.last().map(|&id| self.tree.node(id).shape);
        matches!(inside, Some(Shape::Object { .. })) && self.key.is_none()
    }

    /// Takes a key, or says where the same key starts that was given before.
    pub(super) fn key(&mut self, key: Key, start: usize, end: usize) -> Result<(), usize> {
        let parent = self.open.last().copied().unwrap_or(ROOT);
        let text = match &key {
            Key::Decoded(text) => text,
            Key::Source(start, end) => &self.source[*start as usize..*end as usize],
            Key::Index(_) | Key::Named(_) => "",
        };
        match self.tree.look_up(self.source, parent, text) {
            Ok(first) => Err(self.tree.node(first).key_start as usize),
            Err(hash) => {
                self.key = Some(Pending {
                    hash,
                    key,
                    start: offset(start),
                    end: offset(end),
                });
                Ok(())
            }
        }
    }

    pub(super) fn open(&mut self, shape: Shape, start: usize) {
        let id = self.add(shape, start, start);
        self.open.push(id);
    }

    /// Closes the innermost container; `None` when it ends with its last child.
    pub(super) fn close(&mut self, end: Option<usize>) {
        let Some(id) = self.open.pop() else { return };
        let node = self.tree.node(id);
        let end = match (end, node.last_child) {
            (Some(end), _) => offset(end),
            (None, NONE) => node.start,
            (None, last) => self.tree.node(last).end,
        };
        if matches!(node.shape, Shape::Array { .. }) {
            self.name_elements(id);
        }
        self.tree.nodes[id as usize].end = end;
    }

    pub(super) fn scalar(&mut self, mut scalar: Scalar, start: usize, end: usize) {
        let shape = Shape::Scalar(offset(self.tree.scalars.len()));
        scalar.node = self.add(shape, start, end);
        self.tree.scalars.push(scalar);
    }

    pub(super) fn other(&mut self, start: usize, end: usize) {
        self.add(Shape::Other, start, end);
    }

    pub(super) fn finish(self) -> Tree {
        self.tree
    }

    fn add(&mut self, shape: Shape, start: usize, end: usize) -> u32 {
        let id = offset(self.tree.nodes.len());
        let parent = self.open.last().copied().unwrap_or(NONE);
        let mut node = Node {
            shape,
            parent,
            previous: NONE,
            last_child: NONE,
            children: 0,
            key: Key::Index(0),
            key_start: offset(start),
            key_end: offset(start),
            start: offset(start),
            end: offset(end),
        };
        if let Some(container) = self.tree.nodes.get_mut(parent as usize) {
            node.key = Key::Index(container.children);
            node.previous = container.last_child;
            container.last_child = id;
            container.children += 1;
        }
        if let Some(pending) = self.key.take() {
            node.key = pending.key;
            (node.key_start, node.key_end) = (pending.start, pending.end);
            self.tree.index.insert(pending.hash, id);
        }
        self.tree.nodes.push(node);
        id
    }

    /// Finds for each element of a finished array what it is called.
    fn name_elements(&mut self, array: u32) {
        if self.tree.is_flat(array) {
            return;
        }
        let (tree, source) = (&self.tree, self.source);
        let mut counts: HashMap<&str, u32> = HashMap::new();
        let mut elements = Vec::with_capacity(tree.node(array).children as usize);
        for element in tree.children(array) {
            let name = |member| match tree.node(element).shape {
                Shape::Object { .. } => {
                    let member = tree.child(source, element, member)?;
                    let scalar = tree.scalar(member)?;
                    let text = tree.text(source, scalar);
                    (scalar.kind == Kind::String && addresses(text)).then_some((member, text))
                }
                _ => None,
            };
            let (name, id) = (name("name"), name("id"));
            // One element that has the same name and id has it once.
            let other = id.filter(|(_, id)| name.is_none_or(|(_, name)| name != *id));
            for (_, text) in name.into_iter().chain(other) {
                *counts.entry(text).or_default() += 1;
            }
            elements.push((element, [name, id]));
        }
        let names: Vec<_> = elements
            .into_iter()
            .map(|(element, names)| {
                let unique = |(_, text): &(u32, &str)| counts.get(text) == Some(&1);
                let name = names.into_iter().flatten().find(unique);
                (element, name.map(|(member, _)| member))
            })
            .collect();
        for (element, name) in names {
            if let Some(member) = name {
                self.tree.nodes[element as usize].key = Key::Named(member);
            }
            let token = self.tree.token(self.source, element);
            // Names are unique, and no name looks like an index.
            if let Err(hash) = self.tree.look_up(self.source, array, &token) {
                self.tree.index.insert(hash, element);
            }
        }
    }
}

impl Tree {
    /// Takes the scalars inside of a node out of the list.
    pub(super) fn set_aside(&mut self, node: u32) {
        // What is inside of a node comes right after it.
        let after = &self.nodes[node as usize + 1..];
        let inside = after
            .iter()
            .take_while(|inner| inner.parent >= node)
            .count();
        let end = node + offset(inside);
        let from = self.scalars.partition_point(|scalar| scalar.node < node);
        let to = self.scalars.partition_point(|scalar| scalar.node <= end);
        for scalar in self.scalars.drain(from..to) {
            self.nodes[scalar.node as usize].shape = Shape::Other;
        }
        for (at, scalar) in self.scalars.iter().enumerate().skip(from) {
            self.nodes[scalar.node as usize].shape = Shape::Scalar(offset(at));
        }
    }
}

/// Whether a `name` or `id` can address the element that has it.
pub(super) fn addresses(text: &str) -> bool {
    !text.bytes().all(|byte| byte.is_ascii_digit())
        && !text.starts_with("SEALED[")
        && !text.starts_with("ENC[")
}

/// Documents have at most 64 MiB.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}
