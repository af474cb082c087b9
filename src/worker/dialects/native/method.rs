//! What every method of the native protocol has in common: a [`Call`] comes in, and [`Answer`] tells what goes out.

use runabout_api::Method;
use runabout_rpc::{ErrorObjectOwned, Params, RequestContext, params};
use serde::de::DeserializeOwned;

use crate::client::Client;

/// The result of a method, or the error that its request is answered with.
pub(super) type MethodResult<T> = Result<T, ErrorObjectOwned>;

/// A request that is to be answered.
pub(super) struct Call {
    pub(super) client: Client,
    pub(super) request: RequestContext,
    pub(super) params: Params<'static>,
}

/// A method of the protocol, as this dialect answers it.
pub(super) trait Answer: Method {
    /// Answers one request. What is done before the first `.await` is done in the order of the requests.
    fn answer(call: Call) -> impl Future<Output = MethodResult<Self::Result>> + Send;
}

impl Call {
    /// Reads the params and frees their JSON, which can be large.
    pub(super) fn read<T: DeserializeOwned>(&mut self) -> MethodResult<T> {
        let read = params::parse(&self.params);
        self.params = Params::new(None);
        read
    }
}
