//! Passphrases that are typed, at a terminal of the test's own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::{example, folder, printed, text};

const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal with a shell that runs `seal` in it once, says how it ended, and waits.
struct Terminal {
    master: File,
    output: Receiver<Vec<u8>>,
    shown: Vec<u8>,
    shell: Child,
}

impl Terminal {
    fn run(folder: &Path, line: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let master = File::from(master.expect("a terminal"));
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("ours");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let open = || {
            let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
            File::from(rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).expect("ours"))
        };
        // Whoever runs the tests in the background may have it ignored, which a shell cannot change.
        let shell = Command::new("env")
            .args([
                "--default-signal=INT",
                "setsid",
                "--ctty",
                "sh",
                "-c",
                "trap : INT; \"$@\"; echo \"ended $?\"; read -r _",
                "sh",
            ])
            .arg(example("seal"))
            .args(line.split(' '))
            .current_dir(folder)
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .spawn()
            .expect("it starts");
        let (sender, output) = channel();
        let mut reader = master.try_clone().expect("ours");
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            // It fails once nobody has the terminal any more.
            while let Ok(length) = reader.read(&mut buffer) {
                if length == 0 || sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            master,
            output,
            shown: Vec::new(),
            shell,
        }
    }

    /// Waits until it shows this.
    fn shows(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !String::from_utf8_lossy(&self.shown).contains(wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(more) => self.shown.extend(more),
                Err(_) => panic!("no {wanted} in {:?}", String::from_utf8_lossy(&self.shown)),
            }
        }
    }

    fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.master).expect("ours").local_modes;
        modes.contains(LocalModes::ECHO)
    }

    /// Types what is not to be shown, once the terminal is silent.
    fn types(&mut self, prompt: &str, keys: &str) {
        self.shows(prompt);
        let deadline = Instant::now() + PATIENCE;
        while self.echoes() {
            assert!(Instant::now() < deadline, "it is shown what is typed");
            std::thread::yield_now();
        }
        self.master.write_all(keys.as_bytes()).expect("ours");
    }

    /// How it ended, and all that was shown.
    fn ends(mut self, code: i32) -> String {
        self.shows(&format!("ended {code}\r\n"));
        assert!(self.echoes(), "the terminal stays silent");
        self.master.write_all(b"\n").expect("ours");
        self.shell.wait().expect("ours");
        text(&self.shown)
    }
}

#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let folder = folder();
    let mut terminal = Terminal::run(folder.path(), "generate new.pem --signing");
    terminal.types("new passphrase of new.pem: ", "half\x03");
    let shown = terminal.ends(130);
    assert!(!shown.contains("half"), "{shown}");
    assert!(!folder.path().join("new.pem").exists());
}

#[test]
fn a_new_passphrase_is_typed_twice() {
    let folder = folder();
    let generate = "generate new.pem --signing";
    for (first, second, why) in [
        (
            "sesame\n",
            "sesome\n",
            "the two passphrases are not the same",
        ),
        ("\n", "", "an empty passphrase protects nothing"),
        ("\x04", "", "nothing was given"),
    ] {
        let mut terminal = Terminal::run(folder.path(), generate);
        terminal.types("new passphrase of new.pem: ", first);
        if !second.is_empty() {
            terminal.types("once more, the passphrase of new.pem: ", second);
        }
        let shown = terminal.ends(1);
        assert!(shown.contains(why) && !shown.contains("sesame"), "{shown}");
        assert!(!folder.path().join("new.pem").exists());
    }
    let mut terminal = Terminal::run(folder.path(), generate);
    terminal.types("new passphrase of new.pem: ", "open sésame\n");
    terminal.types("once more, the passphrase of new.pem: ", "open sésame\n");
    let shown = terminal.ends(0);
    assert!(
        shown.contains("keep it to yourself") && !shown.contains("same\r"),
        "{shown}"
    );

    // The key is used under it, asked for or from a file.
    std::fs::write(folder.path().join("app.json"), r#"{"id": "/shop"}"#).expect("ours");
    let mut terminal = Terminal::run(folder.path(), "sign app.json --key new.pem");
    terminal.types("passphrase of new.pem: ", "open sésame\n");
    assert!(terminal.ends(0).contains("signed sha256:"));
    std::fs::write(folder.path().join("passphrase"), "open sésame\r\nmore\n").expect("ours");
    printed(
        "seal",
        folder.path(),
        "sign app.json --key new.pem --passphrase passphrase",
        "",
    );
    let mut terminal = Terminal::run(folder.path(), "sign app.json --key new.pem");
    terminal.types("passphrase of new.pem: ", "open sesame\n");
    assert!(terminal.ends(1).contains("the passphrase is wrong"));
}

#[test]
fn a_value_that_is_typed_is_not_shown() {
    let folder = folder();
    std::fs::write(folder.path().join("app.json"), r#"{"id": "/shop"}"#).expect("ours");
    let mut terminal = Terminal::run(folder.path(), "set app.json /a");
    terminal.types("value of /a: ", "sesame\n");
    assert!(!terminal.ends(0).contains("sesame"));
    let value = printed(
        "seal",
        folder.path(),
        "extract app.json /a --key ben.pem",
        "",
    );
    assert_eq!(value, "sesame\n");
}
