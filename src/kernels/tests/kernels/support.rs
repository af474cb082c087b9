//! Shared by the tests of several modules: contexts for every path, random numbers, comparison.

use std::num::NonZeroUsize;

use runabout_kernels::{Cpu, CpuOptions, FloatType, Floats, Matrix, Path, Precision, Weights, bf16, f16};

/// A context for each path that this machine can run, with two threads.
pub(crate) fn cpus() -> Vec<Cpu> {
    Path::ALL.into_iter().filter(|it| it.is_available()).map(|it| cpu(it, Precision::F32)).collect()
}

/// The same in another precision, and also without the instructions that only this precision uses.
pub(crate) fn cpus_in(precision: Precision) -> Vec<Cpu> {
    Path::ALL
        .into_iter()
        .filter(|it| it.is_available())
        .flat_map(|it| [cpu(it, precision), cpu(it, precision).without_integer_instructions()])
        .collect()
}

fn cpu(path: Path, precision: Precision) -> Cpu {
    let n_threads = NonZeroUsize::new(2);
    Cpu::new(CpuOptions { path: Some(path), n_threads, precision: Some(precision) }).unwrap()
}

/// Roughly normally distributed numbers.
pub(crate) fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..n).map(|_| (0..6).map(|_| rng.f32() - 0.5).sum::<f32>() * 1.4).collect()
}

/// Fails unless the root mean square of the difference, relative to that of `expected`, is below `limit`.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], expected: &[f64], limit: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let difference: f64 = got.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).powi(2)).sum();
    let size: f64 = expected.iter().map(|it| it.powi(2)).sum();
    let error = (difference / size.max(f64::MIN_POSITIVE)).sqrt();
    assert!(error < limit, "{what}: relative error {error:.2e}, limit {limit:.0e}");
}

/// Owned numbers of one of the types.
#[derive(Clone)]
pub(crate) enum Numbers {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl Numbers {
    pub(crate) fn new(values: &[f32], float_type: FloatType) -> Numbers {
        match float_type {
            FloatType::F32 => Numbers::F32(values.to_vec()),
            FloatType::F16 => Numbers::F16(values.iter().map(|&it| f16::from_f32(it)).collect()),
            FloatType::Bf16 => Numbers::Bf16(values.iter().map(|&it| bf16::from_f32(it)).collect()),
        }
    }

    pub(crate) fn floats(&self) -> Floats<'_> {
        match self {
            Numbers::F32(it) => Floats::F32(it),
            Numbers::F16(it) => Floats::F16(it),
            Numbers::Bf16(it) => Floats::Bf16(it),
        }
    }

    fn at(&self, i: usize) -> f64 {
        match self {
            Numbers::F32(it) => it[i].into(),
            Numbers::F16(it) => it[i].into(),
            Numbers::Bf16(it) => it[i].into(),
        }
    }
}

/// A random matrix in a checkpoint's format.
pub(crate) struct RandomMatrix {
    pub(crate) n_rows: usize,
    pub(crate) n_cols: usize,
    coding: RandomCoding,
}

enum RandomCoding {
    Plain(Numbers),
    Affine { words: Vec<u32>, scales: Numbers, biases: Numbers, bits: usize, group_size: usize },
}

impl RandomMatrix {
    pub(crate) fn plain(n_rows: usize, n_cols: usize, float_type: FloatType, seed: u64) -> RandomMatrix {
        let values = Numbers::new(&normal(n_rows * n_cols, seed), float_type);
        RandomMatrix { n_rows, n_cols, coding: RandomCoding::Plain(values) }
    }

    pub(crate) fn affine(
        n_rows: usize,
        n_cols: usize,
        bits: usize,
        group_size: usize,
        scales: FloatType,
        seed: u64,
    ) -> RandomMatrix {
        let mut rng = fastrand::Rng::with_seed(seed);
        let words = (0..n_rows * n_cols / 32 * bits).map(|_| rng.u32(..)).collect();
        let n_groups = n_rows * n_cols / group_size;
        // Scales of both signs, and biases that roughly centre the values, as a quantizer would choose them.
        let steps: Vec<f32> = normal(n_groups, seed + 1).iter().map(|it| it / (1 << bits) as f32).collect();
        let centre = -0.5 * ((1 << bits) - 1) as f32;
        let offsets: Vec<f32> =
            steps.iter().zip(normal(n_groups, seed + 2)).map(|(it, n)| it * (centre + n)).collect();
        let (scales, biases) = (Numbers::new(&steps, scales), Numbers::new(&offsets, scales));
        RandomMatrix {
            n_rows,
            n_cols,
            coding: RandomCoding::Affine { words, scales, biases, bits, group_size },
        }
    }

    /// The same with every bias `-2^(bits - 1)` times its scale.
    pub(crate) fn centred(self) -> RandomMatrix {
        let n_rows = self.n_rows;
        self.centred_to(n_rows)
    }

    /// The same for the first `n_rows` rows only.
    pub(crate) fn centred_to(mut self, n_rows: usize) -> RandomMatrix {
        let n_centred = n_rows * self.n_cols;
        if let RandomCoding::Affine { scales, biases, bits, group_size, .. } = &mut self.coding {
            let middle = f64::from(1u32 << (*bits - 1));
            let values: Vec<f32> = (0..scales.floats().len())
                .map(|i| {
                    let is_centred = i < n_centred / *group_size;
                    (if is_centred { -middle * scales.at(i) } else { biases.at(i) }) as f32
                })
                .collect();
            *biases = Numbers::new(&values, scales.floats().float_type());
        }
        self
    }

    pub(crate) fn matrix(&self) -> Matrix<'_> {
        let weights = match &self.coding {
            RandomCoding::Plain(values) => Weights::Plain(values.floats()),
            RandomCoding::Affine { words, scales, biases, bits, group_size } => Weights::Affine {
                words,
                scales: scales.floats(),
                biases: biases.floats(),
                bits: *bits,
                group_size: *group_size,
            },
        };
        Matrix { n_rows: self.n_rows, n_cols: self.n_cols, weights }
    }

    /// The value in double precision, decoded bit by bit.
    pub(crate) fn at(&self, row: usize, col: usize) -> f64 {
        match &self.coding {
            RandomCoding::Plain(values) => values.at(row * self.n_cols + col),
            RandomCoding::Affine { words, scales, biases, bits, group_size } => {
                let first = (row * self.n_cols + col) * bits;
                let q: u32 =
                    (0..*bits).map(|i| (words[(first + i) / 32] >> ((first + i) % 32) & 1) << i).sum();
                let group = (row * self.n_cols + col) / group_size;
                scales.at(group) * f64::from(q) + biases.at(group)
            }
        }
    }

    /// `x * self^T` in double precision.
    pub(crate) fn product(&self, x: &[f64]) -> Vec<f64> {
        let dense: Vec<f64> =
            (0..self.n_rows * self.n_cols).map(|i| self.at(i / self.n_cols, i % self.n_cols)).collect();
        x.chunks(self.n_cols)
            .flat_map(|x| {
                dense
                    .chunks(self.n_cols)
                    .map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum())
                    .collect::<Vec<f64>>()
            })
            .collect()
    }
}
