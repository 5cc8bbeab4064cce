//! The way from the login user to another one, as it is heard.

use std::time::Duration;

use bytes::BytesMut;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::process::{MAX_PREAMBLE, with_words};
use crate::clock::deadline_in;
use crate::run_as::{Method, RunAs};
use crate::wire::rise::Rise;
use crate::wire::{self, Ready};
use crate::{Error, ErrorKind, OutputStream, Result};

/// How long sudo, su or doas may take, with their delays after a wrong password.
const PATIENCE: Duration = Duration::from_secs(60);

/// What sudo says where it wants a terminal; in sudo-rs nothing is like it.
const NO_TERMINAL: &[u8] = b"you must have a tty";

/// As whom a command runs, and the password that may be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Raised {
    pub(crate) run_as: RunAs,
    pub(crate) password: Option<SecretString>,
}

/// What sudo and its like have written so far, and how far they got.
#[derive(Debug)]
pub(super) struct Ascent {
    rise: Rise,
    raised: Raised,
    until: Instant,
    /// The process that becomes sudo or its like.
    process: Option<u32>,
    was_asked: bool,
    stdout: Heard,
    stderr: Heard,
}

/// One output.
#[derive(Debug, Default)]
struct Heard {
    bytes: BytesMut,
    /// Where what was not answered yet begins.
    new: usize,
    /// Where the mark ends.
    end: Option<usize>,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Wait,
    SendPassword,
    /// The shell of the other user waits for the header.
    SendHeader,
}

impl Ascent {
    pub(super) fn new(rise: Rise, raised: Raised) -> Self {
        Self {
            rise,
            raised,
            until: deadline_in(PATIENCE),
            process: None,
            was_asked: false,
            stdout: Heard::default(),
            stderr: Heard::default(),
        }
    }

    /// Until when it is waited for.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// The process group of sudo or its like.
    pub(super) fn group(&self) -> Option<u32> {
        self.process
    }

    /// Takes what was written.
    ///
    /// # Errors
    /// When the password is missing or was wrong, or there is no such program.
    pub(super) fn hear(&mut self, stream: OutputStream, bytes: &[u8]) -> Result<Next> {
        let mark = self.rise.mark();
        let heard = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        heard.bytes.extend_from_slice(bytes);
        if heard.end.is_none() {
            heard.end = find(&heard.bytes, mark.as_bytes()).map(|at| at + mark.len());
        }
        if heard.bytes.len() > MAX_PREAMBLE {
            let message =
                format!("over {MAX_PREAMBLE} bytes were written before the command starts");
            return Err(Error::new(ErrorKind::Protocol, message));
        }
        if self.process.is_none() {
            match wire::find_ready(&self.stdout.bytes, &self.rise.tag) {
                Some((Ready::Rising(process), end)) => {
                    self.process = Some(process);
                    self.stdout.new = end;
                }
                Some((Ready::NoProgram, _)) => {
                    let program = self.rise.run_as.method.program();
                    let message = format!("there is no {program} in the PATH of the login user");
                    return Err(Error::new(ErrorKind::Command, message));
                }
                Some(_) => {
                    let message = "the terminal cannot be set up (stty)";
                    return Err(Error::new(ErrorKind::Command, message));
                }
                None => return Ok(Next::Wait),
            }
        }
        if self.stdout.end.is_some() && (self.rise.has_terminal || self.stderr.end.is_some()) {
            return Ok(Next::SendHeader);
        }
        if !self.is_asked() {
            return Ok(Next::Wait);
        }
        if self.was_asked {
            return Err(self.refused());
        }
        self.was_asked = true;
        self.stdout.new = self.stdout.bytes.len();
        self.stderr.new = self.stderr.bytes.len();
        if self.raised.password.is_some() {
            return Ok(Next::SendPassword);
        }
        let (run_as, program) = (&self.rise.run_as, self.rise.run_as.method.program());
        let message = format!(
            "{program} asks for a password to run as `{}`, and none is known: credentials \
             (`Purpose::RunAs`), `ansible_become_password` or `Command::run_as_password` give it",
            run_as.user
        );
        Err(Error::new(ErrorKind::Secret, message))
    }

    /// What the two outputs hold behind the marks.
    pub(super) fn into_rest(mut self) -> (BytesMut, BytesMut) {
        let rest = |heard: &mut Heard| match heard.end {
            Some(end) => heard.bytes.split_off(end),
            None => BytesMut::new(),
        };
        (rest(&mut self.stdout), rest(&mut self.stderr))
    }

    /// What to say when sudo or its like ended without starting anything.
    pub(super) fn ended(&self) -> Error {
        if self.process.is_none() {
            let said = [&self.stdout.bytes[..], &self.stderr.bytes[..]].concat();
            let what = "the login shell did not start the command";
            return Error::new(ErrorKind::Protocol, self.words(what, &said));
        }
        let (run_as, program) = (&self.rise.run_as, self.rise.run_as.method.program());
        let said = self.said();
        let wants_terminal = !self.rise.has_terminal && find(&said, NO_TERMINAL).is_some();
        // Sudo asks first and looks later whether it may; su and doas ask only once.
        let what = if wants_terminal {
            format!(
                "{program} runs commands as `{}` only on a terminal (`requiretty`, sudoers(5)), which \
                 `Command::pty` gives, and `pty` of a stage",
                run_as.user
            )
        } else if self.was_asked {
            format!(
                "{program} refused the password, or does not run commands as `{}`",
                run_as.user
            )
        } else {
            format!("{program} does not run commands as `{}`", run_as.user)
        };
        Error::new(ErrorKind::Authentication, self.words(&what, &said))
    }

    /// What to say when nothing came of it in time.
    pub(super) fn late(&self) -> Error {
        let program = self.rise.run_as.method.program();
        let what = format!("{program} did not start the command within {PATIENCE:?}");
        Error::new(ErrorKind::Timeout, self.words(&what, &self.said()))
    }

    fn refused(&self) -> Error {
        let (run_as, program) = (&self.rise.run_as, self.rise.run_as.method.program());
        let what = format!("{program} refused the password to run as `{}`", run_as.user);
        Error::new(ErrorKind::Authentication, self.words(&what, &self.said()))
    }

    /// What was written since the last answer.
    fn said(&self) -> Vec<u8> {
        let new = |heard: &Heard| heard.bytes[heard.new..].to_vec();
        [new(&self.stdout), new(&self.stderr)].concat()
    }

    /// Adds what was said. A password that was echoed is not said again.
    fn words(&self, what: &str, said: &[u8]) -> String {
        let mut said = String::from_utf8_lossy(said).replace(&self.rise.prompt(), "");
        if let Some(password) = &self.raised.password
            && !password.expose_secret().is_empty()
        {
            said = said.replace(password.expose_secret(), "(the password)");
        }
        with_words(what, said.as_bytes())
    }

    /// Whether the question for the password was written since the last answer.
    fn is_asked(&self) -> bool {
        let new = |heard: &Heard| heard.bytes[heard.new..].to_vec();
        match self.rise.run_as.method {
            Method::Sudo => {
                let prompt = self.rise.prompt();
                [&self.stdout, &self.stderr]
                    .iter()
                    .any(|heard| find(&new(heard), prompt.as_bytes()).is_some())
            }
            Method::Su | Method::Doas => is_question(&new(&self.stdout)),
        }
    }
}

/// Whether a text ends in a question: behind its last line end, without escape sequences (ECMA-48) and blanks, stands
/// something that ends in a colon.
fn is_question(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let line = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    let plain = without_escapes(line);
    let plain = plain.trim();
    plain.ends_with([':', '\u{ff1a}'])
}

fn without_escapes(line: &str) -> String {
    let mut plain = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.extend(Some(character).filter(|c| !c.is_control()));
            continue;
        }
        match characters.next() {
            // A control sequence ends with a character from `@` to `~`.
            Some('[') => {
                characters.by_ref().find(|c| ('@'..='~').contains(c));
            }
            // A command for the terminal, such as a title, ends with BEL or with ESC and a backslash.
            Some(']') => {
                characters.by_ref().find(|c| matches!(c, '\u{7}' | '\\'));
            }
            _ => {}
        }
    }
    plain
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ascent(run_as: RunAs, has_terminal: bool) -> Ascent {
        let rise = Rise {
            tag: "5eed".into(),
            run_as: run_as.clone(),
            has_terminal,
        };
        let password = Some(SecretString::from("hunter2"));
        Ascent::new(rise, Raised { run_as, password })
    }

    fn hear(ascent: &mut Ascent, stream: OutputStream, bytes: &[u8]) -> Next {
        ascent.hear(stream, bytes).expect("it goes on")
    }

    #[test]
    fn questions_are_known_in_any_language_and_colour() {
        for question in [
            "Password: ",
            "Mot de passe\u{a0}: ",
            "密码：",
            "\u{1b}[1;31mPasswort:\u{1b}[0m ",
            "lecture\r\n\u{1b}]0;title\u{7}doas (a@b) password: ",
        ] {
            assert!(is_question(question.as_bytes()), "{question:?}");
        }
        for other in [
            "",
            "\n",
            "Password:\n",
            "su: Authentication failure\r\n",
            "\u{1b}[1:",
            "Password: x",
        ] {
            assert!(!is_question(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn a_password_is_sent_once_and_only_for_the_very_question() {
        let mut ascent = ascent(RunAs::sudo(), false);
        let (out, err) = (OutputStream::Stdout, OutputStream::Stderr);
        assert_eq!(
            hear(&mut ascent, err, b"[clusterops 5eed] password:"),
            (Next::Wait),
            "before sudo"
        );
        assert_eq!(
            hear(&mut ascent, out, b"motd\n\x01clusterops 5eed rise 4"),
            (Next::Wait)
        );
        ascent.stderr = Heard::default();
        assert_eq!(hear(&mut ascent, out, b"711\n"), (Next::Wait));
        assert_eq!(
            hear(&mut ascent, err, b"We trust you.\nPassword: "),
            (Next::Wait),
            "not its question"
        );
        assert_eq!(
            hear(&mut ascent, err, b"[clusterops 5eed] pass"),
            (Next::Wait)
        );
        assert_eq!(hear(&mut ascent, err, b"word:"), (Next::SendPassword));
        assert_eq!(
            hear(&mut ascent, err, b"Sorry, hunter2 is wrong.\n"),
            (Next::Wait)
        );
        let error = ascent
            .hear(err, b"[clusterops 5eed] password:")
            .expect_err("it was wrong");
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn the_header_is_sent_when_both_outputs_have_the_mark() {
        let (out, err) = (OutputStream::Stdout, OutputStream::Stderr);
        let mut piped = ascent(RunAs::sudo(), false);
        let start = b"\x01clusterops 5eed rise 4711\nclusterops 5eed up\n";
        assert_eq!(hear(&mut piped, out, start), (Next::Wait));
        assert_eq!(
            hear(&mut piped, err, b"warning\nclusterops 5eed up\nx"),
            (Next::SendHeader)
        );
        assert_eq!(piped.group(), Some(4711));
        assert_eq!(&piped.into_rest().1[..], b"x");
        let mut typed = ascent(RunAs::su(), true);
        assert_eq!(hear(&mut typed, out, start), (Next::SendHeader));
    }

    proptest! {
        #[test]
        fn any_output_is_heard(pieces in proptest::collection::vec((any::<bool>(), ".{0,60}"), 0..6), is_su in any::<bool>()) {
            let run_as = if is_su { RunAs::su() } else { RunAs::sudo() };
            let mut ascent = ascent(run_as, is_su);
            for (is_err, piece) in pieces {
                let stream = if is_err { OutputStream::Stderr } else { OutputStream::Stdout };
                prop_assert!(!matches!(ascent.hear(stream, piece.as_bytes()), Ok(Next::SendHeader)));
            }
        }
    }
}
