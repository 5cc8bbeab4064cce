//! One command of a simulated host, played by one task that outlives its connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::server::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::oneshot;

use super::answer::{Answer, Ending, Fault, Stream};
use super::builtins::{Place, complain, is_process_tool};
use super::command::{SimCommand, SimProgram, home};
use super::files::absolute;
use super::machine::Machine;
use super::process::{ProcessTable, Signal};
use super::server::Server;
use super::shell::{self, When};
use crate::wire::{self, Leader, Program, Ready, Request};

/// The longest header, and the longest script, that a host takes.
const LONGEST_INPUT: usize = 64 << 20;

/// The piece that a flood is made of.
static FLOOD: [u8; 32 << 10] = {
    let mut block = [b'y'; 32 << 10];
    let mut at = 63;
    while at < block.len() {
        block[at] = b'\n';
        at += 64;
    }
    block
};

/// A command that is about to run.
#[derive(Debug)]
pub(super) struct Exec {
    pub(super) server: Arc<Server>,
    pub(super) machine: Arc<Machine>,
    pub(super) connection: u64,
    pub(super) user: String,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) pid: u32,
    pub(super) input: Input,
    pub(super) output: Output,
}

/// Where the command's output goes.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) channel: ChannelWriteHalf<Msg>,
    pub(super) session: Handle,
    /// Resolves when the channel is closed or the connection is gone.
    pub(super) closed: oneshot::Receiver<()>,
}

/// How a command that was read starts.
struct Start {
    tag: String,
    /// The line that says that it is there.
    ready: String,
    is_held: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Status(u8),
    Signal(Signal),
    NoStatus,
}

impl Exec {
    /// Plays the command until it ends by itself or by a signal.
    pub(super) async fn play(mut self, line: Vec<u8>, signal: oneshot::Receiver<Signal>) {
        let end = tokio::select! {
            biased;
            signal = signal => match signal {
                Ok(signal) => End::Signal(signal),
                // The host is gone.
                Err(_) => return,
            },
            end = self.run(&line) => end,
        };
        self.machine.state().processes.remove(self.pid);
        self.output.finish(end).await;
    }

    async fn run(&mut self, line: &[u8]) -> End {
        match self.try_run(line).await {
            Ok(status) => End::Status(status),
            Err(end) => end,
        }
    }

    async fn try_run(&mut self, line: &[u8]) -> Result<u8, End> {
        let mut command = SimCommand {
            host: self.machine.name.clone(),
            user: self.user.clone(),
            program: SimProgram::Shell(String::from_utf8_lossy(line).into_owned()),
            environment: std::mem::take(&mut self.environment),
            directory: None,
        };
        let mut start = match line == wire::BOOTSTRAP.as_bytes() {
            true => Some(self.read_request(&mut command).await?),
            false => None,
        };
        let command = Arc::new(command);
        self.machine.state().processes.name(self.pid, &command);
        if let Some(held) = start.take_if(|start| start.is_held) {
            self.output.write(Stream::Out, held.ready.into()).await?;
            let word = self.input.line().await;
            if word.is_none_or(|word| word != held.tag) {
                return Err(End::Status(125));
            }
        }
        self.machine.remember(&command);
        let answer = self.machine.behaviour.answer(&command);
        let answer = answer.map(|answer| self.machine.with_faults(answer));
        if let Some(answer) = &answer {
            // Before the client can know that there is a process to signal.
            self.heed_signals(answer);
            if !answer.echo {
                // Input that nobody reads must not hold up the connection.
                self.input = Input::default();
            }
        }
        if let Some(start) = start {
            self.output.write(Stream::Out, start.ready.into()).await?;
        }
        match answer {
            Some(answer) => self.perform(answer, &command).await,
            None => self.program(&command).await,
        }
    }

    /// Reads the request that follows the bootstrap, and says how it starts. What cannot be started is answered as the
    /// real shell does, and ends.
    async fn read_request(&mut self, command: &mut SimCommand) -> Result<Start, End> {
        let Some(header) = self.input.line().await else {
            // `read` fails at the end of the input.
            return Err(End::Status(1));
        };
        let request = std::str::from_utf8(&header)
            .ok()
            .and_then(Request::from_header);
        let Some(request) = request else {
            let message =
                "sh: 1: eval: simulated hosts understand only headers that clusterops writes\n";
            self.output.write(Stream::Err, message.into()).await?;
            return Err(End::Status(2));
        };
        let end_of_script = request.script_end();
        command.environment.extend(request.environment);
        if let Some(directory) = &request.directory
            && !self.is_folder(directory)
        {
            return Err(self.refuse(&request.tag, Ready::NoDirectory).await);
        }
        command.directory = request.directory;
        command.program = match request.program {
            Program::Words(words) => SimProgram::Words(words),
            Program::Shell(line) => SimProgram::Shell(line),
            Program::Script {
                interpreter,
                arguments,
                length,
            } => {
                // The script is stored in a temporary file first.
                let has_space = self.is_folder("/tmp") && !self.machine.has(&Fault::DiskFull);
                let text = match usize::try_from(length) {
                    Ok(length) if has_space => {
                        self.input.script(length, end_of_script.as_bytes()).await
                    }
                    _ => None,
                };
                let Some(text) = text else {
                    return Err(self.refuse(&request.tag, Ready::NoScript).await);
                };
                SimProgram::Script {
                    interpreter,
                    arguments,
                    text: self.server.share(&text),
                }
            }
        };
        let leader = Leader {
            pid: self.pid,
            birth: request
                .is_held
                .then(|| ProcessTable::birth(self.pid))
                .flatten(),
        };
        Ok(Start {
            ready: wire::ready_line(&request.tag, Ready::Process(leader)),
            is_held: request.is_held,
            tag: request.tag,
        })
    }

    async fn refuse(&mut self, tag: &str, why: Ready) -> End {
        let line = wire::ready_line(tag, why);
        match self.output.write(Stream::Out, line.into()).await {
            Ok(()) => End::Status(125),
            Err(end) => end,
        }
    }

    fn heed_signals(&self, answer: &Answer) {
        let mut state = self.machine.state();
        state
            .processes
            .set_ignores_term(self.pid, answer.ignores_term);
    }

    fn is_folder(&self, path: &str) -> bool {
        let path = absolute(path, &home(&self.user));
        self.machine.state().files.is_folder(&path)
    }

    /// Runs a command that no answer was set for.
    async fn program(&mut self, command: &Arc<SimCommand>) -> Result<u8, End> {
        let mut directory = home(&command.user);
        if let Some(asked) = &command.directory {
            directory = absolute(asked, &directory);
        }
        match &command.program {
            SimProgram::Script { .. } => {
                self.perform(self.machine.with_faults(Answer::new()), command)
                    .await
            }
            SimProgram::Words(words) => {
                let words = words.clone();
                self.words(words, command, &mut directory).await
            }
            SimProgram::Shell(line) => self.line(line, command, directory).await,
        }
    }

    /// Runs the simple commands of a shell line one after another.
    async fn line(
        &mut self,
        line: &str,
        command: &Arc<SimCommand>,
        mut directory: String,
    ) -> Result<u8, End> {
        let steps = match shell::split(line) {
            Ok(steps) => steps,
            Err(what) => {
                let answer = complain(
                    127,
                    &format!("simulated hosts do not understand {what}; give this line an answer"),
                );
                return self
                    .perform(self.machine.with_faults(answer), command)
                    .await;
            }
        };
        let single = steps.len() == 1;
        let mut status = 0;
        for step in steps {
            let runs = match step.when {
                When::Always => true,
                When::Succeeded => status == 0,
                When::Failed => status != 0,
            };
            if !runs {
                continue;
            }
            let words = Place {
                machine: &self.machine,
                command,
                directory: directory.clone(),
            }
            .expand(step.words);
            if words[0] == "exit" {
                return Ok(words
                    .get(1)
                    .and_then(|status| status.parse().ok())
                    .unwrap_or(status));
            }
            status = match single {
                true => self.words(words, command, &mut directory).await?,
                false => {
                    let part = Arc::new(SimCommand {
                        program: SimProgram::Words(words.clone()),
                        ..SimCommand::clone(command)
                    });
                    match self.machine.behaviour.answer(&part) {
                        Some(answer) => {
                            self.perform(self.machine.with_faults(answer), &part)
                                .await?
                        }
                        None => self.words(words, &part, &mut directory).await?,
                    }
                }
            };
        }
        Ok(status)
    }

    /// Runs one simple command that no answer was set for.
    async fn words(
        &mut self,
        mut words: Vec<String>,
        command: &Arc<SimCommand>,
        directory: &mut String,
    ) -> Result<u8, End> {
        let mut inner = SimCommand::clone(command);
        let mut is_changed = false;
        loop {
            match words.first().map(String::as_str) {
                Some("exec") if words.len() > 1 => {}
                Some("env") if words.len() > 1 => {}
                Some(assignment) if is_assignment(assignment) => {
                    let (name, value) = assignment.split_once('=').unwrap_or((assignment, ""));
                    inner.environment.insert(name.to_owned(), value.to_owned());
                }
                _ => break,
            }
            words.remove(0);
            is_changed = true;
        }
        if words.is_empty() {
            // Assignments alone, or `env` with nothing to run.
            if !command.line().starts_with("env ") {
                return Ok(0);
            }
            words.push("env".to_owned());
        }
        inner.program = match words.as_slice() {
            [sh, flag, line] if flag == "-c" && is_shell(sh) => {
                is_changed = true;
                SimProgram::Shell(line.clone())
            }
            words => SimProgram::Words(words.to_vec()),
        };
        if is_changed {
            let inner = Arc::new(inner);
            if let Some(answer) = self.machine.behaviour.answer(&inner) {
                return self.perform(self.machine.with_faults(answer), &inner).await;
            }
            if let SimProgram::Shell(line) = &inner.program {
                return Box::pin(self.line(line, &inner, directory.clone())).await;
            }
            return self.builtin(&words, &inner, directory).await;
        }
        self.builtin(&words, command, directory).await
    }

    async fn builtin(
        &mut self,
        words: &[String],
        command: &Arc<SimCommand>,
        directory: &mut String,
    ) -> Result<u8, End> {
        let mut place = Place {
            machine: &self.machine,
            command,
            directory: std::mem::take(directory),
        };
        let answer = place.run(words);
        *directory = place.directory;
        let answer = answer.unwrap_or_else(|| complain(127, &format!("{}: not found", words[0])));
        let answer = match is_process_tool(&words[0]) {
            true => answer,
            false => self.machine.with_faults(answer),
        };
        self.perform(answer, command).await
    }

    /// Plays an answer; `Err` when the process ends with it otherwise than by an exit status.
    async fn perform(&mut self, mut answer: Answer, command: &Arc<SimCommand>) -> Result<u8, End> {
        self.heed_signals(&answer);
        for title in answer.detached.drain(..) {
            self.machine.state().processes.detach(title, command);
        }
        if answer.drops_connection {
            self.machine.cut(self.connection);
            // Or the end of a quick command would still get through.
            self.output.lost().await;
        }
        if answer.delay > Duration::ZERO {
            tokio::time::sleep(answer.delay).await;
        }
        for (path, content) in &answer.files {
            if let Err(error) = self.machine.write(|files| files.put(path, content)) {
                let complaint = format!("sh: 1: cannot create {path}: {error}\n");
                self.output.write(Stream::Err, complaint.into()).await?;
                return Ok(1);
            }
        }
        for (stream, piece) in answer.pieces {
            match answer.drip {
                None => self.output.write(stream, piece).await?,
                Some((bytes, every)) => self.output.drip(stream, piece, bytes, every).await?,
            }
        }
        while answer.flood > 0 {
            let length = FLOOD
                .len()
                .min(usize::try_from(answer.flood).unwrap_or(usize::MAX));
            self.output
                .write(Stream::Out, Bytes::from_static(&FLOOD[..length]))
                .await?;
            if answer.flood != u64::MAX {
                answer.flood -= length as u64;
            }
        }
        if answer.echo {
            while let Some(data) = self.input.next().await {
                self.output.write(Stream::Out, data).await?;
            }
        }
        match answer.ending {
            Ending::Status(status) => Ok(status),
            Ending::Signal(signal) => Err(End::Signal(signal)),
            Ending::NoStatus => Err(End::NoStatus),
            Ending::Never => {
                // Nobody reads the input any more, and it must not hold up the connection.
                self.input = Input::default();
                std::future::pending().await
            }
        }
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash"))
}

impl Output {
    /// Writes to the client; a channel that is closed ends the process as a closed pipe does.
    async fn write(&mut self, stream: Stream, data: Bytes) -> Result<(), End> {
        let written = async {
            match stream {
                Stream::Out => self.channel.data_bytes(data).await,
                // RFC 4254, section 5.2: SSH_EXTENDED_DATA_STDERR.
                Stream::Err => self.channel.extended_data_bytes(1, data).await,
            }
        };
        tokio::select! {
            biased;
            _ = &mut self.closed => Err(End::Signal(Signal::Pipe)),
            written = written => written.map_err(|_| End::Signal(Signal::Pipe)),
        }
    }

    /// Waits until the connection that was cut is gone; what is written afterwards meets a closed pipe.
    async fn lost(&mut self) {
        let _ = (&mut self.closed).await;
        self.closed = oneshot::channel().1;
    }

    async fn drip(
        &mut self,
        stream: Stream,
        mut data: Bytes,
        bytes: usize,
        every: Duration,
    ) -> Result<(), End> {
        while !data.is_empty() {
            let piece = data.split_to(bytes.min(data.len()));
            self.write(stream, piece).await?;
            tokio::time::sleep(every).await;
        }
        Ok(())
    }

    /// Tells the client how the process ended, and closes the channel. A client that is gone is told nothing.
    async fn finish(self, end: End) {
        let _ = self.try_finish(end).await;
    }

    async fn try_finish(&self, end: End) -> Result<(), russh::Error> {
        match end {
            End::Status(status) => self.channel.exit_status(status.into()).await?,
            End::NoStatus => {}
            End::Signal(signal) => self
                .session
                .exit_signal_request(
                    self.channel.id(),
                    Sig::Custom(signal.name().to_owned()),
                    false,
                    String::new(),
                    String::new(),
                )
                .await
                .map_err(|()| russh::Error::SendError)?,
        }
        self.channel.eof().await?;
        self.channel.close().await
    }
}

/// The standard input of a command; empty once it is taken away.
#[derive(Debug, Default)]
pub(super) struct Input {
    channel: Option<ChannelReadHalf>,
    buffer: BytesMut,
}

impl Input {
    pub(super) fn new(channel: ChannelReadHalf) -> Self {
        Self {
            channel: Some(channel),
            buffer: BytesMut::new(),
        }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.buffer.is_empty() {
            return Some(self.buffer.split().freeze());
        }
        loop {
            match self.channel.as_mut()?.wait().await {
                Some(ChannelMsg::Data { data }) => return Some(data),
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => {
                    self.channel = None;
                    return None;
                }
                Some(_) => {}
            }
        }
    }

    async fn fill(&mut self) -> Option<()> {
        // `next` would give back the buffer itself.
        let before = self.buffer.split();
        let more = self.next().await;
        self.buffer = before;
        self.buffer.extend_from_slice(&more?);
        Some(())
    }

    /// A line without its line feed; `None` when the input ends before one, or there is none within the limit.
    async fn line(&mut self) -> Option<Bytes> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..]
                .iter()
                .position(|&byte| byte == b'\n')
            {
                let line = self.buffer.split_to(searched + at).freeze();
                let _line_feed = self.buffer.split_to(1);
                return Some(line);
            }
            searched = self.buffer.len();
            if searched > LONGEST_INPUT {
                return None;
            }
            self.fill().await?;
        }
    }

    /// A script of this length that is followed by the line which says that it is whole.
    async fn script(&mut self, length: usize, end: &[u8]) -> Option<Bytes> {
        let whole = length
            .checked_add(end.len())
            .filter(|whole| *whole <= LONGEST_INPUT)?;
        while self.buffer.len() < whole {
            self.fill().await?;
        }
        let text = self.buffer.split_to(length).freeze();
        (self.buffer.split_to(end.len()) == end).then_some(text)
    }
}
