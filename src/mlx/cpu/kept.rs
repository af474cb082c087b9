//! A model's packed weights in a file, so that the next start need not read and pack them again: [`Kept`].
//!
//! ```text
//! 8 bytes    length of the header
//! 8 bytes    CRC-32 of the header
//! header     JSON: the key, and for each packed matrix its form and the CRC-32 of each MiB
//! matrices   in the order of loading
//! ```
//!
//! Each matrix starts at a multiple of 4,096 bytes.
//!
//! The key says what was packed and how. A file with another key, or with any other fault, is not used and is written
//! anew. Files are written beside their place and moved there when they are whole.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use runabout_kernels::{
    Arrangement, Cpu, KernelError, PACKING_VERSION, PackedForm, PackedWeights, Precision,
};
use serde::{Deserialize, Serialize};

use crate::LoadError;

/// Bytes that are read and checked at a time.
const PIECE_BYTES: usize = 1 << 20;
/// The two numbers before the header.
const PREFIX_BYTES: usize = 16;
/// Where matrices start, so that a piece is whole pages.
const ALIGNMENT: u64 = 4_096;
/// A header of more bytes is a fault: this is enough for a terabyte of weights.
const MAX_HEADER_BYTES: u64 = 64 << 20;
/// The share of the free disk that a file may take.
const SHARE_OF_FREE: u64 = 4;

/// What was packed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    version: u32,
    precision: Precision,
    /// The model's files, with their sizes and times of change.
    files: Vec<(PathBuf, u64, SystemTime)>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    key: Key,
    matrices: Vec<Entry>,
}

/// A packed matrix in the file.
#[derive(Serialize, Deserialize)]
struct Entry {
    form: PackedForm,
    /// Of each piece.
    checksums: Vec<u32>,
}

/// The place of a model's file, and what this load does with it.
pub(crate) struct Kept {
    path: PathBuf,
    key: Key,
    /// Locked by one thread only, since a model is loaded on one.
    state: Mutex<State>,
}

enum State {
    Restoring { file: File, at: u64, left: std::vec::IntoIter<Entry> },
    Packing(Vec<Arc<PackedWeights>>),
}

/// Writes a file on a thread of its own. Dropping it gives up what is not written yet.
pub(crate) struct Keeping {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("{0}")]
    Kernels(#[from] KernelError),
    #[error("its bytes have changed")]
    Changed,
    #[error("it is of other weights, or packed in another way")]
    OtherKey,
    #[error("it has other matrices")]
    OtherMatrices,
}

impl Key {
    /// Of the model that consists of `files`, which are absolute.
    fn of(files: &[PathBuf], precision: Precision) -> io::Result<Key> {
        let stamp = |path: &PathBuf| {
            let metadata = fs::metadata(path)?;
            Ok((path.clone(), metadata.len(), metadata.modified()?))
        };
        let files = files.iter().map(stamp).collect::<io::Result<_>>()?;
        Ok(Key { version: PACKING_VERSION, precision, files })
    }
}

impl Kept {
    /// The file in `folder` of the model that consists of `files`, the first of which is inside the model's folder.
    /// `None` if the files cannot be told apart from later ones.
    pub(crate) fn open(folder: &Path, files: &[PathBuf], precision: Precision) -> Option<Kept> {
        let files = files.iter().map(fs::canonicalize).collect::<io::Result<Vec<_>>>().ok()?;
        let key = Key::of(&files, precision).ok()?;
        let first = files.first()?;
        let name = first.parent()?.file_name()?.to_string_lossy();
        let mut hash = crc32fast::Hasher::new();
        for file in &files {
            hash.update(file.as_os_str().as_encoded_bytes());
        }
        let hash = hash.finalize();
        let path = folder.join(format!("{name}-{hash:08x}-{precision}.packed"));
        let state = match open(&path, &key) {
            Ok(Opened { file, start, entries }) => {
                tracing::debug!(path = %path.display(), "packed weights are taken from an earlier start");
                State::Restoring { file, at: start, left: entries.into_iter() }
            }
            Err(fault) => {
                tracing::debug!(path = %path.display(), %fault, "no packed weights to take");
                State::Packing(Vec::new())
            }
        };
        Some(Kept { path, key, state: Mutex::new(state) })
    }

    /// Whether matrices are restored, and so need not be read.
    pub(crate) fn is_restoring(&self) -> bool {
        matches!(*lock(&self.state), State::Restoring { .. })
    }

    /// The next matrix from the file, or else the one that `pack` makes.
    pub(super) fn next(
        &self,
        cpu: &Cpu,
        [n_inputs, n_outputs]: [usize; 2],
        arrangement: Arrangement,
        pack: impl FnOnce() -> Result<PackedWeights, LoadError>,
    ) -> Result<Arc<PackedWeights>, LoadError> {
        match &mut *lock(&self.state) {
            State::Restoring { file, at, left } => {
                let is_expected = |it: &Entry| {
                    let form = &it.form;
                    (form.n_inputs(), form.n_outputs()) == (n_inputs, n_outputs)
                        && form.arrangement() == arrangement
                };
                let entry = left.next().filter(is_expected).ok_or(Fault::OtherMatrices);
                let weights = entry.and_then(|it| restore(cpu, file, *at, &it));
                if let Ok(it) = &weights {
                    *at = end_of(*at, it.bytes().len());
                }
                weights
                    .map(Arc::new)
                    .map_err(|fault| LoadError::Kept { path: self.path.clone(), message: fault.to_string() })
            }
            State::Packing(packed) => {
                let weights = Arc::new(pack()?);
                packed.push(Arc::clone(&weights));
                Ok(weights)
            }
        }
    }

    /// Marks the file as used, or starts to write it if there are at least `min_bytes` to write.
    pub(super) fn finish(&self, min_bytes: usize) -> Option<Keeping> {
        let packed = match &mut *lock(&self.state) {
            State::Restoring { file, .. } => {
                // Only a sign of use, for whoever cleans up.
                let _ = file.set_modified(SystemTime::now());
                return None;
            }
            State::Packing(packed) => std::mem::take(packed),
        };
        if packed.iter().map(|it| it.bytes().len()).sum::<usize>() < min_bytes {
            return None;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (path, key, asked) = (self.path.clone(), self.key.clone(), Arc::clone(&stop));
        let write = move || {
            if let Err(err) = keep(&path, key, &packed, &asked) {
                tracing::warn!(path = %path.display(), %err, "packed weights are not kept");
            }
        };
        let thread = std::thread::Builder::new().name("keep-weights".to_owned()).spawn(write).ok();
        Some(Keeping { stop, thread })
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and only means that nothing is kept.
            let _ = thread.join();
        }
    }
}

/// A file that has the right key.
struct Opened {
    file: File,
    /// Where the first matrix starts.
    start: u64,
    entries: Vec<Entry>,
}

fn open(path: &Path, key: &Key) -> Result<Opened, Fault> {
    let mut file = File::open(path)?;
    let mut numbers = [[0; 8]; 2];
    file.read_exact(numbers.as_flattened_mut())?;
    let [length, checksum] = numbers.map(u64::from_le_bytes);
    if length > MAX_HEADER_BYTES {
        return Err(Fault::Changed);
    }
    let mut header = Vec::new();
    (&file).take(length).read_to_end(&mut header)?;
    if u64::from(crc32fast::hash(&header)) != checksum {
        return Err(Fault::Changed);
    }
    let start = end_of(0, PREFIX_BYTES + header.len());
    let header: Header = serde_json::from_slice(&header).map_err(io::Error::from)?;
    if header.key != *key {
        return Err(Fault::OtherKey);
    }
    Ok(Opened { file, start, entries: header.matrices })
}

/// The start of what follows `n_bytes` at `start`.
fn end_of(start: u64, n_bytes: usize) -> u64 {
    (start + n_bytes as u64).next_multiple_of(ALIGNMENT)
}

/// Reads the matrix at `start`.
fn restore(cpu: &Cpu, file: &File, start: u64, entry: &Entry) -> Result<PackedWeights, Fault> {
    if entry.checksums.len() != entry.form.n_bytes()?.div_ceil(PIECE_BYTES) {
        return Err(Fault::Changed);
    }
    PackedWeights::restore(cpu, &entry.form, |to| {
        let pieces: Vec<_> = to.chunks_mut(PIECE_BYTES).zip(&entry.checksums).map(Mutex::new).collect();
        let fault = Mutex::new(None);
        cpu.pool().for_each(pieces.len(), |i| {
            // Each piece is locked once.
            let (piece, checksum) = &mut *lock(&pieces[i]);
            let read = file.read_exact_at(piece, start + (i * PIECE_BYTES) as u64).map_err(Fault::File);
            let is_right = || crc32fast::hash(piece) == **checksum;
            let checked = read.and_then(|()| if is_right() { Ok(()) } else { Err(Fault::Changed) });
            if let Err(err) = checked {
                lock(&fault).get_or_insert(err);
            }
        });
        fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    })
}

/// Writes a whole file beside `path` and moves it there, unless another process is just doing so.
fn keep(path: &Path, key: Key, packed: &[Arc<PackedWeights>], stop: &AtomicBool) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    // Always the same name, so that what a killed process has left is written over.
    let partial = path.with_extension("partial");
    let file = File::options().create(true).write(true).truncate(false).mode(0o600).open(&partial)?;
    // Another process may have moved it in the meantime.
    if file.try_lock().is_err() || !is_same_file(&file, &partial) {
        return Ok(());
    }
    let written = write(&file, &partial, key, packed, stop).and_then(|()| fs::rename(&partial, path));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })
}

fn is_same_file(file: &File, path: &Path) -> bool {
    let id = |it: io::Result<Metadata>| it.ok().map(|it| (it.dev(), it.ino()));
    id(file.metadata()) == id(fs::metadata(path))
}

/// Writes everything to `file`, which is at `path`. It is not synchronized with the disk, since a damaged file does no
/// harm.
fn write(
    file: &File,
    path: &Path,
    key: Key,
    packed: &[Arc<PackedWeights>],
    stop: &AtomicBool,
) -> io::Result<()> {
    file.set_len(0)?;
    let total: u64 = packed.iter().map(|it| it.bytes().len() as u64).sum();
    let free = free_bytes(path)?;
    if total > free / SHARE_OF_FREE {
        let message = format!("they have {total} bytes, and {free} bytes of the disk are free");
        return Err(io::Error::new(io::ErrorKind::StorageFull, message));
    }
    let entry = |weights: &Arc<PackedWeights>| {
        let checksums = weights.bytes().chunks(PIECE_BYTES).map(crc32fast::hash).collect();
        Entry { form: weights.form(), checksums }
    };
    let header = Header { key, matrices: packed.iter().map(entry).collect() };
    let header = serde_json::to_vec(&header)?;
    let mut file = BufWriter::new(file);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&u64::from(crc32fast::hash(&header)).to_le_bytes())?;
    file.write_all(&header)?;
    let mut at = end_of(0, PREFIX_BYTES + header.len());
    for weights in packed {
        file.seek(SeekFrom::Start(at))?;
        for piece in weights.bytes().chunks(PIECE_BYTES) {
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "the process ended before"));
            }
            file.write_all(piece)?;
        }
        at = end_of(at, weights.bytes().len());
    }
    file.flush()
}

/// The bytes of free disk at `path` that this user may take.
fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use runabout_kernels::{CpuOptions, Floats, Matrix, Weights};

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SHAPE: [usize; 2] = [32, 40_000];

    fn cpu() -> Cpu {
        Cpu::new(CpuOptions::default()).unwrap()
    }

    /// Takes two matrices, which are packed if they are not kept.
    fn load(kept: &Kept) -> Result<Vec<Vec<u8>>, LoadError> {
        let cpu = cpu();
        let load = |value: f32| {
            let values = vec![value; SHAPE[0] * SHAPE[1]];
            let weights = Weights::Plain(Floats::F32(&values));
            let matrix = Matrix { n_rows: SHAPE[1], n_cols: SHAPE[0], weights };
            let pack = || Ok(PackedWeights::pack(&cpu, &[matrix], Arrangement::Stacked)?);
            kept.next(&cpu, SHAPE, Arrangement::Stacked, pack).map(|it| it.bytes().to_vec())
        };
        Ok(vec![load(1.5)?, load(-2.0)?])
    }

    /// A model's folder, and one with its packed weights.
    struct Model {
        folder: tempfile::TempDir,
        files: Vec<PathBuf>,
    }

    impl Model {
        fn new() -> Model {
            let folder = tempfile::tempdir().unwrap();
            let files = ["config.json", "model.safetensors"].map(|it| folder.path().join(it));
            for file in &files {
                fs::write(file, "{}").unwrap();
            }
            Model { folder, files: files.to_vec() }
        }

        fn kept(&self) -> Kept {
            Kept::open(&self.folder.path().join("packed"), &self.files, Precision::Int16).unwrap()
        }

        /// Loads it for the first time, and returns its bytes and its file.
        fn keep(&self) -> (Vec<Vec<u8>>, PathBuf) {
            let kept = self.kept();
            assert!(!kept.is_restoring());
            let bytes = load(&kept).unwrap();
            kept.finish(1).unwrap().thread.take().unwrap().join().unwrap();
            (bytes, kept.path)
        }
    }

    #[test]
    fn weights_that_are_kept_come_back_as_they_were() {
        let model = Model::new();
        let (packed, path) = model.keep();
        let kept = model.kept();
        assert!(kept.is_restoring());
        assert_eq!(load(&kept).unwrap(), packed);
        assert!(kept.finish(1).is_none());
        let folder = path.parent().unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "one whole file and nothing beside it");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn weights_of_other_files_or_of_another_precision_are_not_used() {
        let model = Model::new();
        model.keep();
        let folder = model.folder.path().join("packed");
        assert!(!Kept::open(&folder, &model.files, Precision::F32).unwrap().is_restoring());
        assert!(!Kept::open(&folder, &model.files[..1], Precision::Int16).unwrap().is_restoring());
        fs::write(&model.files[1], "{ }").unwrap();
        assert!(!model.kept().is_restoring());
    }

    #[test]
    fn a_damaged_file_is_never_used() {
        let model = Model::new();
        let (_, path) = model.keep();
        let whole = fs::read(&path).unwrap();
        let length = usize::try_from(u64::from_le_bytes(whole[..8].try_into().unwrap())).unwrap();
        let data = whole.len() - 2 * 32 * 40_000 * 4;
        for at in [0, 8, 16, 16 + length / 2, data, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            let kept = model.kept();
            let is_refused = !kept.is_restoring() || matches!(load(&kept), Err(LoadError::Kept { .. }));
            assert!(is_refused, "byte {at} changed");
        }
        for len in [0, 15, 16 + length / 2, data + 5, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            let kept = model.kept();
            let is_refused = !kept.is_restoring() || matches!(load(&kept), Err(LoadError::Kept { .. }));
            assert!(is_refused, "cut to {len} bytes");
        }
    }

    #[test]
    fn what_a_killed_process_left_is_written_over_and_what_another_one_writes_is_not() {
        let model = Model::new();
        let kept = model.kept();
        let partial = kept.path.with_extension("partial");
        fs::create_dir_all(kept.path.parent().unwrap()).unwrap();
        fs::write(&partial, vec![7; 20_000_000]).unwrap();
        let other = File::open(&partial).unwrap();
        other.lock().unwrap();
        load(&kept).unwrap();
        kept.finish(1).unwrap().thread.take().unwrap().join().unwrap();
        assert!(!model.kept().is_restoring());
        drop(other);
        model.keep();
        assert!(model.kept().is_restoring());
    }

    #[test]
    fn what_is_given_up_leaves_no_file() {
        let model = Model::new();
        let kept = model.kept();
        load(&kept).unwrap();
        let stop = AtomicBool::new(true);
        let State::Packing(packed) = &*lock(&kept.state) else { panic!("nothing is kept yet") };
        assert!(keep(&kept.path, kept.key.clone(), packed, &stop).is_err());
        assert!(!kept.path.with_extension("partial").exists());
        assert!(!kept.path.exists());
    }
}
