//! SFTP version 3 on the wire (draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL section 4): what we send and what
//! comes back. Nothing here waits or connects.

use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The version that OpenSSH speaks, and the only one here.
pub(super) const VERSION: u32 = 3;

/// What a packet may hold. OpenSSH's own limit is 256 KiB (SFTP_MAX_MSG_LENGTH); a listing of others can be longer.
const LONGEST_PACKET: usize = 1 << 20;

/// The types of packets.
pub(super) mod kind {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const SETSTAT: u8 = 9;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const READLINK: u8 = 19;
    pub(crate) const SYMLINK: u8 = 20;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
    pub(crate) const EXTENDED: u8 = 200;
    pub(crate) const EXTENDED_REPLY: u8 = 201;
}

/// How a file is opened.
pub(super) mod open {
    pub(crate) const READ: u32 = 0x01;
    pub(crate) const WRITE: u32 = 0x02;
    pub(crate) const CREATE: u32 = 0x08;
    pub(crate) const EXCLUSIVE: u32 = 0x20;
}

/// What a status says; every other code is a failure of some kind.
pub(super) mod status {
    pub(crate) const OK: u32 = 0;
    pub(crate) const END: u32 = 1;
    pub(crate) const NO_SUCH_FILE: u32 = 2;
    pub(crate) const PERMISSION_DENIED: u32 = 3;
    /// Whatever has no code of its own: a full disk, for one.
    pub(crate) const FAILURE: u32 = 4;
    /// What sshd makes of a name that is too long (`errno_to_portable` of OpenSSH).
    pub(crate) const BAD_MESSAGE: u32 = 5;
}

/// What is known of a file, or to be set; draft-ietf-secsh-filexfer-02 section 5.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) owner: Option<(u32, u32)>,
    /// With the file's type, as in `st_mode`, where the server says it.
    pub(super) permissions: Option<u32>,
    /// Last access and last change, in seconds since 1970.
    pub(super) times: Option<(u32, u32)>,
}

/// What kind of file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileType {
    File,
    Folder,
    Link,
    /// A device, socket or pipe, or something that the server does not tell.
    Other,
}

impl Attributes {
    pub(super) fn mode(mode: u32) -> Self {
        Self {
            permissions: Some(mode),
            ..Self::default()
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        match self.permissions.map(|mode| mode & 0o170_000) {
            Some(0o100_000) => FileType::File,
            Some(0o040_000) => FileType::Folder,
            Some(0o120_000) => FileType::Link,
            _ => FileType::Other,
        }
    }

    fn encode(&self, body: &mut BytesMut) {
        let bit = |is_there: bool, bit: u32| if is_there { bit } else { 0 };
        body.put_u32(
            bit(self.size.is_some(), 1)
                | bit(self.owner.is_some(), 2)
                | bit(self.permissions.is_some(), 4)
                | bit(self.times.is_some(), 8),
        );
        if let Some(size) = self.size {
            body.put_u64(size);
        }
        for (one, other) in self.owner.into_iter() {
            body.put_u32(one);
            body.put_u32(other);
        }
        if let Some(mode) = self.permissions {
            body.put_u32(mode);
        }
        for (one, other) in self.times.into_iter() {
            body.put_u32(one);
            body.put_u32(other);
        }
    }

    fn decode(body: &mut Bytes) -> Option<Self> {
        let flags = body.try_get_u32().ok()?;
        let mut attributes = Self::default();
        if flags & 1 != 0 {
            attributes.size = Some(body.try_get_u64().ok()?);
        }
        if flags & 2 != 0 {
            attributes.owner = Some((body.try_get_u32().ok()?, body.try_get_u32().ok()?));
        }
        if flags & 4 != 0 {
            attributes.permissions = Some(body.try_get_u32().ok()?);
        }
        if flags & 8 != 0 {
            attributes.times = Some((body.try_get_u32().ok()?, body.try_get_u32().ok()?));
        }
        if flags & 0x8000_0000 != 0 {
            for _ in 0..body.try_get_u32().ok()? {
                string(body)?;
                string(body)?;
            }
        }
        Some(attributes)
    }
}

/// A packet that is being written.
pub(super) struct Request(BytesMut);

impl Request {
    pub(super) fn new(kind: u8, id: u32) -> Self {
        let mut body = BytesMut::with_capacity(64);
        body.put_u32(0);
        body.put_u8(kind);
        body.put_u32(id);
        Self(body)
    }

    pub(super) fn string(mut self, bytes: &[u8]) -> Self {
        self.0.put_u32(bytes.len() as u32);
        self.0.put_slice(bytes);
        self
    }

    pub(super) fn u32(mut self, number: u32) -> Self {
        self.0.put_u32(number);
        self
    }

    pub(super) fn u64(mut self, number: u64) -> Self {
        self.0.put_u64(number);
        self
    }

    pub(super) fn attributes(mut self, attributes: &Attributes) -> Self {
        attributes.encode(&mut self.0);
        self
    }

    pub(super) fn finish(self) -> Bytes {
        self.finish_before(0)
    }

    /// Ends a packet behind which as many bytes follow.
    pub(super) fn finish_before(mut self, following: usize) -> Bytes {
        let length = (self.0.len() - 4 + following) as u32;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0.freeze()
    }
}

/// An answer, whose request is known by the id beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Status {
        code: u32,
        message: String,
    },
    Handle(Bytes),
    /// The content of a file, in pieces as they came.
    Data(Vec<Bytes>),
    Names(Vec<Name>),
    Attributes(Attributes),
    Extended(Bytes),
}

/// An entry of a folder, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: Bytes,
    pub(super) attributes: Attributes,
}

/// What one packet from the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    /// The answer to INIT: the version, and the extensions with their data.
    Version(u32, Vec<(Bytes, Bytes)>),
    Reply(u32, Reply),
}

/// The server said something that is not SFTP version 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Puts packets together from the pieces in which the channel brings them. The content of files is never copied.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    pieces: VecDeque<Bytes>,
    held: usize,
}

impl Assembler {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.held += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// The next packet, when all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Malformed> {
        let Some(length) = self.length() else {
            return Ok(None);
        };
        if !(5..=LONGEST_PACKET).contains(&length) {
            return Err(Malformed);
        }
        if self.held < 4 + length {
            return Ok(None);
        }
        self.take(4);
        let mut head = self.take(1);
        let kind = head.get_u8();
        if kind == kind::DATA {
            let mut head = self.take(4);
            let id = head.get_u32();
            let mut counted = self.take(4.min(length - 5));
            let content = counted.try_get_u32().map_err(|_| Malformed)? as usize;
            if length.checked_sub(9) != Some(content) {
                return Err(Malformed);
            }
            return Ok(Some(Incoming::Reply(id, Reply::Data(self.split(content)))));
        }
        let body = self.take(length - 1);
        decode(kind, body).map(Some).ok_or(Malformed)
    }

    fn length(&self) -> Option<usize> {
        let mut bytes = self.pieces.iter().flat_map(|piece| piece.iter());
        let mut length = [0; 4];
        for byte in &mut length {
            *byte = *bytes.next()?;
        }
        Some(u32::from_be_bytes(length) as usize)
    }

    /// The next bytes in one piece.
    fn take(&mut self, length: usize) -> Bytes {
        let mut pieces = self.split(length);
        match pieces.len() {
            0 => Bytes::new(),
            1 => pieces.swap_remove(0),
            _ => pieces.concat().into(),
        }
    }

    /// The next bytes, which are there, as they came.
    fn split(&mut self, length: usize) -> Vec<Bytes> {
        let mut missing = length.min(self.held);
        self.held -= missing;
        let mut taken = Vec::new();
        while missing > 0
            && let Some(first) = self.pieces.front_mut()
        {
            let part = first.split_to(missing.min(first.len()));
            missing -= part.len();
            taken.push(part);
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
        taken
    }
}

fn decode(kind: u8, mut body: Bytes) -> Option<Incoming> {
    let number = body.try_get_u32().ok()?;
    let reply = match kind {
        kind::VERSION => {
            let mut extensions = Vec::new();
            while !body.is_empty() {
                extensions.push((string(&mut body)?, string(&mut body)?));
            }
            return Some(Incoming::Version(number, extensions));
        }
        kind::STATUS => {
            let code = body.try_get_u32().ok()?;
            // Old servers leave the message out.
            let message = string(&mut body).unwrap_or_default();
            let message = String::from_utf8_lossy(&message[..message.len().min(1000)]);
            Reply::Status {
                code,
                message: message.into_owned(),
            }
        }
        kind::HANDLE => Reply::Handle(string(&mut body)?),
        kind::NAME => {
            let count = body.try_get_u32().ok()?;
            let mut names = Vec::new();
            for _ in 0..count {
                let name = string(&mut body)?;
                // What `ls -l` would show.
                string(&mut body)?;
                let attributes = Attributes::decode(&mut body)?;
                names.push(Name { name, attributes });
            }
            Reply::Names(names)
        }
        kind::ATTRS => Reply::Attributes(Attributes::decode(&mut body)?),
        kind::EXTENDED_REPLY => Reply::Extended(body),
        _ => return None,
    };
    Some(Incoming::Reply(number, reply))
}

/// A length and as many bytes (RFC 4251 section 5).
pub(super) fn string(body: &mut Bytes) -> Option<Bytes> {
    let length = body.try_get_u32().ok()? as usize;
    (length <= body.len()).then(|| body.split_to(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attributes() -> impl Strategy<Value = Attributes> {
        let pair = || proptest::option::of(any::<(u32, u32)>());
        (
            proptest::option::of(any::<u64>()),
            pair(),
            proptest::option::of(any::<u32>()),
            pair(),
        )
            .prop_map(|(size, owner, permissions, times)| Attributes {
                size,
                owner,
                permissions,
                times,
            })
    }

    #[test]
    fn content_without_its_whole_length_is_refused() {
        for bytes in 0..=3 {
            let mut packet = Request::new(kind::DATA, 1).0;
            packet.extend_from_slice(&[0, 0, 0][..bytes]);
            let mut assembler = Assembler::default();
            assembler.push(Request(packet).finish());
            assert_eq!(assembler.next(), Err(Malformed), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn attributes_read_back(attributes in attributes()) {
            let packet = Request::new(kind::ATTRS, 7).attributes(&attributes).finish();
            let mut assembler = Assembler::default();
            assembler.push(packet);
            prop_assert_eq!(
                assembler.next(),
                Ok(Some(Incoming::Reply(7, Reply::Attributes(attributes))))
            );
        }

        #[test]
        fn content_is_the_same_however_it_is_cut(
            content in proptest::collection::vec(any::<u8>(), 0..300),
            cuts in proptest::collection::vec(1_usize..40, 1..40),
        ) {
            let mut stream = BytesMut::new();
            for id in 0..3 {
                stream.extend_from_slice(&Request::new(kind::DATA, id).string(&content).finish());
            }
            let mut stream = stream.freeze();
            let (mut assembler, mut ids) = (Assembler::default(), Vec::new());
            for cut in cuts.iter().cycle() {
                if stream.is_empty() {
                    break;
                }
                assembler.push(stream.split_to((*cut).min(stream.len())));
                while let Some(packet) = assembler.next().expect("well-formed") {
                    let Incoming::Reply(id, Reply::Data(pieces)) = packet else {
                        panic!("{packet:?}");
                    };
                    prop_assert_eq!(pieces.concat(), content.clone());
                    ids.push(id);
                }
            }
            prop_assert_eq!(ids, [0, 1, 2]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..210) {
            let mut assembler = Assembler::default();
            let mut packet = Request::new(kind, 1).0;
            packet.extend_from_slice(&bytes);
            assembler.push(Request(packet).finish());
            let _ = assembler.next();
            let mut assembler = Assembler::default();
            assembler.push(bytes.into());
            while let Ok(Some(_)) = assembler.next() {}
        }
    }
}
