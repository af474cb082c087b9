//! Downloads one file from a hub: [`download`].
//!
//! Bytes are collected in `NAME.part`, which gets its final name after its hash has been checked. A transfer that
//! breaks is resumed where it broke, or restarted if that is impossible. A download always ends, whatever a server
//! answers: attempts that bring no new bytes are counted, no more is read than the known size, and if a range is
//! answered with anything other than that range, no range is asked for again.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ureq::http::{HeaderMap, StatusCode, header};

use super::client::{Answer, Client, MAX_STALLED_ATTEMPTS, Range, broke, header_number, header_text};
use super::retry;
use crate::digest::HashingWriter;
use crate::error::{StoreError, io_error};

const CHUNK_BYTES: usize = 256 << 10;
/// The limit for one file. A connection that breaks more often is useless.
const MAX_ATTEMPTS: u32 = 200;

/// Called with the bytes done and, if it is known, the total. An error stops the download.
pub(super) type OnBytes<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> Result<(), StoreError>;

/// The file to download, and what is known about it.
pub(super) struct RemoteFile<'a> {
    pub(super) url: &'a str,
    /// The file's name in messages.
    pub(super) what: &'a str,
    pub(super) sha256: Option<&'a str>,
    pub(super) n_bytes: Option<u64>,
    /// The limit if no size is known.
    pub(super) max_bytes: u64,
}

/// A file that was downloaded.
pub(super) struct Downloaded {
    pub(super) sha256: String,
    pub(super) n_bytes: u64,
    /// The etag that the hub gave for the file, without quotes.
    pub(super) etag: Option<String>,
}

/// Downloads to `path`, which appears once the file is complete and its hash is right.
pub(super) fn download(
    client: &Client,
    file: &RemoteFile<'_>,
    path: &Path,
    on_bytes: OnBytes<'_>,
) -> Result<Downloaded, StoreError> {
    let mut part_name = path.file_name().unwrap_or_default().to_owned();
    part_name.push(".part");
    let part = path.with_file_name(part_name);
    // Without a hash, nothing would show that a resumed file consists of two halves of different files.
    if file.sha256.is_none() {
        remove_if_there(&part)?;
    }
    let writer = HashingWriter::reopen(&part).map_err(io_error("open", &part))?;
    let transfer = Transfer {
        client,
        file,
        is_pieced: writer.n_bytes() > 0,
        may_resume: true,
        part,
        writer,
        sha256: file.sha256.map(str::to_owned),
        total: file.n_bytes,
        etag: None,
        named: None,
    };
    transfer.run(path, on_bytes)
}

struct Transfer<'a> {
    client: &'a Client,
    file: &'a RemoteFile<'a>,
    part: PathBuf,
    writer: HashingWriter<File>,
    /// The hash that the file must have, once the caller or the hub has given one.
    sha256: Option<String>,
    total: Option<u64>,
    /// The etag of the answer that the bytes in the part came from.
    etag: Option<String>,
    /// The etag that the hub gave for the file, which the server of its bytes need not share.
    named: Option<String>,
    /// Whether the bytes in the part came in more than one answer.
    is_pieced: bool,
    may_resume: bool,
}

impl Transfer<'_> {
    fn run(mut self, path: &Path, on_bytes: OnBytes<'_>) -> Result<Downloaded, StoreError> {
        if self.total.is_some_and(|it| it < self.writer.n_bytes()) {
            self.restart()?;
        }
        let mut furthest = self.writer.n_bytes();
        let (mut n_stalled, mut n_attempts) = (0, 0);
        loop {
            let broken = if self.total == Some(self.writer.n_bytes()) {
                None
            } else {
                n_attempts += 1;
                match self.attempt(on_bytes) {
                    Ok(()) if self.total.is_none_or(|it| it == self.writer.n_bytes()) => None,
                    Ok(()) => Some(self.too_short()),
                    // What the hub says is final; a problem of the network may pass.
                    Err(err @ (StoreError::HubBroke { .. } | StoreError::HubUnreachable { .. })) => Some(err),
                    Err(err) => return Err(err),
                }
            };
            let Some(err) = broken else {
                match self.mismatch() {
                    None => return self.publish(path),
                    Some(err) if self.is_pieced => {
                        tracing::warn!("{}: starting over", first_line(&err));
                        self.restart()?;
                        self.may_resume = false;
                        furthest = 0;
                        continue;
                    }
                    Some(err) => {
                        remove_if_there(&self.part)?;
                        return Err(err);
                    }
                }
            };
            // Bytes that came before and were thrown away do not count as new.
            n_stalled = if self.writer.n_bytes() > furthest { 0 } else { n_stalled + 1 };
            furthest = furthest.max(self.writer.n_bytes());
            if n_stalled >= MAX_STALLED_ATTEMPTS || n_attempts >= MAX_ATTEMPTS {
                return Err(err);
            }
            tracing::debug!(%err, what = self.file.what, "resuming the transfer");
            self.client.wait(retry::pause(n_stalled.max(1)));
        }
    }

    /// Appends to the part until the body ends or the connection breaks.
    fn attempt(&mut self, on_bytes: OnBytes<'_>) -> Result<(), StoreError> {
        let mut answer = self.ask(if self.may_resume { self.writer.n_bytes() } else { 0 })?;
        if answer.response.status() != StatusCode::OK && !self.is_continued(&answer) {
            tracing::debug!(
                what = self.file.what,
                "the server did not send the range; asking for the whole file"
            );
            self.may_resume = false;
            answer = self.ask(0)?;
        }
        if answer.response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // The part is complete, and `total` says so now.
            return Ok(());
        }
        let is_whole = answer.response.status() == StatusCode::OK;
        let headers = answer.response.headers();
        let sent = header_number(headers, header::CONTENT_LENGTH);
        if is_whole {
            let said = answer.n_bytes.or(sent);
            if let (Some(total), Some(got)) = (self.total, sent.filter(|it| Some(*it) != said).or(said))
                && total != got
            {
                return Err(self.unexpected(format!("a file of {got} bytes, expected {total}")));
            }
            self.total = self.total.or(said);
            self.etag = strong_etag(headers);
            if self.writer.n_bytes() > 0 {
                self.restart()?;
            }
        } else {
            self.is_pieced = true;
        }
        let limit = self.total.unwrap_or(self.file.max_bytes);
        let mut body = answer.response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let n_bytes = body.read(&mut chunk).map_err(|err| broke(self.file.url, &err))?;
            if n_bytes == 0 {
                return Ok(());
            }
            if self.writer.n_bytes() + n_bytes as u64 > limit {
                remove_if_there(&self.part)?;
                return Err(self.unexpected(format!("more than the {limit} bytes of the file")));
            }
            self.writer.write_all(&chunk[..n_bytes]).map_err(io_error("write", &self.part))?;
            on_bytes(self.writer.n_bytes(), self.total)?;
        }
    }

    /// Asks for the file from `start` on, and learns its hash from the answer.
    fn ask(&mut self, start: u64) -> Result<Answer, StoreError> {
        // With a hash, two halves of different files are detected at the end; without one, the etag must match now.
        let of = self.etag.as_deref();
        let start = if self.sha256.is_none() && of.is_none() { 0 } else { start };
        let answer = self.client.get(self.file.url, self.file.what, Range { start, of })?;
        self.named = self.named.take().or_else(|| answer.etag.clone());
        if start == 0 && answer.response.status() != StatusCode::OK {
            let status = answer.response.status().as_u16();
            return Err(self.unexpected(format!("status {status} to a request for the whole file")));
        }
        match (&self.sha256, &answer.sha256) {
            // Fails before gigabytes have been downloaded.
            (Some(expected), Some(got)) if expected != got => {
                return Err(StoreError::HashMismatch {
                    what: self.file.what.to_owned(),
                    expected: expected.clone(),
                    got: got.clone(),
                });
            }
            (None, Some(got)) => self.sha256 = Some(got.clone()),
            _ => {}
        }
        Ok(answer)
    }

    /// Whether the answer continues the part: the range that was asked for, of the same file; or the part is complete.
    fn is_continued(&mut self, answer: &Answer) -> bool {
        let headers = answer.response.headers();
        let Some(range) = ContentRange::read(headers) else { return false };
        let offset = self.writer.n_bytes();
        let total = range.total.or(self.total);
        if total != self.total.or(total) {
            return false;
        }
        match range.start {
            None => {
                let is_complete = range.total == Some(offset);
                if is_complete {
                    self.total = range.total;
                }
                is_complete
            }
            Some(start) => {
                let sent = header_number(headers, header::CONTENT_LENGTH);
                let rest = total.map(|it| it.saturating_sub(offset));
                let is_same = match (&self.etag, strong_etag(headers)) {
                    (Some(a), Some(b)) => *a == b,
                    _ => true,
                };
                let is_it = answer.response.status() == StatusCode::PARTIAL_CONTENT
                    && start == offset
                    && (sent.is_none() || rest.is_none() || sent <= rest)
                    && is_same;
                if is_it {
                    self.total = total;
                }
                is_it
            }
        }
    }

    fn restart(&mut self) -> Result<(), StoreError> {
        remove_if_there(&self.part)?;
        self.writer = HashingWriter::reopen(&self.part).map_err(io_error("create", &self.part))?;
        self.is_pieced = false;
        Ok(())
    }

    /// The error if the complete part has the wrong hash.
    fn mismatch(&self) -> Option<StoreError> {
        let expected = self.sha256.as_ref()?;
        let got = self.writer.sha256();
        let what = self.file.what.to_owned();
        (got != *expected).then(|| StoreError::HashMismatch { what, expected: expected.clone(), got })
    }

    fn publish(self, path: &Path) -> Result<Downloaded, StoreError> {
        let (file, sha256, n_bytes) = self.writer.finish();
        file.sync_all().map_err(io_error("write", &self.part))?;
        fs::rename(&self.part, path).map_err(io_error("create", path))?;
        Ok(Downloaded { sha256, n_bytes, etag: self.named })
    }

    fn too_short(&self) -> StoreError {
        StoreError::SizeMismatch {
            what: self.file.what.to_owned(),
            expected: self.total.unwrap_or_default(),
            got: self.writer.n_bytes(),
        }
    }

    fn unexpected(&self, reason: String) -> StoreError {
        StoreError::HubAnswer { what: self.file.what.to_owned(), reason }
    }
}

/// The `Content-Range` header: `bytes 100-199/200` starts at 100 of 200 bytes; `bytes */200` is no part of 200 bytes.
struct ContentRange {
    start: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let text = header_text(headers, header::CONTENT_RANGE)?.trim();
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let start = match range.trim() {
            "*" => None,
            range => Some(range.split_once('-')?.0.trim().parse().ok()?),
        };
        Some(Self { start, total: total.trim().parse().ok() })
    }
}

/// A weak etag does not guarantee that the bytes are the same.
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    header_text(headers, header::ETAG).filter(|it| it.starts_with('"')).map(str::to_owned)
}

fn first_line(err: &StoreError) -> String {
    err.to_string().lines().next().unwrap_or_default().to_owned()
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", path)(err)),
        _ => Ok(()),
    }
}
