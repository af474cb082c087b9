//! Resolves a model reference: `cargo run -p runabout-store --features hub --example resolve -- REFERENCE [--offline]`.
//!
//! For trying model references by hand. Prints progress and the folder to stderr; models go to `RUNABOUT_HOME`.

use std::env;

use runabout_store::{ModelRef, Options, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(reference) = args.first() else { return Err("usage: resolve REFERENCE [--offline]".into()) };
    let reference: ModelRef = reference.parse()?;
    let mut options = Options::from_env(|name| env::var_os(name));
    if args.iter().any(|it| it == "--offline") {
        options = options.offline();
    }
    let store = Store::open(Store::default_home(|name| env::var_os(name))?);
    let folder = store.resolve(&reference, &options, &mut |it| {
        eprintln!(
            "{:8} {:>12} / {}",
            it.stage.name(),
            it.done,
            it.total.map_or("?".into(), |it| it.to_string())
        );
    });
    match folder {
        Ok(folder) => eprintln!("{} ({} weight bytes)", folder.path.display(), folder.weight_bytes),
        Err(err) => eprintln!("{err}"),
    }
    Ok(())
}
