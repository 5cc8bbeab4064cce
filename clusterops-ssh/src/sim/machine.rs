//! A simulated host while it runs: what its connections, commands and handles share.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::answer::{Answer, Fault};
use super::command::SimCommand;
use super::files::{FileError, Tree};
use super::host::{Behaviour, SimHost};
use super::listen::OwnPort;
use super::process::ProcessTable;

/// How many commands of a host are remembered.
const REMEMBERED: usize = 1000;

/// A running host.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    pub(super) behaviour: Arc<Behaviour>,
    state: Mutex<State>,
}

/// What changes while a host runs.
#[derive(Debug)]
pub(super) struct State {
    pub(super) faults: Vec<Fault>,
    pub(super) files: Arc<Tree>,
    pub(super) processes: ProcessTable,
    pub(super) commands: VecDeque<Arc<SimCommand>>,
    /// When a connection was first [not allowed](Fault::NotAllowed).
    pub(super) punished_since: Option<Instant>,
    /// How many connections were accepted so far.
    pub(super) accepted: u64,
    /// The open connections; dropping a sender cuts its connection.
    pub(super) connections: HashMap<u64, oneshot::Sender<()>>,
    pub(super) own_port: Option<OwnPort>,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Serve { wrong_key: bool },
    Close,
    NotAllowed,
    Reset,
    Silence,
    DropInKeyExchange,
}

impl Machine {
    pub(super) fn new(host: SimHost, address: Ipv4Addr, own_port: Option<OwnPort>) -> Self {
        Self {
            name: host.name,
            address,
            behaviour: host.behaviour,
            state: Mutex::new(State {
                faults: host.faults,
                files: host.files,
                processes: ProcessTable::default(),
                commands: VecDeque::new(),
                punished_since: None,
                accepted: 0,
                connections: HashMap::new(),
                own_port,
            }),
        }
    }

    /// The state, for a moment: no lock is held across an `await` or a call of the user's code.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // What a panic elsewhere left behind is still a valid state: every change is made in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, fault: &Fault) -> bool {
        self.state().faults.contains(fault)
    }

    /// Counts a new connection and says what becomes of it.
    pub(super) fn admit(&self) -> Admission {
        let mut state = self.state();
        state.accepted += 1;
        let state = &mut *state;
        for fault in &mut state.faults {
            match fault {
                Fault::Refuse => return Admission::Reset,
                Fault::Silent => return Admission::Silence,
                Fault::DropInKeyExchange => return Admission::DropInKeyExchange,
                Fault::DropFirst(left) if *left > 0 => {
                    *left -= 1;
                    return Admission::Close;
                }
                Fault::NotAllowed(penalty) => {
                    let since = *state.punished_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < *penalty {
                        return Admission::NotAllowed;
                    }
                }
                _ => {}
            }
        }
        Admission::Serve {
            wrong_key: state.faults.contains(&Fault::WrongHostKey),
        }
    }

    /// The answer with the faults that the host has now.
    pub(super) fn with_faults(&self, answer: Answer) -> Answer {
        self.state()
            .faults
            .iter()
            .fold(answer, |answer, fault| fault.on(answer))
    }

    /// Notes a command.
    pub(super) fn remember(&self, command: &Arc<SimCommand>) {
        let mut state = self.state();
        if state.commands.len() == REMEMBERED {
            state.commands.pop_front();
        }
        state.commands.push_back(command.clone());
    }

    /// Changes the file tree, unless the disk is full.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut Tree) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let mut state = self.state();
        if state.faults.contains(&Fault::DiskFull) {
            return Err(FileError::NoSpace);
        }
        change(Arc::make_mut(&mut state.files))
    }

    /// Changes the file tree in a way that needs no space.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Tree) -> T) -> T {
        change(Arc::make_mut(&mut self.state().files))
    }

    /// Cuts a connection at once, without a word.
    pub(super) fn cut(&self, connection: u64) {
        self.state().connections.remove(&connection);
    }

    /// Ends everything that runs.
    pub(super) fn shut_down(&self) {
        let mut state = self.state();
        state.own_port = None;
        state.connections.clear();
        state.processes.clear();
    }
}
