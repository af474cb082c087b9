//! The program `runabout`.

fn main() {}
