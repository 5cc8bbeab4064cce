//! The reserved block of a document: which format version, which document, and the wrapped keys of its epochs.

use super::dotenv::PREFIX;
use super::tree::{Kind, Node, Shape, Tree};
use super::write::quoted;
use super::{Format, RESERVED, line_of};
use crate::{Error, ErrorKind, Result};

/// The version of the format that this crate writes and reads.
pub(crate) const VERSION: u32 = 1;

/// What the reserved block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The version of the format: 1.
    pub(crate) version: u32,
    /// The id of the document.
    pub(crate) document: String,
    /// The id of each epoch and its wrapped key, JSON on one line; sorted by id.
    pub(crate) epochs: Vec<(String, String)>,
    /// The line in which the block starts, from 1; 0 for a block that has not been read from a document.
    pub(crate) line: usize,
}

impl Header {
    /// A block to be written; sorts the epochs.
    pub(crate) fn new(document: impl Into<String>, mut epochs: Vec<(String, String)>) -> Self {
        epochs.sort();
        Self {
            version: VERSION,
            document: document.into(),
            epochs,
            line: 0,
        }
    }

    /// Reads the block that is this node of a JSON or YAML document.
    pub(super) fn read(tree: &Tree, source: &str, id: u32) -> Result<Self> {
        let node = tree.node(id);
        let line = line_of(source, node.key_start as usize);
        let error = |node: &Node, message: String| {
            let line = line_of(source, node.key_start as usize);
            Error::new(ErrorKind::Format, message).at(line, 1)
        };
        let missing = |what: &str| error(node, format!("the block `{RESERVED}` has no `{what}`"));
        let (mut version, mut document, mut epochs) = (None, None, None);
        if !matches!(node.shape, Shape::Object { .. }) {
            return Err(error(
                node,
                format!("`{RESERVED}` is not the block of this tool"),
            ));
        }
        for child in tree.children(id) {
            let member = tree.node(child);
            let scalar = tree.scalar(child);
            let text = scalar.map(|scalar| (scalar.kind, tree.text(source, scalar)));
            match (&*tree.token(source, child), text) {
                ("version", Some((Kind::Number, text))) => version = Some((member, text)),
                ("document", Some((Kind::String, text))) => document = Some(text.to_owned()),
                ("epochs", None) => epochs = Some((child, member)),
                (name, _) => {
                    let message = format!("`{name}` is not what stands in the block `{RESERVED}`");
                    return Err(error(member, message));
                }
            }
        }
        let (member, text) = version.ok_or_else(|| missing("version"))?;
        check_version(text).map_err(|message| error(member, message))?;
        let (list, member) = epochs.ok_or_else(|| missing("epochs"))?;
        if !matches!(member.shape, Shape::Object { .. }) {
            return Err(error(member, "`epochs` is not an object".to_owned()));
        }
        let mut epochs = Vec::with_capacity(member.children as usize);
        for child in tree.children(list) {
            let node = tree.node(child);
            let id = tree.token(source, child).into_owned();
            if !matches!(node.shape, Shape::Object { flow: true }) {
                return Err(error(node, "an epoch is one JSON object".to_owned()));
            }
            let json = source[node.start as usize..node.end as usize].to_owned();
            epochs.push((id, json));
        }
        epochs.reverse();
        check_epochs(&epochs).map_err(|message| error(member, message))?;
        Ok(Self {
            version: VERSION,
            document: document.ok_or_else(|| missing("document"))?,
            epochs,
            line,
        })
    }

    /// Reads the block of a dotenv file: the number of each line, and what follows its prefix.
    pub(super) fn of_lines(lines: &[(usize, &str)]) -> Result<Self> {
        let error =
            |line: usize, message: String| Error::new(ErrorKind::Format, message).at(line, 1);
        let (first, mut epochs) = (lines.first().map_or(1, |line| line.0), Vec::new());
        let mut document = None;
        for &(number, line) in lines {
            if let (Some(rest), None) = (line.strip_prefix("version="), &document) {
                let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                check_version(version).map_err(|message| error(number, message))?;
                document = rest.strip_prefix("document=").map(str::to_owned);
                continue;
            }
            match line
                .strip_prefix("epoch ")
                .and_then(|rest| rest.split_once(' '))
            {
                Some((id, json)) if document.is_some() => {
                    epochs.push((id.to_owned(), json.to_owned()))
                }
                _ => {
                    let message = "this is not a line of the block `# x-sealed`: first comes `version=1 document=ID`, then \
                                   `epoch ID {..}`";
                    return Err(error(number, message.to_owned()));
                }
            }
        }
        check_epochs(&epochs).map_err(|message| error(first, message))?;
        let missing = || error(first, format!("the block `{RESERVED}` has no `document`"));
        Ok(Self {
            version: VERSION,
            document: document.ok_or_else(missing)?,
            epochs,
            line: first,
        })
    }

    /// The block as lines, the first without its indent and the last without its end: of a YAML mapping, or of a dotenv file.
    pub(super) fn lines(&self, format: Format, style: &BlockStyle) -> String {
        let BlockStyle { indent, eol, .. } = style;
        let mut text = String::new();
        if format == Format::Dotenv {
            text.push_str(&format!(
                "{PREFIX}version={} document={}",
                self.version, self.document
            ));
            for (id, json) in &self.epochs {
                text.push_str(&format!("{eol}{PREFIX}epoch {id} {json}"));
            }
            return text;
        }
        text.push_str(&format!(
            "{RESERVED}:{eol}{indent}  version: {}{eol}{indent}  document: {}{eol}{indent}  epochs:",
            self.version,
            *quoted(&self.document, true)
        ));
        if self.epochs.is_empty() {
            text.push_str(" {}");
        }
        for (id, json) in &self.epochs {
            text.push_str(&format!("{eol}{indent}    {id}: {json}"));
        }
        text
    }

    /// The block as a member of a JSON object, or of a YAML mapping between braces; without the space in front of it.
    pub(super) fn member(&self, style: &BlockStyle) -> String {
        let BlockStyle { indent, unit, eol } = style;
        let inner = format!("{eol}{indent}{unit}");
        let mut text = format!(
            "\"{RESERVED}\": {{{inner}\"version\": {},{inner}\"document\": {},{inner}\"epochs\": {{",
            self.version,
            *quoted(&self.document, true)
        );
        for (at, (id, json)) in self.epochs.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            text.push_str(&format!("{comma}{inner}{unit}\"{id}\": {json}"));
        }
        if !self.epochs.is_empty() {
            text.push_str(&inner);
        }
        text.push_str(&format!("}}{eol}{indent}}}"));
        text
    }
}

/// How a block is laid out.
#[derive(Debug)]
pub(super) struct BlockStyle {
    /// What stands in front of the block's name in its line.
    pub(super) indent: String,
    /// What is added one level deeper.
    pub(super) unit: String,
    pub(super) eol: &'static str,
}

fn check_version(text: &str) -> Result<(), String> {
    if text == "1" {
        return Ok(());
    }
    Err(format!(
        "the sealed document has format version {text}, and this program reads version {VERSION}; use a newer one"
    ))
}

/// Checks that ids are key thumbprints, each once and in order, and that each epoch is one line.
fn check_epochs(epochs: &[(String, String)]) -> Result<(), String> {
    for (id, json) in epochs {
        let right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.len() != 43 || !id.bytes().all(right) {
            return Err(
                "the id of an epoch is a thumbprint: 43 characters of base64url".to_owned(),
            );
        }
        if json.contains(['\n', '\r']) {
            return Err(format!("the epoch {id} stands on more than one line"));
        }
    }
    match epochs.windows(2).find(|two| two[0].0 >= two[1].0) {
        None => Ok(()),
        Some(two) => Err(format!(
            "the epoch {} stands twice, or epochs are not sorted by id",
            two[1].0
        )),
    }
}
