//! OpenSSH's sshd on loopback, started for one test.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::{family, kill_tree};
use super::skip_or_fail;

const SSHD: &str = "/usr/sbin/sshd";
/// The login user that `tests/with-user` makes when it runs as root.
const TEST_USER: &str = "clusterops-test";
const DEADLINE: Duration = Duration::from_secs(20);

/// How a test wants its sshd.
///
/// The default accepts the fixture's key for the test's login user, has an Ed25519 host key, serves SFTP, and never
/// refuses for load.
#[derive(Debug, Clone)]
pub(crate) struct SshdOptions {
    root_login: bool,
    refuse_keys: bool,
    host_keys: Vec<String>,
    max_startups: String,
    lines: Vec<String>,
}

impl Default for SshdOptions {
    fn default() -> Self {
        Self {
            root_login: false,
            refuse_keys: false,
            host_keys: vec!["ed25519".into()],
            max_startups: "1000".into(),
            lines: Vec::new(),
        }
    }
}

impl SshdOptions {
    /// `MaxStartups`: a number, or `start:rate:full`.
    #[must_use]
    pub(crate) fn max_startups(mut self, value: &str) -> Self {
        self.max_startups = value.to_owned();
        self
    }

    /// `MaxSessions`: the sessions on one connection.
    #[must_use]
    pub(crate) fn max_sessions(self, value: u32) -> Self {
        self.line(&format!("MaxSessions {value}"))
    }

    /// Logs in as root; sshd ignores signal requests of such sessions. Only root can start such an sshd.
    #[must_use]
    pub(crate) fn root_login(mut self) -> Self {
        self.root_login = true;
        self
    }

    /// Knows no key, so that every authentication is refused.
    #[must_use]
    pub(crate) fn refuse_keys(mut self) -> Self {
        self.refuse_keys = true;
        self
    }

    /// The types of the host keys, as ssh-keygen names them: `ed25519`, `rsa`, `ecdsa`.
    #[must_use]
    pub(crate) fn host_keys(mut self, types: &[&str]) -> Self {
        self.host_keys = types.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// A line of sshd_config(5). It comes before the fixture's own, and sshd takes the first of two.
    #[must_use]
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }
}

/// A running sshd that answers on every address of 127.0.0.0/8 and on no other; dropping it ends it, its sessions and
/// what they started.
#[derive(Debug)]
pub(crate) struct Sshd {
    folder: TempDir,
    process: Child,
    keeper: Child,
    port: u16,
    user: String,
}

impl Sshd {
    /// Starts sshd and waits until it listens; where the machine cannot, the test is skipped by name, or fails in CI.
    #[track_caller]
    pub(crate) fn start(options: SshdOptions) -> Option<Self> {
        match Self::login_user(&options) {
            Ok(user) => Some(Self::start_for(user, &options)),
            Err(reason) => {
                let place = std::panic::Location::caller();
                let thread = std::thread::current();
                let name = match thread.name() {
                    Some(name) if name != "main" => name.to_owned(),
                    _ => format!("{}:{}", place.file(), place.line()),
                };
                skip_or_fail(&name, &reason);
                None
            }
        }
    }

    /// The address of one host of this server; any other in 127.0.0.0/8 is as good.
    pub(crate) fn address(&self) -> &'static str {
        "127.0.0.1"
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The login name.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The private key that may log in.
    pub(crate) fn identity_file(&self) -> PathBuf {
        self.folder.path().join("identity")
    }

    /// A target at one of the server's addresses, with nothing left to the environment.
    pub(crate) fn target(&self, name: &str, address: &str) -> clusterops::Target {
        clusterops::Target {
            port: Some(self.port),
            user: Some(self.user.clone()),
            identity_file: Some(self.identity_file()),
            known_hosts: Some(self.known_hosts()),
            ..clusterops::Target::new(name, address)
        }
    }

    /// A known hosts file with the host keys of this server, for each of its addresses.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    /// A folder that lives as long as the server, for what the test needs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What sshd has logged (`LogLevel VERBOSE`).
    pub(crate) fn log(&self) -> String {
        read_log(self.folder.path())
    }

    /// The ids of sshd, its connections, and all that their sessions have started and not ended.
    pub(crate) fn processes(&self) -> Vec<u32> {
        family(self.process.id(), &marker(self.folder.path()))
            .into_iter()
            .collect()
    }

    fn login_user(options: &SshdOptions) -> Result<String, String> {
        if !Path::new(SSHD).exists() {
            return Err(format!(
                "{SSHD} is missing; `apt-get install openssh-server` brings it"
            ));
        }
        if !rustix::process::geteuid().is_root() {
            if options.root_login {
                return Err("only root can start an sshd for root".into());
            }
            return Ok(output(Command::new("id").arg("-un")).trim().to_owned());
        }
        let known = Command::new("id")
            .arg(TEST_USER)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !known.expect("coreutils are installed").success() {
            return Err(format!(
                "there is no user {TEST_USER}; `tests/with-user cargo test` makes it"
            ));
        }
        Ok(if options.root_login {
            "root"
        } else {
            TEST_USER
        }
        .to_owned())
    }

    fn start_for(user: String, options: &SshdOptions) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("clusterops-sshd-")
            .tempdir()
            .expect("a temporary folder");
        // sshd reads the authorized keys as the login user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("our own folder");
        make_keys(folder.path(), options);

        let deadline = Instant::now() + DEADLINE;
        loop {
            // Below the range from which the kernel gives ports to clients.
            let port = fastrand::u16(10_000..32_000);
            write_config(folder.path(), port, options);
            if let Some(process) = listen(folder.path(), deadline) {
                let keeper = keep(process.id(), folder.path());
                write_known_hosts(folder.path(), port, options);
                return Self {
                    folder,
                    process,
                    keeper,
                    port,
                    user,
                };
            }
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // The keeper first: it must not act on an id that is free again. Both are our children, not yet waited for.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        kill_tree(self.process.id(), &marker(self.folder.path()));
        let _ = self.process.wait();
    }
}

/// What every session of the server has in its environment.
fn marker(folder: &Path) -> String {
    format!("CLUSTEROPS_TEST_SSHD={}", folder.display())
}

fn make_keys(folder: &Path, options: &SshdOptions) {
    let mut names: Vec<_> = options
        .host_keys
        .iter()
        .map(|kind| (kind.as_str(), host_key(kind)))
        .collect();
    names.push(("ed25519", "identity".into()));
    for (kind, name) in names {
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-q", "-N", "", "-C", &name, "-t", kind, "-f"])
            .arg(folder.join(&name));
        output(&mut keygen);
    }
    let authorized = folder.join("authorized_keys");
    let key = if options.refuse_keys {
        String::new()
    } else {
        read(&folder.join("identity.pub"))
    };
    fs::write(&authorized, key).expect("our own folder");
    fs::set_permissions(authorized, Permissions::from_mode(0o644)).expect("our own file");
}

fn host_key(kind: &str) -> String {
    format!("host_{kind}")
}

fn write_config(folder: &Path, port: u16, options: &SshdOptions) {
    let path = folder.display();
    let mut config = String::new();
    let mut line = |text: &str| {
        config.push_str(text);
        config.push('\n');
    };
    for text in &options.lines {
        line(text);
    }
    // The device keeps everybody else out; sixteen listening addresses are the most that sshd takes.
    line(&format!("ListenAddress 0.0.0.0:{port} rdomain lo"));
    for kind in &options.host_keys {
        line(&format!("HostKey {path}/{}", host_key(kind)));
    }
    line(&format!("AuthorizedKeysFile {path}/authorized_keys"));
    // Folders of a temporary folder are writable for others.
    line("StrictModes no");
    line(&format!("SetEnv {}", marker(folder)));
    line("AuthenticationMethods publickey");
    line(&format!(
        "PermitRootLogin {}",
        if options.root_login {
            "prohibit-password"
        } else {
            "no"
        }
    ));
    line(&format!("MaxStartups {}", options.max_startups));
    line("Subsystem sftp internal-sftp");
    line("UsePAM no");
    line("PidFile none");
    line("LogLevel VERBOSE");
    if knows_penalties(folder, options) {
        // OpenSSH 9.8 locks out an address, here everybody's, after failures that tests cause on purpose.
        line("PerSourcePenalties no");
    }
    fs::write(folder.join("sshd_config"), config).expect("our own folder");
}

fn knows_penalties(folder: &Path, options: &SshdOptions) -> bool {
    let mut check = Command::new(SSHD);
    check.args(["-t", "-f", "/dev/null", "-o", "PerSourcePenalties=no", "-h"]);
    if let Some(kind) = options.host_keys.first() {
        check.arg(folder.join(host_key(kind)));
    }
    check
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Starts sshd with the written configuration; none when its port is taken.
fn listen(folder: &Path, deadline: Instant) -> Option<Child> {
    let log = File::create(folder.join("log")).expect("our own folder");
    let mut process = Command::new(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(folder.join("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("sshd is executable");
    loop {
        let log = read_log(folder);
        if log.contains("Server listening on") {
            return Some(process);
        }
        let ended = process.try_wait().expect("our own child");
        if ended.is_some() && read_log(folder).contains("Address already in use") {
            return None;
        }
        if ended.is_some() || Instant::now() > deadline {
            let _ = process.kill();
            panic!("sshd does not start: {}", read_log(folder));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends sshd when this process ends without dropping it, as it does when it is killed: the pipe closes then.
fn keep(sshd: u32, folder: &Path) -> Child {
    let script = r#"trap "" INT TERM HUP; read -r _; kill -KILL "$1"; rm -rf "$2""#;
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "keeper", &sshd.to_string()])
        .arg(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("there is a shell")
}

fn write_known_hosts(folder: &Path, port: u16, options: &SshdOptions) {
    let mut lines = String::new();
    for kind in &options.host_keys {
        let public = read(&folder.join(format!("{}.pub", host_key(kind))));
        lines.push_str(&format!("[127.*]:{port} {public}"));
    }
    fs::write(folder.join("known_hosts"), lines).expect("our own folder");
}

fn read_log(folder: &Path) -> String {
    fs::read(folder.join("log"))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a command that must succeed writes to its standard output.
fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
