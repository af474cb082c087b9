//! The packed weights of models, which a worker keeps in the store's folder: which of them go with a model.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Store;
use super::installed::Installed;
use super::removal::entries;
use crate::error::StoreError;

/// Packed weights that no worker has used for so long are litter; the next one packs them again.
const UNUSED: Duration = Duration::from_hours(24 * 30);

impl Store {
    /// The folder in `home` where a worker keeps packed weights, each in a file `MODEL-HASH-PRECISION.packed` for the
    /// model in a folder of that name.
    pub fn packed_folder(home: &Path) -> PathBuf {
        home.join("packed")
    }

    /// The size of a model's packed weights, which it takes on the disk besides its files.
    pub fn packed_bytes(&self, model: &Installed) -> u64 {
        let folder_name = model.path.file_name().unwrap_or_default().to_string_lossy();
        let packed = self.packed_of(&folder_name).unwrap_or_default();
        packed.iter().filter_map(|it| it.metadata().ok()).map(|it| it.len()).sum()
    }

    /// The packed weights of the model in a folder of this name.
    pub(super) fn packed_of(&self, folder_name: &str) -> Result<Vec<PathBuf>, StoreError> {
        let is_of_model = |it: &PathBuf| {
            let rest =
                it.file_name().and_then(|it| it.to_str()?.strip_prefix(folder_name)?.strip_prefix('-'));
            // A longer name may begin with this one.
            rest.is_some_and(|it| it.split('-').count() == 2)
        };
        Ok(entries(&Self::packed_folder(&self.home))?.into_iter().filter(is_of_model).collect())
    }

    /// Packed weights that are no longer used, and unfinished ones.
    pub(super) fn unused_packed(&self) -> Result<Vec<PathBuf>, StoreError> {
        let is_unused = |it: &PathBuf| {
            let used = it.metadata().and_then(|it| it.modified());
            used.is_ok_and(|it| SystemTime::now().duration_since(it).is_ok_and(|age| age > UNUSED))
        };
        Ok(entries(&Self::packed_folder(&self.home))?.into_iter().filter(is_unused).collect())
    }
}
