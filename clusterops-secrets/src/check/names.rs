//! Which values are secrets, by their names and by their form.

use super::CheckOptions;
use crate::document::{Document, Kind, Pointer, Scalar};

/// Words in names of values that are secrets by their name, in the spelling of environments.
const SECRET_WORDS: [&str; 14] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "SECRET_KEY",
    "CREDENTIAL",
    "ENCRYPTION_KEY",
];

/// Endings of such names that say that the value is none: a file's path, a name, a number.
const HARMLESS_ENDINGS: [&str; 8] = [
    "_FILE", "_PATH", "_NAME", "_TTL", "_LENGTH", "_URL", "_TIMEOUT", "_ID",
];

/// What speaks for a value being a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Name,
    PasswordInUrl,
}

/// Whether a value is a secret; references to other variables and empty values are none.
pub(super) fn sign_of(
    document: &Document,
    scalar: &Scalar,
    path: &Pointer,
    options: &CheckOptions,
) -> Option<Sign> {
    let text = document.text(scalar);
    if !matches!(scalar.kind, Kind::String | Kind::Number) || text.is_empty() {
        return None;
    }
    if is_secret(path, &options.words) && !is_reference(text) {
        return Some(Sign::Name);
    }
    has_password(text).then_some(Sign::PasswordInUrl)
}

fn is_reference(text: &str) -> bool {
    ["${", "{{", "$("]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Whether the value at this path is a secret by its name: that of the variable in `{"name": "DB_PASSWORD", "value": ".."}` too,
/// whose element is addressed by it.
fn is_secret(path: &Pointer, words: &[String]) -> bool {
    let tokens: Vec<_> = path.tokens().collect();
    let tokens: Vec<&str> = tokens.iter().map(|token| &**token).collect();
    match tokens[..] {
        // Marathon: the environment names a secret that is kept elsewhere.
        ["env", _, "secret"] => false,
        [.., name, "value"] | [.., name] => is_secret_name(name, words),
        [] => false,
    }
}

fn is_secret_name(name: &str, words: &[String]) -> bool {
    let name = in_capitals(name);
    let has = |word: &str| {
        // A word of its own: `TOKENIZER` is none. Long ones are written behind others without a gap: `DBPASSWORD`.
        name.match_indices(word).any(|(at, _)| {
            let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphabetic());
            let end = &name[at + word.len()..];
            let end = end.strip_prefix('S').unwrap_or(end);
            (word.len() > 6 || is_edge(name[..at].chars().next_back()))
                && is_edge(end.chars().next())
        })
    };
    let is_harmless =
        HARMLESS_ENDINGS.iter().any(|end| name.ends_with(end)) && !name.ends_with("SECRET_ID");
    !is_harmless
        && (SECRET_WORDS.iter().any(|word| has(word)) || words.iter().any(|word| has(word)))
}

/// `dbPassword`, `db-password` and `db.password` as `DB_PASSWORD`.
fn in_capitals(name: &str) -> String {
    let mut capitals = String::with_capacity(name.len() + 4);
    let mut was_small = false;
    for character in name.chars() {
        if was_small && character.is_uppercase() {
            capitals.push('_');
        }
        was_small = character.is_lowercase() || character.is_ascii_digit();
        match character {
            '-' | '.' | ' ' => capitals.push('_'),
            _ => capitals.extend(character.to_uppercase()),
        }
    }
    capitals
}

/// Whether there is a URL with a user and a password (RFC 3986 section 3.2.1) in the text.
fn has_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, separator)| {
        let rest = &text[at + separator.len()..];
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c));
        let authority = &rest[..end.unwrap_or(rest.len())];
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        let password = user.and_then(|user| user.split_once(':'));
        password.is_some_and(|(_, password)| {
            !password.is_empty() && !password.starts_with('$') && !is_reference(password)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_all_spellings() {
        for name in [
            "PASSWORD",
            "db_password",
            "dbPassword",
            "db-password",
            "DBPASSWORD",
            "MYSQL_PWD",
            "DB_PASS",
            "apiKey",
            "API_KEYS",
            "APIKey",
            "clientSecret",
            "GITHUB_TOKEN",
            "oauth2Token",
            "credentials",
            "VAULT_SECRET_ID",
            "aws.secret.access.key",
            "TOKEN2",
        ] {
            assert!(is_secret_name(name, &[]), "{name}");
        }
        for name in [
            "",
            "TOKENIZER",
            "BYPASS",
            "PASSENGERS",
            "SECRETARY",
            "TOKEN_FILE",
            "secretName",
            "AWS_ACCESS_KEY_ID",
            "PASSWORD_LENGTH",
            "KEY",
            "COMPASS",
        ] {
            assert!(!is_secret_name(name, &[]), "{name}");
        }
        assert!(is_secret_name("licenceCode", &["LICENCE_CODE".to_owned()]));
    }

    #[test]
    fn names_stand_beside_values_in_lists_of_variables() {
        let is_secret = |path: &str| is_secret(&path.parse().expect("a path"), &[]);
        assert!(is_secret("/spec/env/DB_PASSWORD/value"));
        assert!(!is_secret("/spec/env/ZONE/value"));
        assert!(!is_secret("/spec/env/DB_PASSWORD/name"));
        assert!(!is_secret("/env/DB_PASSWORD/secret"));
        assert!(is_secret("/oauth/client/secret"));
        assert!(!is_secret(""));
    }

    #[test]
    fn passwords_in_urls_are_seen() {
        for text in [
            "postgres://app:hunter2@db:5432/shop",
            "use redis://:hunter2@cache",
            "https://a@b:c@host",
        ] {
            assert!(has_password(text), "{text}");
        }
        for text in [
            "https://example.org/a:b@c",
            "https://user@host",
            "https://user:@host",
            "https://user:${PASSWORD}@host",
            "a:b@c",
            "ssh://host:22/x@y",
            "://",
        ] {
            assert!(!has_password(text), "{text}");
        }
    }
}
