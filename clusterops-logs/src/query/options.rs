//! Options that several kinds of queries share.

use std::fmt;
use std::str::FromStr;

use super::parts::Json;
use crate::{Error, ErrorKind, Result};

/// An enumeration whose values are words of the servers.
macro_rules! words {
    ($($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* #[doc = concat!("(`", $word, "`)")] $variant),*
        }

        impl $type {
            pub(crate) fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }
        }

        impl From<$type> for crate::query::parts::Json {
            fn from(value: $type) -> Self {
                value.word().into()
            }
        }
    )*};
}
pub(crate) use words;

words! {
    /// Whether all words of a text must match.
    ///
    /// ```
    /// use clusterops_logs::query::{Operator, Query};
    ///
    /// let query = Query::matches("message", "connection refused").operator(Operator::And);
    /// # assert!(Query::from(query).check().is_ok());
    /// ```
    Operator {
        /// Each of them
        And = "and",
        /// One of them
        Or = "or",
    }

    /// What a text without any word left, such as one of stop words, finds.
    ///
    /// ```
    /// use clusterops_logs::query::{Query, ZeroTerms};
    ///
    /// let query = Query::matches("message", "to be or not to be").zero_terms(ZeroTerms::All);
    /// # assert!(Query::from(query).check().is_ok());
    /// ```
    ZeroTerms {
        /// Nothing
        None = "none",
        /// Everything
        All = "all",
    }

    /// How a text is looked for in several fields.
    ///
    /// ```
    /// use clusterops_logs::query::{MultiMatchType, Query};
    ///
    /// let query = Query::multi_match("refused", ["message", "error.message"]).kind(MultiMatchType::Phrase);
    /// # assert!(Query::from(query).check().is_ok());
    /// ```
    MultiMatchType {
        /// The score of the best field
        BestFields = "best_fields",
        /// The scores of all fields together
        MostFields = "most_fields",
        /// The fields as if they were one
        CrossFields = "cross_fields",
        /// As a phrase in one field
        Phrase = "phrase",
        /// As a phrase whose last word can go on
        PhrasePrefix = "phrase_prefix",
        /// As words of which the last can go on
        BoolPrefix = "bool_prefix",
    }

    /// How the scores of nested documents become one.
    ///
    /// ```
    /// use clusterops_logs::query::{NestedScore, Query};
    ///
    /// let query = Query::nested("spans", Query::match_all()).score_mode(NestedScore::None);
    /// # assert!(Query::from(query).check().is_ok());
    /// ```
    NestedScore {
        /// Their average
        Avg = "avg",
        /// The highest
        Max = "max",
        /// The lowest
        Min = "min",
        /// None: as a filter
        None = "none",
        /// Their sum
        Sum = "sum",
    }

    /// How the results of several score functions become one.
    ///
    /// ```
    /// use clusterops_logs::query::{Query, ScoreFunction, ScoreMode};
    ///
    /// let query = Query::function_score(Query::match_all())
    ///     .function(ScoreFunction::weight(2.0))
    ///     .score_mode(ScoreMode::Sum);
    /// # assert!(Query::from(query).check().is_ok());
    /// ```
    ScoreMode {
        /// Their product
        Multiply = "multiply",
        /// Their sum
        Sum = "sum",
        /// Their average
        Avg = "avg",
        /// The first whose filter matches
        First = "first",
        /// The highest
        Max = "max",
        /// The lowest
        Min = "min",
    }

    /// How the score functions and the query's score become one.
    ///
    /// ```
    /// use clusterops_logs::query::{BoostMode, Query, ScoreFunction};
    ///
    /// let query = Query::function_score(Query::match_all())
    ///     .function(ScoreFunction::random())
    ///     .boost_mode(BoostMode::Replace);
    /// # assert!(Query::from(query).check().is_ok());
    /// ```
    BoostMode {
        /// Their product
        Multiply = "multiply",
        /// The functions alone
        Replace = "replace",
        /// Their sum
        Sum = "sum",
        /// Their average
        Avg = "avg",
        /// The higher
        Max = "max",
        /// The lower
        Min = "min",
    }
}

/// How many letters may differ.
///
/// ```
/// use clusterops_logs::query::{Fuzziness, Query};
///
/// let query = Query::matches("message", "conection").fuzziness(Fuzziness::Auto);
/// assert_eq!(
///     serde_json::to_value(&query)?,
///     serde_json::json!({"match": {"message": {"query": "conection", "fuzziness": "AUTO"}}})
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fuzziness {
    /// By the length of the word: none up to 2 letters, one up to 5, else two.
    Auto,
    /// As [`Auto`](Self::Auto), with the lengths from which one and two may differ.
    AutoFrom(u32, u32),
    /// None.
    Zero,
    /// One.
    One,
    /// Two, the most there is.
    Two,
}

impl From<Fuzziness> for Json {
    fn from(fuzziness: Fuzziness) -> Self {
        match fuzziness {
            Fuzziness::Auto => "AUTO".into(),
            Fuzziness::AutoFrom(one, two) if one <= two => format!("AUTO:{one},{two}").into(),
            Fuzziness::AutoFrom(one, two) => Self::invalid(format!(
                "fuzziness AUTO:{one},{two}: the first length is above the second"
            )),
            Fuzziness::Zero => "0".into(),
            Fuzziness::One => "1".into(),
            Fuzziness::Two => "2".into(),
        }
    }
}

/// How many of the optional clauses or words must match: a number, a percentage, or conditions such as `2<-25% 9<-3`
/// ("minimum_should_match parameter" in the Elasticsearch Guide).
///
/// ```
/// use clusterops_logs::query::{MinimumShouldMatch, Query};
///
/// assert!("3<90%".parse::<MinimumShouldMatch>().is_ok());
/// assert!("most".parse::<MinimumShouldMatch>().is_err());
///
/// let query = Query::matches("message", "disk is full").minimum_should_match("75%");
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MinimumShouldMatch(Outcome);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Outcome {
    Count(i32),
    Words(String),
    Wrong(String),
}

impl From<i32> for MinimumShouldMatch {
    fn from(count: i32) -> Self {
        Self(Outcome::Count(count))
    }
}

impl From<&str> for MinimumShouldMatch {
    /// What does not read is the error of the query that it becomes a part of.
    fn from(text: &str) -> Self {
        let problem = || {
            format!(
                "`{text}` is no minimum_should_match: expected a number, a percentage or `number<number` pairs"
            )
        };
        if is_minimum(text) {
            Self(Outcome::Words(text.to_owned()))
        } else {
            Self(Outcome::Wrong(problem()))
        }
    }
}

impl FromStr for MinimumShouldMatch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::from(text) {
            Self(Outcome::Wrong(problem)) => Err(Error::new(ErrorKind::Input, problem)),
            fine => Ok(fine),
        }
    }
}

impl From<MinimumShouldMatch> for Json {
    fn from(minimum: MinimumShouldMatch) -> Self {
        match minimum.0 {
            Outcome::Count(count) => count.into(),
            Outcome::Words(words) => words.into(),
            Outcome::Wrong(problem) => Self::invalid(problem),
        }
    }
}

impl fmt::Display for MinimumShouldMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Outcome::Count(count) => fmt::Display::fmt(count, f),
            Outcome::Words(text) | Outcome::Wrong(text) => f.write_str(text),
        }
    }
}

fn is_minimum(text: &str) -> bool {
    let amount = |text: &str| {
        let number = text.strip_suffix('%').unwrap_or(text);
        !number.starts_with('+') && number.parse::<i32>().is_ok()
    };
    if !text.contains('<') {
        return amount(text);
    }
    let mut pairs = text.split(' ').filter(|pair| !pair.is_empty());
    pairs.all(|pair| match pair.split_once('<') {
        Some((above, then)) => above.parse::<u32>().is_ok() && amount(then),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_should_match_of_the_guide_is_read() {
        // Elasticsearch Guide, "minimum_should_match parameter", "Possible Values".
        for fine in ["3", "-2", "75%", "-25%", "3<90%", "2<-25% 9<-3"] {
            assert!(is_minimum(fine), "{fine}");
        }
        for wrong in [
            "",
            "%",
            "all",
            "3<",
            "<3",
            "2<-25%,9<-3",
            "3<90% 5",
            "+3",
            "75 %",
        ] {
            assert!(!is_minimum(wrong), "{wrong}");
        }
    }
}
