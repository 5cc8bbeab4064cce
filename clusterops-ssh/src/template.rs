//! `{{name}}` in the words, paths and environment of a plan.

use clusterops_core::{Printable, Target, did_you_mean};

use crate::{Error, ErrorKind, Result};

/// Replaces each `{{name}}` by the target's variable.
///
/// A name is `[A-Za-z_][A-Za-z0-9_]*`; besides the variables there are `host` (the target's name) and `address`, unless
/// a variable has that name. `{{{{name}}` writes `{{name}}`; all other braces stand for themselves.
///
/// # Errors
/// [`ErrorKind::Plan`] when the target has no such variable.
pub(crate) fn fill(text: &str, target: &Target) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(literal) = rest
            .strip_prefix("{{")
            .filter(|inner| placeholder(inner).is_some())
        {
            let (_, after) = placeholder(literal).unwrap_or_default();
            filled.push_str(&literal[..literal.len() - after.len()]);
            rest = after;
        } else if let Some((name, after)) = placeholder(rest) {
            filled.push_str(value(name, target)?);
            rest = after;
        } else {
            // One brace only: in `{{{name}}` the placeholder starts at the second.
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A `{{name}}` at the start of the text: the name, and the text behind it. Looks no further than the name goes.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("{{")?;
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (name, after) = inner.split_at(end);
    is_name(name).then_some((name, after.strip_prefix("}}")?))
}

/// Whether this is a name for a variable, here and in a POSIX environment.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// How many of a host's variables an error lists.
const MOST_NAMED: usize = 12;

fn value<'a>(name: &str, target: &'a Target) -> Result<&'a str> {
    match (target.variables.get(name), name) {
        (Some(value), _) => Ok(value),
        (None, "host") => Ok(&target.name),
        (None, "address") => Ok(&target.address),
        (None, _) => {
            let names = target.variables.iter().map(|(name, _)| name);
            let known: Vec<_> = names.chain(["host", "address"]).collect();
            let mut hint = did_you_mean(name, known.iter().copied());
            if hint.is_empty() {
                let more = match known.len().saturating_sub(MOST_NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let named = &known[..known.len().min(MOST_NAMED)];
                hint = format!(" (this host has: {}{more})", named.join(", "));
            }
            let message = format!("no variable `{name}`{}", Printable(&hint));
            Err(Error::new(ErrorKind::Plan, message).on(&target.name))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str) -> String {
        let mut target = Target::new("web1", "10.0.0.1");
        target.variables.insert("zone", "a {{x}}");
        fill(text, &target).expect(text)
    }

    #[test]
    fn names_are_replaced_and_other_braces_stay() {
        assert_eq!(filled("z={{zone}};"), "z=a {{x}};");
        assert_eq!(filled("{{host}}/{{address}}"), "web1/10.0.0.1");
        assert_eq!(
            filled("docker ps --format {{.Names}}"),
            "docker ps --format {{.Names}}"
        );
        assert_eq!(
            filled("{{ zone }} {{}} {{1a}} {a} }} {{"),
            "{{ zone }} {{}} {{1a}} {a} }} {{"
        );
        assert_eq!(filled("{{{{zone}}"), "{{zone}}");
        assert_eq!(filled("{{{{.Names}}"), "{{{{.Names}}");
        assert_eq!(filled("{{{host}}}"), "{web1}");
    }

    #[test]
    fn an_unknown_variable_names_host_and_choices() {
        let error = fill("{{zone}}", &Target::new("web1", "a")).expect_err("no such variable");
        assert_eq!(
            error.to_string(),
            "web1: no variable `zone` (this host has: host, address)"
        );
        let mut target = Target::new("web1", "a");
        for number in 10..40 {
            target.variables.insert(format!("v{number}"), "");
        }
        target.variables.insert("a\u{1b}", "");
        let message = |text| fill(text, &target).expect_err(text).to_string();
        assert_eq!(
            message("{{hots}}"),
            "web1: no variable `hots`; did you mean `host`?"
        );
        assert_eq!(
            message("{{zone}}"),
            r"web1: no variable `zone` (this host has: a\u{1b}, v10, v11, v12, v13, v14, v15, v16, v17, v18, v19, v20 and 21 more)"
        );
    }

    proptest! {
        #[test]
        fn text_without_placeholders_is_unchanged(text in "[a-z{} .]{0,40}") {
            let target = Target::new("h", "a");
            if let Ok(out) = fill(&text, &target)
                && !text.contains("{{host}}") && !text.contains("{{address}}") && !text.contains("{{{{")
            {
                prop_assert_eq!(out, text);
            }
        }
    }
}
