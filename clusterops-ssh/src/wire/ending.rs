//! How the end of a command is agreed on where sudo stands between its terminal and ours.
//!
//! Sudo with `use_pty` (sudoers(5)) gives the command a terminal of its own and hands on what is typed. Sudo up to 1.9.13
//! never ends when its command does while it still holds something typed (`write_callback` in exec_pty.c, mended in
//! 1.9.14), and outlives the connection then. So the shell that was given the header does not become the command: it
//! runs it, writes the [mark](EndMark) behind all output, and reads what was typed until it finds the tag of the mark in
//! it, which is [typed](Ending::answer) as the last thing of all. Then sudo holds nothing, and ends.
//!
//! The tag is another one than the request's, which stands in the command's environment: only the shell's memory holds
//! it, so no command can tell an end that is none.
//!
//! The shell catches the signals that may be meant for its process group, and waits on; its command gets them as they
//! are. When no answer comes it ends all the same, after [`PATIENCE`], or soon after a SIGHUP where signals interrupt its
//! `read` (dash, and bash as `sh`).

use std::hash::{BuildHasher as _, RandomState};

use bytes::{Bytes, BytesMut};

use crate::Exit;

/// How long the shell waits for more that is typed, in tenths of a second (VTIME, termios(3)), and after a SIGHUP.
const PATIENCE: (u8, u8) = (250, 5);

/// The same in seconds, for shells whose `read` waits by other means and has an option for it.
const READ_PATIENCE: (u8, u8) = (25, 1);

/// The signals that a shell catches so that only its command ends by them; SIGHUP is one more.
const SIGNALS: &str = "INT QUIT PIPE ALRM TERM USR1 USR2";

/// How much of a line may stand behind the tag of a mark.
const LONGEST_WORDS: usize = 32;

/// The end of one command.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Ending {
    /// Nobody can guess it; letters and digits.
    pub(crate) tag: String,
}

impl Ending {
    /// The end of a command that is to be run.
    pub(crate) fn new() -> Self {
        // The hasher's keys come from the operating system.
        let tag = RandomState::new().hash_one(fastrand::u64(..));
        Self {
            tag: format!("{tag:016x}"),
        }
    }

    /// Shell code that runs the code between [`before`](Self::before) and [`after`](Self::after), and then ends the
    /// shell.
    pub(super) fn before(&self) -> String {
        // What the shell itself says of a signal ("Killed") goes where its command's status goes.
        format!(
            "_clusterops_h=;_clusterops_w=;trap : {SIGNALS};\
             trap '_clusterops_h={} _clusterops_w={}' HUP;exec 8>&1;\
             _clusterops_r=$(exec 2>&1;trap : HUP {SIGNALS};(exec >&8 2>&8 8>&-;",
            PATIENCE.1, READ_PATIENCE.1
        )
    }

    pub(super) fn after(&self) -> String {
        let tag = &self.tag;
        let (patience, hurry) = PATIENCE;
        let (read_patience, read_hurry) = READ_PATIENCE;
        // The `read` of busybox waits in poll(2), where VTIME means nothing.
        let read = format!(
            "while IFS= read $_clusterops_t -r _clusterops_l;do \
             [ \"$_clusterops_l\" = {tag} ]&&exit \"$_clusterops_s\";done"
        );
        format!(
            ");echo $?);_clusterops_s=${{_clusterops_r##*[!0-9]}};_clusterops_k=;\
             case $_clusterops_r in *[!0-9]*) [ \"$_clusterops_s\" -le 128 ]||\
             _clusterops_k=$(kill -l \"$_clusterops_s\");;esac;\
             stty raw -echo min 0 time \"${{_clusterops_h:-{patience}}}\" 2>/dev/null;\
             _clusterops_t=;case $BASH_VERSION in '') (read -t 1 _clusterops_l </dev/null) 2>/dev/null;\
             [ $? -le 1 ]&&_clusterops_t=\"-t ${{_clusterops_w:-{read_patience}}}\";;esac;\
             printf '\\001clusterops {tag} %s %s\\n' \"$_clusterops_s\" \"$_clusterops_k\";{read};\
             stty time {hurry} 2>/dev/null;_clusterops_t=${{_clusterops_t:+-t {read_hurry}}};{read};exit \"$_clusterops_s\""
        )
    }

    /// What is typed when the mark was seen. A line that is not finished may stand before it.
    pub(crate) fn answer(&self) -> String {
        format!("\n{}\n", self.tag)
    }
}

/// The end that is agreed on around a header's code, and that code; `None` where it is not whole.
#[cfg(any(test, feature = "sim"))]
pub(super) fn split(code: &str) -> Option<(Option<Ending>, &str)> {
    let tag = String::new();
    let Some(code) = code.strip_prefix(&Ending { tag }.before()) else {
        return Some((None, code));
    };
    let (_, after) = code.rsplit_once("printf '\\001clusterops ")?;
    let (tag, _) = after.split_once(' ')?;
    let ending = Ending {
        tag: tag.to_owned(),
    };
    let code = code.strip_suffix(&ending.after())?;
    Some((Some(ending), code))
}

/// Looks for the mark in what comes from the terminal.
#[derive(Debug)]
pub(crate) struct EndMark {
    start: Vec<u8>,
    /// What may be the beginning of the mark.
    held: BytesMut,
}

impl EndMark {
    pub(crate) fn new(ending: &Ending) -> Self {
        Self {
            start: format!("\x01clusterops {} ", ending.tag).into_bytes(),
            held: BytesMut::new(),
        }
    }

    /// Takes what came; gives what of it is the command's for certain, and how the command ended once that is told. What
    /// stands behind the mark was written by others, and is dropped.
    pub(crate) fn take(&mut self, data: Bytes) -> (Bytes, Option<Exit>) {
        let mut text = data;
        if !self.held.is_empty() {
            self.held.extend_from_slice(&text);
            text = self.held.split().freeze();
        }
        let start = &self.start[..];
        let Some(at) = text.windows(start.len()).position(|part| part == start) else {
            let lengths = (1..start.len().min(text.len() + 1)).rev();
            let begun = lengths
                .into_iter()
                .find(|&length| text.ends_with(&start[..length]));
            let held = text.split_off(text.len() - begun.unwrap_or(0));
            self.held.extend_from_slice(&held);
            return (text, None);
        };
        let mark = text.split_off(at);
        let words = &mark[start.len()..];
        let end = words.iter().position(|&byte| byte == b'\n');
        if end.is_none() && words.len() < LONGEST_WORDS {
            self.held.extend_from_slice(&mark);
            return (text, None);
        }
        let exit = end.and_then(|end| read(&words[..end]));
        (text, Some(exit.unwrap_or(Exit::ClosedWithoutStatus)))
    }

    /// What was held back and is no mark, as nothing more comes.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

/// Reads `STATUS` or `STATUS SIGNAL`.
fn read(words: &[u8]) -> Option<Exit> {
    let mut words = std::str::from_utf8(words).ok()?.split_ascii_whitespace();
    let status = words.next()?.parse().ok()?;
    Some(match words.next() {
        Some(signal) => Exit::Signal(signal.to_owned()),
        None => Exit::Status(status),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ending() -> Ending {
        Ending {
            tag: "e4d".to_owned(),
        }
    }

    /// Takes it all in pieces of this length, and what is left.
    fn take(text: &[u8], piece: usize) -> (Vec<u8>, Option<Exit>) {
        let mut mark = EndMark::new(&ending());
        let mut output = Vec::new();
        for piece in text.chunks(piece) {
            let (bytes, exit) = mark.take(Bytes::copy_from_slice(piece));
            output.extend_from_slice(&bytes);
            if exit.is_some() {
                return (output, exit);
            }
        }
        output.extend_from_slice(&mark.rest());
        (output, None)
    }

    proptest! {
        #[test]
        fn all_before_the_mark_is_output_however_it_comes(text in "(a|\x01|\x01clusterops |\x01clusterops e4|\n){0,9}", piece in 1..40_usize) {
            prop_assert_eq!(take(text.as_bytes(), piece), (text.clone().into_bytes(), None));
            let ended = format!("{text}\x01clusterops e4d 3 \nlate");
            prop_assert_eq!(take(ended.as_bytes(), piece), (text.into_bytes(), Some(Exit::Status(3))));
        }
    }

    #[test]
    fn the_mark_says_how_the_command_ended() {
        for (words, exit) in [
            ("0 \n", Exit::Status(0)),
            ("137 \r\n", Exit::Status(137)),
            ("137 KILL\n", Exit::Signal("KILL".into())),
            ("\n", Exit::ClosedWithoutStatus),
            (
                "x or what else came between, without an end",
                Exit::ClosedWithoutStatus,
            ),
        ] {
            let text = format!("out\x01clusterops e4d {words}");
            let taken = take(text.as_bytes(), 7);
            assert_eq!(taken, (b"out".to_vec(), Some(exit)), "{words:?}");
        }
    }
}
