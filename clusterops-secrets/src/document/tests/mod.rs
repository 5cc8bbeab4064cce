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
