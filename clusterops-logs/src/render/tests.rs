use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn hit(source: &Value) -> Hit {
    serde_json::from_value(json!({"_index": "logs", "_id": "1", "_source": source}))
        .or_else(|_| {
            // A raw value is not read from a tree.
            serde_json::from_str(&format!(
                r#"{{"_index": "logs", "_id": "1", "_source": {source}}}"#
            ))
        })
        .expect("a hit")
}

fn shown(source: Value) -> String {
    Renderer::new().render(&hit(&source))
}

#[test]
fn the_shapes_of_the_field_are_read() {
    for (source, expected) in [
        // ECS, nested and dotted.
        (
            json!({"@timestamp": "2026-01-02T03:04:05Z", "log": {"level": "warn", "original": "o"},
                "host": {"name": "h", "ip": ["1.2.3.4"]}, "service": {"name": "s"}, "message": "m"}),
            "2026-01-02T03:04:05.000Z h s WARN m",
        ),
        (
            json!({"@timestamp": "2026-01-02T03:04:05Z", "log.level": "warn", "host.hostname": "h",
                "service.name": "s", "message": "m"}),
            "2026-01-02T03:04:05.000Z h s WARN m",
        ),
        // logstash.
        (
            json!({"@timestamp": "2026-01-02T03:04:05Z", "@version": "1", "host": "h", "level": "ERROR",
                "program": "nginx", "message": "m"}),
            "2026-01-02T03:04:05.000Z h nginx ERROR m",
        ),
        // Plain: bunyan, zap, docker, journald, OpenTelemetry.
        (
            json!({"time": "2026-01-02T03:04:05Z", "hostname": "h", "app": "a", "level": 30, "msg": "m"}),
            "2026-01-02T03:04:05.000Z h a INFO m",
        ),
        (
            json!({"ts": 1_767_323_045.5, "severity": "I", "msg": "m"}),
            "2026-01-02T03:04:05.500Z I m",
        ),
        (
            json!({"kubernetes": {"container": {"name": "c"}, "node": {"name": "n"}}, "log": "m\n"}),
            "n c m",
        ),
        (
            json!({"_HOSTNAME": "h", "SYSLOG_IDENTIFIER": "sshd", "PRIORITY": "3", "MESSAGE": "m"}),
            "h sshd ERROR m",
        ),
        (
            json!({"body": {"text": "m"}, "severity_text": "FATAL"}),
            "FATAL m",
        ),
        // Only what something else would be made of.
        (
            json!({"event": {"original": "e"}, "error": {"message": "x"}}),
            "e",
        ),
        (json!({"log.original": "l"}), "l"),
        (json!({"error.message": "x"}), "x"),
        (json!({"message": "", "msg": "m"}), "m"),
        (json!({"message": {"a": 1}, "msg": "m"}), "m"),
        (json!({"message": ["a", "b"]}), "a, b"),
        (json!({"message": 5, "host": ["a", "b"]}), "a, b 5"),
        (
            json!({"timestamp": "yesterday", "message": "m"}),
            "yesterday m",
        ),
        (json!({"a": 1, "b": "x y"}), r#"{"a":1,"b":"x y"}"#),
        (json!({}), "{}"),
    ] {
        assert_eq!(shown(source.clone()), expected, "{source}");
    }
}

#[test]
fn without_a_document_the_fields_are_read() {
    let hit: Hit = serde_json::from_str(
        r#"{"_index": "logs", "fields": {"@timestamp": ["2026-01-02T03:04:05Z"], "host.name": ["h"], "message": ["m"]}}"#,
    )
    .expect("a hit");
    assert_eq!(Renderer::new().render(&hit), "2026-01-02T03:04:05.000Z h m");
}

#[test]
fn nothing_of_a_log_acts_on_a_terminal() {
    let evil = "a\u{1b}]0;owned\u{7}\u{9b}2J\r\u{202e}b\tc\nd";
    let source = json!({"@timestamp": evil, "host": evil, "app": evil, "level": evil, "message": evil, "x": evil});
    let template = Template::new("{{@timestamp}} {{host}} {{level}} {{message}} {{x}} {{nope}}");
    let formats = [Format::Text, Format::Json, Format::Template(template)];
    for format in formats {
        let renderer = Renderer::new().format(format);
        let text =
            renderer.render_from(&hit(&source), Origin::default().cluster(evil).remark(evil));
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\t' || c == '\u{202e}'),
            "{text:?}"
        );
    }
}

#[test]
fn several_lines_are_one_until_asked_for() {
    let source = json!({"message": "Exception\r\n\tat a\n\n\tat b\n"});
    assert_eq!(shown(source.clone()), "Exception\\r\\n\tat a\\n\\n\tat b");
    let renderer = Renderer::new().several_lines(true);
    assert_eq!(
        renderer.render(&hit(&source)),
        "Exception\n    \tat a\n    \n    \tat b"
    );
}

#[test]
fn what_the_server_matched_is_coloured() {
    let mut hit =
        hit(&json!({"level": "error", "host": "web-1", "message": "* took:[1000 error\n"}));
    let mark = |text: &str| vec![text.replace('<', "\u{10fff0}").replace('>', "\u{10fff1}")];
    hit.highlight
        .insert("message".into(), mark("* took:[<1000> error\n"));
    hit.highlight
        .insert("message.keyword".into(), mark("* took:[1000 <error\n>"));
    hit.highlight.insert("host".into(), mark("<web>-1"));
    hit.highlight.insert("level".into(), mark("<error>"));
    let plain = Renderer::new();
    assert_eq!(plain.render(&hit), "web-1 ERROR * took:[1000 error");
    assert_eq!(
        plain.colours(true).render(&hit).replace('\u{1b}', "^"),
        "^[1;33mweb^[0m^[36m-1^[0m ^[1;33mERROR^[0m * took:[^[1;33m1000^[0m ^[1;33merror^[0m"
    );
}

#[test]
fn templates_say_what_they_are_told() {
    let source = json!({"@timestamp": "2026-01-02T03:04:05Z", "host": "h", "a": {"b": [1, 2]}, "msg": "m\n"});
    for (template, expected) in [
        (
            "{{time}}|{{@timestamp}}",
            "2026-01-02T03:04:05.000Z|2026-01-02T03:04:05Z",
        ),
        (
            "{{host}} {{host.name}} {{a.b}}{{a}}",
            r#"h - 1, 2{"b":[1,2]}"#,
        ),
        (r"{{_index}}\t{{_id}}", "logs\t1"),
        // Braces that are no name stay as they are, and one more opens a name.
        (
            "{{{{message}} {{message}} {{{message}}} }}",
            "{{message}} m {m} }}",
        ),
        (
            "{{.Names}} {{ host }} {{}} {{a b}} {{9}} {Name} ä {{host",
            "{{.Names}} {{ host }} {{}} {{a b}} {{9}} {Name} ä {{host",
        ),
        ("{{{{ host }} {{{{host}}", "{{{{ host }} {{host}}"),
        ("{{cluster}}", "-"),
        ("", ""),
    ] {
        let template = Format::Template(template.into());
        let renderer = Renderer::new().format(template.clone());
        assert_eq!(renderer.render(&hit(&source)), expected, "{template:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("message".to_owned()),
        Just("@timestamp".to_owned()),
        Just("time".to_owned()),
        Just("host".to_owned()),
        Just("name".to_owned()),
        Just("host.name".to_owned()),
        Just("log".to_owned()),
        Just("level".to_owned()),
        Just("log.level".to_owned()),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.,]?[0-9]{0,12}(Z|\\+[0-9]{2}:?[0-9]{2})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_panics_or_makes_two_lines(source in any_json(), fragment in any::<String>(), colours in any::<bool>()) {
        let mut hit = hit(&source);
        let message = Line::of(&hit).message.text().to_owned();
        let cut = message.char_indices().nth(2).map_or(0, |(at, _)| at);
        let marked = format!("{}\u{10fff0}{}\u{10fff1}", &message[..cut], &message[cut..]);
        hit.highlight.insert("message".into(), vec![fragment, marked]);
        let template = Template::new("{{@timestamp}} {{host.name}} {{time}} {{log.level}} {{message}}");
        for format in [Format::Text, Format::Json, Format::Template(template)] {
            let is_json = matches!(format, Format::Json);
            let text = Renderer::new().format(format).colours(colours).render(&hit);
            prop_assert!(!text.contains('\n'));
            if is_json {
                let read: Value = serde_json::from_str(&text).expect("JSON");
                // Of a number the last digit may be another, once it is read.
                let same: Value = serde_json::from_str(&source.to_string()).expect("JSON");
                prop_assert_eq!(&read["_source"], &same);
            }
        }
    }

    #[test]
    fn no_text_of_a_template_panics(text in "([{}a. \\\\t]|\\PC){0,30}") {
        let template = Template::new(&text);
        prop_assert!(template.names().all(|name| text.contains(name)));
    }
}
