//! A fake hub with one repository, `owner/name`, on a local port: [`FakeHub`].
//!
//! Like the real one, it answers `resolve` for large files with a redirect that carries `x-repo-commit`,
//! `x-linked-etag` and `x-linked-size`. The redirect leads to another host (here another port) that must not see the
//! token.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::digest::sha256_bytes;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with a transfer of a large file. Each transfer takes the next one in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// The connection ends after this many bytes.
    Cut(usize),
    /// A range is answered with the whole file.
    NoRange,
    /// One byte is wrong.
    Flip,
    /// A range is answered with `416`.
    RangeRefused,
    /// A range is answered with `206` but no `Content-Range`.
    RangeUnnamed,
    /// A range is answered with another range.
    RangeShifted,
    /// A range is answered with a `Content-Range` for a file of another size.
    RangeOfAnother,
    /// A web page instead of the file; some portals send one without a content type or a length.
    Page { has_kind: bool, has_length: bool },
    /// A status and further header lines, without a body.
    Status(&'static str, &'static str),
    /// The headers give no length, and the body has this many extra bytes.
    Endless(usize),
    /// The connection ends without an answer.
    Silence,
}

#[derive(Default)]
struct State {
    /// For each name: the bytes, and whether the file is large.
    files: BTreeMap<String, (Vec<u8>, bool)>,
    troubles: VecDeque<Trouble>,
    requests: Vec<String>,
    ranges: Vec<String>,
    token: Option<String>,
    storage_saw_token: bool,
    /// Replaces the address of the storage host in redirects.
    location: Option<String>,
    /// Extra headers in each answer of the storage host.
    storage_headers: String,
    /// What goes wrong with answers of the hub itself.
    hub_troubles: VecDeque<Trouble>,
    /// Replaces the listing.
    listing: Option<String>,
    /// The commit of the branch.
    commit: &'static str,
    /// Whether listing and redirects leave out sizes and hashes.
    omits_sizes: bool,
}

#[derive(Clone)]
pub(super) struct FakeHub {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl FakeHub {
    pub(super) fn start() -> Self {
        let state = Arc::new(Mutex::new(State { commit: COMMIT, ..State::default() }));
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

    /// For answers of the hub itself, not of the storage host.
    pub(super) fn hub_trouble(&self, troubles: &[Trouble]) {
        self.state().hub_troubles.extend(troubles);
    }

    /// Redirects large files to `location`; `{storage}` stands for the storage's host and port, `{name}` for the file's
    /// name.
    pub(super) fn redirect(&self, location: &str) {
        self.state().location = Some(location.to_owned());
    }

    pub(super) fn storage_headers(&self, lines: &str) {
        lines.clone_into(&mut self.state().storage_headers);
    }

    pub(super) fn listing(&self, text: &str) {
        self.state().listing = Some(text.to_owned());
    }

    /// Makes the listing and redirects leave out size and hash.
    pub(super) fn omit_sizes(&self) {
        self.state().omits_sizes = true;
    }

    /// The paths that were asked for, in order.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// The `Range` headers, in order.
    pub(super) fn ranges(&self) -> Vec<String> {
        self.state().ranges.clone()
    }

    pub(super) fn storage_saw_token(&self) -> bool {
        self.state().storage_saw_token
    }

    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.state().files.iter().map(|(name, (bytes, _))| (name.clone(), bytes.clone())).collect()
    }

    /// The names of all files' blobs in Python's cache.
    pub(super) fn etags(&self) -> BTreeMap<String, String> {
        let etag = |bytes: &[u8], is_large| if is_large { sha256_bytes(bytes) } else { git_hash(bytes) };
        self.state()
            .files
            .iter()
            .map(|(name, (bytes, is_large))| (name.clone(), etag(bytes, *is_large)))
            .collect()
    }

    /// Moves the branch to another commit.
    pub(super) fn move_to(&self, commit: &'static str) {
        self.state().commit = commit;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Serves until the process ends. `storage` is the port that large files are redirected to, `None` on that port itself.
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

/// Handles one request per connection. Returns `None` if the client goes away, which is not an error.
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
    if let Some(trouble) = state.hub_troubles.pop_front() {
        return match trouble {
            Trouble::Status(status, extra) => answer(stream, status, extra, b"", 0),
            Trouble::Page { .. } => page(stream, trouble),
            Trouble::Silence => Some(()),
            other => panic!("{other:?} applies to the storage only"),
        };
    }
    let is_allowed = state.token.as_ref().is_none_or(|it| token == Some(&format!("Bearer {it}")));
    let (status, extra, body) = if !path.contains("owner/name")
        && !path.starts_with("/moved/")
        && !path.starts_with("/loop")
    {
        ("401 Unauthorized", "x-error-code: RepoNotFound\r\n".to_owned(), Vec::new())
    } else if !is_allowed {
        ("401 Unauthorized", "x-error-code: GatedRepo\r\n".to_owned(), Vec::new())
    } else if path == "/api/models/owner/name/revision/main?blobs=true" {
        let text = state.listing.clone().unwrap_or_else(|| listing(&state).to_string());
        ("200 OK", String::new(), text.into_bytes())
    } else if let Some(name) = path.strip_prefix("/moved/") {
        ("200 OK", String::new(), state.files[name].0.clone())
    } else if path.starts_with("/loop") {
        ("302 Found", "location: loop\r\n".to_owned(), Vec::new())
    } else if let Some(name) = path.strip_prefix(&format!("/owner/name/resolve/{}/", state.commit)) {
        let name = &name.replace("%20", " ").replace("%23", "#");
        match state.files.get(name) {
            None => ("404 Not Found", "x-error-code: EntryNotFound\r\n".to_owned(), Vec::new()),
            Some((bytes, false)) => ("200 OK", format!("etag: \"{}\"\r\n", git_hash(bytes)), bytes.clone()),
            Some((bytes, true)) => {
                let storage = format!("127.0.0.1:{storage}");
                let location = match &state.location {
                    Some(it) => it.replace("{storage}", &storage).replace("{name}", name),
                    None => format!("http://{storage}/storage/{name}"),
                };
                // What the hub says of the service Xet, which is not there.
                let about = format!(
                    "x-linked-etag: \"{}\"\r\nx-linked-size: {}\r\nx-xet-hash: {}\r\n\
                     link: <http://127.0.0.1:1/xet-read-token>; rel=\"xet-auth\"\r\n",
                    sha256_bytes(bytes),
                    bytes.len(),
                    "0".repeat(64)
                );
                let about = if state.omits_sizes { String::new() } else { about };
                let headers = format!("location: {location}\r\nx-repo-commit: {}\r\n{about}", state.commit);
                ("302 Found", headers, Vec::new())
            }
        }
    } else {
        ("404 Not Found", "x-error-code: RevisionNotFound\r\n".to_owned(), Vec::new())
    };
    answer(stream, status, &extra, &body, body.len())
}

/// What git calls a file with these bytes.
pub(super) fn git_hash(bytes: &[u8]) -> String {
    use sha1::{Digest, Sha1};
    let header = format!("blob {}\0", bytes.len());
    crate::digest::hex(&Sha1::digest([header.as_bytes(), bytes].concat()))
}

fn listing(state: &State) -> Value {
    let siblings: Vec<Value> = state
        .files
        .iter()
        .map(|(name, (bytes, is_large))| {
            let lfs = is_large.then(|| json!({ "sha256": sha256_bytes(bytes), "size": bytes.len() }));
            if state.omits_sizes {
                json!({ "rfilename": name, "size": null, "lfs": null })
            } else {
                json!({ "rfilename": name, "size": bytes.len(), "blobId": git_hash(bytes), "lfs": lfs })
            }
        })
        .collect();
    json!({ "sha": state.commit, "siblings": siblings })
}

fn transfer(mut stream: TcpStream, state: &mut State, path: &str, range: Option<&String>) -> Option<()> {
    let name = path.strip_prefix("/storage/")?;
    let mut bytes = state.files.get(name)?.0.clone();
    let trouble = state.troubles.pop_front();
    if let Some(Trouble::Flip) = trouble {
        bytes[1000] ^= 1;
    }
    let start = range.filter(|_| !matches!(trouble, Some(Trouble::NoRange)));
    let start: Option<usize> =
        start.and_then(|it| it.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let more = &state.storage_headers;
    let n_bytes = bytes.len();
    match (trouble, start) {
        (Some(Trouble::Silence), _) => return Some(()),
        (Some(Trouble::Status(status, extra)), _) => return answer(stream, status, extra, b"", 0),
        (Some(trouble @ Trouble::Page { .. }), _) => return page(stream, trouble),
        (Some(Trouble::Endless(n_more)), _) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").ok()?;
            bytes.resize(n_bytes + n_more, 0);
            return stream.write_all(&bytes).ok();
        }
        (Some(Trouble::RangeRefused), Some(_)) => {
            let extra = format!("content-range: bytes */{n_bytes}\r\n");
            return answer(stream, "416 Range Not Satisfiable", &extra, b"", 0);
        }
        (Some(Trouble::RangeUnnamed), Some(start)) => {
            let body = &bytes[start..];
            return answer(stream, "206 Partial Content", "", body, body.len());
        }
        (Some(Trouble::RangeShifted), Some(start)) => {
            let body = &bytes[start - 1..];
            let extra = format!("content-range: bytes {}-{}/{n_bytes}\r\n", start - 1, n_bytes - 1);
            return answer(stream, "206 Partial Content", &extra, body, body.len());
        }
        (Some(Trouble::RangeOfAnother), Some(start)) => {
            let extra = format!("content-range: bytes {start}-{n_bytes}/{}\r\n", n_bytes + 1);
            let body = &bytes[start..];
            return answer(stream, "206 Partial Content", &extra, body, body.len());
        }
        _ => {}
    }
    let (status, extra) = match start {
        Some(start) => (
            "206 Partial Content",
            format!("content-range: bytes {start}-{}/{n_bytes}\r\n{more}", n_bytes - 1),
        ),
        None => ("200 OK", more.clone()),
    };
    let body = &bytes[start.unwrap_or(0)..];
    let sent = match trouble {
        Some(Trouble::Cut(n_bytes)) => &body[..n_bytes.min(body.len())],
        _ => body,
    };
    answer(stream, status, &extra, sent, body.len())
}

fn page(mut stream: TcpStream, page: Trouble) -> Option<()> {
    let Trouble::Page { has_kind, has_length } = page else { panic!("{page:?} is no page") };
    let body = b"<html><form>log in</form></html>";
    let kind = if has_kind { "content-type: Text/HTML; charset=utf-8\r\n" } else { "" };
    if has_length {
        return answer(stream, "200 OK", kind, body, body.len());
    }
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{kind}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}

fn answer(mut stream: TcpStream, status: &str, extra: &str, body: &[u8], promised: usize) -> Option<()> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {promised}\r\nconnection: close\r\n{extra}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}
