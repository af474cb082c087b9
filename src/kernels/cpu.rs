//! The context of every call: which instructions to use and which threads.
//!
//! Made once per process, shared freely. Knows nothing of what is computed.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::KernelError;
use crate::memory::Slabs;
use crate::pool::Pool;
use crate::simd::portable::Portable;
use crate::simd::{Kernel, Simd};

/// The environment variable that overrides the choice of instructions.
pub const PATH_VARIABLE: &str = "RUNABOUT_KERNELS";

/// A family of instructions that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    Avx512,
    Avx2,
    Neon,
    Portable,
}

/// The tokens of the paths that this machine can run.
#[derive(Clone, Copy, Debug)]
enum Token {
    #[cfg(target_arch = "x86_64")]
    Avx512(crate::simd::avx512::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::simd::avx2::Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(crate::simd::neon::Neon),
    Portable(Portable),
}

/// The processor as the kernels use it: instructions and threads.
#[derive(Debug)]
pub struct Cpu {
    token: Token,
    pool: Pool,
    slabs: Slabs,
}

/// How to use the processor; `default()` is the best that it offers.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuOptions {
    /// Instructions; `None` asks [`PATH_VARIABLE`], then the machine.
    pub path: Option<Path>,
    /// Threads that compute, the caller included; `None` is one per physical core.
    pub n_threads: Option<NonZeroUsize>,
}

impl Cpu {
    pub fn new(options: CpuOptions) -> Result<Cpu, KernelError> {
        let path = match options.path {
            Some(path) => path,
            None => match std::env::var(PATH_VARIABLE) {
                Ok(name) if !name.is_empty() => name.parse()?,
                _ => Path::best(),
            },
        };
        let token = path.token().ok_or(KernelError::PathUnavailable { path })?;
        let n_threads = options.n_threads.unwrap_or_else(Pool::physical_cores);
        let pool = Pool::new(n_threads).map_err(|source| KernelError::Threads { source })?;
        Ok(Cpu { token, pool, slabs: Slabs::default() })
    }

    pub fn path(&self) -> Path {
        match self.token {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => Path::Avx512,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => Path::Avx2,
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => Path::Neon,
            Token::Portable(_) => Path::Portable,
        }
    }

    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where weights get their memory.
    pub(crate) fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    /// Runs `kernel` on this thread, with the chosen instructions.
    pub(crate) fn run<K: Kernel>(&self, kernel: K) {
        match self.token {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(simd) => simd.run(kernel),
            Token::Portable(simd) => simd.run(kernel),
        }
    }

    /// Rows of the largest register tile.
    pub(crate) fn tile_rows(&self) -> usize {
        self.constant(|it| it.tile_rows)
    }

    /// The most rows for which weights are unpacked in registers.
    pub(crate) fn few_rows(&self) -> usize {
        self.constant(|it| it.few_rows)
    }

    fn constant(&self, pick: fn(Constants) -> usize) -> usize {
        fn of<S: Simd>(_: S) -> Constants {
            Constants { tile_rows: S::TILE_ROWS, few_rows: S::FEW_ROWS }
        }
        pick(match self.token {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(simd) => of(simd),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(simd) => of(simd),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(simd) => of(simd),
            Token::Portable(simd) => of(simd),
        })
    }
}

struct Constants {
    tile_rows: usize,
    few_rows: usize,
}

impl Path {
    /// From the fastest to the one that always works.
    pub const ALL: [Path; 4] = [Path::Avx512, Path::Avx2, Path::Neon, Path::Portable];

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        self.token().is_some()
    }

    /// The fastest path that this machine can run.
    pub fn best() -> Path {
        Path::ALL.into_iter().find(|it| it.is_available()).unwrap_or(Path::Portable)
    }

    fn token(self) -> Option<Token> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => crate::simd::avx512::Avx512::detect().map(Token::Avx512),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => crate::simd::avx2::Avx2::detect().map(Token::Avx2),
            #[cfg(target_arch = "aarch64")]
            Path::Neon => crate::simd::neon::Neon::detect().map(Token::Neon),
            Path::Portable => Some(Token::Portable(Portable)),
            #[allow(unreachable_patterns, reason = "the paths of other architectures")]
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Path::Avx512 => "avx512",
            Path::Avx2 => "avx2",
            Path::Neon => "neon",
            Path::Portable => "portable",
        })
    }
}

impl FromStr for Path {
    type Err = KernelError;

    fn from_str(name: &str) -> Result<Path, KernelError> {
        Path::ALL
            .into_iter()
            .find(|it| it.to_string() == name)
            .ok_or_else(|| KernelError::PathName { got: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_path_has_a_name_that_parses_back() {
        for path in Path::ALL {
            assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }
        assert!("sse9".parse::<Path>().unwrap_err().to_string().contains("`sse9`"));
    }

    #[test]
    fn a_path_that_the_machine_lacks_is_refused() {
        for path in Path::ALL {
            let made = Cpu::new(CpuOptions { path: Some(path), n_threads: NonZeroUsize::new(1) });
            assert_eq!(made.is_ok(), path.is_available(), "{path}");
        }
        assert!(Path::Portable.is_available());
    }
}
