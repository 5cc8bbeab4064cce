//! Dotenv files: what the npm package reads, flaws that it is silent about, and edits that leave the rest alone.

use super::*;

fn dotenv(source: &str) -> Document {
    parse(source, Format::Dotenv)
}

fn edited(source: &str, edit: impl FnOnce(&mut Edits<'_>)) -> String {
    super::edited(source, Format::Dotenv, edit)
}

/// What the npm package `dotenv` 17 reads; `data/npm_dotenv.mjs` wrote it.
const NPM: &str = include_str!("../data/npm_dotenv.json");

#[test]
fn values_are_those_that_the_npm_package_reads() {
    let table: Vec<(String, Vec<(String, String)>)> = serde_json::from_str(NPM).expect("a table");
    assert!(table.len() > 60);
    for (source, expected) in &table {
        let document = dotenv(source);
        let mut found: Vec<_> = document
            .scalars()
            .iter()
            .map(|scalar| {
                (
                    document.token(scalar).into_owned(),
                    document.text(scalar).to_owned(),
                )
            })
            .collect();
        found.sort();
        assert_eq!(&found, expected, "{source:?}");
    }
}

#[test]
fn every_flaw_is_named_with_its_place() {
    for (source, place, words) in [
        ("A=1\nB\n", (2, 2), "`=` is missing"),
        ("=1\n", (1, 1), "neither a comment"),
        ("A=1\n  $x\n", (2, 3), "neither a comment"),
        ("export A\n", (1, 9), "`=` is missing"),
        ("A\n=1\n", (1, 2), "`=` is missing"),
        ("A:1\n", (1, 2), "a space is missing"),
        ("A:\nB=1\n", (1, 2), "a space is missing"),
        ("A='x\n", (1, 3), "does not close"),
        ("A=\"x' # c\n", (1, 3), "does not close"),
        ("A='x' y\n", (1, 3), "something but a comment"),
        ("A='it''s'\n", (1, 3), "something but a comment"),
        ("A=\n'x'\n", (2, 1), "neither a comment"),
        ("é: 1\n", (1, 1), "neither a comment"),
        ("É='x\ny'\nA=1\nA = 2\n", (1, 1), "neither a comment"),
        (
            "E='x\ny'\nA=1\n  A = 2\n",
            (4, 3),
            "`A` stands twice, first in line 3",
        ),
        ("x-sealed=1\n", (1, 1), "reserved"),
        ("# a\u{2028}B=1\n", (1, 1), "U+2028"),
        ("A=x\u{2028}\n", (1, 3), "U+2028"),
    ] {
        let error = Document::parse(source.as_bytes(), Format::Dotenv).expect_err(source);
        assert_eq!(error.kind(), ErrorKind::Syntax, "{source}");
        assert_eq!(error.place(), Some(place), "{source:?}: {error}");
        assert!(error.message().contains(words), "{source:?}: {error}");
    }
}

#[test]
fn places_are_those_of_the_values() {
    let document = dotenv("\u{feff}A=é\r\n  export B = 'x\n\ny' # c\nC: \"z\"\n");
    let places = document
        .scalars()
        .iter()
        .map(|scalar| (scalar.line, scalar.column));
    assert_eq!(places.collect::<Vec<_>>(), [(1, 3), (2, 14), (5, 4)]);
}

#[test]
fn the_style_stays_where_the_text_allows() {
    for (source, text, expected) in [
        (
            "export A = ENC[x:y] # c\r\nB=1\r\n",
            "SEALED[t]",
            "export A = SEALED[t] # c\r\nB=1\r\n",
        ),
        ("A='x'\n", "SEALED[t]", "A='SEALED[t]'\n"),
        ("A=\"x\" # c", "a$b\nc", "A=\"a$b\\nc\" # c"),
        ("A=`x`\n", "it's \"q\"", "A=`it's \"q\"`\n"),
        ("A=x\n", "it's \"q\" `b`", "A=it's \"q\" `b`\n"),
        ("A=x\n", "a b # c", "A='a b # c'\n"),
        ("A=x\n", "a\nb", "A='a\nb'\n"),
        ("A=x\r\n", "a\nb", "A='a\r\nb'\r\n"),
        ("A=x\n", "a\r\nb", "A=\"a\\r\\nb\"\n"),
        ("A=x\n", "it's\n", "A=\"it's\\n\"\n"),
        ("A=x\n", "it's\n\\n", "A=`it's\n\\n`\n"),
        ("A='x'\n", "it's", "A=\"it's\"\n"),
        ("A=\"x\"\n", "a\\nb", "A='a\\nb'\n"),
        ("A=\"x\"\n", "a\\", "A=a\\\n"),
        ("A=\n", "SEALED[t]", "A=SEALED[t]\n"),
        ("A=   # c\n", "SEALED[t]", "A=SEALED[t]   # c\n"),
        ("A: \n", "SEALED[t]", "A: SEALED[t]\n"),
        ("A='x\ny'\nB=1\n", "SEALED[t]", "A='SEALED[t]'\nB=1\n"),
        ("A='x'\n", "", "A=''\n"),
        ("A=x\n", "", "A=\n"),
        ("A=x\n", " x ", "A=' x '\n"),
    ] {
        let changed = edited(source, |edits| {
            edits.set_string(&path("/A"), text).expect("set")
        });
        assert_eq!(changed, expected);
    }
}

#[test]
fn what_no_quotes_can_hold_is_said() {
    let document = dotenv("A=x\n");
    for text in ["'\"`#", "'`\n\\n\"", "#\\", "\r\\n", "\r\"'`"] {
        let mut edits = Edits::new(&document);
        edits.set_string(&path("/A"), text).expect("set");
        let error = edits.apply().expect_err(text);
        assert_eq!((error.kind(), error.path()), (ErrorKind::Input, Some("/A")));
        assert!(error.message().contains("base64"), "{error}");
    }
    let mut edits = Edits::new(&document);
    assert!(edits.set_literal(&path("/A"), "1").is_err());
    for pointer in ["/A/B", "/é", "/", "/a b", "/A", "/x-sealed"] {
        assert!(edits.insert(&path(pointer), "v").is_err(), "{pointer}");
    }
}

#[test]
fn values_are_added_at_the_end() {
    for (source, expected) in [
        ("", "B='v w'\n"),
        ("A=1", "A=1\nB='v w'"),
        ("A=1\r\n# c\r\n", "A=1\r\n# c\r\nB='v w'\r\n"),
    ] {
        assert_eq!(
            edited(source, |edits| edits
                .insert(&path("/B"), "v w")
                .expect("new")),
            expected
        );
    }
    let sealed = edited("A=1\n", |edits| {
        edits.insert(&path("/B"), "SEALED[t-_.]").expect("new")
    });
    assert_eq!(sealed, "A=1\nB=SEALED[t-_.]\n");
}

#[test]
fn the_block_comes_and_goes_without_a_trace() {
    for source in [
        "",
        "A=1",
        "A=1\n",
        "A='x\ny'\r\n# c\r\n",
        "A=1\r\n\r\n",
        "# c",
        "\u{feff}A=1",
        "A=1\n  ",
        "A=\"# x-sealed version=1 document=d\n# x-sealed no\"\n",
        "#x-sealed no\n",
    ] {
        block_comes_and_goes(source, Format::Dotenv);
        values_are_added_beside_the_block(source, Format::Dotenv);
    }
}

#[test]
fn the_block_has_one_line_for_each_epoch() {
    let header = Header::new(
        "/shop/api x",
        vec![(ID.into(), "{\"a\":1}".into()), (OTHER.into(), "{}".into())],
    );
    let with = edited("A=1\n", |edits| edits.header(Some(header)));
    let block = format!(
        "# x-sealed version=1 document=/shop/api x\n# x-sealed epoch {ID} {{\"a\":1}}\n# x-sealed epoch {OTHER} {{}}\n"
    );
    assert_eq!(with, format!("A=1\n{block}"));
    assert_eq!(dotenv(&with).header().expect("a block").line, 2);
    // What people put behind the block stays there.
    let moved = format!("A=1\n{block}B=2\n");
    assert_eq!(dotenv("id=2\n").own_id(), None);
    assert_eq!(edited(&moved, |edits| edits.header(None)), "A=1\nB=2\n");
    let added = edited(&moved, |edits| edits.insert(&path("/C"), "v").expect("new"));
    assert_eq!(added, format!("{moved}C=v\n"));
}

#[test]
fn a_block_that_is_not_as_written_is_refused() {
    for (block, line, words) in [
        ("# x-sealed version=2 document=d\n", 2, "format version 2"),
        ("# x-sealed version=1\n", 2, "no `document`"),
        ("# x-sealed hello\n", 2, "not a line of the block"),
        (
            &format!("# x-sealed epoch {ID} {{}}\n"),
            2,
            "not a line of the block",
        ),
        (
            "# x-sealed version=1 document=d\n# x-sealed version=1 document=d\n",
            3,
            "not a line of the block",
        ),
        (
            "# x-sealed version=1 document=d\n# x-sealed epoch short {}\n",
            2,
            "43 characters",
        ),
        (
            &format!("# x-sealed version=1 document=d\n# x-sealed epoch {ID}\n"),
            3,
            "not a line of the block",
        ),
        (
            &format!(
                "# x-sealed version=1 document=d\n# x-sealed epoch {OTHER} {{}}\n# x-sealed epoch {ID} {{}}\n"
            ),
            2,
            "not sorted",
        ),
        (
            &format!("# x-sealed version=1 document=d\nB=1\n# x-sealed epoch {ID} {{}}\n"),
            4,
            "do not stand together",
        ),
    ] {
        let source = format!("A=1\n{block}");
        let error = Document::parse(source.as_bytes(), Format::Dotenv).expect_err(&source);
        assert_eq!(
            (error.kind(), error.place()),
            (ErrorKind::Format, Some((line, 1))),
            "{error}"
        );
        assert!(error.message().contains(words), "{source}: {error}");
    }
}
