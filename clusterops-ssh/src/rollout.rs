//! How a run spreads over its hosts: in batches, canaries first, until too many have failed.

use std::fmt;
use std::str::FromStr;

use clusterops_core::Target;
use clusterops_core::hostset::HostSet;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// How a run spreads over its hosts: which go first, how many at a time, and how many may fail.
///
/// The default is one batch of all hosts, of which any number may fail. A batch begins when every host of the one
/// before has come to its end. A [barrier](crate::plan::Stage::barrier) holds the hosts of a batch together; a
/// [`run_once`](crate::plan::Stage::run_once) stage is run once for all batches.
///
/// ```
/// use clusterops_ssh::rollout::{Rollout, Share, WhenExceeded};
///
/// let rollout = Rollout::default()
///     .canaries("web01,db1".parse()?)
///     .batches([Share::Hosts(5), Share::Percent(10.0), Share::Percent(25.0)])
///     .failure_budget(Share::Percent(2.0))
///     .when_exceeded(WhenExceeded::Pause);
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rollout {
    /// The hosts of the first batch. One that fails exceeds the failure budget, however large that is.
    #[serde(default, skip_serializing_if = "HostSet::is_empty")]
    pub canaries: HostSet,
    /// Whether the run is paused once the canaries have come to their end, until
    /// [`Control::resume`](crate::Control::resume).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause_after_canaries: bool,
    /// The sizes of the batches behind the canaries, in shares of the run's hosts; the last one is repeated. Without
    /// any, all hosts are one batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<Share>,
    /// How many of the run's hosts may fail, for whatever reason; hosts that cannot be reached count too. Without it,
    /// all may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_budget: Option<Share>,
    /// What happens as soon as more have failed.
    #[serde(default)]
    pub when_exceeded: WhenExceeded,
}

/// What happens when more hosts have failed than the failure budget allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenExceeded {
    /// No further host begins; those under way go on to their end ([`Control::stop`](crate::Control::stop)).
    #[default]
    Stop,
    /// The run is [paused](crate::Control::pause), for somebody to look. Once it is resumed the budget holds no more.
    Pause,
    /// The run is [aborted](crate::Control::abort), with the plan's rollbacks.
    Abort,
}

/// A number of hosts, or a part of all.
///
/// As text, which is its form in JSON too: `5` or `12.5%`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Share {
    /// So many hosts.
    Hosts(usize),
    /// So many of a hundred hosts of the run, from 0 to 100.
    Percent(f64),
}

/// Hosts that go through the plan together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) is_canary: bool,
    /// For each host its index and the stage it starts at.
    pub(crate) hosts: Vec<(usize, usize)>,
}

impl Rollout {
    /// Sets the hosts that go first.
    #[must_use]
    pub fn canaries(mut self, hosts: HostSet) -> Self {
        self.canaries = hosts;
        self
    }

    /// Pauses the run behind the canaries.
    #[must_use]
    pub fn pause_after_canaries(mut self) -> Self {
        self.pause_after_canaries = true;
        self
    }

    /// Sets the sizes of the batches; the last one is repeated.
    #[must_use]
    pub fn batches(mut self, sizes: impl IntoIterator<Item = Share>) -> Self {
        self.batches = sizes.into_iter().collect();
        self
    }

    /// Sets how many hosts may fail.
    #[must_use]
    pub fn failure_budget(mut self, budget: Share) -> Self {
        self.failure_budget = Some(budget);
        self
    }

    /// Sets what happens when more have failed.
    #[must_use]
    pub fn when_exceeded(mut self, then: WhenExceeded) -> Self {
        self.when_exceeded = then;
        self
    }

    pub(crate) fn check(&self, targets: &[Target]) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Plan, message));
        let known: HostSet = targets.iter().map(|target| target.name.as_str()).collect();
        let strangers = self.canaries.difference(&known);
        if !strangers.is_empty() {
            return wrong(format!(
                "the canaries {strangers} are no targets of the fleet"
            ));
        }
        if self.pause_after_canaries && self.canaries.is_empty() {
            return wrong("a pause behind the canaries needs canaries".into());
        }
        for size in &self.batches {
            size.check()?;
            if matches!(size, Share::Hosts(0)) || *size == Share::Percent(0.0) {
                return wrong("a batch of no hosts never comes to an end".into());
            }
        }
        self.failure_budget.as_ref().map_or(Ok(()), Share::check)
    }

    /// Deals the hosts out; `starts` holds for each its index in `targets` and the stage it starts at.
    pub(crate) fn deal(&self, targets: &[Target], starts: Vec<(usize, usize)>) -> Vec<Batch> {
        let total = starts.len();
        let (canaries, others): (Vec<_>, Vec<_>) = starts
            .into_iter()
            .partition(|(index, _)| self.canaries.contains(&targets[*index].name));
        let mut batches = Vec::new();
        if !canaries.is_empty() {
            batches.push(Batch {
                is_canary: true,
                hosts: canaries,
            });
        }
        let mut sizes = self.batches.iter();
        let mut size = total;
        let mut others = others.into_iter().peekable();
        while others.peek().is_some() {
            if let Some(next) = sizes.next() {
                size = next.batch_of(total);
            }
            batches.push(Batch {
                is_canary: false,
                hosts: others.by_ref().take(size).collect(),
            });
        }
        batches
    }
}

impl Share {
    fn check(&self) -> Result<()> {
        match self {
            Self::Percent(percent) if !(0.0..=100.0).contains(percent) => Err(Error::new(
                ErrorKind::Plan,
                format!("{percent}% of the hosts: a share lies between 0% and 100%"),
            )),
            _ => Ok(()),
        }
    }

    /// How many hosts of `total` make a batch: rounded up, so at least one.
    fn batch_of(&self, total: usize) -> usize {
        match self {
            Self::Hosts(hosts) => *hosts,
            Self::Percent(percent) => (percent / 100.0 * total as f64).ceil() as usize,
        }
        .max(1)
    }

    /// Whether `hosts` of `total` are more than this.
    pub(crate) fn is_exceeded_by(&self, hosts: usize, total: usize) -> bool {
        match self {
            Self::Hosts(most) => hosts > *most,
            Self::Percent(percent) => hosts as f64 * 100.0 > percent * total as f64,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(hosts) => write!(f, "{hosts}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Self::Percent),
            None => text.parse().ok().map(Self::Hosts),
        };
        let share = share.ok_or_else(|| {
            let message =
                format!("`{text}` is no number of hosts (`5`) and no part of them (`10%`)");
            Error::new(ErrorKind::Plan, message)
        })?;
        share.check()?;
        Ok(share)
    }
}

impl TryFrom<String> for Share {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn targets(count: usize) -> Vec<Target> {
        (0..count)
            .map(|n| Target::new(format!("web{n}"), "127.0.0.1"))
            .collect()
    }

    fn sizes(rollout: &Rollout, count: usize) -> Vec<usize> {
        let starts = (0..count).map(|index| (index, 0)).collect();
        let batches = rollout.deal(&targets(count), starts);
        batches.iter().map(|batch| batch.hosts.len()).collect()
    }

    #[test]
    fn the_last_size_is_repeated() {
        let all = Rollout::default();
        assert_eq!(sizes(&all, 7), [7]);
        let growing = all.batches([Share::Hosts(1), Share::Percent(25.0)]);
        assert_eq!(sizes(&growing, 10), [1, 3, 3, 3]);
        assert_eq!(sizes(&growing, 1), [1]);
        assert_eq!(sizes(&growing, 0), [0; 0]);
    }

    #[test]
    fn canaries_go_first_and_once() {
        let rollout = Rollout::default().canaries("web[3,5]".parse().expect("a host set"));
        let starts = (0..6).map(|index| (index, index)).collect();
        let batches = rollout.deal(&targets(6), starts);
        assert_eq!(batches[0].hosts, [(3, 3), (5, 5)]);
        assert!(batches[0].is_canary);
        assert_eq!(batches[1].hosts, [(0, 0), (1, 1), (2, 2), (4, 4)]);
        assert_eq!(batches.len(), 2);
    }

    #[test]
    fn a_budget_is_not_rounded() {
        assert!(Share::Percent(5.0).is_exceeded_by(1, 10));
        assert!(!Share::Percent(10.0).is_exceeded_by(1, 10));
        assert!(!Share::Hosts(3).is_exceeded_by(3, 10));
        assert!(Share::Hosts(0).is_exceeded_by(1, 10));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |rollout: Rollout| {
            rollout
                .check(&targets(3))
                .map_err(|error| error.to_string())
                .expect_err("refused")
        };
        let rollout = Rollout::default();
        let strangers = rollout
            .clone()
            .canaries("web[2-3]".parse().expect("a host set"));
        assert_eq!(
            check(strangers),
            "the canaries web3 are no targets of the fleet"
        );
        for share in [
            Share::Hosts(0),
            Share::Percent(0.0),
            Share::Percent(f64::NAN),
        ] {
            check(rollout.clone().batches([share]));
        }
        check(rollout.clone().failure_budget(Share::Percent(101.0)));
        check(rollout.pause_after_canaries());
    }

    proptest! {
        #[test]
        fn every_host_is_dealt_once(count in 0_usize..200, sizes in prop::collection::vec(1_usize..30, 0..4)) {
            let rollout = Rollout::default()
                .canaries("web[7,40-45]".parse().expect("a host set"))
                .batches(sizes.into_iter().map(Share::Hosts));
            let starts = (0..count).map(|index| (index, 0)).collect();
            let mut dealt: Vec<usize> = rollout
                .deal(&targets(count), starts)
                .iter()
                .flat_map(|batch| batch.hosts.iter().map(|(index, _)| *index))
                .collect();
            dealt.sort_unstable();
            prop_assert_eq!(dealt, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn shares_read_back(text in "[0-9]{1,3}(\\.[0-9])?%?") {
            if let Ok(share) = text.parse::<Share>() {
                prop_assert_eq!(share.to_string().parse::<Share>().ok(), Some(share));
            }
        }
    }
}
