//! Files to hosts, by SFTP (draft-ietf-secsh-filexfer-02, the version that OpenSSH speaks).

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use russh::ChannelMsg;
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::task::{JoinSet, spawn_blocking};

use crate::session::Session;
use crate::{Error, ErrorKind, Result};

/// What one write carries; OpenSSH's sftp(1) uses the same.
const BLOCK: usize = 32 << 10;

/// Writes under way at once.
const WINDOW: usize = 16;

/// What a host may take for one answer, in seconds. The stage's deadline bounds the whole.
const ANSWER: u64 = 60;

/// How long removing an unfinished file may take.
const CLEANING: Duration = Duration::from_secs(5);

/// A file transfer connection inside a session.
pub(crate) struct Sftp {
    raw: Arc<RawSftpSession>,
    has_posix_rename: bool,
}

/// An upload under way: the file has a temporary name beside its final one, which [`Upload::discard`] removes.
pub(crate) struct Upload<'a> {
    sftp: &'a Sftp,
    destination: &'a str,
    temporary: String,
}

impl Sftp {
    pub(crate) async fn open(session: &Session) -> Result<Self> {
        let mut channel = session.channel().await?;
        channel
            .request_subsystem(true, "sftp")
            .await
            .map_err(|error| Error::from(error).on(session.host()))?;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => break,
                Some(ChannelMsg::WindowAdjusted { .. }) => {}
                Some(_) | None => {
                    let message = "the server offers no file transfer (sshd_config needs `Subsystem sftp internal-sftp`)";
                    return Err(Error::new(ErrorKind::Transfer, message).on(session.host()));
                }
            }
        }
        let raw = RawSftpSession::new(channel.into_stream());
        raw.set_timeout(ANSWER);
        let version = raw
            .init()
            .await
            .map_err(|error| failed("the file transfer cannot start", error))?;
        let has_posix_rename = version.extensions.contains_key("posix-rename@openssh.com");
        Ok(Self {
            raw: Arc::new(raw),
            has_posix_rename,
        })
    }

    /// Starts an upload to `destination`. `tag` makes the temporary name unique.
    pub(crate) fn upload<'a>(&'a self, destination: &'a str, tag: &str) -> Upload<'a> {
        // An SFTP server starts in the login directory, and knows no tilde.
        let destination = destination.strip_prefix("~/").unwrap_or(destination);
        let (folder, name) = match destination.rsplit_once('/') {
            Some((folder, name)) => (format!("{folder}/"), name),
            None => (String::new(), destination),
        };
        // NAME_MAX, mostly 255, counts bytes.
        let name = &name[..name.floor_char_boundary(200)];
        let temporary = format!("{folder}.{name}.{tag}.part");
        Upload {
            sftp: self,
            destination,
            temporary,
        }
    }

    /// Says goodbye.
    pub(crate) fn close(self) {
        let _ = self.raw.close_session();
    }
}

impl Upload<'_> {
    /// Sends the whole file, sets its mode and gives it its name. Until then nobody but its owner can read it.
    pub(crate) async fn send(&self, file: File, mode: u32) -> Result<()> {
        let (raw, temporary) = (&self.sftp.raw, &self.temporary);
        let flags = OpenFlags::CREATE | OpenFlags::EXCLUDE | OpenFlags::WRITE;
        let private = FileAttributes {
            permissions: Some(0o600),
            ..FileAttributes::empty()
        };
        let handle = raw
            .open(temporary, flags, private)
            .await
            .map_err(|error| failed(&format!("`{}` cannot be written", self.destination), error))?
            .handle;
        let written = self.write(&handle, file).await;
        let closed = raw.close(&handle).await;
        written?;
        closed.map_err(|error| self.failed(error))?;
        let attributes = FileAttributes {
            permissions: Some(mode),
            ..FileAttributes::empty()
        };
        raw.setstat(temporary, attributes)
            .await
            .map_err(|error| self.failed(error))?;
        let renamed = self.rename().await;
        if renamed.is_err()
            && let Ok(found) = raw.stat(self.destination).await
            && found.attrs.is_dir()
        {
            let what = format!("`{}` cannot be written", self.destination);
            return Err(
                Error::new(ErrorKind::Transfer, what).caused_by("it is a folder on the host")
            );
        }
        renamed
    }

    async fn write(&self, handle: &str, mut file: File) -> Result<()> {
        let mut writes = JoinSet::new();
        let mut offset = 0;
        loop {
            let (back, block) = spawn_blocking(move || {
                let mut block = Vec::with_capacity(BLOCK * 8);
                let read = file.by_ref().take(BLOCK as u64 * 8).read_to_end(&mut block);
                (file, read.map(|_| block))
            })
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Local, "reading the local file failed").caused_by(error)
            })?;
            file = back;
            let block = block.map_err(|error| {
                Error::new(ErrorKind::Local, "the local file cannot be read").caused_by(error)
            })?;
            if block.is_empty() {
                break;
            }
            for piece in block.chunks(BLOCK) {
                while writes.len() >= WINDOW {
                    self.written(writes.join_next().await)?;
                }
                let (raw, handle, piece) = (
                    Arc::clone(&self.sftp.raw),
                    handle.to_owned(),
                    piece.to_vec(),
                );
                let at = offset;
                offset += piece.len() as u64;
                writes.spawn(async move { raw.write(handle, at, piece).await });
            }
        }
        while !writes.is_empty() {
            self.written(writes.join_next().await)?;
        }
        Ok(())
    }

    fn written<T>(
        &self,
        done: Option<Result<Result<T, SftpError>, tokio::task::JoinError>>,
    ) -> Result<()> {
        match done {
            Some(Ok(Err(error))) => Err(self.failed(error)),
            Some(Err(error)) => {
                Err(Error::new(ErrorKind::Transfer, "a write did not end").caused_by(error))
            }
            Some(Ok(Ok(_))) | None => Ok(()),
        }
    }

    /// SSH_FXP_RENAME refuses to replace a file in this version of the protocol; OpenSSH's extension does it atomically.
    async fn rename(&self) -> Result<()> {
        let raw = &self.sftp.raw;
        if !self.sftp.has_posix_rename {
            return raw
                .rename(&self.temporary, self.destination)
                .await
                .map(drop)
                .map_err(|error| self.failed(error));
        }
        let mut data = Vec::new();
        for path in [self.temporary.as_str(), self.destination] {
            data.extend_from_slice(&(path.len() as u32).to_be_bytes());
            data.extend_from_slice(path.as_bytes());
        }
        let answer = raw
            .extended("posix-rename@openssh.com", data)
            .await
            .map_err(|error| self.failed(error))?;
        match answer {
            russh_sftp::protocol::Packet::Status(status)
                if status.status_code != StatusCode::Ok =>
            {
                Err(self.failed(SftpError::Status(status)))
            }
            _ => Ok(()),
        }
    }

    /// Removes what an upload that did not end left behind. Says whether it is gone.
    pub(crate) async fn discard(&self) -> bool {
        match tokio::time::timeout(CLEANING, self.sftp.raw.remove(&self.temporary)).await {
            Ok(Ok(_)) => true,
            Ok(Err(SftpError::Status(status))) => status.status_code == StatusCode::NoSuchFile,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    fn failed(&self, error: SftpError) -> Error {
        failed(&format!("`{}` cannot be written", self.destination), error)
    }
}

fn failed(what: &str, error: SftpError) -> Error {
    match error {
        SftpError::Status(status) => {
            let why = match status.status_code {
                StatusCode::NoSuchFile => "no such folder on the host".to_owned(),
                StatusCode::PermissionDenied => "permission denied on the host".to_owned(),
                _ => format!("the host says: {}", status.error_message),
            };
            Error::new(ErrorKind::Transfer, what).caused_by(why)
        }
        SftpError::Timeout => {
            Error::new(ErrorKind::Timeout, what).caused_by(format!("no answer within {ANSWER}s"))
        }
        // The library's words for this speak of its own channels.
        _ => Error::new(ErrorKind::Disconnected, what).caused_by("the connection was lost"),
    }
}
