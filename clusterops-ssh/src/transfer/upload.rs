//! One file to a host: written beside its name, compared, and renamed.

use std::collections::VecDeque;
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep_until};

use super::digest::{Digester, Hasher};
use super::options::{Bandwidth, Meter, TransferOptions};
use super::paths::{join, shown, split, unfinished};
use super::protocol::{Attributes, FileType};
use super::sftp::{Answer, Handle, Sftp, Trouble};
use super::source::{Reader, Source, blocking};
use crate::{Error, ErrorKind, Result};

/// For how long what was left behind must not have grown: else another transfer writes it.
const WATCHED: Duration = Duration::from_secs(1);

/// What all files of one transfer share.
pub(super) struct Terms<'a> {
    pub(super) sftp: &'a Sftp,
    pub(super) options: &'a TransferOptions,
    pub(super) bandwidth: Option<&'a Bandwidth>,
    pub(super) meter: &'a Meter,
    /// What unfinished files are called by that no later transfer takes over; one of its own for each without it.
    pub(super) tag: Option<&'a str>,
}

/// A file that is whole on the host and has not got its name yet.
pub(super) struct Part {
    pub(super) temporary: Vec<u8>,
    destination: Vec<u8>,
    attributes: Attributes,
    /// The digest of what was read here, where one was made.
    pub(super) digest: Option<String>,
    pub(super) sent: u64,
    pub(super) resumed: u64,
}

/// An open file on the host that waits for its content, or the rest of it.
struct Opened {
    handle: Handle,
    temporary: Vec<u8>,
    /// What is in it already.
    length: u64,
}

impl Terms<'_> {
    /// Sends a file's content. `digester` compares what an earlier transfer left behind; `hasher` makes the digest of
    /// what is read.
    pub(super) async fn send(
        &self,
        source: &Source,
        destination: &[u8],
        digester: &Digester<'_>,
        hasher: Option<Hasher>,
    ) -> Result<Part> {
        let failed = |trouble: Trouble| trouble.when(destination, "written");
        let (replaceable, opened) = tokio::join!(
            self.sftp.replaceable(destination),
            self.open(source, destination, digester)
        );
        if let Err(trouble) = replaceable {
            if let Ok(opened) = opened {
                self.remove(opened).await;
            }
            return Err(failed(trouble));
        }
        let opened = opened.map_err(failed)?;
        let hasher = match hasher {
            Some(mut hasher) if opened.length > 0 => {
                let (source, length) = (source.clone(), opened.length);
                Some(
                    blocking(move || {
                        source.hash_start(&mut hasher, length)?;
                        Ok(hasher)
                    })
                    .await?,
                )
            }
            other => other,
        };
        self.meter.advance(opened.length);
        let written = self.write(&opened, source, hasher).await;
        // The rest waits for the answers to all that is on its way, so nothing is written behind a failure.
        let digest = match written {
            Ok(digest) => digest,
            Err(trouble) => {
                let _ = self.sftp.close_handle(opened.handle).await;
                return Err(trouble.when_filled(destination));
            }
        };
        if self.options.sync {
            self.sftp.sync(&opened.handle).await.map_err(failed)?;
        }
        self.sftp
            .close_handle(opened.handle)
            .await
            .map_err(failed)?;
        Ok(Part {
            temporary: opened.temporary,
            destination: destination.to_owned(),
            attributes: Attributes {
                permissions: Some(self.options.file_mode(source.facts.mode)),
                times: self.options.times.then(|| source.facts.times()),
                ..Attributes::default()
            },
            digest,
            sent: source.facts.length - opened.length,
            resumed: opened.length,
        })
    }

    /// Gives a file its mode and its name.
    pub(super) async fn finish(&self, part: &Part) -> Result<()> {
        let destination = &part.destination;
        self.sftp
            .set_attributes(&part.temporary, &part.attributes)
            .await
            .map_err(|trouble| trouble.when(destination, "written"))?;
        if let Err(trouble) = self.sftp.rename(&part.temporary, destination).await {
            if trouble.is_refusal() && self.sftp.is_folder(destination).await {
                let message = format!("`{}` cannot be written", shown(destination));
                return Err(Error::new(ErrorKind::Transfer, message)
                    .caused_by("it is a folder on the host"));
            }
            return Err(trouble.when(destination, "written"));
        }
        self.sftp.end(&part.temporary);
        Ok(())
    }

    async fn write(
        &self,
        opened: &Opened,
        source: &Source,
        hasher: Option<Hasher>,
    ) -> Result<Option<String>, Trouble> {
        let mut reader = Reader::new(source, opened.length, hasher).await?;
        let mut offset = opened.length;
        let mut on_their_way = VecDeque::<(Answer<'_>, u64)>::new();
        // Short pieces, so that a low limit lets something through every moment.
        let most = match self.bandwidth {
            Some(_) => 32 << 10,
            None => self.sftp.write_block() as usize,
        };
        while let Some(piece) = reader.next(most).await? {
            let length = piece.len() as u64;
            if let Some(bandwidth) = self.bandwidth {
                bandwidth.take(piece.len()).await;
                // A low limit leaves all places free for long, and what is over is told all the same.
                while let Some((answer, length)) =
                    on_their_way.pop_front_if(|(answer, _)| answer.has_come())
                {
                    self.arrived(answer, length).await?;
                }
            }
            let place = loop {
                if let Some(place) = self.sftp.free_place() {
                    break place;
                }
                match on_their_way.pop_front() {
                    Some((answer, length)) => self.arrived(answer, length).await?,
                    None => break self.sftp.place().await?,
                }
            };
            let answer = self.sftp.write(place, &opened.handle, offset, piece);
            let answer = answer.await?;
            on_their_way.push_back((answer, length));
            offset += length;
        }
        for (answer, length) in on_their_way {
            self.arrived(answer, length).await?;
        }
        Ok(reader.finish().await?)
    }

    async fn arrived(&self, answer: Answer<'_>, length: u64) -> Result<(), Trouble> {
        answer.done().await?;
        self.meter.advance(length);
        Ok(())
    }

    /// Makes the file that takes the content, or opens what an earlier transfer of the same content has left behind.
    async fn open(
        &self,
        source: &Source,
        destination: &[u8],
        digester: &Digester<'_>,
    ) -> Result<Opened, Trouble> {
        let (folder, name) = split(destination);
        let path = |tag: &str| join(folder, &unfinished(name, tag));
        let own = || path(&self.own_tag());
        let known = match self.options.resume {
            true => path(&fingerprint(self.sftp.host(), source)),
            false => own(),
        };
        let trouble = match self.create(&known).await {
            Ok(opened) => return Ok(opened),
            Err(trouble) => trouble,
        };
        if !self.options.resume || !trouble.is_refusal() {
            return Err(trouble);
        }
        // It may be there already, or nothing can be written here at all.
        let fresh = self.create(&own()).await?;
        let Some(length) = self.left_behind(&known, &fresh).await else {
            return Ok(fresh);
        };
        let watched = Instant::now() + WATCHED;
        let is_start = self.is_start(source, &known, length, digester).await?;
        sleep_until(watched).await;
        if self.left_behind(&known, &fresh).await != Some(length) {
            return Ok(fresh);
        }
        if is_start && let Ok(handle) = self.sftp.open_to_write(&known).await {
            self.sftp.begin(&known);
            self.remove(fresh).await;
            return Ok(Opened {
                handle,
                temporary: known,
                length,
            });
        }
        let _ = self.sftp.remove(&known).await;
        Ok(fresh)
    }

    /// The tag of a file that no later transfer takes over.
    pub(super) fn own_tag(&self) -> String {
        let random = || format!("{:016x}", fastrand::u64(..));
        self.tag.map_or_else(random, ToOwned::to_owned)
    }

    async fn create(&self, path: &[u8]) -> Result<Opened, Trouble> {
        self.sftp.begin(path);
        let created = self.sftp.create(path).await;
        if created.as_ref().is_err_and(Trouble::is_refusal) {
            self.sftp.end(path);
        }
        Ok(Opened {
            handle: created?,
            temporary: path.to_owned(),
            length: 0,
        })
    }

    async fn remove(&self, opened: Opened) {
        let _ = self.sftp.close_handle(opened.handle).await;
        if self.sftp.remove(&opened.temporary).await.is_ok() {
            self.sftp.end(&opened.temporary);
        }
    }

    /// The length of what an earlier transfer has left under a name. It counts as ours only when it is a regular file of
    /// the user that has just made `fresh`, and nobody else may write to it: the name can be guessed, and folders such as
    /// /tmp belong to everybody.
    async fn left_behind(&self, path: &[u8], fresh: &Opened) -> Option<u64> {
        let found = self.sftp.attributes_of_name(path).await.ok()?;
        let own = self.sftp.attributes_of(&fresh.handle).await.ok()?;
        let is_ours = found.file_type() == FileType::File
            && found.owner.is_some()
            && found.owner.map(|(user, _)| user) == own.owner.map(|(user, _)| user)
            && found.permissions.is_some_and(|mode| mode & 0o022 == 0);
        found.size.filter(|_| is_ours)
    }

    /// Whether what was left behind is the start of what is to be sent.
    async fn is_start(
        &self,
        source: &Source,
        path: &[u8],
        length: u64,
        digester: &Digester<'_>,
    ) -> Result<bool> {
        if length == 0 || length > source.facts.length {
            return Ok(false);
        }
        // Where digests cannot be made, nothing is known of it.
        let Ok((algorithm, mut there)) = digester.digests(&[path.to_owned()]).await else {
            return Ok(false);
        };
        let source = source.clone();
        let here = blocking(move || {
            let mut hasher = Hasher::new(algorithm);
            source.hash_start(&mut hasher, length)?;
            Ok(hasher.finish())
        })
        .await?;
        Ok(there.pop() == Some(here))
    }
}

/// What tells a transfer of one content to one host from others: a broken one is found again by it.
pub(super) fn fingerprint(host: &str, source: &Source) -> String {
    let content = match &source.digests {
        Some(digests) => digests.sha256.clone(),
        None => {
            let (seconds, nanoseconds) = source.facts.modified;
            format!("{} {seconds}.{nanoseconds}", source.facts.length)
        }
    };
    HEXLOWER.encode(&Sha256::digest(format!("{host}\n{content}"))[..8])
}
