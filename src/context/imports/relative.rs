//! Imports that name a file by its path: C's includes, and those of JavaScript and TypeScript.

use std::path::Path;

use super::wanted::{Wanted, normal, quoted};

/// The extensions that a specifier may leave out, in the order of preference.
const EXTENSIONS: [&str; 8] = ["ts", "tsx", "js", "jsx", "mjs", "cjs", "d.ts", "vue"];

/// `#include "path"`, from the folder of the file, the root and its folder `include`.
pub(super) fn of_c(statement: &str, folder: &Path, root: &Path) -> Vec<Wanted> {
    let Some(path) = statement.contains('"').then(|| quoted(statement)).flatten() else { return Vec::new() };
    let mut paths: Vec<_> =
        [folder, root, &root.join("include")].iter().map(|it| normal(&it.join(path))).collect();
    paths.dedup();
    vec![Wanted::FirstOf(paths)]
}

/// `import ... from "./path"`, `export ... from "./path"` and `require("./path")`.
pub(super) fn of_script(statement: &str, folder: &Path) -> Vec<Wanted> {
    let quote = ["from", "require", "import"].iter().find_map(|word| {
        let at = statement.rfind(word)?;
        quoted(&statement[at..])
    });
    let Some(specifier) = quote.filter(|it| it.starts_with('.')) else { return Vec::new() };
    let path = normal(&folder.join(specifier));
    let with = |stem: &str, extension: &str| path.with_file_name(format!("{stem}.{extension}"));
    let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let mut paths = Vec::new();
    if let Some((stem, "js" | "mjs" | "cjs" | "jsx" | "ts" | "tsx" | "mts" | "cts")) = name.rsplit_once('.') {
        // TypeScript imports `./a.js` where the file is `./a.ts`.
        paths.push(path.clone());
        paths.extend(["ts", "tsx", "mts"].map(|it| with(stem, it)));
    } else if !name.is_empty() {
        paths.extend(EXTENSIONS.map(|it| with(&name, it)));
    }
    paths.extend(["ts", "tsx", "js"].map(|it| path.join(format!("index.{it}"))));
    vec![Wanted::FirstOf(paths)]
}
