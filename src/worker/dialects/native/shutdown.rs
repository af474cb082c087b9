//! `shutdown`: running requests are finished, later ones refused.

use runabout_api::NoParams;
use runabout_api::methods::Shutdown;

use super::errors;
use super::method::{Answer, Call, MethodResult};

impl Answer for Shutdown {
    async fn answer(mut call: Call) -> MethodResult<()> {
        let NoParams {} = call.read()?;
        call.client.shut_down(call.request.connection(), errors::shutting_down());
        Ok(())
    }
}
