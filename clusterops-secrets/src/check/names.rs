//! Which values are secrets, by their names and by their form.

use super::CheckOptions;
use crate::document::{Document, Kind, Pointer, Scalar, Step};

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
const HARMLESS_ENDINGS: [&str; 9] = [
    "_FILE",
    "_PATH",
    "_NAME",
    "_TTL",
    "_LENGTH",
    "_URL",
    "_TIMEOUT",
    "_ID",
    "_PULL_SECRETS",
];

/// The last words of names that say something about a secret where they stand below its name: `token: {ttl: 1h, issuer: x}`.
const ABOUT_SECRETS: [&str; 36] = [
    "ALGORITHM",
    "AUDIENCE",
    "DESCRIPTION",
    "DRIVER",
    "EMAIL",
    "ENV",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "FORMAT",
    "GID",
    "HOST",
    "ID",
    "ISSUER",
    "KIND",
    "LABEL",
    "LABELS",
    "LENGTH",
    "MODE",
    "NAME",
    "NAMESPACE",
    "PATH",
    "PORT",
    "PROVIDER",
    "REF",
    "REGION",
    "SCOPE",
    "SCOPES",
    "SOURCE",
    "TARGET",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "UID",
    "URL",
    "USERNAME",
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
    options: &CheckOptions,
) -> Option<Sign> {
    let text = document.text(scalar);
    if !matches!(scalar.kind, Kind::String | Kind::Number) || text.is_empty() {
        return None;
    }
    let is_secret =
        is_secret(&document.steps(scalar), scalar.kind, &options.words) && !is_reference(text);
    // Compose: a service names secrets that are declared at the root.
    if is_secret && !document.contains(&Pointer::root().join("secrets").join(text))
        // A list of variables, or an argument.
        || secret_in(text, &['='], &options.words).is_some()
    {
        return Some(Sign::Name);
    }
    has_password(text).then_some(Sign::PasswordInUrl)
}

/// Whether this only says where the value is found: a variable of a shell or of a template.
pub(super) fn is_reference(text: &str) -> bool {
    ["${", "{{", "$(", "{%", "<%"]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Whether the value that these names lead to is a secret by one of them: by its own, by that of the variable in
/// `{"name": "DB_PASSWORD", "value": ".."}`, whose element is addressed by it, or by that of the list or the map it stands in.
fn is_secret(steps: &[Step<'_>], kind: Kind, words: &[String]) -> bool {
    let is_name = |name: &str| is_secret_name(name, words);
    match steps {
        // Marathon: the environment names a secret that is kept elsewhere.
        [Step::Member(env), _, Step::Member(secret)] if env == "env" && secret == "secret" => {
            return false;
        }
        [
            ..,
            Step::Element(name) | Step::Member(name),
            Step::Member(value),
        ] if value == "value" && is_name(name) => return true,
        [.., Step::Member(name)] if is_name(name) => return true,
        _ => {}
    }
    for (at, step) in steps.iter().enumerate().rev() {
        match step {
            Step::Element(_) => {}
            Step::Member(name) if at + 1 < steps.len() && ends_as_secret(name, words) => {
                return true;
            }
            // Numbers say how many, how long.
            Step::Member(name) if kind != Kind::String || is_about_secrets(name) => return false,
            Step::Member(_) => {}
        }
    }
    false
}

/// Whether a name of a value holds a secret's word.
pub(super) fn is_secret_name(name: &str, words: &[String]) -> bool {
    has_word(&in_capitals(name), words, |_| true)
}

/// Whether a name of a list or a map is that of secrets: `passwordPolicy` and `secretKeyRef` are none.
fn ends_as_secret(name: &str, words: &[String]) -> bool {
    has_word(&in_capitals(name), words, str::is_empty)
}

/// Whether a name in capitals holds a secret's word, behind which stands what fits.
fn has_word(name: &str, words: &[String], fits: impl Fn(&str) -> bool) -> bool {
    let has = |word: &str| {
        // A word of its own: `TOKENIZER` is none. Long ones are written behind others without a gap: `DBPASSWORD`.
        name.match_indices(word).any(|(at, _)| {
            let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphabetic());
            let end = &name[at + word.len()..];
            let end = end.strip_prefix('S').unwrap_or(end);
            (word.len() > 6 || is_edge(name[..at].chars().next_back()))
                && is_edge(end.chars().next())
                && fits(end)
        })
    };
    let is_harmless =
        HARMLESS_ENDINGS.iter().any(|end| name.ends_with(end)) && !name.ends_with("SECRET_ID");
    !is_harmless
        && (SECRET_WORDS.iter().any(|word| has(word)) || words.iter().any(|word| has(word)))
}

fn is_about_secrets(name: &str) -> bool {
    let name = in_capitals(name);
    let last = name.rsplit('_').next().unwrap_or_default();
    ABOUT_SECRETS.contains(&last)
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

/// Where the separator stands behind which the first plain value begins that is a secret by the name in front: `NAME=value`.
pub(super) fn secret_in(text: &str, separators: &[char], words: &[String]) -> Option<usize> {
    let mut places = text.match_indices(separators);
    let secret = places.find(|(at, separator)| {
        let (before, behind) = (&text[..*at], &text[at + separator.len()..]);
        is_secret_name(name_at_end(before), words) && is_plain_value(behind)
    });
    secret.map(|(at, _)| at)
}

/// The name in front of a separator, with or without quotes.
fn name_at_end(before: &str) -> &str {
    let name = before.trim_end().trim_end_matches(['"', '\'']);
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    &name[name.trim_end_matches(is_part).len()..]
}

/// Whether a value stands here, and not a reference, nothing, or a marker or a token, which others look at.
fn is_plain_value(behind: &str) -> bool {
    let is_quote = |c: char| c.is_whitespace() || "\"'`".contains(c);
    let value = behind.trim_start_matches(|c: char| is_quote(c) || "[{".contains(c));
    let end = value.find(|c: char| is_quote(c) || "]},;".contains(c));
    let word = &value[..end.unwrap_or(value.len())];
    let is_other = matches!(word, "null" | "~" | "true" | "false")
        || word.starts_with(['=', ':', '*', '$'])
        || ["SEALED[", "ENC["].iter().any(|start| value.starts_with(start))
        // Before its braces are taken for those of a map.
        || is_reference(behind.trim_start_matches(is_quote));
    !word.is_empty() && !is_other
}

/// Whether there is a URL with a user and a password (RFC 3986 section 3.2.1) in the text.
pub(super) fn has_password(text: &str) -> bool {
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
    use crate::Format;

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

    /// The paths of the values that are secrets by a name.
    fn secrets(yaml: &str) -> Vec<String> {
        let document = Document::parse(yaml.as_bytes(), Format::Yaml).expect("YAML");
        let is_secret = |scalar: &&Scalar| {
            sign_of(&document, scalar, &CheckOptions::default()) == Some(Sign::Name)
        };
        let secrets = document.scalars().iter().filter(is_secret);
        secrets
            .map(|scalar| document.path(scalar).to_string())
            .collect()
    }

    #[test]
    fn names_stand_beside_values_in_lists_of_variables() {
        assert_eq!(
            secrets("spec: {env: [{name: DB_PASSWORD, value: x}, {name: ZONE, value: x}]}"),
            ["/spec/env/DB_PASSWORD/value"]
        );
        assert_eq!(secrets("env: {DB_PASSWORD: {secret: db}}"), [""; 0]);
        assert_eq!(
            secrets("oauth: {client: {secret: x}}"),
            ["/oauth/client/secret"]
        );
    }

    #[test]
    fn secrets_stand_in_lists_and_maps_under_their_name() {
        for (yaml, found) in [
            (
                "PASSWORD: [hunter2, 1234]",
                &["/PASSWORD/0", "/PASSWORD/1"][..],
            ),
            ("tokens: {a: x, b: {c: y}}", &["/tokens/a", "/tokens/b/c"]),
            ("passwords: [{value: x}]", &["/passwords/0/value"]),
            ("tokens: [{a: x}, [y]]", &["/tokens/0/a", "/tokens/1/0"]),
            (
                "credentials: {username: ben, pin: x}",
                &["/credentials/pin"],
            ),
            ("a: {dbPasswords: {old: x}}", &["/a/dbPasswords/old"]),
            (
                "tokens: {ttl: 1h, size: 32, issuer: x, scopes: [a, b], on: true}",
                &[],
            ),
            ("passwordPolicy: {form: strict}", &[]),
            ("secretKeyRef: {key: password}", &[]),
            ("imagePullSecrets: [registry]", &[]),
            (
                "env: [DB_PASSWORD=x, ZONE=x, PIN_FILE=x, TOKEN=]",
                &["/env/0"],
            ),
            ("cmd: run --db-password=x", &["/cmd"]),
            ("cmd: run --db-password=$X --token=${Y} x==y", &[]),
            (
                "env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: pin}}}]",
                &[],
            ),
            (
                "services: {web: {secrets: [db]}}\nsecrets: {db: {file: ./db}}",
                &[],
            ),
            (
                "services: {web: {secrets: [db]}}",
                &["/services/web/secrets/0"],
            ),
        ] {
            assert_eq!(secrets(yaml), found, "{yaml}");
        }
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
