//! The cache that is shared with Python: what is there is used, what is fetched is put there whole, and nothing else is
//! deleted from it. `tests/hub` compares it with Python's own program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;

use super::server::{COMMIT, Trouble};
use super::{Fixture, fixture, weights, with_shards};
use crate::error::StoreError;
use crate::manifest::Source;
use crate::store::{FaultKind, Place};

const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const FIRST_SHARD: &str = "model-00001-of-00002.safetensors";

/// Puts some of the hub's files into the cache, as Python does.
fn fetched_by_python(it: &Fixture, is_there: impl Fn(&str) -> bool) {
    let (repository, etags) = (it.repository(), it.hub.etags());
    let snapshot = repository.join("snapshots").join(COMMIT);
    for folder in [&snapshot, &repository.join("blobs"), &repository.join("refs")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    for (name, bytes) in it.hub.files().into_iter().filter(|(name, _)| is_there(name)) {
        fs::write(repository.join("blobs").join(&etags[&name]), bytes).unwrap();
        symlink(format!("../../blobs/{}", etags[&name]), snapshot.join(name)).unwrap();
    }
}

/// The files that were asked for, without the listing.
fn asked(it: &Fixture) -> Vec<String> {
    let asked = it.hub.requests().into_iter().filter(|it| it.contains("/resolve/"));
    asked.map(|it| it.rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn a_model_that_python_fetched_is_used_without_a_request() {
    let it = fixture();
    with_shards(&it.hub);
    fetched_by_python(&it, |_| true);
    let (path, manifest) = it.resolve("owner/name").unwrap();
    assert_eq!(it.hub.requests(), Vec::<String>::new());
    assert_eq!(fs::read(path.join(FIRST_SHARD)).unwrap(), weights());
    let Source::Hub { commit, .. } = manifest.source else { panic!("{:?}", manifest.source) };
    assert_eq!(commit, COMMIT);
    it.resolve_with("owner/name", &it.options().offline()).unwrap();
    it.resolve(&format!("owner/name@{COMMIT}")).unwrap();
    let folder =
        it.store.resolve(&path.to_str().unwrap().parse().unwrap(), &it.options(), &mut |_| {}).unwrap();
    assert_eq!(folder.name, "owner/name", "also when it is given as a folder");
}

#[test]
fn of_a_model_that_python_fetched_in_part_only_the_rest_is_fetched() {
    let it = fixture();
    with_shards(&it.hub);
    fetched_by_python(&it, |name| ![FIRST_SHARD, "consolidated.safetensors", "README.md"].contains(&name));
    let err = it.resolve_with("owner/name", &it.options().offline()).unwrap_err();
    assert!(matches!(err, StoreError::Offline { .. }), "{err}");
    it.resolve("owner/name").unwrap();
    assert_eq!(asked(&it), [FIRST_SHARD]);
}

#[test]
fn a_snapshot_that_lacks_what_python_has_listed_is_not_whole() {
    let it = fixture();
    with_shards(&it.hub);
    fetched_by_python(&it, |name| name != "chat_template.jinja");
    let trees = it.repository().join("trees");
    fs::create_dir(&trees).unwrap();
    let files = serde_json::json!({
        "README.md": { "size": 10, "blob_id": "x" }, "chat_template.jinja": { "size": 14, "blob_id": "y" },
    });
    let tree = serde_json::json!({ "format_version": 1, "files": files });
    fs::write(trees.join(format!("{COMMIT}.json")), tree.to_string()).unwrap();
    it.resolve("owner/name").unwrap();
    assert_eq!(asked(&it), ["chat_template.jinja"]);
}

#[test]
fn a_damaged_blob_is_found_and_fetched_again() {
    let it = fixture();
    with_shards(&it.hub);
    // Which has the bytes of the first shard.
    fetched_by_python(&it, |name| name != "consolidated.safetensors");
    let blob = it.repository().join("blobs").join(&it.hub.etags()[FIRST_SHARD]);
    fs::write(&blob, &weights()[..1000]).unwrap();
    let (path, _) = it.resolve("owner/name").unwrap();
    assert_eq!(asked(&it), [FIRST_SHARD], "its length is not that of its header");
    assert_eq!(fs::read(path.join(FIRST_SHARD)).unwrap(), weights());

    // A wrong byte is only found by its hash.
    let mut wrong = weights();
    wrong[1000] ^= 1;
    fs::write(&blob, wrong).unwrap();
    it.resolve("owner/name").unwrap();
    let verdict = it.store.verify("owner/name", &mut |_| {}).unwrap();
    assert!(
        matches!(verdict.faults.as_slice(), [it] if matches!(it.kind, FaultKind::Changed { .. })),
        "{verdict:?}"
    );
}

#[test]
fn small_files_are_checked_too() {
    let it = fixture();
    with_shards(&it.hub);
    let listing = serde_json::json!({ "sha": COMMIT, "siblings": [
        { "rfilename": "config.json", "blobId": "0".repeat(40) }, { "rfilename": "tokenizer.json" },
        { "rfilename": "model.safetensors" },
    ]});
    it.hub.listing(&listing.to_string());
    let err = it.resolve("owner/name").unwrap_err();
    assert!(matches!(err, StoreError::HashMismatch { .. }), "{err}");
}

#[test]
fn nothing_has_its_name_before_everything_is_there() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.trouble(&[Trouble::Cut(100_000), Trouble::Cut(0), Trouble::Cut(0), Trouble::Cut(0)]);
    it.resolve("owner/name").unwrap_err();
    let names = |folder: &str| fs::read_dir(it.repository().join(folder)).map_or(0, Iterator::count);
    assert_eq!((names("snapshots"), names("refs")), (0, 0));
    it.resolve("owner/name").unwrap();
    assert_eq!(fs::read_to_string(it.repository().join("refs/main")).unwrap(), COMMIT, "without a newline");
    let link = fs::read_link(it.repository().join("snapshots").join(COMMIT).join(FIRST_SHARD)).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(&it.hub.etags()[FIRST_SHARD]));
}

#[test]
fn several_files_come_at_a_time_and_a_failure_ends_them_all() {
    let it = fixture();
    with_shards(&it.hub);
    let mut options = it.options();
    options.hub.n_parallel = 4;
    it.hub.trouble(&[Trouble::Status("403 Forbidden", "")]);
    it.resolve_with("owner/name", &options).unwrap_err();
    let mut done = Vec::new();
    let folder =
        it.store.resolve(&"owner/name".parse().unwrap(), &options, &mut |it| done.push((it.done, it.total)));
    assert_eq!(fs::read(folder.unwrap().path.join(FIRST_SHARD)).unwrap(), weights());
    let (last, total) = *done.last().unwrap();
    assert_eq!(Some(last), total);
}

#[test]
fn two_stores_that_share_a_cache_fetch_a_model_once() {
    let it = fixture();
    with_shards(&it.hub);
    let done = Mutex::new(0);
    std::thread::scope(|scope| {
        for idx in 0..2 {
            let (it, done) = (&it, &done);
            scope.spawn(move || {
                let home = it.dir.path().join(format!("home-{idx}"));
                let store = crate::Store::open(home).with_hub_cache(it.store.hub_cache());
                store.resolve(&"owner/name".parse().unwrap(), &it.options(), &mut |_| {}).unwrap();
                *done.lock().unwrap() += 1;
            });
        }
    });
    assert_eq!(*done.lock().unwrap(), 2);
    let mut files = asked(&it);
    files.sort();
    files.dedup();
    assert_eq!(asked(&it).len(), files.len(), "{files:?}");
}

#[test]
fn a_model_keeps_its_commit_until_it_is_pulled_again() {
    let it = fixture();
    with_shards(&it.hub);
    let (first, _) = it.resolve("owner/name").unwrap();
    it.hub.small("config.json", br#"{"model_type": "qwen2"}"#);
    it.hub.move_to(LATER);
    assert_eq!(it.resolve("owner/name").unwrap().0, first);
    let mut refresh = it.options();
    refresh.is_refresh = true;
    let before = asked(&it).len();
    let (second, _) = it.resolve_with("owner/name", &refresh).unwrap();
    assert!(second.ends_with(LATER), "{}", second.display());
    assert_eq!(asked(&it)[before..], ["config.json"]);
    assert_eq!(it.resolve("owner/name").unwrap().0, second);
    it.resolve_with("owner/name", &refresh).unwrap();
    assert_eq!(asked(&it).len(), before + 1, "nothing is new");

    // Without a network the model that is here is good enough.
    refresh.hub.endpoint = "http://127.0.0.1:1".to_owned();
    assert_eq!(it.resolve_with("owner/name", &refresh).unwrap().0, second);
    let names: Vec<_> = it.store.list().unwrap().into_iter().map(|it| (it.name, it.place)).collect();
    assert_eq!(
        names,
        [("owner/name".to_owned(), Place::HubCache), (format!("owner/name@{COMMIT}"), Place::HubCache),]
    );
}

#[test]
fn a_removal_takes_what_nothing_else_links_to() {
    let it = fixture();
    with_shards(&it.hub);
    it.resolve("owner/name").unwrap();
    it.hub.small("config.json", br#"{"model_type": "qwen2"}"#);
    it.hub.move_to(LATER);
    let mut refresh = it.options();
    refresh.is_refresh = true;
    it.resolve_with("owner/name", &refresh).unwrap();

    let removal = it.store.removal(&format!("owner/name@{COMMIT}")).unwrap();
    assert_eq!(
        removal.n_bytes,
        br#"{"model_type": "llama"}"#.len() as u64,
        "the other files are in both commits"
    );
    it.store.carry_out(&removal).unwrap();
    it.resolve_with("owner/name", &it.options().offline()).unwrap();

    let outside = it.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), [0; 1000]).unwrap();
    symlink(&outside, it.repository().join("snapshots").join(LATER).join("folder")).unwrap();
    symlink(outside.join("x"), it.repository().join("snapshots").join(LATER).join("file")).unwrap();
    symlink(outside.join("x"), it.repository().join("blobs/linked")).unwrap();
    let blobs = 2 * weights().len() as u64;
    let removal = it.store.removal("owner/name").unwrap();
    assert!(removal.n_bytes > blobs && removal.n_bytes < blobs + 1000, "{}", removal.n_bytes);
    it.store.carry_out(&removal).unwrap();
    assert!(!it.repository().exists() && outside.join("x").exists());
    assert_eq!(it.store.list().unwrap(), []);
    let err = it.store.removal("owner/name").unwrap_err();
    assert!(matches!(err, StoreError::NotInstalled { .. }), "{err}");
}

#[test]
fn snapshots_without_a_name_are_litter_unless_a_model_of_ours_is_held_to_them() {
    let it = fixture();
    with_shards(&it.hub);
    it.resolve("owner/name").unwrap();
    let repository = it.repository();
    let main = fs::read_to_string(repository.join("refs/main")).unwrap();
    let unnamed = repository.join("snapshots").join(LATER);
    let add = || {
        fs::create_dir_all(&unnamed).unwrap();
        fs::write(repository.join("blobs/only-here"), [0; 100]).unwrap();
        symlink("../../blobs/only-here", unnamed.join("config.json")).unwrap();
        // What another snapshot links to stays.
        let blob = fs::read_link(repository.join("snapshots").join(main.trim()).join("config.json")).unwrap();
        symlink(blob, unnamed.join("shared.json")).unwrap();
    };
    add();
    // Nothing is removed beside what another program is fetching.
    let locks = it.dir.path().join("cache/.locks/models--owner--name");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join("4567.lock")).unwrap();
    lock.lock().unwrap();
    fs::write(repository.join("blobs/4567.incomplete"), "").unwrap();
    assert!(it.store.litter().unwrap().is_empty());
    drop(lock);
    fs::remove_file(repository.join("blobs/4567.incomplete")).unwrap();
    // A tag is a name.
    fs::write(repository.join("refs/v1"), LATER).unwrap();
    assert!(it.store.litter().unwrap().is_empty());
    fs::remove_file(repository.join("refs/v1")).unwrap();
    let litter = it.store.litter().unwrap();
    assert_eq!(litter.n_bytes, 100, "{litter:?}");
    it.store.carry_out(&litter).unwrap();
    assert!(!unnamed.exists() && !repository.join("blobs/only-here").exists());
    assert_eq!(it.store.verify("owner/name", &mut |_| {}).unwrap().faults, []);
    // The model stays what it was when the branch has moved.
    add();
    fs::write(repository.join("refs/main"), LATER).unwrap();
    assert!(it.store.litter().unwrap().is_empty());
    it.resolve_with("owner/name", &it.options().offline()).unwrap();
    // Without any name, the repository goes.
    fs::remove_dir_all(it.dir.path().join("home/pins")).unwrap();
    fs::remove_file(repository.join("refs/main")).unwrap();
    it.store.carry_out(&it.store.litter().unwrap()).unwrap();
    assert!(!repository.exists());
}

#[test]
fn litter_is_what_nothing_needs_and_nobody_is_working_on() {
    let it = fixture();
    with_shards(&it.hub);
    it.resolve("owner/name").unwrap();
    assert!(it.store.litter().unwrap().is_empty());
    let repository = it.repository();
    let write = |path: &str, n_bytes: usize| {
        fs::create_dir_all(repository.join(path).parent().unwrap()).unwrap();
        fs::write(repository.join(path), vec![0; n_bytes]).unwrap();
    };
    write("blobs/0123.abcd.incomplete", 1);
    write("blobs/4567.incomplete", 10);
    write("blobs/89ab", 100);
    write(".runabout/89ab.part", 1000);
    fs::write(repository.join("refs/gone"), LATER).unwrap();
    let locks = it.dir.path().join("cache/.locks/models--owner--name");
    let lock = fs::File::create(locks.join("4567.lock")).unwrap();
    lock.lock().unwrap();
    let litter = it.store.litter().unwrap();
    assert_eq!(litter.n_bytes, 1 + 100 + 1000, "{litter:?}");
    it.store.carry_out(&litter).unwrap();
    assert!(repository.join("blobs/4567.incomplete").exists(), "another program is downloading it");
    assert!(!repository.join("refs/gone").exists());
    it.resolve_with("owner/name", &it.options().offline()).unwrap();
    assert_eq!(it.store.verify("owner/name", &mut |_| {}).unwrap().faults, []);
}
