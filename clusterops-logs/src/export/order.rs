//! In what order documents come.

use serde_json::{Value, json};

/// In what order an export gives its documents.
///
/// ```
/// use clusterops_logs::export::Order;
///
/// assert_eq!(Order::default(), Order::Arrival);
/// assert_eq!(Order::oldest_first("@timestamp"), Order::Oldest("@timestamp".to_owned()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// As the shards took them in, by `_seq_no`: the cheapest order for the server, and the only one that several slices
    /// can share.
    #[default]
    Arrival,
    /// By this field, a date or a number, from the least value on; documents without it come last.
    Oldest(String),
    /// By this field, a date or a number, from the greatest value on; documents without it come last.
    Newest(String),
}

impl Order {
    /// By this field, from the least value on.
    pub fn oldest_first(field: impl Into<String>) -> Self {
        Self::Oldest(field.into())
    }

    /// By this field, from the greatest value on.
    pub fn newest_first(field: impl Into<String>) -> Self {
        Self::Newest(field.into())
    }

    /// The member `sort` of a search. What has the same place in it stands in different shards of one index.
    pub(super) fn keys(&self, nanoseconds: bool, several_indices: bool) -> Value {
        let (field, direction) = match self {
            Self::Arrival if several_indices => {
                return json!([{"_seq_no": {"order": "asc", "unmapped_type": "long"}}, {"_index": "asc"}]);
            }
            Self::Arrival => return json!([{"_seq_no": {"order": "asc", "unmapped_type": "long"}}]),
            Self::Oldest(field) => (field, "asc"),
            Self::Newest(field) => (field, "desc"),
        };
        json!([
            time_key(field, direction, nanoseconds),
            {"_seq_no": {"order": direction, "unmapped_type": "long"}},
            {"_index": direction},
        ])
    }

    /// The field that it goes by, unless that is the arrival.
    pub(super) fn field(&self) -> Option<&str> {
        match self {
            Self::Arrival => None,
            Self::Oldest(field) | Self::Newest(field) => Some(field),
        }
    }

    /// What tells one order from another, in a token.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Arrival => "arrival".to_owned(),
            Self::Oldest(field) => format!("oldest {field}"),
            Self::Newest(field) => format!("newest {field}"),
        }
    }
}

/// One key of a sort by time.
pub(crate) fn time_key(field: &str, direction: &str, nanoseconds: bool) -> Value {
    let mut key = json!({"order": direction, "missing": "_last", "unmapped_type": "date"});
    if nanoseconds && let Some(key) = key.as_object_mut() {
        key.insert("numeric_type".into(), "date_nanos".into());
    }
    json!({field: key})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_by_time_has_what_breaks_ties() {
        let keys = Order::newest_first("@timestamp").keys(true, false);
        assert_eq!(
            keys,
            json!([
                {"@timestamp": {
                    "order": "desc", "missing": "_last", "unmapped_type": "date", "numeric_type": "date_nanos"
                }},
                {"_seq_no": {"order": "desc", "unmapped_type": "long"}},
                {"_index": "desc"},
            ])
        );
        let keys = Order::Arrival.keys(false, false);
        assert_eq!(
            keys,
            json!([{"_seq_no": {"order": "asc", "unmapped_type": "long"}}])
        );
    }
}
