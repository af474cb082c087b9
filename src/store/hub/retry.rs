//! When a request to a busy hub, or a broken transfer, is tried again.
//!
//! Pauses start at one second and double. If the hub names a time (`Retry-After`) of up to a minute, it is respected;
//! if it is longer, the download fails and the user may try again later.

use std::time::Duration;

use chrono::DateTime;
use ureq::http::{HeaderMap, StatusCode, header};

/// The pause before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A longer wait ends the download with an error that says how long the hub asked for.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// How many busy answers in a row to one request are accepted.
const MAX_BUSY: u32 = 5;

/// Whether a status is temporary.
pub(super) fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The pause after `n_failures` failures in a row.
pub(super) fn pause(n_failures: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.pow(n_failures.saturating_sub(1).min(10))).min(MAX_PAUSE)
}

/// The pause after `n_busy` busy answers in a row. `Err` says why there will be no other attempt.
pub(super) fn pause_of_busy(
    n_busy: u32,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Duration, String> {
    let status = status.as_u16();
    let asked = retry_after(headers);
    match asked {
        Some(asked) if asked > MAX_PAUSE => {
            Err(format!("status {status} and asks to come back in {} seconds", asked.as_secs()))
        }
        _ if n_busy >= MAX_BUSY => Err(format!("status {status}, {n_busy} times in a row")),
        Some(asked) => Ok(asked.max(FIRST_PAUSE)),
        None => Ok(pause(n_busy)),
    }
}

/// Seconds, or a date, which is compared with the server's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|it| it.to_str().ok()).map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = DateTime::parse_from_rfc2822(asked).ok()?;
    let now = text(header::DATE).and_then(|it| DateTime::parse_from_rfc2822(it).ok());
    let now = now.map_or_else(chrono::Utc::now, Into::into);
    Some(then.signed_duration_since(now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(retry_after: &str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::RETRY_AFTER, retry_after.parse().unwrap()),
            (header::DATE, "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap()),
        ])
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let busy = |n_busy| pause_of_busy(n_busy, StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new());
        let seconds: Vec<u64> = (1..5).map(|it| busy(it).unwrap().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8]);
        assert_eq!(busy(5), Err("status 503, 5 times in a row".to_owned()));
        assert_eq!(pause(1000), MAX_PAUSE);
    }

    #[test]
    fn a_pause_that_the_hub_names_is_respected() {
        let asked = |it: &str| pause_of_busy(1, StatusCode::TOO_MANY_REQUESTS, &headers(it));
        assert_eq!(asked("7"), Ok(Duration::from_secs(7)));
        assert_eq!(asked("0"), Ok(FIRST_PAUSE));
        assert_eq!(asked("Wed, 21 Oct 2026 07:28:30 GMT"), Ok(Duration::from_secs(30)));
        assert_eq!(asked("Wed, 21 Oct 2026 07:00:00 GMT"), Ok(FIRST_PAUSE), "a date in the past");
        assert_eq!(asked("soon"), Ok(FIRST_PAUSE));
        assert_eq!(asked("3600"), Err("status 429 and asks to come back in 3600 seconds".to_owned()));
        assert!(asked("18446744073709551615").is_err());
    }
}
