//! Several things at once, in the task of whoever waits for them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::Result;

/// Does all of it, so many at a time, and gives the results in order; the first error ends it. Dropping it drops
/// everything under way at once, which tasks of their own would not allow.
pub(super) async fn all<T, F: Future<Output = Result<T>>>(
    at_once: usize,
    work: Vec<F>,
) -> Result<Vec<T>> {
    let mut work = work.into_iter();
    let mut results: Vec<Option<T>> = Vec::new();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    poll_fn(|context| {
        loop {
            while running.len() < at_once
                && let Some(next) = work.next()
            {
                running.push((results.len(), Box::pin(next)));
                results.push(None);
            }
            let before = running.len();
            let mut index = 0;
            while let Some((place, future)) = running.get_mut(index) {
                match future.as_mut().poll(context) {
                    Poll::Ready(Ok(result)) => {
                        results[*place] = Some(result);
                        running.swap_remove(index);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => index += 1,
                }
            }
            if running.is_empty() && before == 0 {
                return Poll::Ready(Ok(()));
            }
            // What came to its end makes room for the next, which has to be polled once.
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await?;
    Ok(results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::{Error, ErrorKind};

    #[tokio::test(start_paused = true)]
    async fn results_are_in_order_and_no_more_run_than_may() {
        let running = Cell::new(0);
        let work = (0..20_u64).map(|n| {
            let running = &running;
            async move {
                running.set(running.get() + 1);
                assert!(running.get() <= 3);
                sleep(Duration::from_millis(n * 7 % 5)).await;
                running.set(running.get() - 1);
                Ok(n)
            }
        });
        let work = work.collect();
        let results = all(3, work).await.expect("nothing fails");
        assert_eq!(results, (0..20).collect::<Vec<_>>());
        let none: Vec<std::future::Ready<Result<()>>> = Vec::new();
        assert_eq!(all(3, none).await.expect("nothing to do"), []);
    }

    #[tokio::test]
    async fn the_first_error_ends_it() {
        let begun = Cell::new(0);
        let work = (0..100).map(|n| {
            let begun = &begun;
            async move {
                begun.set(begun.get() + 1);
                match n {
                    5 => Err(Error::new(ErrorKind::Local, "no")),
                    _ => Ok(()),
                }
            }
        });
        let work = work.collect();
        all(2, work).await.expect_err("one fails");
        assert!(begun.get() < 10);
    }
}
