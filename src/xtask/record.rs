//! `cargo xtask record`: makes anew what the documents show of real sessions.
//!
//! That is the picture in `README.md`, a completion as it streams ([`Recording`]), and the examples in
//! `protocol/README.md` ([`examples`]). A test asks the worker again what the picture shows, so that it cannot grow old.

mod drawing;
mod examples;
mod recording;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use self::recording::Recording;
use crate::cargo::build_worker;
use crate::client::Client;

const MODEL: &str = "qwen2.5-coder-0.5b";
const PICTURE: &str = ".github/completion.svg";
const PROTOCOL: &str = "protocol/README.md";

pub(crate) fn run(root: &Path) -> Result<()> {
    let worker = build_worker(root)?;
    let status = Command::new(&worker).args(["models", "pull", MODEL]).status()?;
    ensure!(status.success(), "cannot fetch `{MODEL}`");

    let recording = Recording::make(Client::start(&worker, MODEL)?, MODEL)?;
    write(root, PICTURE, &drawing::svg(&recording)?)?;

    let page = read(root, PROTOCOL)?;
    write(root, PROTOCOL, &examples::renewed(&page, Client::start(&worker, MODEL)?)?)
}

fn read(root: &Path, file: &str) -> Result<String> {
    fs::read_to_string(root.join(file)).with_context(|| format!("cannot read `{file}`"))
}

fn write(root: &Path, file: &str, text: &str) -> Result<()> {
    fs::write(root.join(file), text).with_context(|| format!("cannot write `{file}`"))?;
    println!("wrote {file}");
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_drawn_from_the_recording_in_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let picture = read(root, PICTURE).unwrap();
        let recording = drawing::recording_in(&picture).unwrap();
        assert!(
            drawing::svg(&recording).unwrap() == picture,
            "`{PICTURE}` is not what is drawn today\nhint: `cargo xtask record`"
        );
    }
}
