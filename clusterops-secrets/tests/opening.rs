//! What stays, what goes and what comes back, byte for byte.

mod support;

use clusterops_secrets::secrecy::ExposeSecret as _;
use clusterops_secrets::{
    ErrorKind, Format, Pointer, Value, compact, extract, open, reseal, rotate, seal, seal_paths,
    set,
};
use proptest::prelude::*;
use support::{FORMATS, id, opened, options, private_key};

fn pointer(text: &str) -> Pointer {
    text.parse().expect("a path")
}

/// The sealed values as they stand in a text.
fn tokens(text: &str) -> Vec<&str> {
    text.match_indices("SEALED[")
        .map(|(at, _)| &text[at..=at + text[at..].find(']').expect("it ends")])
        .collect()
}

#[tokio::test]
async fn what_was_sealed_before_keeps_its_token() {
    let options = options(&["ben"]).document(id("/shop"));
    for (format, source, more) in [
        (
            Format::Json,
            "{\"A\": \"ENC[a:1]\",\n \"B\": \"ENC[b:2]\",\n \"C\": \"c\"}\n",
            ("\"c\"", "\"ENC[c:3]\""),
        ),
        (
            Format::Yaml,
            "A: ENC[a:1] # one\nB: 'ENC[b:2]'\nC: c\n",
            ("C: c", "C: ENC[c:3]"),
        ),
        (
            Format::Dotenv,
            "A=ENC[a:1] # one\nB='ENC[b:2]'\nC=c\n",
            ("C=c", "C=ENC[c:3]"),
        ),
    ] {
        let first = seal(source, format, &options).expect("it seals").text;
        let before = tokens(&first);
        assert_eq!(before.len(), 2);
        let marked = first.replace(more.0, more.1);
        let sealed = seal(&marked, format, &options).expect("it seals").text;
        assert_eq!(tokens(&sealed)[..2], before, "{format}");
        let set = set(&sealed, format, &pointer("/B"), &Value::text("4"), &options);
        let set = set.expect("it is set").text;
        let (was, is) = (tokens(&sealed), tokens(&set));
        assert_eq!((is[0], is[2]), (was[0], was[2]), "{format}");
        assert_ne!(is[1], was[1], "{format}");
        let opened = open(&set, format, &id("/shop"), &[&private_key("ben")]).await;
        let opened = opened.expect("it opens");
        let values: Vec<_> = opened.values().map(|(_, v)| v.expose_secret()).collect();
        assert_eq!(values, ["1", "4", "3"], "{format}");
    }
}

#[test]
fn an_epoch_that_no_value_uses_goes_with_the_next_write() {
    let options = options(&["ben"]);
    let source = r#"{"id": "/shop", "A": "ENC[a:1]"}"#;
    let sealed = seal(source, Format::Json, &options).expect("it seals").text;
    // Somebody takes the value out by hand.
    let token = tokens(&sealed)[0].to_owned();
    let without = sealed.replace(&token, "x");
    let written = seal(&without, Format::Json, &options).expect("it seals");
    assert_eq!(*written.text, r#"{"id": "/shop", "A": "x"}"#);
    // Several epochs stand sorted.
    let mut text = source.to_owned();
    for name in ["/B", "/C", "/D", "/E"] {
        let new = set(
            &text,
            Format::Json,
            &pointer(name),
            &Value::text("v"),
            &options,
        );
        text = new.expect("it is added").text.to_string();
    }
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        json["x-sealed"]["epochs"]
            .as_object()
            .expect("epochs")
            .len(),
        4
    );
    let ids: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\"protected\""))
        .filter_map(|line| line.trim().split('"').nth(1))
        .collect();
    assert!(ids.is_sorted() && ids.len() == 4, "{ids:?}");
}

#[tokio::test]
async fn another_document_is_not_compacted() {
    let ben = private_key("ben");
    let options = options(&["ben"]);
    let source = r#"{"id": "/shop", "A": "ENC[a:1]"}"#;
    let sealed = seal(source, Format::Json, &options).expect("it seals").text;
    let error = compact(&sealed, Format::Json, &id("/store"), &[&ben], &options).await;
    assert_eq!(
        error.expect_err("another document").kind(),
        ErrorKind::Misplaced
    );
    // Neither does it become another one on the way.
    let store = options.document(id("/store"));
    for result in [
        compact(&sealed, Format::Json, &id("/shop"), &[&ben], &store).await,
        rotate(&sealed, Format::Json, &id("/shop"), &[&ben], &store).await,
    ] {
        assert_eq!(
            result.expect_err("another document").kind(),
            ErrorKind::Misplaced
        );
    }
}

#[tokio::test]
async fn a_document_that_gets_another_id_shows_it() {
    let ben = private_key("ben");
    let options = options(&["ben"]);
    let store = options.clone().document(id("/store"));
    for (format, source, after) in [
        (
            Format::Json,
            "{\"id\" : \"\\/shop\", \"A\": \"ENC[a:1]\"}",
            "{\"id\" : \"/store\", ",
        ),
        (
            Format::Yaml,
            "id: /shop # ours\nA: ENC[a:1]\n",
            "id: /store # ours\nA: ",
        ),
        // What is at the root is something else: an app, of which there are several, or no id at all.
        (
            Format::Json,
            "{\"id\": \"/app\", \"A\": \"ENC[a:1]\"}",
            "{\"id\": \"/app\", ",
        ),
        (
            Format::Json,
            "{\"id\": 7, \"A\": \"ENC[a:1]\"}",
            "{\"id\": 7, ",
        ),
        (Format::Dotenv, "id=/shop\nA=ENC[a:1]\n", "id=/shop\nA="),
    ] {
        let sealed = seal(source, format, &options.clone().document(id("/shop")));
        let sealed = sealed.expect("it seals").text;
        let resealed = reseal(&sealed, format, &id("/shop"), &[&ben], &store).await;
        let resealed = resealed.expect("it reseals").sealed.text;
        assert!(resealed.starts_with(after), "{}", *resealed);
        let opened = open(&resealed, format, &id("/store"), &[&ben]).await;
        assert_eq!(opened.expect("it opens").values().count(), 1);
        let error = open(&resealed, format, &id("/shop"), &[&ben]).await;
        assert_eq!(error.expect_err("no more").kind(), ErrorKind::Misplaced);
    }
}

#[test]
fn what_a_copied_file_says_it_is_counts_for_nothing() {
    let folder = support::folder();
    let seal_as = |name: &str, source: &str| {
        let path = folder.path().join(name);
        let format = Format::of(&path).expect("a format");
        let sealed = seal(source, format, &options(&["ben"]).document(id("stage")));
        support::write(&path, &sealed.expect("it seals").text);
        clusterops_secrets::SealedFile::read(path)
            .expect("it reads")
            .id()
    };
    for (name, source) in [
        ("prod.env", "A=ENC[a:1]\n"),
        ("prod.yaml", "A: ENC[a:1]\n"),
        ("prod.json", "{\"A\": \"ENC[a:1]\"}"),
    ] {
        let error = seal_as(name, source).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        let shown = error.to_string();
        assert!(
            shown.contains(name)
                && shown
                    .contains("it is sealed as `stage`; if that is the document that you expect"),
            "{shown}"
        );
    }
    assert_eq!(
        seal_as("shown.yaml", "id: stage\nA: ENC[a:1]\n").expect("it shows"),
        id("stage")
    );
}

#[tokio::test]
async fn a_text_replaces_a_number_a_boolean_and_null() {
    let ben = private_key("ben");
    for (format, source) in [
        (
            Format::Json,
            "{\"id\": \"/shop\", \"A\": 17, \"B\": true, \"C\": null}",
        ),
        (Format::Yaml, "id: /shop\nA: 17\nB: true\nC:\n"),
        (Format::Yaml, "id: /shop\nA: 0x11\nB: true\nC: ~\n"),
    ] {
        let mut text = source.to_owned();
        for path in ["/A", "/B", "/C"] {
            let new = set(
                &text,
                format,
                &pointer(path),
                &Value::text("p: w"),
                &options(&["ben"]),
            );
            text = new
                .unwrap_or_else(|error| panic!("{path}: {error}"))
                .text
                .to_string();
        }
        let opened = opened(&text, format, &ben).await.expect("it opens");
        assert_eq!(opened.matches("\"p: w\"").count(), 3, "{opened}");
    }
}

#[tokio::test]
async fn what_a_dotenv_file_cannot_hold_is_said_when_it_is_sealed() {
    let options = options(&["ben"]).document(id("/shop"));
    let source = "A=1\nB='x'\n";
    for value in ["'\"`", "'\"`#", "'\"`\n", "'`\"\r"] {
        for path in ["/A", "/B", "/NEW"] {
            let error = set(
                source,
                Format::Dotenv,
                &pointer(path),
                &Value::text(value),
                &options,
            );
            let error = error.expect_err(value);
            assert_eq!((error.kind(), error.path()), (ErrorKind::Input, Some(path)));
            assert!(error.to_string().contains("base64"), "{error}");
            assert!(!error.to_string().contains(value), "{error}");
        }
    }
    for value in [
        "a\\n'`\\",
        "a'\"`",
        "it's \"so\"",
        "\\",
        "\r",
        "\r\n",
        "$A ${B} `c`",
        "",
    ] {
        let sealed = set(
            source,
            Format::Dotenv,
            &pointer("/A"),
            &Value::text(value),
            &options,
        )
        .unwrap_or_else(|error| panic!("{value:?}: {error}"));
        let opened = open(
            &sealed.text,
            Format::Dotenv,
            &id("/shop"),
            &[&private_key("ben")],
        )
        .await;
        let opened = opened.unwrap_or_else(|error| panic!("{value:?} sealed, and {error}"));
        let environment = opened.environment().expect("it reads");
        assert_eq!(environment[0].1.expose_secret(), value);
    }
}

#[tokio::test]
async fn ids_may_have_any_spaces() {
    let ben = private_key("ben");
    for name in [
        "/shop ",
        " /shop",
        "/a b",
        "/shop\u{2028}x",
        "/shop\u{a0}",
        "a\"b\\",
        "#",
        "/é: x",
    ] {
        let options = options(&["ben"]).document(id(name));
        for (format, source) in [
            (Format::Json, "{\"A\": \"ENC[a:1]\"}"),
            (Format::Yaml, "A: ENC[a:1]\n"),
            (Format::Dotenv, "A=ENC[a:1]\n"),
        ] {
            let sealed = seal(source, format, &options)
                .unwrap_or_else(|error| panic!("{format} {name:?}: {error}"));
            let opened = open(&sealed.text, format, &id(name), &[&ben]).await;
            let opened = opened.unwrap_or_else(|error| panic!("{format} {name:?}: {error}"));
            assert_eq!(opened.values().count(), 1, "{format} {name:?}");
        }
    }
}

#[tokio::test]
async fn extracting_what_is_only_marked_says_so() {
    let source = r#"{"id": "/shop", "A": "ENC[a:hunter2]", "B": "ENC[b:2]"}"#;
    let ben = private_key("ben");
    let error = extract(source, Format::Json, &id("/shop"), &pointer("/A"), &[&ben]).await;
    let error = error.expect_err("not sealed");
    assert_eq!(
        (error.kind(), error.path()),
        (ErrorKind::Unresolved, Some("/A"))
    );
    assert!(!error.to_string().contains("hunter2"), "{error}");
    // Others that wait to be sealed are no reason not to read one.
    let one = seal_paths(source, Format::Json, &[pointer("/B")], &options(&["ben"]));
    let one = one.expect("it seals").text;
    let value = extract(&one, Format::Json, &id("/shop"), &pointer("/B"), &[&ben]).await;
    assert_eq!(value.expect("it opens").expose_secret(), "2");
}

/// Texts with what is special in some format.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "\n", "\r\n", "\r", "\\", "\\n", "'", "\"", "`", "#", " #", ": ", ":", "- ", "{", "}", "[",
        "]", ",", "&", "*", "!", "|", ">", "%", "@", "~", "null", "yes", "1", "0x1", "$", "${A}",
        "=", "\t", "\u{0}", "\u{1b}", "\u{7f}", "\u{85}", "\u{a0}", "\u{2028}", "\u{feff}",
        "\u{ffff}", "é", "😀", "x", "SEALED[", "ENC[a:b]", "---", " ",
    ]);
    prop_oneof![
        prop::collection::vec(special, 0..6).prop_map(|parts| parts.concat()),
        "[a-z ]{0,8}",
        any::<String>(),
    ]
}

/// A value as a format spells it in this style; `None` where the style cannot.
fn spelled(format: Format, style: u8, text: &str) -> Option<String> {
    let json = serde_json::to_string(text).expect("JSON");
    let is_printable = text.chars().all(|c| {
        !c.is_control()
            && !matches!(
                c,
                '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            )
    });
    match (format, style) {
        (Format::Json, _) => Some(json),
        (Format::Yaml, 0) if is_printable => Some(format!("'{}'", text.replace('\'', "''"))),
        (Format::Yaml, _) if is_printable => Some(json),
        (Format::Yaml, _) => None,
        (_, style) => {
            let quote = ['\'', '`', '"'][usize::from(style % 3)];
            let is_read_as_it_is = !text.contains(quote)
                && !text.contains('\r')
                && !text.ends_with('\\')
                && (quote != '"' || !text.contains(['\\', '\n']));
            is_read_as_it_is.then(|| format!("{quote}{text}{quote}"))
        }
    }
}

/// A document of these values, and what is around them: comments, odd spaces and plain values.
fn document(format: Format, eol: &str, values: &[String]) -> String {
    let mut text = String::new();
    match format {
        Format::Json => {
            text.push_str(&format!("{{{eol}\t\"id\" :  \"/shop\""));
            for (at, value) in values.iter().enumerate() {
                text.push_str(&format!(",{eol}  \"V{at}\"  : {value} ,  \"n{at}\":1.50"));
            }
            text.push_str(&format!("{eol}}}{eol}"));
        }
        Format::Yaml => {
            text.push_str(&format!("# the app{eol}id:   /shop{eol}env:{eol}"));
            for (at, value) in values.iter().enumerate() {
                text.push_str(&format!(
                    "    V{at}:  {value}  # c: '{at}{eol}{eol}    n{at}: 1.50{eol}"
                ));
            }
        }
        _ => {
            text.push_str(&format!("# the app{eol}"));
            for (at, value) in values.iter().enumerate() {
                text.push_str(&format!(
                    "export V{at} =  {value} # c '{at}{eol}{eol}N{at}= 1.50{eol}"
                ));
            }
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn opening_gives_back_the_source_with_values_for_markers(
        values in prop::collection::vec((text(), 0..3_u8), 1..5),
        eol in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let ben = private_key("ben");
        let options = options(&["ben"]).document(id("/shop"));
        for format in FORMATS {
            // In a dotenv file line ends within a value are those of the file, and read as line feeds.
            let held: Vec<_> = values
                .iter()
                .filter(|(text, _)| format != Format::Dotenv || eol == "\n" || !text.contains('\n'))
                .filter_map(|(text, style)| {
                    let marked = spelled(format, *style, &format!("ENC[n:{text}]"))?;
                    Some((text, marked, spelled(format, *style, text)?))
                })
                .collect();
            let marked: Vec<String> = held.iter().map(|(_, marked, _)| marked.clone()).collect();
            let plain: Vec<String> = held.iter().map(|(_, _, plain)| plain.clone()).collect();
            let source = document(format, eol, &marked);
            let sealed = seal(&source, format, &options).expect("it seals");
            prop_assert_eq!(sealed.values.len(), held.len());
            let opened = runtime.block_on(open(&sealed.text, format, &id("/shop"), &[&ben])).expect("it opens");
            prop_assert_eq!(opened.text().expose_secret(), &document(format, eol, &plain), "{}", format);
            let found: Vec<_> = opened.values().map(|(_, value)| value.expose_secret()).collect();
            let expected: Vec<_> = held.iter().map(|(text, ..)| text.as_str()).collect();
            prop_assert_eq!(found, expected);
        }
    }
    #[test]
    fn whatever_a_dotenv_file_takes_opens(text in text(), at in 0..5_usize, eol in prop::sample::select(vec!["\n", "\r\n"])) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let options = options(&["ben"]).document(id("/shop"));
        let source = format!("A=1{eol}B='x'{eol}C=\"x\" # c{eol}D=`x`{eol}");
        let path = pointer(["/A", "/B", "/C", "/D", "/NEW"][at]);
        match set(&source, Format::Dotenv, &path, &Value::text(text.as_str()), &options) {
            Ok(sealed) => {
                let ben = private_key("ben");
                let opened = runtime.block_on(open(&sealed.text, Format::Dotenv, &id("/shop"), &[&ben])).expect("it opens");
                let environment = opened.environment().expect("it reads");
                prop_assert_eq!(environment[at].1.expose_secret(), &text);
            }
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Input, "{}", error),
        }
    }
}
