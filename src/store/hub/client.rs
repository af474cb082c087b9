//! HTTP requests to a hub: [`Client`].
//!
//! Redirects are followed by our code, for two reasons: the hub describes a file (`x-repo-commit`, `x-linked-etag`,
//! `x-linked-size`) in the redirect and not at its target, and the token must not go to another host. A request to a
//! busy hub is repeated; any other status is final. A body is only read if it can be what was asked for.

use std::io::Read;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Response, StatusCode, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Timeout};

use super::{HubOptions, redirect, retry};
use crate::error::StoreError;
use runabout_text::model_json;

/// How long to wait for an answer after connecting.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A transfer is resumed after this time without a byte.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A download fails after this many interruptions in a row that brought no new bytes.
pub(super) const MAX_STALLED_ATTEMPTS: u32 = 3;
const MAX_REDIRECTS: usize = 6;
/// The listings of the largest repositories have a few megabytes.
const MAX_JSON_BYTES: u64 = 64 << 20;

pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    /// The value of the `Authorization` header.
    authorization: Option<String>,
    wait: super::options::Wait,
}

/// The part of a file to ask for.
#[derive(Clone, Copy, Default)]
pub(super) struct Range<'a> {
    /// The first byte; 0 asks for the whole file.
    pub(super) start: u64,
    /// The strong etag of the file that the earlier bytes belong to.
    pub(super) of: Option<&'a str>,
}

/// An answer, and what the redirects on the way said. Its status is a success, or 416 if a range was asked for.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    pub(super) sha256: Option<String>,
    pub(super) n_bytes: Option<u64>,
    /// The etag of the file, without quotes.
    pub(super) etag: Option<String>,
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
            // Behind a company's proxy, only the certificates that are installed on the machine work.
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .build();
        Self {
            agent: config.into(),
            endpoint: options.endpoint.parse().unwrap_or_default(),
            authorization: options.token.as_ref().map(|it| format!("Bearer {it}")),
            wait: options.wait.clone(),
        }
    }

    pub(super) fn wait(&self, pause: Duration) {
        (self.wait)(pause);
    }

    pub(super) fn json<T: DeserializeOwned>(&self, url: &str, what: &str) -> Result<T, StoreError> {
        let mut n_broken = 0;
        let text = loop {
            match self.text(url, what) {
                Err(StoreError::HubBroke { reason, .. }) if n_broken + 1 < MAX_STALLED_ATTEMPTS => {
                    n_broken += 1;
                    tracing::debug!(reason, what, "repeating the request");
                    self.wait(retry::pause(n_broken));
                }
                other => break other?,
            }
        };
        let unexpected = |err: &dyn std::fmt::Display| StoreError::HubAnswer {
            what: what.to_owned(),
            reason: format!("something that is not the expected JSON ({err})"),
        };
        let value = model_json::parse(&text).map_err(|err| unexpected(&err))?;
        model_json::fields(&value).map_err(|err| unexpected(&err))
    }

    fn text(&self, url: &str, what: &str) -> Result<Vec<u8>, StoreError> {
        let answer = self.get(url, what, Range::default())?;
        let mut text = Vec::new();
        let mut body = answer.response.into_body().into_reader().take(MAX_JSON_BYTES + 1);
        body.read_to_end(&mut text).map_err(|err| broke(url, &err))?;
        if text.len() as u64 > MAX_JSON_BYTES {
            let reason = format!("more than {MAX_JSON_BYTES} bytes of JSON");
            return Err(StoreError::HubAnswer { what: what.to_owned(), reason });
        }
        Ok(text)
    }

    /// Sends a request, follows redirects and waits for a busy hub. Statuses other than those of [`Answer`] are errors.
    pub(super) fn get(&self, url: &str, what: &str, range: Range<'_>) -> Result<Answer, StoreError> {
        let mut n_busy = 0;
        loop {
            let (uri, answer) = self.follow(url, what, range)?;
            let status = answer.response.status();
            let is_range_refused = status == StatusCode::RANGE_NOT_SATISFIABLE && range.start > 0;
            if status.is_success() || is_range_refused {
                check_body(&answer.response, what)?;
                return Ok(answer);
            }
            if !retry::is_busy(status) {
                return Err(self.refusal(&uri, &answer.response, what));
            }
            n_busy += 1;
            let pause = retry::pause_of_busy(n_busy, status, answer.response.headers())
                .map_err(|reason| StoreError::HubAnswer { what: what.to_owned(), reason })?;
            tracing::warn!(
                "the model hub answers `{what}` with status {}; repeating the request in {} seconds",
                status.as_u16(),
                pause.as_secs()
            );
            self.wait(pause);
        }
    }

    fn follow(&self, url: &str, what: &str, range: Range<'_>) -> Result<(Uri, Answer), StoreError> {
        let unexpected = |reason| StoreError::HubAnswer { what: what.to_owned(), reason };
        let unusable = |err: ureq::http::uri::InvalidUri| StoreError::HubUnreachable {
            url: url.to_owned(),
            reason: err.to_string(),
        };
        let mut uri: Uri = url.parse().map_err(unusable)?;
        let (mut etag, mut n_bytes) = (None, None);
        for _ in 0..=MAX_REDIRECTS {
            // A compressed body has other offsets, another length and another hash than the file.
            let mut request = self.agent.get(&uri).header(header::ACCEPT_ENCODING, "identity");
            if range.start > 0 {
                request = request.header(header::RANGE, format!("bytes={}-", range.start));
                if let Some(etag) = range.of {
                    request = request.header(header::IF_RANGE, etag);
                }
            }
            let is_endpoint = redirect::is_same_origin(&uri, &self.endpoint);
            if let Some(authorization) = self.authorization.as_ref().filter(|_| is_endpoint) {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let response = request.call().map_err(|err| failure(url, &err))?;
            if is_endpoint {
                etag = etag.or_else(|| linked_etag(response.headers()));
                n_bytes = n_bytes.or_else(|| header_number(response.headers(), "x-linked-size"));
            }
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                let sha256 = etag.as_deref().and_then(sha256_of_etag);
                return Ok((uri, Answer { response, sha256, n_bytes, etag }));
            }
            uri = redirect::target(&uri, response.headers()).map_err(unexpected)?;
        }
        Err(unexpected(format!("more than {MAX_REDIRECTS} redirects")))
    }

    fn refusal(&self, uri: &Uri, response: &Response<Body>, what: &str) -> StoreError {
        let what = what.to_owned();
        let is_endpoint = redirect::is_same_origin(uri, &self.endpoint);
        // The hub answers 401 for repositories that do not exist too; this header tells the difference.
        match (response.status().as_u16(), header_text(response.headers(), "x-error-code")) {
            (404, _) | (_, Some("RepoNotFound" | "RevisionNotFound" | "EntryNotFound")) => {
                StoreError::HubNotFound { what }
            }
            (status @ (401 | 403), _) if is_endpoint => {
                StoreError::HubRefused { what, status, has_token: self.authorization.is_some() }
            }
            (511, _) => StoreError::HubPage { what },
            (status, _) if is_endpoint => StoreError::HubAnswer { what, reason: format!("status {status}") },
            (status, _) => {
                let host = uri.host().unwrap_or_default();
                StoreError::HubAnswer { what, reason: format!("status {status} from `{host}`") }
            }
        }
    }
}

/// Refuses a body that cannot be what was asked for, before any of it is stored.
fn check_body(response: &Response<Body>, what: &str) -> Result<(), StoreError> {
    let text = |name| header_text(response.headers(), name).unwrap_or_default().trim().to_ascii_lowercase();
    let kind = text(header::CONTENT_TYPE);
    if response.status().is_success()
        && ["text/html", "application/xhtml"].iter().any(|it| kind.starts_with(it))
    {
        return Err(StoreError::HubPage { what: what.to_owned() });
    }
    match text(header::CONTENT_ENCODING).as_str() {
        "" | "identity" => Ok(()),
        packed => {
            let reason = format!("`Content-Encoding: {packed}`, though the plain file was asked for");
            Err(StoreError::HubAnswer { what: what.to_owned(), reason })
        }
    }
}

/// The etag of a file, wherever its bytes are.
fn linked_etag(headers: &HeaderMap) -> Option<String> {
    let etag = header_text(headers, "x-linked-etag").or_else(|| header_text(headers, header::ETAG))?;
    Some(etag.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// The etag of an LFS file is its SHA-256; that of other files is a git hash.
fn sha256_of_etag(etag: &str) -> Option<String> {
    let is_sha256 = etag.len() == 64 && etag.chars().all(|it| it.is_ascii_hexdigit());
    is_sha256.then(|| etag.to_ascii_lowercase())
}

pub(super) fn header_number(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<u64> {
    header_text(headers, name)?.trim().parse().ok()
}

pub(super) fn header_text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The error for a hub that cannot be reached, or for a connection that broke.
fn failure(url: &str, err: &ureq::Error) -> StoreError {
    use std::io::ErrorKind;
    let has_broken = match err {
        ureq::Error::Io(err) => matches!(
            err.kind(),
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
        ),
        ureq::Error::Timeout(it) => !matches!(it, Timeout::Resolve | Timeout::Connect),
        ureq::Error::Protocol(_) => true,
        _ => false,
    };
    if has_broken {
        broke(url, err)
    } else {
        StoreError::HubUnreachable { url: url.to_owned(), reason: err.to_string() }
    }
}

pub(super) fn broke(url: &str, err: &dyn std::fmt::Display) -> StoreError {
    StoreError::HubBroke { url: url.to_owned(), reason: err.to_string() }
}
