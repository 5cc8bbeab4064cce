//! Tests that compare with another program: how much they compare, and what they say of it.
//!
//! `CLUSTEROPS_ORACLE_CASES` is the number of cases, or `full` for the number that `tests/run oracle` compares;
//! `CLUSTEROPS_ORACLE_SEED` is the seed they are generated from. Without these the cases are few, and always the same.
//! A passing test's last line, `oracle NAME: ...`, stands in the closing lines of `tests/run`.

use std::io::Write;

/// The seed unless another is asked for.
const SEED: u64 = 5_727_497_951_958_641_775;

/// How many differences are shown.
const SHOWN: usize = 40;

/// One comparison with another program.
#[derive(Debug)]
pub(crate) struct Oracle {
    name: &'static str,
    /// What to generate the cases from.
    pub(crate) seed: u64,
    /// How many cases to generate.
    pub(crate) cases: usize,
}

impl Oracle {
    /// A comparison of `few` cases, or of `full` when all are asked for.
    pub(crate) fn new(name: &'static str, few: usize, full: usize) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let cases = match variable("CLUSTEROPS_ORACLE_CASES").as_deref() {
            None => few,
            Some("full") => full,
            Some(number) => number
                .parse()
                .expect("CLUSTEROPS_ORACLE_CASES is a number or `full`"),
        };
        let seed = variable("CLUSTEROPS_ORACLE_SEED").map_or(SEED, |number| {
            number.parse().expect("CLUSTEROPS_ORACLE_SEED is a number")
        });
        Self { name, seed, cases }
    }

    /// Says how many of what were compared, past the test runner's capture, and fails if some differ.
    pub(crate) fn conclude(&self, compared: usize, what: &str, differences: &[String]) {
        let Self { name, seed, .. } = self;
        let mut lines = format!(
            "oracle {name}: {compared} {what}, seed {seed}, {} different\n",
            differences.len()
        );
        for difference in differences.iter().take(SHOWN) {
            lines += &format!("oracle {name}: DIFFERS: {difference}\n");
        }
        write_past_capture(&lines);
        assert!(differences.is_empty(), "{name} differs, see above");
    }
}

/// Says that the test `name` cannot run here and why; where `CI` is set, that is a failure.
///
/// The caller returns afterwards.
pub(crate) fn skip_or_fail(name: &str, reason: &str) {
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(!in_ci, "{name} cannot run: {reason}");
    write_past_capture(&format!("skipped {name}: {reason}\n"));
}

/// Writes past the test runner's capture, which hides what passing tests print.
pub(crate) fn write_past_capture(lines: &str) {
    // Nothing can be done for a standard error that is closed.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}
