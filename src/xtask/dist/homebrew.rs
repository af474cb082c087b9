//! The formula for Homebrew, which builds from source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::release::VERSION;

/// Stands for an address that is not known yet.
const NO_URL: &str = "https://example.com/runabout-VERSION.tar.gz";

/// Writes the formula, with the hash of the archive that `git archive` makes of the last commit.
pub(super) fn write(root: &Path, out: &Path, source_url: Option<&str>) -> Result<PathBuf> {
    let archive = Command::new("git")
        .args(["archive", "--format=tar.gz", &format!("--prefix=runabout-{VERSION}/"), "HEAD"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    ensure!(archive.status.success(), "`git archive` failed: {}", String::from_utf8_lossy(&archive.stderr));
    let source = out.join(format!("runabout-{VERSION}.tar.gz"));
    fs::write(&source, &archive.stdout)?;
    let url = source_url.map_or_else(|| NO_URL.replace("VERSION", VERSION), str::to_owned);
    let path = out.join("runabout.rb");
    fs::write(&path, formula(&url, &format!("{:x}", Sha256::digest(&archive.stdout))))?;
    Ok(path)
}

/// The project's page, as far as the address of its sources tells: what stands before the archive where that belongs to a
/// repository, or else the host.
fn homepage(url: &str) -> &str {
    let archive = ["/-/archive/", "/archive/", "/releases/"].iter().filter_map(|it| url.find(it)).min();
    let host = url.find("://").map_or(0, |it| it + 3);
    let end = archive.or_else(|| url[host..].find('/').map(|it| host + it + 1));
    &url[..end.unwrap_or(url.len())]
}

fn formula(url: &str, sha256: &str) -> String {
    let homepage = homepage(url);
    format!(
        r##"class Runabout < Formula
  desc "Local language model for everyday coding errands"
  homepage "{homepage}"
  url "{url}"
  sha256 "{sha256}"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "cmake" => :build
  depends_on "rust" => :build
  # The Metal compiler of Xcode, with which MLX is built.
  depends_on xcode: ["15.0", :build]
  depends_on arch: :arm64
  depends_on :macos

  def install
    system "cargo", "xtask", "setup"
    system "cargo", "install", *std_cargo_args(path: "src/worker")
    generate_completions_from_executable(bin/"runabout", "completions")
    system bin/"runabout", "man", "--out", man1
  end

  test do
    assert_match version.to_s, shell_output("#{{bin}}/runabout --version")
    assert_match "\"status\"", shell_output("#{{bin}}/runabout doctor --no-model --offline --json")
  end
end
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_has_the_address_and_the_hash() {
        let formula = formula("https://host.example/a.tar.gz", "abc");
        assert!(formula.contains("  url \"https://host.example/a.tar.gz\"\n  sha256 \"abc\"\n"), "{formula}");
        assert!(formula.contains("shell_output(\"#{bin}/runabout --version\")"), "{formula}");
    }

    #[test]
    fn the_homepage_is_the_repository_or_the_host() {
        for (url, page) in [
            ("https://host.example/a/b/archive/refs/tags/v1.tar.gz", "https://host.example/a/b"),
            ("https://host.example/a/b/-/archive/v1/b.tar.gz", "https://host.example/a/b"),
            ("https://host.example/a/b/releases/download/v1/b.tar.gz", "https://host.example/a/b"),
            ("https://host.example/b.tar.gz", "https://host.example/"),
        ] {
            assert_eq!(homepage(url), page);
            assert!(formula(url, "abc").contains(&format!("  homepage \"{page}\"\n")), "{url}");
        }
    }
}
