//! One line of the report: [`Check`].

use std::fmt::Write;

use serde::Serialize;

/// How a check came out, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Ok,
    Warning,
    Error,
}

/// What was looked at, what was found, and what to do if it is not well.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) status: Status,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn warning(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warning, remedy: Some(remedy.into()), ..Self::ok(name, found) }
    }

    /// The remedy is the hint of the error, if it has one.
    pub(super) fn error(name: &'static str, error: &str) -> Self {
        let (found, hint) = error.split_once("\nhint: ").map_or((error, None), |it| (it.0, Some(it.1)));
        let remedy = hint.map(|it| it.replace("\nhint: ", "; "));
        Self { status: Status::Error, remedy, ..Self::ok(name, found) }
    }

    /// As a line for a person, with the remedy below it.
    pub(super) fn line(&self) -> String {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Error => "error",
        };
        let mut line = format!("{status:<8} {:<12} {}\n", self.name, self.found.replace('\n', " "));
        if let Some(remedy) = &self.remedy {
            let _ = writeln!(line, "{:<21} hint: {remedy}", "");
        }
        line
    }
}

/// A size for people.
pub(super) fn gigabytes(n_bytes: u64) -> String {
    match n_bytes as f64 {
        small if small < 1e6 => format!("{:.0} kB", small / 1e3),
        middle if middle < 1e9 => format!("{:.0} MB", middle / 1e6),
        large => format!("{:.1} GB", large / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_remedy_below_it() {
        let check = Check::error("model", "no such file\nhint: pull it\nhint: or choose another");
        assert_eq!(
            check.line(),
            "error    model        no such file\n                      hint: pull it; or choose another\n"
        );
        assert_eq!(Check::ok("memory", "fine").line(), "ok       memory       fine\n");
    }

    #[test]
    fn the_worst_check_decides() {
        assert!(Status::Error > Status::Warning && Status::Warning > Status::Ok);
    }
}
