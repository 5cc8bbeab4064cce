//! Short words in place of tokens, so that texts can be compared by lines.

use std::collections::HashMap;

use zeroize::Zeroizing;

/// Words that stand for tokens.
#[derive(Default)]
pub(super) struct Words {
    numbers: HashMap<String, usize>,
    tokens: Vec<String>,
    prefix: Option<String>,
}

impl Words {
    pub(super) fn of(&mut self, token: &str) -> String {
        let prefix = self.prefix.get_or_insert_with(|| {
            // Nobody has written this.
            let random = data_encoding::HEXLOWER.encode(&crate::random::bytes::<8>());
            format!("sealed{random}x")
        });
        let next = self.tokens.len();
        let number = *self.numbers.entry(token.to_owned()).or_insert(next);
        if number == next {
            self.tokens.push(token.to_owned());
        }
        format!("{prefix}{number}x")
    }

    /// Puts the tokens back.
    pub(super) fn restored(&self, text: &str) -> Zeroizing<String> {
        let Some(prefix) = &self.prefix else {
            return Zeroizing::new(text.to_owned());
        };
        let mut restored = Zeroizing::new(String::with_capacity(text.len() * 2));
        let mut pieces = text.split(prefix.as_str());
        restored.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (number, rest) = piece.split_once('x').unwrap_or((piece, ""));
            let token = number
                .parse()
                .ok()
                .and_then(|number: usize| self.tokens.get(number));
            restored.push_str(token.map_or("", String::as_str));
            restored.push_str(rest);
        }
        restored
    }
}
