//! What to ask of a search, and what it answers.

mod page;
mod request;

pub use page::{Hit, Page};
pub use request::Search;
