//! Text that comes from logs, written so that it acts on no terminal.

use std::fmt::Write as _;

use clusterops_core::Printable;

use super::highlight::Marked;
use super::style::{Part, RESET, Style};

/// What becomes of the end of a line within a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newlines {
    Escaped,
    Continued,
}

/// Adds a text of which nothing acts on a terminal, with its colours.
pub(super) fn write(
    output: &mut String,
    marked: &Marked,
    part: Part,
    style: Style,
    newlines: Newlines,
) {
    // What ends a text ends its line anyway.
    let length = marked.text().trim_end_matches(['\n', '\r']).len();
    let mut at = 0;
    for (piece, matched) in marked.pieces() {
        let piece = &piece[..piece.len().min(length.saturating_sub(at))];
        at += piece.len();
        if piece.is_empty() {
            continue;
        }
        let code = style.code(part, marked.text(), matched);
        for (number, line) in piece.split('\n').enumerate() {
            if number > 0 {
                output.push_str(match newlines {
                    Newlines::Escaped => r"\n",
                    Newlines::Continued => "\n    ",
                });
            }
            let line = match newlines {
                Newlines::Escaped => line,
                Newlines::Continued => line.strip_suffix('\r').unwrap_or(line),
            };
            if line.is_empty() {
                continue;
            }
            // Writing to a string does not fail.
            let _ = match code {
                Some(code) => write!(output, "{code}{}{RESET}", Printable(line)),
                None => write!(output, "{}", Printable(line)),
            };
        }
    }
}
