//! JSON documents: every flaw with its place, edits that leave the rest alone, and comparisons with serde_json.

use super::*;

fn json(source: &str) -> Document {
    parse(source, Format::Json)
}

fn edited(source: &str, edit: impl FnOnce(&mut Edits<'_>)) -> String {
    super::edited(source, Format::Json, edit)
}

#[test]
fn values_are_listed_with_path_kind_text_and_place() {
    let document = json(
        "{\"a\": \"x\\ny\",\n  \"é\": [1.50, {\"b/c\": null}, true],\r\n\"\": \"é\", \"z\": -0e+1}",
    );
    let expected = [
        ("/a", Kind::String, "x\ny"),
        ("/é/0", Kind::Number, "1.50"),
        ("/é/1/b~1c", Kind::Null, "null"),
        ("/é/2", Kind::Bool, "true"),
        ("/", Kind::String, "é"),
        ("/z", Kind::Number, "-0e+1"),
    ];
    let expected = expected.map(|(path, kind, text)| (path.to_owned(), kind, text));
    assert_eq!(values(&document), expected);
    let places: Vec<_> = document
        .scalars()
        .iter()
        .map(|one| (one.line, one.column))
        .collect();
    assert_eq!(places, [(1, 7), (2, 9), (2, 23), (2, 30), (3, 5), (3, 15)]);
    for (pointer, kind, text) in values(&document) {
        let found = document.find(&path(&pointer)).expect("it is found");
        assert_eq!((found.kind, document.text(found)), (kind, text));
    }
    assert!(document.contains(&path("/é/1")) && document.find(&path("/é/1")).is_none());
    assert!(!document.contains(&path("/é/01")) && !document.contains(&path("/é/3")));
    assert_eq!(document.own_id(), None);
}

#[test]
fn elements_are_addressed_by_a_unique_name_or_id() {
    for (array, paths) in [
        (
            r#"[{"name":"a","v":1},{"name":"b","v":1}]"#,
            &["/x/a", "/x/b"][..],
        ),
        (
            r#"[{"name":"a"},{"name":"a"},{"id":"c"}]"#,
            &["/x/0", "/x/1", "/x/c"],
        ),
        (
            r#"[{"name":"a","id":"1a"},{"name":"a","id":"2a"}]"#,
            &["/x/1a", "/x/2a"],
        ),
        (r#"[{"name":"a","id":"a"},{"id":"b"}]"#, &["/x/a", "/x/b"]),
        (r#"[{"name":"a"},{"id":"a"}]"#, &["/x/0", "/x/1"]),
        (
            r#"[{"name":"1"},{"name":""},{"name":2},{"name":{"a":1}},[{"name":"q"}]]"#,
            &["/x/0", "/x/1", "/x/2", "/x/3", "/x/4"],
        ),
        (
            r#"[{"name":"ENC[a:b]"},{"name":"SEALED[a]","id":"i"}]"#,
            &["/x/0", "/x/i"],
        ),
        (r#"[{"name":"a/~b"}]"#, &["/x/a~1~0b"]),
        (r#"[{"n\u0061me":"\u0061"}]"#, &["/x/a"]),
        (r#"[{"other":{"name":"a"}}]"#, &["/x/0"]),
    ] {
        let document = json(&format!("{{\"x\":{array}}}"));
        let array = document
            .tree
            .find(document.source(), &path("/x"))
            .expect("it is there");
        let mut found: Vec<_> = document.tree.children(array).collect();
        found.reverse();
        let found = found
            .into_iter()
            .map(|node| document.tree.path(document.source(), node).to_string());
        let found: Vec<_> = found.collect();
        assert_eq!(found, paths);
        for one in paths {
            assert!(document.contains(&path(one)), "{one}");
        }
    }
}

#[test]
fn every_flaw_is_named_with_its_place() {
    for (source, place, words) in [
        ("", (1, 1), "empty"),
        (" \n ", (2, 2), "empty"),
        ("[1]", (1, 1), "not a JSON object"),
        ("\"a\"", (1, 1), "not a JSON object"),
        ("{} x", (1, 4), "behind the JSON object"),
        ("{\"a\":1,}", (1, 8), "in front of this `}`"),
        ("{\"a\":[1,\n ]}", (2, 2), "in front of this `]`"),
        ("{\"a\":1 \"b\":2}", (1, 8), "`,` or `}` is missing"),
        ("{\"a\":[1 2]}", (1, 9), "`,` or `]` is missing"),
        ("{\"a\" 1}", (1, 6), "`:` is missing"),
        ("{a:1}", (1, 2), "name of a member"),
        ("{'a':1}", (1, 2), "double quotes"),
        ("{\"a\":'x'}", (1, 6), "double quotes"),
        ("{// c\n\"a\":1}", (1, 2), "no comments"),
        ("{\"a\":1 /* c */}", (1, 8), "no comments"),
        ("{\"a\":# c\n1}", (1, 6), "no comments"),
        ("{\"a\":1", (1, 7), "ends too early"),
        ("{\"a\":", (1, 6), "ends where a value"),
        ("{\"a\":1,", (1, 8), "ends inside of an object"),
        ("{\"a\":\"x}", (1, 6), "no closing quote"),
        ("{\"a\":\"x\ny\"}", (1, 8), "a line ends"),
        ("{\"a\":\"x\ty\"}", (1, 8), "control character"),
        ("{\"a\":\"\u{0}\"}", (1, 7), "control character"),
        ("{\"a\":\"\\\u{1}\"}", (1, 8), "control character"),
        ("{\"é\":\"é\\x\"}", (1, 8), "no such escape"),
        ("{\"a\":\"\\é\"}", (1, 7), "no such escape"),
        ("{\"a\":\"\\u12\"}", (1, 7), "four hexadecimal digits"),
        ("{\"a\":\"\\u+123\"}", (1, 7), "four hexadecimal digits"),
        ("{\"a\":\"\\ud800\"}", (1, 7), "surrogate"),
        ("{\"a\":\"\\ud800\\u0041\"}", (1, 7), "surrogate"),
        ("{\"a\":\"x\\udc00\"}", (1, 8), "surrogate"),
        ("{\"a\":01}", (1, 6), "not a number"),
        ("{\"a\":-}", (1, 6), "not a number"),
        ("{\"a\":1.}", (1, 6), "not a number"),
        ("{\"a\":1e}", (1, 6), "not a number"),
        ("{\"a\":0x1}", (1, 6), "not a number"),
        ("{\"a\":+1}", (1, 6), "a value is missing"),
        ("{\"a\":.5}", (1, 6), "a value is missing"),
        ("{\"a\":NaN}", (1, 6), "a value is missing"),
        ("{\"a\":nul}", (1, 6), "a text needs quotes"),
        ("{\"a\":truex}", (1, 6), "a text needs quotes"),
        ("{\"a\":True}", (1, 6), "a value is missing"),
        ("{\"a\":,}", (1, 6), "a value is missing"),
        ("{\"a\":\u{a0}1}", (1, 6), "a value is missing"),
        (
            "{\"a\":1,\n \"a\":2}",
            (2, 2),
            "the key \"a\" stands twice, first in line 1",
        ),
        ("{\"a\":1,\"\\u0061\":2}", (1, 8), "stands twice"),
        // What is to be sealed is not repeated in an error.
        (
            "{\"ENC[a:b]\":1,\"ENC[a:b]\":2}",
            (1, 15),
            "the key (hidden) stands twice, first in line 1",
        ),
        (
            "{\"x\":{\"a\":1,\"b\":{},\"b\":2}}",
            (1, 20),
            "\"b\" stands twice",
        ),
        ("\u{feff}[", (1, 1), "not a JSON object"),
        ("\u{feff}\u{feff}{}", (1, 1), "not a JSON object"),
    ] {
        let error = Document::parse(source.as_bytes(), Format::Json).expect_err(source);
        assert_eq!(error.kind(), ErrorKind::Syntax, "{source}");
        assert_eq!(error.place(), Some(place), "{source:?}: {error}");
        assert!(error.message().contains(words), "{source:?}: {error}");
    }
    let error = Document::parse(b"{\n\"\xc3\xa9\xff\":1}", Format::Json).expect_err("no UTF-8");
    assert_eq!(error.place(), Some((2, 3)));
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    json(&nested(127));
    let error = Document::parse(nested(128).as_bytes(), Format::Json).expect_err("too deep");
    assert_eq!((error.place(), error.message()), (Some((1, 133)), TOO_DEEP));
    let open = "{\"a\":".repeat(1_000_000);
    assert!(Document::parse(open.as_bytes(), Format::Json).is_err());
}

#[test]
fn a_replaced_value_leaves_the_rest_alone() {
    let source =
        "\u{feff}{\r\n\t\"b\" : \"ENC[x:1]\" ,\r\n\t\"a\": [1.0, 2e5 ,\"\\u0041\"]\r\n}\r\n\r\n";
    let sealed = edited(source, |edits| {
        edits.set_string(&path("/b"), "SEALED[t]").expect("a value");
        edits
            .set_string(&path("/a/1"), "SEALED[u]")
            .expect("a value");
    });
    assert_eq!(
        sealed,
        source
            .replace("ENC[x:1]", "SEALED[t]")
            .replace("2e5", "\"SEALED[u]\"")
    );
    let opened = edited(&sealed, |edits| {
        edits.set_string(&path("/b"), "ENC[x:1]").expect("a value");
        edits.set_literal(&path("/a/1"), "2e5").expect("a value");
    });
    assert_eq!(opened, source);
}

#[test]
fn what_cannot_be_set_is_said() {
    let document = json("{\"a\":{\"b\":1},\"c\":[]}");
    let mut edits = Edits::new(&document);
    for (pointer, words) in [
        ("/a", "not a value"),
        ("/x", "nothing stands"),
        ("/a/b/c", "nothing"),
        ("", "not a value"),
    ] {
        let error = edits.set_string(&path(pointer), "x").expect_err(pointer);
        assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::Input, Some(pointer))
        );
        assert!(error.message().contains(words), "{error}");
    }
    for literal in [
        "", "x", "\"x\"", "01", " 1", "1 ", "[]", "1e999x", "+1", "-",
    ] {
        assert!(
            edits.set_literal(&path("/a/b"), literal).is_err(),
            "{literal}"
        );
    }
    for literal in [
        "1e999",
        "-0",
        "null",
        "false",
        "123456789012345678901234567890.10",
    ] {
        edits.set_literal(&path("/a/b"), literal).expect(literal);
    }
    for pointer in ["/a", "/a/b", "/a/b/c", "/c/0", "/c/-", "/x-sealed/a", ""] {
        let error = edits.insert(&path(pointer), "x").expect_err(pointer);
        assert_eq!(error.kind(), ErrorKind::Input);
    }
    edits.insert(&path("/n/m"), "x").expect("new");
    for pointer in ["/n/m", "/n/m/o", "/n"] {
        edits.insert(&path(pointer), "x").expect_err(pointer);
    }
}

#[test]
fn members_are_added_in_the_style_of_their_siblings() {
    for (source, pointers, expected) in [
        ("{\"a\":1}", &["/b"][..], "{\"a\":1,\"b\":\"v\"}"),
        (
            "{ \"a\": 1 }",
            &["/b", "/c/d", "/c/e"],
            "{ \"a\": 1, \"b\": \"v\", \"c\": {\"d\": \"v\", \"e\": \"v\"} }",
        ),
        ("{}", &["/b", "/c"], "{\"b\": \"v\", \"c\": \"v\"}"),
        (
            "{}\n",
            &["/b", "/c"],
            "{\n  \"b\": \"v\",\n  \"c\": \"v\"\n}\n",
        ),
        ("{\n}\n", &["/b"], "{\n  \"b\": \"v\"\n}\n"),
        (
            "{\n\t\"a\" : {}\n}",
            &["/a/b"],
            "{\n\t\"a\" : {\n\t\t\"b\": \"v\"\n\t}\n}",
        ),
        (
            "{\r\n    \"a\" : {\r\n        \"x\" :1\r\n    }\r\n}",
            &["/a/b", "/c/d"],
            "{\r\n    \"a\" : {\r\n        \"x\" :1,\r\n        \"b\" :\"v\"\r\n    },\r\n    \"c\" : {\r\n        \"d\" : \"v\"\r\n    }\r\n}",
        ),
        (
            "{\"a\":[{\"name\":\"n\"}]}",
            &["/a/n/b~1"],
            "{\"a\":[{\"name\":\"n\",\"b/\":\"v\"}]}",
        ),
    ] {
        let text = edited(source, |edits| {
            for pointer in pointers {
                edits.insert(&path(pointer), "v").expect(pointer);
            }
        });
        assert_eq!(text, expected);
    }
}

#[test]
fn the_block_comes_and_goes_without_a_trace() {
    for source in [
        "{}",
        "{ }\n",
        "{\n}",
        "{\"a\":1}",
        "{\"a\":{\"b\":2}}\n",
        "{\n  \"a\": \"x\"\n}\n",
        "{\r\n\t\"a\": \"x\",\r\n\t\"b\": [1,\r\n\t2]\r\n}\r\n",
        "\u{feff}{\n    \"a\": 1 }  ",
        "{ \"a\": 1,\n\"b\": 2}",
    ] {
        block_comes_and_goes(source, Format::Json);
        values_are_added_beside_the_block(source, Format::Json);
    }
}

#[test]
fn the_block_has_one_line_for_each_epoch() {
    let header = Header::new(
        "/shop/api",
        vec![(ID.into(), "{\"a\":1}".into()), (OTHER.into(), "{}".into())],
    );
    let with = edited("{\n  \"a\": 1\n}\n", |edits| {
        edits.header(Some(header.clone()))
    });
    let expected = format!(
        "{{\n  \"a\": 1,\n  \"x-sealed\": {{\n    \"version\": 1,\n    \"document\": \"/shop/api\",\n    \"epochs\": {{\n      \
         \"{ID}\": {{\"a\":1}},\n      \"{OTHER}\": {{}}\n    }}\n  }}\n}}\n"
    );
    assert_eq!(with, expected);
    assert_eq!(json(&with).header().expect("a block").line, 3);
}

#[test]
fn a_block_that_is_not_last_is_kept_and_removed() {
    let block = format!(
        "\"x-sealed\": {{\"version\":1,\"document\":\"d\",\"epochs\":{{\"{ID}\":{{\"a\":[1]}}}}}}"
    );
    for (source, without) in [
        (format!("{{{block},\n \"b\":2}}"), "{\"b\":2}"),
        (
            format!("{{\"a\":1, {block},\n \"b\":2}}"),
            "{\"a\":1,\n \"b\":2}",
        ),
    ] {
        let document = json(&source);
        assert_eq!(
            document.find(&path("/b")).map(|found| document.text(found)),
            Some("2")
        );
        assert_eq!(
            document
                .path(document.scalars().last().expect("b"))
                .as_str(),
            "/b"
        );
        assert!(
            !document.contains(&path("/x-sealed"))
                && !document.contains(&path("/x-sealed/version"))
        );
        assert!(document.find(&path("/x-sealed/version")).is_none());
        assert_eq!(edited(&source, |edits| edits.header(None)), without);
        let added = edited(&source, |edits| {
            edits.insert(&path("/c"), "v").expect("new")
        });
        assert!(added.ends_with("\n \"b\":2,\n \"c\":\"v\"}"), "{added}");
    }
}

#[test]
fn a_block_that_is_not_as_written_is_refused() {
    let epochs = format!("\"epochs\":{{\"{ID}\":{{}}}}");
    for (block, words) in [
        ("1".to_owned(), "not the block"),
        ("{}".to_owned(), "no `version`"),
        (
            format!("{{\"version\":2,\"document\":\"d\",{epochs}}}"),
            "format version 2",
        ),
        (
            format!("{{\"version\":\"1\",\"document\":\"d\",{epochs}}}"),
            "`version`",
        ),
        (
            format!("{{\"version\":1.0,\"document\":\"d\",{epochs}}}"),
            "version 1.0",
        ),
        (format!("{{\"version\":1,{epochs}}}"), "no `document`"),
        (
            format!("{{\"version\":1,\"document\":5,{epochs}}}"),
            "`document`",
        ),
        (
            "{\"version\":1,\"document\":\"d\"}".to_owned(),
            "no `epochs`",
        ),
        (
            "{\"version\":1,\"document\":\"d\",\"epochs\":[]}".to_owned(),
            "not an object",
        ),
        (
            "{\"version\":1,\"document\":\"d\",\"epochs\":5}".to_owned(),
            "`epochs`",
        ),
        (
            format!("{{\"version\":1,\"document\":\"d\",\"more\":1,{epochs}}}"),
            "`more`",
        ),
        (
            "{\"version\":1,\"document\":\"d\",\"epochs\":{\"short\":{}}}".to_owned(),
            "43 characters",
        ),
        (
            format!("{{\"version\":1,\"document\":\"d\",\"epochs\":{{\"{ID}\":[]}}}}"),
            "one JSON object",
        ),
        (
            format!("{{\"version\":1,\"document\":\"d\",\"epochs\":{{\"{ID}\":{{\n}}}}}}"),
            "more than one line",
        ),
        (
            format!(
                "{{\"version\":1,\"document\":\"d\",\"epochs\":{{\"{OTHER}\":{{}},\"{ID}\":{{}}}}}}"
            ),
            "not sorted",
        ),
    ] {
        let source = format!("{{\n\"a\":1,\"x-sealed\":{block}}}");
        let error = Document::parse(source.as_bytes(), Format::Json).expect_err(&source);
        assert_eq!(
            (error.kind(), error.place()),
            (ErrorKind::Format, Some((2, 1))),
            "{error}"
        );
        assert!(error.message().contains(words), "{source}: {error}");
    }
}
