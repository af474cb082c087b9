//! A front end at work: its client's bytes go to the process that shares the model, and that one's come back.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::greeting::FAREWELL;
use crate::ending::{ENGINE_DIED, signals};
use crate::hang_up;

const CHUNK: usize = 64 << 10;

/// How long what the client has written before it closed its end may take to be passed on.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long the rest may take. A client that neither reads nor closes both ends must not hold us.
const LAST_ANSWERS: Duration = Duration::from_millis(850);

/// Relays between the client on stdin and `output` and the shared process until one of them ends, and returns the exit
/// code.
pub(crate) async fn relay(stream: UnixStream, output: impl AsyncWrite + Unpin) -> Result<i32> {
    let stopped = signals()?;
    let (from, mut to) = stream.into_split();
    let (closed, has_closed) = oneshot::channel();
    tokio::spawn(async move {
        let mut input = tokio::io::stdin();
        let unread = async {
            // While the shared process has no room, the end of the input cannot be reached by reading.
            hang_up::stdin_closed().await;
            sleep(LAST_WORDS).await;
        };
        tokio::select! {
            // If the other side ends first, that is seen in the other direction.
            _ = copy(&mut input, &mut to) => {}
            () = unread => {}
            () = stopped => {}
        }
        // The shared process then ends the connection, as a process of its own does when its stdin is closed.
        let _ = to.shutdown().await;
        let _ = closed.send(());
    });
    let too_long = async {
        let _ = has_closed.await;
        sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        code = deliver(from, output) => code,
        () = too_long => {
            tracing::warn!("the client does not read: the last messages are lost");
            Ok(0)
        }
    }
}

/// Writes what comes to the client, up to the farewell, and returns the code in that.
async fn deliver(mut from: impl AsyncRead + Unpin, mut output: impl AsyncWrite + Unpin) -> Result<i32> {
    let mut buffer = vec![0; CHUNK];
    loop {
        // Where reading fails, the process at the other end is gone.
        let n = from.read(&mut buffer).await.unwrap_or(0);
        let said = &buffer[..n];
        let text = said.split(|it| *it == FAREWELL).next().unwrap_or_default();
        if !text.is_empty() {
            let written = output.write_all(text).await;
            if written.is_err() || output.flush().await.is_err() {
                // The client has left.
                return Ok(0);
            }
        }
        if text.len() < n {
            let code = match said.get(text.len() + 1) {
                Some(code) => *code,
                None => from.read_u8().await.context("no exit code came")?,
            };
            return Ok(i32::from(code));
        }
        if n == 0 {
            tracing::error!("the process with the model ended unexpectedly");
            return Ok(ENGINE_DIED);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::duplex;

    use super::*;

    /// What the client gets of these pieces, and the exit code.
    async fn delivered(pieces: &[&[u8]]) -> (Vec<u8>, i32) {
        let (mut to, from) = duplex(1 << 10);
        let (output, mut client) = duplex(1 << 10);
        let sending = async {
            for piece in pieces {
                to.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(to);
        };
        let (code, ()) = tokio::join!(deliver(from, output), sending);
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        (got, code.unwrap())
    }

    #[tokio::test]
    async fn everything_before_the_farewell_reaches_the_client_however_it_is_cut() {
        assert_eq!(delivered(&[b"a\n", b"b\n\0\x01"]).await, (b"a\nb\n".to_vec(), 1));
        assert_eq!(delivered(&[b"a\n", b"\0", b"\x46"]).await, (b"a\n".to_vec(), 70));
        assert_eq!(delivered(&[b"\0\0"]).await, (Vec::new(), 0));
    }

    #[tokio::test]
    async fn an_end_without_a_farewell_is_a_failure() {
        assert_eq!(delivered(&[b"a\n"]).await, (b"a\n".to_vec(), ENGINE_DIED));
    }
}
