//! Finds the program `runabout`.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

const VARIABLE: &str = "RUNABOUT";

/// The path of the program: `program` if it is given, else that of the environment variable `RUNABOUT`, else `runabout`
/// beside this program, else the first one on the `PATH`.
pub fn find_program(program: Option<&Path>) -> Result<PathBuf, Error> {
    let named = env::var_os(VARIABLE).filter(|it| !it.is_empty()).map(PathBuf::from);
    let by_variable = program.is_none() && named.is_some();
    if let Some(program) = program.map(Path::to_path_buf).or(named) {
        return which(&program).ok_or(Error::ProgramNotFound { program, by_variable });
    }
    let program = PathBuf::from("runabout");
    let beside = env::current_exe().ok().map(|it| it.with_file_name(&program)).filter(|it| is_program(it));
    beside.or_else(|| which(&program)).ok_or(Error::ProgramNotFound { program, by_variable })
}

fn which(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_path_buf()).filter(|it| is_program(it));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|it| is_program(it))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
