//! Whether models can be fetched: the hub, and the package index that pip is configured for.
//!
//! A machine without either can still use what it has, so nothing here is an error.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::check::Check;
use crate::loading::store_options;

/// How long a person should wait for a host that does not answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// pip's own start takes a second or two.
const PATIENCE_WITH_PIP: Duration = Duration::from_secs(12);
const REMEDY: &str = "what is on this machine works; `--offline` saves the waiting";
/// Named models are in packages too.
const REMEDY_FOR_HUB: &str = "what is on this machine works, and named models also come from the package index; `--offline` saves the waiting";

pub(super) async fn checks() -> Vec<Check> {
    let options = store_options(false);
    let python = options.pip.python;
    if options.hub.offline {
        return vec![Check::ok("hub", "not asked, because of `HF_HUB_OFFLINE`"), index(&python).await];
    }
    let (hub, index) = tokio::join!(hub(options.hub.endpoint), index(&python));
    vec![hub, index]
}

/// Whether the hub answers at all. What it answers does not matter.
async fn hub(endpoint: String) -> Check {
    let url = endpoint.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
        Agent::new_with_config(config.build()).head(&url).call().map(|_| ())
    });
    match asked.await {
        Ok(Ok(())) => Check::ok("hub", format!("{endpoint} answers")),
        Ok(Err(error)) => Check::warning("hub", format!("{endpoint}: {error}"), REMEDY_FOR_HUB),
        Err(error) => Check::warning("hub", error.to_string(), REMEDY_FOR_HUB),
    }
}

/// Whether pip finds a package that every index has: pip itself.
async fn index(python: &std::ffi::OsStr) -> Check {
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--timeout", "3", "--retries", "0"])
        .args(["index", "versions", "pip"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match timeout(PATIENCE_WITH_PIP, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Check::ok("index", "pip reaches its package index"),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|it| it.contains("ERROR") || it.contains("No module"));
            let found = format!("pip: {}", last.unwrap_or("failed").trim());
            Check::warning("index", found, REMEDY)
        }
        Ok(Err(error)) => Check::warning(
            "index",
            format!("cannot run `{}`: {error}", python.display()),
            "models from packages need Python 3 with pip",
        ),
        Err(_) => Check::warning("index", "pip does not answer in time", REMEDY),
    }
}
