#![doc = include_str!("syntax.md")]

mod builder;
mod context;
mod cover;
mod evaluate;
mod fold;
mod grid;
#[cfg(feature = "fs")]
mod groups_command;
#[cfg(feature = "fs")]
mod groups_conf;
mod groups_file;
mod index;
mod iter;
mod name;
mod parse;
mod pattern;
mod set;
mod source;

pub use context::Context;
#[cfg(feature = "fs")]
pub use groups_command::{CommandGroups, Commands};
#[cfg(feature = "fs")]
pub use groups_conf::GroupsConf;
pub use groups_file::FileGroups;
pub use iter::{IntoIter, Iter};
pub use set::HostSet;
pub use source::GroupSource;

use crate::{Error, ErrorKind, Result};

/// All names of one bracket pattern in the order in which they are written, repeated ones included; the last of several
/// brackets runs fastest. For ranges that go side by side, such as names and addresses.
///
/// ```
/// use clusterops_core::hostset::expand_pattern;
///
/// assert_eq!(expand_pattern("10.0.1.[9-10,1]", 100)?, ["10.0.1.9", "10.0.1.10", "10.0.1.1"]);
/// # Ok::<(), clusterops_core::Error>(())
/// ```
///
/// # Errors
///
/// With the column: [`Syntax`](ErrorKind::Syntax), also for operators, wildcards and white space;
/// [`TooLarge`](ErrorKind::TooLarge) for more than `limit` names.
pub fn expand_pattern(text: &str, limit: usize) -> Result<Vec<String>> {
    let pattern = parse::Parser::new(text, false).only_pattern()?;
    if let Some(at) = text.find(['*', '?']).filter(|_| pattern.has_wildcards()) {
        let error = Error::new(ErrorKind::Syntax, "a wildcard has nothing to match here");
        return Err(error.at(parse::place(text, at)));
    }
    match pattern.check(limit) {
        Ok(()) => Ok(pattern.expand()),
        Err(flaw) => {
            let error = Error::new(ErrorKind::TooLarge, format!("this {flaw}"));
            Err(error.at(parse::place(text, 0)))
        }
    }
}
