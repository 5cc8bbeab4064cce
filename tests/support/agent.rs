//! OpenSSH's ssh-agent, started for one test.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A running agent without keys; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    /// Starts an agent whose socket is in this folder.
    pub(crate) fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("the OpenSSH client is installed");
        let deadline = Instant::now() + Duration::from_secs(20);
        // The socket is there a moment before it listens.
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "the agent did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { process, socket }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Adds a key, and the certificate beside it.
    pub(crate) fn add(&self, key: &Path) {
        let key = key.to_str().expect("our own folder");
        let added = self.ssh_add(&["-q", key]);
        assert!(added.status.success(), "{added:?}");
    }

    /// Locks the agent: it lists no key and signs nothing.
    pub(crate) fn lock(&self) {
        let locked = self.ssh_add(&["-x"]);
        assert!(locked.status.success(), "{locked:?}");
    }

    /// Ends the agent, whose socket is left behind.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn ssh_add(&self, arguments: &[&str]) -> Output {
        // The program that is asked for passwords prints the folder, which is one.
        Command::new("ssh-add")
            .args(arguments)
            .env("SSH_AUTH_SOCK", &self.socket)
            .env("SSH_ASKPASS", "/bin/pwd")
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .output()
            .expect("the OpenSSH client is installed")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}
