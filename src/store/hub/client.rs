//! HTTP against a hub: redirects followed by hand, downloads that resume, hashes checked while bytes arrive.
//!
//! By hand, because the hub says what a file is (`x-repo-commit`, `x-linked-etag`, `x-linked-size`) in the redirect and not where
//! it leads, and because the token must not follow to another host.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::{HubOptions, OnBytes};
use crate::digest::HashingWriter;
use crate::error::{StoreError, io_error};

/// A hub that has accepted the connection and says nothing for so long is as good as absent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Without a byte for so long a transfer is taken up anew.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Interruptions in a row without a byte in between.
const MAX_VAIN_ATTEMPTS: usize = 3;
const MAX_REDIRECTS: usize = 6;
/// Listings of the largest repositories have a few megabytes.
const MAX_JSON_BYTES: u64 = 64 << 20;
const CHUNK_BYTES: usize = 256 << 10;

pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    /// The value of the header.
    authorization: Option<String>,
}

/// An answer, and what the redirects on the way to it said.
struct Answer {
    response: Response<Body>,
    sha256: Option<String>,
    n_bytes: Option<u64>,
}

impl Client {
    pub(super) fn new(options: &HubOptions) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(options.connect_timeout))
            .timeout_connect(Some(options.connect_timeout))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .user_agent(concat!("runabout/", env!("CARGO_PKG_VERSION")))
            // Behind a company's proxy only the machine's own certificates work.
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .build();
        Self {
            agent: config.into(),
            endpoint: options.endpoint.parse().unwrap_or_default(),
            authorization: options.token.as_ref().map(|it| format!("Bearer {it}")),
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self, url: &str, what: &str) -> Result<T, StoreError> {
        let mut answer = self.get(url, what, 0)?;
        let text = answer
            .response
            .body_mut()
            .with_config()
            .limit(MAX_JSON_BYTES)
            .read_to_vec()
            .map_err(|err| unreachable(url, &err))?;
        serde_json::from_slice(&text).map_err(|err| StoreError::HubAnswer {
            what: what.to_owned(),
            reason: format!("something that is not the expected JSON ({err})"),
        })
    }

    /// Downloads to `path`, which appears when it is complete and its hash is right. Returns hash and length.
    pub(super) fn download(
        &self,
        url: &str,
        what: &str,
        path: &Path,
        expected: Option<&str>,
        listed_bytes: Option<u64>,
        on_bytes: OnBytes<'_>,
    ) -> Result<(String, u64), StoreError> {
        let mut part_name = path.file_name().unwrap_or_default().to_owned();
        part_name.push(".part");
        let part = path.with_file_name(part_name);
        // Without a hash nothing would tell that a resumed file is two halves of different ones.
        if expected.is_none() {
            remove_if_there(&part)?;
        }
        let mut writer = HashingWriter::reopen(&part).map_err(io_error("open", &part))?;
        let mut expected = expected.map(str::to_owned);
        let mut total = listed_bytes;
        let mut n_vain = 0;
        while total.is_none_or(|it| writer.n_bytes() < it) {
            let before = writer.n_bytes();
            let outcome = self.transfer(url, what, &part, &mut writer, &mut expected, &mut total, on_bytes);
            n_vain = if writer.n_bytes() > before { 0 } else { n_vain + 1 };
            match outcome {
                Ok(()) if total.is_none() => break,
                Ok(()) => {}
                // What the hub says stands; what the network does may pass.
                Err(err @ StoreError::HubUnreachable { .. }) if n_vain < MAX_VAIN_ATTEMPTS => {
                    tracing::debug!(%err, what, "taking the transfer up again");
                }
                Err(err) => return Err(err),
            }
            if n_vain >= MAX_VAIN_ATTEMPTS {
                break;
            }
        }
        let (file, sha256, n_bytes) = writer.finish();
        let what = what.to_owned();
        if let Some(total) = total.filter(|it| *it != n_bytes) {
            if n_bytes > total {
                remove_if_there(&part)?;
            }
            return Err(StoreError::SizeMismatch { what, expected: total, got: n_bytes });
        }
        if let Some(expected) = expected.filter(|it| *it != sha256) {
            remove_if_there(&part)?;
            return Err(StoreError::HashMismatch { what, expected, got: sha256 });
        }
        file.sync_all().map_err(io_error("write", &part))?;
        fs::rename(&part, path).map_err(io_error("create", path))?;
        Ok((sha256, n_bytes))
    }

    /// One attempt: appends to `writer` until the body ends or breaks.
    #[expect(clippy::too_many_arguments, reason = "the state of one download, borrowed for one attempt")]
    fn transfer(
        &self,
        url: &str,
        what: &str,
        part: &Path,
        writer: &mut HashingWriter<fs::File>,
        expected: &mut Option<String>,
        total: &mut Option<u64>,
        on_bytes: OnBytes<'_>,
    ) -> Result<(), StoreError> {
        let answer = self.get(url, what, writer.n_bytes())?;
        match (expected.as_ref(), answer.sha256) {
            // Known before a gigabyte has come.
            (Some(expected), Some(got)) if *expected != got => {
                return Err(StoreError::HashMismatch {
                    what: what.to_owned(),
                    expected: expected.clone(),
                    got,
                });
            }
            (None, Some(got)) => *expected = Some(got),
            _ => {}
        }
        let is_continued = answer.response.status() == StatusCode::PARTIAL_CONTENT
            && content_range_start(&answer.response) == Some(writer.n_bytes());
        if !is_continued && writer.n_bytes() > 0 {
            remove_if_there(part)?;
            *writer = HashingWriter::reopen(part).map_err(io_error("create", part))?;
        }
        let body_end =
            header_number(&answer.response, header::CONTENT_LENGTH).map(|it| it + writer.n_bytes());
        *total = answer.n_bytes.or(*total).or(body_end);

        let mut body = answer.response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let n_bytes = body.read(&mut chunk).map_err(|err| unreachable(url, &err))?;
            if n_bytes == 0 {
                return Ok(());
            }
            writer.write_all(&chunk[..n_bytes]).map_err(io_error("write", part))?;
            on_bytes(writer.n_bytes(), *total);
        }
    }

    /// Follows redirects to an answer with a body; other statuses are errors.
    fn get(&self, url: &str, what: &str, offset: u64) -> Result<Answer, StoreError> {
        let mut uri: Uri = url.parse().map_err(|err| unreachable(url, &err))?;
        let (mut sha256, mut n_bytes) = (None, None);
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.agent.get(&uri);
            if offset > 0 {
                request = request.header(header::RANGE, format!("bytes={offset}-"));
            }
            if let Some(authorization) = self.authorization.as_ref().filter(|_| self.is_endpoint(&uri)) {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let response = request.call().map_err(|err| unreachable(url, &err))?;
            if self.is_endpoint(&uri) {
                sha256 = sha256.or_else(|| linked_sha256(&response));
                n_bytes = n_bytes.or_else(|| header_number(&response, "x-linked-size"));
            }
            let status = response.status();
            if status.is_success() {
                return Ok(Answer { response, sha256, n_bytes });
            }
            if !status.is_redirection() {
                return Err(refusal(&response, what));
            }
            uri = redirected(&uri, &response).ok_or_else(|| StoreError::HubAnswer {
                what: what.to_owned(),
                reason: "a redirect to nowhere".to_owned(),
            })?;
        }
        Err(StoreError::HubAnswer { what: what.to_owned(), reason: "too many redirects".to_owned() })
    }

    fn is_endpoint(&self, uri: &Uri) -> bool {
        uri.authority() == self.endpoint.authority() && uri.scheme() == self.endpoint.scheme()
    }
}

fn refusal(response: &Response<Body>, what: &str) -> StoreError {
    let what = what.to_owned();
    // The hub answers 401 for repositories that do not exist, and tells the difference here.
    match (response.status().as_u16(), header_text(response, "x-error-code")) {
        (404, _) | (_, Some("RepoNotFound" | "RevisionNotFound" | "EntryNotFound")) => {
            StoreError::HubNotFound { what }
        }
        (status @ (401 | 403), _) => StoreError::HubRefused { what, status },
        (status, _) => StoreError::HubAnswer { what, reason: format!("status {status}") },
    }
}

/// Absolute, or on the same host; never from https to http.
fn redirected(from: &Uri, response: &Response<Body>) -> Option<Uri> {
    let location = header_text(response, header::LOCATION)?;
    let to: Uri = if location.starts_with('/') && !location.starts_with("//") {
        format!("{}://{}{location}", from.scheme_str()?, from.authority()?).parse().ok()?
    } else {
        location.parse().ok()?
    };
    let is_downgrade = from.scheme_str() == Some("https") && to.scheme_str() != Some("https");
    (to.authority().is_some() && !is_downgrade).then_some(to)
}

/// The etag of an LFS file is its SHA-256; of other files it is a git hash.
fn linked_sha256(response: &Response<Body>) -> Option<String> {
    let etag = header_text(response, "x-linked-etag").or_else(|| header_text(response, header::ETAG))?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    let is_sha256 = etag.len() == 64 && etag.chars().all(|it| it.is_ascii_hexdigit());
    is_sha256.then(|| etag.to_ascii_lowercase())
}

/// `bytes 100-199/200` begins at 100.
fn content_range_start(response: &Response<Body>) -> Option<u64> {
    header_text(response, header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn header_number(response: &Response<Body>, name: impl header::AsHeaderName) -> Option<u64> {
    header_text(response, name)?.parse().ok()
}

fn header_text(response: &Response<Body>, name: impl header::AsHeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

fn unreachable(url: &str, err: &dyn std::fmt::Display) -> StoreError {
    StoreError::HubUnreachable { url: url.to_owned(), reason: err.to_string() }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", path)(err)),
        _ => Ok(()),
    }
}
