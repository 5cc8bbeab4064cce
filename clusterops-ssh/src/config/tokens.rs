//! What `%h`, `${NAME}` and `~` stand for (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use nix::unistd::User;
use sha1::{Digest, Sha1};

use super::local::Local;

/// Asks for an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Asks what a token stands for.
pub(super) type Token<'a> = &'a dyn Fn(char) -> Option<Cow<'a, str>>;

/// Fills in `${NAME}` where there is an environment, and `%x` where there are tokens.
pub(super) fn expand(
    text: &str,
    environment: Option<Environment<'_>>,
    token: Option<Token<'_>>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut left = text;
    while let Some(at) = left.find(['$', '%']) {
        expanded.push_str(&left[..at]);
        left = &left[at..];
        if let (Some(environment), Some(rest)) = (environment, left.strip_prefix("${")) {
            let Some((name, rest)) = rest.split_once('}') else {
                return Err(format!("`{left}`: the closing brace is missing"));
            };
            let Some(value) = environment(name) else {
                return Err(format!("environment variable ${{{name}}} has no value"));
            };
            expanded.push_str(&value);
            left = rest;
        } else if let (Some(token), Some(rest)) = (token, left.strip_prefix('%')) {
            let Some(key) = rest.chars().next() else {
                return Err("a `%` stands at the end; a plain one is written `%%`".into());
            };
            match key {
                '%' => expanded.push('%'),
                key => match token(key) {
                    Some(value) => expanded.push_str(&value),
                    None => return Err(format!("the token %{key} has no meaning here")),
                },
            }
            left = &rest[key.len_utf8()..];
        } else {
            expanded.push_str(&left[..1]);
            left = &left[1..];
        }
    }
    expanded.push_str(left);
    Ok(expanded)
}

/// The tokens that most keywords take.
pub(super) const COMMON: &str = "CdhijkLlnpru";

/// Looks whether a text has no other tokens than these.
pub(super) fn check(text: &str, keys: &str) -> Result<(), String> {
    let token = |key| keys.contains(key).then_some(Cow::Borrowed(""));
    expand(text, None, Some(&token)).map(|_| ())
}

/// What the tokens of most keywords stand for.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    pub(super) local: &'a Local,
    /// `%n`: the host as it was asked for.
    pub(super) original: &'a str,
    /// `%h`
    pub(super) host: &'a str,
    /// `%p`
    pub(super) port: u16,
    /// `%r`
    pub(super) user: &'a str,
    /// `%j`: the last jump host before the target.
    pub(super) jump: &'a str,
    /// `%k`
    pub(super) key_alias: &'a str,
    /// `%C`, once it was asked for.
    pub(super) hash: OnceCell<String>,
}

impl Tokens<'_> {
    /// What a token of [`COMMON`] stands for.
    pub(super) fn common(&self, key: char) -> Option<Cow<'_, str>> {
        Some(match key {
            'C' => Cow::Borrowed(self.hash.get_or_init(|| self.connection_hash())),
            'd' => Cow::Borrowed(&self.local.home),
            'h' => Cow::Borrowed(self.host),
            'i' => Cow::Owned(self.local.user_id.to_string()),
            'j' => Cow::Borrowed(self.jump),
            'k' => Cow::Borrowed(self.key_alias),
            'L' => Cow::Borrowed(self.local.short_host()),
            'l' => Cow::Borrowed(&self.local.host),
            'n' => Cow::Borrowed(self.original),
            'p' => Cow::Owned(self.port.to_string()),
            'r' => Cow::Borrowed(self.user),
            'u' => Cow::Borrowed(&self.local.user),
            _ => return None,
        })
    }

    /// Fills in common tokens, and variables of the environment.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let environment = |name: &str| self.local.variable(name);
        expand(text, Some(&environment), Some(&|key| self.common(key)))
    }

    /// Fills in those of the common tokens that `keys` names.
    pub(super) fn expand_only(&self, text: &str, keys: &str) -> Result<String, String> {
        let token = |key| keys.contains(key).then(|| self.common(key))?;
        expand(text, None, Some(&token))
    }

    /// Fills in a path: `~`, then tokens and the environment.
    pub(super) fn expand_path(&self, text: &str) -> Result<PathBuf, String> {
        let path = expand_home(text, self.local)?;
        if path.contains(['$', '%']) {
            return Ok(self.expand(&path)?.into());
        }
        Ok(path.into_owned().into())
    }

    /// SHA-1 over what identifies a connection.
    fn connection_hash(&self) -> String {
        let mut hash = Sha1::new();
        let port = self.port.to_string();
        for part in [&self.local.host, self.host, &port, self.user, self.jump] {
            hash.update(part.as_bytes());
        }
        HEXLOWER.encode(&hash.finalize())
    }
}

/// Replaces a `~` or `~user` at the start by the home folder.
pub(super) fn expand_home<'a>(text: &'a str, local: &Local) -> Result<Cow<'a, str>, String> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(Cow::Borrowed(text));
    };
    let (user, path) = rest.split_once('/').unwrap_or((rest, ""));
    let home = if user.is_empty() {
        Cow::Borrowed(local.home.as_str())
    } else {
        let account = User::from_name(user)
            .ok()
            .flatten()
            .ok_or_else(|| format!("`{text}`: no such user {user}"))?;
        Cow::Owned(account.dir.to_string_lossy().into_owned())
    };
    let separator = if home.ends_with('/') { "" } else { "/" };
    let path = path.trim_start_matches('/');
    Ok(Cow::Owned([&home, separator, path].concat()))
}
