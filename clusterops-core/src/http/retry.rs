//! When to try again, and when then.

use std::time::Duration;

use super::HttpRetries;

/// What a failed attempt allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It would fail again.
    Never,
    /// The server may have acted on it.
    IfRepeatable,
    /// The server has not seen the request.
    Always,
}

/// What an answer allows: the pause that the server asks for, or our own.
///
/// With 429 a server says that it did not begin with the request (RFC 6585 section 4). 503 says no such thing: a proxy also
/// gives it for a server that was lost after it had acted, and `Retry-After` then only tells when another request makes
/// sense (RFC 9110 sections 9.2.2 and 15.6.4).
pub(super) fn after_answer(
    status: u16,
    retry_after: Option<&str>,
    repeatable: bool,
    our_pause: Duration,
) -> Option<Duration> {
    let asked = retry_after.and_then(|text| pause(text, jiff::Timestamp::now()));
    match status {
        429 if asked.is_some() => asked,
        429 | 502 | 503 | 504 if repeatable => Some(asked.unwrap_or(our_pause)),
        _ => None,
    }
}

/// Our own pause after this attempt, the first being 1.
pub(super) fn our_pause(retries: &HttpRetries, attempt: u32) -> Duration {
    let factor = 2_u32.saturating_pow(attempt.saturating_sub(1).min(20));
    let pause = retries.first_pause.saturating_mul(factor);
    pause
        .min(retries.longest_pause)
        .mul_f64(1.0 - fastrand::f64() / 2.0)
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
fn pause(text: &str, now: jiff::Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let then = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    // A date in the past asks for no pause.
    Some(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: jiff::Timestamp = "2015-10-21T07:27:30Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("-1", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(pause(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn what_may_happen_twice_is_repeated_only_where_the_server_did_not_begin() {
        let ours = Duration::from_secs(1);
        for (status, asked, repeatable, expected) in [
            (503, None, true, Some(1)),
            (503, None, false, None),
            (503, Some("7"), false, None),
            (503, Some("7"), true, Some(7)),
            (429, Some("7"), false, Some(7)),
            (429, Some("7"), true, Some(7)),
            (429, None, false, None),
            (502, Some("7"), false, None),
            (504, None, true, Some(1)),
            (500, Some("7"), true, None),
            (409, Some("7"), true, None),
            (200, None, true, None),
        ] {
            let pause = after_answer(status, asked, repeatable, ours);
            assert_eq!(
                pause,
                expected.map(Duration::from_secs),
                "{status} {asked:?}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retries = HttpRetries::default();
        for (attempt, longest) in [(1, 250), (2, 500), (3, 1000), (9, 5000), (u32::MAX, 5000)] {
            let pause = our_pause(&retries, attempt).as_millis();
            assert!(
                (longest / 2..=longest).contains(&pause),
                "{attempt}: {pause} ms"
            );
        }
    }
}
