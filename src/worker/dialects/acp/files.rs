//! Reads and writes the files that a person points at, through the client if it can: it knows what was changed and not
//! saved, and its open documents follow.
//!
//! What the client does not do is done here, within the session's folder only, see [`runabout_files`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_client_protocol_schema::v1::{
    PermissionOption, PermissionOptionKind, ReadTextFileRequest, RequestPermissionRequest, ToolKind,
    WriteTextFileRequest,
};
use runabout_files::{Change, Options, Roots, Snapshot};
use runabout_rpc::{RequestError, Retraction};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::agent::Agent;
use super::block::Block;
use super::session::Session;
use super::step::Step;
use super::updates::Updates;
use super::wording::{self, Shown};

/// The longest text that is taken from the client. A longer one fits into no model's context here.
const MAX_BYTES: usize = 1 << 20;

/// How a question is taken back when its answer is no longer wanted.
const RETRACTION: Retraction = Retraction { method: "$/cancel_request", id: "requestId" };

/// The option of a permission that gives it.
const ALLOW: &str = "allow";
const REJECT: &str = "reject";

/// A file that may be changed.
#[derive(Clone, Debug)]
pub(super) struct Editable {
    /// Its absolute path.
    pub(super) path: String,
    /// Its text as the client has it.
    pub(super) snapshot: Snapshot,
    roots: Arc<Roots>,
}

/// Reads the files of the prompt's links, and shows that. The steps are returned too.
pub(super) async fn read_links(
    agent: &Agent,
    session: &Session,
    blocks: &[Block],
    updates: &Updates,
) -> (Vec<Shown>, Vec<Value>) {
    let cwd = session.cwd();
    let (mut shown, mut steps) = (Vec::new(), Vec::new());
    for block in blocks {
        let Block::Link { uri, .. } = block else { continue };
        let Some(path) = wording::file(uri) else { continue };
        let name = wording::name(uri, &cwd);
        let mut step = Step::begin(format!("Read `{name}`"), ToolKind::Read, path.to_str(), updates).await;
        let text = read(agent, session, &path).await;
        match &text {
            Ok(_) => step.complete(updates).await,
            Err(why) => step.fail(why, updates).await,
        }
        steps.extend(step.to_replay());
        shown.push(Shown { name, text });
    }
    (shown, steps)
}

/// Reads a file that is to be changed. It must be one that may be read here too.
pub(super) async fn open(agent: &Agent, session: &Session, path: &Path) -> Result<Editable, String> {
    let (roots, mut snapshot) = from_disk(session.cwd(), path).await?;
    if agent.agreement().reads_files {
        snapshot.text = from_client(agent, session, path).await?;
    }
    Ok(Editable { path: path.display().to_string(), snapshot, roots })
}

/// Writes a file, unless it is no longer as it was read.
pub(super) async fn write(
    agent: &Agent,
    session: &Session,
    file: &Editable,
    text: &str,
) -> Result<(), String> {
    if agent.agreement().writes_files {
        let now = read(agent, session, Path::new(&file.path)).await?;
        if now != file.snapshot.text {
            return Err("it was changed meanwhile".to_owned());
        }
        let request = WriteTextFileRequest::new(session.id.clone(), &file.path, text);
        return ask::<Value>(agent, "fs/write_text_file", &request).await.map(drop);
    }
    let (file, text) = (file.clone(), text.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        let change = Change::edit(&file.snapshot, text);
        file.roots.apply(&[change]).map_err(|failed| format!("it {}", failed.error.problem))
    });
    written.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Asks the person whether a step may be taken.
pub(super) async fn is_allowed(agent: &Agent, session: &Session, step: &Step) -> Result<bool, String> {
    let options = vec![
        PermissionOption::new(ALLOW, "Apply", PermissionOptionKind::AllowOnce),
        PermissionOption::new(REJECT, "Reject", PermissionOptionKind::RejectOnce),
    ];
    let request = RequestPermissionRequest::new(session.id.clone(), step.in_question(), options);
    let answer: Value = ask(agent, "session/request_permission", &request).await?;
    let outcome = &answer["outcome"];
    Ok(outcome["outcome"] == "selected" && outcome["optionId"] == ALLOW)
}

/// The text of a file, or why there is none.
async fn read(agent: &Agent, session: &Session, path: &Path) -> Result<String, String> {
    if agent.agreement().reads_files {
        return from_client(agent, session, path).await;
    }
    from_disk(session.cwd(), path).await.map(|(_, snapshot)| snapshot.text)
}

async fn from_client(agent: &Agent, session: &Session, path: &Path) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Content {
        content: String,
    }
    let request = ReadTextFileRequest::new(session.id.clone(), path);
    let Content { content } = ask(agent, "fs/read_text_file", &request).await?;
    if content.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, and {MAX_BYTES} is the most", content.len()));
    }
    Ok(content)
}

async fn from_disk(cwd: PathBuf, path: &Path) -> Result<(Arc<Roots>, Snapshot), String> {
    let Some(path) = path.to_str().map(str::to_owned) else {
        return Err("its name is no valid UTF-8".to_owned());
    };
    let read = tokio::task::spawn_blocking(move || {
        let roots = Roots::open(&[cwd], Options::default())?;
        let snapshot = roots.read(&roots.locate(&path)?)?;
        Ok((Arc::new(roots), snapshot))
    });
    let read = read.await.map_err(|error| error.to_string())?;
    read.map_err(|error: runabout_files::FileError| format!("it {}", error.problem))
}

/// Asks the client for something; the error is what it says about that.
async fn ask<T: DeserializeOwned>(
    agent: &Agent,
    method: &str,
    params: &impl serde::Serialize,
) -> Result<T, String> {
    let answer = agent.connection.request_or_retract(method, params, RETRACTION).await;
    answer.map_err(|error| match error {
        RequestError::Client(error) => error.message().to_owned(),
        other => other.to_string(),
    })
}
