//! The first line in each direction of a connection between a front end and the process that shares its model, and the
//! last bytes.
//!
//! A line of JSON each way; then the client's bytes follow as they are, in both directions. At the end comes a zero byte,
//! which no message contains, and the code with which the front end shall exit.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::front_end::{FrontEnd, Service};

/// What stands before the exit code. JSON has no such byte, and neither have the headers of frames.
pub(super) const FAREWELL: u8 = 0;

/// How long the other side may take for its line.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest line. A front end names folders, of which there are few.
const MAX_BYTES: u64 = 1 << 20;

/// What is wanted of the process that shares a model.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wish {
    /// That it serves a client.
    Serve(FrontEnd),
    /// That it says what it is and whom it serves.
    Describe,
}

/// What it answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Serving,
    Description(Description),
}

/// A process that shares a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) pid: u32,
    pub(crate) model: String,
    /// What its clients have started.
    pub(crate) clients: Vec<Service>,
}

/// Introduces a front end, and returns the connection once it is served.
pub(super) async fn introduce(stream: UnixStream, front: &FrontEnd) -> Result<UnixStream> {
    let (stream, answer) = ask(stream, &Wish::Serve(front.clone())).await?;
    match answer {
        Answer::Serving => Ok(stream),
        Answer::Description(_) => bail!("the shared process answered something else"),
    }
}

/// What the process at the other end says about itself.
pub(super) async fn describe(stream: UnixStream) -> Result<Description> {
    match ask(stream, &Wish::Describe).await?.1 {
        Answer::Description(description) => Ok(description),
        Answer::Serving => bail!("the shared process answered something else"),
    }
}

async fn ask(mut stream: UnixStream, wish: &Wish) -> Result<(UnixStream, Answer)> {
    let asked = async {
        write(&mut stream, wish).await?;
        // Byte by byte, since what follows the line is not ours to read.
        let mut line = Vec::new();
        loop {
            match stream.read_u8().await? {
                b'\n' => break,
                _ if line.len() as u64 >= MAX_BYTES => bail!("its first line is too long"),
                byte => line.push(byte),
            }
        }
        Ok(serde_json::from_slice(&line)?)
    };
    let answer = timeout(PATIENCE, asked).await.context("it does not answer")??;
    Ok((stream, answer))
}

/// Reads what a front end wants.
pub(super) async fn listen(input: &mut (impl AsyncBufRead + Unpin)) -> Result<Wish> {
    let mut line = Vec::new();
    let mut limited = input.take(MAX_BYTES);
    timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await.context("no first line came")??;
    serde_json::from_slice(&line).context("the first line is not understood")
}

pub(super) async fn write(stream: &mut (impl AsyncWriteExt + Unpin), line: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await?;
    Ok(())
}
