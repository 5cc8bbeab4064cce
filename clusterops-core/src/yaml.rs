//! YAML as a tree that remembers where each node stands and how each scalar was spelled.
//!
//! Deserialisers resolve types before we see the text: `1.10` would be the number 1.1, `!vault` an unknown tag, and of
//! two equal keys the place of only one is known. So this reads the parser's events itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{ErrorKind as Flaw, Event, Parser, ScalarStyle, Tag};

use crate::text::without_mark;
use crate::{Error, ErrorKind, Place, Result};

/// The most bytes that one file may have.
pub(crate) const MAX_BYTES: usize = 64 << 20;
/// The most nodes in one file, counted with every alias replaced by what it stands for.
const MAX_NODES: usize = 8_000_000;
/// The deepest nesting, aliases included.
const MAX_DEPTH: usize = 128;
const TOO_DEEP: &str = "lists and mappings are nested more than 128 deep, the limit";
/// The most characters of a key.
const MAX_KEY: usize = 64 << 10;

/// What a YAML text says.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// `None` when the text has no content.
    pub(crate) root: Option<Node<'a>>,
    /// Keys that stand twice in one mapping; the tree has the last.
    pub(crate) duplicates: Vec<Duplicate>,
}

/// A key that was given before in the same mapping.
#[derive(Debug)]
pub(crate) struct Duplicate {
    pub(crate) key: String,
    pub(crate) mark: Mark,
    pub(crate) first: Mark,
}

/// Where a node starts; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A node and its place. Copies are cheap: they share what they hold.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) mark: Mark,
    /// A tag that is not one of YAML's own types: `!vault`.
    pub(crate) tag: Option<Rc<str>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Scalar {
        text: Cow<'a, str>,
        style: Style,
    },
    Sequence(Rc<[Node<'a>]>),
    /// Merge keys (`<<`) are resolved, equal keys are gone.
    Mapping(Pairs<'a>),
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes and without `!!str`, so that `null` and `~` mean nothing.
    Plain,
    /// Without quotes, but by its tag a string.
    Tagged,
    Quoted,
    /// With `|` or `>`.
    Block,
}

/// The keys and values of a mapping.
pub(crate) type Pairs<'a> = Rc<[(Node<'a>, Node<'a>)]>;

impl Document<'_> {
    /// Refuses keys that stand twice in one mapping.
    pub(crate) fn check_keys(&self, kind: ErrorKind, file: &str) -> Result<()> {
        let Some(double) = self.duplicates.first() else {
            return Ok(());
        };
        let message = format!(
            "`{}` is given twice, first in line {}; keep one",
            double.key, double.first.line
        );
        Err(Error::new(kind, message).at(double.mark.place(file)))
    }
}

impl<'a> Node<'a> {
    /// The keys and values of a mapping without a tag.
    pub(crate) fn pairs(&self) -> Option<&[(Node<'a>, Node<'a>)]> {
        match &self.value {
            Value::Mapping(pairs) if self.tag.is_none() => Some(pairs),
            _ => None,
        }
    }

    /// Whether this is YAML's null: nothing, `~` or `null`, without quotes.
    pub(crate) fn is_null(&self) -> bool {
        self.tag.is_none()
            && matches!(&self.value, Value::Scalar { text, style: Style::Plain }
                if matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether this is a number or a truth value of YAML (1.1 or 1.2), without quotes.
    pub(crate) fn is_number_or_switch(&self) -> bool {
        let Value::Scalar {
            text,
            style: Style::Plain,
        } = &self.value
        else {
            return false;
        };
        let switches = ["true", "false", "yes", "no", "on", "off"];
        text.parse::<f64>().is_ok() || switches.iter().any(|word| text.eq_ignore_ascii_case(word))
    }

    /// The text of a scalar as it was spelled.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The column at which the text of a scalar starts; `None` when the file has it in pieces: over several lines, or
    /// with escapes.
    pub(crate) fn text_column(&self) -> Option<u32> {
        match &self.value {
            // What is one piece in the file is borrowed from it.
            Value::Scalar {
                text: Cow::Borrowed(_),
                style,
            } => Some(self.mark.column + u32::from(*style == Style::Quoted)),
            _ => None,
        }
    }

    /// What this is, with its article, for error texts.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

impl Mark {
    pub(crate) fn place(self, file: &str) -> Place {
        Place {
            file: Some(file.to_owned()),
            line: Some(self.line as usize),
            column: Some(self.column as usize),
        }
    }
}

/// Reads a YAML text of one document.
pub(crate) fn parse<'a>(text: &'a str, file: &str) -> Result<Document<'a>> {
    let text = without_mark(text);
    if text.len() > MAX_BYTES {
        let message = format!(
            "the file has {} bytes, more than the {MAX_BYTES} that are read; split it",
            text.len()
        );
        return Err(Error::new(ErrorKind::TooLarge, message).at(Place::in_file(file)));
    }
    let mut tree = Tree::new(file);
    let options = granit_parser::options! {
        emit_comments: false,
        bom_inside_document_as_content: false,
        simple_key_max_lookahead: MAX_KEY,
    };
    let mut documents = 0;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let mark = mark(error.marker());
            if matches!(error.kind(), Flaw::RecursionLimitExceeded) {
                return tree.error(ErrorKind::TooLarge, mark, TOO_DEEP);
            }
            tree.error(
                ErrorKind::Syntax,
                mark,
                format!("this is not YAML: {}{}", error.kind(), hint(text, mark)),
            )
        })?;
        let mark = mark(&span.start);
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    let message = "a second YAML document begins here; a file is one document";
                    return Err(tree.error(ErrorKind::Syntax, mark, message));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let (tag, string) = own_tag(tag.as_deref());
                let style = match style {
                    ScalarStyle::Plain if string => Style::Tagged,
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                let value = Value::Scalar { text, style };
                tree.add(Node { value, mark, tag }, 1, 0, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => tree.open(false, mark, anchor, tag.as_deref()),
            Event::MappingStart(_, anchor, tag) => tree.open(true, mark, anchor, tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => tree.close()?,
            Event::Alias(anchor) => tree.alias(anchor, mark)?,
            _ => {}
        }
    }
    Ok(Document {
        root: tree.root,
        duplicates: tree.duplicates,
    })
}

/// What to do about a bracket in a name, which braces around it make a list of, and about an endless key.
fn hint(text: &str, mark: Mark) -> String {
    let line = text.lines().nth((mark.line as usize).saturating_sub(1));
    let line = line.unwrap_or_default();
    let before = (mark.column as usize).saturating_sub(2);
    let mut characters = line.chars().skip(before);
    match (characters.next(), characters.next()) {
        (Some(name), Some('[')) if name.is_alphanumeric() || ".-_:@".contains(name) => {
            return "; a name with brackets needs quotes between braces".to_owned();
        }
        _ => {}
    }
    match line.split([',', '{', '[']).any(|part| part.len() > MAX_KEY) {
        true => format!("; a key has at most {MAX_KEY} characters"),
        false => String::new(),
    }
}

/// The tree while it grows.
struct Tree<'a, 'f> {
    file: &'f str,
    root: Option<Node<'a>>,
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Anchored<'a>>,
    nodes: usize,
    duplicates: Vec<Duplicate>,
}

/// A collection that is not closed yet.
struct Open<'a> {
    mapping: bool,
    mark: Mark,
    tag: Option<Rc<str>>,
    anchor: usize,
    children: Vec<Node<'a>>,
    weight: usize,
    depth: usize,
}

struct Anchored<'a> {
    node: Node<'a>,
    weight: usize,
    depth: usize,
}

impl<'a, 'f> Tree<'a, 'f> {
    fn new(file: &'f str) -> Self {
        Self {
            file,
            root: None,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            duplicates: Vec::new(),
        }
    }

    fn error(&self, kind: ErrorKind, mark: Mark, message: impl Into<String>) -> Error {
        Error::new(kind, message).at(mark.place(self.file))
    }

    fn open(&mut self, mapping: bool, mark: Mark, anchor: usize, tag: Option<&Tag>) {
        self.open.push(Open {
            mapping,
            mark,
            tag: own_tag(tag).0,
            anchor,
            children: Vec::new(),
            weight: 1,
            depth: 0,
        });
    }

    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = if open.mapping {
            Value::Mapping(self.mapping(open.children)?)
        } else {
            Value::Sequence(open.children.into())
        };
        let node = Node {
            value,
            mark: open.mark,
            tag: open.tag,
        };
        // The children were counted when they came.
        self.nodes -= open.weight - 1;
        self.add(node, open.weight, open.depth + 1, open.anchor)
    }

    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<()> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            let message = "this alias stands inside the node it refers to; write the value out";
            return Err(self.error(ErrorKind::Syntax, mark, message));
        };
        let (weight, depth) = (anchored.weight, anchored.depth);
        let node = Node {
            mark,
            ..anchored.node.clone()
        };
        self.add(node, weight, depth, 0)
    }

    /// Adds a finished node, `weight` nodes in all, to the innermost open collection.
    fn add(&mut self, node: Node<'a>, weight: usize, depth: usize, anchor: usize) -> Result<()> {
        self.nodes = self.nodes.saturating_add(weight);
        if self.nodes > MAX_NODES {
            let message =
                format!("more than {MAX_NODES} YAML nodes, aliases written out; split the file");
            return Err(self.error(ErrorKind::TooLarge, node.mark, message));
        }
        if depth > MAX_DEPTH {
            return Err(self.error(ErrorKind::TooLarge, node.mark, TOO_DEEP));
        }
        if anchor != 0 {
            let node = node.clone();
            self.anchors.insert(
                anchor,
                Anchored {
                    node,
                    weight,
                    depth,
                },
            );
        }
        match self.open.last_mut() {
            Some(parent) => {
                parent.children.push(node);
                parent.weight += weight;
                parent.depth = parent.depth.max(depth);
            }
            None => self.root = Some(node),
        }
        Ok(())
    }

    /// Keys and values in turn become pairs, without the merge key and without doubles.
    fn mapping(&mut self, children: Vec<Node<'a>>) -> Result<Pairs<'a>> {
        let mut mapping = Mapping::with_capacity(children.len() / 2);
        let mut merges = Vec::new();
        let mut children = children.into_iter();
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            let Some(text) = key.text() else {
                let message = format!("a key is a single value here, not {}", key.kind());
                return Err(self.error(ErrorKind::Syntax, key.mark, message));
            };
            if text == "<<"
                && matches!(
                    key.value,
                    Value::Scalar {
                        style: Style::Plain,
                        ..
                    }
                )
            {
                merges.push(value);
                continue;
            }
            match mapping.find(text) {
                Some(at) => {
                    self.duplicates.push(Duplicate {
                        key: text.to_owned(),
                        mark: key.mark,
                        first: mapping.pairs[at].0.mark,
                    });
                    mapping.pairs[at] = (key, value);
                }
                None => mapping.push(key, value),
            }
        }
        for merge in merges {
            self.merge(&merge, &mut mapping)?;
        }
        Ok(mapping.pairs.into())
    }

    /// Adds the pairs of `<<: *other` or `<<: [*one, *two]` whose keys are not there yet.
    fn merge(&self, merge: &Node<'a>, mapping: &mut Mapping<'a>) -> Result<()> {
        match &merge.value {
            Value::Mapping(others) => {
                for (key, value) in others.iter() {
                    if mapping.find(key.text().unwrap_or_default()).is_none() {
                        mapping.push(key.clone(), value.clone());
                    }
                }
                Ok(())
            }
            Value::Sequence(several)
                if several
                    .iter()
                    .all(|one| matches!(one.value, Value::Mapping(_))) =>
            {
                several.iter().try_for_each(|one| self.merge(one, mapping))
            }
            _ => {
                let message = format!(
                    "`<<` takes a mapping or a list of them, not {}",
                    merge.kind()
                );
                Err(self.error(ErrorKind::Syntax, merge.mark, message))
            }
        }
    }
}

/// A mapping while it is read.
struct Mapping<'a> {
    pairs: Vec<(Node<'a>, Node<'a>)>,
    /// Where each key is; empty while there are so few that looking at all is quicker.
    index: HashMap<String, usize>,
}

impl<'a> Mapping<'a> {
    const FEW: usize = 16;

    fn with_capacity(pairs: usize) -> Self {
        Self {
            pairs: Vec::with_capacity(pairs),
            index: HashMap::new(),
        }
    }

    fn find(&self, key: &str) -> Option<usize> {
        if self.index.is_empty() {
            return self
                .pairs
                .iter()
                .position(|(known, _)| known.text() == Some(key));
        }
        self.index.get(key).copied()
    }

    fn push(&mut self, key: Node<'a>, value: Node<'a>) {
        self.pairs.push((key, value));
        if self.pairs.len() > Self::FEW {
            let from = if self.index.is_empty() {
                0
            } else {
                self.pairs.len() - 1
            };
            for (at, (key, _)) in self.pairs.iter().enumerate().skip(from) {
                self.index
                    .insert(key.text().unwrap_or_default().to_owned(), at);
            }
        }
    }
}

/// The tag, unless it is one of YAML's own types; and whether it says that a scalar is a string.
fn own_tag(tag: Option<&Tag>) -> (Option<Rc<str>>, bool) {
    match tag {
        None => (None, false),
        Some(tag) => match tag.core_suffix() {
            Some("str") => (None, true),
            Some("int" | "float" | "bool" | "null" | "map" | "seq") => (None, false),
            _ if tag.original() == "!" => (None, true),
            _ => (Some(tag.original().into()), false),
        },
    }
}

fn mark(marker: &granit_parser::Marker) -> Mark {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Mark {
        line: number(marker.line()),
        column: number(marker.col() + 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn root(text: &str) -> Node<'_> {
        parse(text, "t.yaml").expect(text).root.expect(text)
    }

    fn value<'a, 'n>(node: &'n Node<'a>, key: &str) -> &'n Node<'a> {
        let Value::Mapping(pairs) = &node.value else {
            panic!("{node:?}");
        };
        let pair = pairs.iter().find(|(name, _)| name.text() == Some(key));
        &pair.expect(key).1
    }

    #[test]
    fn scalars_keep_their_spelling_and_place() {
        let root = root("a: 1.10\nb: {c: \"x y\", d: !vault v}\ne: ~\nf: 'null'\ng: !!str null\n");
        assert_eq!(value(&root, "a").text(), Some("1.10"));
        let c = value(value(&root, "b"), "c");
        assert_eq!((c.text(), c.mark.line, c.mark.column), (Some("x y"), 2, 8));
        assert_eq!(value(value(&root, "b"), "d").tag.as_deref(), Some("!vault"));
        assert!(value(&root, "e").is_null());
        assert!(!value(&root, "f").is_null() && !value(&root, "g").is_null());
    }

    #[test]
    fn texts_in_one_piece_have_a_column() {
        for (text, column) in [
            ("x y", Some(4)),
            ("'x'", Some(5)),
            ("&a !!str x", Some(13)),
            ("'it''s'", None),
            ("\"\\x41\"", None),
            ("x\n  y", None),
            ("|\n  x\n", None),
            (">-\n  x\n  y", None),
        ] {
            let text = format!("k: {text}\n");
            assert_eq!(value(&root(&text), "k").text_column(), column, "{text}");
        }
    }

    #[test]
    fn merge_keys_do_not_override() {
        let root = root(
            "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nx: {<<: [*base, *more], a: 9}\n",
        );
        let x = value(&root, "x");
        let texts = ["a", "b", "c"].map(|key| value(x, key).text());
        assert_eq!(texts, [Some("9"), Some("2"), Some("4")]);
    }

    #[test]
    fn doubled_keys_are_reported_with_both_places() {
        let document = parse("a: 1\nb: 2\na: 3\n", "t.yaml").expect("it is YAML");
        let double = &document.duplicates[0];
        assert_eq!(
            (double.key.as_str(), double.first.line, double.mark.line),
            ("a", 1, 3)
        );
        assert_eq!(
            value(&document.root.expect("a root"), "a").text(),
            Some("3")
        );
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        let mut chain = String::from("a0: &a0 [x]\n");
        for n in 1..200 {
            let before = n - 1;
            let ten = vec![format!("*a{before}"); 10].join(",");
            bomb.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
            chain.push_str(&format!("a{n}: &a{n} [*a{before}]\n"));
        }
        let merges: String = (1..40).fold("m0: &m0 {a: 1}\n".into(), |text, n| {
            format!("{text}m{n}: &m{n} {{x: *m{0}, y: *m{0}}}\n", n - 1)
        });
        for text in [
            bomb,
            chain,
            merges,
            "[".repeat(100_000),
            "- ".repeat(100_000),
        ] {
            let error = parse(&text, "t.yaml").expect_err("it is refused");
            assert!(
                matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Syntax),
                "{error}"
            );
        }
        assert_eq!(
            parse("a: &a [*a]\n", "t.yaml").expect_err("a cycle").kind(),
            ErrorKind::Syntax
        );
    }

    #[test]
    fn errors_name_file_line_and_column() {
        for (text, place) in [
            ("a: [1, 2\nb: 3\n", "t.yaml:2:"),
            ("a: 1\n---\nb: 2\n", "t.yaml:2:1"),
            ("a: *nowhere\n", "t.yaml:1:4"),
            ("? [a]\n: b\n", "t.yaml:1:3"),
            ("a: {<<: x}\n", "t.yaml:1:9"),
            (
                &"[".repeat(1000),
                "t.yaml:1:256: lists and mappings are nested more than 128 deep",
            ),
        ] {
            let error = parse(text, "t.yaml").expect_err(text).to_string();
            assert!(error.starts_with(place), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_endless_key_is_called_so() {
        let text = format!("{}: 1\n", "k".repeat(MAX_KEY + 1));
        let error = parse(&text, "t.yaml").expect_err("a long key").to_string();
        assert!(
            error.ends_with("; a key has at most 65536 characters"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text, "t.yaml");
        }

        #[test]
        fn no_yaml_like_text_panics(text in "([a-c]: |- |\\[|\\]|\\{|\\}|,|&a |\\*a|<<: |!t |\"|'|\n|  ){0,40}") {
            let _ = parse(&text, "t.yaml");
        }
    }
}
