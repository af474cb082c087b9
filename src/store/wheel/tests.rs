//! Tests with the pip of this machine, on wheels made here; no index is ever asked.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::sample::{pip_for, wheel};
use super::{Pip, Requirement, Wheel, fetch, fetch_within, pip};
use crate::digest::sha256_bytes;
use crate::error::StoreError;

fn requirement<'a>(name: &'a str, version: Option<&'a str>, sha256: Option<&'a str>) -> Requirement<'a> {
    Requirement { name, version, sha256 }
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_wheel_is_downloaded_once_and_found_afterwards() {
    let (index, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = wheel(index.path(), "some-data", "1.2", &[("some_data/x.bin", b"hello")]);
    let pip = pip_for(index.path());
    let sha256 = sha256_bytes(&fs::read(&made).unwrap());
    let wanted = requirement("some-data", Some("1.2"), Some(&sha256));
    let mut heard = 0;
    let fetched = fetch(&wanted, folder.path(), &pip, &mut |done| heard = done).unwrap();
    assert_eq!(fetched, folder.path().join("some_data-1.2-py3-none-any.whl"));
    assert_eq!(heard, fs::metadata(&fetched).unwrap().len());
    assert_eq!(names_in(folder.path()).len(), 1, "no scratch folder is left");

    let nobody = Pip { python: "/nonexistent/python3".into(), offline: false };
    assert_eq!(fetch(&wanted, folder.path(), &nobody, &mut |_| {}).unwrap(), fetched);
    assert!(matches!(
        fetch(&requirement("Some.Data", Some("1.3"), None), folder.path(), &nobody, &mut |_| {}),
        Err(StoreError::NoPip { .. })
    ));
}

#[test]
fn a_wheel_with_another_hash_is_refused_and_leaves_nothing() {
    let (index, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    wheel(index.path(), "some-data", "1.2", &[("x", b"hello")]);
    let wrong = "0".repeat(64);
    let err = fetch(
        &requirement("some-data", Some("1.2"), Some(&wrong)),
        folder.path(),
        &pip_for(index.path()),
        &mut |_| {},
    )
    .unwrap_err();
    assert!(matches!(&err, StoreError::HashMismatch { expected, .. } if *expected == wrong), "{err}");
    assert_eq!(names_in(folder.path()), Vec::<String>::new());
}

#[test]
fn the_error_message_contains_pips_own_message() {
    let (index, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pip = pip_for(index.path());
    let err = fetch(&requirement("no-such-package-here", None, None), folder.path(), &pip, &mut |_| {})
        .unwrap_err();
    let text = err.to_string();
    assert!(matches!(err, StoreError::PipFailed { .. }), "{text}");
    assert!(text.contains("No matching distribution found for no-such-package-here"), "{text}");
    assert!(text.contains("\nhint: "), "{text}");

    let silent = Pip { python: "false".into(), offline: true };
    let err = fetch(&requirement("x", None, None), folder.path(), &silent, &mut |_| {}).unwrap_err();
    assert!(err.to_string().contains("exit status: 1"), "{err}");
}

#[test]
fn pip_ends_and_its_scratch_folder_is_deleted_when_its_stdin_is_closed() {
    // An index that accepts the connection and never answers.
    let index = TcpListener::bind("127.0.0.1:0").unwrap();
    index.set_nonblocking(true).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join(".fetch-x");
    fs::create_dir(&scratch).unwrap();
    fs::write(folder.path().join("pip.py"), "raise SystemExit(3)").unwrap();
    let pip = Pip { python: "python3".into(), offline: false };
    let mut child = pip::command("some-data", &pip, &scratch)
        .unwrap()
        // The working directory may be a user's project with a module of that name.
        .current_dir(folder.path())
        .env("PIP_INDEX_URL", format!("http://{}/simple", index.local_addr().unwrap()))
        .env("PIP_DEFAULT_TIMEOUT", "3600")
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env("NO_PROXY", "*")
        .spawn()
        .unwrap();
    // pip has connected, so it is in the middle of its work.
    let _question = loop {
        if let Ok(it) = index.accept() {
            break it;
        }
        assert_eq!(child.try_wait().unwrap(), None, "pip connects before it ends");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(scratch.join("tmp").exists());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!scratch.exists(), "the scratch folder is deleted");
}

#[test]
fn a_download_that_exceeds_its_limit_is_stopped() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("python-without-end");
    fs::write(&python, "#!/bin/sh\nwhile head -c 100000 /dev/zero >> \"$TMPDIR/x\"; do :; done\n").unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let pip = Pip { python: python.into(), offline: true };
    let wheels = folder.path().join("wheels");
    let err = fetch_within(&requirement("x", None, None), &wheels, &pip, 1_000_000, &mut |_| {}).unwrap_err();
    assert!(err.to_string().contains("the download is larger than expected and was stopped"), "{err}");
    assert_eq!(names_in(&wheels), Vec::<String>::new());
}

#[test]
fn pip_on_a_full_disk_is_told_as_that_and_its_other_failures_by_their_exception() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("python");
    let fail = |exception: &str| {
        // As pip ends if it did not expect the error.
        let said =
            format!("ERROR: Exception:\nTraceback (most recent call last):\n  File \"x\"\n{exception}\n");
        fs::write(&python, format!("#!/bin/sh\ncat >&2 <<'END'\n{said}END\nexit 2\n")).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        let pip = Pip { python: python.clone().into(), offline: true };
        fetch(&requirement("x", None, None), &folder.path().join("wheels"), &pip, &mut |_| {}).unwrap_err()
    };
    let err = fail("OSError: [Errno 28] No space left on device");
    assert!(matches!(err, StoreError::DiskFull { .. }), "{err}");
    let err = fail("ValueError: what is this").to_string();
    assert!(err.starts_with("pip cannot fetch `x`: ValueError: what is this\nhint: "), "{err}");
}

#[test]
fn scratch_folders_of_killed_processes_are_deleted_and_those_of_running_ones_kept() {
    let (index, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    wheel(index.path(), "some-data", "1.2", &[("x", b"hello")]);
    let (dead, living) = (folder.path().join(".fetch-dead"), folder.path().join(".fetch-living"));
    for it in [&dead, &living] {
        fs::create_dir_all(it.join("wheels")).unwrap();
        fs::write(it.join("wheels/half.whl"), "half").unwrap();
    }
    let lock = File::open(&living).unwrap();
    lock.try_lock().unwrap();
    fetch(&requirement("some-data", None, None), folder.path(), &pip_for(index.path()), &mut |_| {}).unwrap();
    assert!(!dead.exists() && living.join("wheels/half.whl").exists());
}

#[test]
fn a_member_longer_than_the_archive_says_is_not_unpacked_completely() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "w", "1", &[("w/a", &vec![0; 5_000_000])]);
    let mut bytes = fs::read(&path).unwrap();
    // The length in the archive's directory, 24 bytes after the beginning of the first entry.
    let entry = bytes.windows(4).position(|it| it == b"PK\x01\x02").unwrap();
    bytes[entry + 24..entry + 28].copy_from_slice(&10_u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let mut copied = Vec::new();
    let err = Wheel::open(&path).unwrap().copy("w/a", &mut copied).unwrap_err();
    assert!(matches!(err, StoreError::BadWheel { .. }), "{err}");
    assert!(copied.len() < 1_000_000, "{} bytes", copied.len());
}

#[test]
fn members_are_listed_copied_and_extracted() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "w", "1", &[("w/lib/a.so", b"A"), ("w/b.txt", b"BB")]);
    let mut wheel = Wheel::open(&path).unwrap();
    let members = wheel.members().unwrap();
    assert!(members.contains(&("w/lib/a.so".to_owned(), 1)) && members.contains(&("w/b.txt".to_owned(), 2)));
    let mut copied = Vec::new();
    assert_eq!(wheel.copy("w/b.txt", &mut copied).unwrap(), 2);
    assert_eq!(copied, b"BB");
    let out = dir.path().join("out");
    let extracted = wheel.extract(&out, &|it| it.starts_with("w/lib/")).unwrap();
    assert_eq!(extracted, [out.join("w/lib/a.so")]);
    assert_eq!(fs::read(&extracted[0]).unwrap(), b"A");
    assert!(matches!(wheel.copy("nope", &mut copied), Err(StoreError::BadWheel { .. })));
}

#[test]
fn a_member_that_leads_out_of_the_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "w", "1", &[("../evil.txt", b"x")]);
    let err = Wheel::open(&path).unwrap().extract(&dir.path().join("out"), &|_| true).unwrap_err();
    assert!(err.to_string().contains("`../evil.txt` leads out of the folder"), "{err}");
    assert!(!dir.path().join("evil.txt").exists());
}

#[test]
fn damage_to_a_wheel_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "w", "1", &[("w/a", &[7; 5000])]);
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(matches!(Wheel::open(&path), Err(StoreError::BadWheel { .. })));
    // One byte of the data, which the checksum detects.
    let mut bad = good;
    bad[40] ^= 0xff;
    fs::write(&path, &bad).unwrap();
    let mut wheel = Wheel::open(&path).unwrap();
    assert!(matches!(wheel.copy("w/a", &mut std::io::sink()), Err(StoreError::BadWheel { .. })));
}
