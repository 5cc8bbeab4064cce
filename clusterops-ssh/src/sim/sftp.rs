//! The SFTP subsystem (draft-ietf-secsh-filexfer-02, version 3) over a host's file tree, with OpenSSH's extensions for
//! renaming and syncing (OpenSSH's PROTOCOL, section 4).

use std::collections::HashMap;
use std::sync::Arc;

use russh_sftp::protocol::{
    Attrs, Data, File, FileAttributes, FileMode, Handle, Name, OpenFlags, Packet, Status,
    StatusCode, Version,
};
use russh_sftp::server::{Handler, StatusReply};

use super::files::{FileError, Inode, Node, absolute};
use super::machine::Machine;

/// The most that one read yields, as in OpenSSH's sftp-server.
const LONGEST_READ: u32 = 256 << 10;

/// How many handles a client can have open, as in OpenSSH's sftp-server for the usual limit of descriptors.
const MOST_HANDLES: usize = 1000;

/// One SFTP session.
#[derive(Debug)]
pub(super) struct Sftp {
    machine: Arc<Machine>,
    home: String,
    handles: HashMap<String, Opened>,
    opened: u64,
}

#[derive(Debug)]
enum Opened {
    File { inode: Inode, flags: OpenFlags },
    Folder { path: String, is_listed: bool },
}

impl Sftp {
    pub(super) fn new(machine: Arc<Machine>, home: String) -> Self {
        Self {
            machine,
            home,
            handles: HashMap::new(),
            opened: 0,
        }
    }

    fn path(&self, path: &str) -> String {
        absolute(path, &self.home)
    }

    fn add(&mut self, opened: Opened) -> String {
        self.opened += 1;
        let handle = self.opened.to_string();
        self.handles.insert(handle.clone(), opened);
        handle
    }

    fn file(&self, handle: &str) -> Result<(Inode, OpenFlags), StatusReply> {
        match self.handles.get(handle) {
            Some(Opened::File { inode, flags }) => Ok((*inode, *flags)),
            _ => Err(StatusCode::Failure.with_message("Invalid handle")),
        }
    }

    fn attributes(&self, path: &str) -> Result<FileAttributes, StatusReply> {
        let state = self.machine.state();
        let inode = state.files.find(&self.path(path)).map_err(reply)?;
        Ok(attributes(state.files.node(inode).map_err(reply)?))
    }

    fn change(&self, inode: Inode, change: &FileAttributes) -> Result<(), StatusReply> {
        if let Some(size) = change.size {
            self.machine
                .write(|files| files.node_mut(inode)?.resize(size))
                .map_err(reply)?;
        }
        self.machine
            .change(|files| {
                let node = files.node_mut(inode)?;
                if let Some(mode) = change.permissions {
                    node.mode = mode & 0o7777;
                }
                if let (Some(accessed), Some(modified)) = (change.atime, change.mtime) {
                    (node.accessed, node.modified) = (accessed, modified);
                }
                Ok(())
            })
            .map_err(reply)
    }
}

impl Drop for Sftp {
    fn drop(&mut self) {
        for opened in self.handles.values() {
            if let Opened::File { inode, .. } = opened {
                self.machine.change(|files| files.close(*inode));
            }
        }
    }
}

impl Handler for Sftp {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Result<Version, StatusReply> {
        let mut version = Version::new();
        for extension in ["posix-rename@openssh.com", "fsync@openssh.com"] {
            version
                .extensions
                .insert(extension.to_owned(), "1".to_owned());
        }
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        flags: OpenFlags,
        attrs: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        if self.handles.len() == MOST_HANDLES {
            return Err(StatusCode::Failure.into());
        }
        let path = self.path(&filename);
        let has = |flag| flags.contains(flag);
        let inode = self
            .machine
            .change(|files| {
                let inode = match files.find(&path) {
                    Ok(_) if has(OpenFlags::CREATE) && has(OpenFlags::EXCLUDE) => {
                        return Err(FileError::Exists);
                    }
                    Ok(inode) => inode,
                    Err(FileError::NotFound) if has(OpenFlags::CREATE) => {
                        // sftp-server creates with the mode it is given, or 0666, less its umask.
                        files.create(&path, attrs.permissions.unwrap_or(0o666) & !0o022)?
                    }
                    Err(error) => return Err(error),
                };
                let node = files.node_mut(inode)?;
                if node.is_folder() {
                    return Err(FileError::IsDirectory);
                }
                if has(OpenFlags::TRUNCATE) && has(OpenFlags::WRITE) {
                    node.resize(0)?;
                }
                files.open(inode)?;
                Ok(inode)
            })
            .map_err(reply)?;
        let handle = self.add(Opened::File { inode, flags });
        Ok(Handle { id, handle })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        match self.handles.remove(&handle) {
            Some(Opened::File { inode, .. }) => self.machine.change(|files| files.close(inode)),
            Some(Opened::Folder { .. }) => {}
            None => return Err(StatusCode::Failure.with_message("Invalid handle")),
        }
        Ok(ok(id))
    }

    async fn read(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        len: u32,
    ) -> Result<Data, StatusReply> {
        let (inode, flags) = self.file(&handle)?;
        if !flags.contains(OpenFlags::READ) {
            return Err(StatusCode::PermissionDenied.into());
        }
        let state = self.machine.state();
        let node = state.files.node(inode).map_err(reply)?;
        let content = node.content.as_ref().ok_or(StatusCode::Failure)?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let end = content
            .len()
            .min(start.saturating_add(len.min(LONGEST_READ) as usize));
        if start == content.len() {
            return Err(StatusCode::Eof.into());
        }
        Ok(Data {
            id,
            data: content[start..end].to_vec(),
        })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, StatusReply> {
        let (inode, flags) = self.file(&handle)?;
        if !flags.contains(OpenFlags::WRITE) {
            return Err(StatusCode::PermissionDenied.into());
        }
        self.machine
            .write(|files| {
                let node = files.node_mut(inode)?;
                let offset = match flags.contains(OpenFlags::APPEND) {
                    true => node.size(),
                    false => offset,
                };
                node.write_at(offset, &data)
            })
            .map_err(reply)?;
        Ok(ok(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let attrs = self.attributes(&path)?;
        Ok(Attrs { id, attrs })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let attrs = self.attributes(&path)?;
        Ok(Attrs { id, attrs })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        let (inode, _) = self.file(&handle)?;
        let state = self.machine.state();
        let attrs = attributes(state.files.node(inode).map_err(reply)?);
        Ok(Attrs { id, attrs })
    }

    async fn setstat(
        &mut self,
        id: u32,
        path: String,
        attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        let inode = self
            .machine
            .state()
            .files
            .find(&self.path(&path))
            .map_err(reply)?;
        self.change(inode, &attrs)?;
        Ok(ok(id))
    }

    async fn fsetstat(
        &mut self,
        id: u32,
        handle: String,
        attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        let (inode, _) = self.file(&handle)?;
        self.change(inode, &attrs)?;
        Ok(ok(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusReply> {
        if self.handles.len() == MOST_HANDLES {
            return Err(StatusCode::Failure.into());
        }
        let path = self.path(&path);
        if !self.machine.state().files.is_folder(&path) {
            return Err(StatusCode::NoSuchFile.into());
        }
        let handle = self.add(Opened::Folder {
            path,
            is_listed: false,
        });
        Ok(Handle { id, handle })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        let Some(Opened::Folder { path, is_listed }) = self.handles.get_mut(&handle) else {
            return Err(StatusCode::Failure.with_message("Invalid handle"));
        };
        if std::mem::replace(is_listed, true) {
            return Err(StatusCode::Eof.into());
        }
        let state = self.machine.state();
        let folder = state
            .files
            .find(path)
            .and_then(|inode| state.files.node(inode))
            .map_err(reply)?;
        let mut files: Vec<File> = [".", ".."]
            .map(|name| File::new(name, attributes(folder)))
            .into();
        for (name, node) in state.files.list(path).map_err(reply)? {
            files.push(File::new(name, attributes(&node)));
        }
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, StatusReply> {
        let path = self.path(&filename);
        self.machine
            .change(|files| files.remove(&path))
            .map_err(reply)?;
        Ok(ok(id))
    }

    async fn mkdir(
        &mut self,
        id: u32,
        path: String,
        attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        let mode = attrs.permissions.unwrap_or(0o777) & !0o022;
        self.machine
            .write(|files| files.make_folder(&path, mode))
            .map_err(reply)?;
        Ok(ok(id))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        let path = self.path(&path);
        self.machine
            .change(|files| files.remove_folder(&path))
            .map_err(reply)?;
        Ok(ok(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let files = vec![File::dummy(self.path(&path))];
        Ok(Name { id, files })
    }

    async fn rename(
        &mut self,
        id: u32,
        oldpath: String,
        newpath: String,
    ) -> Result<Status, StatusReply> {
        let (from, to) = (self.path(&oldpath), self.path(&newpath));
        self.machine
            .change(|files| files.rename(&from, &to, false))
            .map_err(reply)?;
        Ok(ok(id))
    }

    async fn extended(
        &mut self,
        id: u32,
        request: String,
        data: Vec<u8>,
    ) -> Result<Packet, StatusReply> {
        let mut fields = data.as_slice();
        match request.as_str() {
            "posix-rename@openssh.com" => {
                let (from, to) = (
                    self.path(string(&mut fields)?),
                    self.path(string(&mut fields)?),
                );
                self.machine
                    .change(|files| files.rename(&from, &to, true))
                    .map_err(reply)?;
            }
            "fsync@openssh.com" => {
                self.file(string(&mut fields)?)?;
            }
            _ => return Err(StatusCode::OpUnsupported.into()),
        }
        Ok(ok(id).into())
    }
}

/// Takes a length and as many bytes (RFC 4251, section 5).
fn string<'a>(fields: &mut &'a [u8]) -> Result<&'a str, StatusReply> {
    let bad = || StatusReply::from(StatusCode::BadMessage);
    let (length, rest) = fields.split_first_chunk::<4>().ok_or_else(bad)?;
    let length = u32::from_be_bytes(*length) as usize;
    let (text, rest) = rest.split_at_checked(length).ok_or_else(bad)?;
    *fields = rest;
    std::str::from_utf8(text).map_err(|_| bad())
}

fn ok(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: "Success".to_owned(),
        language_tag: String::new(),
    }
}

/// The status that sftp-server gives for an error (`errno_to_portable`); it tells no more than that.
fn reply(error: FileError) -> StatusReply {
    match error {
        FileError::NotFound | FileError::NotDirectory => StatusCode::NoSuchFile,
        _ => StatusCode::Failure,
    }
    .into()
}

fn attributes(node: &Node) -> FileAttributes {
    let kind = if node.is_folder() {
        FileMode::DIR
    } else {
        FileMode::REG
    };
    FileAttributes {
        size: Some(node.size()),
        uid: Some(1000),
        gid: Some(1000),
        permissions: Some(node.mode | kind.bits()),
        atime: Some(node.accessed),
        mtime: Some(node.modified),
        ..FileAttributes::empty()
    }
}
