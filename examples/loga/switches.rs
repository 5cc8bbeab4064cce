//! The flags: our own, and Logasaurus's.

use crate::command_line::{Subcommand, Switch, described};

pub(crate) const DEFINE: Switch = also(
    "--define",
    &["-d"],
    "QUERY",
    "a query in Lucene's syntax; it is followed, as Logasaurus did",
);
pub(crate) const SERVICE: Switch = also(
    "--service",
    &["-s"],
    "NAME",
    "the query of this name in the configuration; it is followed",
);
pub(crate) const LUCENE: Switch = Switch::of("--lucene", "QUERY", "a query in Lucene's syntax");
pub(crate) const KQL: Switch = Switch::of("--kql", "QUERY", "a query in Kibana's language");
pub(crate) const EXCLUDE: Switch = Switch::many(
    "--exclude",
    "QUERY",
    "leaves out what this finds, in the same language",
);
pub(crate) const CONFIG: Switch = also(
    "--config",
    &["-c"],
    "FILE",
    "the configuration (./loga.yaml, else ~/.loga/config.yaml)",
);
pub(crate) const HOST: Switch = also(
    "--elasticsearch",
    &["-e"],
    "URL",
    "the server, with or without https://, or several nodes of it, separated by commas (127.0.0.1)",
);
pub(crate) const PORT: Switch = also(
    "--port",
    &["-p"],
    "PORT",
    "its port, where the URL has none (9200)",
);
pub(crate) const CLUSTER: Switch = Switch::many(
    "--cluster",
    "NAME=URL",
    "a cluster, its nodes separated by commas; may be repeated, for several at once",
);
pub(crate) const INDEX: Switch = also(
    "--index",
    &["-in"],
    "INDEX",
    "indices, patterns, data streams, aliases, separated by commas (logstash-*)",
);
pub(crate) const START: Switch = also(
    "--start-time",
    &["-st"],
    "MINUTES",
    "begins so many minutes earlier",
);
pub(crate) const DEPTH: Switch = also(
    "--sync-depth",
    &["-sd"],
    "MINUTES",
    "how far back to go at first (10)",
);
pub(crate) const INTERVAL: Switch = also(
    "--sync-interval",
    &["-si"],
    "SECONDS",
    "how often to ask for more (1)",
);
pub(crate) const OVERLAP: Switch = Switch::of(
    "--overlap",
    "SECONDS",
    "how far back to look again for what comes late, where a cluster shows no checkpoints and is followed by time (60)",
);
pub(crate) const COUNT: Switch = also(
    "--count",
    &["-co"],
    "LINES",
    "this many lines at most, the oldest (all); with --context the newest (500); with --top this many values (10); where \
     they are followed, so many at once, about (5000)",
);
pub(crate) const SINCE: Switch = Switch::of(
    "--since",
    "TIME",
    "from when on: 15m, 2h, 3d, 2026-01-02, 2026-01-02T03:04:05Z",
);
pub(crate) const UNTIL: Switch = Switch::of("--until", "TIME", "until when, not included");
pub(crate) const FOLLOW: Switch =
    Switch::flag("--follow", "goes on with what is written from now on");
pub(crate) const ONCE: Switch = Switch::flag("--no-follow", "ends with what is there");
pub(crate) const STATE: Switch = Switch::of(
    "--state",
    "FILE",
    "keeps there how far it was followed, and goes on from there where it exists",
);
pub(crate) const RESUME: Switch = Switch::of(
    "--resume",
    "FILE",
    "as --state, with a file that must exist",
);
pub(crate) const CONTEXT: Switch = also(
    "--context",
    &["-C"],
    "LINES",
    "so many lines before and after each, of the same host; what was found has a `:` before it, and what is around it a `-`",
);
pub(crate) const BEFORE: Switch = also("--before", &["-B"], "LINES", "so many lines before each");
pub(crate) const AFTER: Switch = also("--after", &["-A"], "LINES", "so many lines after each");
pub(crate) const COUNT_ONLY: Switch = Switch::flag("--count-only", "how many there are");
pub(crate) const HISTOGRAM: Switch = Switch::flag("--histogram", "how many there are, over time");
pub(crate) const TOP: Switch =
    Switch::of("--top", "FIELD", "the values of a field that are frequent");
pub(crate) const OUTPUT: Switch = Switch::of(
    "--output",
    "FORM",
    "text, message (what -d and -s give), json, or template={{host}} {{message}}",
);
pub(crate) const COLOUR: Switch = Switch::of("--color", "WHEN", "auto, always or never");
pub(crate) const TIME_ZONE: Switch = Switch::of(
    "--time-zone",
    "ZONE",
    "UTC, a name such as Europe/Berlin, or an offset such as +02:00 (the system's)",
);
pub(crate) const HIGHLIGHT: Switch = flag(
    "--highlight",
    &["-hl"],
    "marks what matched, where there are colours",
);
pub(crate) const H: Switch = flag(
    "-h",
    &[],
    "as --highlight; with a configuration that has `define:`, shows hosts",
);
pub(crate) const VERBOSE: Switch = flag("--verbose", &["-v"], "says what is asked of whom");
pub(crate) const PRINT: Switch = Switch::flag(
    "--print-query",
    "shows the first search for lines and looks for none; --kql asks for the types of fields",
);
pub(crate) const USER: Switch = Switch::many(
    "--user",
    "[CLUSTER=]NAME",
    "who we are, everywhere or at a cluster; the password is in LOGA_PASSWORD_CLUSTER or LOGA_PASSWORD, or asked for",
);
pub(crate) const API_KEY: Switch = Switch::many(
    "--api-key-env",
    "[CLUSTER=]VARIABLE",
    "the variable of the environment that has an API key",
);
pub(crate) const BEARER: Switch = Switch::many(
    "--bearer-env",
    "[CLUSTER=]VARIABLE",
    "the variable of the environment that has a bearer token",
);
pub(crate) const CA: Switch = Switch::many(
    "--ca",
    "FILE",
    "who signed the server's certificate, in PEM (whom the system trusts)",
);
pub(crate) const CERT: Switch =
    Switch::of("--cert", "FILE", "our certificate, in PEM; needs --key");
pub(crate) const KEY: Switch = Switch::of("--key", "FILE", "its key");
pub(crate) const PLAIN: Switch =
    Switch::flag("--danger-plain-http", "sends credentials over http:// too");
pub(crate) const VERSION: Switch = flag("--version", &["-version", "-V"], "says the version");

pub(crate) const LOGA: Subcommand = Subcommand {
    name: "",
    // They are refused with more to say than that there are some.
    words: "[WORD...]",
    about: "shows and follows logs",
    options: &[
        &DEFINE,
        &SERVICE,
        &LUCENE,
        &KQL,
        &EXCLUDE,
        &CONFIG,
        &HOST,
        &PORT,
        &CLUSTER,
        &INDEX,
        &SINCE,
        &UNTIL,
        &FOLLOW,
        &ONCE,
        &START,
        &DEPTH,
        &INTERVAL,
        &OVERLAP,
        &COUNT,
        &STATE,
        &RESUME,
        &CONTEXT,
        &BEFORE,
        &AFTER,
        &COUNT_ONLY,
        &HISTOGRAM,
        &TOP,
        &OUTPUT,
        &COLOUR,
        &TIME_ZONE,
        &HIGHLIGHT,
        &H,
        &USER,
        &API_KEY,
        &BEARER,
        &CA,
        &CERT,
        &KEY,
        &PLAIN,
        &PRINT,
        &VERBOSE,
        &VERSION,
    ],
};

/// What `loga help` says.
pub(crate) fn help() -> String {
    format!(
        "Usage: loga [OPTION...]\n\nShows and follows logs in OpenSearch and Elasticsearch. One of -d, -s, --lucene and --kql says \
         which.\n\n{}",
        described(LOGA.options)
    )
}

const fn also(
    name: &'static str,
    also: &'static [&'static str],
    value: &'static str,
    about: &'static str,
) -> Switch {
    Switch {
        also,
        ..Switch::of(name, value, about)
    }
}

const fn flag(name: &'static str, also: &'static [&'static str], about: &'static str) -> Switch {
    Switch {
        also,
        is_switchable: true,
        ..Switch::flag(name, about)
    }
}
