//! Where groups come from.

use std::fmt;
use std::sync::Arc;

use crate::{Place, Result};

/// A named place that knows groups of hosts: an inventory, a file, a program.
///
/// The four questions are ClusterShell's upcalls (`map`, `all`, `list`, `reverse`; groups.conf(5) of ClusterShell 1.9).
/// Answers are host set expressions, which may name other groups; a group without a source in such an answer is one of
/// this source. Calls may block (an external command); they are made while an expression is parsed.
pub trait GroupSource: fmt::Debug + Send + Sync {
    /// The name before the colon: `role` in `@role:agent`.
    fn name(&self) -> &str;

    /// What to call this source in an error, such as where it was read from.
    fn describe(&self) -> String {
        format!("group source `{}`", self.name())
    }

    /// Where a group (`*` for all hosts) is defined, for errors in its members; `None` when that is in no file.
    ///
    /// Without a column: those of errors about an expression point into it.
    fn place(&self, group: &str) -> Option<Place> {
        let _ = group;
        None
    }

    /// The members of a group as a host set expression; `None` when there is no such group.
    fn map(&self, group: &str) -> Result<Option<String>>;

    /// All hosts of this source as a host set expression; `None` when the union of all groups is meant.
    fn all(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// The names of all groups.
    fn list(&self) -> Result<Vec<String>>;

    /// The groups that a host is in; `None` when this can only be found by asking for every group.
    fn reverse(&self, host: &str) -> Result<Option<Vec<String>>> {
        let _ = host;
        Ok(None)
    }
}

/// A source that several inventories and contexts share.
impl<S: GroupSource + ?Sized> GroupSource for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }

    fn place(&self, group: &str) -> Option<Place> {
        (**self).place(group)
    }

    fn map(&self, group: &str) -> Result<Option<String>> {
        (**self).map(group)
    }

    fn all(&self) -> Result<Option<String>> {
        (**self).all()
    }

    fn list(&self) -> Result<Vec<String>> {
        (**self).list()
    }

    fn reverse(&self, host: &str) -> Result<Option<Vec<String>>> {
        (**self).reverse(host)
    }
}
