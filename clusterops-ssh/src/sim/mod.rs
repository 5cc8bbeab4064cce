#![doc = include_str!("sim.md")]

mod answer;
mod builtins;
mod command;
mod exec;
mod files;
mod host;
mod listen;
mod machine;
mod pattern;
mod process;
mod server;
mod sftp;
mod shell;

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use clusterops_core::Target;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use tempfile::TempDir;
use tokio::task::AbortHandle;

pub use answer::{Answer, Fault};
pub use command::{SimCommand, SimProgram};
pub use host::{Match, SimHost};
use listen::OwnPort;
use machine::Machine;
pub use process::{Signal, SimProcess, UnknownSignal};
use server::Server;

/// The address of the first host; the others follow.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// The address after the last one that a host can have.
const END_OF_ADDRESSES: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// Simulated hosts that are running. They end when this is dropped, with their connections and processes.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use clusterops_ssh::sim::{Sim, SimHost};
///
/// let sim = Sim::start((1..=1000).map(|n| SimHost::new(format!("node{n}")))).await?;
/// let target = sim.target("node1000");
/// println!(
///     "ssh -i {} -o UserKnownHostsFile={} -p {} {}@{} uname -n",
///     sim.identity_file().display(),
///     sim.known_hosts().display(),
///     target.port.unwrap(),
///     target.user.unwrap(),
///     target.address,
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sim {
    fleet: Arc<Fleet>,
    names: HashMap<String, usize>,
    folder: TempDir,
    port: u16,
    accepting: AbortHandle,
}

/// What the tasks of a simulator share.
#[derive(Debug)]
struct Fleet {
    machines: Vec<Arc<Machine>>,
    server: Arc<Server>,
    runtime: tokio::runtime::Handle,
}

/// A simulated host that is running: what happened on it, and what is wrong with it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use clusterops_ssh::sim::{Fault, Sim, SimHost};
///
/// let sim = Sim::start([SimHost::new("db1")]).await?;
/// let host = sim.host("db1");
/// host.write_file("/etc/app.conf", "port = 80\n")?;
/// host.fault(Fault::DiskFull);
/// // ... here runs what is tested ...
/// assert_eq!(host.read_file("/etc/app.conf")?, b"port = 80\n");
/// assert_eq!((host.connections(), host.commands().len(), host.processes().len()), (0, 0, 0));
/// host.heal();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SimHandle {
    machine: Arc<Machine>,
    server: Arc<Server>,
    runtime: tokio::runtime::Handle,
}

impl Sim {
    /// Starts hosts: the first on 127.1.0.1, the others on the addresses that follow.
    ///
    /// Several simulators can run at once, in one process or many; each has a port of its own.
    ///
    /// # Errors
    /// When two hosts have the same name, there are more than loopback has addresses, or the sockets and the temporary
    /// folder (for the client's key and the known hosts file) cannot be made.
    ///
    /// # Panics
    /// Outside a tokio runtime. The hosts live on the runtime that this is called on.
    pub async fn start(hosts: impl IntoIterator<Item = SimHost>) -> io::Result<Self> {
        let key = || {
            PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
                .map_err(io::Error::other)
        };
        let (identity, host_key, wrong_key) = (key()?, key()?, key()?);
        let server = Arc::new(Server::new(
            identity.public_key().clone(),
            &host_key,
            &wrong_key,
        ));

        let mut machines = Vec::new();
        let mut names = HashMap::new();
        for (index, host) in hosts.into_iter().enumerate() {
            let address = address(index)
                .ok_or_else(|| invalid("there are more hosts than loopback addresses".into()))?;
            if names.insert(host.name.clone(), index).is_some() {
                return Err(invalid(format!(
                    "two simulated hosts are called `{}`",
                    host.name
                )));
            }
            let own_port = host.own_port.then(|| OwnPort::new(address)).transpose()?;
            machines.push(Arc::new(Machine::new(host, address, own_port)));
        }
        let listener = listen::listen_everywhere()?;
        let port = listener.local_addr()?.port();
        let folder = tempfile::Builder::new()
            .prefix("clusterops-sim-")
            .tempdir()?;
        write_files(&folder, &identity, &host_key)?;

        let fleet = Arc::new(Fleet {
            machines,
            server,
            runtime: tokio::runtime::Handle::current(),
        });
        let accepting = tokio::spawn(listen::accept(Arc::new(listener), {
            let fleet = fleet.clone();
            move |stream, local| {
                let index = u32::from(local).checked_sub(u32::from(FIRST_ADDRESS));
                if let Some(machine) = index.and_then(|index| fleet.machines.get(index as usize)) {
                    fleet.server.serve(machine, stream);
                }
            }
        }));
        let sim = Self {
            fleet,
            names,
            folder,
            port,
            accepting: accepting.abort_handle(),
        };
        for handle in sim.hosts() {
            if !handle.machine.has(&Fault::Refuse) {
                handle.listen()?;
            }
        }
        Ok(sim)
    }

    /// All hosts as targets, in the order they were given.
    ///
    /// A target has the name, the address, the port, a user, and the files with the client's key and the host key. It
    /// can be sent to another process as JSON, which reaches the hosts as long as this process runs them.
    pub fn targets(&self) -> Vec<Target> {
        (0..self.fleet.machines.len())
            .map(|index| self.target_at(index))
            .collect()
    }

    /// One host as a target.
    ///
    /// # Panics
    /// If no host has this name.
    pub fn target(&self, name: &str) -> Target {
        self.target_at(self.index(name))
    }

    /// A handle on one host.
    ///
    /// # Panics
    /// If no host has this name.
    pub fn host(&self, name: &str) -> SimHandle {
        self.handle(self.index(name))
    }

    /// Handles on all hosts, in the order they were given.
    pub fn hosts(&self) -> impl Iterator<Item = SimHandle> + '_ {
        (0..self.fleet.machines.len()).map(|index| self.handle(index))
    }

    /// The file with the client's private key, in OpenSSH's format.
    pub fn identity_file(&self) -> PathBuf {
        self.folder.path().join("identity")
    }

    /// The known hosts file that names the key of all hosts.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    fn index(&self, name: &str) -> usize {
        match self.names.get(name) {
            Some(index) => *index,
            None => panic!("no simulated host is called `{name}`"),
        }
    }

    fn handle(&self, index: usize) -> SimHandle {
        SimHandle {
            machine: self.fleet.machines[index].clone(),
            server: self.fleet.server.clone(),
            runtime: self.fleet.runtime.clone(),
        }
    }

    fn target_at(&self, index: usize) -> Target {
        let machine = &self.fleet.machines[index];
        let own_port = machine.state().own_port.as_ref().map(OwnPort::port);
        Target {
            port: Some(own_port.unwrap_or(self.port)),
            user: Some(
                machine
                    .behaviour
                    .user
                    .clone()
                    .unwrap_or_else(|| "sim".to_owned()),
            ),
            identity_file: Some(self.identity_file()),
            known_hosts: Some(self.known_hosts()),
            ..Target::new(&machine.name, machine.address.to_string())
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.accepting.abort();
        for machine in &self.fleet.machines {
            machine.shut_down();
        }
    }
}

impl SimHandle {
    /// The host's name.
    pub fn name(&self) -> &str {
        &self.machine.name
    }

    /// Breaks the host. Connections that are open stay as they are; commands that start later have the fault.
    ///
    /// # Panics
    /// If a host that is to [refuse](Fault::Refuse) gets no port of its own, for want of file descriptors.
    pub fn fault(&self, fault: Fault) {
        let mut state = self.machine.state();
        if fault == Fault::Refuse {
            match &mut state.own_port {
                Some(own_port) => own_port.close(),
                none => {
                    let closed = OwnPort::new(self.machine.address);
                    *none = Some(closed.expect("a free port and file descriptor are all it needs"));
                }
            }
        }
        state.faults.push(fault);
    }

    /// Takes all faults away: the host works for whoever connects from now on. What a fault has begun stays: processes
    /// that never exit, and connections on which nothing is said.
    ///
    /// # Panics
    /// If a host with a port of its own cannot listen, for want of file descriptors.
    pub fn heal(&self) {
        {
            let mut state = self.machine.state();
            state.faults.clear();
            state.punished_since = None;
        }
        self.listen().expect(
            "a port that is reserved and a free file descriptor are all that listening needs",
        );
    }

    /// The content of a file.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn read_file(&self, path: &str) -> io::Result<Vec<u8>> {
        let content = self.machine.state().files.read(&files::absolute(path, "/"));
        content
            .map(|content| content.to_vec())
            .map_err(|error| file_error(path, error))
    }

    /// The permission bits of a file or folder, such as `0o644`.
    ///
    /// # Errors
    /// When there is none of this path.
    pub fn mode(&self, path: &str) -> io::Result<u32> {
        let files = &self.machine.state().files;
        let inode = files.find(&files::absolute(path, "/"));
        let node = inode.and_then(|inode| files.node(inode));
        node.map(|node| node.mode)
            .map_err(|error| file_error(path, error))
    }

    /// Writes a file and makes the folders it lies in; a file that exists keeps its mode, a new one has 0644. A full
    /// disk is no obstacle.
    ///
    /// # Errors
    /// When the path leads through a file or to a folder.
    pub fn write_file(&self, path: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        let absolute = files::absolute(path, "/");
        let written = self
            .machine
            .change(|files| files.put(&absolute, content.as_ref()));
        written.map_err(|error| file_error(path, error))
    }

    /// The commands that reached the host, oldest first; the last 1000.
    pub fn commands(&self) -> Vec<SimCommand> {
        self.machine
            .state()
            .commands
            .iter()
            .map(|command| SimCommand::clone(command))
            .collect()
    }

    /// The processes that run now, by their ids.
    pub fn processes(&self) -> Vec<SimProcess> {
        self.machine.state().processes.list().collect()
    }

    /// How many connections the host accepted so far, with those that a fault then ended.
    pub fn connections(&self) -> u64 {
        self.machine.state().accepted
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.machine.state().connections.len()
    }

    /// Cuts every connection at once, as when the network breaks; processes go on.
    pub fn cut_connections(&self) {
        self.machine.state().connections.clear();
    }

    /// Opens the port that is the host's own, if it has one.
    fn listen(&self) -> io::Result<()> {
        let _runtime = self.runtime.enter();
        let (server, machine) = (self.server.clone(), Arc::downgrade(&self.machine));
        let mut state = self.machine.state();
        let Some(own_port) = &mut state.own_port else {
            return Ok(());
        };
        own_port.open(move |stream, _| {
            if let Some(machine) = machine.upgrade() {
                server.serve(&machine, stream);
            }
        })
    }
}

fn address(index: usize) -> Option<Ipv4Addr> {
    let address = u32::from(FIRST_ADDRESS).checked_add(u32::try_from(index).ok()?)?;
    (address < u32::from(END_OF_ADDRESSES)).then(|| address.into())
}

/// Writes the client's key and the known hosts file, with mode 0600 in a folder with mode 0700.
fn write_files(folder: &TempDir, identity: &PrivateKey, host_key: &PrivateKey) -> io::Result<()> {
    let identity = identity
        .to_openssh(LineEnding::LF)
        .map_err(io::Error::other)?;
    private_file(folder, "identity", identity.as_bytes())?;
    let key = host_key
        .public_key()
        .to_openssh()
        .map_err(io::Error::other)?;
    // Wildcards and ports as in sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". A host can get a port of its own at any time.
    let known_hosts = format!("[127.*]:* {key}\n");
    private_file(folder, "known_hosts", known_hosts.as_bytes())
}

fn private_file(folder: &TempDir, name: &str, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.path().join(name))?;
    file.write_all(content)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn file_error(path: &str, error: files::FileError) -> io::Error {
    let kind = match error {
        files::FileError::NotFound => io::ErrorKind::NotFound,
        files::FileError::NotDirectory => io::ErrorKind::NotADirectory,
        files::FileError::IsDirectory => io::ErrorKind::IsADirectory,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("{path}: {error}"))
}

#[cfg(test)]
mod tests;
