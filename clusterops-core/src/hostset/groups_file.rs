//! ClusterShell's `groups.d` files.

use std::collections::BTreeMap;

use super::GroupSource;
#[cfg(feature = "fs")]
use crate::files;
use crate::yaml::{self, Mark, Node, Value};
use crate::{Error, ErrorKind, Place, Result};

/// One source of groups out of a YAML file as in ClusterShell's `groups.d` (groups.conf(5), ClusterShell 1.9): a map of
/// sources, each a map of groups to host sets. The group `all`, where there is one, is `@source:*`.
///
/// ```
/// use clusterops_core::hostset::{Context, FileGroups};
///
/// let text = "roles:\n  web: web[1-3]\n  all: '@web,db1'\nracks:\n  r1: [web1, db1]\n";
/// let [racks, roles] = FileGroups::parse(text, "local.yaml")?.try_into().unwrap();
/// let context = Context::new().default_source(&roles).source(&racks);
/// assert_eq!(context.parse("@*&@racks:r1!@web")?.to_string(), "db1");
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FileGroups {
    name: String,
    file: String,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Clone)]
struct Group {
    members: String,
    line: u32,
}

impl FileGroups {
    /// Reads the sources of a file, in the order of their names; `file` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Syntax`](ErrorKind::Syntax), with file, line and column, for what is not YAML of this form or says a thing twice.
    pub fn parse(text: &str, file: &str) -> Result<Vec<Self>> {
        let document = yaml::parse(text, file)?;
        document.check_keys(ErrorKind::Syntax, file)?;
        let reader = Reader { file };
        let Some(root) = &document.root else {
            return Ok(Vec::new());
        };
        let mut sources = Vec::new();
        for (name, groups) in reader.mapping(root, "a file of groups is a mapping of sources")? {
            let groups = reader.mapping(groups, "a source is a mapping of groups to host sets")?;
            let group = |(name, members): &(Node<'_>, Node<'_>)| {
                let group = Group {
                    members: reader.members(members)?,
                    line: name.mark.line,
                };
                Ok((text_of(name).to_owned(), group))
            };
            sources.push(Self {
                name: text_of(name).to_owned(),
                file: file.to_owned(),
                groups: groups.iter().map(group).collect::<Result<_>>()?,
            });
        }
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(sources)
    }

    /// Reads one file, or all `*.yaml` files of a folder in the order of their names.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) for what cannot be read, and as [`parse`](Self::parse).
    #[cfg(feature = "fs")]
    pub fn load(path: impl AsRef<std::path::Path>) -> Result<Vec<Self>> {
        let path = path.as_ref();
        let files = if path.is_dir() {
            files::with_extension(path, "yaml")?
        } else {
            vec![path.to_owned()]
        };
        let mut sources = Vec::new();
        for file in files {
            let text = files::text(files::read(&file)?, &file)?;
            sources.extend(Self::parse(&text, &file.display().to_string())?);
        }
        Ok(sources)
    }
}

impl GroupSource for FileGroups {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> String {
        format!("group source `{}` of {}", self.name, self.file)
    }

    fn place(&self, group: &str) -> Option<Place> {
        let group = self.groups.get(if group == "*" { "all" } else { group })?;
        Some(Place {
            line: Some(group.line as usize),
            ..Place::in_file(&*self.file)
        })
    }

    fn map(&self, group: &str) -> Result<Option<String>> {
        Ok(self.groups.get(group).map(|group| group.members.clone()))
    }

    fn all(&self) -> Result<Option<String>> {
        self.map("all")
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.groups.keys().cloned().collect())
    }
}

struct Reader<'f> {
    file: &'f str,
}

impl Reader<'_> {
    fn error(&self, mark: Mark, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Syntax, message).at(mark.place(self.file))
    }

    fn mapping<'n, 'a>(
        &self,
        node: &'n Node<'a>,
        what: &str,
    ) -> Result<&'n [(Node<'a>, Node<'a>)]> {
        let pairs = node.pairs();
        pairs.ok_or_else(|| self.error(node.mark, format!("{what}, not {}", node.kind())))
    }

    /// The members of a group: text, a list of texts, or nothing.
    fn members(&self, node: &Node<'_>) -> Result<String> {
        let items = match &node.value {
            Value::Sequence(items) if node.tag.is_none() => items,
            _ => std::slice::from_ref(node),
        };
        let text = |item: &Node<'_>| match &item.value {
            _ if item.is_null() => Ok(String::new()),
            Value::Scalar { text, .. } if item.tag.is_none() => Ok(text.to_string()),
            _ => {
                let message = format!(
                    "a group is a host set or a list of them, not {}",
                    item.kind()
                );
                Err(self.error(item.mark, message))
            }
        };
        let texts = items.iter().map(text).collect::<Result<Vec<_>>>()?;
        Ok(texts.join(","))
    }
}

/// The text of a key, which is always a scalar.
fn text_of<'n>(key: &'n Node<'_>) -> &'n str {
    key.text().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Context;
    use super::*;

    #[test]
    fn errors_name_the_place() {
        for (text, message) in [
            (
                "roles:\n  web: {a: b}\n",
                "x.yaml:2:8: a group is a host set or a list of them, not a mapping",
            ),
            (
                "roles:\n  web: [a, [b]]\n",
                "x.yaml:2:12: a group is a host set or a list of them, not a list",
            ),
            (
                "roles:\n",
                "x.yaml:1:6: a source is a mapping of groups to host sets, not nothing",
            ),
            (
                "web1\n",
                "x.yaml:1:1: a file of groups is a mapping of sources, not a single value",
            ),
            (
                "r:\n  a: x\n  a: y\n",
                "x.yaml:3:3: `a` is given twice, first in line 2; keep one",
            ),
            (
                "r: {a: !t x}\n",
                "x.yaml:1:11: a group is a host set or a list of them",
            ),
            ("r: [\n", "x.yaml:1:4: this is not YAML"),
        ] {
            let error = FileGroups::parse(text, "x.yaml")
                .expect_err(text)
                .to_string();
            assert!(
                error.starts_with(message) && !error.contains('\n'),
                "{error}"
            );
        }
    }

    #[test]
    fn errors_in_members_name_the_line() {
        let text = "roles:\n  web: web[1-\n  all: '@nix'\n  deep: '@web'\n  me: '@me'\n";
        let sources = FileGroups::parse(text, "x.yaml").expect("valid");
        let context = Context::new().default_source(&sources[0]);
        for (expression, message) in [
            (
                "a,@web",
                "x.yaml:2: group `@roles:web` is `web[1-`: column 4: this bracket is not closed",
            ),
            ("@deep", "x.yaml:2: group `@roles:web` is `web[1-`"),
            (
                "@*",
                "x.yaml:3: group `@roles:*` is `@nix`: column 1: there is no group `@roles:nix`",
            ),
            ("@me", "x.yaml:5: group `@roles:me` contains itself"),
            (
                "a,@wbe",
                "column 3: there is no group `@roles:wbe`; did you mean `web`?",
            ),
        ] {
            let error = context.parse(expression).expect_err(expression).to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn null_is_the_empty_group() {
        let sources = FileGroups::parse("roles:\n  old:\n", "x.yaml").expect("valid");
        assert_eq!(sources[0].map("old").expect("a map"), Some(String::new()));
        assert_eq!(sources[0].map("new").expect("a map"), None);
    }
}
