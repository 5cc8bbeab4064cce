//! Sealing, opening and sealing anew, through the public functions.

mod support;

use clusterops_secrets::secrecy::ExposeSecret as _;
use clusterops_secrets::{
    ErrorKind, Format, KeyWarning, Pointer, Value, compact, extract, open, reseal, rotate, seal,
    seal_paths, set,
};
use proptest::prelude::*;
use support::{FORMATS, id, opened, options, private_key, recipients};

const APP: &str = "{\n\t\"id\": \"/shop\",\n\t\"cpus\": 1.50,   \"instances\": 9007199254740993,\n\t\"env\": {\n\t\t\"ZONE\": \"a\",\n\t\t\"DB\": \"ENC[db:p:w]d\\n\\u00e4\\\\]\"\n\t},\n\t\"labels\": {\"key\": \"ENC[k:]\"},\n\t\"containers\": [{\"name\": \"web\", \"env\": {\"T\": \"ENC[t:1]\"}}, [\"ENC[t:2]\"]]\n}\n";

fn pointer(text: &str) -> Pointer {
    text.parse().expect("a path")
}

/// A document in a format, with a value marked to be sealed; `None` where the format cannot hold it.
fn marked(format: Format, value: &str) -> Option<String> {
    let quoted = serde_json::to_string(&format!("ENC[v:{value}]")).expect("JSON");
    match format {
        Format::Json => Some(format!(
            "{{\"id\": \"/shop\", \"env\": {{\"V\": {quoted}}}}}\n"
        )),
        Format::Yaml => Some(format!(
            "id: /shop # the app\nenv:\n  V: {quoted}\n  W: x\n"
        )),
        _ => {
            let is_plain = !value.contains(['\'', '\r', '\0']);
            is_plain.then(|| format!("# the app\nV='ENC[v:{value}]'\nW=x\n"))
        }
    }
}

#[tokio::test]
async fn what_is_sealed_opens_to_the_same_bytes() {
    let ben = private_key("ben");
    let sealed = seal(APP, Format::Json, &options(&["ben", "cyd"])).expect("it seals");
    let paths: Vec<&str> = sealed.values.iter().map(Pointer::as_str).collect();
    assert_eq!(
        paths,
        [
            "/env/DB",
            "/labels/key",
            "/containers/web/env/T",
            "/containers/1/0"
        ]
    );
    let names: Vec<&str> = sealed
        .recipients
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["ben", "cyd"]);
    assert_eq!(sealed.warnings.len(), 2);
    assert_eq!(
        sealed.warnings[0],
        ("ben".into(), KeyWarning::Short { bits: 2048 })
    );
    assert!(
        sealed
            .text
            .contains("\"cpus\": 1.50,   \"instances\": 9007199254740993,")
    );
    let expected = APP
        .replace("ENC[db:p:w]d\\n\\u00e4\\\\]", "p:w]d\\nä\\\\")
        .replace("ENC[k:]", "")
        .replace("ENC[t:1]", "1")
        .replace("ENC[t:2]", "2");
    for name in ["ben", "cyd"] {
        let text = opened(&sealed.text, Format::Json, &private_key(name)).await;
        assert_eq!(text.expect("it opens"), expected);
    }
    // Sealing again changes nothing.
    let again = seal(&sealed.text, Format::Json, &options(&["ben"])).expect("it seals");
    assert_eq!(again.text, sealed.text);
    assert!(again.values.is_empty() && again.recipients.is_empty());
    let path = pointer("/containers/web/env/T");
    let one = extract(&sealed.text, Format::Json, &id("/shop"), &path, &[&ben]).await;
    assert_eq!(one.expect("it opens").expose_secret(), "1");
    for (path, why) in [
        ("/cpus", "not sealed"),
        ("/env", "not sealed"),
        ("/nothing", "no such value"),
    ] {
        let error = extract(
            &sealed.text,
            Format::Json,
            &id("/shop"),
            &pointer(path),
            &[&ben],
        )
        .await;
        let error = error.expect_err("no value");
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn every_format_and_every_character() {
    let ben = private_key("ben");
    let options = options(&["ben"]).document(id("/shop"));
    for format in FORMATS {
        for value in [
            "",
            ":",
            "]",
            "a]b]",
            "a:b:c",
            "ENC[a:b]",
            "SEALED[x]",
            "two\nlines\n",
            "cr\r\nlf",
            "\\n\\",
            "$HOME ${A}",
            "'",
            "\"",
            "`",
            "# no comment",
            " spaces ",
            "ünïcödé 🦀",
            "\u{feff}bom",
            "true",
            "17",
            "null",
            "- a",
            "a: b",
            "{a}",
            "\u{2028}",
            "\t",
            "%s",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
        ] {
            let Some(source) = marked(format, value) else {
                continue;
            };
            let sealed = seal(&source, format, &options)
                .unwrap_or_else(|error| panic!("{format} {value:?}: {error}"));
            assert_eq!(sealed.values.len(), 1, "{format} {value:?}");
            match open(&sealed.text, format, &id("/shop"), &[&ben]).await {
                Ok(opened) => {
                    let values: Vec<_> = opened
                        .values()
                        .map(|(_, value)| value.expose_secret().to_owned())
                        .collect();
                    assert_eq!(values, [value]);
                    let environment = opened.environment().expect("it reads");
                    let found = environment.iter().find(|(name, _)| name == "V");
                    assert_eq!(
                        found.expect("it is there").1.expose_secret(),
                        value,
                        "{format}"
                    );
                }
                // Each kind of quotes of a dotenv file gives some characters another meaning.
                Err(error) if format == Format::Dotenv => {
                    assert_eq!(error.kind(), ErrorKind::Input, "{value:?}: {error}")
                }
                Err(error) => panic!("{format} {value:?}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_mebibyte_fits() {
    let ben = private_key("ben");
    let value = "0123456789abcdef".repeat(1 << 16);
    for format in FORMATS {
        let source = marked(format, &value).expect("plain characters");
        let sealed =
            seal(&source, format, &options(&["ben"]).document(id("/shop"))).expect("it seals");
        let text = opened(&sealed.text, format, &ben).await.expect("it opens");
        assert!(text.contains(&value), "{format}");
    }
}

#[tokio::test]
async fn a_value_set_with_public_keys_opens() {
    let ben = private_key("ben");
    let one = set(
        APP,
        Format::Json,
        &pointer("/env/NEW"),
        &Value::text("x"),
        &options(&["ben"]),
    )
    .expect("it is added");
    let other = set(
        &one.text,
        Format::Json,
        &pointer("/labels/key"),
        &Value::binary(&[0, 255]),
        &options(&["ben"]),
    );
    let other = other.expect("it is replaced");
    let deep = set(
        &other.text,
        Format::Json,
        &pointer("/secrets/a/b"),
        &Value::text("deep"),
        &options(&["ben"]),
    );
    let all = seal(
        &deep.expect("it is added").text,
        Format::Json,
        &options(&["ben"]),
    )
    .expect("it seals");
    let text = opened(&all.text, Format::Json, &ben)
        .await
        .expect("it opens");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["env"]["NEW"], "x");
    assert_eq!(json["labels"]["key"], "AP8=");
    assert_eq!(json["secrets"]["a"]["b"], "deep");
    assert_eq!(
        all.text.matches("\"protected\"").count(),
        4,
        "an epoch for each call"
    );
    // Replacing the last value of an epoch drops it.
    let again = set(
        &all.text,
        Format::Json,
        &pointer("/env/NEW"),
        &Value::text("y"),
        &options(&["ben"]),
    )
    .expect("set");
    assert_eq!(again.text.matches("\"protected\"").count(), 4);
    for path in [
        "/env",
        "/containers",
        "",
        "/x-sealed/version",
        "/id/x",
        "/containers/9/a",
    ] {
        let error = set(
            &all.text,
            Format::Json,
            &pointer(path),
            &Value::text("z"),
            &options(&["ben"]),
        );
        assert_eq!(error.expect_err(path).kind(), ErrorKind::Input, "{path}");
    }
    let error = set(
        &all.text,
        Format::Json,
        &pointer("/containers/web/name"),
        &Value::text("z"),
        &options(&["ben"]),
    );
    assert!(
        error
            .expect_err("an address")
            .to_string()
            .contains("which element")
    );
}

#[tokio::test]
async fn numbers_and_booleans_keep_their_type() {
    let ben = private_key("ben");
    let source = r#"{"id": "/shop", "a": 1.50, "b": true, "c": "ENC[x:y]", "d": "plain", "e": null, "f": [1]}"#;
    let paths = ["/a", "/b", "/c", "/d", "/a"].map(pointer);
    let sealed = seal_paths(source, Format::Json, &paths, &options(&["ben"])).expect("it seals");
    assert_eq!(sealed.values.len(), 4);
    let text = opened(&sealed.text, Format::Json, &ben)
        .await
        .expect("it opens");
    assert_eq!(text, source.replace("ENC[x:y]", "y"));
    for (path, why) in [
        ("/e", "null"),
        ("/f", "no value"),
        ("/g", "no value"),
        ("", "no value"),
    ] {
        let error =
            seal_paths(source, Format::Json, &[pointer(path)], &options(&["ben"])).expect_err(path);
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = seal_paths(
        &sealed.text,
        Format::Json,
        &[pointer("/a")],
        &options(&["ben"]),
    )
    .expect_err("again");
    assert!(error.to_string().contains("sealed already"), "{error}");
    // What YAML spells in its own way could not be put back.
    for number in ["0x1F", ".5", ".inf"] {
        let source = format!("id: /shop\na: {number}\n");
        let error = seal_paths(&source, Format::Yaml, &[pointer("/a")], &options(&["ben"]))
            .expect_err(number);
        assert_eq!(
            (error.kind(), error.place()),
            (ErrorKind::Input, Some((2, 4))),
            "{number}: {error}"
        );
    }
    // Rotating keeps the types too.
    let rotated = rotate(
        &sealed.text,
        Format::Json,
        &id("/shop"),
        &[&ben],
        &options(&["ben"]),
    )
    .await;
    let text = opened(&rotated.expect("it rotates").text, Format::Json, &ben)
        .await
        .expect("it opens");
    assert_eq!(text, source.replace("ENC[x:y]", "y"));
}

#[tokio::test]
async fn a_value_that_was_moved_says_where_it_belongs() {
    let ben = private_key("ben");
    let sealed = seal(APP, Format::Json, &options(&["ben"]))
        .expect("it seals")
        .text;
    let moved = sealed.replace("\"DB\"", "\"DB2\"");
    let error = opened(&moved, Format::Json, &ben).await.expect_err("moved");
    assert_eq!(
        (error.kind(), error.path(), error.place()),
        (ErrorKind::Misplaced, Some("/env/DB2"), Some((6, 10)))
    );
    assert!(
        error.to_string().contains("belongs at `/env/DB`"),
        "{error}"
    );

    let other = sealed.replace("/shop", "/store");
    let error = open(&other, Format::Json, &id("/store"), &[&ben])
        .await
        .expect_err("another document");
    assert_eq!(error.kind(), ErrorKind::Misplaced);
    assert!(
        error
            .to_string()
            .contains("belongs to the document `/shop`"),
        "{error}"
    );
    let error = open(&sealed, Format::Json, &id("/store"), &[&ben])
        .await
        .expect_err("another document");
    assert!(
        error
            .to_string()
            .contains("sealed as `/shop`, not as `/store`"),
        "{error}"
    );

    // A token without its epoch.
    let token = sealed
        .split('"')
        .find(|text| text.starts_with("SEALED["))
        .expect("a token");
    let stray = format!("{{\"id\": \"/shop\", \"a\": \"{token}\"}}");
    let error = opened(&stray, Format::Json, &ben)
        .await
        .expect_err("no epoch");
    assert_eq!(
        (error.kind(), error.path()),
        (ErrorKind::Misplaced, Some("/a"))
    );
    // Renamed after it was sealed.
    let renamed = sealed.replace("\"id\": \"/shop\"", "\"id\": \"/store\"");
    let error = seal(&renamed, Format::Json, &options(&["ben"])).expect_err("renamed");
    assert!(
        error
            .to_string()
            .contains("sealed as `/shop`, not as `/store`"),
        "{error}"
    );
    let resealed = reseal(
        &renamed,
        Format::Json,
        &id("/shop"),
        &[&ben],
        &options(&["ben"]).document(id("/store")),
    )
    .await;
    let text = resealed.expect("it reseals").sealed.text;
    assert!(
        open(&text, Format::Json, &id("/store"), &[&ben])
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn what_is_not_resolved_does_not_open() {
    let ben = private_key("ben");
    let error = opened(APP, Format::Json, &ben).await.expect_err("marked");
    assert_eq!(
        (error.kind(), error.path(), error.place()),
        (ErrorKind::Unresolved, Some("/env/DB"), Some((6, 9)))
    );
    for (value, kind) in [
        ("ENC[a:b", ErrorKind::Syntax),
        ("ENC[ab]", ErrorKind::Syntax),
        ("ENC[:b]", ErrorKind::Syntax),
        ("ENC[]", ErrorKind::Syntax),
        ("ENC[a:b] ", ErrorKind::Syntax),
        ("SEALED[", ErrorKind::Format),
        ("SEALED[]", ErrorKind::Format),
        ("SEALED[a.b.c.d.e]", ErrorKind::Format),
    ] {
        let source = format!("{{\"id\": \"/shop\", \"env\": {{\"A\": \"{value}\"}}}}");
        let error = seal(&source, Format::Json, &options(&["ben"])).expect_err(value);
        assert_eq!(
            (error.kind(), error.path()),
            (kind, Some("/env/A")),
            "{value}: {error}"
        );
        assert_eq!(
            opened(&source, Format::Json, &ben)
                .await
                .expect_err(value)
                .kind(),
            kind
        );
    }
    for value in [
        "ENCODING=utf-8",
        "ENC",
        "xENC[a:b]",
        "DECEMBER",
        "SEALEDx",
        "enc[a:b]",
        "see ENC[...]",
        "ENCODING ENC[ a:b",
    ] {
        let source = format!("{{\"id\": \"/shop\", \"env\": {{\"A\": \"{value}\"}}}}");
        let sealed = seal(&source, Format::Json, &options(&["ben"])).expect(value);
        assert_eq!(*sealed.text, source);
        assert_eq!(
            opened(&source, Format::Json, &ben).await.expect(value),
            source
        );
    }
}

#[tokio::test]
async fn new_recipients_get_new_keys_and_leavers_are_told() {
    let (ben, cyd) = (private_key("ben"), private_key("cyd"));
    let first = set(
        r#"{"id": "/shop"}"#,
        Format::Json,
        &pointer("/a"),
        &Value::text("1"),
        &options(&["ben", "cyd"]),
    );
    let second = set(
        &first.expect("set").text,
        Format::Json,
        &pointer("/b"),
        &Value::text("2"),
        &options(&["ben"]),
    );
    let text = second.expect("set").text;
    // Who holds one epoch only cannot open all.
    assert_eq!(
        opened(&text, Format::Json, &cyd)
            .await
            .expect_err("not all")
            .kind(),
        ErrorKind::NotRecipient
    );
    let one = extract(&text, Format::Json, &id("/shop"), &pointer("/a"), &[&cyd]).await;
    assert_eq!(one.expect("its own").expose_secret(), "1");

    let resealed = reseal(
        &text,
        Format::Json,
        &id("/shop"),
        &[&ben],
        &options(&["ana", "ben"]),
    )
    .await
    .expect("resealed");
    let thumbprint = |name| private_key(name).public_key().thumbprint().clone();
    assert_eq!(resealed.leavers, [(thumbprint("cyd"), vec![pointer("/a")])]);
    assert_eq!(resealed.joiners, [thumbprint("ana")]);
    assert_eq!(resealed.sealed.values.len(), 2);
    assert_eq!(resealed.sealed.text.matches("\"protected\"").count(), 1);
    for name in ["ana", "ben"] {
        let text = opened(&resealed.sealed.text, Format::Json, &private_key(name)).await;
        assert!(text.expect("it opens").contains(r#""a": "1""#));
    }
    assert_eq!(
        opened(&resealed.sealed.text, Format::Json, &cyd)
            .await
            .expect_err("left")
            .kind(),
        ErrorKind::NotRecipient
    );
}

#[tokio::test]
async fn epochs_are_merged_and_rotated_for_the_same_recipients() {
    let ben = private_key("ben");
    let first = set(
        r#"{"id": "/shop"}"#,
        Format::Json,
        &pointer("/a"),
        &Value::text("1"),
        &options(&["ben"]),
    );
    let text = set(
        &first.expect("set").text,
        Format::Json,
        &pointer("/b"),
        &Value::text("2"),
        &options(&["ben"]),
    );
    let text = text.expect("set").text;
    let merged = compact(
        &text,
        Format::Json,
        &id("/shop"),
        &[&ben],
        &options(&["ben"]),
    )
    .await
    .expect("compacted");
    assert_eq!(merged.text.matches("\"protected\"").count(), 1);
    let again = compact(
        &merged.text,
        Format::Json,
        &id("/shop"),
        &[&ben],
        &options(&["ben"]),
    )
    .await
    .expect("compacted");
    assert_eq!(again.text, merged.text);
    let rotated = rotate(
        &merged.text,
        Format::Json,
        &id("/shop"),
        &[&ben],
        &options(&["ben"]),
    )
    .await
    .expect("rotated");
    assert_ne!(rotated.text, merged.text);
    assert_eq!(rotated.values.len(), 2);
    assert_eq!(
        opened(&rotated.text, Format::Json, &ben)
            .await
            .expect("it opens"),
        opened(&text, Format::Json, &ben).await.expect("it opens")
    );
    for others in [&["ben", "cyd"][..], &["cyd"]] {
        let error = rotate(
            &merged.text,
            Format::Json,
            &id("/shop"),
            &[&ben],
            &options(others),
        )
        .await;
        assert_eq!(error.expect_err("others").kind(), ErrorKind::Recipients);
    }
}

#[test]
fn pinned_recipients_are_the_only_ones() {
    let pins = |names: &[&str]| {
        names
            .iter()
            .map(|name| private_key(name).public_key().thumbprint().clone())
            .collect::<Vec<_>>()
    };
    assert!(
        seal(
            APP,
            Format::Json,
            &options(&["ben", "cyd"]).pins(pins(&["cyd", "ben"]))
        )
        .is_ok()
    );
    let error = seal(
        APP,
        Format::Json,
        &options(&["ben", "cyd"]).pins(pins(&["ben"])),
    )
    .expect_err("one more");
    assert_eq!(error.kind(), ErrorKind::Recipients);
    assert!(
        error.to_string().contains("`cyd`") && error.to_string().contains("is not pinned"),
        "{error}"
    );
    let error = seal(
        APP,
        Format::Json,
        &options(&["ben"]).pins(pins(&["ben", "cyd"])),
    )
    .expect_err("one less");
    assert!(
        error.to_string().contains("is pinned and missing"),
        "{error}"
    );
    let ben = private_key("ben").public_key().clone();
    assert!(clusterops_secrets::Recipients::new([("a", ben.clone()), ("a", ben)]).is_err());
    assert_eq!(recipients(&["ben", "cyd"]).iter().count(), 2);
}

#[test]
fn the_id_of_a_document_stays_in_the_open() {
    let marked = r#"{"id": "ENC[id:/shop/secret]", "a": "ENC[a:b]"}"#;
    let error = seal(marked, Format::Json, &options(&["ben"])).expect_err("a marked id");
    assert_eq!(
        (error.kind(), error.path()),
        (ErrorKind::Input, Some("/id")),
        "{error}"
    );
    for source in [APP, r#"{"a": "b"}"#] {
        let options = options(&["ben"]).document(id("/shop"));
        let error = set(
            source,
            Format::Json,
            &pointer("/id"),
            &Value::text("x"),
            &options,
        );
        assert_eq!(error.expect_err("the id").path(), Some("/id"));
        let error = seal_paths(source, Format::Json, &[pointer("/id")], &options);
        assert_eq!(error.expect_err("the id").kind(), ErrorKind::Input);
    }
    // A variable of a dotenv file is no id of it.
    let error = seal("id='ENC[id:x]'\n", Format::Dotenv, &options(&["ben"])).expect_err("no id");
    assert!(error.to_string().contains("say which app"), "{error}");
    let sealed = seal(
        "id='ENC[id:x]'\n",
        Format::Dotenv,
        &options(&["ben"]).document(id("/shop")),
    );
    assert_eq!(sealed.expect("it seals").values, [pointer("/id")]);
}

#[test]
fn a_document_needs_an_id() {
    let error = seal("A='ENC[a:b]'\n", Format::Dotenv, &options(&["ben"])).expect_err("no id");
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("say which app"), "{error}");
    let error = seal(
        r#"{"id": 7, "a": "ENC[a:b]"}"#,
        Format::Json,
        &options(&["ben"]),
    )
    .expect_err("no string");
    assert_eq!(error.kind(), ErrorKind::Input);
    let long = "x".repeat(1025);
    for bad in ["", "a\nb", &long] {
        assert!(bad.parse::<clusterops_secrets::DocumentId>().is_err());
    }
}

#[test]
fn nothing_that_is_shown_holds_a_value() {
    let sealed = seal(APP, Format::Json, &options(&["ben"])).expect("it seals");
    let shown = format!("{sealed:?} {:?}", Value::text("p:w"));
    assert!(!shown.contains("p:w"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sealing_and_opening_put_back_what_was_marked(
        values in prop::collection::vec(("[A-Z]{1,6}", "\\PC{0,12}|[\\[\\]:\\\\\"'$#\n\r\t ]{0,8}"), 1..6),
        plain in "\\PC{0,12}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let ben = private_key("ben");
        let mut members: Vec<String> = vec![r#""id": "/shop""#.into()];
        let mut expected = members.clone();
        for (index, (name, value)) in values.iter().enumerate() {
            let member = |text: &str| format!("\"{name}{index}\": {}", serde_json::to_string(text).expect("JSON"));
            members.push(member(&format!("ENC[{name}:{value}]")));
            expected.push(member(value));
        }
        let plain = format!("\"plain\": {}", serde_json::to_string(&format!("x{plain}")).expect("JSON"));
        members.push(plain.clone());
        expected.push(plain);
        for (format, eol) in [(Format::Json, "\n"), (Format::Json, "\r\n"), (Format::Yaml, "\n")] {
            // A JSON document on lines of its own is YAML too.
            let [source, expected] = [&members, &expected].map(|members| format!("{{{eol}  {}{eol}}}{eol}", members.join(&format!(",{eol}  "))));
            let sealed = seal(&source, format, &options(&["ben"])).expect("it seals");
            let text = runtime.block_on(opened(&sealed.text, format, &ben)).expect("it opens");
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            if format == Format::Json {
                prop_assert_eq!(read(&text), read(&expected));
            }
            prop_assert_eq!(sealed.values.len(), values.len());
        }
    }
}
