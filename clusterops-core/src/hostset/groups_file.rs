//! ClusterShell's `groups.d` files.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::GroupSource;
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
    groups: BTreeMap<String, String>,
}

impl FileGroups {
    /// Reads the sources of a file, in the order of their names; `file` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Syntax`](ErrorKind::Syntax), with file and line, for what is not YAML of this form.
    pub fn parse(text: &str, file: &str) -> Result<Vec<Self>> {
        let sources: BTreeMap<String, BTreeMap<String, Members>> = serde_saphyr::from_str(text)
            .map_err(|error| {
                let location = error.location();
                let place = Place {
                    file: Some(file.to_owned()),
                    line: location.map(|location| location.line() as usize),
                    column: location.map(|location| location.column() as usize),
                };
                let message = "not a map of group sources, each a map of group names to host sets";
                Error::new(ErrorKind::Syntax, message)
                    .at(place)
                    .caused_by(error)
            })?;
        let source = |(name, groups): (String, BTreeMap<String, Members>)| Self {
            name,
            file: file.to_owned(),
            groups: groups
                .into_iter()
                .map(|(group, members)| (group, members.0))
                .collect(),
        };
        Ok(sources.into_iter().map(source).collect())
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
            super::files::in_folder(path, "yaml")?
        } else {
            vec![path.to_owned()]
        };
        let mut sources = Vec::new();
        for file in files {
            let text = super::files::read(&file)?;
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

    fn map(&self, group: &str) -> Result<Option<String>> {
        Ok(self.groups.get(group).cloned())
    }

    fn all(&self) -> Result<Option<String>> {
        self.map("all")
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.groups.keys().cloned().collect())
    }
}

/// The members of a group: text, a list of texts, or nothing.
struct Members(String);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host set as text (a number needs quotes), or a list of them")
            }

            fn visit_str<E>(self, text: &str) -> Result<Members, E> {
                Ok(Members(text.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Members, E> {
                Ok(Members(String::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(item) = items.next_element::<String>()? {
                    members.push(item);
                }
                Ok(Members(members.join(",")))
            }
        }

        deserializer.deserialize_any(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_and_line() {
        let error = FileGroups::parse("roles:\n  web: {a: b}\n", "x.yaml").expect_err("a map");
        let place = error.place().expect("a place");
        assert_eq!(
            (place.file.as_deref(), place.line),
            (Some("x.yaml"), Some(2))
        );
    }

    #[test]
    fn null_is_the_empty_group() {
        let sources = FileGroups::parse("roles:\n  old:\n", "x.yaml").expect("valid");
        assert_eq!(sources[0].map("old").expect("a map"), Some(String::new()));
        assert_eq!(sources[0].map("new").expect("a map"), None);
    }
}
