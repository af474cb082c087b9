//! Sizes and times as people read them.

use std::time::SystemTime;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// A size in decimal units, as disks and downloads are counted: `98.4 MB`, `1.1 GB`.
pub(super) fn size(n_bytes: u64) -> String {
    let bytes = n_bytes as f64;
    match n_bytes {
        0..1_000 => format!("{n_bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

/// How long ago a time was, in days.
pub(super) fn ago(time: SystemTime) -> String {
    let days = SystemTime::now().duration_since(time).unwrap_or_default().as_secs() / DAY_SECONDS;
    match days {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    }
}

/// A number of tokens as contexts are named: `32k`.
pub(super) fn tokens(n_tokens: u64) -> String {
    if n_tokens >= 1024 && n_tokens.is_multiple_of(1024) {
        format!("{}k", n_tokens / 1024)
    } else {
        n_tokens.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_four_digits_at_most() {
        for (n_bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (98_362_432, "98.4 MB"),
            (1_117_320_768, "1.1 GB"),
            (17_000_000_000, "17.0 GB"),
        ] {
            assert_eq!(size(n_bytes), text);
        }
        assert_eq!((tokens(32_768), tokens(1000)), ("32k".to_owned(), "1000".to_owned()));
        assert_eq!(ago(SystemTime::now()), "today");
    }
}
