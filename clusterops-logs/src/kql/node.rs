//! What a KQL query says.

/// A part of a query, and where it starts: the column, in characters from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) column: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Nothing was written: everything matches.
    Everything,
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    /// Something within documents that are nested at a path.
    Nested(Text, Box<Node>),
    /// A field, or none, has a value.
    Is(Option<Text>, Value),
    /// A field is above or below a value: `gt`, `gte`, `lt` or `lte`.
    Range(Text, &'static str, Value),
}

/// A value, and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub(super) column: usize,
    pub(super) kind: ValueKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ValueKind {
    Quoted(String),
    Plain(Text),
    Truth(bool),
    Null,
}

/// Text between wildcards: one piece more than there are `*` that mean any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) Vec<String>);

impl Text {
    pub(super) fn plain(text: String) -> Self {
        Self(vec![text])
    }

    pub(super) fn has_wildcard(&self) -> bool {
        self.0.len() > 1
    }

    /// Whether it is one `*` and nothing else.
    pub(super) fn is_lone_wildcard(&self) -> bool {
        self.0.len() == 2 && self.0.iter().all(String::is_empty)
    }

    pub(super) fn has_leading_wildcard(&self) -> bool {
        self.has_wildcard() && !self.is_lone_wildcard() && self.0[0].is_empty()
    }

    /// As it stands in the name of a field.
    pub(super) fn name(&self) -> String {
        self.0.join("*")
    }

    /// As a wildcard or a `query_string` query reads it.
    pub(super) fn pattern(&self) -> String {
        let escaped: Vec<String> = self.0.iter().map(|piece| escape(piece)).collect();
        escaped.join("*")
    }

    /// Whether the whole of `name` is like it.
    pub(super) fn is_like(&self, name: &str) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.0.first().is_some_and(|text| text == name);
        };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        for piece in middle {
            match rest.split_once(piece.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }

    /// With the path of the nested documents around it.
    pub(super) fn below(&self, path: Option<&str>) -> Self {
        let mut text = self.clone();
        if let (Some(path), Some(first)) = (path, text.0.first_mut()) {
            first.insert(0, '.');
            first.insert_str(0, path);
        }
        text
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if r#"+-=&|><!(){}[]^"~*?:\/"#.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[&str]) -> Text {
        Text(pieces.iter().map(|&piece| piece.to_owned()).collect())
    }

    #[test]
    fn names_are_compared_with_wildcards() {
        let like = [
            (text(&["machine.os"]), "machine.os"),
            (text(&["machine", ""]), "machine.os"),
            (text(&["", "os", ""]), "machine.os.raw"),
            (text(&["a", "b", "c"]), "a-b-b-c"),
            (text(&["", ""]), ""),
        ];
        for (text, name) in like {
            assert!(text.is_like(name), "{text:?} {name}");
        }
        let unlike = [
            (text(&["machine.os"]), "machine.os.raw"),
            (text(&["a", "a"]), "a"),
            (text(&["a", "b", "bc"]), "abc"),
            (text(&["machine", ""]), "amachine"),
        ];
        for (text, name) in unlike {
            assert!(!text.is_like(name), "{text:?} {name}");
        }
    }
}
