//! Whatever text comes to the public functions: an error or a document, and no panic. Each parser has its own test, beside it in
//! `src/arbitrary.rs`; what memory they take, `tests/memory.rs` says.

mod support;

use clusterops_secrets::{Format, RecipientsFile, SealedFile, merge, seal, seal_paths, show};
use proptest::prelude::*;
use support::{FORMATS, id, options};

/// A sealed document of each format, to be spoilt.
fn documents() -> Vec<(Format, String)> {
    let sources = [
        "{\n \"id\": \"/shop\", \"n\": -1.5e3, \"a\": [{\"name\": \"x\", \"v\": \"ENC[v:\\u00e4]\"}, true, null]\n}\n",
        "id: /shop\na: &a\n  - {name: x, v: \"ENC[v:\\xe4]\"}\n  - |\n    text\nb: *a # why\n'c d': ENC[c:d]\n",
        "# shop\nexport A='ENC[a:b]' # c\nB=\"x\\n\"\nC=`d`\n",
    ];
    let options = options(&["ben"]).document(id("/shop"));
    let seal = |(format, source): (Format, &str)| {
        let sealed = clusterops_secrets::seal(source, format, &options).expect("it seals");
        (format, sealed.text.to_string())
    };
    FORMATS.into_iter().zip(sources).map(seal).collect()
}

/// Reads a text in every way that needs no key.
fn read(text: &str, format: Format) {
    let _ = seal_paths(text, format, &[], &options_once());
    let _ = show(text, format, None);
}

fn options_once() -> clusterops_secrets::SealOptions {
    thread_local! {
        static OPTIONS: clusterops_secrets::SealOptions = options(&["ben"]).document(id("/shop"));
    }
    OPTIONS.with(Clone::clone)
}

fn many(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(many(100_000))]

    #[test]
    fn arbitrary_texts_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), is_text in any::<bool>()) {
        let text = match is_text {
            // Mostly what means something to one of the formats.
            true => bytes.iter().map(|byte| b"{}[]:,\"'`#\\\n\r\t -=&*!|>%@aA0.eE~?SEALED[ENC[\xc3"[*byte as usize % 44] as char).collect(),
            false => String::from_utf8_lossy(&bytes).into_owned(),
        };
        for format in FORMATS {
            read(&text, format);
        }
    }
}

proptest! {
    #![proptest_config(many(20_000))]

    #[test]
    fn spoilt_documents_are_read_or_refused(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        thread_local! {
            static DOCUMENTS: Vec<(Format, String)> = documents();
        }
        let (format, text) = DOCUMENTS.with(|documents| documents[which].clone());
        let mut bytes = text.into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.drain(at..(at + 9).min(bytes.len()))),
            }
        }
        if let Ok(text) = String::from_utf8(bytes) {
            read(&text, format);
        }
    }
}

proptest! {
    #![proptest_config(many(5_000))]

    #[test]
    fn arbitrary_texts_merge_or_are_refused(texts in prop::array::uniform3("[{}\":,a\\n =#-]{0,30}")) {
        for format in FORMATS {
            let _ = merge(&texts[0], &texts[1], &texts[2], format);
        }
    }
}

/// Pieces of documents around a marker.
const PIECES: [&str; 24] = [
    "ENC[s:hunter2]",
    "ENC[s:hunter2]",
    "a: ",
    "b: ",
    "\n",
    "\n",
    "  ",
    "- ",
    " # ",
    "# ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&x ",
    "!!str ",
    "? ",
    "B=",
    "C=`",
];

proptest! {
    #![proptest_config(many(50_000))]

    #[test]
    fn nothing_that_is_marked_stays_in_a_sealed_document(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 1..10)) {
        let text = format!("x: y\n{}\n", pieces.concat());
        for (format, text) in [(Format::Yaml, &*text), (Format::Dotenv, &text["x: y\n".len()..])] {
            if let Ok(sealed) = seal(text, format, &options_once()) {
                prop_assert!(!sealed.text.contains("hunter2"), "{}: {}", format, text);
            }
        }
    }
}

proptest! {
    #![proptest_config(many(500))]

    #[test]
    fn arbitrary_files_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["recipients.yaml", "app.json", "app.env"] {
            std::fs::write(folder.path().join(name), &bytes).expect("ours");
        }
        let _ = RecipientsFile::load(folder.path().join("recipients.yaml"));
        let _ = SealedFile::read(folder.path().join("app.json"));
        let _ = clusterops_secrets::check(folder.path(), &clusterops_secrets::CheckOptions::default());
    }
}

#[test]
fn what_is_nested_or_long_beyond_the_limits_is_refused() {
    let deep = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(1 << 16), close.repeat(1 << 16))
    };
    for (format, text) in [
        (Format::Json, deep("{\"a\":", "1", "}")),
        (Format::Json, format!("{{\"a\":{}}}", deep("[", "1", "]"))),
        (Format::Yaml, deep("{a: ", "1", "}")),
        (Format::Yaml, format!("a: {}\n", deep("[", "1", "]"))),
    ] {
        let error = seal_paths(&text, format, &[], &options_once()).expect_err("too deep");
        assert!(
            error.to_string().contains("nested more than 128 deep"),
            "{error}"
        );
    }
    // A list of lists by aliases is none: no alias is followed.
    let aliases: String = (1..40)
        .map(|n| format!("a{n}: &a{n} [*a{0},*a{0},*a{0}]\n", n - 1))
        .collect();
    let text = format!("a0: &a0 [x]\n{aliases}");
    seal_paths(&text, Format::Yaml, &[], &options_once()).expect("it is small");
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(65 << 20));
    let error = seal_paths(&long, Format::Json, &[], &options_once()).expect_err("too long");
    assert_eq!(error.kind(), clusterops_secrets::ErrorKind::Syntax);
}
