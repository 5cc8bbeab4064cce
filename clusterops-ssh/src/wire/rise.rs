//! How a command comes to run as another user.
//!
//! The login shell that has read the bootstrap gets another line before the header: [`Rise::line`], which starts sudo, su
//! or doas. What those start is a shell that says [`Rise::mark`] on every output it has and waits for the header, in
//! which it is [addressed](address); any other line is dropped. So the order is fixed: a password is sent when it was
//! asked for, and the header when the mark was seen. A password can become neither a command nor a command's input, and a
//! header never an answer to the question for a password.
//!
//! What is written before the mark comes from sudo and its like (a lecture, a warning, the question) and is not the
//! command's.

use super::quote_into;
use super::terminal;
use crate::run_as::{Method, RunAs};

/// One rise to another user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rise {
    /// The tag of the request that follows.
    pub(crate) tag: String,
    pub(crate) run_as: RunAs,
    pub(crate) has_terminal: bool,
}

impl Rise {
    /// The line for the login shell, with its line feed.
    pub(crate) fn line(&self) -> String {
        let Self {
            tag,
            run_as,
            has_terminal,
        } = self;
        let program = run_as.method.program();
        let mut line = format!(
            "command -v {program} >/dev/null||{{ printf '\\001clusterops {tag} program\\n';exit 125;}};"
        );
        if *has_terminal {
            // Programs read a password by one call of read(2), which must give them all of it.
            line.push_str(&terminal::take_lines(tag));
        }
        line.push_str(&format!(
            "printf '\\001clusterops {tag} rise %s\\n' \"$$\";exec {program}"
        ));
        let (shell, prompt) = (self.shell(), self.prompt());
        // Where -s is not allowed (su(1)), the shell of the other user gets the line.
        let command = format!("exec /bin/sh -c '{shell}'");
        let user = run_as.user.as_str();
        let words: &[&str] = match run_as.method {
            Method::Sudo => &[
                "-k", "-S", "-H", "-p", &prompt, "-u", user, "--", "/bin/sh", "-c", &shell,
            ],
            Method::Doas => &["-u", user, "/bin/sh", "-c", &shell],
            Method::Su => &["-s", "/bin/sh", "-c", &command, user],
        };
        for word in words {
            line.push(' ');
            quote_into(word, &mut line);
        }
        line.push('\n');
        line
    }

    /// The question that sudo is told to ask.
    pub(crate) fn prompt(&self) -> String {
        format!("[clusterops {}] password:", self.tag)
    }

    /// The line by which the shell of the other user says that it is there.
    pub(crate) fn mark(&self) -> String {
        format!("clusterops {} up\n", self.tag)
    }

    /// What the shell of the other user runs. As in the bootstrap there is nothing in it that a shell of any kind would
    /// change between single quotes.
    fn shell(&self) -> String {
        let Self {
            tag, has_terminal, ..
        } = self;
        let start = if *has_terminal {
            format!("stty -icanon min 1 time 0; echo clusterops {tag} up")
        } else {
            format!("echo clusterops {tag} up; echo clusterops {tag} up >&2")
        };
        let address = address(tag);
        format!(
            "{start}; while IFS= read -r _clusterops_c; do \
             case $_clusterops_c in \"{address}\"*) eval \"$_clusterops_c\";; esac; done"
        )
    }

    /// Reads what [`line`](Self::line) wrote, without its line feed; `None` for any other text.
    #[cfg(test)]
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (checks, words) = line.split_once(";exec ")?;
        let has_terminal = checks.contains(terminal::TAKE_LINES);
        let (program, mut rest) = words.split_once(' ')?;
        let method = Method::ALL
            .into_iter()
            .find(|method| method.program() == program)?;
        let mut words = Vec::new();
        loop {
            let (word, after) = super::unquote(rest)?;
            words.push(word);
            match after.strip_prefix(' ') {
                Some(after) => rest = after,
                None if after.is_empty() => break,
                None => return None,
            }
        }
        let user = match method {
            Method::Sudo => words.get(6)?,
            Method::Doas => words.get(1)?,
            Method::Su => words.get(4)?,
        };
        let (tag, _) = checks.split_once("\\001clusterops ")?.1.split_once(' ')?;
        let rise = Self {
            tag: tag.to_owned(),
            run_as: RunAs {
                method,
                user: user.clone(),
            },
            has_terminal,
        };
        // Nothing else is understood, so nothing else is read.
        (rise.line().strip_suffix('\n') == Some(line)).then_some(rise)
    }
}

/// How a header begins that is for a shell which was started by sudo or its like.
pub(super) fn address(tag: &str) -> String {
    format!(": {tag};")
}

/// The tag that a header begins with, and the rest of it.
#[cfg(any(test, feature = "sim"))]
pub(super) fn split_address(line: &str) -> (Option<&str>, &str) {
    match line
        .strip_prefix(": ")
        .and_then(|line| line.split_once(';'))
    {
        Some((tag, rest)) => (Some(tag), rest),
        None => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_reads_back(tag in "[0-9a-f]{16}", user in "[a-z_][^\0\n:/]{0,8}", method in 0..3_usize, has_terminal in any::<bool>(), text in ".{0,80}") {
            let rise = Rise { tag, run_as: RunAs { method: Method::ALL[method], user }, has_terminal };
            let line = rise.line();
            let line = line.strip_suffix('\n').expect("a line ends in a line feed");
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(Rise::from_line(line), Some(rise));
            let _ = Rise::from_line(&text);
        }
    }

    #[test]
    fn no_shell_finds_anything_to_change_between_the_quotes() {
        let rise = |has_terminal| Rise {
            tag: "5eed".into(),
            run_as: RunAs::su(),
            has_terminal,
        };
        for shell in [rise(false).shell(), rise(true).shell()] {
            assert!(!shell.contains(['\'', '!', '\\', '\n']), "{shell}");
        }
    }
}
