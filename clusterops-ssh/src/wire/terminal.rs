//! How a terminal is used so that what goes through it arrives unchanged.
//!
//! A terminal (pty) is meant for people: it echoes, translates line ends, acts on control characters and cuts lines of
//! over 4095 bytes (termios(3)). [`MODES`] turn all of that off; they travel with the request for the terminal (RFC 4254
//! section 8), so that they hold before anything is written to it. In that state a header of any length is read, as it is
//! from a pipe; but there is no end of input. Therefore the remote shell has the terminal [take lines](take_lines) before
//! the command starts. From then on two characters have a meaning, and [`Typist`] writes the command's input so that
//! every byte of it arrives: VEOF ends the input, or hands over a line that is not finished, and VLNEXT takes the
//! meaning from the character behind it.

use russh::Pty;

/// VEOF.
const END: u8 = 4;

/// VLNEXT.
const LITERAL: u8 = 22;

/// An opcode's value for a control character that does not exist.
const NONE: u32 = 255;

/// So many bytes of a line are handed over at the latest.
const LONGEST_LINE: usize = 1021;

/// Everything that would change what goes through is off. What has no opcode is off by default.
pub(crate) const MODES: [(Pty, u32); 30] = [
    (Pty::ICANON, 0),
    (Pty::ECHO, 0),
    (Pty::ECHOE, 0),
    (Pty::ECHOK, 0),
    (Pty::ECHONL, 0),
    (Pty::ISIG, 0),
    (Pty::IEXTEN, 1),
    (Pty::ISTRIP, 0),
    (Pty::INLCR, 0),
    (Pty::IGNCR, 0),
    (Pty::ICRNL, 0),
    (Pty::IXON, 0),
    (Pty::IXANY, 0),
    (Pty::IXOFF, 0),
    (Pty::IMAXBEL, 0),
    (Pty::OPOST, 0),
    (Pty::ONLCR, 0),
    (Pty::CS8, 1),
    (Pty::PARENB, 0),
    (Pty::VEOF, END as u32),
    (Pty::VLNEXT, LITERAL as u32),
    (Pty::VINTR, NONE),
    (Pty::VQUIT, NONE),
    (Pty::VSUSP, NONE),
    (Pty::VERASE, NONE),
    (Pty::VKILL, NONE),
    (Pty::VWERASE, NONE),
    (Pty::VREPRINT, NONE),
    (Pty::VEOL, NONE),
    (Pty::VEOL2, NONE),
];

/// How [`take_lines`] begins.
pub(super) const TAKE_LINES: &str = "stty icanon||";

/// Shell code that has the terminal take lines.
pub(super) fn take_lines(tag: &str) -> String {
    format!("{TAKE_LINES}{{ printf '\\001clusterops {tag} terminal\\n';exit 125;}};")
}

/// Writes input for a terminal that takes lines.
#[derive(Debug, Default)]
pub(crate) struct Typist {
    /// The length of the line that was not handed over yet.
    pending: usize,
}

impl Typist {
    /// What to write so that these bytes arrive.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut typed = Vec::with_capacity(bytes.len() + bytes.len() / 512 + 2);
        for &byte in bytes {
            if matches!(byte, END | LITERAL) {
                typed.push(LITERAL);
            }
            typed.push(byte);
            self.pending += 1;
            if byte == b'\n' {
                self.pending = 0;
            } else if self.pending == LONGEST_LINE {
                typed.push(END);
                self.pending = 0;
            }
        }
        typed
    }

    /// What to write so that the input ends.
    pub(crate) fn end(self) -> &'static [u8] {
        // The first one hands over what is pending.
        if self.pending == 0 {
            &[END]
        } else {
            &[END, END]
        }
    }
}

/// Reads what a [`Typist`] wrote, as the terminal's driver does.
#[cfg(test)]
#[derive(Debug, Default)]
struct LineDiscipline {
    pending: usize,
    is_literal: bool,
}

#[cfg(test)]
impl LineDiscipline {
    /// The bytes that a program gets to read; with an empty line handed over the input ends, and `true` says so.
    fn read(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut read = Vec::with_capacity(typed.len());
        for &byte in typed {
            match byte {
                LITERAL if !self.is_literal => {
                    self.is_literal = true;
                    continue;
                }
                END if !self.is_literal => {
                    if std::mem::take(&mut self.pending) == 0 {
                        return (read, true);
                    }
                }
                b'\n' => {
                    self.pending = 0;
                    read.push(byte);
                }
                _ => {
                    self.pending += 1;
                    read.push(byte);
                }
            }
            self.is_literal = false;
        }
        (read, false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_typed_is_read(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..4)) {
            let mut typist = Typist::default();
            let mut typed: Vec<u8> = pieces.iter().flat_map(|piece| typist.write(piece)).collect();
            typed.extend(typist.end());
            let (read, ended) = LineDiscipline::default().read(&typed);
            prop_assert_eq!(read, pieces.concat());
            prop_assert!(ended);
        }
    }
}
