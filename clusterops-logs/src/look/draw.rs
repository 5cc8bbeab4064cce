//! Histograms as lines of text.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Histogram;

const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a histogram is drawn: a column for one or more intervals, the greatest count as high as the drawing, the times of
/// the first and the last below.
///
/// An interval with documents is never drawn as one without.
///
/// ```
/// use std::time::Duration;
/// use clusterops_logs::look::{Bucket, Drawing, Histogram};
///
/// let bucket = |minute: i64, count| Bucket { start: jiff::Timestamp::from_second(60 * minute).unwrap(), count };
/// let histogram = Histogram {
///     interval: Duration::from_secs(60),
///     buckets: (0..16).map(|minute| bucket(minute, minute as u64)).collect(),
/// };
/// let drawing = Drawing::new(19, 2).ascii(true).draw(&histogram);
/// assert_eq!(drawing, "15         ########\n    ###############\n   1970-01-01 00:00\n");
/// ```
#[derive(Debug, Clone)]
pub struct Drawing {
    width: usize,
    height: usize,
    ascii: bool,
    time_zone: TimeZone,
}

impl Drawing {
    /// So many columns wide, with bars so many lines high.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            ascii: false,
            time_zone: TimeZone::UTC,
        }
    }

    /// Draws with ASCII only, in whole lines.
    #[must_use]
    pub fn ascii(mut self, ascii: bool) -> Self {
        self.ascii = ascii;
        self
    }

    /// The zone of the times below; UTC if not said.
    #[must_use]
    pub fn time_zone(mut self, zone: TimeZone) -> Self {
        self.time_zone = zone;
        self
    }

    /// The drawing, each line with its end; nothing where there is nothing to draw or no room.
    pub fn draw(&self, histogram: &Histogram) -> String {
        let mut label = 1;
        // Where several intervals share a column, it has more than any of them.
        let (columns, highest) = loop {
            let room = self.width.saturating_sub(label + 1);
            if room == 0 || self.height == 0 || histogram.buckets.is_empty() {
                return String::new();
            }
            let columns = columns(histogram, room);
            let highest = columns.iter().copied().max().unwrap_or(0);
            let digits = highest.to_string().len();
            if digits <= label {
                break (columns, highest);
            }
            label = digits;
        };
        if highest == 0 {
            return String::new();
        }
        let mut text = String::new();
        for line in (0..self.height).rev() {
            let name = match line {
                line if line + 1 == self.height => highest.to_string(),
                _ => String::new(),
            };
            let cells: String = columns
                .iter()
                .map(|count| self.cell(*count, highest, line))
                .collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:>label$} {}", cells.trim_end());
        }
        let _ = writeln!(
            text,
            "{:label$} {}",
            "",
            self.times(histogram, columns.len())
        );
        text
    }

    /// What stands in a line, counted from below, for a count.
    fn cell(&self, count: u64, highest: u64, line: usize) -> char {
        let steps = if self.ascii { 1 } else { 8 };
        let all = self.height as u128 * steps;
        let filled = (u128::from(count) * all).div_ceil(u128::from(highest));
        let here = filled.saturating_sub(line as u128 * steps).min(steps);
        match (self.ascii, here) {
            (true, 0) => ' ',
            (true, _) => '#',
            (false, eighths) => BLOCKS.get(eighths as usize).copied().unwrap_or(' '),
        }
    }

    /// The times of the first and the last interval, as far as there is room.
    fn times(&self, histogram: &Histogram, room: usize) -> String {
        let fine = histogram.interval.as_millis();
        let form = match fine {
            86_400_000.. if fine.is_multiple_of(86_400_000) => "%Y-%m-%d",
            60_000.. => "%Y-%m-%d %H:%M",
            1000.. => "%Y-%m-%d %H:%M:%S",
            _ => "%Y-%m-%d %H:%M:%S%.3f",
        };
        let shown = |at: Timestamp| {
            at.to_zoned(self.time_zone.clone())
                .strftime(form)
                .to_string()
        };
        let (Some(first), Some(last)) = (histogram.buckets.first(), histogram.buckets.last())
        else {
            return String::new();
        };
        let (first, last) = (shown(first.start), shown(last.start));
        if first.len() + last.len() + 2 <= room {
            let gap = room - first.len();
            format!("{first}{last:>gap$}")
        } else {
            first
        }
    }
}

/// The counts of the columns: an interval has one or more where there is room, else several share one.
fn columns(histogram: &Histogram, room: usize) -> Vec<u64> {
    let buckets = &histogram.buckets;
    if buckets.len() <= room {
        let each = room / buckets.len().max(1);
        let wide = |count: u64| std::iter::repeat_n(count, each);
        return buckets
            .iter()
            .flat_map(|bucket| wide(bucket.count))
            .collect();
    }
    let each = buckets.len().div_ceil(room);
    let sum = |part: &[super::Bucket]| {
        part.iter()
            .fold(0, |sum: u64, bucket| sum.saturating_add(bucket.count))
    };
    buckets.chunks(each).map(sum).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use std::time::Duration;

    use super::super::Bucket;
    use super::*;
    use proptest::prelude::*;

    fn histogram(counts: &[u64], seconds: i64) -> Histogram {
        let bucket = |(index, count): (usize, &u64)| Bucket {
            start: Timestamp::from_second(index as i64 * seconds).unwrap(),
            count: *count,
        };
        Histogram {
            interval: Duration::from_secs(seconds as u64),
            buckets: counts.iter().enumerate().map(bucket).collect(),
        }
    }

    #[test]
    fn bars_are_as_high_as_their_counts() {
        let drawing = histogram(&[0, 1, 8, 16, 1000, 500], 86_400).draw(30, 2);
        assert_eq!(
            drawing,
            "1000                 ████\n         ▁▁▁▁▁▁▁▁▁▁▁▁████████\n     1970-01-01    1970-01-06\n"
        );
    }

    #[test]
    fn intervals_share_columns_where_there_is_no_room() {
        let text = Drawing::new(5, 1)
            .ascii(true)
            .draw(&histogram(&[1, 0, 0, 0, 0, 0, 2, 0, 0], 60));
        assert_eq!(text.lines().next().unwrap(), "2 # #");
    }

    proptest! {
        #[test]
        fn no_histogram_panics_or_is_wider(counts in proptest::collection::vec(any::<u64>(), 0..200), width in 0usize..200, height in 0usize..20, ascii: bool) {
            let text = Drawing::new(width, height).ascii(ascii).draw(&histogram(&counts, 60));
            let bars = text.lines().take(height);
            prop_assert!(bars.map(|line| line.chars().count()).max().unwrap_or(0) <= width.max(1) );
            prop_assert!(text.is_empty() || text.lines().count() == height + 1);
        }
    }
}
