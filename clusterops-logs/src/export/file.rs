//! Exports that are written: into a file, which goes on after a crash, or to a writer.

use std::io::Write;
use std::path::Path;

use super::output::{Output, unwritable};
use super::{Break, Export, Format, Pages, Progress};
use crate::{Error, Result};

/// What has been exported.
///
/// ```
/// use clusterops_logs::export::Summary;
///
/// let summary = Summary { documents: 5, total: 5, bytes: 120, frozen: true, breaks: Vec::new() };
/// assert!(summary.is_whole());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many documents were written, by the runs before this one too.
    pub documents: u64,
    /// How many were counted at the start.
    pub total: u64,
    /// How long the output is.
    pub bytes: u64,
    /// Whether all of it is of one point in time ([`Pages::is_frozen`]).
    pub frozen: bool,
    /// Where a point in time was lost.
    pub breaks: Vec<Break>,
}

impl Summary {
    /// Whether as many documents were written as there were at the start.
    pub fn is_whole(&self) -> bool {
        self.documents == self.total
    }
}

impl Export {
    /// Writes all documents into a file, and goes on with one that an earlier call did not finish.
    ///
    /// While the file is not whole, its token stands beside it, in a file with `.export` behind its name, together with the
    /// length that it is about. It is written every second, after what it is about is on the disk. Called again after a
    /// crash, the export cuts off what the token does not know of and goes on: nothing is lost, and nothing stands twice.
    ///
    /// What is called while it runs gets the progress after each page.
    ///
    /// # Errors
    /// [`Input`](crate::ErrorKind::Input) for a file that is there and whole, in use, or of another export;
    /// [`Io`](crate::ErrorKind::Io) for one that cannot be written, as on a full disk, after which the same call goes on; and those
    /// of [`start`](Self::start), [`Pages::next`] and [`Format::page`].
    pub async fn to_file(
        &self,
        path: impl AsRef<Path>,
        format: &Format,
        mut progress: impl FnMut(Progress),
    ) -> Result<Summary> {
        let output = Output::new(path.as_ref(), format);
        let (mut output, checkpoint) = output.on_a_thread(Output::look).await?;
        let mut pages = match &checkpoint {
            Some(checkpoint) => self.resume(&checkpoint.token).await?,
            None => self.start().await?,
        };
        let length = checkpoint.map_or(0, |checkpoint| checkpoint.length);
        let token = pages.token();
        (output, ()) = output
            .on_a_thread(move |output| output.open(token, length))
            .await?;
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) => {
                    // What was written is not to be fetched again.
                    let _ = output.on_a_thread(Output::checkpoint).await;
                    return Err(error);
                }
            };
            (output, ()) = output
                .on_a_thread(move |output| output.write(&page))
                .await?;
            progress(pages.progress());
        }
        let (output, ()) = output.on_a_thread(Output::finish).await?;
        Ok(pages.summary(output.length))
    }
}

impl Pages {
    /// Writes all pages that are left, with what the format puts above them.
    ///
    /// The writer is called where this runs: give it one that does not block for long, or a thread of its own. On an error
    /// it may have got a part of a page.
    ///
    /// # Errors
    /// Those of [`next`](Self::next) and [`Format::page`], and [`Io`](crate::ErrorKind::Io) for what the writer says.
    pub async fn write_to(&mut self, format: &Format, out: &mut impl Write) -> Result<Summary> {
        let mut bytes = 0;
        let mut buffer = Vec::new();
        format.header(&mut buffer);
        loop {
            out.write_all(&buffer).map_err(broken)?;
            bytes += buffer.len() as u64;
            if !self.fill(&mut buffer, format).await? {
                out.flush().map_err(broken)?;
                return Ok(self.summary(bytes));
            }
        }
    }

    /// Like [`write_to`](Self::write_to), for what is written asynchronously.
    ///
    /// # Errors
    /// Those of [`write_to`](Self::write_to).
    pub async fn write_to_async(
        &mut self,
        format: &Format,
        out: &mut (impl tokio::io::AsyncWrite + Unpin),
    ) -> Result<Summary> {
        use tokio::io::AsyncWriteExt as _;

        let mut bytes = 0;
        let mut buffer = Vec::new();
        format.header(&mut buffer);
        loop {
            out.write_all(&buffer).await.map_err(broken)?;
            bytes += buffer.len() as u64;
            if !self.fill(&mut buffer, format).await? {
                out.flush().await.map_err(broken)?;
                return Ok(self.summary(bytes));
            }
        }
    }

    /// Puts the next page into the buffer in place of what is there; false behind the last one.
    async fn fill(&mut self, buffer: &mut Vec<u8>, format: &Format) -> Result<bool> {
        buffer.clear();
        let page = self.next().await?;
        if let Some(page) = &page {
            format.page(page, buffer)?;
        }
        Ok(page.is_some())
    }

    fn summary(&self, bytes: u64) -> Summary {
        Summary {
            documents: self.done(),
            total: self.total(),
            bytes,
            frozen: self.is_frozen(),
            breaks: self.breaks().to_vec(),
        }
    }
}

/// An error of a writer, which has no name.
fn broken(error: std::io::Error) -> Error {
    unwritable("the output", error)
}
