//! Output within bounds.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A command's output, whole up to a cap; past the cap its beginning and its end, and how many bytes are missing between.
///
/// In JSON it is a text, or `{"base64": "..."}` where it is not UTF-8; when bytes are missing, an object with `head`,
/// `cut` (how many bytes) and `tail`. Both ways lose nothing of what was kept.
///
/// ```
/// use clusterops_ssh::report::Captured;
///
/// let mut output = Captured::new(8);
/// output.push(b"all work and no play");
/// assert_eq!(output.to_string(), "all [... 12 bytes cut ...]play");
/// assert_eq!(output.total(), 20);
/// ```
#[derive(Clone, Default)]
pub struct Captured(Option<Box<Kept>>);

/// What a [`Captured`] holds. Most outputs are empty, and a report has many of them.
#[derive(Clone, Default)]
struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    cut: u64,
    cap: usize,
}

static NOTHING: Kept = Kept {
    head: Vec::new(),
    tail: VecDeque::new(),
    cut: 0,
    cap: 0,
};

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        if self.cut == 0 && self.head.len() + bytes.len() <= self.cap {
            self.head.extend_from_slice(bytes);
            return;
        }
        let half = self.cap / 2;
        if self.cut == 0 && self.tail.is_empty() {
            let room = half.saturating_sub(self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..room]);
            self.tail = self.head.split_off(half.min(self.head.len())).into();
            self.push_tail(&bytes[room..]);
        } else {
            self.push_tail(bytes);
        }
    }

    fn push_tail(&mut self, bytes: &[u8]) {
        let room = self.cap - self.cap / 2;
        let skipped = bytes.len().saturating_sub(room);
        self.tail.extend(&bytes[skipped..]);
        let surplus = self.tail.len().saturating_sub(room);
        self.tail.drain(..surplus);
        self.cut += (skipped + surplus) as u64;
    }

    fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}

impl Captured {
    /// Keeps at most `cap` bytes.
    pub fn new(cap: usize) -> Self {
        Self(Some(Box::new(Kept {
            cap,
            ..Kept::default()
        })))
    }

    /// Adds bytes at the end.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.get_or_insert_default().push(bytes);
    }

    fn kept(&self) -> &Kept {
        self.0.as_deref().unwrap_or(&NOTHING)
    }

    /// How many more bytes fit before some are cut.
    pub(crate) fn room(&self) -> usize {
        let kept = self.kept();
        kept.cap.saturating_sub(kept.len())
    }

    /// Keeps no more than it holds now and `more` bytes.
    pub(crate) fn restrict(&mut self, more: usize) {
        let kept = self.0.get_or_insert_default();
        kept.cap = kept.len() + more;
    }

    /// How many bytes were written, kept or not.
    pub fn total(&self) -> u64 {
        self.kept().len() as u64 + self.cut()
    }

    /// How many bytes are missing.
    pub fn cut(&self) -> u64 {
        self.kept().cut
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// The bytes, when none is missing.
    pub fn bytes(&self) -> Option<&[u8]> {
        let kept = self.kept();
        (kept.cut == 0).then_some(&kept.head)
    }

    /// The text, with a visible mark where bytes are missing, and U+FFFD for what is not UTF-8.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        let kept = self.kept();
        if kept.cut == 0 {
            return String::from_utf8_lossy(&kept.head);
        }
        let tail: Vec<u8> = kept.tail.iter().copied().collect();
        let (head, tail) = (
            String::from_utf8_lossy(&kept.head),
            String::from_utf8_lossy(&tail),
        );
        format!("{head}[... {} bytes cut ...]{tail}", kept.cut).into()
    }
}

impl PartialEq for Captured {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (self.kept(), other.kept());
        (&one.head, &one.tail, one.cut) == (&other.head, &other.tail, other.cut)
    }
}

impl Eq for Captured {}

impl Hash for Captured {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let kept = self.kept();
        (&kept.head, &kept.tail, kept.cut).hash(state);
    }
}

impl From<&[u8]> for Captured {
    fn from(bytes: &[u8]) -> Self {
        Self(Some(Box::new(Kept {
            head: bytes.to_vec(),
            cap: bytes.len(),
            ..Kept::default()
        })))
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string_lossy())
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Captured({:?})", self.to_string_lossy())
    }
}

/// The form in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Binary {
        base64: String,
    },
    Cut {
        head: Box<Form>,
        cut: u64,
        tail: Box<Form>,
    },
}

impl Form {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Binary {
                base64: data_encoding::BASE64.encode(bytes),
            },
        }
    }

    fn bytes<E: serde::de::Error>(self) -> Result<Vec<u8>, E> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Binary { base64 } => data_encoding::BASE64
                .decode(base64.as_bytes())
                .map_err(E::custom),
            Self::Cut { .. } => Err(E::custom("the head or tail of an output is itself cut")),
        }
    }
}

impl Serialize for Captured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = self.kept();
        let head = Form::of(&kept.head);
        if kept.cut == 0 && kept.tail.is_empty() {
            return head.serialize(serializer);
        }
        let tail: Vec<u8> = kept.tail.iter().copied().collect();
        Form::Cut {
            head: head.into(),
            cut: kept.cut,
            tail: Form::of(&tail).into(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Captured {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (head, cut, tail) = match Form::deserialize(deserializer)? {
            Form::Cut { head, cut, tail } => (head.bytes()?, cut, tail.bytes()?),
            whole => (whole.bytes()?, 0, Vec::new()),
        };
        let cap = head.len() + tail.len();
        Ok(Self(Some(Box::new(Kept {
            head,
            tail: tail.into(),
            cut,
            cap,
        }))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn beginning_and_end_are_kept(cap in 0usize..40, pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..8)) {
            let mut captured = Captured::new(cap);
            let mut all = Vec::new();
            for piece in &pieces {
                captured.push(piece);
                all.extend_from_slice(piece);
                prop_assert!(captured.kept().len() <= cap);
            }
            prop_assert_eq!(captured.total(), all.len() as u64);
            prop_assert_eq!(captured.cut() > 0, all.len() > cap);
            if all.len() <= cap {
                prop_assert_eq!(captured.bytes(), Some(&all[..]));
            } else {
                let kept = captured.kept();
                let tail: Vec<u8> = kept.tail.iter().copied().collect();
                prop_assert!(all.starts_with(&kept.head) && all.ends_with(&tail));
                prop_assert_eq!(kept.len(), cap);
            }
            let json = serde_json::to_string(&captured).expect("it serialises");
            prop_assert_eq!(serde_json::from_str::<Captured>(&json).expect("it reads back"), captured);
        }
    }
}
