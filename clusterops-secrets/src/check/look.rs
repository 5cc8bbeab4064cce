//! Which files are looked at, and as what.

use std::path::Path;

use crate::Format;

/// As what a file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// As the document that its name says it is.
    Document(Format),
    /// As the text that a document is made of, or a copy of one: line by line, whatever its syntax.
    Lines,
}

/// Endings behind a document's name: of templates, and of our signatures.
const BEHIND: [&str; 11] = [
    "tmpl", "tpl", "template", "gotmpl", "j2", "jinja", "jinja2", "erb", "mustache", "hbs", "sig",
];

/// Endings of what is packed or encrypted, whatever it was before.
const PACKED: [&str; 20] = [
    "7z", "age", "asc", "br", "bz2", "enc", "gpg", "gz", "kdbx", "lz4", "lzma", "p7m", "pgp",
    "rar", "tar", "tgz", "xz", "zip", "zst", "zstd",
];

/// Whether a file's name says that it is packed or encrypted.
pub(super) fn is_packed(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    PACKED
        .iter()
        .any(|known| ending.eq_ignore_ascii_case(known))
}

impl Look {
    /// `None` for a file whose name says nothing, or that it is no text any more.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        if is_packed(path) {
            return None;
        }
        let format = Format::of(Path::new(&name));
        let is_behind = |ending: &str| {
            let name = name.strip_suffix(ending);
            let name = name.and_then(|name| name.strip_suffix('.'));
            name.is_some_and(|name| Format::of(Path::new(name)).is_some())
        };
        // `app.json.bak`, `app.yaml~`
        let is_copy = || {
            [".json", ".yaml", ".yml", ".env"].iter().any(|ending| {
                name.match_indices(ending)
                    .any(|(at, _)| name[at + ending.len()..].starts_with(['.', '~']))
            })
        };
        match format {
            _ if BEHIND.iter().any(|ending| is_behind(ending)) => Some(Self::Lines),
            Some(format) => Some(Self::Document(format)),
            None => (matches!(&*name, "env" | ".envrc") || is_copy()).then_some(Self::Lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_how_it_is_looked_at() {
        for (name, look) in [
            ("app.json", Some(Look::Document(Format::Json))),
            ("prod.env.local", Some(Look::Document(Format::Dotenv))),
            (".env.prod", Some(Look::Document(Format::Dotenv))),
            (".env.example", Some(Look::Document(Format::Dotenv))),
            ("env", Some(Look::Lines)),
            (".envrc", Some(Look::Lines)),
            ("app.json.tmpl", Some(Look::Lines)),
            ("values.YAML.j2", Some(Look::Lines)),
            (".env.erb", Some(Look::Lines)),
            ("prod.env.tpl", Some(Look::Lines)),
            ("app.json.sig", Some(Look::Lines)),
            (".env.sig", Some(Look::Lines)),
            ("app.json.bak", Some(Look::Lines)),
            ("app.yml~", Some(Look::Lines)),
            (".app.json.swp", Some(Look::Lines)),
            ("app.json.gz", None),
            (".env.age", None),
            ("prod.env.gpg", None),
            ("app.yaml.zst", None),
            ("main.tmpl", None),
            ("app.jsonnet", None),
            ("README.md", None),
            ("environment", None),
        ] {
            assert_eq!(Look::of(Path::new(name)), look, "{name}");
        }
    }
}
