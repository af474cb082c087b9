//! The list of the protocol's methods, from which the schema, the OpenRPC document, the capabilities and the worker's
//! registry are derived. To add a method, write its file and add it here.

pub use crate::cancel::Cancel;
pub use crate::chat::Chat;
pub use crate::complete::Complete;
pub use crate::discover::Discover;
pub use crate::initialize::Initialize;
pub use crate::next_edit::NextEdit;
pub use crate::shutdown::Shutdown;
pub use crate::status::Status;
pub use crate::tokenize::Tokenize;
pub use crate::warm::Warm;

/// Expands to `callback! { path::Initialize, path::Complete, ... }`: the type of each method, in the order of the
/// documents, by its full path.
#[macro_export]
macro_rules! for_each_method {
    ($callback:ident) => {
        $callback! {
            $crate::methods::Initialize,
            $crate::methods::Complete,
            $crate::methods::NextEdit,
            $crate::methods::Chat,
            $crate::methods::Cancel,
            $crate::methods::Warm,
            $crate::methods::Tokenize,
            $crate::methods::Status,
            $crate::methods::Shutdown,
            $crate::methods::Discover
        }
    };
}
