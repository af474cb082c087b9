//! The wire types of the native protocol, version 1.
