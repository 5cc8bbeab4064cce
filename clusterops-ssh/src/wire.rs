//! How a command travels to the remote shell.
//!
//! The exec request is one fixed string, [`BOOTSTRAP`], which every login shell (sh, bash, zsh, csh, fish) passes on to
//! `/bin/sh` unharmed: it holds no `!`, no backslash, no newline and no quote inside its quotes. What is to be run
//! follows as the first line of standard input, the *header*: shell code made by [`Request::header`], in which every
//! word is quoted by construction. So no word, path or secret stands in the exec string or in the remote argument list
//! of a shell, and the length limit of one argument (128 KiB on Linux) does not apply to it. `read` takes one byte at a
//! time from a pipe or socket (POSIX.1-2024, `read`), so whatever follows the header is left for the command.
//!
//! Before the command starts, the shell writes one line to standard output: `\x01clusterops TAG PID`, or a word in place
//! of the process id when a step before the command failed. Output before that line comes from the start-up files of the
//! login shell and is dropped.
//!
//! A *held* command waits behind that line until its tag comes back as a line of standard input, and never starts when
//! the input ends before. It waits with its environment on, so that it can be found in /proc from before it was let go.
//! Its line says when its group's leader was born, too ([`Birth`]).
//!
//! On a [terminal] the header is read in raw mode; the command then gets lines, so that its input can end. How a
//! command runs as [another user](rise) is said by a line before the header; where sudo hands on what is typed, its
//! [end](ending) is agreed on.
//!
//! [`Request::from_header`] is the inverse; the simulator uses it.

pub(crate) mod ending;
pub(crate) mod rise;
pub(crate) mod terminal;

use ending::Ending;
use serde::{Deserialize, Serialize};

/// The exec string of every command.
pub(crate) const BOOTSTRAP: &str =
    "exec /bin/sh -c 'IFS= read -r _clusterops_c && eval \"$_clusterops_c\"'";

/// The first line of a header that holds a word with a line feed in it.
const NEWLINE: &str = r"_clusterops_n=$(printf '\nx');_clusterops_n=${_clusterops_n%x};";

/// The shell that a held command waits in; its arguments are the tag, the process group and the command's words.
///
/// The birth of the group's leader is the 22nd field of proc_pid_stat(5), whose second is `(sh)` or `(sudo)` here.
const HELD: &str = "IFS=\" \" read -r _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g \
    _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g \
    _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g _clusterops_g \
    _clusterops_s _clusterops_g 2>/dev/null </proc/$2/stat;\
    IFS= read -r _clusterops_b 2>/dev/null </proc/sys/kernel/random/boot_id;\
    printf \"\\001clusterops %s %s %s %s\\n\" \"$1\" \"$2\" \"$_clusterops_s\" \"$_clusterops_b\";\
    IFS= read -r _clusterops_g&&[ \"$_clusterops_g\" = \"$1\" ]||exit 125;shift 2;exec \"$@\"";

/// Who leads the process group of a command that sshd started: the shell itself.
const OWN_GROUP: &str = "\"$$\"";

/// Finds the process group of a shell that sudo or its like has started: the fifth field of proc_pid_stat(5), whose
/// second is `(sh)` here.
const FIND_GROUP: &str = "IFS=\" \" read -r _clusterops_p _clusterops_p _clusterops_p _clusterops_p \
    _clusterops_p _clusterops_r </proc/$$/stat;";
const FOUND_GROUP: &str = "\"$_clusterops_p\"";

/// What to run, with everything that must be known before it starts. It holds secrets, so it shows nothing.
#[cfg_attr(test, derive(Debug))]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Marks this request's ready line; letters and digits.
    pub(crate) tag: String,
    /// Whether it waits for the [word to go](Self::go) before it starts.
    pub(crate) is_held: bool,
    /// Whether the shell that reads it was started by sudo or its like.
    pub(crate) is_raised: bool,
    /// Whether the shell that reads it has a terminal.
    pub(crate) has_terminal: bool,
    /// How its end is told, where that is not left to the server.
    pub(crate) ending: Option<Ending>,
    /// Environment variables, in order. Names are `[A-Za-z_][A-Za-z0-9_]*`.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: Option<String>,
    pub(crate) program: Program,
}

/// The three things that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// A program and its arguments, looked up in PATH.
    Words(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// A script of `length` bytes, which follow the header and are themselves followed by the tag as a line; so a script
    /// that was cut off on the way is never run.
    Script {
        interpreter: Vec<String>,
        arguments: Vec<String>,
        length: u64,
    },
}

/// What the remote shell says before the command's own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The command runs, or is held, in this process group.
    Process(Leader),
    /// The working directory could not be entered.
    NoDirectory,
    /// The script could not be stored.
    NoScript,
    /// The terminal could not be set up.
    NoTerminal,
    /// The program that runs commands as another user is not there.
    NoProgram,
    /// That program is being started in this process, which leads its own process group.
    Rising(u32),
}

/// Who leads a process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leader {
    /// Its process id, which is the group's id too.
    pub(crate) pid: u32,
    /// Known of commands that were held.
    pub(crate) birth: Option<Birth>,
}

/// When a process came to be, which tells it from a later one of the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Birth {
    /// In clock ticks since the host started (`starttime`, proc_pid_stat(5)).
    pub(crate) ticks: u64,
    /// Which start of the host that was (`/proc/sys/kernel/random/boot_id`, random(4)).
    #[serde(with = "boot_id")]
    pub(crate) boot: u128,
}

impl Birth {
    /// Reads the boot id as the kernel writes it.
    pub(crate) fn boot(text: &str) -> Option<u128> {
        let digits: String = text.trim().split('-').collect();
        (digits.len() == 32)
            .then(|| u128::from_str_radix(&digits, 16).ok())
            .flatten()
    }

    /// Reads `starttime` in a line of `/proc/PID/stat`. The program's name may hold anything, parentheses too.
    pub(crate) fn ticks(stat: &str) -> Option<u64> {
        let (_, fields) = stat.rsplit_once(')')?;
        // The first of them is the third of all.
        fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
    }
}

/// In JSON, whose numbers are not that large everywhere.
mod boot_id {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(boot: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{boot:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

impl Leader {
    /// Reads `PID` or `PID TICKS BOOT`.
    fn read(text: &str) -> Option<Self> {
        let (pid, birth) = text.split_once(' ').unwrap_or((text, ""));
        let birth = birth.split_once(' ').and_then(|(ticks, boot)| {
            Some(Birth {
                ticks: ticks.parse().ok()?,
                boot: Birth::boot(boot)?,
            })
        });
        // The group 1 is every process, to kill(2); a process that was started by sshd never has it.
        let pid = pid.parse().ok().filter(|&pid| pid > 1)?;
        Some(Self { pid, birth })
    }
}

impl Request {
    /// The header line, with its line feed.
    pub(crate) fn header(&self) -> String {
        // Mostly enough: it would grow many times.
        let mut code = String::with_capacity(512);
        let tag = &self.tag;
        if let Some(ending) = &self.ending {
            code.push_str(&ending.before());
        }
        let group = if self.is_raised {
            code.push_str(FIND_GROUP);
            FOUND_GROUP
        } else {
            OWN_GROUP
        };
        if let Some(directory) = &self.directory {
            code.push_str("cd -- ");
            quote_into(directory, &mut code);
            code.push_str(&format!(
                ">/dev/null||{{ printf '\\001clusterops {tag} directory\\n';exit 125;}};"
            ));
        }
        if let Program::Script { length, .. } = &self.program {
            // The file is unlinked before it is filled, so nothing is left behind however this ends.
            code.push_str("_clusterops_f=$(mktemp ");
            match self.environment.iter().find(|(name, _)| name == "TMPDIR") {
                Some((_, folder)) => quote_into(folder, &mut code),
                None => code.push_str("\"${TMPDIR:-/tmp}\""),
            }
            code.push_str(&format!(
                "/clusterops.XXXXXX)&&exec 3<>\"$_clusterops_f\"&&rm -f \"$_clusterops_f\"&&\
                 head -c {length} >&3&&IFS= read -r _clusterops_e&&[ \"$_clusterops_e\" = {tag} ]||\
                 {{ printf '\\001clusterops {tag} script\\n';exit 125;}};"
            ));
        }
        if self.has_terminal {
            code.push_str(&terminal::take_lines(tag));
        }
        // Behind all that, so that no variable of the command's can change what our own code does.
        for (name, value) in &self.environment {
            code.push_str("export ");
            code.push_str(name);
            code.push('=');
            quote_into(value, &mut code);
            code.push(';');
        }
        if self.is_held {
            code.push_str(&format!("exec /bin/sh -c '{HELD}' sh {tag} {group}"));
        } else {
            code.push_str(&format!(
                "printf '\\001clusterops {tag} %s\\n' {group};exec"
            ));
        }
        let mut word = |word: &str| {
            code.push(' ');
            quote_into(word, &mut code);
        };
        match &self.program {
            Program::Words(words) => words.iter().for_each(|w| word(w)),
            Program::Shell(line) => ["/bin/sh", "-c", line].into_iter().for_each(word),
            Program::Script {
                interpreter,
                arguments,
                ..
            } => {
                interpreter.iter().for_each(|w| word(w));
                word("/proc/self/fd/3");
                arguments.iter().for_each(|w| word(w));
            }
        }
        if let Some(ending) = &self.ending {
            code.push_str(&ending.after());
        }
        code.push('\n');
        if code.contains("\"$_clusterops_n\"") {
            code.insert_str(0, NEWLINE);
        }
        if self.is_raised {
            code.insert_str(0, &rise::address(tag));
        }
        code
    }

    /// Reads what [`header`](Self::header) wrote, without its line feed; `None` for any other text.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn from_header(line: &str) -> Option<Self> {
        let (address, rest) = rise::split_address(line);
        let mut rest = rest.strip_prefix(NEWLINE).unwrap_or(rest);
        let is_raised = address.is_some();
        let ending;
        (ending, rest) = ending::split(rest)?;
        let mut group = OWN_GROUP;
        if is_raised {
            rest = rest.strip_prefix(FIND_GROUP)?;
            group = FOUND_GROUP;
        }
        let mut directory = None;
        if let Some(after) = rest.strip_prefix("cd -- ") {
            let (path, after) = unquote(after)?;
            directory = Some(path);
            rest = after.split_once("exit 125;};")?.1;
        }
        let mut length = None;
        if rest.starts_with("_clusterops_f=") {
            let (_, after) = rest.split_once("&&head -c ")?;
            let (digits, after) = after.split_once(' ')?;
            length = Some(digits.parse().ok()?);
            rest = after.split_once("exit 125;};")?.1;
        }
        let mut has_terminal = false;
        if let Some(after) = rest.strip_prefix(terminal::TAKE_LINES) {
            has_terminal = true;
            rest = after.split_once("exit 125;};")?.1;
        }
        let mut environment = Vec::new();
        while let Some(after) = rest.strip_prefix("export ") {
            let (name, after) = after.split_once('=')?;
            let (value, after) = unquote(after)?;
            environment.push((name.to_owned(), value));
            rest = after.strip_prefix(';')?;
        }
        let held = rest
            .strip_prefix("exec /bin/sh -c '")
            .and_then(|after| after.strip_prefix(HELD));
        let is_held = held.is_some();
        let tag = match held {
            Some(after) => {
                let after = after.strip_prefix("' sh ")?;
                let (tag, _) = after.split_once(' ')?;
                rest = after[tag.len()..].strip_prefix(' ')?.strip_prefix(group)?;
                tag
            }
            None => {
                let (tag, after) = rest
                    .strip_prefix(r"printf '\001clusterops ")?
                    .split_once(' ')?;
                rest = after
                    .strip_prefix("%s\\n' ")?
                    .strip_prefix(group)?
                    .strip_prefix(";exec")?;
                tag
            }
        };
        if address.is_some_and(|address| address != tag) {
            return None;
        }
        let mut words = Vec::new();
        while let Some(after) = rest.strip_prefix(' ') {
            let (word, after) = unquote(after)?;
            words.push(word);
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
        let program = match length {
            Some(length) => {
                let script = words.iter().position(|word| word == "/proc/self/fd/3")?;
                let arguments = words.split_off(script + 1);
                words.pop();
                Program::Script {
                    interpreter: words,
                    arguments,
                    length,
                }
            }
            None => match <[String; 3]>::try_from(words) {
                Ok([sh, c, line]) if sh == "/bin/sh" && c == "-c" => Program::Shell(line),
                Ok(words) => Program::Words(words.into()),
                Err(words) => Program::Words(words),
            },
        };
        Some(Self {
            tag: tag.to_owned(),
            is_held,
            is_raised,
            has_terminal,
            ending,
            environment,
            directory,
            program,
        })
    }

    /// The line that ends a script's bytes.
    pub(crate) fn script_end(&self) -> String {
        format!("{}\n", self.tag)
    }

    /// The line that lets a held command go.
    pub(crate) fn go(tag: &str) -> String {
        format!("{tag}\n")
    }
}

/// Finds the ready line of `tag` in the first output; gives what it says and where the command's own output starts.
pub(crate) fn find_ready(output: &[u8], tag: &str) -> Option<(Ready, usize)> {
    let marker = [b"\x01clusterops ", tag.as_bytes(), b" "].concat();
    let start = output
        .windows(marker.len())
        .position(|window| window == marker)?
        + marker.len();
    let end = start + output[start..].iter().position(|&byte| byte == b'\n')?;
    let ready = match std::str::from_utf8(&output[start..end])
        .ok()?
        .trim_end_matches('\r')
    {
        "directory" => Ready::NoDirectory,
        "script" => Ready::NoScript,
        "terminal" => Ready::NoTerminal,
        "program" => Ready::NoProgram,
        word if word.starts_with("rise ") => {
            Ready::Rising(word[5..].parse().ok().filter(|&pid| pid > 1)?)
        }
        leader => Ready::Process(Leader::read(leader)?),
    };
    Some((ready, end + 1))
}

/// The line by which a simulated shell says that it is ready.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn ready_line(tag: &str, ready: Ready) -> String {
    let word = match ready {
        Ready::Process(Leader { pid, birth: None }) => pid.to_string(),
        Ready::Process(Leader {
            pid,
            birth: Some(Birth { ticks, boot }),
        }) => format!("{pid} {ticks} {boot:032x}"),
        Ready::NoDirectory => "directory".to_owned(),
        Ready::NoScript => "script".to_owned(),
        Ready::NoTerminal => "terminal".to_owned(),
        Ready::NoProgram => "program".to_owned(),
        Ready::Rising(pid) => format!("rise {pid}"),
    };
    format!("\x01clusterops {tag} {word}\n")
}

/// Quotes a word for `/bin/sh` on one line.
///
/// POSIX.1-2024, Shell Command Language, 2.2.2: within single quotes every character stands for itself, save the single
/// quote, which is written as `'\''` here; a line feed is taken from a variable, since the header is one line.
fn quote_into(word: &str, code: &mut String) {
    code.push('\'');
    for part in word.split_inclusive(['\'', '\n']) {
        let (plain, last) = part.split_at(part.len() - usize::from(part.ends_with(['\'', '\n'])));
        code.push_str(plain);
        match last {
            "'" => code.push_str(r"'\''"),
            "\n" => code.push_str("'\"$_clusterops_n\"'"),
            _ => {}
        }
    }
    code.push('\'');
}

/// Reads one quoted word; gives the word and the text after it.
#[cfg(any(test, feature = "sim"))]
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut rest = text.strip_prefix('\'')?;
    loop {
        let (plain, after) = rest.split_once('\'')?;
        word.push_str(plain);
        if let Some(after) = after.strip_prefix(r"\''") {
            word.push('\'');
            rest = after;
        } else if let Some(after) = after.strip_prefix("\"$_clusterops_n\"'") {
            word.push('\n');
            rest = after;
        } else {
            return Some((word, after));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    fn words() -> impl Strategy<Value = Vec<String>> {
        // No NUL: it cannot stand in an argument.
        proptest::collection::vec("[^\0]{0,12}", 0..5).prop_map(|mut words| {
            words.insert(0, "printf".to_owned());
            words
        })
    }

    fn requests() -> impl Strategy<Value = Request> {
        let program = prop_oneof![
            words().prop_map(Program::Words),
            "[^\0]{0,40}".prop_map(Program::Shell),
            (words(), words(), any::<u64>()).prop_map(|(interpreter, arguments, length)| {
                Program::Script {
                    interpreter,
                    arguments,
                    length,
                }
            }),
        ];
        let environment =
            proptest::collection::vec(("[A-Za-z_][A-Za-z0-9_]{0,8}", "[^\0]{0,20}"), 0..4);
        (
            environment,
            proptest::option::of("[^\0]{1,20}"),
            "[0-9a-f]{16}",
            any::<[bool; 4]>(),
            program,
        )
            .prop_map(|(environment, directory, tag, flags, program)| Request {
                tag,
                is_held: flags[0],
                is_raised: flags[1],
                has_terminal: flags[2],
                ending: flags[3].then(|| Ending { tag: "e4d".into() }),
                environment,
                directory,
                program,
            })
    }

    proptest! {
        #[test]
        fn a_header_reads_back(request in requests()) {
            let header = request.header();
            let line = header.strip_suffix('\n').expect("a header ends in a line feed");
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(Request::from_header(line), Some(request));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", cut in any::<prop::sample::Index>(), request in requests()) {
            let _ = Request::from_header(&text);
            let header = request.header();
            let cut = header.floor_char_boundary(cut.index(header.len()));
            let _ = Request::from_header(&header[..cut]);
            let _ = find_ready(text.as_bytes(), "tag");
        }
    }

    /// Runs the bootstrap under `login_shell -c`, as sshd does.
    fn run(login_shell: &str, stdin: &[u8]) -> Option<(Vec<u8>, Option<i32>)> {
        let mut command = Command::new(login_shell);
        if login_shell == "busybox" {
            // It is the shell when it is called so.
            std::os::unix::process::CommandExt::arg0(&mut command, "ash");
        }
        let mut child = command
            .args(["-c", BOOTSTRAP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(stdin)
            .expect("the shell reads its input");
        let output = child.wait_with_output().expect("the shell ends");
        Some((output.stdout, output.status.code()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn the_shell_sees_the_same_words(
            words in proptest::collection::vec("[^\0]{0,12}", 0..4),
            value in "[^\0]{0,12}",
            input in "[^\0]{0,12}",
            is_held in any::<bool>(),
        ) {
            let mut all = vec!["/bin/sh".to_owned(), "-c".to_owned()];
            all.push(r#"printf '%s\0' "$V" "$@"; cat"#.to_owned());
            all.push("sh".to_owned());
            all.extend(words.iter().cloned());
            let request = Request {
                tag: "5eed".into(),
                is_held,
                is_raised: false,                has_terminal: false,                ending: None,                environment: vec![("V".into(), value.clone())],
                directory: Some("/".into()),
                program: Program::Words(all),
            };
            let mut expected: Vec<u8> = Vec::new();
            for word in std::iter::once(&value).chain(&words) {
                expected.extend(word.as_bytes());
                expected.push(0);
            }
            expected.extend(input.as_bytes());
            let go = if is_held { Request::go("5eed") } else { String::new() };
            let stdin = format!("{}{go}{input}", request.header());
            for shell in ["sh", "bash", "zsh", "csh", "tcsh", "fish", "busybox"] {
                let Some((output, _)) = run(shell, stdin.as_bytes()) else { continue };
                let (ready, start) = find_ready(&output, "5eed").expect("a ready line");
                prop_assert!(matches!(ready, Ready::Process(_)));
                prop_assert_eq!(&output[start..], &expected[..], "{}", shell);
            }
        }
    }

    #[test]
    fn a_script_runs_whole_or_not_at_all() {
        let text = "echo \"$1\"; cat; exit 3\n";
        let request = Request {
            tag: "5eed".into(),
            is_held: false,
            is_raised: false,
            has_terminal: false,
            ending: None,
            environment: vec![],
            directory: None,
            program: Program::Script {
                interpreter: vec!["/bin/sh".into()],
                arguments: vec!["one 'argument'".into()],
                length: text.len() as u64,
            },
        };
        let whole = format!(
            "{}{text}{}and input",
            request.header(),
            request.script_end()
        );
        let (output, code) = run("sh", whole.as_bytes()).expect("sh is there");
        let (_, start) = find_ready(&output, "5eed").expect("a ready line");
        assert_eq!(
            String::from_utf8_lossy(&output[start..]),
            "one 'argument'\nand input"
        );
        assert_eq!(code, Some(3));

        let cut = format!("{}{}", request.header(), &text[..8]);
        let (output, code) = run("sh", cut.as_bytes()).expect("sh is there");
        assert_eq!(
            find_ready(&output, "5eed").map(|(ready, _)| ready),
            Some(Ready::NoScript)
        );
        assert_eq!(code, Some(125));
    }

    #[test]
    fn a_held_command_starts_only_when_it_is_let_go() {
        let request = Request {
            tag: "5eed".into(),
            is_held: true,
            is_raised: false,
            has_terminal: false,
            ending: None,
            environment: vec![],
            directory: None,
            program: Program::Shell("echo started".into()),
        };
        for word in ["", "5ee\n", "other\n5eed\n"] {
            let stdin = format!("{}{word}", request.header());
            let (output, code) = run("sh", stdin.as_bytes()).expect("sh is there");
            let (ready, start) = find_ready(&output, "5eed").expect("a ready line");
            let Ready::Process(leader) = ready else {
                panic!("{ready:?}")
            };
            let birth = leader.birth.expect("Linux has it");
            let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
            assert_eq!(Some(birth.boot), Birth::boot(&boot.expect("Linux has it")));
            let own = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
            let since = birth
                .ticks
                .checked_sub(Birth::ticks(&own).expect("a field"));
            assert!(since.is_some(), "it was born after its parent");
            assert_eq!((&output[start..], code), (&b""[..], Some(125)), "{word:?}");
        }
        let stdin = format!("{}{}", request.header(), Request::go("5eed"));
        let (output, code) = run("sh", stdin.as_bytes()).expect("sh is there");
        assert!(output.ends_with(b"\nstarted\n") && code == Some(0));
    }

    #[test]
    fn an_end_that_is_agreed_on_is_told_behind_the_output() {
        let ending = Ending::new();
        let request = |line: &str| Request {
            tag: "5eed".into(),
            is_held: false,
            is_raised: true,
            has_terminal: false,
            ending: Some(ending.clone()),
            environment: vec![("V".into(), "a\nb".into())],
            directory: None,
            program: Program::Shell(line.into()),
        };
        // Neither its own nor its parents' arguments and environment hold the tag.
        let look = "cat /proc/$PPID/cmdline /proc/$PPID/environ /proc/self/environ; exit 3";
        for (line, mark, status) in [
            (look, "3 \n", 3),
            ("read a; printf 'no end'; exit 137", "137 \n", 137),
            ("cat >/dev/null & :", "0 \n", 0),
        ] {
            // What is typed and not read is dropped, up to the answer.
            let stdin = format!("{}typed\nmore{}", request(line).header(), ending.answer());
            for shell in ["sh", "bash", "busybox"] {
                let Some((output, code)) = run(shell, stdin.as_bytes()) else {
                    continue;
                };
                let (ready, start) = find_ready(&output, "5eed").expect("a ready line");
                assert!(matches!(ready, Ready::Process(_)));
                let text = String::from_utf8_lossy(&output[start..]);
                let (said, told) = text.split_once("\u{1}clusterops").expect("a mark");
                assert_eq!(told, format!(" {} {mark}", ending.tag), "{shell}: {line}");
                assert!(!said.contains(&ending.tag), "{shell}: {line}");
                assert_eq!(code, Some(status), "{shell}: {line}");
            }
        }
    }

    #[test]
    fn noise_before_the_ready_line_is_skipped() {
        let leader = Leader {
            pid: 4711,
            birth: None,
        };
        let output = b"motd\n\x01clusterops other 3\n\x01clusterops 5eed 4711\nout";
        assert_eq!(
            find_ready(output, "5eed"),
            Some((Ready::Process(leader), output.len() - 3))
        );
        assert_eq!(find_ready(&output[..output.len() - 4], "5eed"), None);
        assert_eq!(
            ready_line("5eed", Ready::Process(leader)),
            "\x01clusterops 5eed 4711\n"
        );
        let birth = Some(Birth {
            ticks: 9,
            boot: 0xABCD << 100,
        });
        let held = Ready::Process(Leader { birth, ..leader });
        let line = ready_line("5eed", held);
        assert_eq!(
            find_ready(line.as_bytes(), "5eed"),
            Some((held, line.len()))
        );
    }
}
