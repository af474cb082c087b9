//! Which files are refused for what they are called or begin with: secrets, and what belongs to a version control
//! system.

use crate::error::Problem;

/// Directories in which a version control system keeps its own files, and the file of that name in a worktree.
const VERSION_CONTROL: [&str; 5] = [".git", ".hg", ".jj", ".svn", ".bzr"];

/// Directories whose whole content is secret.
const SECRET_DIRECTORIES: [&str; 5] = [".aws", ".azure", ".gnupg", ".kube", ".ssh"];

/// Names of files that hold passwords, tokens or keys.
const SECRET_NAMES: [&str; 28] = [
    ".boto",
    ".dockercfg",
    ".git-credentials",
    ".htpasswd",
    ".my.cnf",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".s3cfg",
    ".vault-token",
    "_netrc",
    "application_default_credentials.json",
    "auth.json",
    "client_secret.json",
    "credentials",
    "credentials.json",
    "credentials.toml",
    "credentials.yaml",
    "credentials.yml",
    "kubeconfig",
    "secrets.env",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "service-account.json",
    "terraform.tfvars",
];

/// Beginnings of names: environment files and SSH keys. `.env.example` is refused too, since people do put values there.
const SECRET_PREFIXES: [&str; 6] = [".env", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa", "id_xmss"];

/// Endings of names: private keys, key stores, password databases, the state of Terraform.
const SECRET_SUFFIXES: [&str; 12] = [
    ".pem",
    ".key",
    ".p8",
    ".p12",
    ".pfx",
    ".jks",
    ".keystore",
    ".kdbx",
    ".ppk",
    ".agekey",
    ".tfstate",
    ".tfstate.backup",
];

/// The end of the line that begins a private key in the PEM and OpenSSH formats.
const KEY_HEADER: &str = "PRIVATE KEY-----";

/// Checks the names of a path, whose last one is the file's.
pub(crate) fn check_names(relative: &str, allow_secrets: bool) -> Result<(), Problem> {
    let names: Vec<String> = relative.split('/').map(folded).collect();
    if names.iter().any(|it| VERSION_CONTROL.contains(&it.as_str())) {
        return Err(Problem::VersionControl);
    }
    if allow_secrets {
        return Ok(());
    }
    let Some((file, directories)) = names.split_last() else { return Ok(()) };
    let is_secret = directories.iter().chain([file]).any(|it| SECRET_DIRECTORIES.contains(&it.as_str()))
        || SECRET_NAMES.contains(&file.as_str())
        || SECRET_PREFIXES.iter().any(|it| file.starts_with(it))
        || SECRET_SUFFIXES.iter().any(|it| file.ends_with(it))
        || (directories.last().is_some_and(|it| it == ".docker") && file == "config.json");
    if is_secret { Err(Problem::Secret) } else { Ok(()) }
}

/// Checks the first line of a text: a private key is one whatever its file is called.
pub(crate) fn check_text(text: &str, allow_secrets: bool) -> Result<(), Problem> {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let is_key = first.starts_with("-----BEGIN ") && first.trim_end().ends_with(KEY_HEADER);
    if is_key && !allow_secrets { Err(Problem::Secret) } else { Ok(()) }
}

/// The name as file systems compare it that ignore case, or characters without width.
fn folded(name: &str) -> String {
    let is_ignored = |it: char| matches!(it, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    name.chars().filter(|it| !is_ignored(*it)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_refused_wherever_they_are() {
        for name in
            [".env", "a/.env.local", "A/ID_RSA", "k.PEM", "x/.ssh/config", ".netrc", ".docker/config.json"]
        {
            assert_eq!(check_names(name, false), Err(Problem::Secret), "{name}");
            assert_eq!(check_names(name, true), Ok(()), "{name}");
        }
    }

    #[test]
    fn ordinary_names_are_not_taken_for_secrets() {
        for name in
            ["id_generator.py", "src/environment.ts", "keys.md", "secrets.py", "config.json", "token.rs"]
        {
            assert_eq!(check_names(name, false), Ok(()), "{name}");
        }
    }

    #[test]
    fn version_control_is_refused_even_if_secrets_are_allowed() {
        for name in [".git/config", "a/.GIT/HEAD", ".g\u{200c}it/config", ".git"] {
            assert_eq!(check_names(name, true), Err(Problem::VersionControl), "{name}");
        }
        assert_eq!(check_names(".gitignore", false), Ok(()));
    }

    #[test]
    fn a_private_key_is_known_by_its_first_line() {
        let header = format!("-----BEGIN OPENSSH {KEY_HEADER}");
        assert_eq!(check_text(&format!("\n{header}\r\nabc"), false), Err(Problem::Secret));
        assert_eq!(check_text(&format!("The line `{header}` begins a key."), false), Ok(()));
    }
}
