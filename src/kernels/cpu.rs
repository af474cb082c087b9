//! The context of every call, which chooses instructions and threads: [`Cpu`].
//!
//! It is made once per process and shared. It does not know what is computed.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::KernelError;
use crate::memory::Slabs;
use crate::pool::Pool;
use crate::simd::portable::Portable;
use crate::simd::{Kernel, Simd};

/// The environment variable that overrides the choice of instruction set.
pub const PATH_VARIABLE: &str = "RUNABOUT_KERNELS";

/// A family of instructions that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    Avx512,
    Avx2,
    Neon,
    Portable,
}

/// Proof that this machine can run a path.
#[derive(Clone, Copy, Debug)]
enum Token {
    #[cfg(target_arch = "x86_64")]
    /// Without VNNI, integer products use AVX2, so that there is no further variant to compile.
    Avx512(crate::simd::avx512::Avx512, crate::simd::avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(crate::simd::avx512::Avx512, crate::simd::avx512::Avx512<true>),
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::simd::avx2::Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(crate::simd::neon::Neon),
    Portable(Portable),
}

/// The precision of products with quantized weights.
///
/// In all precisions except [`Precision::F32`], a row's results do not depend, bit for bit, on the rows computed with
/// it. Matrices that are not quantized are always multiplied in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// All in f32. Error: about 1e-7 of the root mean square of a result.
    F32,
    /// Input rows are rounded to 16 bits with a scale per 32 columns, which is finer than f16. Error: about 2e-5.
    Int16,
    /// Input rows are rounded to 8 bits with a scale per 32 columns. The fastest. Error: about 5e-3.
    Int8,
}

/// The processor: instruction set, precision and threads.
#[derive(Debug)]
pub struct Cpu {
    token: Token,
    precision: Precision,
    pool: Pool,
    slabs: Slabs,
}

/// How to use the processor. The default is the best available.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuOptions {
    /// The instruction set; `None` is taken from [`PATH_VARIABLE`], or else the best available.
    pub path: Option<Path>,
    /// Compute threads, the caller included; `None` is one per physical core.
    pub n_threads: Option<NonZeroUsize>,
    /// The precision that weights are packed for. Weights packed by one `Cpu` keep its precision with any other.
    /// `None` is [`Precision::Int16`] where that is faster than f32, which is on AVX-512 with VNNI and on AVX2.
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

    /// The memory for weights.
    pub(crate) fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    /// Runs `kernel` on this thread, compiled for the chosen instruction set.
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

    /// The same, with the additional instructions that only integer products benefit from.
    pub(crate) fn run_integer<K: Kernel>(&self, kernel: K) {
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

    /// The same without the instructions that only integer products benefit from, as on a machine that lacks them.
    #[must_use]
    pub fn without_integer_instructions(self) -> Cpu {
        match (self.token, Path::Avx2.token()) {
            #[cfg(target_arch = "x86_64")]
            (Token::Avx512Vnni(simd, _), Some(Token::Avx2(avx2))) => {
                Cpu { token: Token::Avx512(simd, avx2), ..self }
            }
            _ => self,
        }
    }

    /// Rows of the largest register tile of integers.
    pub(crate) fn integer_rows(&self) -> usize {
        self.integer_constant(|it| it.integer_rows)
    }

    /// The maximum number of integer rows for which weights are unpacked in registers.
    pub(crate) fn few_integer_rows(&self) -> usize {
        self.integer_constant(|it| it.few_integer_rows)
    }

    /// Whether integers are multiplied as pairs of 16 bits.
    pub(crate) fn is_wide(&self) -> bool {
        self.integer_constant(|it| it.is_wide)
    }

    /// Whether products of bytes are summed in 16 bits where that is exact.
    pub(crate) fn sums_bytes(&self) -> bool {
        self.integer_constant(|it| it.sums_bytes)
    }

    /// Rows of the largest register tile.
    pub(crate) fn tile_rows(&self) -> usize {
        self.constant(|it| it.tile_rows)
    }

    /// The maximum number of rows for which weights are unpacked in registers.
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

    /// The constants of the instructions that `run_integer` uses.
    fn integer_constant<T>(&self, pick: fn(Constants) -> T) -> T {
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
    /// The fastest precision with the same greedy tokens as f32, unless two tokens are almost equally likely.
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
    integer_rows: usize,
    few_integer_rows: usize,
    is_wide: bool,
    sums_bytes: bool,
}

impl Constants {
    fn of<S: Simd>(_: S) -> Constants {
        Constants {
            tile_rows: S::TILE_ROWS,
            few_rows: S::FEW_ROWS,
            integer_rows: S::INTEGER_ROWS,
            few_integer_rows: S::FEW_INTEGER_ROWS,
            is_wide: S::WIDE,
            sums_bytes: S::SUMS_BYTES,
        }
    }
}

impl Path {
    /// All paths, from the fastest to the one that is always available.
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
    /// All precisions, from the most accurate to the fastest.
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
