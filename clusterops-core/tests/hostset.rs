//! What holds for all host sets.

use std::collections::BTreeSet;

use clusterops_core::hostset::{Context, GroupSource, HostSet, expand_pattern};
use clusterops_core::{Error, ErrorKind, Result};
use proptest::prelude::*;

/// Names out of a small space, so that sets overlap.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(web|db-)(0|00)?[0-9]{1,2}",
        2 => "t-{0,2}[0-9]{1,2}(-x)?",
        4 => "r[0-3]n0?[0-3](-ib)?",
        2 => "a[0-2]b[0-2]c[0-2]d[0-2]",
        1 => "[a-c]{1,2}",
        1 => any::<String>(),
        1 => "[@,!&^*?\"\\\\\\[\\]:%s0-9 ]{0,6}",
        1 => "(root@)?\\[(fe80|2001:db8)::[0-3]\\](:2[0-3])?",
        1 => "[0-9]{1,40}",
    ]
}

fn names() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set(name(), 0..40)
}

fn set(names: &BTreeSet<String>) -> HostSet {
    names.iter().collect()
}

proptest! {
    #[test]
    fn text_reads_as_the_same_set(names in names()) {
        let set = set(&names);
        let text = set.to_string();
        prop_assert_eq!(&text.parse::<HostSet>().expect(&text), &set, "{}", text);
        let json = serde_json::to_string(&set).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<HostSet>(&json).expect("JSON"), set);
    }

    #[test]
    fn operations_are_those_of_sets(left in names(), right in names()) {
        let (a, b) = (set(&left), set(&right));
        let same = |hosts: HostSet, names: BTreeSet<String>| {
            assert_eq!(hosts.len(), names.len());
            assert_eq!(hosts, set(&names));
            assert_eq!(hosts.into_iter().collect::<BTreeSet<_>>(), names);
        };
        same(&a | &b, &left | &right);
        same(&a & &b, &left & &right);
        same(&a - &b, &left - &right);
        same(&a ^ &b, &left ^ &right);
        prop_assert_eq!(a.is_subset(&b), left.is_subset(&right));
        prop_assert_eq!(a.is_disjoint(&b), left.is_disjoint(&right));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
        for name in left.iter().chain(&right) {
            prop_assert_eq!(a.contains(name), left.contains(name));
        }
    }

    #[test]
    fn inserting_and_removing(mut names in names(), one in name(), other in name()) {
        let mut hosts = set(&names);
        prop_assert_eq!(hosts.insert(&one), names.insert(one.clone()));
        prop_assert_eq!(hosts.remove(&other), names.remove(&other));
        prop_assert_eq!(hosts, set(&names));
    }

    #[test]
    fn positions_follow_the_order(names in names(), start in 0..50_usize, length in 0..50_usize, parts in 1..9_usize) {
        let hosts = set(&names);
        let ordered: Vec<String> = hosts.iter().collect();
        prop_assert_eq!(hosts.iter().len(), names.len());
        for (position, name) in ordered.iter().enumerate() {
            prop_assert_eq!(hosts.get(position), Some(name.clone()));
        }
        prop_assert_eq!(hosts.get(ordered.len()), None);
        let slice = hosts.slice(start..start + length);
        let expected: Vec<_> = ordered.iter().skip(start).take(length).cloned().collect();
        prop_assert_eq!(slice.into_iter().collect::<Vec<_>>(), expected);
        for pieces in [hosts.split(parts), hosts.chunks(parts)] {
            let joined: Vec<String> = pieces.into_iter().flatten().collect();
            prop_assert_eq!(&joined, &ordered);
        }
    }

    #[test]
    fn any_text_is_read_or_refused_in_time(text in any::<String>()) {
        bounded(&text);
    }

    #[test]
    fn any_syntax_is_read_or_refused_in_time(text in "[\\[\\],!&^@/:*? \"\\\\0-9a%-]{0,60}") {
        bounded(&text);
    }
}

/// Reads a text in every way; errors must point into it.
fn bounded(text: &str) {
    let known: HostSet = ["web1", "a0", "10"].into_iter().collect();
    let context = Context::new().known(&known).limit(10_000);
    let expanded = expand_pattern(text, 1000).map(|_| ());
    for result in [context.parse(text).map(|_| ()), expanded] {
        if let Err(error) = result {
            let column = error
                .place()
                .and_then(|place| place.column)
                .expect("a column");
            assert!(
                (1..=text.chars().count() + 1).contains(&column),
                "{text:?}: {error}"
            );
        }
    }
}

#[test]
fn hostile_input_takes_neither_time_nor_memory() {
    let long = "9".repeat(200);
    let context = Context::new().limit(10_000);
    for (text, kind) in [
        ("[0-999999]x[0-999999]".to_owned(), ErrorKind::TooLarge),
        ("[0-9999999999999999999]".into(), ErrorKind::TooLarge),
        (format!("[0-{long}]"), ErrorKind::Syntax),
        (format!("[{long}-{long}]"), ErrorKind::Syntax),
        ("[-1-1]a".repeat(40), ErrorKind::TooLarge),
        ("a[1-9]".repeat(170_000), ErrorKind::TooLarge),
        (
            format!("{}[1-999999]", "x".repeat(1 << 20)),
            ErrorKind::TooLarge,
        ),
        ("[".repeat(1 << 20), ErrorKind::Syntax),
        ("a,".repeat(1 << 19), ErrorKind::Syntax),
        ("a[0-19998/2],".repeat(70_000), ErrorKind::TooLarge),
        (
            format!("a[0-19998/2]{}", "!a2,a2".repeat(100_000)),
            ErrorKind::TooLarge,
        ),
    ] {
        let error = context.parse(&text).expect_err(&text[..text.len().min(80)]);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().len() < 300, "{error}");
    }
    let none = format!("a[1-5/{long}]");
    assert_eq!(
        HostSet::parse(&none).expect("a huge step").to_string(),
        "a1"
    );
    let deep = "a1".repeat(1 << 19);
    assert_eq!(
        HostSet::parse(&deep).expect("a long name").to_string(),
        deep
    );
}

#[derive(Debug)]
struct Groups(&'static str, &'static [(&'static str, &'static str)]);

impl GroupSource for Groups {
    fn name(&self) -> &str {
        self.0
    }

    fn map(&self, group: &str) -> Result<Option<String>> {
        let found = self.1.iter().find(|(name, _)| *name == group);
        Ok(found.map(|(_, members)| (*members).to_owned()))
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.1.iter().map(|(name, _)| (*name).to_owned()).collect())
    }
}

const ROLES: Groups = Groups(
    "role",
    &[
        ("web", "web[1-4]"),
        ("old", "web1\n db1 db2"),
        ("new", "@web!@old"),
        ("rack1", "n1"),
        ("rack2", "n2"),
    ],
);

fn read(context: &Context<'_>, text: &str) -> String {
    context.parse(text).expect(text).to_string()
}

fn refuse(context: &Context<'_>, text: &str) -> Error {
    context.parse(text).expect_err(text)
}

#[test]
fn groups_are_found_by_source_and_by_default() {
    let zones = Groups("zone", &[("a", "web[1-2],@b"), ("b", "@role:old")]);
    let context = Context::new().default_source(&ROLES).source(&zones);
    assert_eq!(read(&context, "@new"), "web[2-4]");
    assert_eq!(read(&context, "@zone:a!@role:old"), "web2");
    assert_eq!(read(&context, "@rack[1-2],@zone:b"), "db[1-2],n[1-2],web1");
    assert_eq!(read(&context, "@*"), "db[1-2],n[1-2],web[1-4]");
    assert_eq!(read(&context, "@zone:*"), "db[1-2],web[1-2]");
    assert_eq!(read(&context, "@@zone"), "a,b");
    assert_eq!(read(&context, "*[1-2]!web*,n?"), "db[1-2],n[1-2]");
    assert_eq!(
        context.groups_of(&zones, "db2").expect("groups"),
        ["a", "b"]
    );
}

#[test]
fn group_errors_point_at_the_group() {
    let broken = Groups(
        "x",
        &[
            ("a", "@b"),
            ("b", "n1,@c"),
            ("c", "@a"),
            ("d", "n[1-"),
            ("e", "@none"),
        ],
    );
    let twin = Groups("role", &[("web", "w1")]);
    let context = Context::new().source(&ROLES).source(&twin).source(&broken);
    for (text, kind, column, parts) in [
        (
            "n1,@x:a",
            ErrorKind::UnknownGroup,
            4,
            ["@x:a > @x:b > @x:c > @x:a", ""],
        ),
        ("@x:d", ErrorKind::Syntax, 1, ["`n[1-`", "column 2"]),
        (
            "ü!@x:e",
            ErrorKind::UnknownGroup,
            3,
            ["`@x:e`", "`@x:none`"],
        ),
        ("@role:web", ErrorKind::Ambiguous, 1, ["`role`", "both"]),
        ("@y:web", ErrorKind::UnknownGroup, 1, ["`y`", "x"]),
        ("@web", ErrorKind::UnknownGroup, 1, ["@source:group", ""]),
        ("@", ErrorKind::Syntax, 1, ["name of a group", ""]),
        ("web*", ErrorKind::UnknownGroup, 1, ["known hosts", ""]),
    ] {
        let error = refuse(&context, text);
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(
            error.place().and_then(|place| place.column),
            Some(column),
            "{error}"
        );
        assert!(
            parts.iter().all(|part| error.message().contains(part)),
            "{error}"
        );
    }
}

#[test]
fn groups_inside_groups_end_somewhere() {
    #[derive(Debug)]
    struct Deeper;

    impl GroupSource for Deeper {
        fn name(&self) -> &str {
            "deep"
        }

        fn map(&self, group: &str) -> Result<Option<String>> {
            Ok(Some(format!("@{group}x,@{group}x")))
        }

        fn list(&self) -> Result<Vec<String>> {
            Ok(Vec::new())
        }
    }

    let error = refuse(&Context::new().source(&Deeper), "@deep:a");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().len() < 1000, "{error}");
}

#[test]
fn syntax_errors_point_at_the_column() {
    for (text, column) in [
        ("web[1-", 4),
        ("web]", 4),
        ("a,,b", 2),
        ("a,", 2),
        (",a", 1),
        ("a!&b", 2),
        ("a b", 2),
        ("web[]", 5),
        ("web[1,]", 7),
        ("web[1,x-2]", 7),
        ("web[5-1]", 5),
        ("web[01-100]", 5),
        ("web[1-5/0]", 5),
        ("web[1-5/x]", 5),
        ("web[7/2]", 5),
        ("web[-05]", 5),
        ("web[1-2][3-4]", 9),
        ("web[1-2]0[3-4]", 10),
        ("[1:2:3]", 2),
        ("é[1-", 2),
        ("\"a", 1),
        ("a\u{7}", 2),
    ] {
        let error = refuse(&Context::new(), text);
        assert_eq!(error.kind(), ErrorKind::Syntax, "{error}");
        assert_eq!(
            error.place().and_then(|place| place.column),
            Some(column),
            "{text}: {error}"
        );
    }
}

#[test]
fn digits_beside_brackets_belong_to_the_numbers() {
    for (text, folded) in [
        ("a1[8-12]", "a[18-19,110-112]"),
        ("a[1-3]0", "a[10,20,30]"),
        ("a0[8-10/2]5", "a[085,0105]"),
        ("t[-2-2]", "t[-2-2]"),
        ("t[-1-0]-x,t-[5,8-12]-x", "t[-12--8,-5,-1-0]-x"),
        ("t-1,t0,t-01,t--1,t-0", "t[-1-0],t-[-1-0,01]"),
        ("t[-3--1],t[1-2]", "t[1-2],t-[1-3]"),
        ("a[1-2]b3[4-5]", "a[1-2]b[34-35]"),
        (
            "12345678901234567890[1-2]",
            "123456789012345678901,123456789012345678902",
        ),
        ("[fe80::1]:[22-23]", "[fe80::1]:[22-23]"),
        ("u@web[1-2]:22", "u@web[1-2]:22"),
        ("\"a b\"[1-2]", "\"a b\"[1-2]"),
    ] {
        assert_eq!(read(&Context::new(), text), folded);
    }
}
