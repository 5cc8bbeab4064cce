//! Values of INI inventories: Python literals where they are such, else text (`ast.literal_eval`, as Ansible does).

use std::iter::Peekable;
use std::str::CharIndices;

/// What a value means to Python.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Literal {
    /// A text in quotes, read; or what is no literal, as it is.
    Text(String),
    /// A number or a truth value, as it is spelled.
    Plain(String),
    /// `None`.
    Nothing,
    /// A list, tuple, set or dictionary.
    Collection,
}

/// How deep collections may be nested to be taken for collections.
const MAX_DEPTH: usize = 64;

/// Reads a value; what Python would not evaluate is text.
pub(super) fn read(value: &str) -> Literal {
    let mut reader = Reader {
        text: value,
        chars: value.char_indices().peekable(),
    };
    reader
        .literal(0)
        .filter(|_| reader.at_end())
        .unwrap_or_else(|| Literal::Text(value.to_owned()))
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn rest(&mut self) -> &str {
        let at = self.position();
        &self.text[at..]
    }

    fn skip_blanks(&mut self) {
        while self
            .chars
            .next_if(|(_, c)| matches!(c, ' ' | '\t'))
            .is_some()
        {}
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        self.chars.next_if(|(_, c)| *c == wanted).is_some()
    }

    /// Whether only blanks or a comment are left.
    fn at_end(&mut self) -> bool {
        self.skip_blanks();
        matches!(self.chars.peek(), None | Some((_, '#')))
    }

    fn literal(&mut self, depth: usize) -> Option<Literal> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_blanks();
        let first = self.chars.peek()?.1;
        match first {
            '[' => self.collection(']', depth),
            '{' => self.collection('}', depth),
            '(' => self.collection(')', depth),
            _ if self.string_starts() => self.strings(),
            _ => self.word(),
        }
    }

    fn collection(&mut self, close: char, depth: usize) -> Option<Literal> {
        self.chars.next();
        let mut inner = None;
        let mut items = 0;
        let mut commas = 0;
        let mut pairs = 0;
        while !self.take(close) {
            if items > commas {
                return None;
            }
            inner = Some(self.literal(depth + 1)?);
            items += 1;
            if close == '}' && self.take(':') {
                self.literal(depth + 1)?;
                pairs += 1;
            }
            if self.take(',') {
                commas += 1;
            }
        }
        if pairs != 0 && pairs != items {
            return None;
        }
        match inner {
            // Parentheses around a value are no tuple.
            Some(inner) if close == ')' && commas == 0 => Some(inner),
            _ => Some(Literal::Collection),
        }
    }

    fn string_starts(&mut self) -> bool {
        let rest = self.rest();
        let prefix = rest.find(['\'', '"']).unwrap_or(usize::MAX);
        prefix == 0
            || rest.get(..prefix).is_some_and(|prefix| {
                matches!(
                    prefix.to_ascii_lowercase().as_str(),
                    "u" | "r" | "b" | "br" | "rb"
                )
            })
    }

    /// One string or several in a row, which Python joins.
    fn strings(&mut self) -> Option<Literal> {
        let mut text = String::new();
        loop {
            self.string(&mut text)?;
            self.skip_blanks();
            if !self.string_starts() {
                return Some(Literal::Text(text));
            }
        }
    }

    fn string(&mut self, text: &mut String) -> Option<()> {
        let mut raw = false;
        let quote = loop {
            match self.chars.next()?.1 {
                'r' | 'R' => raw = true,
                quote @ ('\'' | '"') => break quote,
                _ => {}
            }
        };
        let triple = [quote; 2].iter().collect::<String>();
        let triple = self.rest().starts_with(&triple);
        if triple {
            self.chars.nth(1);
        }
        loop {
            let (_, c) = self.chars.next()?;
            match c {
                '\\' if raw => {
                    text.push('\\');
                    text.push(self.chars.next()?.1);
                }
                '\\' => self.escape(text)?,
                c if c == quote && !triple => return Some(()),
                c if c == quote
                    && self
                        .rest()
                        .starts_with(&[quote; 2].iter().collect::<String>()) =>
                {
                    self.chars.nth(1);
                    return Some(());
                }
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let (_, c) = self.chars.next()?;
        let plain = match c {
            '\\' | '\'' | '"' => c,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.digits(16, 2, 2, 0)?,
            'u' => self.digits(16, 4, 4, 0)?,
            'U' => self.digits(16, 8, 8, 0)?,
            '0'..='7' => self.digits(8, 0, 2, c.to_digit(8)?)?,
            // A character by its name: left to Python.
            'N' => return None,
            _ => {
                text.push('\\');
                c
            }
        };
        text.push(plain);
        Some(())
    }

    fn digits(&mut self, radix: u32, least: usize, most: usize, start: u32) -> Option<char> {
        let mut code = start;
        let mut count = 0;
        while count < most
            && let Some((_, c)) = self.chars.next_if(|(_, c)| c.is_digit(radix))
        {
            code = code * radix + c.to_digit(radix)?;
            count += 1;
        }
        (count >= least).then(|| char::from_u32(code)).flatten()
    }

    /// A number, `True`, `False` or `None`.
    fn word(&mut self) -> Option<Literal> {
        let start = self.position();
        let mut before = ' ';
        while let Some((_, c)) = self.chars.next_if(|(_, c)| {
            c.is_ascii_alphanumeric()
                || matches!(c, '.' | '_')
                || matches!(c, '+' | '-') && matches!(before, ' ' | 'e' | 'E')
        }) {
            before = c;
        }
        let word = &self.text[start..self.position()];
        match word {
            "None" => Some(Literal::Nothing),
            "True" | "False" => Some(Literal::Plain(word.to_owned())),
            _ => is_number(word.trim_start_matches(['+', '-']))
                .then(|| Literal::Plain(word.to_owned())),
        }
    }
}

/// Whether Python reads this as a number.
fn is_number(word: &str) -> bool {
    let digits = |text: &str, radix: u32| {
        !text.is_empty()
            && !text.ends_with('_')
            && !text.contains("__")
            && text.chars().all(|c| c == '_' || c.is_digit(radix))
    };
    let lower = word.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            return digits(rest.strip_prefix('_').unwrap_or(rest), radix);
        }
    }
    if digits(&lower, 10) && !lower.starts_with('_') {
        return !lower.starts_with('0') || lower.trim_matches(['0', '_']).is_empty();
    }
    let real = lower.strip_suffix('j').unwrap_or(&lower);
    let (mantissa, exponent) = match real.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (real, None),
    };
    let group = |text: &str| text.is_empty() || digits(text, 10) && !text.starts_with('_');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    group(whole)
        && group(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            digits(exponent, 10) && !exponent.starts_with('_')
        })
        && (mantissa.contains('.') || exponent.is_some() || lower.ends_with('j'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_python_reads() {
        let text = |text: &str| Literal::Text(text.to_owned());
        let plain = |text: &str| Literal::Plain(text.to_owned());
        for (value, expected) in [
            ("deploy", text("deploy")),
            ("a b # c", text("a b # c")),
            ("1.10", plain("1.10")),
            ("22 # the port", plain("22")),
            ("-1_000", plain("-1_000")),
            ("1e-5", plain("1e-5")),
            ("0755", text("0755")),
            ("00", plain("00")),
            ("0x1F", plain("0x1F")),
            ("1.2.3", text("1.2.3")),
            ("10.0.0.1", text("10.0.0.1")),
            ("True", plain("True")),
            ("true", text("true")),
            ("None", Literal::Nothing),
            ("", text("")),
            ("'a b' # c", text("a b")),
            ("\"it's\"", text("it's")),
            (r"'\x41\u00e9\n\q'", text("Aé\n\\q")),
            (r"r'\n'", text(r"\n")),
            ("'a' 'b'", text("ab")),
            ("'''a'b'''", text("a'b")),
            ("'open", text("'open")),
            ("f'x'", text("f'x'")),
            ("[1, 'a', {'b': (2,)}]", Literal::Collection),
            ("{'a': 1}", Literal::Collection),
            ("{}", Literal::Collection),
            ("(1)", plain("1")),
            ("[::1]", text("[::1]")),
            ("[prod]", text("[prod]")),
            ("[1 2]", text("[1 2]")),
            ("{{ x }}", text("{{ x }}")),
            ("{'a': 1, 2}", text("{'a': 1, 2}")),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
        assert!(matches!(read(&"[".repeat(10_000)), Literal::Text(_)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\](){}'\"ur0-9eE+\\-_.,:\\\\xNé #]{0,20}") {
            read(&text);
        }
    }
}
