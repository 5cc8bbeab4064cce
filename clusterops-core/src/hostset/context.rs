//! What an expression may refer to.

use super::evaluate::Evaluation;
use super::{GroupSource, HostSet};
#[cfg(doc)]
use crate::ErrorKind;
use crate::Result;

/// What an expression may refer to: groups, known hosts, and how many hosts it may name.
///
/// ```
/// use clusterops_core::hostset::{Context, GroupSource, HostSet};
/// use clusterops_core::Result;
///
/// #[derive(Debug)]
/// struct Racks;
///
/// impl GroupSource for Racks {
///     fn name(&self) -> &str {
///         "rack"
///     }
///     fn map(&self, group: &str) -> Result<Option<String>> {
///         Ok((group == "r1").then(|| "web[1-3],db1".into()))
///     }
///     fn list(&self) -> Result<Vec<String>> {
///         Ok(vec!["r1".into()])
///     }
/// }
///
/// let known = HostSet::parse("web[1-9],db[1-2]")?;
/// let context = Context::new().source(&Racks).known(&known);
/// assert_eq!(context.parse("@rack:r1!web*")?.to_string(), "db1");
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Context<'a> {
    pub(super) sources: Vec<&'a dyn GroupSource>,
    pub(super) default_source: Option<&'a dyn GroupSource>,
    pub(super) known: Option<&'a HostSet>,
    pub(super) only_known: bool,
    pub(super) limit: usize,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            default_source: None,
            known: None,
            only_known: false,
            limit: 1_000_000,
        }
    }
}

impl<'a> Context<'a> {
    /// No groups, no known hosts, and a limit of 1,000,000 hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source of groups, for `@name:group` with the [name](GroupSource::name) of the source.
    ///
    /// Using a name that two sources have is an error.
    #[must_use]
    pub fn source(mut self, source: &'a dyn GroupSource) -> Self {
        self.sources.push(source);
        self
    }

    /// Sets the source of groups without a source name, `@group` and `@*`; it answers to its name as well.
    #[must_use]
    pub fn default_source(mut self, source: &'a dyn GroupSource) -> Self {
        self.default_source = Some(source);
        self
    }

    /// Sets the hosts that wildcards match. Without this, they match all hosts of the default source.
    #[must_use]
    pub fn known(mut self, hosts: &'a HostSet) -> Self {
        self.known = Some(hosts);
        self
    }

    /// Makes it an error when a name in the expression is not among the known hosts, or a wildcard matches none: also in
    /// what is taken away, where a slip would else go unseen. Hosts that only a group brings in are an error where they
    /// are in the result.
    ///
    /// ```
    /// use clusterops_core::hostset::{Context, HostSet};
    ///
    /// let known = HostSet::parse("web[01-09]")?;
    /// let error = Context::new().known(&known).only_known().parse("web*!web7").unwrap_err();
    /// assert_eq!(error.to_string(), "column 6: `web7` is no known host; did you mean `web07`?");
    /// # Ok::<(), clusterops_core::Error>(())
    /// ```
    #[must_use]
    pub fn only_known(mut self) -> Self {
        self.only_known = true;
        self
    }

    /// Sets how many hosts an expression, and each part of it, may name (1,000,000 unless set; at most 2³²).
    #[must_use]
    pub fn limit(mut self, hosts: usize) -> Self {
        self.limit = hosts.min(u32::MAX as usize);
        self
    }

    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// With the column in the expression as it was given: [`Syntax`](ErrorKind::Syntax);
    /// [`TooLarge`](ErrorKind::TooLarge) when a part names more hosts than the limit;
    /// [`UnknownGroup`](ErrorKind::UnknownGroup) for a group or source that is not there or contains itself;
    /// [`UnknownHost`](ErrorKind::UnknownHost) for a name that is not [known](Self::only_known), where that is asked for;
    /// [`Ambiguous`](ErrorKind::Ambiguous) for a source name that two sources have; and what a source answers. What is
    /// wrong in a source has its [place](GroupSource::place) where it has one.
    pub fn parse(&self, expression: &str) -> Result<HostSet> {
        Evaluation::new(self).evaluate(expression, None)
    }

    /// The groups of a source that a host is in, in the order of the source.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), when the source has no reverse look-up and its groups must be read.
    pub fn groups_of(&self, source: &'a dyn GroupSource, host: &str) -> Result<Vec<String>> {
        if let Some(groups) = source.reverse(host)? {
            return Ok(groups);
        }
        let mut groups = Vec::new();
        for group in source.list()? {
            if self.group(source, &group)?.contains(host) {
                groups.push(group);
            }
        }
        Ok(groups)
    }

    /// The hosts of one group of a source.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn group(&self, source: &'a dyn GroupSource, group: &str) -> Result<HostSet> {
        let hosts = Evaluation::new(self).group(source, group)?;
        Ok(hosts.as_ref().clone())
    }
}
