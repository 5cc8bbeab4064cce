//! Generated documents: what is sealed and opened again is what was there, and nothing panics.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// As many cases as `PROPTEST_CASES` says, else few.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: std::env::var_os("PROPTEST_CASES").map_or(64, |_| default.cases),
        failure_persistence: None,
        ..default
    }
}

/// Texts with what is special somewhere.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "\n", "\r\n", "\r", "\\", "\\n", "'", "\"", "`", "#", " #", ": ", ":", "- ", "{", "}", "[",
        "]", ",", "&", "*", "!", "|", ">", "%", "@", "~", "null", "yes", "1", "0x1", "1:2", ".",
        "-", "?", "$", "=", "<<", "\t", "\u{0}", "\u{8}", "\u{c}", "\u{7f}", "\u{85}", "\u{a0}",
        "\u{2028}", "\u{feff}", "\u{ffff}", "é", "😀", "x", "yz", "SEALED[", "ENC[", "/", "~1",
        "---", "...", " ",
    ]);
    prop_oneof![
        prop::collection::vec(special, 0..6).prop_map(|parts| parts.concat()),
        "[a-z ]{0,8}",
        any::<String>(),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_filter_map("a number", |number| serde_json::Number::from_f64(number).map(Value::from)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let name = prop_oneof![
        text(),
        prop::sample::select(vec!["name", "id", "a"]).prop_map(str::to_owned)
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    prop::collection::hash_map(text(), tree(), 0..5).prop_map(|mut members| {
        members.remove(RESERVED);
        Value::Object(members.into_iter().collect())
    })
}

/// Each scalar with the path that FORMAT.md gives it, found in another way than the reader does.
fn walk(value: &Value, at: &Pointer, found: &mut Vec<(String, Kind, String)>) {
    let (kind, text) = match value {
        Value::Object(members) => {
            for (name, member) in members {
                walk(member, &at.join(name), found);
            }
            return;
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                walk(element, &at.join(&address(elements, index)), found);
            }
            return;
        }
        Value::String(text) => (Kind::String, text.clone()),
        Value::Number(number) => (Kind::Number, number.to_string()),
        Value::Bool(truth) => (Kind::Bool, truth.to_string()),
        Value::Null => (Kind::Null, "null".to_owned()),
    };
    found.push((at.to_string(), kind, text));
}

fn address(elements: &[Value], index: usize) -> String {
    let usable = |text: &&str| {
        let digits = text.chars().all(|character| character.is_ascii_digit());
        !digits && !text.starts_with("ENC[") && !text.starts_with("SEALED[")
    };
    for member in ["name", "id"] {
        let Some(text) = elements[index]
            .get(member)
            .and_then(Value::as_str)
            .filter(usable)
        else {
            continue;
        };
        let others = elements
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let taken = others.into_iter().any(|(_, other)| {
            ["name", "id"]
                .iter()
                .any(|member| other.get(member).and_then(Value::as_str) == Some(text))
        });
        if !taken {
            return text.to_owned();
        }
    }
    index.to_string()
}

fn spelled(document: &Value, style: u8) -> String {
    let pretty = |indent: &[u8]| {
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(document, &mut serializer).expect("JSON");
        String::from_utf8(text).expect("UTF-8")
    };
    match style {
        0 => serde_json::to_string(document).expect("JSON"),
        1 => format!("{}\n", pretty(b"    ")),
        2 => format!("\u{feff}{}\r\n", pretty(b"  ").replace('\n', "\r\n")),
        _ => pretty(b"\t"),
    }
}

fn seal_and_open(source: &str, format: Format) {
    let before = parse(source, format);
    // With another `name` or `id` an element has another path.
    let mut edits = Edits::new(&before);
    for scalar in before.scalars() {
        if !before.may_address(scalar) && scalar.fixed.is_none() {
            let sealed = format!("SEALED[{}]", "aB-_.".repeat(scalar.line));
            edits
                .set_string(&before.path(scalar), &sealed)
                .expect("it can be set");
        }
    }
    edits.header(Some(header()));
    let sealed = edits.apply().expect(source);
    let document = parse(&sealed, format);
    let paths = |document: &Document| {
        values(document)
            .into_iter()
            .map(|(path, ..)| path)
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&document), paths(&before), "{source}\n{}", *sealed);
    let mut edits = Edits::new(&document);
    for scalar in before.scalars() {
        let (path, text) = (before.path(scalar), before.text(scalar));
        match scalar.kind {
            _ if scalar.fixed.is_some() => Ok(()),
            Kind::String => edits.set_string(&path, text),
            _ => edits.set_literal(&path, text),
        }
        .expect("it can be set");
    }
    edits.header(None);
    let opened = edits.apply().expect(source);
    assert_eq!(*opened, source);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn json_is_read_as_serde_json_reads_it(document in document(), style in 0..4_u8) {
        let source = spelled(&document, style);
        let mut expected = Vec::new();
        walk(&document, &Pointer::root(), &mut expected);
        let document = parse(&source, Format::Json);
        let found: Vec<_> = values(&document).into_iter().map(|(path, kind, text)| (path, kind, text.to_owned())).collect();
        let sort = |mut all: Vec<_>| {
            all.sort_by(|a: &(String, Kind, String), b| a.0.cmp(&b.0));
            all
        };
        prop_assert_eq!(sort(found), sort(expected));
        for scalar in document.scalars() {
            let found = document.find(&document.path(scalar)).expect("a path finds its value");
            prop_assert!(std::ptr::eq(found, scalar));
        }
    }

    #[test]
    fn json_is_sealed_and_opened_without_a_trace(document in document(), style in 0..4_u8) {
        seal_and_open(&spelled(&document, style), Format::Json);
    }

    #[test]
    fn escapes_are_read_as_serde_json_reads_them(raw in r#"(\\u[dD][89a-fA-F][0-9a-f]{2}|\\u[0-9a-fA-F]{4}|\\[bfnrt"/\\]|\\.|[a-zé😀]){0,6}"#) {
        let source = format!("{{\"a\":\"{raw}\"}}");
        let expected = serde_json::from_str::<Value>(&source).ok();
        let found = Document::parse(source.as_bytes(), Format::Json).ok();
        let found = found.as_ref().map(|found| found.text(&found.scalars()[0]));
        prop_assert_eq!(found, expected.as_ref().map(|value| value["a"].as_str().expect("a string")));
    }

    #[test]
    fn what_json_takes_is_what_serde_json_takes(source in r#"(\{|\}|\[|\]|,|:|"a"|"b"|1|-|0|\.|e|true|null| |\n|"){0,12}"#) {
        let source = format!("{{\"k\":{source}}}");
        let found = Document::parse(source.as_bytes(), Format::Json);
        let expected = serde_json::from_str::<Value>(&source);
        let twice = found.as_ref().is_err_and(|error| error.message().contains("stands twice"));
        prop_assert!(twice || found.is_ok() == expected.is_ok(), "{source}: {found:?} {expected:?}");
    }

    #[test]
    fn yaml_is_read_as_it_was_written_and_opened_without_a_trace(
        members in prop::collection::vec((text(), text(), 0..6_u8, any::<bool>()), 1..6),
        end in prop::sample::select(vec!["\n", "\r\n", ""]),
    ) {
        let mut source = String::new();
        let mut expected = Vec::new();
        let eol = if end.is_empty() { "\n" } else { end };
        for (at, (name, text, style, comment)) in members.iter().enumerate() {
            let key = serde_json::to_string(&format!("{at}{name}")).expect("JSON");
            let key = key.replace('\u{feff}', "\\ufeff").replace('\u{7f}', "\\x7f").replace('\u{85}', "\\N").replace('\u{ffff}', "\\uffff");
            let simple = text.chars().all(|character| character.is_ascii_alphabetic()) && text.len() > 5;
            let printable = text.chars().all(super::super::write::yaml_printable);
            let (written, number) = match style {
                0 if simple => (text.clone(), false),
                1 if printable => (format!("'{}'", text.replace('\'', "''")), false),
                2 => ("-1.50".to_owned(), true),
                3 if simple => (format!("{{a: [{text}, 'x']}}"), false),
                _ => (super::super::write::quoted(text, true).to_string(), false),
            };
            let comment = if *comment { "  # c: 'd" } else { "" };
            source.push_str(&format!("{key}: {written}{comment}{eol}"));
            let pointer = Pointer::root().join(&format!("{at}{name}"));
            if *style == 3 && simple {
                let list = pointer.join("a");
                expected.push((list.join("0").to_string(), Kind::String, text.clone()));
                expected.push((list.join("1").to_string(), Kind::String, "x".to_owned()));
            } else {
                let text = if number { "-1.50".to_owned() } else { text.clone() };
                let kind = if number { Kind::Number } else { Kind::String };
                expected.push((pointer.to_string(), kind, text));
            }
        }
        if end.is_empty() {
            source.pop();
        }
        let document = parse(&source, Format::Yaml);
        let found: Vec<_> = values(&document).into_iter().map(|(path, kind, text)| (path, kind, text.to_owned())).collect();
        prop_assert_eq!(found, expected, "{}", source);
        // In flow context a text loses being plain, and gets quotes when it is opened.
        if !members.iter().any(|(_, _, style, _)| *style == 3) {
            seal_and_open(&source, Format::Yaml);
        }
    }

    #[test]
    fn what_is_set_is_read_back(new in text(), at in 0..6_usize) {
        for format in [Format::Json, Format::Yaml, Format::Dotenv] {
            let source = match format {
                Format::Json => "{\"a\":1,\"b\":\"x\"}",
                Format::Yaml => "a: x\nb: 'x'\nc: \"x\"\nd: {e: x}\nf: |\n  x\ng:\n",
                Format::Dotenv => "a=x\nb='x'\nc=\"x\"\nd=`x`\n",
            };
            let document = parse(source, format);
            let Some(scalar) = document.scalars().get(at) else { continue };
            let mut edits = Edits::new(&document);
            edits.set_string(&document.path(scalar), &new).expect("a value");
            match edits.apply() {
                Ok(text) => {
                    let document = parse(&text, format);
                    prop_assert_eq!(document.text(&document.scalars()[at]), &new);
                }
                Err(error) => {
                    prop_assert_eq!(format, Format::Dotenv, "{}", error);
                    prop_assert!(error.message().contains("base64"), "{error}");
                }
            }
            let mut edits = Edits::new(&document);
            edits.insert(&path("/n"), &new).expect("a name");
            let inserted = edits.apply();
            prop_assert!(inserted.is_ok() || format == Format::Dotenv);
        }
    }

    #[test]
    fn dotenv_is_opened_without_a_trace(values in prop::collection::vec((text(), 0..4_u8), 0..6), crlf in any::<bool>()) {
        let mut source = String::new();
        for (at, (text, style)) in values.iter().enumerate() {
            let quote = ["", "'", "\"", "`"][usize::from(*style)];
            let awkward = ["'", "\"", "`", "\\", "\n", "\r", "#", "\u{2028}", "\u{2029}"].iter().any(|special| text.contains(special));
            let text = if awkward || (quote.is_empty() && text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}') != text) { "plain" } else { text };
            source.push_str(&format!("V{at}={quote}{text}{quote} # c{}", if crlf { "\r\n" } else { "\n" }));
        }
        seal_and_open(&source, Format::Dotenv);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for format in [Format::Json, Format::Yaml, Format::Dotenv] {
            let _ = Document::parse(&bytes, format);
        }
    }

    #[test]
    fn no_json_like_text_panics(source in r#"\{?("a"|"x-sealed"|"version"|"epochs"|"name"|:|,|\{|\}|\[|\]|1|null|"\\u0061"|\\|"| |\n|\r\n){0,30}\}?"#) {
        exercise(&source, Format::Json);
    }

    #[test]
    fn no_yaml_like_text_panics(source in "([a-c]: |x-sealed:|version: 1|epochs:|name: |- |\\[|\\]|\\{|\\}|,|:|&a |\\*a|<<: |!!str |!t |\"|'|\\||>|\\? |---|\\.\\.\\.|#| |\r|\n|\n  |\n    |~|é|\u{feff}){0,30}") {
        exercise(&source, Format::Yaml);
    }

    #[test]
    fn no_dotenv_like_text_panics(source in "(A|B|export |=|: |:|'|\"|`|\\\\|\\\\n|#| |\r|\n|# x-sealed |version=1 document=d|epoch |\\{\\}|é|\u{2028}|\u{feff}|x){0,30}") {
        exercise(&source, Format::Dotenv);
    }
}

/// Makes all kinds of edits to what can be read: they fail, or do what they should.
fn exercise(source: &str, format: Format) {
    let Ok(document) = Document::parse(source.as_bytes(), format) else {
        return;
    };
    for scalar in document.scalars() {
        let path = document.path(scalar);
        let found = document.find(&path).expect("a path finds its value");
        assert!(std::ptr::eq(found, scalar), "{source:?}");
        for new in ["SEALED[x]", "a\nb: #'"] {
            let mut edits = Edits::new(&document);
            if edits.set_string(&path, new).is_ok() {
                let _ = edits.apply();
            }
        }
    }
    let mut edits = Edits::new(&document);
    if edits.insert(&path("/n/m"), "v").is_ok() || edits.insert(&path("/n"), "v").is_ok() {
        let _ = edits.apply();
    }
    let mut edits = Edits::new(&document);
    edits.header(Some(header()));
    let Ok(with) = edits.apply() else { return };
    let sealed = parse(&with, format);
    let mut edits = Edits::new(&sealed);
    edits.header(None);
    if let (Ok(without), None) = (edits.apply(), document.header()) {
        assert_eq!(*without, source);
    }
}
