//! Export of any size: every document that a query finds, exactly once, as bytes that nobody parsed into trees.
//!
//! An [`Export`] says what; [`Export::start`] counts it, takes a point in time and gives [`Pages`]. Each [`Page`] brings the
//! [`Token`] that holds once the caller is finished with it: after a crash [`Export::resume`] goes on from there.
//!
//! What holds:
//! - While the point in time lives ([`Export::keep_alive`] after the last request, also across a restart of the caller),
//!   the pages are what the indices held at its start, each document exactly once.
//! - Where it is lost, or the server has none, the export goes on: documents come in the order of their `_seq_no` (or by
//!   time and that), and only those not above the greatest `_seq_no` of each index at the start. Each comes exactly once
//!   unless it was changed or removed meanwhile, which leaves it out; [`Pages::breaks`] counts what is left. A document
//!   that was indexed after the start is left out, but for one in a shard behind the furthest of its index.
//! - After a crash only what came after the last token comes again. [`Export::to_file`] cuts that away: nothing is lost and
//!   nothing stands twice in the file.
//!
//! Equal places in the order, such as the same `_seq_no` in two shards, are never divided between pages.

mod file;
pub mod format;
mod order;
mod output;
mod page;
mod pages;
mod progress;
mod settings;
mod source;
mod token;

pub use file::Summary;
pub use format::Format;
pub use order::Order;
pub use page::{Hit, Page};
pub use pages::Pages;
pub use progress::Progress;
pub use settings::Export;
pub use token::{Break, Token};

pub(crate) use order::time_key;
pub(crate) use source::has_both_dates;
