//! Every kind of query with every option.

use clusterops_logs::Query;
use clusterops_logs::kql::Kql;
use clusterops_logs::query::{
    BoostMode, DateMath, DateUnit, Decay, Fuzziness, InnerHits, Modifier, MultiMatchType,
    NestedScore, Operator, Relation, ScoreFunction, ScoreMode, ZeroTerms, escape_lucene,
};
use clusterops_logs::search::{FieldFormat, Highlight, Sort};
use serde_json::json;

use super::Construct;

pub(crate) fn all() -> Vec<Construct> {
    let mut constructs = Vec::new();
    let mut add =
        |name: &'static str, query: Query| constructs.push((name, query.to_json().unwrap()));
    add("match_all", Query::match_all());
    add("match_none", Query::match_none());
    add("raw", Query::raw(json!({"match_all": {"boost": 1.2}})));
    add("term", Query::term("level", "error").into());
    add(
        "term: options",
        Query::term("level", "ERROR")
            .case_insensitive(true)
            .boost(2.0)
            .name("t")
            .into(),
    );
    add("term: network", Query::term("host.ip", "10.0.0.0/8").into());
    add(
        "terms",
        Query::terms("took", [20, 300]).boost(1.5).name("t").into(),
    );
    add("terms: none", Query::terms("took", [0; 0]).into());
    add("terms: the most", Query::terms("took", 0..65_536).into());
    add("exists", Query::exists("host.*").boost(2.0).into());
    add(
        "prefix",
        Query::prefix("level", "ER")
            .case_insensitive(true)
            .rewrite("constant_score")
            .into(),
    );
    add(
        "wildcard",
        Query::wildcard("level", "*r?o*")
            .case_insensitive(true)
            .rewrite("scoring_boolean")
            .into(),
    );
    add(
        "regexp",
        Query::regexp("level", "e[r]+or")
            .flags("INTERSECTION|COMPLEMENT")
            .case_insensitive(false)
            .max_determinized_states(100)
            .rewrite("top_terms_10")
            .into(),
    );
    add(
        "fuzzy",
        Query::fuzzy("level", "eror")
            .fuzziness(Fuzziness::Auto)
            .max_expansions(5)
            .prefix_length(1)
            .transpositions(false)
            .rewrite("constant_score")
            .into(),
    );
    add(
        "fuzzy: lengths",
        Query::fuzzy("level", "eror")
            .fuzziness(Fuzziness::AutoFrom(2, 4))
            .into(),
    );
    add("ids", Query::ids(["1", "2"]).boost(3.0).into());
    add(
        "range: numbers",
        Query::range("took").gt(1).lte(5000_u64).boost(2.0).into(),
    );
    add(
        "range: dates",
        Query::range("@timestamp")
            .gte("now-15m/m")
            .lt("now/d")
            .time_zone("+01:00")
            .into(),
    );
    add(
        "range: format",
        Query::range("@timestamp")
            .gte("01/05/2024")
            .format("dd/MM/yyyy")
            .time_zone("Europe/Berlin")
            .into(),
    );
    add(
        "range: anchor",
        Query::range("@timestamp").lt("2024-05-01||+1M/d").into(),
    );
    let every_unit = [
        DateUnit::Year,
        DateUnit::Month,
        DateUnit::Week,
        DateUnit::Day,
        DateUnit::Hour,
        DateUnit::Minute,
        DateUnit::Second,
    ];
    let math = every_unit.into_iter().fold(DateMath::now(), |math, unit| {
        math.plus(1, unit).minus(2, unit).round(unit)
    });
    let anchor = DateMath::at(clusterops_logs::jiff::Timestamp::UNIX_EPOCH);
    add(
        "range: date math",
        Query::range("@timestamp")
            .gte(anchor.plus(1, DateUnit::Month).round(DateUnit::Day))
            .lt(math)
            .into(),
    );
    add(
        "range: instants",
        Query::range("nanos")
            .gt(clusterops_logs::jiff::Timestamp::UNIX_EPOCH)
            .lt(clusterops_logs::jiff::civil::date(2030, 1, 1).at(1, 2, 3, 4))
            .into(),
    );
    add(
        "range: addresses",
        Query::range("host.ip")
            .gte(std::net::Ipv4Addr::new(10, 0, 0, 1))
            .into(),
    );
    for (name, relation) in [
        ("range: intersects", Relation::Intersects),
        ("range: contains", Relation::Contains),
        ("range: within", Relation::Within),
    ] {
        add(
            name,
            Query::range("downtime")
                .gte("2024-05-01")
                .lte("now")
                .relation(relation)
                .into(),
        );
    }
    add("match", Query::matches("message", "connection").into());
    add(
        "match: options",
        Query::matches("message", "conection refused")
            .operator(Operator::And)
            .minimum_should_match("2<-25% 9<-3")
            .fuzziness(Fuzziness::One)
            .prefix_length(1)
            .max_expansions(10)
            .lenient(true)
            .zero_terms(ZeroTerms::All)
            .analyzer("standard")
            .boost(1.1)
            .name("m")
            .into(),
    );
    add("match: number", Query::matches("took", 20).into());
    add("match: truth", Query::matches("ok", true).into());
    add(
        "match_phrase",
        Query::match_phrase("message", "memory out")
            .slop(2)
            .zero_terms(ZeroTerms::None)
            .analyzer("standard")
            .into(),
    );
    add(
        "match_phrase_prefix",
        Query::match_phrase_prefix("message", "out of mem")
            .slop(1)
            .max_expansions(5)
            .analyzer("standard")
            .into(),
    );
    add(
        "match_bool_prefix",
        Query::match_bool_prefix("message", "memory ou")
            .operator(Operator::Or)
            .minimum_should_match(1)
            .fuzziness(Fuzziness::Two)
            .prefix_length(0)
            .max_expansions(3)
            .analyzer("standard")
            .into(),
    );
    add(
        "multi_match",
        Query::multi_match("error", ["message^2", "level", "host.*"])
            .lenient(true)
            .tie_breaker(0.3)
            .into(),
    );
    for (name, kind) in [
        ("multi_match: best_fields", MultiMatchType::BestFields),
        ("multi_match: most_fields", MultiMatchType::MostFields),
        ("multi_match: cross_fields", MultiMatchType::CrossFields),
        ("multi_match: phrase", MultiMatchType::Phrase),
        ("multi_match: phrase_prefix", MultiMatchType::PhrasePrefix),
        ("multi_match: bool_prefix", MultiMatchType::BoolPrefix),
    ] {
        add(
            name,
            Query::multi_match("out of", ["message"]).kind(kind).into(),
        );
    }
    add(
        "multi_match: default fields",
        Query::multi_match_default_fields("x").lenient(true).into(),
    );
    add(
        "query_string",
        Query::query_string("level:error AND took:>500 OR /web-[0-9]/")
            .fields(["message^2", "host.*"])
            .default_operator(Operator::And)
            .analyze_wildcard(true)
            .allow_leading_wildcard(true)
            .time_zone("UTC")
            .phrase_slop(1)
            .fuzziness(Fuzziness::Auto)
            .kind(MultiMatchType::BestFields)
            .lenient(true)
            .minimum_should_match(1)
            .quote_field_suffix(".exact")
            .analyzer("standard")
            .into(),
    );
    add(
        "query_string: default field",
        Query::query_string("refused")
            .default_field("message")
            .into(),
    );
    add(
        "query_string: escaped",
        Query::query_string(escape_lucene(r#"+-=&|!(){}[]^"~*?:\/<> AND"#))
            .default_field("message")
            .into(),
    );
    add(
        "simple_query_string",
        Query::simple_query_string("\"out of\" +memory -(test | x*)")
            .field("message")
            .flags("OR|AND|PREFIX|PHRASE")
            .default_operator(Operator::And)
            .analyze_wildcard(true)
            .lenient(true)
            .minimum_should_match("75%")
            .quote_field_suffix(".exact")
            .analyzer("standard")
            .into(),
    );
    add(
        "bool",
        Query::bool()
            .must(Query::match_all())
            .filter(Query::exists("took"))
            .must_not(Query::ids(["9"]))
            .should_each([Query::term("level", "a"), Query::term("level", "b")])
            .minimum_should_match("-100%")
            .boost(2.0)
            .name("b")
            .into(),
    );
    let one = || [Query::exists("took")];
    add(
        "bool: each",
        Query::bool()
            .must_each(one())
            .filter_each(one())
            .must_not_each(one())
            .should(Query::exists("took"))
            .into(),
    );
    add("bool: empty", Query::bool().into());
    let mut deep = Query::match_all();
    for _ in 0..18 {
        deep = Query::bool().must(deep).into();
    }
    add("bool: deep", deep);
    add(
        "constant_score",
        Query::constant_score(Query::term("level", "error"))
            .boost(3.0)
            .name("c")
            .into(),
    );
    add(
        "boosting",
        Query::boosting(Query::match_all(), Query::term("level", "info"), 0.2).into(),
    );
    add(
        "dis_max",
        Query::dis_max(Query::match_all())
            .query(Query::term("level", "x"))
            .tie_breaker(0.5)
            .into(),
    );
    add(
        "nested",
        Query::nested(
            "spans",
            Query::nested("spans.tags", Query::term("spans.tags.key", "a")),
        )
        .score_mode(NestedScore::Max)
        .ignore_unmapped(true)
        .name("n")
        .into(),
    );
    add(
        "nested: inner_hits",
        Query::nested("spans", Query::range("spans.took").gt(1))
            .inner_hits(
                InnerHits::new()
                    .name("slow")
                    .size(2)
                    .from(0)
                    .sort(Sort::field("spans.took").desc())
                    .source(["spans.took"])
                    .highlight(Highlight::field("spans.status"))
                    .docvalue_field(FieldFormat::new("spans.took"))
                    .version(true)
                    .seq_no_primary_term(true)
                    .explain(true),
            )
            .into(),
    );
    for (name, mode) in [
        (
            "function_score: multiply",
            (ScoreMode::Multiply, BoostMode::Multiply),
        ),
        ("function_score: sum", (ScoreMode::Sum, BoostMode::Sum)),
        ("function_score: avg", (ScoreMode::Avg, BoostMode::Avg)),
        (
            "function_score: first",
            (ScoreMode::First, BoostMode::Replace),
        ),
        ("function_score: max", (ScoreMode::Max, BoostMode::Max)),
        ("function_score: min", (ScoreMode::Min, BoostMode::Min)),
    ] {
        let query = Query::function_score(Query::match_all())
            .function(ScoreFunction::weight(2.0).filter(Query::term("level", "error")))
            .function(ScoreFunction::random_by(7, "_seq_no").weight(1.0))
            .function(ScoreFunction::random())
            .function(
                ScoreFunction::field_value("took")
                    .factor(1.2)
                    .modifier(Modifier::Log1p)
                    .missing(1.0),
            )
            .function(
                ScoreFunction::decay(Decay::Gauss, "@timestamp", "now", "10d")
                    .offset("5d")
                    .decay_at_scale(0.3),
            )
            .function(ScoreFunction::decay(Decay::Exp, "took", 0, 500))
            .function(ScoreFunction::decay(Decay::Linear, "share", 0.5, 0.1))
            .score_mode(mode.0)
            .boost_mode(mode.1)
            .max_boost(10.0)
            .min_score(0.0);
        add(name, query.into());
    }
    for (name, mode) in [
        ("nested: avg", NestedScore::Avg),
        ("nested: min", NestedScore::Min),
        ("nested: sum", NestedScore::Sum),
    ] {
        let query = Query::nested("spans", Query::exists("spans.took")).score_mode(mode);
        add(name, query.into());
    }
    add(
        "function_score: script",
        Query::function_score(Query::match_all())
            .function(ScoreFunction::script("_score + doc['took'].size()"))
            .into(),
    );
    for (name, modifier) in [
        ("modifier: none", Modifier::None),
        ("modifier: log2p", Modifier::Log2p),
        ("modifier: ln1p", Modifier::Ln1p),
        ("modifier: ln2p", Modifier::Ln2p),
        ("modifier: square", Modifier::Square),
        ("modifier: sqrt", Modifier::Sqrt),
        ("modifier: reciprocal", Modifier::Reciprocal),
        ("modifier: log", Modifier::Log),
        ("modifier: ln", Modifier::Ln),
    ] {
        let function = ScoreFunction::field_value("took").modifier(modifier);
        add(
            name,
            Query::function_score(Query::match_all())
                .function(function)
                .into(),
        );
    }
    for kql in [
        "",
        "timeout",
        "\"out of memory\"",
        "web*",
        "level: error",
        "level: (error or fatal and not info)",
        "host.name: web-*",
        "host.*: *",
        "took > 500 and took <= 5000",
        "@timestamp >= now-15m",
        "spans: { status: error and tags: { key: a } }",
        "not level: \"error\"",
        r"message: \(a\*b\)",
        "ok: true",
    ] {
        add("kql", Kql::new().ignore_unmapped(true).query(kql).unwrap());
    }
    constructs
}
