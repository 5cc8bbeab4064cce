//! Host sets compared with the ClusterShell library on generated expressions.
//!
//! `CLUSTEROPS_ORACLE_PYTHON` names a Python interpreter that has ClusterShell 1.9.3.

mod generate;
#[path = "../support/oracle.rs"]
mod oracle;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use clusterops::core::Error;
use clusterops::hostset::{Context, FileGroups, GroupSource, HostSet};
use generate::{Case, Kind};
use oracle::{Oracle, skip_or_fail, write_past_capture};
use serde_json::{Value, json};

/// Quick enough to compare all of them always.
const COUNT: usize = 110_000;

/// One expression out of so many uses groups.
const GROUPS: usize = 20;

#[test]
fn agrees_with_clustershell() {
    let Ok(python) = std::env::var("CLUSTEROPS_ORACLE_PYTHON") else {
        let reason = "CLUSTEROPS_ORACLE_PYTHON names no Python interpreter with ClusterShell 1.9.3";
        return skip_or_fail("hostset_oracle", reason);
    };
    let oracle = Oracle::new("hostset", COUNT, COUNT);
    let Oracle { seed, cases, .. } = oracle;

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("groups.yaml"), generate::GROUPS).expect("a file");
    let sources = FileGroups::load(folder.path()).expect("group files");
    let mut context = Context::new();
    for source in &sources {
        context = match source.name() {
            generate::DEFAULT_SOURCE => context.default_source(source),
            _ => context.source(source),
        };
    }

    let plain = ClusterShell {
        python: &python,
        groups: None,
    };
    let mut tally = plain.compare(
        &generate::cases(seed, cases - cases / GROUPS),
        &HostSet::parse,
    );
    let with_groups = ClusterShell {
        python: &python,
        groups: Some(folder.path()),
    };
    let group_cases = generate::group_cases(seed, cases / GROUPS);
    tally.add(with_groups.compare(&group_cases, &|text| context.parse(text)));
    tally.report();
    oracle.conclude(tally.count(), &tally.summary(), &tally.failures);
    assert!(
        tally.our_pieces <= tally.their_pieces,
        "{} pieces against {} (seed {seed})",
        tally.our_pieces,
        tally.their_pieces
    );
}

/// How to ask ClusterShell.
struct ClusterShell<'a> {
    python: &'a str,
    groups: Option<&'a Path>,
}

impl ClusterShell<'_> {
    fn compare(
        &self,
        cases: &[Case],
        parse: &(dyn Fn(&str) -> Result<HostSet, Error> + Sync),
    ) -> Tally {
        let workers = thread::available_parallelism().map_or(2, usize::from);
        let share = cases.len().div_ceil(workers).max(1);
        let compare = |cases: &[Case]| {
            let mut tally = Tally::default();
            for (case, answer) in cases.iter().zip(self.ask(cases)) {
                tally.compare(case, parse(&case.expression), &answer);
            }
            tally
        };
        let mut tally = Tally::default();
        thread::scope(|scope| {
            let compare = &compare;
            let workers: Vec<_> = cases
                .chunks(share)
                .map(|cases| scope.spawn(move || compare(cases)))
                .collect();
            for worker in workers {
                tally.add(worker.join().expect("a worker"));
            }
        });
        tally
    }

    /// The answers of one ClusterShell process, in order.
    fn ask(&self, cases: &[Case]) -> Vec<Value> {
        let oracle =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostset_oracle/ask_clustershell.py");
        let mut command = Command::new(self.python);
        command
            .arg(oracle)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(folder) = self.groups {
            command.arg(folder).arg(generate::DEFAULT_SOURCE);
        }
        let mut child = command.spawn().expect("the interpreter starts");
        let mut input = BufWriter::new(child.stdin.take().expect("stdin is a pipe"));
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let answers = thread::scope(|scope| {
            scope.spawn(move || {
                for case in cases {
                    let question = json!({"expression": case.expression, "split": case.split, "slice": case.slice});
                    writeln!(input, "{question}").expect("the oracle reads");
                }
            });
            let lines = output.lines().map(|line| line.expect("the oracle writes"));
            lines
                .map(|line| serde_json::from_str(&line).expect("JSON"))
                .collect::<Vec<_>>()
        });
        assert!(child.wait().expect("the oracle ends").success());
        assert_eq!(answers.len(), cases.len(), "one answer for each question");
        answers
    }
}

#[derive(Default)]
struct Tally {
    compared: BTreeMap<&'static str, usize>,
    excused: BTreeMap<&'static str, (usize, String)>,
    failures: Vec<String>,
    our_pieces: usize,
    their_pieces: usize,
    worse: Vec<String>,
    better: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (kind, count) in other.compared {
            *self.compared.entry(kind).or_default() += count;
        }
        for (reason, (count, example)) in other.excused {
            self.excused.entry(reason).or_insert((0, example)).0 += count;
        }
        self.failures.extend(other.failures);
        self.our_pieces += other.our_pieces;
        self.their_pieces += other.their_pieces;
        self.worse.extend(other.worse);
        self.better += other.better;
    }

    fn compare(&mut self, case: &Case, ours: Result<HostSet, Error>, answer: &Value) {
        let expression = &case.expression;
        let theirs = answer["text"].as_str();
        let difference = match (&ours, theirs) {
            (Ok(ours), Some(theirs)) => self.compare_sets(case, ours, theirs, answer),
            (Err(_), None) => None,
            (Ok(ours), None) => Some(format!(
                "we read `{ours}`, ClusterShell says {}",
                answer["error"]
            )),
            (Err(error), Some(theirs)) => {
                Some(format!("ClusterShell reads `{theirs}`, we say {error}"))
            }
        };
        *self.compared.entry(case.kind.title()).or_default() += 1;
        let Some(difference) = difference else { return };
        let difference = format!("`{expression}`: {difference}");
        match excuse(case, &ours, answer) {
            Some(reason) => {
                let (count, _) = self.excused.entry(reason).or_insert((0, difference));
                *count += 1;
            }
            None => self.failures.push(difference),
        }
    }

    fn compare_sets(
        &mut self,
        case: &Case,
        ours: &HostSet,
        theirs: &str,
        answer: &Value,
    ) -> Option<String> {
        let mut our_names: Vec<String> = ours.iter().collect();
        let their_names = answer["names"].as_str().unwrap_or_default();
        let mut their_names: Vec<&str> = their_names.split_whitespace().collect();
        let one_dimension = our_names.iter().all(|name| numbers(name) < 2);
        if !one_dimension || case.kind == Kind::Negative {
            our_names.sort_unstable();
            their_names.sort_unstable();
        }
        if our_names != their_names || ours.len() != our_names.len() {
            return Some(format!("`{ours}` is another set than `{theirs}`"));
        }
        let text = ours.to_string();
        // A sign is text to us, but for a range across zero.
        let across_zero = |names: &[String]| {
            let mut numbers = names.iter().map(|name| name.trim_end_matches("-x"));
            numbers.any(|name| name == "t-1") && names.iter().any(|name| name.starts_with("t0"))
        };
        if case.kind == Kind::Negative {
            let same = text == theirs || !across_zero(&our_names);
            return (!same).then(|| format!("folded as `{text}`, by ClusterShell as `{theirs}`"));
        }
        if one_dimension {
            let parts: Vec<String> = ours
                .split(case.split)
                .iter()
                .map(ToString::to_string)
                .collect();
            let slice = ours.slice(case.slice.0..case.slice.1).to_string();
            return if text != theirs {
                Some(format!("folded as `{text}`, by ClusterShell as `{theirs}`"))
            } else if json!(parts) != answer["parts"] {
                Some(format!(
                    "split in {}: {parts:?}, by ClusterShell {}",
                    case.split, answer["parts"]
                ))
            } else if json!(slice) != answer["slice"] {
                Some(format!(
                    "slice {:?}: {slice}, by ClusterShell {}",
                    case.slice, answer["slice"]
                ))
            } else {
                None
            };
        }
        let (our_pieces, their_pieces) = (pieces(&text), pieces(theirs));
        self.our_pieces += our_pieces;
        self.their_pieces += their_pieces;
        if our_pieces > their_pieces {
            let worse = format!("{our_pieces} `{text}` against {their_pieces} `{theirs}`");
            self.worse.push(worse);
        }
        self.better += usize::from(our_pieces < their_pieces);
        (HostSet::parse(&text).ok().as_ref() != Some(ours))
            .then(|| format!("`{text}` reads as another set"))
    }

    fn count(&self) -> usize {
        self.compared.values().sum()
    }

    /// What was compared, in one line.
    fn summary(&self) -> String {
        let excused: usize = self.excused.values().map(|(count, _)| count).sum();
        format!(
            "expressions compared with ClusterShell ({excused} broken ones differ as documented; {} pieces against {})",
            self.our_pieces, self.their_pieces
        )
    }

    /// The numbers in detail, and each set that we fold into more pieces.
    fn report(&self) {
        let kinds = self.compared.iter();
        let mut lines: Vec<String> = kinds
            .map(|(kind, count)| format!("{count:8} compared: {kind}"))
            .collect();
        let excused = self.excused.iter();
        lines.extend(excused.map(|(reason, (count, example))| {
            format!("{count:8} differ as intended, {reason}; such as {example}")
        }));
        lines.push(format!(
            "{:8} pieces for sets of several dimensions, by ClusterShell {}; fewer in {} cases, more in {}",
            self.our_pieces,
            self.their_pieces,
            self.better,
            self.worse.len()
        ));
        let worse = self.worse.iter();
        lines.extend(worse.map(|worse| format!("         more pieces: {worse}")));
        write_past_capture(&format!("{}\n", lines.join("\n")));
    }
}

/// Why ClusterShell and we are meant to differ on input that was broken on purpose.
fn excuse(case: &Case, ours: &Result<HostSet, Error>, answer: &Value) -> Option<&'static str> {
    if case.kind != Kind::Broken {
        return None;
    }
    let text: String = case.expression.split_whitespace().collect();
    let between = |one: fn(char) -> bool, other: fn(char) -> bool| {
        let next = text.chars().skip(1);
        text.chars()
            .zip(next)
            .any(|(first, second)| one(first) && other(second))
    };
    let digit = |character: char| character.is_ascii_digit();
    let negative =
        between(|c| "[,".contains(c), |c| c == '-') || between(|c| c == '-', |c| c == '-');
    let beside = between(digit, |c| c == '[') || between(|c| c == ']', digit);
    match (ours, answer["error"].as_str()) {
        (Err(error), None) if error.message().contains("white space") => {
            Some("white space inside a name is an error, not a part of the name")
        }
        (Err(error), None) if error.message().contains("is not a number or a range") => {
            Some("three numbers in a range are an error, not a range from a negative number")
        }
        (Err(_), None)
            if ["[]", "[,", ",]", ",,"]
                .iter()
                .any(|empty| text.contains(empty)) =>
        {
            Some(
                "an empty bracket, or nothing between commas in one, is an error, also beside digits",
            )
        }
        (Err(_), None) if text.contains("-00") || text.contains("-0") => {
            Some("a padded zero that ends an unpadded range is an error")
        }
        (Err(_), None) if negative => {
            Some("padding and steps make no sense for one negative number")
        }
        (Ok(_), Some(_)) if beside => {
            Some("digits beside a bracket are joined to each number as text")
        }
        (Ok(_), None) if beside || negative => Some(
            "names are joined as text, so `t[-5]` and `t-5` are one host and `a1[8-9]` is `a[18-19]`",
        ),
        _ => None,
    }
}

/// How many numbers a name has.
fn numbers(name: &str) -> usize {
    let digits = name.split(|character: char| !character.is_ascii_digit());
    digits.filter(|digits| !digits.is_empty()).count()
}

/// How many pieces a folded text has: commas outside brackets, and one.
fn pieces(text: &str) -> usize {
    let mut inside = false;
    let outside = |character: &char| {
        inside = (inside || *character == '[') && *character != ']';
        *character == ',' && !inside
    };
    text.chars().filter(outside).count() + 1
}
