//! What all methods of the native protocol have in common: [`Answer`] handles a [`Call`] and returns the result.

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

/// A method of the protocol with its handler.
pub(super) trait Answer: Method {
    /// Handles one request. Code before the first `.await` runs in the order in which requests arrive.
    fn answer(call: Call) -> impl Future<Output = MethodResult<Self::Result>> + Send;
}

impl Call {
    /// Parses the params and frees their JSON, which can be large. Call it once: afterwards the params are empty.
    pub(super) fn read<T: DeserializeOwned>(&mut self) -> MethodResult<T> {
        let read = params::parse(&self.params);
        self.params = Params::new(None);
        read
    }
}
