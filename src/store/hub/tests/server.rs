//! A hub of one repository, `owner/name`, on a port of this machine.
//!
//! As the real one it answers `resolve` for large files with a redirect that carries `x-repo-commit`, `x-linked-etag` and
//! `x-linked-size`, to another host (here: another port) that knows nothing of tokens.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::digest::sha256_bytes;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with one transfer of a large file; the next transfer takes the next one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// The connection ends after so many bytes.
    Cut(usize),
    /// A range is answered with the whole.
    NoRange,
    /// One byte is wrong.
    Flip,
}

#[derive(Default)]
struct State {
    /// Name, bytes, whether it is large.
    files: BTreeMap<String, (Vec<u8>, bool)>,
    troubles: VecDeque<Trouble>,
    requests: Vec<String>,
    ranges: Vec<String>,
    token: Option<String>,
    storage_saw_token: bool,
}

pub(super) struct FakeHub {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl FakeHub {
    pub(super) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let storage = listen(&state, None);
        let port = listen(&state, Some(storage));
        Self { state, port }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn small(&self, name: &str, bytes: &[u8]) {
        self.state().files.insert(name.to_owned(), (bytes.to_vec(), false));
    }

    pub(super) fn large(&self, name: &str, bytes: &[u8]) {
        self.state().files.insert(name.to_owned(), (bytes.to_vec(), true));
    }

    pub(super) fn trouble(&self, troubles: &[Trouble]) {
        self.state().troubles.extend(troubles);
    }

    pub(super) fn only_with_token(&self, token: &str) {
        self.state().token = Some(token.to_owned());
    }

    /// Paths asked for, in order.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// `Range` headers, in order.
    pub(super) fn ranges(&self) -> Vec<String> {
        self.state().ranges.clone()
    }

    pub(super) fn storage_saw_token(&self) -> bool {
        self.state().storage_saw_token
    }

    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.state().files.iter().map(|(name, (bytes, _))| (name.clone(), bytes.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Serves until the process ends; `storage` is the port that large files are redirected to, `None` for that port itself.
fn listen(state: &Arc<Mutex<State>>, storage: Option<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = state.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = state.clone();
            std::thread::spawn(move || serve(stream, &state, storage));
        }
    });
    port
}

/// One request per connection. A client that goes away is no failure of the server.
fn serve(stream: TcpStream, state: &Mutex<State>, storage: Option<u16>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .map_while(Result::ok)
        .take_while(|it| !it.is_empty())
        .filter_map(|it| {
            it.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    let mut state = state.lock().unwrap();
    state.requests.push(path.clone());
    let token = headers.get("authorization");
    let Some(storage) = storage else {
        state.storage_saw_token |= token.is_some();
        state.ranges.extend(headers.get("range").cloned());
        return transfer(stream, &mut state, &path, headers.get("range"));
    };
    let is_allowed = state.token.as_ref().is_none_or(|it| token == Some(&format!("Bearer {it}")));
    let (status, extra, body) = if !path.contains("owner/name") {
        ("401 Unauthorized", "x-error-code: RepoNotFound\r\n".to_owned(), Vec::new())
    } else if !is_allowed {
        ("401 Unauthorized", "x-error-code: GatedRepo\r\n".to_owned(), Vec::new())
    } else if path == "/api/models/owner/name/revision/main?blobs=true" {
        ("200 OK", String::new(), listing(&state).to_string().into_bytes())
    } else if let Some(name) = path.strip_prefix(&format!("/owner/name/resolve/{COMMIT}/")) {
        match state.files.get(name) {
            None => ("404 Not Found", "x-error-code: EntryNotFound\r\n".to_owned(), Vec::new()),
            Some((bytes, false)) => {
                ("200 OK", "etag: \"0123456789012345678901234567890123456789\"\r\n".to_owned(), bytes.clone())
            }
            Some((bytes, true)) => {
                let headers = format!(
                    "location: http://127.0.0.1:{storage}/storage/{name}\r\nx-repo-commit: {COMMIT}\r\n\
                     x-linked-etag: \"{}\"\r\nx-linked-size: {}\r\n",
                    sha256_bytes(bytes),
                    bytes.len()
                );
                ("302 Found", headers, Vec::new())
            }
        }
    } else {
        ("404 Not Found", "x-error-code: RevisionNotFound\r\n".to_owned(), Vec::new())
    };
    answer(stream, status, &extra, &body, body.len())
}

fn listing(state: &State) -> Value {
    let siblings: Vec<Value> = state
        .files
        .iter()
        .map(|(name, (bytes, is_large))| {
            let lfs = is_large.then(|| json!({ "sha256": sha256_bytes(bytes), "size": bytes.len() }));
            json!({ "rfilename": name, "size": bytes.len(), "lfs": lfs })
        })
        .collect();
    json!({ "sha": COMMIT, "siblings": siblings })
}

fn transfer(stream: TcpStream, state: &mut State, path: &str, range: Option<&String>) -> Option<()> {
    let name = path.strip_prefix("/storage/")?;
    let mut bytes = state.files.get(name)?.0.clone();
    let trouble = state.troubles.pop_front();
    if let Some(Trouble::Flip) = trouble {
        bytes[1000] ^= 1;
    }
    let start = range.filter(|_| !matches!(trouble, Some(Trouble::NoRange)));
    let start: Option<usize> =
        start.and_then(|it| it.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let (status, extra) = match start {
        Some(start) => (
            "206 Partial Content",
            format!("content-range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len()),
        ),
        None => ("200 OK", String::new()),
    };
    let body = &bytes[start.unwrap_or(0)..];
    let sent = match trouble {
        Some(Trouble::Cut(n_bytes)) => &body[..n_bytes.min(body.len())],
        _ => body,
    };
    answer(stream, status, &extra, sent, body.len())
}

fn answer(mut stream: TcpStream, status: &str, extra: &str, body: &[u8], promised: usize) -> Option<()> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {promised}\r\nconnection: close\r\n{extra}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}
