//! Two people's edits of one sealed document.

mod support;

use std::path::Path;
use std::process::Command;

use clusterops_secrets::{
    ErrorKind, Format, Merged, Pointer, SealedFile, Value, merge, merge_opened, rotate, seal, set,
};
use proptest::prelude::*;
use support::{FORMATS, id, opened, options, private_key};

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
        let resolved = resolved(&merged.text, is_ours);
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

/// The text with one side of each conflict.
fn resolved(text: &str, is_ours: bool) -> String {
    let (mut keeps, mut resolved) = (true, String::new());
    for line in text.split_inclusive('\n') {
        match line.trim_end() {
            "<<<<<<< ours" => keeps = is_ours,
            "=======" => keeps = !is_ours,
            ">>>>>>> theirs" => keeps = true,
            _ if keeps => resolved.push_str(line),
            _ => {}
        }
    }
    resolved
}

async fn rotated(text: &str, format: Format) -> String {
    let (options, ben) = (options(&["ben"]), private_key("ben"));
    let sealed = rotate(text, format, &id("/shop"), &[&ben], &options).await;
    sealed.expect("it rotates").text.to_string()
}

async fn merged_opened(base: &str, ours: &str, theirs: &str, format: Format) -> Merged {
    let ben = private_key("ben");
    let merged = merge_opened(base, ours, theirs, format, &id("/shop"), &[&ben]).await;
    merged.expect("it opens")
}

#[tokio::test]
async fn who_can_open_both_merges_what_was_edited_and_rotated() {
    let ben = private_key("ben");
    for (source, format, path) in [
        (APP, Format::Json, "/env/A"),
        (YAML, Format::Yaml, "/env/A"),
        (DOTENV, Format::Dotenv, "/A"),
    ] {
        let base = sealed(source, format);
        let edited = with(&base, format, path, "edited");
        let rotated = rotated(&base, format).await;
        for (ours, theirs) in [(&edited, &rotated), (&rotated, &edited)] {
            let blind = merge(&base, ours, theirs, format).expect("it reads");
            assert_eq!(blind.conflicts, [pointer(path)]);
            let merged = merged_opened(&base, ours, theirs, format).await;
            assert!(merged.is_clean(), "{merged:?}\n{}", &*merged.text);
            let text = opened(&merged.text, format, &ben).await.expect("it opens");
            assert!(text.contains("edited") && text.contains("two"), "{text}");
            // No token and no epoch of the base is left.
            assert_eq!(merged.text.matches("protected").count(), 2);
            assert!(
                base.split(['"', '\'', ' ', '\n'])
                    .all(|word| { !word.starts_with("SEALED[") || !merged.text.contains(word) })
            );
        }
        // One value, the same on both sides; and both rotated.
        let (ours, theirs) = (
            with(&base, format, path, "same"),
            with(&base, format, path, "same"),
        );
        assert!(
            !merge(&base, &ours, &theirs, format)
                .expect("it reads")
                .is_clean()
        );
        assert!(
            merged_opened(&base, &ours, &theirs, format)
                .await
                .is_clean()
        );
        let again = self::rotated(&base, format).await;
        let merged = merged_opened(&base, &rotated, &again, format).await;
        assert_eq!(*merged.text, rotated);
        // Two other values stay a conflict that either side resolves.
        let theirs = with(&base, format, path, "other");
        let merged = merged_opened(&base, &edited, &theirs, format).await;
        assert_eq!(merged.conflicts, [pointer(path)]);
        for (is_ours, value) in [(true, "edited"), (false, "other")] {
            let text = resolved(&merged.text, is_ours);
            let text = opened(&text, format, &ben).await.expect("it opens");
            assert!(text.contains(value), "{text}");
        }
    }
    let base = sealed(APP, Format::Json);
    let cyd = private_key("cyd");
    let error = merge_opened(&base, &base, &base, Format::Json, &id("/shop"), &[&cyd]).await;
    let error = error.expect_err("not for cyd");
    assert_eq!(error.kind(), ErrorKind::NotRecipient);
    assert!(error.to_string().contains("the base"), "{error}");
}

#[tokio::test]
async fn what_lines_merge_to_must_be_what_values_merge_to() {
    let ben = private_key("ben");
    // Both add the same name, at places that do not touch.
    let base = sealed(YAML, Format::Yaml);
    let top = base.replace("env:\n", "env:\n  C: ENC[c:ours]\n");
    let top = sealed(&top, Format::Yaml);
    let bottom = with(&base, Format::Yaml, "/env/C", "theirs");
    let merged = merge(&base, &top, &bottom, Format::Yaml).expect("it reads");
    assert_eq!(merged.conflicts, [pointer("/env/C")]);
    assert!(merged.has_line_conflicts);
    for (is_ours, value) in [(true, "ours"), (false, "theirs")] {
        let text = opened(&resolved(&merged.text, is_ours), Format::Yaml, &ben).await;
        assert!(text.expect("it opens").contains(value));
    }

    // An element in front moves what the other side sealed at an index.
    let list = "id: /shop\nkeys:\n  - ENC[a:one]\n  - x\n  - y\n  - z\n";
    let list_base = sealed(list, Format::Yaml);
    let longer = sealed(
        &list.replace("keys:\n", "keys:\n  - ENC[b:first]\n"),
        Format::Yaml,
    );
    let changed = with(&list_base, Format::Yaml, "/keys/3", "last");
    let merged = merge(&list_base, &longer, &changed, Format::Yaml).expect("it reads");
    assert!(merged.conflicts.contains(&pointer("/keys/3")), "{merged:?}");

    // What stands around it has another name now, or is gone.
    for (ours, expected) in [
        (
            "id: /shop\nenvironment:\n  A: a\n  B: b\nlabels: {x: y}\n",
            "/environment/C",
        ),
        ("id: /shop\nlabels: {x: y}\n", ""),
    ] {
        let plain = "id: /shop\nenv:\n  A: a\n  B: b\nlabels: {x: y}\n";
        let theirs = with(plain, Format::Yaml, "/env/C", "three");
        for (ours, theirs) in [(ours, theirs.as_str()), (theirs.as_str(), ours)] {
            let merged = merge(plain, ours, theirs, Format::Yaml).expect("it reads");
            assert!(!merged.is_clean(), "{}", &*merged.text);
            let names = merged
                .conflicts
                .iter()
                .any(|path| path.as_str() == expected);
            assert!(expected.is_empty() || names, "{merged:?}");
        }
    }
}

#[test]
fn markers_of_conflicts_end_as_the_lines_do() {
    let base = sealed(&APP.replace('\n', "\r\n"), Format::Json);
    let sides = ["ours", "theirs"].map(|value| with(&base, Format::Json, "/env/A", value));
    let merged = merge(&base, &sides[0], &sides[1], Format::Json).expect("it reads");
    for marker in ["<<<<<<< ours\r\n", "=======\r\n", ">>>>>>> theirs\r\n"] {
        assert_eq!(merged.text.matches(marker).count(), 1);
    }
    assert_eq!(
        merged.text.matches('\n').count(),
        merged.text.matches("\r\n").count()
    );
}

/// The merge driver of the next test, as gitattributes(5) describes one: it puts the merged text into the file of our side.
#[test]
#[ignore = "run by git in two_branches_merge_in_a_git_repository"]
fn git_merge_driver() {
    let text = |name: &str| {
        let path = std::env::var_os(name).expect("git's configuration names it");
        SealedFile::read_as(path, Format::Json).expect("it reads")
    };
    let (base, ours, theirs) = (text("BASE"), text("OURS"), text("THEIRS"));
    let merged = merge(base.text(), ours.text(), theirs.text(), Format::Json).expect("it reads");
    ours.replace(&merged.text).expect("it is written");
    assert!(merged.is_clean(), "{merged:?}");
}

fn git(folder: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("git")
        .current_dir(folder)
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git runs");
    output.status.success()
}

#[tokio::test]
async fn two_branches_merge_in_a_git_repository() {
    let ben = private_key("ben");
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, path) = (folder.path(), folder.path().join("app.json"));
    let driver = format!(
        "BASE=%O OURS=%A THEIRS=%B '{}' --exact git_merge_driver --ignored --quiet",
        std::env::current_exe().expect("ourselves").display()
    );
    assert!(git(folder, &["init", "-q", "-b", "main"]));
    assert!(git(folder, &["config", "merge.sealed.driver", &driver]));
    std::fs::write(folder.join(".gitattributes"), "*.json merge=sealed\n").expect("ours");
    let commit = |branch: &str, text: &str| {
        std::fs::write(&path, text).expect("ours");
        git(folder, &["add", "."]) && git(folder, &["commit", "-q", "-m", branch])
    };
    let base = sealed(APP, Format::Json);
    assert!(commit("base", &base));
    for (branch, name, value) in [
        ("added", "C", "our value"),
        ("added-too", "D", "their value"),
        ("changed", "C", "another value"),
    ] {
        assert!(git(folder, &["switch", "-q", "-c", branch, "main"]));
        let text = with(&base, Format::Json, &format!("/env/{name}"), value);
        assert!(commit(branch, &text));
    }
    assert!(git(folder, &["switch", "-q", "main"]));
    assert!(git(folder, &["merge", "-q", "added"]));
    assert!(git(folder, &["merge", "-q", "-m", "both", "added-too"]));
    let text = std::fs::read_to_string(&path).expect("ours");
    let text = opened(&text, Format::Json, &ben).await.expect("it opens");
    assert!(
        text.contains("our value") && text.contains("their value"),
        "{text}"
    );
    // git stops at a conflict, and the file says where.
    assert!(!git(folder, &["merge", "-q", "-m", "all", "changed"]));
    assert!(!git(folder, &["diff", "--quiet", "--diff-filter=U"]));
    let text = std::fs::read_to_string(&path).expect("ours");
    let text = opened(&resolved(&text, false), Format::Json, &ben).await;
    let text = text.expect("it opens");
    assert!(text.contains("another value"), "{text}");
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
        for format in FORMATS {
            let (source, prefix, member) = match format {
                Format::Json => (APP, "/env", "\"{}\": \"{}\""),
                Format::Yaml => (YAML, "/env", "  {}: {}"),
                _ => (DOTENV, "", "{}={}"),
            };
            let base = sealed(source, format);
            let edited = |values: &std::collections::BTreeMap<String, String>, mark: &str| {
                values.iter().fold(base.clone(), |text, (name, value)| {
                    with(&text, format, &format!("{prefix}/{name}"), &format!("{mark}-{value}"))
                })
            };
            let (our, their) = (edited(&ours, "our"), edited(&theirs, "their"));
            let merged = merge(&base, &our, &their, format).expect("it reads");
            prop_assert!(merged.is_clean(), "{}", &*merged.text);
            let text = runtime.block_on(opened(&merged.text, format, &ben)).expect("it opens");
            // Values that replaced quoted ones keep the quotes.
            let text = text.replace('\'', "");
            for (values, mark) in [(&ours, "our"), (&theirs, "their")] {
                for (name, value) in values {
                    let value = format!("{mark}-{value}");
                    let member = member.replacen("{}", name, 1).replacen("{}", &value, 1);
                    prop_assert!(text.contains(&member), "{}: {}", member, text);
                }
            }
        }
    }
}

/// What somebody does to a document.
#[derive(Debug, Clone)]
enum Step {
    Set(u8, u8),
    Remove(u8),
    Swap(usize),
    Rename,
    Rotate,
    Plain(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8u8, any::<u8>()).prop_map(|(name, value)| Step::Set(name, value)),
        1 => (0..8u8).prop_map(Step::Remove),
        1 => (0..6usize).prop_map(Step::Swap),
        1 => Just(Step::Rename),
        1 => Just(Step::Rotate),
        1 => any::<u8>().prop_map(Step::Plain),
    ]
}

async fn done(base: &str, steps: &[Step]) -> String {
    let mut text = base.to_owned();
    for step in steps {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        let end = lines.iter().position(|line| line.starts_with("x-sealed"));
        let end = end.unwrap_or(lines.len());
        text = match step {
            // Lines that were swapped can be no YAML any more.
            Step::Set(name, value) if text.contains("\nenv:\n") => {
                let options = options(&["ben"]).document(id("/shop"));
                let (path, value) = (format!("/env/V{name}"), Value::text(value.to_string()));
                set(&text, Format::Yaml, &pointer(&path), &value, &options)
                    .map_or(text, |sealed| sealed.text.to_string())
            }
            Step::Remove(name) => {
                let name = format!("  V{name}:");
                lines.retain(|line| !line.starts_with(&name));
                lines.concat()
            }
            Step::Swap(line) if line + 2 < end => {
                lines.swap(line + 1, line + 2);
                lines.concat()
            }
            Step::Rename => text.replace("\nenv:\n", "\nenvironment:\n"),
            Step::Plain(value) => text.replace("zone: a", &format!("zone: z{value}")),
            Step::Rotate => {
                let (options, ben) = (options(&["ben"]), private_key("ben"));
                let sealed = rotate(&text, Format::Yaml, &id("/shop"), &[&ben], &options).await;
                sealed.map_or(text, |sealed| sealed.text.to_string())
            }
            Step::Set(..) | Step::Swap(_) => text,
        };
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_two_people_do_what_merges_clean_opens(
        our_steps in prop::collection::vec(step(), 0..4),
        their_steps in prop::collection::vec(step(), 0..4),
    ) {
        const SOURCE: &str = "id: /shop\nzone: a\nenv:\n  V0: ENC[a:0]\n  V1: ENC[a:1]\n  V2: ENC[a:2]\n  V3: plain\nlabels: {x: y}\n";
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let ben = private_key("ben");
        runtime.block_on(async {
            let base = sealed(SOURCE, Format::Yaml);
            let (our, their) = (done(&base, &our_steps).await, done(&base, &their_steps).await);
            let open_now = async |text: &str| opened(text, Format::Yaml, &ben).await;
            let both_open = open_now(&our).await.is_ok() && open_now(&their).await.is_ok();
            let Ok(merged) = merge(&base, &our, &their, Format::Yaml) else {
                prop_assert!(!both_open, "both open, and do not merge");
                return Ok(());
            };
            if both_open && merged.is_clean() {
                let text = open_now(&merged.text).await;
                prop_assert!(text.is_ok(), "{}: {:?}", &*merged.text, text.err());
            }
            if both_open {
                let known = merged_opened(&base, &our, &their, Format::Yaml).await;
                prop_assert!(known.is_clean() || !merged.is_clean(), "who can open decides no less");
                if known.is_clean() {
                    let text = open_now(&known.text).await;
                    prop_assert!(text.is_ok(), "{}: {:?}", &*known.text, text.err());
                }
            }
            Ok(())
        })?;
    }
}

/// Git's base of a file that both sides have added is empty.
#[test]
fn a_file_that_both_have_added_is_merged() {
    for (source, format) in [
        (APP, Format::Json),
        (YAML, Format::Yaml),
        (DOTENV, Format::Dotenv),
    ] {
        let ours = sealed(source, format);
        let same = merge("", &ours, &ours, format).expect("it merges");
        assert!(same.is_clean() && *same.text == *ours, "{same:?}");
        let theirs = sealed(source, format);
        let merged = merge("", &ours, &theirs, format).expect("it merges");
        assert!(!merged.is_clean(), "{merged:?}");
    }
}
