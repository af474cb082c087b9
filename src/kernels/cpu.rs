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
    /// Without VNNI, products of whole numbers are AVX2's: its own would be one more form to compile.
    Avx512(crate::simd::avx512::Avx512, crate::simd::avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(crate::simd::avx512::Avx512, crate::simd::avx512::Avx512<true>),
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::simd::avx2::Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(crate::simd::neon::Neon),
    Portable(Portable),
}

/// How exactly products with quantized weights are computed.
///
/// In every precision but [`Precision::F32`], a row of results does not depend, bit for bit, on the rows beside
/// it. Matrices that are not quantized are always multiplied in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Everything in f32: about 1e-7 of the root mean square of a result is lost.
    F32,
    /// Input rows are rounded to 16 bits per 32 columns, finer than f16: about 2e-5 is lost.
    Int16,
    /// Input rows are rounded to 8 bits per 32 columns: about 5e-3 is lost. The fastest.
    Int8,
}

/// The processor as the kernels use it: instructions and threads.
#[derive(Debug)]
pub struct Cpu {
    token: Token,
    precision: Precision,
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
    /// Weights are packed for it: those packed by one `Cpu` keep its precision on any other. `None` is [`Precision::Int16`]
    /// where it is faster than f32, with AVX-512 VNNI and on AVX2, and f32 elsewhere.
    pub precision: Option<Precision>,
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
        let token = path.token().ok_or(KernelError::PathUnavailable { path: path.name() })?;
        let n_threads = options.n_threads.unwrap_or_else(Pool::physical_cores);
        let pool = Pool::new(n_threads).map_err(|source| KernelError::Threads { source })?;
        let precision = options.precision.unwrap_or_else(|| token.precision());
        Ok(Cpu { token, precision, pool, slabs: Slabs::default() })
    }

    pub fn path(&self) -> Path {
        match self.token {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(..) | Token::Avx512Vnni(..) => Path::Avx512,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => Path::Avx2,
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => Path::Neon,
            Token::Portable(_) => Path::Portable,
        }
    }

    pub fn precision(&self) -> Precision {
        self.precision
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
            Token::Avx512(simd, _) | Token::Avx512Vnni(simd, _) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(simd) => simd.run(kernel),
            Token::Portable(simd) => simd.run(kernel),
        }
    }

    /// Runs `kernel` on this thread, also with instructions that only products of whole numbers gain from.
    pub(crate) fn run_whole<K: Kernel>(&self, kernel: K) {
        match self.token {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(_, simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_, simd) | Token::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(simd) => simd.run(kernel),
            Token::Portable(simd) => simd.run(kernel),
        }
    }

    /// The same without what `run_whole` adds, as on a machine that lacks it.
    #[cfg(test)]
    pub(crate) fn without_whole(self) -> Cpu {
        match (self.token, Path::Avx2.token()) {
            #[cfg(target_arch = "x86_64")]
            (Token::Avx512Vnni(simd, _), Some(Token::Avx2(avx2))) => {
                Cpu { token: Token::Avx512(simd, avx2), ..self }
            }
            _ => self,
        }
    }

    /// Rows of the largest register tile of whole numbers.
    pub(crate) fn whole_rows(&self) -> usize {
        self.whole_constant(|it| it.whole_rows)
    }

    /// The most rows of whole numbers for which weights are unpacked in registers.
    pub(crate) fn few_whole_rows(&self) -> usize {
        self.whole_constant(|it| it.few_whole_rows)
    }

    /// Whether whole numbers are multiplied as pairs of 16 bits.
    pub(crate) fn is_wide(&self) -> bool {
        self.whole_constant(|it| it.is_wide)
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
        pick(match self.token {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(simd, _) | Token::Avx512Vnni(simd, _) => Constants::of(simd),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(simd) => Constants::of(simd),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(simd) => Constants::of(simd),
            Token::Portable(simd) => Constants::of(simd),
        })
    }

    /// Of the instructions that `run_whole` takes.
    fn whole_constant<T>(&self, pick: fn(Constants) -> T) -> T {
        pick(match self.token {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(_, simd) => Constants::of(simd),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_, simd) | Token::Avx2(simd) => Constants::of(simd),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(simd) => Constants::of(simd),
            Token::Portable(simd) => Constants::of(simd),
        })
    }
}

impl Token {
    /// The fastest precision whose greedy tokens are float32's but where two are all but equal.
    fn precision(self) -> Precision {
        match self {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(..) | Token::Avx2(_) => Precision::Int16,
            _ => Precision::F32,
        }
    }
}

#[allow(clippy::struct_field_names, reason = "named as in `Simd`")]
struct Constants {
    tile_rows: usize,
    few_rows: usize,
    whole_rows: usize,
    few_whole_rows: usize,
    is_wide: bool,
}

impl Constants {
    fn of<S: Simd>(_: S) -> Constants {
        Constants {
            tile_rows: S::TILE_ROWS,
            few_rows: S::FEW_ROWS,
            whole_rows: S::WHOLE_ROWS,
            few_whole_rows: S::FEW_WHOLE_ROWS,
            is_wide: S::WIDE,
        }
    }
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

    fn name(self) -> &'static str {
        match self {
            Path::Avx512 => "avx512",
            Path::Avx2 => "avx2",
            Path::Neon => "neon",
            Path::Portable => "portable",
        }
    }

    fn token(self) -> Option<Token> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => {
                let simd = crate::simd::avx512::Avx512::detect()?;
                let vnni =
                    crate::simd::avx512::Avx512::detect_vnni().map(|vnni| Token::Avx512Vnni(simd, vnni));
                vnni.or_else(|| Some(Token::Avx512(simd, crate::simd::avx2::Avx2::detect()?)))
            }
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
        f.pad(self.name())
    }
}

impl Precision {
    /// From the most exact to the fastest.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Int16, Precision::Int8];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Precision::F32 => "f32",
            Precision::Int16 => "int16",
            Precision::Int8 => "int8",
        })
    }
}

impl FromStr for Precision {
    type Err = KernelError;

    fn from_str(name: &str) -> Result<Precision, KernelError> {
        Precision::ALL
            .into_iter()
            .find(|it| it.to_string() == name)
            .ok_or_else(|| KernelError::PrecisionName { got: name.to_owned() })
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
    fn every_path_and_precision_has_a_name_that_parses_back() {
        for path in Path::ALL {
            assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse::<Precision>().unwrap(), precision);
        }
        assert!("int4".parse::<Precision>().unwrap_err().to_string().contains("`int4`"));
        assert!("sse9".parse::<Path>().unwrap_err().to_string().contains("`sse9`"));
    }

    #[test]
    fn a_path_that_the_machine_lacks_is_refused() {
        for path in Path::ALL {
            let n_threads = NonZeroUsize::new(1);
            let made = Cpu::new(CpuOptions { path: Some(path), n_threads, ..CpuOptions::default() });
            assert_eq!(made.is_ok(), path.is_available(), "{path}");
        }
        assert!(Path::Portable.is_available());
    }
}
