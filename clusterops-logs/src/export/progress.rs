//! How far an export has come, and an honest guess of the rest.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// What a rate is taken over.
const WINDOW: Duration = Duration::from_secs(30);

/// A guess from less than that is none.
const LEAST: Duration = Duration::from_secs(2);

/// At least so far apart are the samples of a window.
const STEP: Duration = Duration::from_millis(500);

/// How far an export has come.
///
/// The rate is that of the last half minute. The time that is left is a range, from the fastest to the slowest stretch of
/// that window, and none while too little has been seen.
///
/// ```
/// use std::time::Duration;
/// use clusterops_logs::export::Progress;
///
/// let progress = Progress {
///     done: 250_000,
///     total: 1_000_000,
///     rate: Some(50_000.0),
///     remaining: Some((Duration::from_secs(12), Duration::from_secs(20))),
/// };
/// assert_eq!(progress.to_string(), "250000 of 1000000 (25 %), 50000/s, 12 s to 20 s left");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// How many documents were handed on.
    pub done: u64,
    /// How many there are, counted at the start.
    pub total: u64,
    /// Documents per second of late.
    pub rate: Option<f64>,
    /// How long the rest may take: at least, and at most.
    pub remaining: Option<(Duration, Duration)>,
}

impl Progress {
    /// How much is done, from 0 to 1.
    pub fn part(&self) -> f64 {
        match self.total {
            0 => 1.0,
            total => (self.done as f64 / total as f64).min(1.0),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.part() * 100.0).floor();
        write!(f, "{} of {} ({percent} %)", self.done, self.total)?;
        if let Some(rate) = self.rate {
            write!(f, ", {rate:.0}/s")?;
        }
        if let Some((least, most)) = self.remaining {
            let (least, most) = (shown(least), shown(most));
            match least == most {
                true => write!(f, ", {least} left")?,
                false => write!(f, ", {least} to {most} left")?,
            }
        }
        Ok(())
    }
}

/// A span for people, in its two greatest units.
fn shown(span: Duration) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Sees the documents go by.
#[derive(Debug)]
pub(super) struct Meter {
    total: u64,
    done: u64,
    /// When so many were done, from the start of the window on.
    samples: VecDeque<(Instant, u64)>,
}

impl Meter {
    pub(super) fn new(now: Instant, done: u64, total: u64) -> Self {
        Self {
            total,
            done,
            samples: VecDeque::from([(now, done)]),
        }
    }

    pub(super) fn record(&mut self, now: Instant, done: u64) {
        self.done = done;
        match self.samples.back() {
            Some((last, _)) if now.duration_since(*last) < STEP => {}
            _ => self.samples.push_back((now, done)),
        }
        // The one before the window is its start.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) > WINDOW)
        {
            self.samples.pop_front();
        }
    }

    pub(super) fn progress(&self, now: Instant) -> Progress {
        let mut progress = Progress {
            done: self.done,
            total: self.total,
            rate: None,
            remaining: None,
        };
        let Some((start, before)) = self.samples.front() else {
            return progress;
        };
        let seen = now.duration_since(*start);
        if seen < LEAST {
            return progress;
        }
        let rate = self.done.saturating_sub(*before) as f64 / seen.as_secs_f64();
        progress.rate = Some(rate);
        // What has stood still for a while may do so for ever.
        let quiet = self
            .samples
            .back()
            .map_or(seen, |(at, _)| now.duration_since(*at));
        let left = self.total.saturating_sub(self.done);
        if left == 0 {
            progress.remaining = Some((Duration::ZERO, Duration::ZERO));
        } else if quiet < WINDOW / 3
            && let Some((slowest, fastest)) = self.extremes(seen, rate)
            && let Ok(least) = Duration::try_from_secs_f64(left as f64 / fastest)
            && let Ok(most) = Duration::try_from_secs_f64(left as f64 / slowest)
        {
            progress.remaining = Some((least, most));
        }
        progress
    }

    /// The rates of the slowest and the fastest quarter of what was seen, with that of the whole between them.
    fn extremes(&self, seen: Duration, rate: f64) -> Option<(f64, f64)> {
        let stretch = seen / 4;
        let (mut slowest, mut fastest) = (rate, rate);
        let mut from = 0;
        for (to, (at, done)) in self.samples.iter().enumerate() {
            while from + 1 < to && at.duration_since(self.samples[from + 1].0) >= stretch {
                from += 1;
            }
            let (start, before) = self.samples[from];
            let span = at.duration_since(start);
            if span >= stretch && !span.is_zero() {
                let rate = done.saturating_sub(before) as f64 / span.as_secs_f64();
                slowest = slowest.min(rate);
                fastest = fastest.max(rate);
            }
        }
        (slowest > 0.0).then_some((slowest, fastest))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use super::*;

    fn seconds(number: f64) -> Duration {
        Duration::from_secs_f64(number)
    }

    #[test]
    fn a_steady_export_has_a_narrow_range() {
        let start = Instant::now();
        let mut meter = Meter::new(start, 0, 1000);
        assert_eq!(meter.progress(start).remaining, None);
        for second in 1..=10 {
            meter.record(
                start + seconds(f64::from(second)),
                u64::from(second as u32) * 10,
            );
        }
        let progress = meter.progress(start + seconds(10.0));
        assert_eq!(progress.rate, Some(10.0));
        assert_eq!(progress.remaining, Some((seconds(90.0), seconds(90.0))));
        assert_eq!(progress.to_string(), "100 of 1000 (10 %), 10/s, 90 s left");
    }

    #[test]
    fn one_that_slows_down_has_a_wide_one() {
        let start = Instant::now();
        let mut meter = Meter::new(start, 0, 1000);
        for second in 1..=5 {
            meter.record(start + seconds(f64::from(second)), second as u64 * 20);
        }
        for second in 6..=10 {
            meter.record(
                start + seconds(f64::from(second)),
                100 + (second as u64 - 5) * 10,
            );
        }
        let (least, most) = meter.progress(start + seconds(10.0)).remaining.unwrap();
        assert_eq!((least, most), (seconds(42.5), seconds(85.0)));
    }

    #[test]
    fn one_that_stands_still_has_none() {
        let start = Instant::now();
        let mut meter = Meter::new(start, 0, 1000);
        meter.record(start + seconds(1.0), 100);
        assert_eq!(meter.progress(start + seconds(60.0)).remaining, None);
        // What was done before this run is no rate.
        let meter = Meter::new(start, 500, 1000);
        let progress = meter.progress(start + seconds(5.0));
        assert_eq!((progress.rate, progress.remaining), (Some(0.0), None));
    }

    #[test]
    fn the_window_forgets() {
        let start = Instant::now();
        let mut meter = Meter::new(start, 0, 1_000_000);
        for second in 1..=300 {
            meter.record(start + seconds(f64::from(second)), second as u64);
        }
        assert!(meter.samples.len() <= 32);
    }

    #[test]
    fn spans_for_people() {
        for (span, text) in [
            (0.1, "1 s"),
            (119.0, "119 s"),
            (120.0, "2 min"),
            (7260.0, "2 h 1 min"),
        ] {
            assert_eq!(shown(seconds(span)), text);
        }
    }
}
