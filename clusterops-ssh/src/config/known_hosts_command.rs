//! The command that prints known host keys.

use super::line;
use super::tokens::{self, Tokens};

/// A command that prints lines of a known hosts file (`KnownHostsCommand`, ssh_config(5)).
///
/// Its words are run directly, without a shell. Tokens about the connection are filled in; those about what is looked
/// up are filled in by [`words`](Self::words).
///
/// ```
/// use clusterops_ssh::config::{Config, Query};
///
/// let config = Config::parse("KnownHostsCommand /usr/bin/keys %n %I %t", "example")?;
/// let command = config.resolve(&Query::new("web1"))?.known_hosts_command.expect("it is set");
/// let words = command.words(|token| match token {
///     'I' => Some("HOSTNAME"),
///     't' => Some("ssh-ed25519"),
///     _ => None,
/// })?;
/// assert_eq!(words, ["/usr/bin/keys", "web1", "HOSTNAME", "ssh-ed25519"]);
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KnownHostsCommand {
    words: Vec<Vec<Piece>>,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    Token(char),
}

/// The tokens about a key that is looked up: fingerprint, name, reason, key and type.
const LATE: [char; 5] = ['f', 'H', 'I', 'K', 't'];

impl KnownHostsCommand {
    pub(super) fn read(command: &str, tokens: &Tokens<'_>) -> Result<Self, String> {
        let words = line::words(command, false).ok_or("invalid quotes")?;
        let words: Vec<_> = words
            .iter()
            .map(|word| pieces(word, tokens))
            .collect::<Result<_, _>>()?;
        Ok(Self { words })
    }

    /// The words of the command, when `token` says what `%f`, `%H`, `%I`, `%K` and `%t` stand for.
    ///
    /// # Errors
    ///
    /// When the command has one of these tokens that `token` gives nothing for.
    pub fn words<'a>(&self, token: impl Fn(char) -> Option<&'a str>) -> crate::Result<Vec<String>> {
        let word = |pieces: &Vec<Piece>| -> crate::Result<String> {
            let mut word = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => word.push_str(text),
                    Piece::Token(key) => word.push_str(token(*key).ok_or_else(|| {
                        let message =
                            format!("KnownHostsCommand: the token %{key} has no meaning here");
                        super::file::local_error(message)
                    })?),
                }
            }
            Ok(word)
        };
        self.words.iter().map(word).collect()
    }
}

fn pieces(word: &str, tokens: &Tokens<'_>) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut left = word;
    while let Some(at) = left.find('%') {
        text.push_str(&left[..at]);
        let key = left[at + 1..].chars().next();
        let end = at + 1 + key.map_or(0, char::len_utf8);
        match key {
            Some(key) if LATE.contains(&key) => {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Token(key));
            }
            _ => text.push_str(&tokens::expand(
                &left[at..end],
                None,
                Some(&|key| tokens.common(key)),
            )?),
        }
        left = &left[end..];
    }
    text.push_str(left);
    pieces.push(Piece::Text(text));
    Ok(pieces)
}
