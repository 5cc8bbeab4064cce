//! Configurations and command lines, and what is wrong with them.

use super::{LOGA_YAML, folder, run};

#[test]
fn what_is_wrong_says_where_and_what_to_do() {
    let define = include_str!("data/config-0.0.12.yaml");
    for (yaml, line, code, why) in [
        (
            LOGA_YAML,
            "-s nope",
            2,
            "loga.yaml defines no query `nope`; there are nginx, slow;",
        ),
        (LOGA_YAML, "-s ngnix", 2, "did you mean `nginx`?"),
        (define, "-s nope", 2, "there are nginx, slow"),
        (
            LOGA_YAML,
            "",
            2,
            "-d QUERY, -s NAME, --lucene QUERY or --kql QUERY says what to look for",
        ),
        (
            LOGA_YAML,
            "-d a --kql b",
            2,
            "--define and --kql are two queries",
        ),
        (
            LOGA_YAML,
            "-d a --histogram --output json",
            2,
            "--output says how lines are shown, and --histogram shows none",
        ),
        (
            LOGA_YAML,
            "-d a --count-only --count 3",
            2,
            "--count says how many are shown at most, and --count-only shows no lines",
        ),
        (LOGA_YAML, "-d", 2, "--define needs a value"),
        (
            LOGA_YAML,
            "-d a -co ten",
            2,
            "--count takes a whole number, not `ten`",
        ),
        (
            LOGA_YAML,
            "-d a -frob",
            2,
            "loga: there is no option -frob;",
        ),
        (LOGA_YAML, "-d a --sinec 1h", 2, "did you mean `--since`?"),
        (
            LOGA_YAML,
            "-d level:error AND nginx",
            2,
            "loga: 2 words belong to no option; a query of several words is quoted",
        ),
        (LOGA_YAML, "-d a nginx", 2, "1 word belongs to no option"),
        // An empty name would be every index.
        (LOGA_YAML, "-d a --index logs,", 2, "--index: column 6: "),
        (LOGA_YAML, "-d a -h=maybe", 2, "-h takes no value"),
        (
            LOGA_YAML,
            "-d a --follow --until now",
            2,
            "--follow goes on without an end",
        ),
        (LOGA_YAML, "-d a --until 3h", 2, "--until is not later"),
        (
            LOGA_YAML,
            "-d a --since soon",
            2,
            "--since: `soon` is no time",
        ),
        (
            LOGA_YAML,
            "-d a --top x --histogram",
            2,
            "are two questions",
        ),
        (LOGA_YAML, "-d a --output xml", 2, "--output takes text"),
        (
            LOGA_YAML,
            "-d a --output template={{x",
            2,
            "the template `{{x` names no field",
        ),
        (
            LOGA_YAML,
            "-d a --time-zone Mars/North",
            2,
            "no time zone Mars/North",
        ),
        // Two dashes for one, and an offset for a zone.
        (
            LOGA_YAML,
            "--d a --in x --time-zone +02:00 --count 0",
            2,
            "--count takes 1 or more",
        ),
        (
            LOGA_YAML,
            "-d a --cluster eu",
            2,
            "--cluster takes NAME=URL",
        ),
        (
            LOGA_YAML,
            "-d a --user me --api-key-env X",
            2,
            "--user and --api-key-env",
        ),
        (
            LOGA_YAML,
            "-d a --cluster eu=h --user me --user eu=you --bearer-env eu=X",
            2,
            "--user and --bearer-env both say who we are; give one",
        ),
        (
            LOGA_YAML,
            "-d a --cluster eu-1=h --cluster EU.1=i",
            2,
            "the clusters eu-1 and EU.1 would share LOGA_PASSWORD_EU_1",
        ),
        (
            LOGA_YAML,
            "-d a --cluster eu=h --user ue=me",
            2,
            "--user: there is no cluster `ue`",
        ),
        (
            LOGA_YAML,
            "-d a --cluster eu=h --api-key-env eu=",
            2,
            "--api-key-env: the value is empty",
        ),
        (
            LOGA_YAML,
            "-d a --bearer-env NO_SUCH_VARIABLE",
            1,
            "the environment has no text in NO_SUCH_VARIABLE, which --bearer-env names",
        ),
        (
            LOGA_YAML,
            "--kql level:( --print-query",
            1,
            "loga: in `level:(`, column 8: ",
        ),
        (
            LOGA_YAML,
            "-d a --resume nope",
            1,
            "loga: nope: No such file or directory (os error 2); --state makes one",
        ),
        (
            LOGA_YAML,
            "-d a --resume loga.yaml",
            1,
            "loga.yaml: this is no file that --state has written",
        ),
        (
            LOGA_YAML,
            "-d a --cluster eu=[",
            1,
            "loga: the cluster eu: ",
        ),
        // `-c` is read in time.
        (LOGA_YAML, "-c foo.yaml -d error", 1, "foo.yaml: "),
        // Nothing is replaced silently.
        (
            "not a mapping\n",
            "-d error",
            1,
            "loga.yaml:1:1: a configuration is a mapping",
        ),
        ("count: [1\nx: 2\n", "-d error", 1, "loga.yaml:2:"),
        (
            "count: many\n",
            "-d error",
            1,
            "loga.yaml:1:8: count is a whole number, not `many`",
        ),
        (
            "count: 010\n",
            "-d error",
            1,
            "loga.yaml:1:8: count: `010` can be read in two ways; write `10`, or `0o10` for octal digits",
        ),
        (
            "sync_depth: 0x\n",
            "-d error",
            1,
            "loga.yaml:1:13: sync_depth is a whole number, not `0x`",
        ),
        (
            "more: {count: 1}\n<<: {count: 2}\n",
            "-d error",
            1,
            "loga.yaml:2:1: settings are not merged (`<<`) here",
        ),
        (
            "defined_queries:\n  <<: {a: x}\n",
            "-s a",
            1,
            "loga.yaml:2:3: queries are not merged (`<<`) here",
        ),
        (
            LOGA_YAML,
            "-d a -e host:99999",
            2,
            "loga: -e: `host:99999`: the port is a number up to 65535, not `99999`",
        ),
        (
            LOGA_YAML,
            "-d a --cluster eu=https://host:99999",
            2,
            "loga: --cluster: eu: `https://host:99999`: the port",
        ),
        (
            LOGA_YAML,
            "-d a -e ho^st",
            1,
            "loga: `http://ho^st:9200` is no URL of a server",
        ),
        (
            "count: 1\ncount: 2\n",
            "-d error",
            1,
            "loga.yaml:2:1: `count` is given twice",
        ),
        (
            "defined_queries: [a]\n",
            "-d error",
            1,
            "loga.yaml:1:18: defined_queries has names and queries",
        ),
        (
            "defined_queries:\n  a: x\n  a: y\n",
            "-d error",
            1,
            "loga.yaml:3:3: the query `a` is given twice; keep one",
        ),
        (
            "define: {a: x}\ndefined_queries: {a: y}\n",
            "-d error",
            1,
            "loga.yaml:2:19: the query `a` is given twice",
        ),
        (
            "defined_queries:\n  a:\n  b: c\n",
            "-s a",
            1,
            "loga.yaml:2:",
        ),
        (
            "defined_queries: {a: ''}\n",
            "-s a",
            1,
            "loga.yaml:1:22: `a`: an empty query finds nothing; `*` finds everything",
        ),
        (
            LOGA_YAML,
            "-d=",
            2,
            "--define: an empty query finds nothing; `*` finds everything",
        ),
        (LOGA_YAML, "--lucene=", 2, "--lucene: an empty query"),
        (LOGA_YAML, "-d a --exclude=", 2, "--exclude: an empty query"),
        (
            LOGA_YAML,
            "-d a -e http://me:secret@es",
            2,
            "-e: no name and no password stand in a URL; --user says the name, and LOGA_PASSWORD has",
        ),
        (
            "elasticsearch_url: me:secret@es\n",
            "-d a",
            1,
            "loga.yaml:1:20: elasticsearch_url: no name and no password stand in a URL; --user",
        ),
        (
            LOGA_YAML,
            "-d a -e http://",
            2,
            "-e: `http://` names no host",
        ),
        (LOGA_YAML, "-d a -e es,,es2", 2, "-e: `` names no host"),
        (
            LOGA_YAML,
            "-d a --cluster eu=https://:9200",
            2,
            "--cluster: eu: `https://:9200` names no host",
        ),
        (
            "count: 1\nelasticsearch_port: 99999\n",
            "-d a",
            1,
            "loga.yaml:2:21: elasticsearch_port is a number up to 65535, not `99999`",
        ),
        (
            LOGA_YAML,
            "-d a -sd 4294967295",
            2,
            "--sync-depth: 4294967295 minutes ago is before the year 0",
        ),
        (
            LOGA_YAML,
            "-d a -st 4294967295",
            2,
            "--start-time: 4294967295 minutes ago",
        ),
        (
            "sync_depth: 4294967295\n",
            "-d a",
            1,
            "loga.yaml:1:13: sync_depth is 500000000 minutes at most, not `4294967295`",
        ),
        (
            LOGA_YAML,
            "-d a --since 999999d",
            2,
            "--since: `999999d` is before the year 0",
        ),
        (
            "highlight_query: 7\n",
            "-d error",
            1,
            "loga.yaml:1:18: highlight_query is true or false",
        ),
    ] {
        let folder = folder(&[("loga.yaml", yaml)]);
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let ran = run(folder.path(), &words);
        assert_eq!(ran.code, Some(code), "{line}: {}", ran.said);
        assert!(ran.said.contains(why), "{line}: {}", ran.said);
        assert_eq!(ran.printed, "", "{line}");
    }
}

#[test]
fn unknown_settings_are_told_and_nothing_else() {
    let folder = folder(&[("loga.yaml", "counts: 7\nelasticsearch_port: 9333\n")]);
    let ran = run(folder.path(), &["-d", "a", "--print-query"]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(
        ran.said
            .starts_with("loga.yaml:1:1: there is no setting `counts`; did you mean `count`?"),
        "{}",
        ran.said
    );
    assert!(
        ran.printed
            .starts_with("POST http://127.0.0.1:9333/logstash-*/_search\n"),
        "{}",
        ran.printed
    );
}

#[test]
fn nothing_is_written_where_there_is_no_configuration() {
    let folder = folder(&[]);
    let ran = run(
        folder.path(),
        &["-d", "a", "-e", "https://es.example.org", "--print-query"],
    );
    assert!(
        ran.printed
            .starts_with("POST https://es.example.org:9200/logstash-*/_search\n"),
        "{}",
        ran.printed
    );
    assert_eq!((ran.code, ran.said.as_str()), (Some(0), ""));
    assert_eq!(folder.path().read_dir().expect("ours").count(), 0);
}

#[test]
fn every_setting_counts_until_a_flag_says_otherwise() {
    let yaml = "defined_queries: {own: 'a:b'}\nsync_depth: 7\nstart_time: 3\ncount: 9\nelasticsearch_url: https://es\n\
                elasticsearch_port: 1\nelasticsearch_index: ''\nhighlight_query: true\n";
    let folder = folder(&[("sub/other.yaml", yaml)]);
    let ran = run(
        folder.path(),
        &[
            "-c",
            "sub/other.yaml",
            "-s",
            "own",
            "--print-query",
            "--color",
            "always",
        ],
    );
    for part in [
        "POST https://es:1/*/_search\n",
        "\"query\": \"a:b\"",
        "\"size\": 9",
        "\"highlight\"",
    ] {
        assert!(
            ran.printed.contains(part),
            "{part}: {}{}",
            ran.printed,
            ran.said
        );
    }
    for off in ["-h=false", "-hl=false", "--highlight=false"] {
        let words = [
            "-c",
            "sub/other.yaml",
            "-s",
            "own",
            "--print-query",
            "--color",
            "always",
            off,
            "-in",
            "x",
            "-co",
            "2",
        ];
        let ran = run(folder.path(), &words);
        assert!(!ran.printed.contains("highlight"), "{off}: {}", ran.printed);
        assert!(
            ran.printed.contains("/x/_search") && ran.printed.contains("\"size\": 2"),
            "{}",
            ran.printed
        );
    }
}

#[test]
fn booleans_are_spelled_as_yaml_1_1_has_it() {
    for (spelled, expected) in [
        (
            "true True TRUE yes Yes YES on On ON y Y ~ null Null NULL",
            true,
        ),
        ("false False FALSE no No NO off Off OFF n N", false),
    ] {
        for word in spelled.split(' ') {
            let folder = folder(&[("loga.yaml", &*format!("highlight_query: {word}\n"))]);
            let words = ["--lucene", "a", "--color", "always", "--print-query"];
            let ran = run(folder.path(), &words);
            assert_eq!((ran.code, &*ran.said), (Some(0), ""), "{word}");
            assert_eq!(ran.printed.contains("\"highlight\""), expected, "{word}");
        }
    }
}

#[test]
fn several_nodes_are_separated_by_commas() {
    let folder = folder(&[("loga.yaml", "elasticsearch_url: 'es-1, https://es-2:1'\n")]);
    for words in [&["-e", "es-1,https://es-2:1"][..], &[]] {
        let words = [&["--lucene", "a", "--print-query"], words].concat();
        let ran = run(folder.path(), &words);
        assert_eq!((ran.code, &*ran.said), (Some(0), ""), "{words:?}");
        assert!(
            ran.printed.starts_with("POST http://es-1:9200/"),
            "{}",
            ran.printed
        );
    }
}

#[test]
fn help_and_version_are_told() {
    let folder = folder(&[("loga.yaml", "broken: [")]);
    for (word, part) in [
        ("--help", "Usage: loga"),
        ("help", "-in, --index INDEX"),
        ("-version", "loga 0."),
        ("--version", "loga 0."),
    ] {
        let ran = run(folder.path(), &[word]);
        assert_eq!((ran.code, ran.said.as_str()), (Some(0), ""), "{word}");
        assert!(ran.printed.contains(part), "{word}: {}", ran.printed);
    }
}
