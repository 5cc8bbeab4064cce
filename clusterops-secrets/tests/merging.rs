//! Two people's edits of one sealed document.

mod support;

use clusterops_secrets::{ErrorKind, Format, Pointer, Value, merge, rotate, seal, set};
use proptest::prelude::*;
use support::{id, opened, options, private_key};

const APP: &str = "{\n  \"id\": \"/shop\",\n  \"cpus\": 1,\n  \"env\": {\n    \"A\": \"ENC[a:one]\",\n    \"B\": \"ENC[b:two]\"\n  },\n  \"labels\": {\n    \"x\": \"y\"\n  }\n}\n";
const YAML: &str = "id: /shop\nenv:\n  A: ENC[a:one] # first\n  B: ENC[b:two]\nlabels: {x: y}\n";
const DOTENV: &str = "A='ENC[a:one]'\n# b\nB='ENC[b:two]'\n";

fn pointer(text: &str) -> Pointer {
    text.parse().expect("a path")
}

fn sealed(text: &str, format: Format) -> String {
    seal(text, format, &options(&["ben"]).document(id("/shop")))
        .expect("it seals")
        .text
        .to_string()
}

fn with(text: &str, format: Format, path: &str, value: &str) -> String {
    let options = options(&["ben"]).document(id("/shop"));
    set(text, format, &pointer(path), &Value::text(value), &options)
        .expect("it is set")
        .text
        .to_string()
}

#[tokio::test]
async fn both_edits_are_in_the_merged_document_and_it_opens() {
    let ben = private_key("ben");
    for (source, format, prefix) in [
        (APP, Format::Json, "/env"),
        (YAML, Format::Yaml, "/env"),
        (DOTENV, Format::Dotenv, ""),
    ] {
        let base = sealed(source, format);
        let path = |name: &str| format!("{prefix}/{name}");
        // One side changes a value, the other adds one; then both add one at the same place.
        for (ours, theirs) in [("A", "C"), ("C", "A"), ("A", "B"), ("C", "D")] {
            let our = with(&base, format, &path(ours), "our value");
            let their = with(&base, format, &path(theirs), "their value");
            let merged = merge(&base, &our, &their, format).expect("it reads");
            assert!(
                merged.is_clean(),
                "{format} {ours} {theirs}: {merged:?}\n{}",
                &*merged.text
            );
            let text = opened(&merged.text, format, &ben).await.expect("it opens");
            assert!(
                text.contains("our value") && text.contains("their value"),
                "{format}: {text}"
            );
            // No epoch that no value uses.
            let untouched = usize::from(!matches!((ours, theirs), ("A", "B")));
            assert_eq!(
                merged.text.matches("protected").count(),
                2 + untouched,
                "{format} {ours} {theirs}"
            );
        }
        assert_eq!(
            *merge(&base, &base, &base, format).expect("it reads").text,
            base
        );
    }
}

#[tokio::test]
async fn plain_lines_and_sealed_values_merge_beside_each_other() {
    let ben = private_key("ben");
    let base = sealed(APP, Format::Json);
    let our = base.replace("\"cpus\": 1", "\"cpus\": 2");
    let their = with(&base, Format::Json, "/env/C", "three");
    let merged = merge(&base, &our, &their, Format::Json).expect("it reads");
    assert!(merged.is_clean());
    let text = opened(&merged.text, Format::Json, &ben)
        .await
        .expect("it opens");
    assert!(
        text.contains("\"cpus\": 2") && text.contains("three"),
        "{text}"
    );
    // A side that removed a value, and one that unsealed nothing.
    let our = base
        .lines()
        .filter(|line| !line.contains("\"A\""))
        .collect::<Vec<_>>()
        .join("\n")
        + "\n";
    let merged =
        merge(&base, &our, &base.replace("\"y\"", "\"z\""), Format::Json).expect("it reads");
    assert!(merged.is_clean(), "{merged:?}");
    let text = opened(&merged.text, Format::Json, &ben)
        .await
        .expect("it opens");
    assert!(!text.contains("one") && text.contains("\"z\""), "{text}");
}

#[tokio::test]
async fn one_value_on_both_sides_is_a_conflict_that_names_it() {
    let base = sealed(APP, Format::Json);
    let our = with(&base, Format::Json, "/env/A", "ours");
    let their = with(&base, Format::Json, "/env/A", "theirs");
    let merged = merge(&base, &our, &their, Format::Json).expect("it reads");
    assert!(!merged.is_clean() && merged.has_line_conflicts);
    assert_eq!(merged.conflicts, [pointer("/env/A")]);
    for marker in ["<<<<<<< ours\n", "=======\n", ">>>>>>> theirs\n"] {
        assert_eq!(merged.text.matches(marker).count(), 1, "{}", &*merged.text);
    }
    // Either side opens once the markers are gone, since the epochs of both are there.
    let ben = private_key("ben");
    for (is_ours, value) in [(true, "ours"), (false, "theirs")] {
        let (mut keeps, mut resolved) = (true, String::new());
        for line in merged.text.split_inclusive('\n') {
            match line.trim_end() {
                "<<<<<<< ours" => keeps = is_ours,
                "=======" => keeps = !is_ours,
                ">>>>>>> theirs" => keeps = true,
                _ if keeps => resolved.push_str(line),
                _ => {}
            }
        }
        let text = opened(&resolved, Format::Json, &ben)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{resolved}"));
        assert!(text.contains(value), "{text}");
    }
    // Rotated on one side, set on the other.
    let rotated = rotate(
        &base,
        Format::Json,
        &id("/shop"),
        &[&ben],
        &options(&["ben"]),
    )
    .await
    .expect("it rotates")
    .text;
    let merged = merge(&base, &rotated, &our, Format::Json).expect("it reads");
    assert_eq!(merged.conflicts, [pointer("/env/A")]);
    let added = with(&base, Format::Json, "/labels/z", "new");
    let merged = merge(&base, &rotated, &added, Format::Json).expect("it reads");
    assert!(merged.is_clean(), "{}", &*merged.text);
    assert!(
        opened(&merged.text, Format::Json, &ben)
            .await
            .expect("it opens")
            .contains("new")
    );
}

#[test]
fn documents_that_do_not_belong_together_do_not_merge() {
    let base = sealed(APP, Format::Json);
    let other = sealed(
        &APP.replace("/shop", "/store")
            .replace("\"cpus\": 1", "\"cpus\": 3"),
        Format::Json,
    );
    let error = merge(APP, &base, &sealed(APP, Format::Json), Format::Json);
    assert!(
        !error.expect("it reads").is_clean(),
        "both sealed the same values"
    );
    let store = seal(
        &APP.replace("/shop", "/store"),
        Format::Json,
        &options(&["ben"]),
    )
    .expect("it seals")
    .text;
    let error = merge(APP, &base, &store, Format::Json).expect_err("two documents");
    assert_eq!(error.kind(), ErrorKind::Misplaced);
    let error = merge(&base, &base, "{", Format::Json).expect_err("no JSON");
    assert!(error.to_string().contains("their side"), "{error}");
    assert!(
        merge("", &base, &base, Format::Json)
            .expect("it reads")
            .is_clean()
    );
    drop(other);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn generated_edits_of_two_people_merge(
        ours in prop::collection::btree_map("[A-F]", "[a-z]{1,6}", 0..4),
        theirs in prop::collection::btree_map("[G-L]", "[a-z]{1,6}", 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let ben = private_key("ben");
        let base = sealed(APP, Format::Json);
        let edited = |values: &std::collections::BTreeMap<String, String>, mark: &str| {
            values.iter().fold(base.clone(), |text, (name, value)| {
                with(&text, Format::Json, &format!("/env/{name}"), &format!("{mark}-{value}"))
            })
        };
        let merged = merge(&base, &edited(&ours, "our"), &edited(&theirs, "their"), Format::Json).expect("it reads");
        prop_assert!(merged.is_clean(), "{}", &*merged.text);
        let text = runtime.block_on(opened(&merged.text, Format::Json, &ben)).expect("it opens");
        for (values, mark) in [(&ours, "our"), (&theirs, "their")] {
            for (name, value) in values {
                let member = format!("\"{name}\": \"{mark}-{value}\"");
                prop_assert!(text.contains(&member));
            }
        }
    }
}
