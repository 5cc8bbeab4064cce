//! The little of the shell that a simulated host understands by itself: simple commands, quotes, globs, `;`, `&&`, `||`.

use std::iter::Peekable;
use std::str::Chars;

/// A simple command of a line, and when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) when: When,
    pub(super) words: Vec<Word>,
}

/// What must hold of the command before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Succeeded,
    Failed,
}

/// A word with its quotes taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// The word as a pattern (quoted characters behind a backslash), when an unquoted `*`, `?` or `[` stands in it.
    pub(super) pattern: Option<String>,
}

/// Splits a shell line into its simple commands. The error says what the line needs a real shell for.
pub(super) fn split(line: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut step = Step {
        when: When::Always,
        words: Vec::new(),
    };
    let mut characters = line.chars().peekable();
    while let Some(&next) = characters.peek() {
        let when = match next {
            ' ' | '\t' => {
                characters.next();
                continue;
            }
            '#' => {
                while characters.next_if(|&c| c != '\n').is_some() {}
                continue;
            }
            '\n' | ';' => {
                characters.next();
                When::Always
            }
            '&' | '|' => {
                characters.next();
                if characters.next_if_eq(&next).is_none() {
                    return Err(format!("`{next}`"));
                }
                if step.words.is_empty() {
                    return Err(format!("`{next}{next}` after nothing"));
                }
                if next == '&' {
                    When::Succeeded
                } else {
                    When::Failed
                }
            }
            _ => {
                step.words.push(word(&mut characters)?);
                continue;
            }
        };
        let done = std::mem::replace(
            &mut step,
            Step {
                when,
                words: Vec::new(),
            },
        );
        push(&mut steps, done)?;
    }
    if step.words.is_empty() && step.when != When::Always {
        return Err("nothing after `&&` or `||`".to_owned());
    }
    push(&mut steps, step)?;
    Ok(steps)
}

fn push(steps: &mut Vec<Step>, step: Step) -> Result<(), String> {
    const RESERVED: [&str; 16] = [
        "!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in",
        "then", "until", "while",
    ];
    let Some(first) = step.words.first() else {
        return Ok(());
    };
    if RESERVED.contains(&first.text.as_str()) {
        return Err(format!("`{}`", first.text));
    }
    steps.push(step);
    Ok(())
}

/// Reads one word, up to a blank or an operator.
fn word(characters: &mut Peekable<Chars<'_>>) -> Result<Word, String> {
    const OPEN: &str = "a quote that is not closed";
    let mut word = Building::default();
    while let Some(&next) = characters.peek() {
        match next {
            ' ' | '\t' | '\n' | ';' | '&' | '|' => break,
            '<' | '>' | '(' | ')' | '$' | '`' => return Err(format!("`{next}`")),
            _ => {}
        }
        characters.next();
        match next {
            '\'' => loop {
                match characters.next().ok_or(OPEN)? {
                    '\'' => break,
                    character => word.quoted(character),
                }
            },
            // POSIX.1-2024, Shell Command Language, 2.2.3.
            '"' => loop {
                match characters.next().ok_or(OPEN)? {
                    '"' => break,
                    character @ ('$' | '`') => return Err(format!("`{character}`")),
                    '\\' => match characters.next().ok_or(OPEN)? {
                        '\n' => {}
                        character @ ('"' | '\\' | '$' | '`') => word.quoted(character),
                        character => {
                            word.quoted('\\');
                            word.quoted(character);
                        }
                    },
                    character => word.quoted(character),
                }
            },
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(character) => word.quoted(character),
                None => word.quoted('\\'),
            },
            character => word.plain(character),
        }
    }
    Ok(Word {
        text: word.text,
        pattern: word.has_wildcard.then_some(word.pattern),
    })
}

#[derive(Default)]
struct Building {
    text: String,
    pattern: String,
    has_wildcard: bool,
}

impl Building {
    fn plain(&mut self, character: char) {
        self.has_wildcard |= matches!(character, '*' | '?' | '[');
        self.text.push(character);
        self.pattern.push(character);
    }

    fn quoted(&mut self, character: char) {
        self.text.push(character);
        self.pattern.push('\\');
        self.pattern.push(character);
    }
}

/// The words as a shell line that means the same.
pub(super) fn join<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let mut line = String::new();
    for word in words {
        let word = word.as_ref();
        if !line.is_empty() {
            line.push(' ');
        }
        let safe = |c: char| c.is_alphanumeric() || "%+,-./:=@_".contains(c);
        if !word.is_empty() && word.chars().all(safe) {
            line.push_str(word);
        } else {
            line.push('\'');
            line.push_str(&word.replace('\'', r"'\''"));
            line.push('\'');
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(line: &str) -> Vec<(When, Vec<String>)> {
        split(line)
            .expect(line)
            .into_iter()
            .map(|step| {
                (
                    step.when,
                    step.words.into_iter().map(|word| word.text).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn lines_are_split_as_a_shell_does() {
        let words = |line: &str| line.split('_').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(texts("uname -n"), [(When::Always, words("uname_-n"))]);
        assert_eq!(
            texts("a 'b c'\\ d && \"e\\\"f\" || g; h # i ; j"),
            [
                (When::Always, words("a_b c d")),
                (When::Succeeded, words("e\"f")),
                (When::Failed, words("g")),
                (When::Always, words("h")),
            ]
        );
        assert_eq!(texts("  "), []);
        assert_eq!(texts("echo ''")[0].1, ["echo", ""]);
    }

    #[test]
    fn an_unquoted_wildcard_makes_a_pattern() {
        let steps = split("grep -e '[a]*' /proc/[0-9]*/stat").expect("simple");
        let patterns: Vec<_> = steps[0]
            .words
            .iter()
            .map(|word| word.pattern.as_deref())
            .collect();
        assert_eq!(patterns, [None, None, None, Some("/proc/[0-9]*/stat")]);
    }

    #[test]
    fn what_needs_a_real_shell_is_named() {
        for (line, needs) in [
            ("a | b", "`|`"),
            ("a > b", "`>`"),
            ("echo $HOME", "`$`"),
            ("echo \"`id`\"", "```"),
            ("a & b", "`&`"),
            ("if true; then a; fi", "`if`"),
            ("a &&", "nothing after `&&` or `||`"),
            ("echo 'a", "a quote that is not closed"),
        ] {
            assert_eq!(split(line), Err(needs.to_owned()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn joined_words_split_again(words in proptest::collection::vec(".{0,8}", 1..5)) {
            // A reserved word in first place is not a command.
            let words: Vec<String> = std::iter::once("run".to_owned()).chain(words).collect();
            prop_assert_eq!(texts(&join(&words)), [(When::Always, words)]);
        }

        #[test]
        fn any_line_is_split_or_refused(line in ".{0,60}") {
            let _ = split(&line);
        }
    }
}
