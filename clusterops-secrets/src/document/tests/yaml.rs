//! YAML documents: every style and flaw, edits that leave the rest alone, and comparisons with another reader.

use super::*;

fn yaml(source: &str) -> Document {
    parse(source, Format::Yaml)
}

fn edited(source: &str, edit: impl FnOnce(&mut Edits<'_>)) -> String {
    super::edited(source, Format::Yaml, edit)
}

/// Each style, and what it says.
const STYLES: &[(&str, Kind, &str)] = &[
    ("x y", Kind::String, "x y"),
    ("x\n  y\n\n  z", Kind::String, "x y\nz"),
    ("'it''s'", Kind::String, "it's"),
    ("'a\n  b'", Kind::String, "a b"),
    ("\"q\\n\\x41\\u00e9\\\"\"", Kind::String, "q\nAé\""),
    ("\"a \\\n  b\n  c\"", Kind::String, "a b c"),
    ("''", Kind::String, ""),
    ("|\n  l1\n   l2\n\n  l3\n", Kind::String, "l1\n l2\n\nl3\n"),
    ("|- # c\n  l1\n", Kind::String, "l1"),
    ("|+\n  l1\n\n", Kind::String, "l1\n\n\n"),
    (">\n  f1\n  f2\n\n  f3\n", Kind::String, "f1 f2\nf3\n"),
    (">2-\n   f1\n  f2\n", Kind::String, " f1\nf2"),
    ("!!str 1", Kind::String, "1"),
    ("! 1", Kind::String, "1"),
    ("1", Kind::Number, "1"),
    ("-1.5e+3", Kind::Number, "-1.5e+3"),
    ("0x1F", Kind::Number, "0x1F"),
    ("0o17", Kind::Number, "0o17"),
    (".5", Kind::Number, ".5"),
    ("1.", Kind::Number, "1."),
    ("-.inf", Kind::Number, "-.inf"),
    (".NaN", Kind::Number, ".NaN"),
    ("1.2.3", Kind::String, "1.2.3"),
    ("1_000", Kind::String, "1_000"),
    ("e5", Kind::String, "e5"),
    (".", Kind::String, "."),
    ("True", Kind::Bool, "True"),
    ("yes", Kind::String, "yes"),
    ("~", Kind::Null, "~"),
    ("Null", Kind::Null, "Null"),
    ("", Kind::Null, ""),
    ("# c", Kind::Null, ""),
    ("ENC[a:b#c]", Kind::String, "ENC[a:b#c]"),
];

#[test]
fn every_style_is_read_and_replaced() {
    for (spelled, kind, text) in STYLES {
        for source in [
            format!("k: {spelled}\nlast: 1\n"),
            format!("k:   {spelled}\nlast: 1 # c\n"),
            format!("k: {spelled}\n# comment\nlast: 1"),
        ] {
            let document = yaml(&source);
            let expected = [
                ("/k".to_owned(), *kind, *text),
                ("/last".to_owned(), Kind::Number, "1"),
            ];
            assert_eq!(values(&document), expected, "{source}");
            for new in [
                "SEALED[aaa]",
                "",
                "a: b",
                "x # y",
                "multi\nline\r\n\ttext",
                " pad ",
                "12",
                "null",
                "'",
                "\"\\",
                "é\u{85}\u{feff}\u{0}",
            ] {
                let changed = edited(&source, |edits| {
                    edits.set_string(&path("/k"), new).expect("set")
                });
                let read = yaml(&changed);
                assert_eq!(
                    values(&read)[0],
                    ("/k".to_owned(), Kind::String, new),
                    "{changed}"
                );
                assert_eq!(changed.contains("# c"), source.contains("# c"), "{changed}");
                assert_eq!(changed.lines().count(), changed.trim_end().lines().count());
            }
            if !spelled.starts_with('!') {
                let changed = edited(&source, |edits| {
                    edits.set_literal(&path("/k"), "-1e5").expect("set")
                });
                assert_eq!(
                    values(&yaml(&changed))[0],
                    ("/k".to_owned(), Kind::Number, "-1e5"),
                    "{changed}"
                );
            }
        }
    }
}

#[test]
fn the_style_stays_where_the_text_allows() {
    for (source, text, expected) in [
        ("a: ENC[x:y]  # c\n", "SEALED[t]", "a: SEALED[t]  # c\n"),
        (
            "a: SEALED[t]\r\nb: 1\r\n",
            "x y/z@10.0.0.1:80",
            "a: x y/z@10.0.0.1:80\r\nb: 1\r\n",
        ),
        ("a: SEALED[t]\n", "yes", "a: \"yes\"\n"),
        ("a: SEALED[t]\n", "1:30", "a: \"1:30\"\n"),
        ("a: SEALED[t]\n", "-x", "a: -x\n"),
        ("a: SEALED[t]\n", "- x", "a: \"- x\"\n"),
        ("a: SEALED[t]\n", "*x", "a: \"*x\"\n"),
        ("a: SEALED[t]\n", "2001-12-14", "a: \"2001-12-14\"\n"),
        ("a: SEALED[t]\n", "1.2.3.4", "a: 1.2.3.4\n"),
        ("a: 'SEALED[t]'\n", "it's: # \\n", "a: 'it''s: # \\n'\n"),
        ("a: 'SEALED[t]'\n", "x\ny", "a: \"x\\ny\"\n"),
        ("a: \"SEALED[t]\" # c\n", "plain", "a: \"plain\" # c\n"),
        ("a: {b: ENC[]}\n", "x", ""),
        (
            "a: {b: x y, c: 1}\n",
            "SEALED[t]",
            "a: {b: \"SEALED[t]\", c: 1}\n",
        ),
        (
            "a: [x, {b: 'y'}]\n",
            "SEALED[t]",
            "a: [x, {b: 'SEALED[t]'}]\n",
        ),
        (
            "a: | # why\n  x\n  y\n\nb: 1\n",
            "SEALED[t]",
            "a: \"SEALED[t]\" # why\n\nb: 1\n",
        ),
        ("a:\n  >-\n   x\n", "SEALED[t]", "a:\n  \"SEALED[t]\"\n"),
        ("a: x\n  y\nb: 1\n", "SEALED[t]", "a: SEALED[t]\nb: 1\n"),
        ("a: # c\n", "SEALED[t]", "a: SEALED[t] # c\n"),
        ("? a\n: x\n", "SEALED[t]", "? a\n: SEALED[t]\n"),
        ("a: ~", "SEALED[t]", "a: SEALED[t]"),
        ("a: !!str x\n", "SEALED[t]", "a: !!str SEALED[t]\n"),
    ] {
        if expected.is_empty() {
            assert!(
                Document::parse(source.as_bytes(), Format::Yaml).is_err(),
                "{source}"
            );
            continue;
        }
        let document = yaml(source);
        let first = document
            .scalars()
            .iter()
            .find(|scalar| scalar.kind != Kind::Number);
        let mut pointer = document.path(first.expect("a value"));
        if source.contains("[x, {") {
            pointer = path("/a/1/b");
        }
        let changed = edited(source, |edits| {
            edits.set_string(&pointer, text).expect("set")
        });
        assert_eq!(changed, expected);
    }
}

#[test]
fn values_with_anchor_or_tag_stay_as_they_are() {
    let source = "a: &x v\nb: *x\nc: !vault w\nd: &m {e: f}\n<<: *m\ng: {h}\n";
    let document = yaml(source);
    let paths: Vec<_> = values(&document)
        .into_iter()
        .map(|(path, ..)| path)
        .collect();
    assert_eq!(paths, ["/a", "/c", "/d/e", "/g/h"]);
    let mut edits = Edits::new(&document);
    for (pointer, words, place) in [
        ("/a", "an anchor", Some((1, 7))),
        ("/b", "an alias", None),
        ("/c", "a tag", Some((3, 11))),
        ("/g/h", "nothing stands here", Some((6, 6))),
    ] {
        let error = edits.set_string(&path(pointer), "x").expect_err(pointer);
        assert!(error.message().contains(words), "{error}");
        assert_eq!(
            (error.kind(), error.place()),
            (ErrorKind::Input, place),
            "{error}"
        );
    }
    edits
        .set_string(&path("/d/e"), "SEALED[t]")
        .expect("inside of an anchored mapping");
    assert_eq!(
        *edits.apply().expect("it is written"),
        source.replace("f}", "\"SEALED[t]\"}")
    );
}

#[test]
fn places_and_addresses_are_those_of_the_text() {
    let source = "\u{feff}%YAML 1.2\n---\ncontainers:\n- name: web\n  env:\n    é: >-\n      x\n- {id: db}\n- [a,\n   b]\n";
    let document = yaml(source);
    let found: Vec<_> = document
        .scalars()
        .iter()
        .map(|scalar| {
            (
                document.path(scalar).to_string(),
                scalar.line,
                scalar.column,
            )
        })
        .collect();
    let expected = [
        ("/containers/web/name", 4, 9),
        ("/containers/web/env/é", 6, 8),
        ("/containers/db/id", 8, 8),
        ("/containers/2/0", 9, 4),
        ("/containers/2/1", 10, 4),
    ];
    assert_eq!(
        found,
        expected.map(|(path, line, column)| (path.to_owned(), line, column))
    );
    assert!(
        document.may_address(
            document
                .find(&path("/containers/web/name"))
                .expect("a name")
        )
    );
    assert!(
        !document.may_address(
            document
                .find(&path("/containers/web/env/é"))
                .expect("a value")
        )
    );
}

#[test]
fn every_flaw_is_named_with_its_place() {
    for (source, place, words) in [
        ("", (1, 1), "the file is empty"),
        ("# only a comment\n", (1, 1), "the file is empty"),
        (
            "ENC[a:b]: 1\nENC[a:b]: 2\n",
            (2, 1),
            "the key (hidden) stands twice, first in line 1",
        ),
        ("- a\n", (1, 1), "not a YAML mapping"),
        ("text", (1, 1), "not a YAML mapping"),
        ("a: 1\n---\nb: 1\n", (2, 1), "a second YAML document"),
        (
            "a: 1\nb: 2\na: 3\n",
            (3, 1),
            "`a` stands twice, first in line 1",
        ),
        ("a: 1\n\"a\": 3\n", (2, 1), "stands twice"),
        ("1: a\n'1': b\n", (2, 1), "stands twice"),
        (
            "a: {é: 1, é: 2}\n",
            (1, 11),
            "`é` stands twice, first in line 1",
        ),
        ("? [a]\n: b\n", (1, 3), "a key is a single value"),
        ("? {a: b}\n: b\n", (1, 3), "a key is a single value"),
        ("a: &x y\n*x : b\n", (2, 1), "a key is a single value"),
        ("a: *nowhere\n", (1, 4), "not YAML"),
        ("a: [1, 2\nb: 3\n", (2, 1), "not YAML"),
        ("a: \"x\n", (2, 1), "not YAML"),
        ("a: b: c\n", (1, 5), "not YAML"),
        ("a: @x\n", (1, 4), "not YAML"),
    ] {
        let error = Document::parse(source.as_bytes(), Format::Yaml).expect_err(source);
        assert_eq!(error.kind(), ErrorKind::Syntax, "{source}");
        assert!(error.message().contains(words), "{source:?}: {error}");
        let (line, column) = error.place().expect("a place");
        // The parser says where it noticed.
        assert!(
            (line, column) == place || (words == "not YAML" && line.abs_diff(place.0) <= 1),
            "{source:?}: {error}"
        );
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
    yaml(&nested(127));
    let sources = [
        nested(128),
        nested(100_000),
        format!("a:\n{}", "- ".repeat(200)),
        format!("a: {}", "{a: ".repeat(1000)),
    ];
    for source in sources {
        let error = Document::parse(source.as_bytes(), Format::Yaml).expect_err("too deep");
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Syntax, TOO_DEEP)
        );
    }
}

#[test]
fn aliases_are_not_multiplied() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..100 {
        let ten = vec![format!("*a{}", n - 1); 10].join(",");
        bomb.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
    }
    bomb.push_str("m: &m {<<: *m}\n");
    assert_eq!(yaml(&bomb).scalars().len(), 10);
}

#[test]
fn members_are_added_in_the_style_of_their_siblings() {
    for (source, pointers, expected) in [
        ("a: 1", &["/b"][..], "a: 1\nb: v"),
        (
            "a: 1\n",
            &["/b", "/c/d", "/c/e"],
            "a: 1\nb: v\nc:\n  d: v\n  e: v\n",
        ),
        ("a: 1 # c\n# end\n", &["/b"], "a: 1 # c\nb: v\n# end\n"),
        (
            "env:\r\n    A: x\r\nz: 1\r\n",
            &["/env/B", "/w/x"],
            "env:\r\n    A: x\r\n    B: v\r\nz: 1\r\nw:\r\n    x: v\r\n",
        ),
        (
            "l:\n- name: web\n  env:\n    A: 1\n- name: db\n",
            &["/l/web/env/B", "/l/db/C"],
            "l:\n- name: web\n  env:\n    A: 1\n    B: v\n- name: db\n  C: v\n",
        ),
        (
            "a: |+\n  x\n\n\nb:\n  c: >\n   d\n",
            &["/b/e", "/f"],
            "a: |+\n  x\n\n\nb:\n  c: >\n   d\n  e: v\nf: v\n",
        ),
        (
            "a:\n  k: |+\n    x\n\nb: 1\n",
            &["/a/l"],
            "a:\n  k: |+\n    x\n\n  l: v\nb: 1\n",
        ),
        (
            "a: {}\nb: { c: 1 }\nd: {e: [1,\n 2], }\n",
            &["/a/x", "/b/x", "/d/x"],
            "a: {\"x\": \"v\"}\nb: { c: 1, \"x\": \"v\" }\nd: {e: [1,\n 2], \"x\": \"v\", }\n",
        ),
        (
            "{a: 1}\n",
            &["/b", "/c/d"],
            "{a: 1, \"b\": \"v\", \"c\": {\"d\": \"v\"}}\n",
        ),
        (
            "{\n  \"a\": 1\n}\n",
            &["/b"],
            "{\n  \"a\": 1,\n  \"b\": \"v\"\n}\n",
        ),
        (
            "a: [x,\n y]\n",
            &["/yes", "/a b", "/1", "/c: d"],
            "a: [x,\n y]\n\"yes\": v\na b: v\n\"1\": v\n\"c: d\": v\n",
        ),
        ("a: 1\n...\n# end\n", &["/b"], "a: 1\nb: v\n...\n# end\n"),
        (
            "  a: x\n  b:\n   c: 1\n",
            &["/b/d", "/e"],
            "  a: x\n  b:\n   c: 1\n   d: v\n  e: v\n",
        ),
        ("a:\n", &["/b"], "a:\nb: v\n"),
    ] {
        let text = edited(source, |edits| {
            for pointer in pointers {
                edits.insert(&path(pointer), "v").expect(pointer);
            }
        });
        assert_eq!(text, expected);
    }
}

/// Documents of all kinds, which the block comes to and leaves.
const DOCUMENTS: &[&str] = &[
    "a: 1\n",
    "a: 1",
    "a: 1\r\nb:\r\n  - x\r\n",
    "a: 1\r\nb: 2",
    "\u{feff}a: 1\n",
    "---\na: 1\n...\n",
    "---\na: 1\n# c\n...\n# d",
    "a: 1 # c\n\n# the end\n\n",
    "a: 1\n  ",
    "  a: 1\n  b: {c: d}\n",
    "a: |\n  x\n",
    "a: |\n  x",
    "a: |+\n  x\n\n\n",
    "a: |-\n  x\n\n  # text\n# comment\n",
    "a:\n  b:\n    c: >\n      x\n",
    "a:\n",
    "a: x\n  y\n",
    "a: &x [1]\nb: *x\n",
    "{a: 1}\n",
    "{a: 1, }",
    "{ }\n",
    "{\n  a: x, # c\n}\n",
    "{\n  \"a\": 1, # c\n  \"b\": [2] # d\n}",
    "--- {a: b}\n",
    "--- # c\na: 1\n",
    "? a\n: b\n",
    "? |\n  k\n: v\n",
    "a:\n- b\n-\n",
    "&x\na: 1\n",
    "--- !t &x\na:\n  &y b: 1\n",
];

#[test]
fn the_block_comes_and_goes_without_a_trace() {
    for source in DOCUMENTS {
        block_comes_and_goes(source, Format::Yaml);
        values_are_added_beside_the_block(source, Format::Yaml);
    }
}

#[test]
fn the_block_has_one_line_for_each_epoch() {
    let header = Header::new(
        "/shop/api",
        vec![(ID.into(), "{\"a\":1}".into()), (OTHER.into(), "{}".into())],
    );
    let with = edited("a: 1\n", |edits| edits.header(Some(header)));
    let block = format!(
        "x-sealed:\n  version: 1\n  document: \"/shop/api\"\n  epochs:\n    {ID}: {{\"a\":1}}\n    {OTHER}: {{}}\n"
    );
    assert_eq!(with, format!("a: 1\n{block}"));
    assert_eq!(yaml(&with).header().expect("a block").line, 2);
    // What people put behind the block stays there.
    let moved = format!("a: 1\n{block}# c\nb: 2\n");
    let document = yaml(&moved);
    assert_eq!(
        document.find(&path("/b")).map(|found| document.text(found)),
        Some("2")
    );
    assert_eq!(
        edited(&moved, |edits| edits.header(None)),
        "a: 1\n# c\nb: 2\n"
    );
    let added = edited(&moved, |edits| edits.insert(&path("/c"), "v").expect("new"));
    assert_eq!(added, format!("{moved}c: v\n"));
}

#[test]
fn a_block_that_is_not_as_written_is_refused() {
    for (block, place, words) in [
        ("x-sealed: 1\n", 2, "not the block"),
        (
            "x-sealed:\n  version: 2\n  document: d\n  epochs: {}\n",
            3,
            "format version 2",
        ),
        (
            "x-sealed:\n  version: 1\n  epochs: {}\n",
            2,
            "no `document`",
        ),
        (
            "x-sealed:\n  version: 1\n  document: d\n  epochs:\n    short: {}\n",
            5,
            "43 characters",
        ),
        (
            &format!("x-sealed:\n  version: 1\n  document: d\n  epochs:\n    {ID}:\n      a: 1\n"),
            6,
            "one JSON object",
        ),
        (
            &format!("x-sealed:\n  version: 1\n  document: d\n  epochs:\n    {ID}: {{\n     }}\n"),
            5,
            "more than one line",
        ),
        (
            &format!(
                "x-sealed:\n  version: 1\n  document: d\n  epochs:\n    {OTHER}: {{}}\n    {ID}: {{}}\n"
            ),
            5,
            "not sorted",
        ),
    ] {
        let source = format!("a: 1\n{block}");
        let error = Document::parse(source.as_bytes(), Format::Yaml).expect_err(&source);
        assert_eq!(
            (error.kind(), error.place()),
            (ErrorKind::Format, Some((place, 1))),
            "{error}"
        );
        assert!(error.message().contains(words), "{source}: {error}");
    }
}

/// What PyYAML reads; `data/pyyaml.py` wrote it.
const PYYAML: &str = include_str!("../data/pyyaml.json");

#[test]
fn texts_are_those_that_another_reader_finds() {
    let table: Vec<(String, Vec<(String, String)>)> =
        serde_json::from_str(PYYAML).expect("a table");
    assert!(table.len() > 100);
    for (source, expected) in &table {
        let document = yaml(source);
        let found: Vec<_> = document
            .scalars()
            .iter()
            .map(|scalar| {
                (
                    document.path(scalar).to_string(),
                    document.text(scalar).to_owned(),
                )
            })
            .collect();
        assert_eq!(&found, expected, "{source}");
    }
}
