//! Hits within a hit.

use super::parts::{Json, Parts};
use crate::search::hit_options;

/// The nested documents that matched, or the members of a collapsed group, that each hit shows ("Retrieve inner hits").
///
/// ```
/// use clusterops_logs::Query;
/// use clusterops_logs::query::InnerHits;
///
/// let hits = InnerHits::new().name("failed").size(3);
/// let query = Query::nested("spans", Query::term("spans.status", "error")).inner_hits(hits);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InnerHits(Parts);

impl InnerHits {
    /// The first three, as servers give them by default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name they stand below in `inner_hits`; the path by default.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self(self.0.with("name", name.into()))
    }
}

hit_options!(InnerHits);

impl From<InnerHits> for Json {
    fn from(hits: InnerHits) -> Self {
        hits.0.into()
    }
}
