//! `rpc.discover`: this protocol as an OpenRPC document.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::no_params::NoParams;
use crate::protocol::Method;

/// The method `rpc.discover`.
pub enum Discover {}

impl Method for Discover {
    const NAME: &'static str = "rpc.discover";
    const SUMMARY: &'static str = "Get this document";
    const ERRORS: &'static [&'static str] = &["shutting_down"];
    type Params = NoParams;
    type Result = OpenRpc;
}

/// An OpenRPC document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenRpc(pub Value);

impl JsonSchema for OpenRpc {
    fn schema_name() -> Cow<'static, str> {
        "OpenRPC".into()
    }

    /// Any object: OpenRPC has a schema of its own.
    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}
