//! Markers that are not the whole of a value.

mod support;

use clusterops_secrets::{ErrorKind, Format, seal};
use support::{id, options};

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
