//! What is seen in a file line by line, whatever its syntax.

use super::names::{has_password, secret_in};
use super::{CheckOptions, FindingKind, Findings};
use crate::marker::markers_in;

impl Findings<'_> {
    /// Private keys in PEM (RFC 7468), also inside of a JSON string, where one is a long line.
    pub(super) fn private_keys(&mut self, bytes: &[u8]) {
        const BEGIN: &[u8] = b"-----BEGIN ";
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let mut at = 0;
            while let Some(dashes) = line[at..].windows(BEGIN.len()).position(|w| w == BEGIN) {
                at += dashes + BEGIN.len();
                let label = &line[at..line.len().min(at + 64)];
                let end = label.windows(5).position(|five| five == b"-----");
                let label = &label[..end.unwrap_or(0)];
                if label.windows(11).any(|word| word == b"PRIVATE KEY") {
                    let column = at - BEGIN.len() + 1;
                    self.add((index + 1, column), None, FindingKind::PrivateKey);
                    break;
                }
            }
        }
    }

    /// Values that are marked to be sealed.
    pub(super) fn marked(&mut self, text: &str) {
        for (index, line) in text.lines().enumerate() {
            if let Some(at) = markers_in(line).next() {
                self.add((index + 1, column(line, at)), None, FindingKind::NotSealed);
            }
        }
    }

    /// The first value of each line that is a secret by the name in front of it (`name: value`, `NAME=value`), or a URL with a
    /// password.
    pub(super) fn named(&mut self, text: &str, options: &CheckOptions) {
        for (index, line) in text.lines().enumerate() {
            let secret = secret_in(line, &[':', '='], &options.words);
            let kind = match secret {
                Some(_) => FindingKind::Plaintext,
                None if has_password(line) => FindingKind::PasswordInUrl,
                None => continue,
            };
            self.add((index + 1, column(line, secret.unwrap_or(0))), None, kind);
        }
    }
}

fn column(line: &str, at: usize) -> usize {
    line[..at].chars().count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_behind_the_names_of_secrets_are_seen() {
        for line in [
            "  db_password: hunter2",
            "export DB_PASSWORD=hunter2",
            "{\"a\": 1, \"dbPassword\": \"hunter2\"},",
            "token = 'x'",
            "password: [hunter2]",
            "password: |",
        ] {
            assert!(is_found(line), "{line}");
        }
        for line in [
            "password: {{ .Values.password }}",
            "password: \"{{ password }}\"",
            "PASSWORD=${PASSWORD}",
            "PASSWORD=$PASSWORD",
            "password: SEALED[a.b.c.d.e]",
            "password:",
            "password: ''",
            "password: null",
            "if password == other:",
            "tokenizer: x",
        ] {
            assert!(!is_found(line), "{line}");
        }
    }

    fn is_found(line: &str) -> bool {
        let mut list = Vec::new();
        let mut findings = Findings {
            file: "x".as_ref(),
            list: &mut list,
        };
        findings.named(line, &CheckOptions::default());
        !list.is_empty()
    }
}
