//! The registry of methods, made from the protocol's list: a method without a handler does not compile.

use std::sync::Arc;

use anyhow::Result;
use runabout_api::methods::{Cancel, Chat, Complete, Discover, Initialize, Shutdown, Status, Tokenize, Warm};
use runabout_api::{
    CancelResult, ChatResult, CompleteResult, InitializeResult, Method, OpenRpc, StatusResult,
    TokenizeResult, WarmResult,
};
use runabout_rpc::{Params, RequestContext, RpcModule};

use super::{MethodResult, cancel, chat, complete, discover, initialize, shutdown, status, tokenize, warm};
use crate::session::Session;

/// How this worker answers a method of the protocol.
trait Answer: Method {
    /// Checks the params as they were written, does the work, and returns the result. What it does before it first
    /// waits happens in the order of the client's messages.
    fn answer(
        params: Params<'static>,
        session: &Arc<Session>,
        request: &RequestContext,
    ) -> impl Future<Output = MethodResult<Self::Result>> + Send;
}

/// All methods, for a connection.
pub(crate) fn registry(session: Arc<Session>) -> Result<RpcModule<Session>> {
    let mut module = RpcModule::from_arc(session);
    macro_rules! register_all {
        ($($method:ty),*) => { $(register::<$method>(&mut module)?;)* };
    }
    runabout_api::for_each_method!(register_all);
    Ok(module)
}

fn register<M: Answer>(module: &mut RpcModule<Session>) -> Result<()> {
    module.register_async_method(M::NAME, |params, session, extensions| async move {
        M::answer(params, &session, &RequestContext::of(&extensions)).await
    })?;
    Ok(())
}

impl Answer for Initialize {
    async fn answer(
        params: Params<'static>,
        session: &Arc<Session>,
        _: &RequestContext,
    ) -> MethodResult<InitializeResult> {
        initialize(&params, session)
    }
}

impl Answer for Complete {
    async fn answer(
        params: Params<'static>,
        session: &Arc<Session>,
        request: &RequestContext,
    ) -> MethodResult<CompleteResult> {
        complete::complete(params, session, request).await
    }
}

impl Answer for Chat {
    async fn answer(
        params: Params<'static>,
        session: &Arc<Session>,
        request: &RequestContext,
    ) -> MethodResult<ChatResult> {
        chat::chat(params, session, request).await
    }
}

impl Answer for Cancel {
    async fn answer(
        params: Params<'static>,
        _: &Arc<Session>,
        request: &RequestContext,
    ) -> MethodResult<CancelResult> {
        cancel(&params, request).await
    }
}

impl Answer for Warm {
    async fn answer(
        params: Params<'static>,
        session: &Arc<Session>,
        request: &RequestContext,
    ) -> MethodResult<WarmResult> {
        warm::warm(params, session, request).await
    }
}

impl Answer for Tokenize {
    async fn answer(
        params: Params<'static>,
        session: &Arc<Session>,
        request: &RequestContext,
    ) -> MethodResult<TokenizeResult> {
        tokenize::tokenize(params, session, request).await
    }
}

impl Answer for Status {
    async fn answer(
        params: Params<'static>,
        session: &Arc<Session>,
        _: &RequestContext,
    ) -> MethodResult<StatusResult> {
        status(&params, session)
    }
}

impl Answer for Shutdown {
    async fn answer(
        params: Params<'static>,
        session: &Arc<Session>,
        request: &RequestContext,
    ) -> MethodResult<()> {
        shutdown(&params, session, request)
    }
}

impl Answer for Discover {
    async fn answer(params: Params<'static>, _: &Arc<Session>, _: &RequestContext) -> MethodResult<OpenRpc> {
        discover(&params)
    }
}
