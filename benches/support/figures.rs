//! Medians, ratios and the table for people.

use std::fmt::Write;

use super::measure::Cost;

/// A candidate and what it cost in each round.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    /// The command line that runs it.
    pub(crate) command: Vec<String>,
    pub(crate) costs: Vec<Cost>,
}

impl Candidate {
    pub(crate) fn new(name: &'static str, command: Vec<String>) -> Self {
        Self {
            name,
            command,
            costs: Vec::new(),
        }
    }

    /// The median of one figure over all rounds.
    pub(crate) fn median(&self, figure: impl Fn(&Cost) -> f64) -> f64 {
        median(self.costs.iter().map(figure))
    }

    /// How this candidate compares with another: the median of the ratios of each round.
    ///
    /// What slows the machine for a while slows both candidates of a round, and cancels out.
    pub(crate) fn ratio(&self, other: &Self, figure: impl Fn(&Cost) -> f64) -> f64 {
        let pairs = self.costs.iter().zip(&other.costs);
        median(pairs.map(|(own, other)| figure(own) / figure(other)))
    }
}

/// In seconds.
pub(crate) fn wall(cost: &Cost) -> f64 {
    cost.wall.as_secs_f64()
}

/// In seconds.
pub(crate) fn cpu(cost: &Cost) -> f64 {
    cost.cpu.as_secs_f64()
}

/// In MiB.
pub(crate) fn peak(cost: &Cost) -> f64 {
    cost.peak as f64 / (1024.0 * 1024.0)
}

/// The middle value, or the mean of the two middle ones; NaN of nothing.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Rounds to three places, as the JSON line shows a figure.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The medians of each candidate, and those of `own` as a part of each other one's.
pub(crate) fn table(own: &Candidate, others: &[&Candidate], hosts: usize) -> String {
    let mut text = format!(
        "{:<16}{:>10}{:>10}{:>14}{:>12}{:>12}{:>12}{:>12}\n",
        "median", "wall s", "CPU s", "CPU ms/host", "peak MiB", "wall x", "CPU x", "memory x"
    );
    for candidate in std::iter::once(&own).chain(others) {
        let cpu_seconds = candidate.median(cpu);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<16}{:>10.3}{:>10.3}{:>14.3}{:>12.1}{:>12.3}{:>12.3}{:>12.3}",
            candidate.name,
            candidate.median(wall),
            cpu_seconds,
            cpu_seconds * 1000.0 / hosts as f64,
            candidate.median(peak),
            own.ratio(candidate, wall),
            own.ratio(candidate, cpu),
            own.ratio(candidate, peak),
        );
    }
    text
}
