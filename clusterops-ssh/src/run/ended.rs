//! The reports of hosts that have ended, until the run has.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::InFlight;
use crate::report::{Captured, Failure, HostReport, RollbackReport, StageReport, StageStatus};
use crate::{Error, ErrorKind, Exit, Termination, Transferred};

/// The reports of hosts that have ended, by their places among the targets.
///
/// What a report holds was allocated bit by bit among the buffers of connections. Left there, these bits keep the memory of
/// a large run in pieces into which no other connection fits. So most reports are packed, one behind the other.
#[derive(Debug)]
pub(super) struct Ended {
    hosts: Vec<Kept>,
    shelves: Vec<Shelf>,
}

/// Packed reports. There are several, so that none has to move as it grows, and each is let go with its last report.
#[derive(Debug, Default)]
struct Shelf {
    packed: Vec<u8>,
    reports: u32,
}

/// Up to so many hosts, memory in pieces is nothing to speak of, and reports stay as they are.
const FEW: usize = 1_000;

/// From which size on, in bytes, a shelf is full.
const FULL: usize = 256 << 10;

#[derive(Debug)]
enum Kept {
    Nothing,
    Packed(Place),
    Whole(Box<HostReport>),
}

/// Where a report is packed, as a [`Row`] in JSON.
#[derive(Debug, Clone, Copy)]
struct Place {
    shelf: u32,
    from: u32,
    to: u32,
}

/// Reports with more output than this, in bytes, stay as they are: their buffers are no small bits.
const SMALL: u64 = 1 << 10;

/// A report without the names of its fields: there are many of them, and all alike.
#[derive(Serialize, Deserialize)]
struct Row<'a>(
    Cow<'a, str>,
    Option<Cow<'a, Failure>>,
    u32,
    Cow<'a, [u32]>,
    Vec<StageRow<'a>>,
    Option<Cow<'a, Termination>>,
    Option<Cow<'a, InFlight>>,
);

/// The duration is in milliseconds, as reports have it.
#[derive(Serialize, Deserialize)]
struct StageRow<'a>(
    StageStatus,
    u32,
    Option<Cow<'a, Exit>>,
    Cow<'a, Captured>,
    Cow<'a, Captured>,
    Option<Cow<'a, Transferred>>,
    u64,
    bool,
    Option<Cow<'a, RollbackReport>>,
);

impl<'a> Row<'a> {
    fn of(report: &'a HostReport) -> Self {
        let HostReport {
            name,
            failure,
            connection_attempts,
            attempts,
            stages,
            termination,
            leftover,
        } = report;
        Self(
            name.into(),
            failure.as_deref().map(Cow::Borrowed),
            *connection_attempts,
            attempts.into(),
            stages.iter().map(StageRow::of).collect(),
            termination.as_ref().map(Cow::Borrowed),
            leftover.as_deref().map(Cow::Borrowed),
        )
    }

    fn report(self) -> HostReport {
        // Not collected, which would keep the room of the rows.
        let mut stages = Vec::with_capacity(self.4.len());
        stages.extend(self.4.into_iter().map(StageRow::report));
        HostReport {
            name: self.0.into_owned(),
            failure: self.1.map(|failure| Box::new(failure.into_owned())),
            connection_attempts: self.2,
            attempts: self.3.into_owned(),
            stages,
            termination: self.5.map(Cow::into_owned),
            leftover: self.6.map(|leftover| Box::new(leftover.into_owned())),
        }
    }
}

impl<'a> StageRow<'a> {
    fn of(report: &'a StageReport) -> Self {
        let StageReport {
            status,
            attempt,
            exit,
            stdout,
            stderr,
            transferred,
            duration,
            is_not_begun,
            rollback,
        } = report;
        Self(
            *status,
            *attempt,
            exit.as_ref().map(Cow::Borrowed),
            Cow::Borrowed(stdout),
            Cow::Borrowed(stderr),
            transferred.as_deref().map(Cow::Borrowed),
            duration.as_millis() as u64,
            *is_not_begun,
            rollback.as_deref().map(Cow::Borrowed),
        )
    }

    fn report(self) -> StageReport {
        StageReport {
            status: self.0,
            attempt: self.1,
            exit: self.2.map(Cow::into_owned),
            stdout: self.3.into_owned(),
            stderr: self.4.into_owned(),
            transferred: self.5.map(|transferred| Box::new(transferred.into_owned())),
            duration: Duration::from_millis(self.6),
            is_not_begun: self.7,
            rollback: self.8.map(|rollback| Box::new(rollback.into_owned())),
        }
    }
}

impl Ended {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            hosts: std::iter::repeat_with(|| Kept::Nothing)
                .take(hosts)
                .collect(),
            shelves: Vec::new(),
        }
    }

    pub(super) fn put(&mut self, index: usize, report: HostReport) {
        self.hosts[index] = match self.pack(&report) {
            Some(place) => Kept::Packed(place),
            None => Kept::Whole(Box::new(report)),
        };
    }

    fn pack(&mut self, report: &HostReport) -> Option<Place> {
        let kept = |output: &Captured| output.total() - output.cut();
        let stages = report.stages.iter();
        let output: u64 = stages
            .map(|stage| kept(&stage.stdout) + kept(&stage.stderr))
            .sum();
        if output > SMALL || self.hosts.len() <= FEW {
            return None;
        }
        if self.shelves.last().is_none_or(Shelf::is_full) {
            self.shelves.push(Shelf::default());
        }
        let number = u32::try_from(self.shelves.len() - 1).ok()?;
        let shelf = self.shelves.last_mut()?;
        let from = shelf.packed.len();
        if serde_json::to_writer(&mut shelf.packed, &Row::of(report)).is_err() {
            shelf.packed.truncate(from);
            return None;
        }
        shelf.reports += 1;
        Some(Place {
            shelf: number,
            from: u32::try_from(from).ok()?,
            to: u32::try_from(shelf.packed.len()).ok()?,
        })
    }

    fn packed(&self, place: Place) -> HostReport {
        let packed = &self.shelves[place.shelf as usize].packed;
        unpack(&packed[place.from as usize..place.to as usize])
    }

    /// What was packed there is not needed any more.
    fn let_go(&mut self, place: Place) {
        let shelf = &mut self.shelves[place.shelf as usize];
        shelf.reports -= 1;
        // The last one is still filled.
        if shelf.reports == 0 && shelf.is_full() {
            shelf.packed = Vec::new();
        }
    }

    /// Takes out a report of which this holds.
    pub(super) fn take_if(
        &mut self,
        index: usize,
        holds: impl FnOnce(&HostReport) -> bool,
    ) -> Option<HostReport> {
        match std::mem::replace(&mut self.hosts[index], Kept::Nothing) {
            Kept::Nothing => None,
            Kept::Packed(place) => {
                let report = self.packed(place);
                if !holds(&report) {
                    self.hosts[index] = Kept::Packed(place);
                    return None;
                }
                self.let_go(place);
                Some(report)
            }
            Kept::Whole(report) if holds(&report) => Some(*report),
            Kept::Whole(report) => {
                self.hosts[index] = Kept::Whole(report);
                None
            }
        }
    }

    /// All reports, up to the first that is not there.
    pub(super) fn into_reports(mut self) -> Vec<HostReport> {
        let hosts = self.hosts.len();
        let mut reports = Vec::with_capacity(hosts);
        reports.extend((0..hosts).map_while(|index| self.take_if(index, |_| true)));
        reports
    }
}

impl Shelf {
    fn is_full(&self) -> bool {
        self.packed.len() >= FULL
    }
}

fn unpack(packed: &[u8]) -> HostReport {
    let lost = |error: serde_json::Error| {
        // Not to be met: rows read back as they were.
        let message = "the report of this host was lost";
        let error = Error::new(ErrorKind::Local, message).caused_by(error);
        HostReport {
            failure: Some(Failure::new(&error, None)),
            ..HostReport::new("")
        }
    };
    serde_json::from_slice(packed).map_or_else(lost, Row::report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, output: &[u8]) -> HostReport {
        let mut stage = StageReport::new(1);
        stage.status = StageStatus::Done;
        stage.exit = Some(Exit::Signal("KILL".to_owned()));
        stage.set_duration(Duration::from_micros(1_234_567));
        stage.stdout = Captured::new(1 << 20);
        stage.stdout.push(output);
        stage.stderr = Captured::new(10);
        stage.stderr.push(b"all work and no play");
        let error = Error::new(ErrorKind::Command, "it failed").on(name);
        HostReport {
            failure: Some(Failure::new(&error, Some("start"))),
            connection_attempts: 2,
            attempts: vec![1, 3],
            stages: vec![stage],
            ..HostReport::new(name)
        }
    }

    #[test]
    fn reports_come_out_as_they_went_in() {
        let reports = [
            report("web1", b"\xff\x00\n"),
            report("web2", &[b'x'; 5000]),
            HostReport::new("web3"),
        ];
        let mut ended = Ended::new(FEW + 1);
        for (index, report) in reports.iter().enumerate().rev() {
            ended.put(index, report.clone());
        }
        assert!(matches!(ended.hosts[0], Kept::Packed(_)));
        // Of few hosts, none is.
        let mut few = Ended::new(FEW);
        few.put(0, reports[0].clone());
        assert!(matches!(few.hosts[0], Kept::Whole(_)));
        assert!(matches!(ended.hosts[1], Kept::Whole(_)));
        for (index, report) in reports.iter().enumerate() {
            assert!(ended.take_if(index, |_| false).is_none());
            let taken = ended
                .take_if(index, |taken| taken == report)
                .expect("it is there");
            assert_eq!(&taken, report);
            assert!(ended.take_if(index, |_| true).is_none());
            ended.put(index, taken);
        }
        assert_eq!(ended.into_reports(), reports);
    }

    #[test]
    fn many_reports_stand_on_several_shelves() {
        let report = |n: usize| report(&format!("web{n}"), b"started\n");
        let mut ended = Ended::new(3000);
        for index in 0..3000 {
            ended.put(index, report(index));
        }
        let shelves = ended.shelves.len();
        assert!(shelves > 2, "{shelves}");
        for index in 0..1500 {
            assert_eq!(ended.take_if(index, |_| true), Some(report(index)));
        }
        assert!(ended.shelves[0].packed.is_empty(), "it is let go");
        for index in 0..1500 {
            ended.put(index, report(index));
        }
        let all: Vec<HostReport> = (0..3000).map(report).collect();
        assert_eq!(ended.into_reports(), all);
    }
}
