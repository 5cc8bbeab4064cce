use std::future::pending;

use super::*;
use crate::ErrorKind;

/// What a source of a test does next.
enum Step {
    Pause(u64),
    Lines(Vec<(Option<i64>, &'static str)>),
    Fail(ErrorKind, bool),
    Hang,
}

use Step::{Fail, Hang, Lines, Pause};

struct Script(VecDeque<Step>, u32);

fn script(steps: impl IntoIterator<Item = Step>) -> Script {
    Script(steps.into_iter().collect(), 0)
}

fn lines(lines: &[(i64, &'static str)]) -> Step {
    Lines(
        lines
            .iter()
            .map(|(time, line)| (Some(*time), *line))
            .collect(),
    )
}

impl Source for Script {
    type Item = &'static str;
    type Mark = u32;

    async fn next(&mut self) -> Result<Option<Arrival<&'static str, u32>>> {
        loop {
            match self.0.pop_front() {
                None => return Ok(None),
                Some(Pause(millis)) => tokio::time::sleep(Duration::from_millis(millis)).await,
                Some(Hang) => pending().await,
                Some(Fail(kind, retryable)) => {
                    let error = Error::new(kind, "it is down");
                    return Err(if retryable { error.retryable() } else { error });
                }
                Some(Lines(lines)) => {
                    self.1 += 1;
                    let timed = lines.into_iter().map(|(time, line)| {
                        (
                            time.and_then(|time| Timestamp::from_second(time).ok()),
                            line,
                        )
                    });
                    return Ok(Some(Arrival::new(timed).mark(self.1)));
                }
            }
        }
    }
}

/// What comes, each with the milliseconds since the start.
async fn told(merge: &mut Merge<&'static str, u32>, count: usize) -> Vec<String> {
    let start = Instant::now();
    let mut told = Vec::new();
    while told.len() < count
        && let Some(next) = merge.next().await
    {
        let text = match next {
            Merged::Item { source, item, late } => {
                format!("{source} {item}{}", if late { " late" } else { "" })
            }
            Merged::Mark { source, mark } => format!("{source} #{mark}"),
            Merged::Down { source, error } => format!("{source} down: {error}"),
            Merged::Back { source } => format!("{source} back"),
            Merged::Failed { source, error } => format!("{source} failed: {error}"),
        };
        told.push(format!("{} {text}", start.elapsed().as_millis()));
    }
    told
}

#[tokio::test(start_paused = true)]
async fn of_one_time_the_first_source_comes_first_whichever_was_quicker() {
    let mut merge = Merge::new(MergeOptions::sorted());
    merge.add(
        "a",
        script([Pause(50), lines(&[(1, "1")]), lines(&[(1, "2")])]),
    );
    merge.add("b", script([lines(&[(1, "1"), (1, "2")])]));
    let told = told(&mut merge, 7).await;
    let order: Vec<&str> = told
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, line)| line)
        .filter(|line| !line.contains('#'))
        .collect();
    assert_eq!(order, ["a 1", "a 2", "b 1", "b 2"]);
}

#[tokio::test(start_paused = true)]
async fn sources_that_are_in_order_are_merged_exactly() {
    let mut merge = Merge::new(MergeOptions::sorted());
    merge.add(
        "a",
        script([lines(&[(1, "1"), (4, "4")]), lines(&[(5, "5")])]),
    );
    merge.add(
        "b",
        script([Pause(60_000), lines(&[(2, "2"), (3, "3"), (6, "6")])]),
    );
    assert_eq!(
        told(&mut merge, 99).await,
        [
            "60000 a 1",
            "60000 b 2",
            "60000 b 3",
            "60000 a 4",
            "60000 a #1",
            "60000 a 5",
            "60000 a #2",
            "60000 b 6",
            "60000 b #1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn lines_are_held_for_earlier_ones_and_no_longer() {
    let mut merge = Merge::new(MergeOptions::following().hold(Duration::from_millis(500)));
    merge.add(
        "a",
        script([lines(&[(5, "5")]), Pause(600), lines(&[(9, "9")]), Hang]),
    );
    merge.add(
        "b",
        script([
            Pause(400),
            lines(&[(4, "4"), (7, "7")]),
            Pause(400),
            lines(&[(6, "6")]),
            Hang,
        ]),
    );
    assert_eq!(
        told(&mut merge, 9).await,
        [
            // 4 came in time, 7 has time until 900, 6 came before that.
            "500 b 4",
            "500 a 5",
            "500 a #1",
            "900 b 6",
            "900 b 7",
            "900 b #1",
            "900 b #2",
            "1100 a 9",
            "1100 a #2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_too_late_is_marked() {
    let mut merge = Merge::new(MergeOptions::following().hold(Duration::from_millis(100)));
    merge.add("a", script([lines(&[(5, "5")]), Hang]));
    merge.add(
        "b",
        script([Pause(101), lines(&[(4, "4"), (6, "6")]), Hang]),
    );
    assert_eq!(
        told(&mut merge, 5).await,
        ["100 a 5", "100 a #1", "201 b 4 late", "201 b 6", "201 b #1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_time_in_the_future_makes_nothing_late() {
    // In the year 2090.
    const FUTURE: i64 = 3_797_000_000;
    let mut merge = Merge::new(MergeOptions::following().hold(Duration::from_millis(100)));
    merge.add("a", script([lines(&[(FUTURE, "2090"), (5, "5")]), Hang]));
    merge.add(
        "b",
        script([
            Pause(101),
            lines(&[(4, "4"), (FUTURE - 1, "2089"), (6, "6")]),
            Hang,
        ]),
    );
    assert_eq!(
        told(&mut merge, 7).await,
        [
            "100 a 5",
            "100 a 2090",
            "100 a #1",
            "201 b 4 late",
            "201 b 6",
            "201 b 2089",
            "201 b #1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_down_is_told_once_and_comes_back() {
    let mut merge = Merge::new(MergeOptions::following().hold(Duration::ZERO));
    let fail = || Fail(ErrorKind::Connection, true);
    merge.add(
        "a",
        script([
            fail(),
            fail(),
            fail(),
            lines(&[(9, "9")]),
            Fail(ErrorKind::Denied, false),
            lines(&[(10, "10")]),
        ]),
    );
    merge.add(
        "b",
        script([
            Pause(500),
            lines(&[(1, "1")]),
            Pause(2000),
            lines(&[(2, "2")]),
        ]),
    );
    assert_eq!(
        told(&mut merge, 99).await,
        [
            "0 a down: it is down",
            "500 b 1",
            "500 b #1",
            "2500 b 2",
            "2500 b #2",
            // After 1, 2 and 4 seconds.
            "7000 a back",
            "7000 a 9",
            "7000 a #1",
            "7000 a down: it is down",
            "8000 a back",
            "8000 a 10",
            "8000 a #2",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_will_never_work_is_given_up() {
    let mut merge = Merge::new(MergeOptions::following());
    merge.add(
        "a",
        script([Fail(ErrorKind::Rejected, false), lines(&[(1, "1")])]),
    );
    merge.add("b", script([lines(&[(2, "2")])]));
    assert_eq!(
        told(&mut merge, 99).await,
        ["0 a failed: it is down", "0 b 2", "0 b #1"]
    );
    let mut merge = Merge::new(MergeOptions::sorted());
    merge.add(
        "a",
        script([lines(&[(1, "1")]), Fail(ErrorKind::Connection, true)]),
    );
    merge.add("b", script([lines(&[(2, "2")])]));
    assert_eq!(
        told(&mut merge, 99).await,
        [
            "0 a 1",
            "0 a #1",
            "0 a failed: it is down",
            "0 b 2",
            "0 b #1"
        ]
    );
}

/// A source that was answered, and has no lines yet.
struct Answered(Script);

impl Source for Answered {
    type Item = &'static str;
    type Mark = u32;

    async fn next(&mut self) -> Result<Option<Arrival<&'static str, u32>>> {
        self.0.next().await
    }

    fn has_worked(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_lines_proves_that_a_query_is_understood() {
    let mut merge = Merge::new(MergeOptions::following().hold(Duration::ZERO));
    let steps = [Fail(ErrorKind::Denied, false), lines(&[(1, "1")])];
    merge.add("a", Answered(script(steps)));
    assert_eq!(
        told(&mut merge, 99).await,
        [
            "0 a down: it is down",
            "1000 a back",
            "1000 a 1",
            "1000 a #1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_notice_does_not_prove_that_a_query_is_understood() {
    let notice = || Lines(vec![(None, "busy")]);
    for proof in [notice(), Lines(Vec::new())] {
        let mut merge = Merge::new(MergeOptions::following().hold(Duration::ZERO));
        merge.add(
            "a",
            script([
                proof,
                Fail(ErrorKind::Unavailable, true),
                notice(),
                Fail(ErrorKind::Rejected, false),
                lines(&[(1, "1")]),
            ]),
        );
        let told = told(&mut merge, 99).await;
        assert_eq!(
            told.last().map(String::as_str),
            Some("1000 a failed: it is down"),
            "{told:?}"
        );
        assert_eq!(told.iter().filter(|line| line.contains("down:")).count(), 1);
    }
    // After lines, it is the cluster or the rights that have changed.
    let mut merge = Merge::new(MergeOptions::following().hold(Duration::ZERO));
    merge.add(
        "a",
        script([
            lines(&[(1, "1")]),
            notice(),
            Fail(ErrorKind::Denied, false),
            lines(&[(2, "2")]),
        ]),
    );
    assert_eq!(
        told(&mut merge, 99).await,
        [
            "0 a 1",
            "0 a #1",
            "0 a busy",
            "0 a #2",
            "0 a down: it is down",
            "1000 a back",
            "1000 a 2",
            "1000 a #3",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn lines_without_a_time_stay_in_their_place() {
    let mut merge = Merge::new(MergeOptions::sorted());
    let of_a = vec![(None, "-"), (Some(3), "3"), (None, "3b"), (Some(5), "5")];
    merge.add("a", script([Lines(of_a)]));
    merge.add("b", script([lines(&[(1, "1"), (4, "4")])]));
    let told = told(&mut merge, 99).await;
    let lines: Vec<&str> = told
        .iter()
        .filter(|line| !line.contains('#'))
        .map(|line| &line[2..])
        .collect();
    assert_eq!(lines, ["a -", "b 1", "a 3", "a 3b", "b 4", "a 5"]);
}

#[tokio::test(start_paused = true)]
async fn a_fast_source_waits_and_a_silent_one_holds_up_nobody() {
    let mut merge = Merge::new(MergeOptions::following().capacity(2));
    let many = (0..50).map(|second| lines(&[(second, "x")]));
    merge.add("a", script(many.chain([Hang])));
    merge.add("b", script([Hang]));
    let told = told(&mut merge, 96).await;
    // At most two are held, so all but these go out at once.
    assert!(told.iter().all(|line| line.starts_with("0 a")), "{told:?}");
    assert!(merge.order.held(0) <= 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_much_does_not_hold_up_the_others() {
    let mut merge = Merge::new(MergeOptions::following().capacity(2));
    let backlog = (0..20).map(|_| lines(&[(1, "old"), (2, "old"), (3, "old")]));
    merge.add("a", script(backlog));
    merge.add("b", script([lines(&[(2, "new")])]));
    let mut shown = Vec::new();
    while !shown.contains(&"new") {
        if let Some(Merged::Item { item, .. }) = merge.next().await {
            shown.push(item);
        }
        // The sources have gone on when the next one is wanted.
        tokio::task::yield_now().await;
    }
    assert!(shown.len() < 10, "{shown:?}");
}
