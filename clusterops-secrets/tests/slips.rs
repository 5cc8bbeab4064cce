//! Values that are not what their writer meant, since their format makes something else of them.

mod support;

use clusterops_secrets::{ErrorKind, Format, seal, seal_paths};
use support::{id, options};

#[test]
fn what_a_format_makes_of_a_value_is_said() {
    let options = options(&["ben"]).document(id("/shop"));
    for (format, source, place, why) in [
        (
            Format::Yaml,
            "a: |\n  ENC[a:b]\n",
            (1, 4),
            "`|-` in place of `|`",
        ),
        (Format::Yaml, "a: >\n  ENC[a:b]\n", (1, 4), "or `>-` of `>`"),
        (
            Format::Yaml,
            "a: |\n  SEALED[a]\n",
            (1, 4),
            "`|-` in place of `|`",
        ),
        (Format::Dotenv, "A=ENC[a:b#c]\n", (1, 3), "NAME='value'"),
        (Format::Dotenv, "A=ENC[a: #c]\n", (1, 3), "NAME='value'"),
        (Format::Dotenv, "A=SEALED[a #]\n", (1, 3), "NAME='value'"),
    ] {
        let error = seal(source, format, &options).expect_err(source);
        assert_eq!(error.place(), Some(place), "{source}: {error}");
        let error = error.to_string();
        assert!(
            error.contains("does not end with `]`; ") && error.contains(why),
            "{source}: {error}"
        );
    }
    // What is not cut by its format is not said to be.
    for (format, source) in [
        (Format::Yaml, "a: |-\n  ENC[a\n"),
        (Format::Json, "{\"a\": \"ENC[a:b]\\n\"}"),
        (Format::Dotenv, "A=ENC[a:b\n"),
        (Format::Dotenv, "A='ENC[a:b' # c]\n"),
    ] {
        let error = seal(source, format, &options)
            .expect_err(source)
            .to_string();
        assert!(
            error.ends_with("this one does not end with `]`"),
            "{source}: {error}"
        );
    }
    for source in ["a: |-\n  ENC[a:b]\n", "a: >-\n  ENC[a:b]\n"] {
        assert!(seal(source, Format::Yaml, &options).is_ok(), "{source}");
    }
}

#[test]
fn no_half_of_a_dotenv_value_is_sealed() {
    let options = options(&["ben"]).document(id("/shop"));
    let seal_at = |source| {
        seal_paths(
            source,
            Format::Dotenv,
            &["/A".parse().expect("a path")],
            &options,
        )
    };
    let error = seal_at("A=hunter#2\n").expect_err("half of it");
    assert_eq!(
        (error.kind(), error.place()),
        (ErrorKind::Input, Some((1, 3)))
    );
    assert!(
        error.to_string().contains("put quotes around it"),
        "{error}"
    );
    for source in ["A=hunter # 2\n", "A='hunter'#2\n", "A='hunter#2'\n"] {
        let sealed = seal_at(source).expect(source).text;
        assert!(!sealed.contains("hunter"), "{}", *sealed);
    }
}
