//! What to ask of a search, and what it answers.
//!
//! ```
//! use clusterops_logs::{Query, Search};
//! use clusterops_logs::search::{Aggregation, Highlight, Interval, Sort};
//!
//! let search = Search::new(Query::matches("message", "timeout"))
//!     .sort(Sort::field("@timestamp").desc())
//!     .size(50)
//!     .source(["message", "host.*"])
//!     .highlight(Highlight::field("message"))
//!     .aggregation("per_minute", Aggregation::date_histogram("@timestamp", Interval::Minute));
//! assert!(search.check().is_ok());
//! ```
//!
//! # Differences between products
//! Points in time in the body ([`Search::point_in_time`]) have the same form in Elasticsearch since 7.10 and OpenSearch
//! since 2.4; how one is opened differs, and is the client's part. [`Sort::shard_doc`] needs Elasticsearch 7.12 or
//! OpenSearch 3.3, [`FieldSort::format`] Elasticsearch 7.13; no OpenSearch has it. [`Search::field`] needs Elasticsearch
//! 7.10 or OpenSearch. A composite aggregation stands below a filter from Elasticsearch 7.11 on and in OpenSearch.

mod aggregation;
mod collapse;
mod fields;
mod highlight;
mod hits;
mod page;
mod request;
mod shortfall;
mod sort;

pub(crate) use hits::hit_options;
pub(crate) use page::Answer;
pub(crate) use request::{kept_alive, pit_member};
pub(crate) use shortfall::{of as shortfall_of, partial};

pub use aggregation::{
    Aggregation, Bucket, Cardinality, Composite, CompositeSource, DateHistogram, Filter, Filters,
    Histogram, Interval, Metric, Missing, Nested, Order, Percentiles, Ranges, ReverseNested, Terms,
    TopHits,
};
pub use collapse::Collapse;
pub use fields::{FieldFormat, SourceFilter};
pub use highlight::{Highlight, HighlightField, Highlighter};
pub use page::{Hit, Page};
pub use request::{Search, TotalHits};
pub use shortfall::{ClusterDetails, Clusters, ShardFailure, Shards};
pub use sort::{Direction, FieldSort, NestedSort, NumericType, Sort, SortMode};
