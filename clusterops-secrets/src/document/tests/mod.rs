//! What documents are read as, how they are edited, and that the two fit together.

mod dotenv;
mod generated;
mod json;
mod yaml;

use super::*;

const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

fn parse(source: &str, format: Format) -> Document {
    Document::parse(source.as_bytes(), format).expect(source)
}

fn path(path: &str) -> Pointer {
    path.parse().expect(path)
}

/// Paths, kinds and texts.
fn values(document: &Document) -> Vec<(String, Kind, &str)> {
    let value = |scalar| {
        let path = document.path(scalar).to_string();
        (path, scalar.kind, document.text(scalar))
    };
    document.scalars().iter().map(value).collect()
}

fn edited(source: &str, format: Format, edit: impl FnOnce(&mut Edits<'_>)) -> String {
    let document = parse(source, format);
    let mut edits = Edits::new(&document);
    edit(&mut edits);
    let edited = edits.apply();
    edited
        .unwrap_or_else(|error| {
            panic!(
                "{source:?}: {error} {:?}",
                std::error::Error::source(&error)
            )
        })
        .to_string()
}

fn header() -> Header {
    let wrapped = "{\"protected\":\"e30\",\"recipients\":[{\"header\":{\"kid\":\"x\"},\"encrypted_key\":\"y\"}],\"iv\":\"\"}";
    let epochs = vec![
        (OTHER.into(), wrapped.into()),
        (ID.into(), "{\"a\":1}".into()),
    ];
    Header::new("/shop/api \"é\" 'x' #1", epochs)
}

/// Adds the block, changes it and removes it.
fn block_comes_and_goes(source: &str, format: Format) {
    let with = edited(source, format, |edits| edits.header(Some(header())));
    let document = parse(&with, format);
    let read = document.header().expect("a block");
    assert_eq!(
        (&read.document, &read.epochs),
        (&header().document, &header().epochs)
    );
    assert_eq!(values(&document), values(&parse(source, format)));
    assert_eq!(
        with.lines()
            .filter(|line| line.contains(ID) || line.contains(OTHER))
            .count(),
        2
    );
    assert_eq!(
        edited(&with, format, |edits| edits.header(Some(header()))),
        with
    );
    let less = edited(&with, format, |edits| {
        edits.header(Some(Header::new("d", Vec::new())))
    });
    assert!(
        parse(&less, format)
            .header()
            .expect("a block")
            .epochs
            .is_empty()
    );
    assert_eq!(
        edited(&less, format, |edits| edits.header(Some(header()))),
        with
    );
    assert_eq!(edited(&with, format, |edits| edits.header(None)), source);
}

/// Inserts while the block comes, stays and goes.
fn values_are_added_beside_the_block(source: &str, format: Format) {
    let insert = |edits: &mut Edits<'_>| edits.insert(&path("/NEW"), "v w").expect("new");
    let with = edited(source, format, |edits| edits.header(Some(header())));
    let stays = edited(&with, format, insert);
    let comes = edited(source, format, |edits| {
        insert(edits);
        edits.header(Some(header()));
    });
    let goes = edited(&with, format, |edits| {
        insert(edits);
        edits.header(None);
    });
    let without = edited(source, format, insert);
    let count = parse(source, format).scalars().len();
    for text in [&stays, &comes, &goes, &without] {
        let document = parse(text, format);
        assert_eq!(
            document
                .find(&path("/NEW"))
                .map(|found| document.text(found)),
            Some("v w"),
            "{text}"
        );
        assert_eq!(document.scalars().len(), count + 1);
    }
    for text in [&stays, &comes] {
        let added = text.find("NEW").expect("the new name");
        assert!(added < text.rfind("x-sealed").expect("the block"), "{text}");
    }
    if count > 0 {
        assert_eq!(stays, comes);
        assert_eq!(goes, without);
    }
}

#[test]
fn nothing_of_a_value_stands_in_debug_output_or_errors() {
    for (source, format) in [
        ("{\"a\":\"s3cret\\n\",\"b\":[\"s3cret\"]}", Format::Json),
        ("a: |\n  s3cret\nb: s3cret\n", Format::Yaml),
        ("a=s3cret\nb=\"s3cret\\n\"\n", Format::Dotenv),
    ] {
        let document = parse(source, format);
        let mut edits = Edits::new(&document);
        edits
            .set_string(&path("/a"), "s3cret'\"`#")
            .expect("a value");
        edits.insert(&path("/c"), "s3cret").expect("a new value");
        let shown = format!(
            "{document:?} {:?} {edits:?} {:?}",
            document.scalars(),
            edits.apply().err()
        );
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    for (source, format) in [
        ("{\"a\":\"s3cret\" \"s3cret\"}", Format::Json),
        ("{\"a\":s3cret}", Format::Json),
        ("{\"a\":\"s3cret\\q\"}", Format::Json),
        ("{\"a\":\"s3cret", Format::Json),
        ("a: \"s3cret\n", Format::Yaml),
        ("a: [s3cret\n", Format::Yaml),
        ("a: \"s3cret\" s3cret\n", Format::Yaml),
        ("a: s3cret: s3cret\n", Format::Yaml),
        ("- s3cret\n", Format::Yaml),
        ("a: \"s3cret\\q\"\n", Format::Yaml),
        ("A='s3cret\n", Format::Dotenv),
        ("A='s3cret' s3cret\n", Format::Dotenv),
        ("$s3cret\n", Format::Dotenv),
        ("A=1\ns3cret\n", Format::Dotenv),
    ] {
        let error = Document::parse(source.as_bytes(), format).expect_err(source);
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[test]
fn a_document_has_a_limit() {
    let long = vec![b' '; MAX_DOCUMENT + 1];
    let error = Document::parse(&long, Format::Json).expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Syntax);
}

#[test]
#[ignore = "takes seconds without optimisation"]
fn values_have_a_limit() {
    let many = format!("{{\"a\":[{}1]}}", "1,".repeat(MAX_NODES));
    let error = Document::parse(many.as_bytes(), Format::Json).expect_err("too many");
    assert_eq!(error.message(), TOO_MANY);
    let many = format!("a: [{}1]", "1,".repeat(MAX_NODES));
    let error = Document::parse(many.as_bytes(), Format::Yaml).expect_err("too many");
    assert_eq!(error.message(), TOO_MANY);
    let many: String = (0..MAX_NODES).map(|n| format!("{n}=\n")).collect();
    let error = Document::parse(many.as_bytes(), Format::Dotenv).expect_err("too many");
    assert_eq!(error.message(), TOO_MANY);
}

#[test]
fn every_thumbprint_can_be_an_epoch() {
    for id in [
        "-".repeat(43),
        "_".repeat(43),
        "0".repeat(43),
        format!("-{}", "a".repeat(42)),
        format!("1e{}", "5".repeat(41)),
    ] {
        for (source, format) in [
            ("{\"a\":1}", Format::Json),
            ("a: 1\n", Format::Yaml),
            ("{a: 1}", Format::Yaml),
            ("A=1\n", Format::Dotenv),
        ] {
            let header = Header::new("d", vec![(id.clone(), "{}".to_owned())]);
            let with = edited(source, format, |edits| edits.header(Some(header.clone())));
            assert_eq!(
                parse(&with, format).header().expect("a block").epochs,
                header.epochs,
                "{with}"
            );
        }
    }
}
