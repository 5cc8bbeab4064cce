//! A page of hits that is read while it arrives.

use std::fmt;

use clusterops_core::http::{Bytes, HttpStream};

use super::scan::Scanner;
use crate::search::Answer;
use crate::{Error, ErrorKind, Hit, Page, Result};

/// The most bytes of one hit, and of all that stands beside the hits: more than servers answer by default.
const LIMIT: usize = 128 << 20;

/// Gives the hits of a page one by one while they arrive; what it holds in memory is one hit and what stands beside the
/// hits, not the page.
///
/// A page that does not cover everything ends with an error: before the first hit where the server says so by then, as it
/// does but for timeouts of Elasticsearch 7 to 9 and OpenSearch alike, and after the last hit at the latest.
///
/// ```no_run
/// # async fn example(client: clusterops_logs::Client) -> clusterops_logs::Result<()> {
/// use clusterops_logs::{Indices, Query, Search};
///
/// let search = Search::new(Query::match_all()).size(10_000);
/// let mut hits = client.read(&Indices::new("logs-*")?, &search).await?;
/// while let Some(hit) = hits.next().await? {
///     println!("{}/{}", hit.index, hit.id);
/// }
/// let page = hits.finish().await?;
/// println!("of {:?}", page.total);
/// # Ok(())
/// # }
/// ```
pub struct HitReader {
    answer: HttpStream,
    scanner: Scanner,
    piece: Bytes,
    allow_partial: bool,
    checked: bool,
    /// The page without its hits, when all have been read.
    end: Option<Page>,
}

impl HitReader {
    pub(super) fn new(answer: HttpStream) -> Self {
        Self {
            answer,
            scanner: Scanner::new(LIMIT),
            piece: Bytes::new(),
            allow_partial: false,
            checked: false,
            end: None,
        }
    }

    /// Gives what there is also where the page does not cover everything; [`finish`](Self::finish) gives a page whose
    /// [`shortfall`](Page::shortfall) says what it lacks.
    #[must_use]
    pub fn partial(mut self) -> Self {
        self.allow_partial = true;
        self
    }

    /// The next hit; `None` after the last. Cancel-safe.
    ///
    /// # Errors
    /// [`Partial`](ErrorKind::Partial) where the page does not cover everything, [`Answer`](ErrorKind::Answer) for what is
    /// no answer to a search, and what the connection says. After an error there is no further hit.
    pub async fn next(&mut self) -> Result<Option<Hit>> {
        if self.end.is_some() {
            return Ok(None);
        }
        loop {
            while !self.piece.is_empty() {
                let (taken, whole) = self.scanner.scan(&self.piece)?;
                let _ = self.piece.split_to(taken);
                if self.scanner.has_list() && !self.checked {
                    self.checked = true;
                    self.check_early()?;
                }
                if whole {
                    return Hit::read(self.scanner.hit()).map(Some);
                }
            }
            match self.answer.chunk().await? {
                Some(piece) => self.piece = piece,
                None => break,
            }
        }
        if !self.scanner.is_whole() {
            let request = self.answer.request();
            let message = format!("{request}: the answer ends in the middle");
            return Err(Error::new(ErrorKind::Answer, message));
        }
        let page = Answer::read(self.scanner.rest())?.page(Vec::new());
        let shortfall = page.shortfall();
        self.end = Some(page);
        match shortfall {
            Some(error) if !self.allow_partial => Err(error),
            _ => Ok(None),
        }
    }

    /// Reads to the end, and gives what stands beside the hits: the total, aggregations, the id of the point in time.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn finish(mut self) -> Result<Page> {
        while self.next().await?.is_some() {}
        match self.end {
            Some(page) if self.allow_partial => Ok(page),
            Some(page) => page.whole(),
            None => Err(Error::new(ErrorKind::Answer, "the answer has no end")),
        }
    }

    /// What is known before the first hit can be told before it.
    fn check_early(&self) -> Result<()> {
        if self.allow_partial {
            return Ok(());
        }
        let Ok(answer) = Answer::read(&self.scanner.before()) else {
            // It is read again at the end, with its error.
            return Ok(());
        };
        let page = answer.page(Vec::new());
        page.whole().map(drop)
    }
}

impl fmt::Debug for HitReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HitReader").field(&self.answer).finish()
    }
}
