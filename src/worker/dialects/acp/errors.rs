//! The errors that requests are answered with, in the codes of ACP.

use runabout_assist::Error;
use runabout_rpc::{ErrorObject, ErrorObjectOwned, params};

const INVALID_REQUEST: i32 = -32600;
const INTERNAL: i32 = -32603;
/// ACP's error for what does not exist, such as a session.
const NOT_FOUND: i32 = -32002;
/// The error for a request that the client has cancelled and that has no result for that.
const CANCELLED: i32 = -32800;

pub(super) fn not_initialized() -> ErrorObjectOwned {
    error(INVALID_REQUEST, "the first request must be `initialize`")
}

pub(super) fn initialized_twice() -> ErrorObjectOwned {
    error(INVALID_REQUEST, "`initialize` must be sent once")
}

/// A prompt came while the session still answers another.
pub(super) fn busy() -> ErrorObjectOwned {
    error(
        INVALID_REQUEST,
        "the session still answers a prompt\nhint: wait for its end, or send `session/cancel`",
    )
}

pub(super) fn too_many_sessions(limit: usize) -> ErrorObjectOwned {
    error(
        INVALID_REQUEST,
        format!("at most {limit} sessions may be open\nhint: close one with `session/close`"),
    )
}

pub(super) fn no_session(id: &str) -> ErrorObjectOwned {
    const MAX_CHARS: usize = 60;
    let id: String = id.chars().take(MAX_CHARS).collect();
    error(NOT_FOUND, format!("there is no session `{id}`"))
}

pub(super) fn cancelled() -> ErrorObjectOwned {
    error(CANCELLED, "request cancelled")
}

/// A parameter of the right type has a wrong value. `field` is its path.
pub(super) fn invalid(field: &str, message: impl AsRef<str>) -> ErrorObjectOwned {
    params::invalid(field, format!("`{field}` {}", message.as_ref()))
}

/// The assistant refused a request or could not finish it.
pub(super) fn of_request(failed: &Error) -> ErrorObjectOwned {
    error(INTERNAL, failed.to_string())
}

/// A session could not be read from the disk or removed from it.
pub(super) fn of_archive(failed: &std::io::Error) -> ErrorObjectOwned {
    error(INTERNAL, format!("the session's file cannot be used: {failed}"))
}

fn error(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObject::owned(code, message, None::<()>)
}
