//! Which syntax a document has.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The syntax of a document that holds sealed values.
///
/// ```
/// use std::path::Path;
/// use clusterops_secrets::Format;
///
/// assert_eq!(Format::of(Path::new("prod/app.json")), Some(Format::Json));
/// assert_eq!(Format::of(Path::new(".env.production")), Some(Format::Dotenv));
/// assert_eq!(Format::of(Path::new("README.md")), None);
/// assert_eq!("yaml".parse::<Format>()?, Format::Yaml);
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON as RFC 8259 has it, without comments and trailing commas.
    Json,
    /// YAML 1.2, one document.
    Yaml,
    /// `NAME=value` lines, as the npm package `dotenv` reads them.
    Dotenv,
}

impl Format {
    /// The format that a file's name says: `.json`; `.yaml` and `.yml`; `.env`, `.env.production`, `app.env`, `app.env.local`.
    pub fn of(path: &Path) -> Option<Self> {
        // Whatever else is in the name: the endings are ASCII.
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "env" => Some(Self::Dotenv),
            _ if name.contains(".env.") => Some(Self::Dotenv),
            _ => None,
        }
    }

    /// The name: `json`, `yaml` or `dotenv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Dotenv => "dotenv",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Reads a [name](Format::name).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for any other text.
    fn from_str(text: &str) -> Result<Self> {
        [Self::Json, Self::Yaml, Self::Dotenv]
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| {
                let message = "a format is one of `json`, `yaml` and `dotenv`";
                Error::new(ErrorKind::Input, message)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_its_format() {
        for (name, format) in [
            ("a.json", Some(Format::Json)),
            ("A.JSON", Some(Format::Json)),
            ("x/a.yaml", Some(Format::Yaml)),
            ("a.yml", Some(Format::Yaml)),
            (".env", Some(Format::Dotenv)),
            (".env.local", Some(Format::Dotenv)),
            ("app.env", Some(Format::Dotenv)),
            ("app.env.local", Some(Format::Dotenv)),
            ("app.environment", None),
            (".env.json", Some(Format::Json)),
            ("env", None),
            ("a.json.sig", None),
            (".envrc", None),
            ("", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
        let latin = std::os::unix::ffi::OsStrExt::from_bytes(b"b\xfcro.json");
        assert_eq!(
            Format::of(Path::new::<std::ffi::OsStr>(latin)),
            Some(Format::Json)
        );
    }

    #[test]
    fn names_are_read_back() {
        for format in [Format::Json, Format::Yaml, Format::Dotenv] {
            assert_eq!(
                format.to_string().parse::<Format>().expect("a name"),
                format
            );
        }
        let error = "toml".parse::<Format>().expect_err("no format");
        assert_eq!(error.kind(), ErrorKind::Input);
    }
}
