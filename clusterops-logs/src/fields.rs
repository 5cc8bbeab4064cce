//! In which fields documents have what people look for: one table of each, for all that look.
//!
//! The likeliest stand first. [`render`](crate::render) documents them.

/// When it happened.
pub(crate) const TIMES: &[&str] = &["@timestamp", "timestamp", "time", "ts", "@t", "datetime"];

/// How bad it is.
pub(crate) const LEVELS: &[&str] = &[
    "log.level",
    "level",
    "severity",
    "loglevel",
    "log_level",
    "severity_text",
    "severityText",
    "levelname",
    "level_name",
    "lvl",
    "@l",
    "log.syslog.severity.name",
    "PRIORITY",
];

/// The machine.
pub(crate) const HOSTS: &[&str] = &[
    "host.name",
    "host.hostname",
    "host",
    "hostname",
    "agent.hostname",
    "beat.hostname",
    "kubernetes.node.name",
    "kubernetes.host",
    "kubernetes.node_name",
    "logsource",
    "@source_host",
    "syslog_hostname",
    "_HOSTNAME",
    "host.ip",
];

/// The program.
pub(crate) const SERVICES: &[&str] = &[
    "service.name",
    "service",
    "app",
    "application",
    "systemd.unit",
    "kubernetes.container.name",
    "kubernetes.container_name",
    "kubernetes.labels.app",
    "container.name",
    "container_name",
    "process.name",
    "program",
    "SYSLOG_IDENTIFIER",
];

/// The container, of which a machine has several.
pub(crate) const CONTAINERS: &[&str] = &[
    "container.id",
    "kubernetes.pod.uid",
    "kubernetes.pod.name",
    "container.name",
];

/// What happened.
pub(crate) const MESSAGES: &[&str] = &[
    "message",
    "msg",
    "@message",
    "log",
    "body.text",
    "body",
    "@m",
    "short_message",
    "full_message",
    "MESSAGE",
    "event.original",
    "log.original",
    "error.message",
];

/// A type with its article, for messages: "a `long`", "an `integer`".
pub(crate) fn with_article(kind: &str) -> String {
    let article = match kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => "an",
        false => "a",
    };
    format!("{article} `{kind}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_documented_in_their_order() {
        let shown = include_str!("render/mod.rs").replace("\n//!   ", " ");
        for (what, names) in [
            ("time", TIMES),
            ("level", LEVELS),
            ("host", HOSTS),
            ("service", SERVICES),
            ("container", CONTAINERS),
            ("message", MESSAGES),
        ] {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let row = format!("//! - {what}: {}", names.join(", "));
            assert!(shown.contains(&row), "{row}");
        }
    }
}
