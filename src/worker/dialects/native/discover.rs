//! `rpc.discover`: the OpenRPC document of the protocol.

use runabout_api::methods::Discover;
use runabout_api::{NoParams, OpenRpc};

use super::method::{Answer, Call, MethodResult};

impl Answer for Discover {
    async fn answer(mut call: Call) -> MethodResult<OpenRpc> {
        let NoParams {} = call.read()?;
        Ok(OpenRpc(runabout_api::openrpc()))
    }
}
