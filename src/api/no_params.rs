//! The params of methods that have none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// This method takes no parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoParams {}
