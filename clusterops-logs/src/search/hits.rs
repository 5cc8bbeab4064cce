//! What searches, inner hits and top hits have in common.

/// The options of which hits to give, and what of them.
macro_rules! hit_options {
    ($type:ident) => {
        impl $type {
            /// How many hits to give at most.
            #[must_use]
            pub fn size(mut self, hits: u32) -> Self {
                self.0.set("size", hits);
                self
            }

            /// How many hits to leave out at the start.
            #[must_use]
            pub fn from(mut self, hits: u32) -> Self {
                self.0.set("from", hits);
                self
            }

            /// What to order by, after what has been named before.
            #[must_use]
            pub fn sort(mut self, sort: impl Into<crate::search::Sort>) -> Self {
                self.0.push("sort", sort.into());
                self
            }

            /// What of the documents to give: `false` for nothing, or names of fields, which can have wildcards.
            #[must_use]
            pub fn source(mut self, filter: impl Into<crate::search::SourceFilter>) -> Self {
                self.0.set("_source", filter.into());
                self
            }

            /// A field to give the values of, one more with each call, read from the document as its mapping says.
            #[must_use]
            pub fn field(mut self, field: impl Into<crate::search::FieldFormat>) -> Self {
                self.0.push("fields", field.into());
                self
            }

            /// A field to give the values of, one more with each call, read from the columns the server sorts by.
            #[must_use]
            pub fn docvalue_field(mut self, field: impl Into<crate::search::FieldFormat>) -> Self {
                self.0.push("docvalue_fields", field.into());
                self
            }

            /// Shows what matched.
            #[must_use]
            pub fn highlight(mut self, highlight: impl Into<crate::search::Highlight>) -> Self {
                self.0.set("highlight", highlight.into());
                self
            }

            /// Whether hits tell their version.
            #[must_use]
            pub fn version(mut self, tell: bool) -> Self {
                self.0.set("version", tell);
                self
            }

            /// Whether hits tell the number of the operation that wrote them.
            #[must_use]
            pub fn seq_no_primary_term(mut self, tell: bool) -> Self {
                self.0.set("seq_no_primary_term", tell);
                self
            }

            /// Whether hits tell how their score came about.
            #[must_use]
            pub fn explain(mut self, tell: bool) -> Self {
                self.0.set("explain", tell);
                self
            }

            /// A member of the body in the server's own words, which nothing here checks.
            #[must_use]
            pub fn raw(mut self, name: &str, value: serde_json::Value) -> Self {
                self.0.set(name, value);
                self
            }
        }
    };
}
pub(crate) use hit_options;
