//! Which files a file imports: from the statements of its outline to paths that may exist.
//!
//! Nothing is read here. A statement leads to candidates, since most languages leave open where a module lies; packages
//! that are installed elsewhere lead to none that exists in the workspace.

mod brackets;
mod module_paths;
mod relative;
mod wanted;

use std::path::Path;

use self::wanted::MAX_WANTED;
pub(crate) use self::wanted::Wanted;
use crate::language::Language;

/// A longer statement is no import that a person wrote.
const MAX_STATEMENT: usize = 8_000;

/// What the import statements of the file at `path` lead to; `root` is the workspace folder that contains it.
pub(crate) fn wanted<'a>(
    language: Language,
    statements: impl Iterator<Item = &'a str>,
    path: &Path,
    root: &Path,
) -> Vec<Wanted> {
    let Some(folder) = path.parent() else { return Vec::new() };
    let of_package = match language {
        Language::Go => Some(Wanted::Folder { path: folder.to_owned(), extension: "go" }),
        Language::Java => Some(Wanted::Folder { path: folder.to_owned(), extension: "java" }),
        _ => None,
    };
    let mut all: Vec<Wanted> = of_package.into_iter().collect();
    for statement in statements.filter(|it| it.len() <= MAX_STATEMENT) {
        if all.len() == MAX_WANTED {
            break;
        }
        let found = match language {
            Language::C => relative::of_c(statement, folder, root),
            Language::Go => module_paths::of_go(statement, root),
            Language::Java => module_paths::of_java(statement, folder, root),
            Language::JavaScript | Language::Tsx | Language::TypeScript => {
                relative::of_script(statement, folder)
            }
            Language::Python => module_paths::of_python(statement, folder, root),
            Language::Rust => brackets::of_rust(statement, path, root),
        };
        for wanted in found {
            if all.len() < MAX_WANTED && !all.contains(&wanted) {
                all.push(wanted);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::wanted::normal;
    use super::*;

    const ROOT: &str = "/project";

    /// The candidates of one statement in the file `from`, relative to the root.
    fn found(language: Language, from: &str, statement: &str) -> Vec<String> {
        let root = Path::new(ROOT);
        let wanted = wanted(language, [statement].into_iter(), &root.join(from), root);
        let shown =
            |path: &Path| path.strip_prefix(root).map_or("outside".to_owned(), |it| it.display().to_string());
        wanted
            .iter()
            .map(|it| match it {
                Wanted::FirstOf(paths) => paths.iter().map(|it| shown(it)).collect::<Vec<_>>().join(" "),
                Wanted::Folder { path, extension } => format!("{}/*.{extension}", shown(path)),
            })
            .collect()
    }

    #[test]
    fn python_looks_for_modules_beside_the_file_and_from_the_folders_above() {
        let relative = found(Language::Python, "pkg/sub/a.py", "from ..core import Option, Command as C");
        assert_eq!(relative[0], "pkg/core.py pkg/core.pyi pkg/core/__init__.py");
        assert!(relative.iter().any(|it| it.starts_with("pkg/core/Option.py")));
        let absolute = found(Language::Python, "pkg/a.py", "import pkg.core as core, os");
        assert_eq!(
            absolute[0],
            "pkg/pkg/core.py pkg/pkg/core.pyi pkg/pkg/core/__init__.py pkg/core.py pkg/core.pyi pkg/core/__init__.py src/pkg/core.py src/pkg/core.pyi src/pkg/core/__init__.py"
        );
        assert_eq!(
            found(Language::Python, "pkg/a.py", "from . import b")[1],
            "pkg/b.py pkg/b.pyi pkg/b/__init__.py"
        );
    }

    #[test]
    fn rust_looks_for_modules_from_the_crates_root_and_beside_the_file() {
        let of_crate = found(Language::Rust, "src/engine/a.rs", "use crate::plan::{Span, step::Step};");
        let all = of_crate.join(" ");
        assert!(all.contains("src/engine/plan.rs") && all.contains("src/plan.rs"), "{all}");
        assert!(all.contains("src/plan/step.rs"), "{all}");
        assert_eq!(found(Language::Rust, "src/lib.rs", "mod plan;"), ["src/plan.rs src/plan/mod.rs"]);
        assert_eq!(
            found(Language::Rust, "src/plan.rs", "pub mod step;"),
            ["src/plan/step.rs src/plan/step/mod.rs"]
        );
        assert!(found(Language::Rust, "src/a/b.rs", "use super::c::D;").join(" ").contains("src/a/c.rs"));
        assert!(found(Language::Rust, "src/a.rs", "use std::path::Path;").is_empty());
    }

    #[test]
    fn scripts_import_by_relative_path_only() {
        let found_of = |statement| found(Language::TypeScript, "src/a.ts", statement);
        assert!(found_of("import {b} from './b'")[0].starts_with("src/b.ts src/b.tsx"));
        assert!(found_of("export * from \"../lib/c.js\"")[0].contains("lib/c.ts"));
        assert!(found_of("const d = require('./d')")[0].contains("src/d/index.js"));
        assert!(found_of("import React from 'react'").is_empty());
    }

    #[test]
    fn c_go_and_java_have_their_ways() {
        let c = found(Language::C, "lib/a.c", "#include \"util/b.h\"");
        assert_eq!(c, ["lib/util/b.h util/b.h include/util/b.h"]);
        assert!(found(Language::C, "lib/a.c", "#include <stdio.h>").is_empty());
        let go = found(Language::Go, "cmd/a.go", "import (\n\t\"fmt\"\n\tx \"example.com/m/internal/x\"\n)");
        assert_eq!(go[0], "cmd/*.go");
        assert!(go.contains(&"internal/x/*.go".to_owned()), "{go:?}");
        let java = found(Language::Java, "src/org/a/B.java", "import org.c.D;");
        assert!(java[1].contains("src/org/c/D.java"), "{java:?}");
    }

    #[test]
    fn a_path_of_thousands_of_names_is_not_tried_in_every_place() {
        let long = |separator: &str| vec!["a"; 2_000].join(separator);
        let list = vec!["b"; 1_000].join(", ");
        for (language, statement) in [
            (Language::Rust, format!("use crate::{};", long("::"))),
            (Language::Rust, format!("use crate::{};", long("::{"))),
            (Language::Go, format!("import \"{}\"", long("/"))),
            (Language::Python, format!("from {} import {list}", long("."))),
            (Language::Python, format!("import {}", long("."))),
            (Language::Java, format!("import {};", long("."))),
        ] {
            let found = found(language, "a/b/c/d/e", &statement);
            let n_bytes: usize = found.iter().map(String::len).sum();
            assert!(n_bytes < 100_000, "{language:?} {n_bytes}");
        }
    }

    #[test]
    fn an_import_that_leads_out_of_the_workspace_has_no_candidate_in_it() {
        assert_eq!(normal(Path::new("/project/a/../../etc/x")), Path::new("/etc/x"));
        let found = found(Language::JavaScript, "a.js", "import '../../secret'");
        assert!(found.iter().all(|it| it.split(' ').all(|it| it == "outside")), "{found:?}");
    }
}
