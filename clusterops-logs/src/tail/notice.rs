//! What a tail has to say besides documents.

use std::fmt;

/// Something that a reader of a tail should know. `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// No index matches yet; the tail waits for one.
    NothingMatches {
        /// The expression.
        indices: String,
    },
    /// An index that was not there before is followed from now on.
    Found {
        /// Its name.
        index: String,
        /// Whether it is read from its first document, not from the tail's `since`.
        from_start: bool,
    },
    /// An index holds copies of documents of an index that is followed already; only what is written to it from now on is
    /// new.
    Copy {
        /// Its name.
        index: String,
        /// The index it was made of.
        of: String,
        /// Whether some documents of that one had not been read, so that some may come twice.
        may_repeat: bool,
    },
    /// An index is not followed, since its statistics are not shown to this user, or how searches reach it.
    Unseen {
        /// Its name.
        index: String,
    },
    /// An index that is asked for by its name is not there, closed, or not shown to this user. It is followed once it can be.
    Unavailable {
        /// Its name.
        index: String,
        /// What the server said.
        why: String,
    },
    /// A shard lost its history and is read again, from the tail's `since` where its index is older than the tail; its
    /// documents come again.
    Restarted {
        /// The index.
        index: String,
        /// The shard's number.
        shard: u32,
        /// What was found.
        why: String,
    },
    /// A shard cannot be read now; its position is kept.
    Held {
        /// The index.
        index: String,
        /// The shard's number.
        shard: u32,
        /// What was found.
        why: String,
    },
    /// A shard that was held is read again.
    Released {
        /// The index.
        index: String,
        /// The shard's number.
        shard: u32,
    },
    /// An index is closed or no longer meant by the expression; its position is kept.
    Away {
        /// Its name.
        index: String,
    },
    /// An index was deleted.
    Deleted {
        /// Its name.
        index: String,
    },
    /// The cluster cannot be reached or is too busy; the tail tries again.
    Interrupted {
        /// The error.
        why: String,
    },
    /// The cluster can be reached again.
    Recovered,
    /// There is no right to refresh all indices or some of them, which are named: their documents are handed over when the
    /// server shows them. A crash repeats no more than it does otherwise.
    NoRefresh {
        /// What the server said.
        why: String,
    },
    /// Documents are found by their time, and which indices are copies of others is not shown: documents of one that is
    /// shrunk, split, cloned or mounted come again where they lie in the overlap.
    UnknownCopies {
        /// Why.
        why: String,
    },
    /// There are no checkpoints to read: documents are found by their time instead. One that arrives later than the overlap
    /// is lost, and one without a time is never shown.
    ByTime {
        /// Why.
        why: String,
    },
}

impl Notice {
    /// How much it matters: documents that come late, again or never are worth a warning.
    pub(super) fn level(&self) -> log::Level {
        match self {
            Self::Found { .. }
            | Self::Copy {
                may_repeat: false, ..
            }
            | Self::Released { .. }
            | Self::Away { .. }
            | Self::Deleted { .. }
            | Self::NothingMatches { .. }
            | Self::Recovered => log::Level::Info,
            Self::Copy { .. }
            | Self::Unseen { .. }
            | Self::Unavailable { .. }
            | Self::Restarted { .. }
            | Self::Held { .. }
            | Self::Interrupted { .. }
            | Self::NoRefresh { .. }
            | Self::UnknownCopies { .. }
            | Self::ByTime { .. } => log::Level::Warn,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingMatches { indices } => {
                write!(
                    f,
                    "no index that is open and works matches `{indices}` yet; waiting for one"
                )
            }
            Self::Found {
                index,
                from_start: true,
            } => write!(f, "{index}: new, read from its start"),
            Self::Found {
                index,
                from_start: false,
            } => write!(
                f,
                "{index}: not seen before but older than this tail, read from its `since`"
            ),
            Self::Copy {
                index,
                of,
                may_repeat: false,
            } => write!(f, "{index}: made of {of}, only what is new in it is read"),
            Self::Copy { index, of, .. } => write!(
                f,
                "{index}: made of {of}, which had not been read to its end: some of its documents may come twice"
            ),
            Self::Unseen { index } => write!(
                f,
                "{index}: not followed, since its statistics are not shown to this user, or how searches reach it; the privilege `monitor` or `view_index_metadata` on it is lacking"
            ),
            Self::Unavailable { index, why } => {
                write!(f, "{index}: not followed as long as it is like this: {why}")
            }
            Self::Restarted { index, shard, why } => write!(
                f,
                "{index}, shard {shard}: {why}; it is read again, and documents come again"
            ),
            Self::Held { index, shard, why } => {
                write!(f, "{index}, shard {shard}: held, since {why}")
            }
            Self::Released { index, shard } => write!(f, "{index}, shard {shard}: read again"),
            Self::Away { index } => write!(
                f,
                "{index}: closed, or meant no longer; its position is kept"
            ),
            Self::Deleted { index } => write!(f, "{index}: deleted"),
            Self::Interrupted { why } => write!(f, "interrupted, trying again: {why}"),
            Self::Recovered => f.write_str("the cluster answers again"),
            Self::NoRefresh { why } => write!(
                f,
                "no right to refresh ({why}): documents come when the server shows them"
            ),
            Self::UnknownCopies { why } => write!(
                f,
                "what indices were made of is not shown ({why}): documents of one that is shrunk, split, cloned or mounted may come again"
            ),
            Self::ByTime { why } => write!(
                f,
                "no checkpoints ({why}): documents are found by their time, and late ones can be lost; those without a time are not shown"
            ),
        }
    }
}
