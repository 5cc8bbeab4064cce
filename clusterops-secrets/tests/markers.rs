//! Markers that are not the whole of a value.

mod support;

use clusterops_secrets::{
    ErrorKind, Format, Sealed, Value, compact, reseal, rotate, seal, seal_paths, set,
};
use support::{id, options, private_key};

/// What is marked and would stay in plain text is not passed over.
#[test]
fn a_marker_that_is_no_whole_value_is_refused() {
    for (format, source, place, path) in [
        (
            Format::Json,
            r#"{"a": "--password=ENC[a:hunter2]"}"#,
            (1, 7),
            Some("/a"),
        ),
        (
            Format::Json,
            r#"{"a": " ENC[a:hunter2]"}"#,
            (1, 7),
            Some("/a"),
        ),
        (
            Format::Json,
            r#"{"b": [{"ENC[a:hunter2]": "x"}]}"#,
            (1, 9),
            None,
        ),
        (Format::Yaml, "a: x # ENC[a:hunter2]\n", (1, 8), None),
        (Format::Yaml, "a: | # ENC[a:hunter2]\n  x\n", (1, 8), None),
        (
            Format::Yaml,
            "a: |\n  x ENC[a:hunter2]\n",
            (1, 4),
            Some("/a"),
        ),
        (Format::Yaml, "a: x\n...\n# ENC[a:hunter2]\n", (3, 3), None),
        (Format::Dotenv, "# ENC[a:hunter2]\nA=x\n", (1, 3), None),
        (
            Format::Dotenv,
            "A='ENC[a:x]' # ENC[b:hunter2]\n",
            (1, 16),
            None,
        ),
        (
            Format::Dotenv,
            "A=http://ENC[a:hunter2]@x\n",
            (1, 3),
            Some("/A"),
        ),
    ] {
        let options = options(&["ben"]).document(id("/shop"));
        let error = seal(source, format, &options).expect_err(source);
        assert_eq!(
            (error.kind(), error.place(), error.path()),
            (ErrorKind::Syntax, Some(place), path),
            "{source}: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("values are sealed") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

/// A sealed document with what somebody has added to it.
fn sealed_with(added: &str) -> String {
    let source = r#"{"id": "/shop", "a": "ENC[a:sealed]"}"#;
    let sealed = seal(source, Format::Json, &options(&["ben"])).expect("it seals");
    sealed.text.replacen('{', &format!("{{{added}, "), 1)
}

#[tokio::test]
async fn sealing_all_anew_leaves_no_marker_behind() {
    let (ben, options) = (private_key("ben"), options(&["ben"]));
    let text = sealed_with(r#""b": "ENC[b:marked]", "c": "pre ENC[q:leftsecret]""#);
    let rotated = rotate(&text, Format::Json, &id("/shop"), &[&ben], &options).await;
    let resealed = reseal(&text, Format::Json, &id("/shop"), &[&ben], &options).await;
    for result in [rotated, resealed.map(|resealed| resealed.sealed)] {
        let error = result.expect_err("`c` would stay");
        assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::Syntax, Some("/c")),
            "{error}"
        );
    }
    let text = text.replace("pre ENC[q:leftsecret]", "ENC[q:leftsecret]");
    let rotated = rotate(&text, Format::Json, &id("/shop"), &[&ben], &options).await;
    let rotated = rotated.expect("all of it is sealed");
    assert!(rotated.unsealed.is_empty() && !rotated.text.contains("secret"));
}

#[tokio::test]
async fn what_stays_marked_is_told() {
    let options = options(&["ben"]);
    let told = |sealed: &Sealed| -> Vec<String> {
        sealed.unsealed.iter().map(ToString::to_string).collect()
    };
    let text = sealed_with(
        r#""b": "ENC[b:hunter2]", "k": {"ENC[k:hunter2]": "ENC[b:hunter2]"}, "c": "ENC[c:x]", "d": "pre ENC[q:hunter2]""#,
    );
    let b = "line 1, column 7: /b: this value is marked to be sealed and is not";
    let c = "line 1, column 73: /c: this value is marked to be sealed and is not";
    let rest = [
        "line 1, column 31: `ENC[name:value]` stands in a key here",
        // Its path would say what the key says.
        "line 1, column 49: this value is marked to be sealed and is not",
        c,
        "line 1, column 90: /d: `ENC[name:value]` stands inside of a longer text here",
    ];
    let (at, value) = ("/b".parse().expect("a path"), Value::text("new"));
    let replaced = set(&text, Format::Json, &at, &value, &options).expect("it is set");
    let sealed = seal_paths(&text, Format::Json, &[at], &options).expect("it is sealed");
    for sealed in [replaced, sealed] {
        let told = told(&sealed);
        assert_eq!(told.len(), rest.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(rest) {
            assert!(
                told.starts_with(expected) && !told.contains("hunter2"),
                "{told}"
            );
        }
        assert!(!format!("{sealed:?}").contains("hunter2"));
    }
    // What is a part of a value goes with it.
    let d = ["/d".parse().expect("a path")];
    let sealed = seal_paths(&text, Format::Json, &d, &options).expect("it is sealed");
    assert!(
        told(&sealed).contains(&b.to_owned())
            && !told(&sealed).iter().any(|told| told.contains("/d"))
    );

    let text = sealed_with(r#""b": "ENC[b:hunter2]""#);
    let ben = private_key("ben");
    let compacted = compact(&text, Format::Json, &id("/shop"), &[&ben], &options).await;
    assert_eq!(told(&compacted.expect("it is as it was")), [b]);
    let all = seal(&text, Format::Json, &options).expect("it seals");
    assert!(all.unsealed.is_empty());
}
