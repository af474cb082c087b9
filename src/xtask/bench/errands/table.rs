//! The table of results, in Markdown.

use std::fmt::Write as _;

use super::kept::Kept;
use super::set::{Errand, Kind, Way};

/// For each model and way, the shares that came out right: of each kind, of all, and of those that were held out; and
/// how many of the others said themselves that they failed.
pub(super) fn table(models: &[String], errands: &[&Errand], kept: &Kept) -> String {
    let mut table = "\n| model | asked by |".to_owned();
    let of_kind = |kind: Kind| errands.iter().copied().filter(move |it| it.kind == kind);
    let kinds: Vec<(Kind, &str)> =
        Kind::ALL.into_iter().filter(|(kind, _)| of_kind(*kind).next().is_some()).collect();
    for (_, name) in &kinds {
        // Writing to a string cannot fail.
        let _ = write!(table, " {name} |");
    }
    table.push_str(" all | held out | failed and said so |\n|---|---|");
    table.push_str(&"---|".repeat(kinds.len() + 3));
    table.push('\n');
    for model in models {
        for way in Way::ALL {
            let outcomes = |chosen: Vec<&Errand>| {
                let found: Vec<_> = chosen.iter().filter_map(|it| kept.outcome(model, way, it)).collect();
                let n_right = found.iter().filter(|it| it.why_wrong.is_none()).count();
                let n_owned_up = found.iter().filter(|it| it.why_wrong.is_some() && it.is_owned_up).count();
                (n_right, n_owned_up, found.len())
            };
            let (n_right, n_owned_up, n_all) = outcomes(errands.to_vec());
            if n_all == 0 {
                continue;
            }
            let _ = write!(table, "| {model} | {} |", way.name());
            for (kind, _) in &kinds {
                let (n_right, _, n) = outcomes(of_kind(*kind).collect());
                let _ = write!(table, " {n_right}/{n} |");
            }
            let held_out = outcomes(errands.iter().copied().filter(|it| it.held_out).collect());
            let _ = writeln!(
                table,
                " {n_right}/{n_all} | {}/{} | {n_owned_up}/{} |",
                held_out.0,
                held_out.2,
                n_all - n_right
            );
        }
    }
    table
}
