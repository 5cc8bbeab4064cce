//! Digests of files, here and on the host.

use blake2::Blake2b512;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use crate::session::{GRACE, Launch, Process, Session, Termination};
use crate::{Command, Error, ErrorKind, Exit, OutputStream, Result};

/// What a digest is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// BLAKE2b with 512 bits (RFC 7693), as b2sum(1) makes it.
    Blake2b,
    Sha256,
}

impl Algorithm {
    /// In the order of preference.
    const ALL: [Self; 2] = [Self::Blake2b, Self::Sha256];

    /// The program of the host that makes it.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Blake2b => "b2sum",
            Self::Sha256 => "sha256sum",
        }
    }

    /// The digits of a digest.
    fn digits(self) -> usize {
        match self {
            Self::Blake2b => 128,
            Self::Sha256 => 64,
        }
    }
}

/// A digest in the making.
#[derive(Clone)]
pub(crate) enum Hasher {
    Blake2b(Box<Blake2b512>),
    Sha256(Sha256),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Blake2b => Self::Blake2b(Box::default()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake2b(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    /// In lower-case hexadecimal.
    pub(crate) fn finish(self) -> String {
        match self {
            Self::Blake2b(hash) => HEXLOWER.encode(&hash.finalize()),
            Self::Sha256(hash) => HEXLOWER.encode(&hash.finalize()),
        }
    }
}

/// Has digests made on a host, one batch after the other.
pub(super) struct Digester<'a> {
    pub(super) session: &'a Session,
    /// What its programs are found by, where that is settled.
    pub(super) tag: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the host has, once it is known.
    algorithm: Option<Algorithm>,
    /// The program that runs, for [`Digester::end`].
    running: Option<Process>,
}

impl<'a> Digester<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self {
            session,
            tag: None,
            state: Mutex::default(),
        }
    }

    /// The algorithm whose program the host has.
    pub(super) async fn algorithm(&self) -> Result<Algorithm> {
        let known = self.state.lock().await.algorithm;
        match known {
            Some(algorithm) => Ok(algorithm),
            // The digest of an empty input.
            None => Ok(self.run(&[], None).await?.0),
        }
    }

    /// The digests of files, in their order.
    pub(super) async fn digests(&self, paths: &[Vec<u8>]) -> Result<(Algorithm, Vec<String>)> {
        self.run(paths, None).await
    }

    /// The digest of the first bytes of a file.
    pub(super) async fn digest_of_start(
        &self,
        path: &[u8],
        length: u64,
    ) -> Result<(Algorithm, String)> {
        let (algorithm, mut digests) = self.run(&[path.to_owned()], Some(length)).await?;
        Ok((algorithm, digests.swap_remove(0)))
    }

    async fn run(&self, paths: &[Vec<u8>], start: Option<u64>) -> Result<(Algorithm, Vec<String>)> {
        let mut state = self.state.lock().await;
        let known = state.algorithm;
        for algorithm in Algorithm::ALL {
            if known.is_some_and(|known| known != algorithm) {
                continue;
            }
            let command = match start {
                None => whole(algorithm, paths),
                Some(length) => first_bytes(algorithm, &paths[0], length),
            }
            .without_pty();
            let (exit, output, errors) = self.output(&mut state, &command).await?;
            if exit == Exit::Status(127) {
                continue;
            }
            let digests = match start {
                _ if exit != Exit::Status(0) => None,
                // Of its standard input, which has no name.
                Some(_) => read(&output, &[b"-".to_vec()], algorithm),
                None if paths.is_empty() => {
                    read(&output, &[b"-".to_vec()], algorithm).map(|_| Vec::new())
                }
                None => read(&output, paths, algorithm),
            };
            let Some(digests) = digests else {
                let message = format!(
                    "the host's {} did not make the digests to compare: {exit}",
                    algorithm.program()
                );
                let error = Error::new(ErrorKind::Transfer, message).on(self.session.host());
                return Err(match String::from_utf8_lossy(&errors).trim() {
                    "" => error,
                    said => error.caused_by(said.to_owned()),
                });
            };
            state.algorithm = Some(algorithm);
            return Ok((algorithm, digests));
        }
        let message = "the transfer cannot be verified: the host has neither b2sum nor sha256sum; switch `verify` off to go without";
        Err(Error::new(ErrorKind::Transfer, message).on(self.session.host()))
    }

    async fn output(
        &self,
        state: &mut State,
        command: &Command,
    ) -> Result<(Exit, Vec<u8>, Vec<u8>)> {
        /// Enough for the names of all files of one batch.
        const MOST_OUTPUT: usize = 8 << 20;
        let mut launch = Launch::new();
        if let Some(tag) = &self.tag {
            launch.tag.clone_from(tag);
        }
        let process = self.session.launch(command, launch).await?;
        let process = state.running.insert(process);
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        while let Some(chunk) = process.next().await? {
            match chunk.stream {
                OutputStream::Stdout if output.len() < MOST_OUTPUT => {
                    output.extend_from_slice(&chunk.bytes);
                }
                OutputStream::Stderr if errors.len() < 1000 => {
                    errors.extend_from_slice(&chunk.bytes[..chunk.bytes.len().min(1000)]);
                }
                _ => {}
            }
        }
        let exit = process.exit();
        state.running = None;
        Ok((exit, output, errors))
    }

    /// Ends the program that was left running when somebody gave up waiting for it.
    pub(super) async fn end(&self) -> Termination {
        match self.state.lock().await.running.take() {
            Some(mut process) => process.terminate(self.session, GRACE).await,
            None => Termination::Confirmed,
        }
    }
}

/// A command that prints the digests of files.
fn whole(algorithm: Algorithm, paths: &[Vec<u8>]) -> Command {
    let program = algorithm.program();
    let words: Option<Vec<&str>> = paths
        .iter()
        .map(|path| std::str::from_utf8(path).ok())
        .collect();
    match words {
        Some(words) if words.is_empty() => Command::new([program]),
        Some(words) => Command::new([&[program, "--"], words.as_slice()].concat()),
        // Words are text; other names travel on standard input.
        None => {
            let mut line = format!("exec {program} --").into_bytes();
            for path in paths {
                line.push(b' ');
                quote(path, &mut line);
            }
            line.push(b'\n');
            Command::new(["/bin/sh", "-s"]).stdin(line)
        }
    }
}

/// A command that prints the digest of the first bytes of a file.
fn first_bytes(algorithm: Algorithm, path: &[u8], length: u64) -> Command {
    let program = algorithm.program();
    let mut line =
        format!("command -v {program} >/dev/null||exit 127\nhead -c {length} <").into_bytes();
    quote(path, &mut line);
    line.extend_from_slice(format!("|exec {program}\n").as_bytes());
    Command::new(["/bin/sh", "-s"]).stdin(line)
}

/// Quotes for a POSIX shell.
fn quote(path: &[u8], line: &mut Vec<u8>) {
    line.push(b'\'');
    for &byte in path {
        match byte {
            b'\'' => line.extend_from_slice(br"'\''"),
            byte => line.push(byte),
        }
    }
    line.push(b'\'');
}

/// Reads what b2sum(1) and sha256sum(1) print for these paths: GNU's escape line feeds, carriage returns and
/// backslashes in a name and mark the line with a backslash; BusyBox's may print it as it is.
fn read(mut output: &[u8], paths: &[Vec<u8>], algorithm: Algorithm) -> Option<Vec<String>> {
    let mut digests = Vec::with_capacity(paths.len());
    for path in paths {
        output = output.strip_prefix(b"\\").unwrap_or(output);
        let (digest, rest) = output.split_at_checked(algorithm.digits())?;
        if !digest.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let rest = rest.strip_prefix(b"  ").or(rest.strip_prefix(b" *"))?;
        let rest = rest
            .strip_prefix(path.as_slice())
            .filter(|rest| rest.starts_with(b"\n"))
            .or_else(|| rest.strip_prefix(escaped(path).as_slice()))?;
        output = rest.strip_prefix(b"\n")?;
        digests.push(String::from_utf8_lossy(digest).to_ascii_lowercase());
    }
    output.is_empty().then_some(digests)
}

fn escaped(path: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b'\\' => text.extend_from_slice(br"\\"),
            b'\n' => text.extend_from_slice(br"\n"),
            b'\r' => text.extend_from_slice(br"\r"),
            byte => text.push(byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use proptest::prelude::*;

    use super::*;

    fn digest(algorithm: Algorithm, content: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        // RFC 7693 appendix A, and FIPS 180-2 appendix B.1.
        assert!(digest(Algorithm::Blake2b, b"abc").starts_with("ba80a53f981c4d0d6a2797b69f12f6e9"));
        assert!(digest(Algorithm::Sha256, b"abc").starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }

    #[test]
    fn what_the_programs_of_this_machine_print_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut paths = Vec::new();
        for (index, name) in ["a", "new\nline", "back\\slash", "größe ✓", "a  b", "- \r"]
            .into_iter()
            .enumerate()
        {
            let path = folder.path().join(name);
            std::fs::write(&path, index.to_string()).expect("our folder");
            paths.push(path.as_os_str().as_bytes().to_vec());
        }
        let mut tried = 0;
        for algorithm in Algorithm::ALL {
            for busybox in [false, true] {
                let mut command = match busybox {
                    true => {
                        let mut command = std::process::Command::new("busybox");
                        command.arg(algorithm.program());
                        command
                    }
                    false => std::process::Command::new(algorithm.program()),
                };
                command.arg("--");
                command.args(paths.iter().map(|path| std::ffi::OsStr::from_bytes(path)));
                let Ok(output) = command.output() else {
                    continue;
                };
                if !output.status.success() {
                    continue;
                }
                tried += 1;
                let expected: Vec<String> = (0..paths.len())
                    .map(|index| digest(algorithm, index.to_string().as_bytes()))
                    .collect();
                assert_eq!(read(&output.stdout, &paths, algorithm), Some(expected));
            }
        }
        assert!(tried > 0, "coreutils are installed");
    }

    proptest! {
        #[test]
        fn any_output_is_read_or_refused(
            output in proptest::collection::vec(any::<u8>(), 0..300),
            path in proptest::collection::vec(1_u8.., 1..5),
        ) {
            let _ = read(&output, std::slice::from_ref(&path), Algorithm::Sha256);
            let digest = "0".repeat(64);
            let line = [format!("\\{digest}  ").as_bytes(), &escaped(&path), b"\n"].concat();
            prop_assert_eq!(read(&line, &[path], Algorithm::Sha256), Some(vec![digest]));
        }
    }
}
