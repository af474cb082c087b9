//! Messages over a stream of bytes: four bytes with the length, then the message.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A longer message is a fault. The longest real ones say which tokens may be drawn, some kilobytes for each draft.
const MAX_BYTES: u32 = 256 << 20;
/// The same for the first messages, whose sender may be anybody.
const MAX_JSON_BYTES: u32 = 1 << 20;

/// A message as a frame.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let frame = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    with_length(frame)
}

/// The same in JSON, which versions of the program that differ can still read.
pub(crate) fn encode_json(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    with_length(frame)
}

fn with_length(mut frame: Vec<u8>) -> io::Result<Vec<u8>> {
    let length = u32::try_from(frame.len() - 4).ok().filter(|it| *it <= MAX_BYTES);
    let length = length.ok_or_else(|| io::Error::other("a message is too long"))?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

pub(crate) fn write(to: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    to.write_all(frame)?;
    to.flush()
}

pub(crate) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    postcard::from_bytes(&read_bytes(from, MAX_BYTES)?)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

pub(crate) fn read_json<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    Ok(serde_json::from_slice(&read_bytes(from, MAX_JSON_BYTES)?)?)
}

/// Reads no byte beyond the frame.
fn read_bytes(from: &mut impl Read, max: u32) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    let mut bytes = Vec::new();
    // Grows as bytes arrive, whatever the length says.
    from.take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}
