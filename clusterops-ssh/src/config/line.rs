//! How a line of a configuration is cut into words (OpenSSH's `strdelim` and `argv_split` in `misc.c`).

/// White space between words; at the end of a line a form feed counts too.
const WHITESPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// A line that says something: a keyword and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// In lower case.
    pub(super) keyword: String,
    /// Everything behind the keyword, for commands, which are not cut into words. Never empty.
    pub(super) rest: &'a str,
    /// The rest in words, without comment.
    pub(super) arguments: Vec<String>,
}

impl<'a> Line<'a> {
    /// Reads one line; `None` for an empty one and a comment.
    pub(super) fn read(text: &'a str) -> Result<Option<Self>, String> {
        let text = text.split('\0').next().unwrap_or_default();
        let text = text.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']);
        let (mut keyword, mut rest) = first_word(text);
        if keyword.as_deref() == Some("") {
            // Leading white space ends an empty first word.
            (keyword, rest) = rest.map_or((None, None), first_word);
        }
        let Some(mut keyword) = keyword.filter(|word| !word.is_empty() && !word.starts_with('#'))
        else {
            return Ok(None);
        };
        keyword.make_ascii_lowercase();
        let rest = rest.unwrap_or_default().trim_start_matches(WHITESPACE);
        if rest.is_empty() {
            let keyword = keyword.escape_debug();
            return Err(format!("no argument after keyword \"{keyword}\""));
        }
        let arguments = words(rest, true).ok_or("invalid quotes")?;
        Ok(Some(Self {
            keyword,
            rest,
            arguments,
        }))
    }

    /// The rest of the line as it stands, without a `=` in front.
    pub(super) fn command(&self) -> &'a str {
        let also_equals = |letter| letter == '=' || WHITESPACE.contains(&letter);
        self.rest.trim_start_matches(also_equals)
    }
}

/// The first word, which may be quoted in part, and what stands behind it and at most one `=`.
///
/// No word where a quote is not closed; no rest where nothing ends the word.
fn first_word(text: &str) -> (Option<String>, Option<&str>) {
    let ends = |letter| WHITESPACE.contains(&letter) || letter == '"' || letter == '=';
    let Some(end) = text.find(ends) else {
        return (Some(text.to_owned()), None);
    };
    let (word, rest) = (&text[..end], &text[end + 1..]);
    if text[end..].starts_with('"') {
        let Some((quoted, rest)) = rest.split_once('"') else {
            return (None, None);
        };
        let rest = rest.trim_start_matches(WHITESPACE);
        return (Some(format!("{word}{quoted}")), Some(rest));
    }
    let mut rest = rest.trim_start_matches(WHITESPACE);
    if !text[end..].starts_with('=')
        && let Some(behind) = rest.strip_prefix('=')
    {
        rest = behind.trim_start_matches(WHITESPACE);
    }
    (Some(word.to_owned()), Some(rest))
}

/// Words with quotes (`"`, `'`) and escapes (`\"`, `\'`, `\\`, and outside of quotes `\ `) removed; `None` when a quote
/// is not closed.
pub(super) fn words(text: &str, end_at_comment: bool) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(first) = letters.next_if(|_| true) {
        if first == ' ' || first == '\t' {
            continue;
        }
        if end_at_comment && first == '#' {
            break;
        }
        let mut word = String::new();
        let mut quote = None;
        let mut next = Some(first);
        while let Some(letter) = next {
            match (letter, quote) {
                ('\\', _) => {
                    let escaped = letters.next_if(|following| {
                        matches!(following, '\'' | '"' | '\\')
                            || (quote.is_none() && *following == ' ')
                    });
                    word.push(escaped.unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(letter),
                (_, Some(open)) if letter == open => quote = None,
                _ => word.push(letter),
            }
            next = letters.next();
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<String>) {
        let line = Line::read(text).expect(text).expect(text);
        (line.keyword, line.arguments)
    }

    #[test]
    fn keywords_and_arguments() {
        for (text, keyword, arguments) in [
            ("User root", "user", vec!["root"]),
            ("  \tUSER=root\r\n", "user", vec!["root"]),
            ("User = root # comment", "user", vec!["root"]),
            ("User == root", "user", vec!["=", "root"]),
            ("\"User\" root", "user", vec!["root"]),
            ("Us\"er\" root", "user", vec!["root"]),
            ("=User root", "user", vec!["root"]),
            (
                "User \"a b\"c 'd\"e' f\\ g",
                "user",
                vec!["a bc", "d\"e", "f g"],
            ),
            ("User a#b #c", "user", vec!["a#b"]),
            ("User \"#a\"", "user", vec!["#a"]),
            ("User #a", "user", vec![]),
            (
                r#"User "a\"b" 'c\'d' e\\f g\h "i\ j""#,
                "user",
                vec!["a\"b", "c'd", "e\\f", "g\\h", "i\\ j"],
            ),
            ("User \"\"", "user", vec![""]),
            ("User a\0b", "user", vec!["a"]),
            ("User a\u{c}", "user", vec!["a"]),
        ] {
            assert_eq!(
                read(text),
                (
                    keyword.to_owned(),
                    arguments.into_iter().map(str::to_owned).collect()
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn lines_that_say_nothing() {
        for text in [
            "",
            "\n",
            "   ",
            "# User root",
            "   #",
            "\"User root",
            "=",
            "\u{c}",
        ] {
            assert_eq!(Line::read(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn lines_that_are_wrong() {
        assert_eq!(
            Line::read("User"),
            Err("no argument after keyword \"user\"".into())
        );
        assert_eq!(
            Line::read("USER = "),
            Err("no argument after keyword \"user\"".into())
        );
        assert_eq!(Line::read("User \"root"), Err("invalid quotes".into()));
        assert_eq!(Line::read("User 'root"), Err("invalid quotes".into()));
    }

    #[test]
    fn commands_stand_as_they_are() {
        let line = Line::read("ProxyCommand = = nc \"%h\" # all of it ")
            .expect("valid")
            .expect("a line");
        assert_eq!(line.command(), "nc \"%h\" # all of it");
    }
}
