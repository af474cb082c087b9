//! `runabout doctor`: looks for what could keep the program from working well, and says what to do about it.
//!
//! It downloads nothing, and changes nothing but the packed weights that loading a model keeps. Each check is a line that is ok, a warning or an error; with an error the
//! exit code is 1.

mod check;
mod machine;
mod model;
mod network;
mod places;

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use self::check::{Check, Status};
use crate::cli::DoctorArgs;
use crate::settings::SettingsFile;

#[derive(Serialize)]
struct Report<'a> {
    status: Status,
    checks: &'a [Check],
}

/// Returns the exit code.
pub(crate) async fn run(args: DoctorArgs, file: &SettingsFile) -> Result<i32> {
    let mut checks = machine::checks(&args.model);
    checks.extend(places::checks(file).await);
    if args.model.offline {
        checks.push(Check::ok("network", "not asked, because of `--offline`"));
    } else {
        checks.extend(network::checks().await);
    }
    if !args.no_model {
        checks.push(model::check(&args.model).await);
    }
    let status = checks.iter().map(|it| it.status).max().unwrap_or(Status::Ok);
    let text = if args.json {
        serde_json::to_string(&Report { status, checks: &checks })? + "\n"
    } else {
        checks.iter().map(Check::line).collect()
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(i32::from(status == Status::Error))
}
