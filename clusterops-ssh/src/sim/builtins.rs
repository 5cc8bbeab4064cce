//! The small programs of a simulated host. They work on its file tree and its process table, and on nothing else.

use std::sync::Arc;

use super::answer::{Answer, Stream};
use super::command::SimCommand;
use super::files::{FileError, Tree, absolute};
use super::machine::Machine;
use super::pattern::{self, Expression};
use super::process::{Recipient, Signal};
use super::shell::Word;
use crate::transfer::{Algorithm, Hasher};

/// Where a program runs.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) machine: &'a Machine,
    pub(super) command: &'a SimCommand,
    pub(super) directory: String,
}

/// Whether a program looks at processes. These work as long as the kernel does, whatever ails the host's commands.
pub(super) fn is_process_tool(program: &str) -> bool {
    matches!(program, "grep" | "kill")
}

impl Place<'_> {
    /// What a program does; `None` if there is none of this name.
    pub(super) fn run(&mut self, words: &[String]) -> Option<Answer> {
        let (program, arguments) = words.split_first()?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let name = ["/bin/", "/usr/bin/"]
            .into_iter()
            .find_map(|folder| program.strip_prefix(folder))
            .unwrap_or(program);
        let arguments = arguments.as_slice();
        Some(match name {
            "true" | ":" => Answer::new(),
            "false" => Answer::status(1),
            "echo" => Answer::stdout(match arguments.split_first() {
                Some((&"-n", rest)) => rest.join(" "),
                _ => arguments.join(" ") + "\n",
            }),
            "printf" => printf(arguments),
            "hostname" => Answer::stdout(format!("{}\n", self.machine.name)),
            "uname" => self.uname(arguments),
            "whoami" => Answer::stdout(format!("{}\n", self.command.user)),
            "pwd" => Answer::stdout(format!("{}\n", self.directory)),
            "cd" => self.cd(arguments),
            "env" => {
                let lines = self.command.full_environment().into_iter();
                Answer::stdout(
                    lines
                        .map(|(name, value)| format!("{name}={value}\n"))
                        .collect::<String>(),
                )
            }
            "sleep" => sleep(arguments),
            "test" => self.test(arguments),
            "[" => match arguments.split_last() {
                Some((&"]", arguments)) => self.test(arguments),
                _ => complain(2, "[: missing ]"),
            },
            "cat" => self.cat(arguments),
            "b2sum" => self.digests(Algorithm::Blake2b, arguments),
            "sha256sum" => self.digests(Algorithm::Sha256, arguments),
            "rm" => self.rm(arguments),
            "mkdir" => self.mkdir(arguments),
            "mktemp" => self.mktemp(arguments),
            "kill" => self.kill(arguments),
            "grep" => self.grep(arguments),
            _ => {
                let path = absolute(program, &self.directory);
                let is_file =
                    program.contains('/') && self.machine.state().files.find(&path).is_ok();
                if !is_file {
                    return None;
                }
                complain(
                    126,
                    &format!(
                        "{program}: simulated hosts run no files; give this command an answer"
                    ),
                )
            }
        })
    }

    /// The words of a simple command, with wildcards replaced by the paths that fit, as a shell does.
    pub(super) fn expand(&self, words: Vec<Word>) -> Vec<String> {
        let mut expanded = Vec::new();
        for word in words {
            let Some(wildcard) = &word.pattern else {
                expanded.push(word.text);
                continue;
            };
            // A relative pattern is compared with paths from here on.
            let here = match wildcard.starts_with('/') {
                true => String::new(),
                false => format!("{}/", self.directory.trim_end_matches('/')),
            };
            let state = self.machine.state();
            let before = expanded.len();
            let files = state.files.paths().map(str::to_owned);
            let paths = files.chain(state.processes.proc_paths());
            expanded.extend(paths.filter_map(|path| {
                let path = path.strip_prefix(&here)?;
                pattern::glob(wildcard, path).then(|| path.to_owned())
            }));
            if expanded.len() == before {
                expanded.push(word.text);
            }
        }
        expanded
    }

    fn path(&self, path: &str) -> String {
        absolute(path, &self.directory)
    }

    fn read(&self, path: &str) -> Result<Arc<Vec<u8>>, FileError> {
        let path = self.path(path);
        let state = self.machine.state();
        match state.processes.proc_file(&path) {
            Some(content) => Ok(Arc::new(content)),
            None => state.files.read(&path),
        }
    }

    fn uname(&self, arguments: &[&str]) -> Answer {
        match arguments {
            [] | ["-s"] => Answer::stdout("Linux\n"),
            ["-n"] => Answer::stdout(format!("{}\n", self.machine.name)),
            _ => complain(
                1,
                "uname: simulated hosts know `-n` and `-s`; give this command an answer",
            ),
        }
    }

    fn cd(&mut self, arguments: &[&str]) -> Answer {
        let to = match arguments {
            [] | ["--"] => self.command.home(),
            [to] | ["--", to] => self.path(to),
            _ => return complain(2, "cd: too many arguments"),
        };
        if !self.machine.state().files.is_folder(&to) {
            return complain(2, &format!("cd: can't cd to {to}"));
        }
        self.directory = to;
        Answer::new()
    }

    /// test(1) for one file, one or two strings.
    fn test(&self, arguments: &[&str]) -> Answer {
        let holds = match *arguments {
            ["!", ref rest @ ..] => {
                let answer = self.test(rest);
                return match answer {
                    answer if answer == Answer::new() => Answer::status(1),
                    answer if answer == Answer::status(1) => Answer::new(),
                    answer => answer,
                };
            }
            [] => false,
            [text] => !text.is_empty(),
            ["-n", text] => !text.is_empty(),
            ["-z", text] => text.is_empty(),
            ["-d", path] => self.machine.state().files.is_folder(&self.path(path)),
            ["-e", path] => {
                self.read(path) != Err(FileError::NotFound)
                    && self.read(path) != Err(FileError::NotDirectory)
            }
            ["-f", path] => self.read(path).is_ok(),
            ["-s", path] => self.read(path).is_ok_and(|content| !content.is_empty()),
            [one, "=", other] => one == other,
            [one, "!=", other] => one != other,
            _ => {
                return complain(
                    2,
                    "test: simulated hosts know -d -e -f -s -n -z = != and !; give this command an answer",
                );
            }
        };
        Answer::status(u8::from(!holds))
    }

    fn cat(&self, arguments: &[&str]) -> Answer {
        if matches!(arguments, [] | ["-"]) {
            return Answer::echo_stdin();
        }
        let mut answer = Answer::new();
        for path in operands(arguments) {
            answer = match self.read(path) {
                Ok(content) => answer.with_stdout(content.to_vec()),
                Err(error) => failed(answer, &format!("cat: {path}: {error}")),
            };
        }
        answer
    }

    /// b2sum(1) and sha256sum(1) for files; their standard input is taken to be empty.
    fn digests(&self, algorithm: Algorithm, arguments: &[&str]) -> Answer {
        let digest = |content: &[u8]| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(content);
            hasher.finish()
        };
        let paths: Vec<&str> = operands(arguments).collect();
        if paths.is_empty() {
            return Answer::stdout(format!("{}  -\n", digest(b"")));
        }
        let (mut lines, mut answer) = (String::new(), Answer::new());
        for path in paths {
            match self.read(path) {
                Ok(content) => lines.push_str(&format!("{}  {path}\n", digest(&content))),
                Err(error) => {
                    let program = algorithm.program();
                    answer = failed(answer, &format!("{program}: {path}: {error}"));
                }
            }
        }
        answer.with_stdout(lines)
    }

    fn rm(&self, arguments: &[&str]) -> Answer {
        let force = has_flag(arguments, &['f']);
        let recursive = has_flag(arguments, &['r', 'R']);
        let mut answer = Answer::new();
        for path in operands(arguments) {
            let absolute = self.path(path);
            let removed = self.machine.change(|files| match recursive {
                true => files.remove_all(&absolute),
                false => files.remove(&absolute),
            });
            match removed {
                Err(FileError::NotFound) if force => {}
                Err(error) => {
                    answer = failed(answer, &format!("rm: cannot remove '{path}': {error}"))
                }
                Ok(()) => {}
            }
        }
        answer
    }

    fn mkdir(&self, arguments: &[&str]) -> Answer {
        let (mode, arguments) = match arguments {
            ["-m", mode, rest @ ..] => (u32::from_str_radix(mode, 8).ok(), rest),
            all => (Some(0o755), all),
        };
        let Some(mode) = mode else {
            return complain(1, "mkdir: invalid mode");
        };
        let with_parents = has_flag(arguments, &['p']);
        let mut answer = Answer::new();
        for path in operands(arguments) {
            let absolute = self.path(path);
            if with_parents && self.machine.state().files.is_folder(&absolute) {
                continue;
            }
            let made = self.machine.write(|files| match with_parents {
                true => files.make_folders(&absolute),
                false => files.make_folder(&absolute, mode),
            });
            if let Err(error) = made {
                answer = failed(
                    answer,
                    &format!("mkdir: cannot create directory '{path}': {error}"),
                );
            }
        }
        answer
    }

    fn mktemp(&self, arguments: &[&str]) -> Answer {
        let template = operands(arguments).next().unwrap_or("/tmp/tmp.XXXXXXXXXX");
        let stem = template.trim_end_matches('X');
        let random = template.len() - stem.len();
        if random < 3 {
            return complain(1, &format!("mktemp: too few X's in template '{template}'"));
        }
        let name: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(random)
            .collect();
        let path = self.path(&format!("{stem}{name}"));
        let made = self
            .machine
            .write(|files: &mut Tree| match has_flag(arguments, &['d']) {
                true => files.make_folder(&path, 0o700),
                false => files.create(&path, 0o600).map(|_| ()),
            });
        match made {
            Ok(()) => Answer::stdout(format!("{path}\n")),
            Err(error) => complain(
                1,
                &format!("mktemp: failed to create via template '{template}': {error}"),
            ),
        }
    }

    /// kill(1): `kill [-s SIGNAL | -SIGNAL] [--] PID...`; a negative id is a process group.
    fn kill(&self, arguments: &[&str]) -> Answer {
        let (signal, recipients) = match arguments {
            ["-s", signal, rest @ ..] => (*signal, rest),
            [first, rest @ ..] if *first != "--" && first.starts_with('-') && !rest.is_empty() => {
                (&first[1..], rest)
            }
            rest => ("TERM", rest),
        };
        let recipients = recipients.strip_prefix(&["--"]).unwrap_or(recipients);
        let signal = match signal {
            "0" | "EXIT" => None,
            name => match name.parse::<Signal>() {
                Ok(signal) => Some(signal),
                Err(_) => return complain(2, &format!("kill: Illegal option -{name}")),
            },
        };
        if recipients.is_empty() {
            return complain(
                2,
                "kill: Usage: kill [-s sigspec | -signum | -sigspec] [pid | job]...",
            );
        }
        let mut answer = Answer::new();
        for recipient in recipients {
            let to = match recipient.strip_prefix('-') {
                Some(group) => group.parse().map(Recipient::Group),
                None => recipient.parse().map(Recipient::Process),
            };
            let Ok(to) = to else {
                return complain(2, &format!("kill: Illegal number: {recipient}"));
            };
            if !self.machine.state().processes.signal(to, signal) {
                answer = failed(answer, "sh: 1: kill: No such process");
            }
        }
        answer
    }

    /// grep(1) with `-a -F -h -i -l -q -s -v -e`, over files.
    fn grep(&self, arguments: &[&str]) -> Answer {
        let mut flags = String::new();
        let mut patterns: Vec<&str> = Vec::new();
        let mut rest = arguments;
        while let [first, after @ ..] = rest {
            match *first {
                "--" => {
                    rest = after;
                    break;
                }
                "-e" => {
                    let [pattern, after @ ..] = after else {
                        return complain(2, "grep: option requires an argument -- 'e'");
                    };
                    patterns.push(pattern);
                    rest = after;
                    continue;
                }
                option if option.len() > 1 && option.starts_with('-') => {
                    flags.push_str(&option[1..])
                }
                _ => break,
            }
            rest = after;
        }
        if let Some(unknown) = flags.chars().find(|flag| !"aFhilqsv".contains(*flag)) {
            return complain(
                2,
                &format!(
                    "grep: simulated hosts do not know `-{unknown}`; give this command an answer"
                ),
            );
        }
        if patterns.is_empty() {
            let [pattern, after @ ..] = rest else {
                return complain(2, "Usage: grep [OPTION]... PATTERNS [FILE]...");
            };
            patterns.push(pattern);
            rest = after;
        }
        if rest.is_empty() {
            return complain(
                2,
                "grep: simulated hosts search files only; give this command an answer",
            );
        }
        let has = |flag: char| flags.contains(flag);
        let case = |text: &str| {
            if has('i') {
                text.to_lowercase()
            } else {
                text.to_owned()
            }
        };
        let fixed: Vec<String> = patterns.iter().map(|pattern| case(pattern)).collect();
        let expressions: Vec<Expression> = fixed
            .iter()
            .map(|pattern| Expression::new(pattern))
            .collect();
        let fits = |line: &str| {
            let line = case(line);
            let found = match has('F') {
                true => fixed.iter().any(|text| line.contains(text)),
                false => expressions
                    .iter()
                    .any(|expression| expression.is_match(&line)),
            };
            found != has('v')
        };
        let mut output = String::new();
        let mut complaints = String::new();
        let mut found = false;
        for path in rest {
            let content = match self.read(path) {
                Ok(content) => content,
                Err(error) => {
                    complaints.push_str(&format!("grep: {path}: {error}\n"));
                    continue;
                }
            };
            let text = String::from_utf8_lossy(&content);
            let mut lines = text.lines().filter(|line| fits(line)).peekable();
            if lines.peek().is_none() {
                continue;
            }
            found = true;
            if has('l') {
                output.push_str(&format!("{path}\n"));
                continue;
            }
            for line in lines {
                if rest.len() > 1 && !has('h') {
                    output.push_str(&format!("{path}:"));
                }
                output.push_str(line);
                output.push('\n');
            }
        }
        // POSIX.1-2024, grep: 0 when a line was selected, 1 when none was, more when an error happened.
        let status = if found && (has('q') || complaints.is_empty()) {
            0
        } else if complaints.is_empty() {
            1
        } else {
            2
        };
        let mut answer = Answer::status(status);
        if !has('q') {
            answer = answer.with_stdout(output);
        }
        if !has('s') {
            answer = answer.with_stderr(complaints);
        }
        answer.pieces.retain(|(_, piece)| !piece.is_empty());
        answer
    }
}

/// An error message and an exit status.
pub(super) fn complain(status: u8, message: &str) -> Answer {
    let prefix = if message.contains("sh: ") {
        ""
    } else {
        "sh: 1: "
    };
    Answer::status(status).with_stderr(format!("{prefix}{message}\n"))
}

/// The answer with one more error message, and exit status 1.
fn failed(mut answer: Answer, message: &str) -> Answer {
    answer
        .pieces
        .push((Stream::Err, format!("{message}\n").into()));
    answer.with_status(1)
}

fn has_flag(arguments: &[&str], flags: &[char]) -> bool {
    arguments
        .iter()
        .take_while(|argument| **argument != "--")
        .filter(|argument| argument.starts_with('-'))
        .any(|argument| argument.contains(flags))
}

/// The arguments that are not options.
fn operands<'a>(arguments: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let mut only_operands = false;
    arguments.iter().copied().filter(move |argument| {
        if !only_operands && *argument == "--" {
            only_operands = true;
            return false;
        }
        only_operands || !argument.starts_with('-')
    })
}

fn sleep(arguments: &[&str]) -> Answer {
    match arguments {
        ["infinity"] => Answer::never_exits(),
        [seconds] => match seconds
            .parse()
            .ok()
            .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
        {
            Some(delay) => Answer::new().with_delay(delay),
            None => complain(1, &format!("sleep: invalid time interval '{seconds}'")),
        },
        _ => complain(1, "sleep: one time interval in seconds is expected"),
    }
}

/// printf(1) with `%s`, `%d`, `%%` and the escapes `\n`, `\t`, `\\` and `\NNN`.
fn printf(arguments: &[&str]) -> Answer {
    let Some((format, arguments)) = arguments.split_first() else {
        return complain(2, "printf: usage: printf format [arg ...]");
    };
    let mut output: Vec<u8> = Vec::new();
    let mut arguments = arguments.iter();
    loop {
        let before = arguments.len();
        let mut characters = format.chars().peekable();
        while let Some(character) = characters.next() {
            match (character, characters.peek().copied()) {
                ('%', Some('%')) => output.push(b'%'),
                ('%', Some('s' | 'd')) => output.extend(arguments.next().unwrap_or(&"").bytes()),
                ('%', _) => {
                    return complain(
                        2,
                        "printf: simulated hosts know %s, %d and %%; give this command an answer",
                    );
                }
                ('\\', Some('n')) => output.push(b'\n'),
                ('\\', Some('t')) => output.push(b'\t'),
                ('\\', Some('\\')) => output.push(b'\\'),
                ('\\', Some('0'..='7')) => {
                    let mut value = 0u32;
                    for _ in 0..3 {
                        let Some(digit) = characters.peek().and_then(|c| c.to_digit(8)) else {
                            break;
                        };
                        value = value * 8 + digit;
                        characters.next();
                    }
                    output.push(value as u8);
                    continue;
                }
                (character, _) => {
                    output.extend(character.encode_utf8(&mut [0; 4]).bytes());
                    continue;
                }
            }
            characters.next();
        }
        // The format is used again as long as it takes arguments and some are left (POSIX.1-2024, printf).
        if arguments.len() == 0 || arguments.len() == before {
            return Answer::stdout(output);
        }
    }
}
