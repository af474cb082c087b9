//! What `runabout_api` says that messages are: names of methods, types of what they carry.

use std::collections::BTreeSet;

use runabout_api as api;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Names out of the OpenRPC document.
pub(super) struct Names {
    pub(super) methods: BTreeSet<String>,
    pub(super) from_client: BTreeSet<String>,
    pub(super) from_worker: BTreeSet<String>,
}

impl Names {
    pub(super) fn read() -> Self {
        let document = api::openrpc();
        let names = |list: &str, from: Option<&str>| -> BTreeSet<String> {
            let all = document[list].as_array().expect("the document has such a list").iter();
            let chosen = all.filter(|it| from.is_none_or(|from| it["from"] == from));
            chosen.filter_map(|it| it["name"].as_str()).map(str::to_owned).collect()
        };
        Self {
            methods: names("methods", None),
            from_client: names("x-notifications", Some("client")),
            from_worker: names("x-notifications", Some("worker")),
        }
    }
}

/// The names that a method's params may have.
pub(super) fn param_names(method: &str) -> BTreeSet<String> {
    let document = api::openrpc();
    let methods = document["methods"].as_array().into_iter().flatten();
    let params = methods.filter(|it| it["name"] == method).filter_map(|it| it["params"].as_array()).flatten();
    params.filter_map(|it| it["name"].as_str()).map(str::to_owned).collect()
}

pub(super) fn check_params(method: &str, params: &Value) -> Result<(), String> {
    match method {
        "initialize" => check_type::<api::InitializeParams>(params),
        "complete" => check_type::<api::CompleteParams>(params),
        "chat" => check_type::<api::ChatParams>(params),
        "cancel" | "$/cancelRequest" => check_type::<api::CancelParams>(params),
        "warm" => check_type::<api::WarmParams>(params),
        "tokenize" => check_type::<api::TokenizeParams>(params),
        "status" | "shutdown" | "exit" | "rpc.discover" if params.is_null() => Ok(()),
        "status" | "shutdown" | "exit" | "rpc.discover" => check_type::<api::NoParams>(params),
        _ => Err(format!("no such method: `{method}`")),
    }
}

pub(super) fn check_result(method: &str, result: &Value) -> Result<(), String> {
    match method {
        "initialize" => check_type::<api::InitializeResult>(result),
        "complete" => check_type::<api::CompleteResult>(result),
        "chat" => check_type::<api::ChatResult>(result),
        "cancel" => check_type::<api::CancelResult>(result),
        "warm" => check_type::<api::WarmResult>(result),
        "tokenize" => check_type::<api::TokenizeResult>(result),
        "status" => check_type::<api::StatusResult>(result),
        "shutdown" if result.is_null() => Ok(()),
        "rpc.discover" if *result == api::openrpc() => Ok(()),
        _ => Err(format!("no result of `{method}`: {result}")),
    }
}

pub(super) fn check_notification(message: &Value) -> Result<(), String> {
    let params = &message["params"];
    match message["method"].as_str() {
        Some("delta") => check_type::<api::DeltaParams>(params),
        Some("progress") => check_type::<api::ProgressParams>(params),
        Some("status") => check_type::<api::StatusParams>(params),
        _ => Err(format!("the worker says no such thing: {message}")),
    }
}

/// The worker's own errors have data of the documented kinds, and each kind its code.
pub(super) fn check_error(error: &Value) -> Result<(), String> {
    let code = error["code"].as_i64().ok_or_else(|| format!("an error must have a `code`, got {error}"))?;
    if !error["message"].is_string() {
        return Err(format!("an error must have a `message`, got {error}"));
    }
    if code < 0 {
        return Ok(());
    }
    let data = read::<api::ErrorData>(&error["data"])?;
    if i64::from(data.code()) == code { Ok(()) } else { Err(format!("kind and code differ: {error}")) }
}

pub(super) fn check_type<T: DeserializeOwned>(value: &Value) -> Result<(), String> {
    read::<T>(value).map(|_| ())
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    // From text: ids are kept as written, which a value cannot give.
    serde_json::from_str(&value.to_string()).map_err(|e| format!("{e}: {value}"))
}
