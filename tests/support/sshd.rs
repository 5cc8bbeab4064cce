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
/// Where its password stands.
const PASSWORD_FILE: &str = "/run/clusterops-test.password";
/// The password of the fixture's own users; neither a terminal nor a shell takes all of it as it is.
pub(crate) const PASSWORD: &str = "hun\u{4}ter2 '✓'";
/// Where Debian has it.
const BUSYBOX: &str = "/bin/busybox";

/// What crypt(5) makes of it.
const PASSWORD_HASH: &str = "$6$clusterops$Qkra530mBBcW6k072C0ITcBXs77gJcilqhx9B2p5pgchsfb74Xz.FnNC84z8..VXgwzfCBIMZMEnMD0dTbNOO/";
const DEADLINE: Duration = Duration::from_secs(20);

/// How a test wants its sshd.
///
/// The default accepts the fixture's key for the test's login user, has an Ed25519 host key, serves SFTP, and never
/// refuses for load.
#[derive(Debug, Clone)]
pub(crate) struct SshdOptions {
    root_login: bool,
    refuse_keys: bool,
    passwords: bool,
    host_keys: Vec<String>,
    host_certificate: Option<Vec<String>>,
    max_startups: String,
    sftp_server: String,
    lines: Vec<String>,
    etc: Vec<EtcFile>,
    has_busybox: bool,
}

/// A change to the sshd's own copy of /etc.
#[derive(Debug, Clone)]
struct EtcFile {
    name: String,
    text: String,
    is_appended: bool,
}

impl Default for SshdOptions {
    fn default() -> Self {
        Self {
            root_login: false,
            refuse_keys: false,
            passwords: false,
            host_keys: vec!["ed25519".into()],
            host_certificate: None,
            max_startups: "1000".into(),
            sftp_server: "internal-sftp".into(),
            lines: Vec::new(),
            etc: Vec::new(),
            has_busybox: false,
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

    /// The command that serves SFTP.
    #[must_use]
    pub(crate) fn sftp_server(mut self, command: &str) -> Self {
        self.sftp_server = command.to_owned();
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

    /// Logs in with passwords, by what AuthenticationMethods (sshd_config(5)) says. Only root can check passwords.
    #[must_use]
    pub(crate) fn passwords(mut self, methods: &str) -> Self {
        self.passwords = true;
        self.line(&format!("AuthenticationMethods {methods}"))
    }

    /// The types of the host keys, as ssh-keygen names them: `ed25519`, `rsa`, `ecdsa`.
    #[must_use]
    pub(crate) fn host_keys(mut self, types: &[&str]) -> Self {
        self.host_keys = types.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Shows a certificate for its first host key, which the [authority](Sshd::authority) signed with these arguments of
    /// ssh-keygen, such as `-n NAMES`.
    #[must_use]
    pub(crate) fn host_certificate(mut self, arguments: &[&str]) -> Self {
        self.host_certificate = Some(arguments.iter().map(|&word| word.into()).collect());
        self
    }

    /// A file below /etc, as sshd and its sessions see it; the machine's own is not touched. It is root's, with mode 0440.
    /// Only root can start such an sshd.
    #[must_use]
    pub(crate) fn etc(self, name: &str, text: &str) -> Self {
        self.etc_file(name, text, false)
    }

    /// Its sessions find busybox as `/bin/sh`. Goes with what gives it an /etc of its own.
    #[must_use]
    pub(crate) fn busybox(mut self) -> Self {
        self.has_busybox = true;
        self
    }

    /// A user that only sshd and its sessions know, with this login shell and [`PASSWORD`]. The fixture's key may log in
    /// as anybody. Only root can start such an sshd.
    #[must_use]
    pub(crate) fn account(self, name: &str, shell: &str) -> Self {
        let id = 64_100 + self.etc.len();
        self.etc_file("passwd", &format!("{name}:x:{id}:65534::/:{shell}\n"), true)
            .etc_file(
                "shadow",
                &format!("{name}:{PASSWORD_HASH}:19000:0:99999:7:::\n"),
                true,
            )
    }

    fn etc_file(mut self, name: &str, text: &str, is_appended: bool) -> Self {
        self.etc.push(EtcFile {
            name: name.to_owned(),
            text: text.to_owned(),
            is_appended,
        });
        self
    }

    /// A line of sshd_config(5), in which `{folder}` is the [folder](Sshd::folder). It comes before the fixture's own,
    /// and sshd takes the first of two.
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

    /// The password of the login user, where a server has [passwords](SshdOptions::passwords).
    pub(crate) fn password(&self) -> String {
        read(Path::new(PASSWORD_FILE)).trim_end().to_owned()
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

    /// A target for another user.
    pub(crate) fn target_for(&self, user: &str) -> clusterops::Target {
        clusterops::Target {
            user: Some(user.to_owned()),
            ..self.target("web1", self.address())
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

    /// The private key that signs certificates; `{folder}/authority.pub` is its public half.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("authority")
    }

    /// What sshd has logged (`LogLevel VERBOSE`).
    pub(crate) fn log(&self) -> String {
        read_log(self.folder.path())
    }

    /// The id of the sshd that listens.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
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
        if options.has_busybox && !Path::new(BUSYBOX).exists() {
            return Err(format!(
                "{BUSYBOX} is missing; `apt-get install busybox` brings it"
            ));
        }
        if !rustix::process::geteuid().is_root() {
            if options.root_login || !options.etc.is_empty() {
                return Err("only root can start an sshd for root or for several users".into());
            }
            if options.passwords {
                return Err("only root can start an sshd that checks passwords".into());
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
        if !options.etc.is_empty() {
            make_etc(folder.path(), options);
        }
        if options.has_busybox {
            let link = folder.path().join("busybox");
            std::os::unix::fs::symlink(BUSYBOX, link).expect("our own folder");
        }

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
    names.push(("ed25519", "authority".into()));
    for (kind, name) in names {
        ssh_keygen(folder, &["-N", "", "-C", &name, "-t", kind, "-f", &name]);
    }
    if let (Some(arguments), Some(kind)) = (&options.host_certificate, options.host_keys.first()) {
        let key = format!("{}.pub", host_key(kind));
        let mut sign = vec!["-s", "authority", "-h", "-I", "the fixture's host"];
        sign.extend(arguments.iter().map(String::as_str));
        sign.push(&key);
        ssh_keygen(folder, &sign);
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

/// Copies /etc and changes the copy.
fn make_etc(folder: &Path, options: &SshdOptions) {
    use std::io::Write as _;

    copy_folder(Path::new("/etc"), &folder.join("etc"));
    for file in &options.etc {
        let path = folder.join("etc").join(&file.name);
        let mut open = File::options();
        if file.is_appended {
            open.append(true);
        } else {
            open.create(true).write(true).truncate(true);
        }
        let mut opened = open.open(&path).expect("our own copy");
        opened
            .write_all(file.text.as_bytes())
            .expect("our own copy");
        if !file.is_appended {
            fs::set_permissions(path, Permissions::from_mode(0o440)).expect("our own copy");
        }
    }
}

/// Copies a folder as it is: anew while files in it come and go, as those of useradd and its like do that other tests run.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let copied = Command::new("cp").arg("-a").args([from, to]).output();
        let copied = copied.expect("coreutils are installed");
        if copied.status.success() {
            return;
        }
        let errors = String::from_utf8_lossy(&copied.stderr);
        assert!(Instant::now() < deadline, "cp: {errors}");
        fs::remove_dir_all(to).expect("our own copy");
    }
}

/// Runs ssh-keygen in a folder; it must succeed.
pub(crate) fn ssh_keygen(folder: &Path, arguments: &[&str]) {
    let mut keygen = Command::new("ssh-keygen");
    output(keygen.arg("-q").args(arguments).current_dir(folder));
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
        line(&text.replace("{folder}", &path.to_string()));
    }
    // The device keeps everybody else out; sixteen listening addresses are the most that sshd takes.
    line(&format!("ListenAddress 0.0.0.0:{port} rdomain lo"));
    for kind in &options.host_keys {
        line(&format!("HostKey {path}/{}", host_key(kind)));
    }
    if let (Some(_), Some(kind)) = (&options.host_certificate, options.host_keys.first()) {
        let key = host_key(kind);
        line(&format!("HostCertificate {path}/{key}-cert.pub"));
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
    line(&format!("Subsystem sftp {}", options.sftp_server));
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
    let mut process = sshd_command(folder)
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

/// The program sshd; in a mount namespace of its own, where it has an /etc of its own.
fn sshd_command(folder: &Path) -> Command {
    let etc = folder.join("etc");
    if !etc.exists() {
        return Command::new(SSHD);
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-ec"]);
    command.arg(
        r#"mount --bind "$1/etc" /etc; ! [ -e "$1/busybox" ] || mount --bind "$1/busybox" /bin/sh; shift; exec "$@""#,
    );
    command.arg("sh").arg(folder).arg(SSHD);
    command
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
