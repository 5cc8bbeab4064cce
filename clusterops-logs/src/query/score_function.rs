//! The functions of a function score.

use serde_json::{Value, json};

use super::options::words;
use super::parts::{Json, Parts};
use super::{Query, Scalar};

/// A function of a [`FunctionScore`](super::FunctionScore).
///
/// ```
/// use clusterops_logs::Query;
/// use clusterops_logs::query::{Modifier, ScoreFunction};
///
/// let busy = ScoreFunction::field_value("http.requests").modifier(Modifier::Log1p).missing(1.0);
/// let query = Query::function_score(Query::match_all()).function(busy);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreFunction {
    /// What stands beside the function: its filter and its weight.
    outer: Parts,
    kind: Option<Kind>,
}

#[derive(Debug, Clone, PartialEq)]
struct Kind {
    name: &'static str,
    /// The field that the options stand below.
    field: Option<String>,
    parts: Parts,
}

words! {
    /// How fast a score falls with the distance.
    ///
    /// ```
    /// use clusterops_logs::query::{Decay, ScoreFunction};
    ///
    /// let function = ScoreFunction::decay(Decay::Gauss, "took_ms", 0, 500);
    /// ```
    Decay {
        /// As a bell
        Gauss = "gauss",
        /// By half, and half again
        Exp = "exp",
        /// In a straight line
        Linear = "linear",
    }

    /// What is done to the value of a field before it becomes a score.
    ///
    /// ```
    /// use clusterops_logs::query::{Modifier, ScoreFunction};
    ///
    /// let function = ScoreFunction::field_value("replies").modifier(Modifier::Ln1p);
    /// ```
    Modifier {
        /// Nothing
        None = "none",
        /// The common logarithm
        Log = "log",
        /// The common logarithm of 1 more
        Log1p = "log1p",
        /// The common logarithm of 2 more
        Log2p = "log2p",
        /// The natural logarithm
        Ln = "ln",
        /// The natural logarithm of 1 more
        Ln1p = "ln1p",
        /// The natural logarithm of 2 more
        Ln2p = "ln2p",
        /// The square
        Square = "square",
        /// The square root
        Sqrt = "sqrt",
        /// One divided by it
        Reciprocal = "reciprocal",
    }
}

impl ScoreFunction {
    /// A fixed score.
    #[must_use]
    pub fn weight(weight: f64) -> WeightedFunction {
        let function = Self {
            outer: Parts::new(),
            kind: None,
        };
        WeightedFunction(function).weight(weight)
    }

    /// A random score.
    pub fn random() -> WeightedFunction {
        WeightedFunction::of("random_score", None)
    }

    /// A random score that is the same again for the same seed and the same value of the field, such as `_seq_no`.
    pub fn random_by(seed: i64, field: impl Into<String>) -> WeightedFunction {
        WeightedFunction::of("random_score", None)
            .raw("seed", json!(seed))
            .raw("field", Value::String(field.into()))
    }

    /// A score from the value of a field.
    pub fn field_value(field: impl Into<String>) -> WeightedFunction {
        WeightedFunction::of("field_value_factor", None).raw("field", Value::String(field.into()))
    }

    /// A score that falls with the distance of a field's value from `origin`; at `scale` from it, it is half, unless
    /// [`decay`](WeightedFunction::decay_at_scale) says otherwise. For dates a distance is text such as `10d`.
    pub fn decay(
        decay: Decay,
        field: impl Into<String>,
        origin: impl Into<Scalar>,
        scale: impl Into<Scalar>,
    ) -> WeightedFunction {
        let mut function = WeightedFunction::of(decay.word(), Some(field.into()));
        function.option("origin", origin.into());
        function.option("scale", scale.into());
        function
    }

    /// A score from a script in Painless.
    pub fn script(source: impl Into<String>) -> WeightedFunction {
        let script = json!({"source": source.into()});
        WeightedFunction::of("script_score", None).raw("script", script)
    }
}

/// A [`ScoreFunction`] that is being refined.
///
/// ```
/// use clusterops_logs::Query;
/// use clusterops_logs::query::ScoreFunction;
///
/// let function = ScoreFunction::random().weight(2.0).filter(Query::exists("error"));
/// # let query = Query::function_score(Query::match_all()).function(function);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedFunction(ScoreFunction);

impl WeightedFunction {
    fn of(name: &'static str, field: Option<String>) -> Self {
        let parts = Parts::new();
        Self(ScoreFunction {
            outer: Parts::new(),
            kind: Some(Kind { name, field, parts }),
        })
    }

    fn option(&mut self, name: &str, value: impl Into<Json>) {
        match &mut self.0.kind {
            Some(kind) => kind.parts.set(name, value),
            None => self
                .0
                .outer
                .fail(format!("function_score: a weight alone has no {name}")),
        }
    }

    /// Multiplies the score by this; 0 or more.
    #[must_use]
    pub fn weight(mut self, weight: f64) -> Self {
        if weight < 0.0 {
            self.0.outer.fail(format!(
                "function_score: weight is {weight}, and must not be less than 0"
            ));
        }
        self.0.outer.set("weight", weight);
        self
    }

    /// The documents that it is for.
    #[must_use]
    pub fn filter(mut self, query: impl Into<Query>) -> Self {
        self.0.outer.set("filter", query.into());
        self
    }

    /// What a field's value is multiplied by.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.option("factor", factor);
        self
    }

    /// What is done to a field's value.
    #[must_use]
    pub fn modifier(mut self, modifier: Modifier) -> Self {
        self.option("modifier", modifier);
        self
    }

    /// The value of documents without one.
    #[must_use]
    pub fn missing(mut self, value: f64) -> Self {
        self.option("missing", value);
        self
    }

    /// The distance up to which a decaying score does not fall.
    #[must_use]
    pub fn offset(mut self, distance: impl Into<Scalar>) -> Self {
        self.option("offset", distance.into());
        self
    }

    /// The score at the scale of a decay: between 0 and 1.
    #[must_use]
    pub fn decay_at_scale(mut self, score: f64) -> Self {
        if !(score > 0.0 && score < 1.0) {
            self.0.outer.fail(format!(
                "function_score: decay is {score}, and must be between 0 and 1"
            ));
        }
        self.option("decay", score);
        self
    }

    /// An option of the function in the server's own words, which nothing here checks.
    #[must_use]
    pub fn raw(mut self, name: &str, value: Value) -> Self {
        self.option(name, value);
        self
    }
}

impl From<WeightedFunction> for ScoreFunction {
    fn from(function: WeightedFunction) -> Self {
        function.0
    }
}

impl From<Value> for ScoreFunction {
    fn from(value: Value) -> Self {
        let mut outer = Parts::new();
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    outer.set(&name, value);
                }
            }
            _ => outer.fail("function_score: a function is a JSON object"),
        }
        Self { outer, kind: None }
    }
}

impl From<ScoreFunction> for Json {
    fn from(function: ScoreFunction) -> Self {
        let mut outer = function.outer;
        if let Some(kind) = function.kind {
            let options = Self::from(kind.parts);
            let options = match kind.field {
                Some(field) => options.below(field),
                None => options,
            };
            outer.set(kind.name, options);
        }
        outer.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_json() {
        let cases = [
            // Elasticsearch Guide, "Function score query", "Random".
            (
                ScoreFunction::random_by(10, "_seq_no"),
                json!({"random_score": {"seed": 10, "field": "_seq_no"}}),
            ),
            // The same, "Field Value factor".
            (
                ScoreFunction::field_value("my-int")
                    .factor(1.2)
                    .modifier(Modifier::Sqrt)
                    .missing(1.0),
                json!({"field_value_factor": {
                    "field": "my-int", "factor": 1.2, "modifier": "sqrt", "missing": 1.0
                }}),
            ),
            // The same, "Decay functions".
            (
                ScoreFunction::decay(Decay::Gauss, "@timestamp", "2013-09-17", "10d")
                    .offset("5d")
                    .decay_at_scale(0.5),
                json!({"gauss": {"@timestamp": {
                    "origin": "2013-09-17", "scale": "10d", "offset": "5d", "decay": 0.5
                }}}),
            ),
            // The same, "Script score".
            (
                ScoreFunction::script("Math.log(2 + doc['my-int'].value)"),
                json!({"script_score": {"script": {"source": "Math.log(2 + doc['my-int'].value)"}}}),
            ),
        ];
        for (function, expected) in cases {
            assert_eq!(Json::from(function.0).value(), &expected);
        }
        let wrong = ScoreFunction::weight(1.0).factor(2.0);
        assert!(Json::from(wrong.0).problem().is_some());
    }
}
