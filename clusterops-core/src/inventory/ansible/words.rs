//! A line cut into words as Python's `shlex.split(line, comments=True)` does.

/// The words; the error is the end of a sentence.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => {
                let next = chars.next().ok_or("a backslash stands at the end")?;
                let word = word.get_or_insert_default();
                if !matches!(next, '"' | '\\') {
                    word.push('\\');
                }
                word.push(next);
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            // Also in the middle of a word.
            (None, '#') => break,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => {
                let next = chars.next().ok_or("a backslash stands at the end")?;
                word.get_or_insert_default().push(next);
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_python_does() {
        for (line, words) in [
            ("a b=c  d", &["a", "b=c", "d"][..]),
            (
                r#"a b="x y" c='p "q"' d=\ e"#,
                &["a", "b=x y", "c=p \"q\"", "d= e"],
            ),
            (r#"a "x\"y\\z\n""#, &["a", "x\"y\\z\\n"]),
            ("a b=c#d e", &["a", "b=c"]),
            ("a b='' # c", &["a", "b="]),
            ("'' a", &["", "a"]),
        ] {
            assert_eq!(split(line).expect(line), words, "{line}");
        }
        assert!(split("a 'b").is_err() && split("a \\").is_err());
    }
}
