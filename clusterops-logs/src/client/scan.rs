//! Finds the hits in the answer of a search while it arrives.

use crate::{Error, ErrorKind, Result};

/// Takes an answer apart, piece by piece: each element of `hits.hits` by itself, and all the rest with an empty list in
/// their place. It holds one hit and the rest, each up to a limit; what is no JSON is found by whoever parses the parts.
#[derive(Debug)]
pub(super) struct Scanner {
    limit: usize,
    /// All but the hits.
    rest: Vec<u8>,
    hit: Vec<u8>,
    /// How many objects and lists are open.
    depth: usize,
    string: Option<Text>,
    /// Whether the next string at a depth that matters is a name.
    expects_name: bool,
    /// Whether the last name at depth 1, and that at depth 2 below it, is `hits`.
    at_hits: [bool; 2],
    list: List,
}

/// Where we are with the list of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Before,
    Inside,
    After,
}

/// A string that is open.
#[derive(Debug, Clone, Copy)]
struct Text {
    escaped: bool,
    /// How many bytes of `hits` it began with, while it is a name that may be this.
    name: Option<usize>,
}

const NAME: &[u8] = b"hits";
/// The depth of an element of the list.
const IN_LIST: usize = 3;

impl Scanner {
    /// A hit, and the rest, may have this many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            rest: Vec::new(),
            hit: Vec::new(),
            depth: 0,
            string: None,
            expects_name: false,
            at_hits: [false; 2],
            list: List::Before,
        }
    }

    /// Goes on with a piece until a hit is whole; gives how many bytes that took, and whether one is.
    pub(super) fn scan(&mut self, piece: &[u8]) -> Result<(usize, bool)> {
        let mut at = 0;
        while at < piece.len() {
            if self.in_hit() {
                let (taken, whole) = self.scan_hit(&piece[at..]);
                self.keep_hit(&piece[at..at + taken])?;
                at += taken;
                if whole {
                    return Ok((at, true));
                }
            } else {
                let byte = piece[at];
                at += 1;
                let was_inside = self.list == List::Inside;
                self.step(byte);
                if self.in_hit() {
                    self.hit.clear();
                    self.keep_hit(&[byte])?;
                } else if was_inside && self.list == List::Inside {
                    // Commas and white space between hits; anything else is no hit.
                    if !byte.is_ascii_whitespace() && byte != b',' {
                        return Err(Error::new(
                            ErrorKind::Answer,
                            "the answer to a search has something among its hits that is none",
                        ));
                    }
                } else {
                    if self.rest.len() >= self.limit {
                        return Err(too_long("what stands beside the hits", self.limit));
                    }
                    self.rest.push(byte);
                }
            }
        }
        Ok((at, false))
    }

    /// The hit that is whole.
    pub(super) fn hit(&self) -> &[u8] {
        &self.hit
    }

    /// Whether the list of hits has begun.
    pub(super) fn has_list(&self) -> bool {
        self.list != List::Before
    }

    /// What stands before the list, closed so that it is JSON by itself.
    pub(super) fn before(&self) -> Vec<u8> {
        [&self.rest, b"]}}".as_slice()].concat()
    }

    /// All but the hits, when nothing more comes.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Whether the object that the answer is has been closed.
    pub(super) fn is_whole(&self) -> bool {
        self.depth == 0 && self.string.is_none() && self.rest.contains(&b'}')
    }

    fn in_hit(&self) -> bool {
        self.list == List::Inside && (self.depth > IN_LIST || self.string.is_some())
    }

    fn keep_hit(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > self.limit - self.hit.len().min(self.limit) {
            return Err(too_long("a hit", self.limit));
        }
        self.hit.extend_from_slice(bytes);
        Ok(())
    }

    /// Goes on inside a hit, and gives how far, and whether it is whole.
    fn scan_hit(&mut self, piece: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < piece.len() {
            if let Some(text) = &mut self.string {
                if text.escaped {
                    text.escaped = false;
                    at += 1;
                    continue;
                }
                let stops = piece[at..]
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'\\'));
                let Some(stop) = stops else {
                    return (piece.len(), false);
                };
                at += stop + 1;
                match piece[at - 1] {
                    b'"' => self.string = None,
                    _ => text.escaped = true,
                }
            } else {
                match piece[at] {
                    b'"' => {
                        self.string = Some(Text {
                            escaped: false,
                            name: None,
                        })
                    }
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
                at += 1;
            }
            if !self.in_hit() {
                return (at, true);
            }
        }
        (at, false)
    }

    /// Takes a byte that belongs to no hit.
    fn step(&mut self, byte: u8) {
        if let Some(text) = &mut self.string {
            match (text.escaped, byte) {
                (true, _) => text.escaped = false,
                (false, b'\\') => {
                    text.escaped = true;
                    text.name = None;
                }
                (false, b'"') => {
                    let hits = text.name == Some(NAME.len());
                    self.string = None;
                    if self.expects_name && matches!(self.depth, 1 | 2) {
                        self.at_hits[self.depth - 1] = hits;
                        self.expects_name = false;
                    }
                }
                (false, _) => {
                    text.name = text.name.filter(|&length| NAME.get(length) == Some(&byte));
                    text.name = text.name.map(|length| length + 1);
                }
            }
            return;
        }
        match byte {
            b'"' => {
                self.string = Some(Text {
                    escaped: false,
                    name: Some(0),
                })
            }
            b'{' => {
                self.depth += 1;
                self.expects_name = true;
            }
            b'[' => {
                let begins = self.depth == 2 && self.at_hits == [true; 2];
                if begins && self.list == List::Before {
                    self.list = List::Inside;
                }
                self.depth += 1;
                self.expects_name = false;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.list == List::Inside && self.depth < IN_LIST {
                    self.list = List::After;
                }
                if self.depth < 2 {
                    self.at_hits[1] = false;
                }
                self.expects_name = false;
            }
            // In a list no name follows; then a string there is no name of ours, as `hits` of depth 2 is in an object.
            b',' => self.expects_name = true,
            b':' => self.expects_name = false,
            _ => {}
        }
    }
}

fn too_long(what: &str, limit: usize) -> Error {
    let message = format!("{what} has more than the {limit} bytes that are read");
    Error::new(ErrorKind::Answer, message)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn taken_apart(pieces: &[&[u8]]) -> Result<(Vec<String>, String)> {
        let mut scanner = Scanner::new(1000);
        let mut hits = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (taken, whole) = scanner.scan(rest)?;
                rest = &rest[taken..];
                if whole {
                    hits.push(String::from_utf8_lossy(scanner.hit()).into_owned());
                }
            }
        }
        Ok((hits, String::from_utf8_lossy(scanner.rest()).into_owned()))
    }

    const ANSWER: &str = r#"{"hi\"ts":["hits",{"hits":[1]}],"x":{"hits":[{"a":1}]},"_shards":{"failures":[{"hits":[2]}]},
        "hits" : {"total":{"hits":[3]},"hits":[ {"_id":"\"}]","n":[[{}]]} ,
        {"hits":{"hits":[{}]}},{} ],"z":[4]},"aggregations":{"hits":{"hits":{"hits":[{"top":1}]}}}}"#;

    #[test]
    fn hits_are_found_however_the_answer_is_torn() {
        let expected = vec![
            r#"{"_id":"\"}]","n":[[{}]]}"#.to_owned(),
            r#"{"hits":{"hits":[{}]}}"#.to_owned(),
            "{}".to_owned(),
        ];
        let bytes = ANSWER.as_bytes();
        for size in 1..bytes.len() {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            let (hits, rest) = taken_apart(&pieces).unwrap();
            assert_eq!(hits, expected, "{size}");
            let rest: serde_json::Value = serde_json::from_str(&rest).unwrap();
            let mut whole: serde_json::Value = serde_json::from_str(ANSWER).unwrap();
            whole["hits"]["hits"] = serde_json::json!([]);
            assert_eq!(rest, whole);
        }
    }

    #[test]
    fn what_is_too_long_or_no_hit_is_an_error() {
        let long = format!(r#"{{"hits":{{"hits":[{{"a":"{}"}}]}}}}"#, "x".repeat(1000));
        assert!(taken_apart(&[long.as_bytes()]).is_err());
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1000));
        assert!(taken_apart(&[long.as_bytes()]).is_err());
        assert!(taken_apart(&[br#"{"hits":{"hits":[1]}}"#]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_scanned(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), likely in "(\\{|\\}|\\[|\\]|\"hits\"|:|,|\"|\\\\|1| ){0,60}") {
            let _ = taken_apart(&[&bytes]);
            let _ = taken_apart(&[likely.as_bytes()]);
            let nested = format!(r#"{{"hits":{{"hits":[{likely}"#);
            let _ = taken_apart(&[nested.as_bytes()]);
        }

        #[test]
        fn where_it_is_torn_changes_nothing(hits in proptest::collection::vec(".{0,10}", 0..5), sizes in proptest::collection::vec(1_usize..20, 1..10)) {
            let list: Vec<_> = hits.iter().map(|text| serde_json::json!({"_id": text, "a": [text, {"b": text}]})).collect();
            let answer = serde_json::json!({"took": 1, "hits": {"hits": list}, "pit_id": "x"}).to_string();
            let mut pieces = Vec::new();
            let mut rest = answer.as_bytes();
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let (found, _) = taken_apart(&pieces).unwrap();
            let found: Vec<serde_json::Value> = found.iter().map(|hit| serde_json::from_str(hit).unwrap()).collect();
            proptest::prop_assert_eq!(found, list);
        }
    }
}
