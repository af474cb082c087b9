//! The methods about sessions: to begin, continue, list, close and delete them.

use std::collections::HashSet;
use std::sync::Arc;

use agent_client_protocol_schema::v1::{
    CloseSessionResponse, DeleteSessionResponse, ListSessionsResponse, LoadSessionResponse,
    NewSessionResponse, Notice, NoticeSeverity, ResumeSessionResponse, SessionInfo, SessionUpdate,
};
use runabout_rpc::{ErrorObjectOwned, Params, RequestContext};

use super::agent::Agent;
use super::archive::Archive;
use super::incoming::{self, ListSessions, NewSession, OfSession, OldSession, Setting};
use super::record::Record;
use super::session::Session;
use super::updates::{Updates, send_later};
use super::{commands, errors, options};

/// `session/new`.
pub(super) fn new(
    params: &Params<'_>,
    agent: &Arc<Agent>,
    request: RequestContext,
) -> Result<NewSessionResponse, ErrorObjectOwned> {
    let setting = incoming::read::<NewSession>(params)?.setting()?;
    let session = agent.open(Record::new(setting.cwd))?;
    greet(agent, &session, request, setting.n_servers);
    Ok(NewSessionResponse::new(session.id.clone()).config_options(options::all(agent)))
}

/// `session/load`: opens a session and shows what was said in it.
pub(super) async fn load(
    params: Params<'static>,
    agent: Arc<Agent>,
    request: RequestContext,
) -> Result<LoadSessionResponse, ErrorObjectOwned> {
    let session = reopen(&params, &agent, &request).await?;
    let updates = Updates::new(request, &session.id, agent.agreement());
    for update in session.record().replay() {
        if updates.request().cancelled_by().is_some() {
            return Err(errors::cancelled());
        }
        updates.send_again(&update).await;
    }
    Ok(LoadSessionResponse::new().config_options(options::all(&agent)))
}

/// `session/resume`: opens a session whose client still knows what was said in it.
pub(super) async fn resume(
    params: Params<'static>,
    agent: Arc<Agent>,
    request: RequestContext,
) -> Result<ResumeSessionResponse, ErrorObjectOwned> {
    reopen(&params, &agent, &request).await?;
    Ok(ResumeSessionResponse::new().config_options(options::all(&agent)))
}

/// `session/list`: the sessions in which something was said, the newest first.
pub(super) async fn list(
    params: Params<'static>,
    agent: Arc<Agent>,
    _: RequestContext,
) -> Result<ListSessionsResponse, ErrorObjectOwned> {
    let ListSessions { cwd } = incoming::read(&params)?;
    // What is open is newer than what is on disk, where it may not be at all.
    let mut records: Vec<Record> = agent.open_sessions().iter().map(|it| it.record()).collect();
    let open: HashSet<String> = records.iter().map(|it| it.id.clone()).collect();
    records.retain(|it| !it.turns.is_empty());
    let kept = in_archive(&agent, Archive::list).await?;
    records.extend(kept.into_iter().filter(|it| !open.contains(&it.id)));
    records.retain(|it| cwd.as_ref().is_none_or(|cwd| it.cwd == *cwd));
    records.sort_by(|a, b| b.updated_at.cmp(&a.updated_at));
    let info = |it: Record| SessionInfo::new(it.id, it.cwd).title(it.title).updated_at(it.updated_at);
    Ok(ListSessionsResponse::new(records.into_iter().map(info).collect()))
}

/// `session/close`: ends what the session does and forgets it here; it stays on disk.
pub(super) fn close(params: &Params<'_>, agent: &Agent) -> Result<CloseSessionResponse, ErrorObjectOwned> {
    let OfSession { session_id } = incoming::read(params)?;
    let closed = agent.close(&session_id);
    closed.map(|_| CloseSessionResponse::new()).ok_or_else(|| errors::no_session(&session_id))
}

/// `session/delete`: removes a session for good. One that is not there is none any more.
pub(super) async fn delete(
    params: Params<'static>,
    agent: Arc<Agent>,
    _: RequestContext,
) -> Result<DeleteSessionResponse, ErrorObjectOwned> {
    let OfSession { session_id } = incoming::read(&params)?;
    if let Some(session) = agent.close(&session_id) {
        session.set_deleted();
    }
    in_archive(&agent, move |it| it.remove(&session_id)).await?;
    Ok(DeleteSessionResponse::new())
}

/// Opens the session that the params name.
async fn reopen(
    params: &Params<'_>,
    agent: &Arc<Agent>,
    request: &RequestContext,
) -> Result<Arc<Session>, ErrorObjectOwned> {
    let params: OldSession = incoming::read(params)?;
    let id = params.session_id.clone();
    let Setting { cwd, n_servers } = params.setting()?;
    let session = match agent.session(&id) {
        Ok(open) => open,
        Err(unknown) => {
            let kept = in_archive(agent, move |it| it.load(&id)).await?;
            agent.open(kept.ok_or(unknown)?)?
        }
    };
    session.set_cwd(&cwd);
    greet(agent, &session, request.clone(), n_servers);
    Ok(session)
}

/// Once the request that opens the session is answered, so that the client knows the session, tells what can be done
/// in it.
fn greet(agent: &Arc<Agent>, session: &Arc<Session>, request: RequestContext, n_servers: usize) {
    let (agent, session) = (Arc::clone(agent), Arc::clone(session));
    tokio::spawn(async move {
        request.answered().await;
        send_later(&agent.connection, &session.id, commands::available()).await;
        if n_servers > 0 {
            tracing::warn!(n_servers, "MCP servers of the client are not used");
            if agent.agreement().shows_notices {
                let text = "This agent does not use the MCP servers that are set up here.";
                let notice = SessionUpdate::Notice(Notice::new(NoticeSeverity::Info, text));
                send_later(&agent.connection, &session.id, notice).await;
            }
        }
    });
}

/// Uses the disk on another thread.
async fn in_archive<T: Send + 'static>(
    agent: &Agent,
    work: impl FnOnce(&Archive) -> std::io::Result<T> + Send + 'static,
) -> Result<T, ErrorObjectOwned> {
    let archive = Arc::clone(&agent.archive);
    let done = tokio::task::spawn_blocking(move || work(&archive)).await;
    done.map_err(std::io::Error::from).flatten().map_err(|error| errors::of_archive(&error))
}
