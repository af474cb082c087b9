//! Checks messages against the types of `runabout_api`; its lists of methods and notifications say which type each has.

use std::collections::BTreeSet;

use runabout_api::{self as api, Method, Notification, Sender, for_each_method, for_each_notification};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The names of all methods and notifications.
pub(super) struct Names {
    pub(super) methods: BTreeSet<String>,
    pub(super) from_client: BTreeSet<String>,
    pub(super) from_worker: BTreeSet<String>,
}

impl Names {
    pub(super) fn read() -> Self {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Self {
            methods: owned(api::method_names()),
            from_client: owned(api::notification_names(Sender::Client)),
            from_worker: owned(api::notification_names(Sender::Worker)),
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

/// Checks the params of a request or a notification of the client; null if there are none.
pub(super) fn check_params(method: &str, params: &Value) -> Result<(), String> {
    macro_rules! of_methods {
        ($($method:ty),*) => {
            $(if method == <$method as Method>::NAME {
                return check_optional::<<$method as Method>::Params>(params);
            })*
        };
    }
    for_each_method!(of_methods);
    check_notification_params(method, Sender::Client, params)
}

pub(super) fn check_result(method: &str, result: &Value) -> Result<(), String> {
    if method == api::methods::Discover::NAME && *result != api::openrpc() {
        return Err(format!("the result of `{method}` must be the document of `runabout_api`, got {result}"));
    }
    macro_rules! of_methods {
        ($($method:ty),*) => {
            $(if method == <$method as Method>::NAME {
                return check_type::<<$method as Method>::Result>(result);
            })*
        };
    }
    for_each_method!(of_methods);
    Err(format!("no such method: `{method}`"))
}

/// Checks a notification of the worker.
pub(super) fn check_notification(message: &Value) -> Result<(), String> {
    let method = message["method"].as_str().unwrap_or_default();
    check_notification_params(method, Sender::Worker, &message["params"])
}

fn check_notification_params(method: &str, sender: Sender, params: &Value) -> Result<(), String> {
    macro_rules! of_notifications {
        ($($notification:ty),*) => {
            $(if (method, sender) == (<$notification as Notification>::NAME, <$notification as Notification>::SENDER) {
                return check_optional::<<$notification as Notification>::Params>(params);
            })*
        };
    }
    for_each_notification!(of_notifications);
    Err(format!("no such method: `{method}`"))
}

/// Checks an error: the worker's own errors must have `data` of a documented kind, with the code of that kind.
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

/// Absent params are null here, and count as an empty object.
fn check_optional<T: DeserializeOwned>(params: &Value) -> Result<(), String> {
    match check_type::<T>(params) {
        Err(_) if params.is_null() => check_type::<T>(&json!({})),
        checked => checked,
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    // From text, because ids are kept as written, and a `Value` does not keep that.
    serde_json::from_str(&value.to_string()).map_err(|e| format!("{e}: {value}"))
}
