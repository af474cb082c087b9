//! The program `runabout`, which is in the library beside this file.

fn main() {
    runabout_worker::main();
}
