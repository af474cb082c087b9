//! Measures the speed of each kernel on the shapes of real models, relative to what the machine can do.
//!
//! `cargo run --release -p runabout-kernels --example bench -- [path...] [precision...] [threads] [filter...]`: a path
//! is a name such as `avx2`, a precision one such as `int8`; a filter keeps the lines that contain it, such as
//! `"gate/up 4 matmul 512 rows"`. Memory
//! bandwidth and the peaks of multiply-adds, of f32 and of bytes, are measured in the same run, best of several, as
//! is everything else: other processes only ever add time. Weights rotate through copies that no cache holds, as
//! they do in a model.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

#[path = "bench/machine.rs"]
mod machine;
#[path = "bench/timing.rs"]
mod timing;

use std::num::NonZeroUsize;
use std::time::Instant;

use runabout_kernels::{
    Activation, Arrangement, Attention, Cpu, CpuOptions, Epilogue, Floats, Input, KvCache, KvShape, KvType,
    Matrix, Norm, PackedWeights, Path, Precision, Rope, RopePairs, RopeTable, Weights, attend, f16, matmul,
};

use timing::best;

/// Total size of the copies of a matrix: a last-level cache holds only a few percent of it.
const ROTATION_BYTES: usize = 512 << 20;
/// A product in a model: outputs and bits of each stacked matrix, inputs, group size, whether gated.
struct Shape {
    model: &'static str,
    name: &'static str,
    outputs: &'static [(usize, usize)],
    n_inputs: usize,
    group_size: usize,
    gated: bool,
}

const fn shape(
    model: &'static str,
    name: &'static str,
    outputs: &'static [(usize, usize)],
    n_inputs: usize,
    gated: bool,
) -> Shape {
    Shape { model, name, outputs, n_inputs, group_size: 32, gated }
}

const SHAPES: [Shape; 14] = [
    shape("smollm2-135m", "qkv 4", &[(576, 4), (192, 4), (192, 4)], 576, false),
    shape("smollm2-135m", "o 4", &[(576, 4)], 576, false),
    shape("smollm2-135m", "gate/up 4", &[(1_536, 4), (1_536, 4)], 576, true),
    shape("smollm2-135m", "down 4", &[(576, 4)], 1_536, false),
    shape("smollm2-135m", "head 8", &[(49_152, 8)], 576, false),
    shape("qwen2.5-0.5b", "qkv 5,5,8", &[(896, 5), (128, 5), (128, 8)], 896, false),
    shape("qwen2.5-0.5b", "o 5", &[(896, 5)], 896, false),
    shape("qwen2.5-0.5b", "gate/up 5", &[(4_864, 5), (4_864, 5)], 896, true),
    shape("qwen2.5-0.5b", "down 8", &[(896, 8)], 4_864, false),
    shape("qwen2.5-0.5b", "head 8", &[(151_936, 8)], 896, false),
    shape("qwen2.5-1.5b", "qkv 4", &[(1_536, 4), (256, 4), (256, 4)], 1_536, false),
    shape("qwen2.5-1.5b", "gate/up 4", &[(8_960, 4), (8_960, 4)], 1_536, true),
    shape("qwen2.5-1.5b", "down 4", &[(1_536, 4)], 8_960, false),
    shape("qwen2.5-1.5b", "down 6", &[(1_536, 6)], 8_960, false),
];

/// Input rows of each product.
const ROWS: [usize; 9] = [1, 2, 3, 4, 8, 12, 16, 64, 512];

/// Model, query heads, key-value heads, head size.
type Heads = (&'static str, usize, usize, usize);

const HEADS: [Heads; 3] =
    [("smollm2-135m", 9, 3, 64), ("qwen2.5-0.5b", 14, 2, 64), ("qwen2.5-1.5b", 12, 2, 128)];

/// Tokens in the cache, and new tokens.
const ATTENTION: [(usize, usize); 7] =
    [(128, 1), (1_024, 1), (1_024, 4), (0, 128), (0, 512), (0, 2_048), (1_024, 512)];

fn main() {
    let (paths, rest): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|it| it.parse::<Path>().is_ok());
    let (n_threads, filters): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|it| it.parse::<NonZeroUsize>().is_ok());
    let n_threads = n_threads.first().map(|it| it.parse().unwrap());
    let (precisions, filters): (Vec<_>, Vec<_>) =
        filters.into_iter().partition(|it| it.parse::<Precision>().is_ok());
    let precisions: Vec<Precision> = if precisions.is_empty() {
        Precision::ALL.to_vec()
    } else {
        precisions.iter().map(|it| it.parse().unwrap()).collect()
    };
    let paths: Vec<Path> = if paths.is_empty() {
        vec![Path::best()]
    } else {
        paths.iter().map(|it| it.parse().unwrap()).collect()
    };
    let wanted = |line: &str| filters.iter().all(|it| line.contains(it.as_str()));
    for path in paths {
        let with = |precision| {
            Cpu::new(CpuOptions { path: Some(path), n_threads, precision: Some(precision) }).unwrap()
        };
        let cpu = with(Precision::F32);
        let limits = machine::Limits::measure(&cpu);
        println!(
            "\n{path}, {} threads: memory {:.1} GB/s, peak {:.0} GFLOP/s, of bytes {:.0} GOP/s, fork and join {:.2} us",
            cpu.pool().n_threads(),
            limits.bytes_per_s / 1e9,
            limits.flops / 1e9,
            limits.byte_ops / 1e9,
            limits.fork_join_s * 1e6,
        );
        println!(
            "{:<13} {:<13} {:<6} {:>5} {:>10} {:>7} {:>5} {:>8} {:>5}",
            "model", "product", "in", "rows", "us", "GB/s", "of", "GOP/s", "of"
        );
        for heads in HEADS {
            let cases: Vec<_> = ATTENTION
                .into_iter()
                .filter(|it| wanted(&format!("{} attention {} rows", heads.0, it.1)))
                .collect();
            if !cases.is_empty() {
                bench_attention(&cpu, heads, &cases, &limits);
            }
        }
        for shape in &SHAPES {
            let n_rows = ROWS.into_iter().filter(|it| *it <= 64 || shape.outputs[0].0 < 40_000);
            let n_rows: Vec<_> = n_rows
                .filter(|it| wanted(&format!("{} {} matmul {it} rows", shape.model, shape.name)))
                .collect();
            if !n_rows.is_empty() {
                for precision in &precisions {
                    bench_matmul(&with(*precision), shape, &n_rows, &limits);
                }
            }
        }
    }
}

fn bench_matmul(cpu: &Cpu, shape: &Shape, n_rows: &[usize], limits: &machine::Limits) {
    let n_in = shape.n_inputs;
    let mut rng = fastrand::Rng::with_seed(1);
    let mut copies = vec![pack(cpu, shape, &mut rng)];
    let pack_s = {
        let start = Instant::now();
        copies.push(pack(cpu, shape, &mut rng));
        start.elapsed().as_secs_f64()
    };
    let n_bytes = copies[0].n_bytes();
    while copies.len() < (ROTATION_BYTES / n_bytes).max(2) {
        copies.push(pack(cpu, shape, &mut rng));
    }
    let n_out = copies[0].n_outputs();
    let n_weights: usize = shape.outputs.iter().map(|it| it.0 * n_in).sum();
    let norm_weight = vec![1.0; n_in];
    let mut turn = 0;
    for &n_rows in n_rows {
        let x: Vec<f32> = (0..n_rows * n_in).map(|_| rng.f32() - 0.5).collect();
        let mut out = vec![0.0; n_rows * n_out];
        let norm = Some(Norm { weight: &norm_weight, eps: 1e-5 });
        let input = Input { x: &x, norm, bias: None };
        let flops = 2.0 * n_weights as f64 * n_rows as f64;
        let seconds = best(|| {
            turn += 1;
            matmul(cpu, &copies[turn % copies.len()], input, Epilogue::Store, &mut out).unwrap();
        });
        let (bytes, flops) = (n_bytes as f64 / seconds, flops / seconds);
        let peak = match cpu.precision() {
            Precision::F32 => limits.flops,
            Precision::Int16 => limits.byte_ops / 2.0,
            Precision::Int8 => limits.byte_ops,
        };
        println!(
            "{:<13} {:<13} {:<6} {:>5} {:>10.1} {:>7.1} {:>4.0}% {:>8.1} {:>4.0}%",
            shape.model,
            shape.name,
            cpu.precision(),
            n_rows,
            seconds * 1e6,
            bytes / 1e9,
            100.0 * bytes / limits.bytes_per_s,
            flops / 1e9,
            100.0 * flops / peak,
        );
    }
    println!(
        "{:<13} {:<13} {:<7} pack {:>10.1} us {:>7.2} GB/s",
        "",
        "",
        cpu.precision(),
        pack_s * 1e6,
        n_bytes as f64 / pack_s / 1e9
    );
}

/// Measures new tokens after a context, with rotation, on as many caches as a model has layers.
fn bench_attention(
    cpu: &Cpu,
    (model, n_heads, n_kv_heads, head_dim): Heads,
    cases: &[(usize, usize)],
    limits: &machine::Limits,
) {
    let table = RopeTable::new(&RopeTable::plain_frequencies(1e4, head_dim), 1.0, 4_096);
    let shape = KvShape { n_heads: n_kv_heads, head_dim, kv_type: KvType::F16 };
    let n_per_token = (n_heads + 2 * n_kv_heads) * head_dim;
    let mut rng = fastrand::Rng::with_seed(1);
    let qkv: Vec<f32> = (0..2_048 * n_per_token).map(|_| rng.f32() - 0.5).collect();
    let mut out = vec![0.0; 2_048 * n_heads * head_dim];
    for &(context, n_tokens) in cases {
        let attention = |n: usize| Attention {
            qkv: &qkv[..n * n_per_token],
            n_heads,
            scale: 1.0 / (head_dim as f32).sqrt(),
            q_norm: None,
            k_norm: None,
            rope: Some(Rope { table: &table, pairs: RopePairs::Halves }),
            window: None,
            sinks: None,
        };
        let mut caches: Vec<KvCache> = (0..24).map(|_| KvCache::new(shape, 4_096).unwrap()).collect();
        for cache in &mut caches {
            attend(cpu, cache, &attention(context), &mut out[..context * n_heads * head_dim]).unwrap();
        }
        let mut turn = 0;
        let seconds = best(|| {
            turn += 1;
            let cache = &mut caches[turn % 24];
            attend(cpu, cache, &attention(n_tokens), &mut out[..n_tokens * n_heads * head_dim]).unwrap();
            cache.truncate(context);
        });
        let n_keys = n_tokens * context + n_tokens * (n_tokens + 1) / 2;
        let flops = (4 * n_keys * n_heads * head_dim) as f64 / seconds;
        let bytes = ((context + n_tokens) * n_kv_heads * head_dim * 4) as f64 / seconds;
        println!(
            "{:<13} {:<13} {:<6} {:>5} {:>10.1} {:>7.1} {:>4.0}% {:>8.1} {:>4.0}%",
            model,
            format!("attend@{context}"),
            "f16",
            n_tokens,
            seconds * 1e6,
            bytes / 1e9,
            100.0 * bytes / limits.bytes_per_s,
            flops / 1e9,
            100.0 * flops / limits.flops,
        );
    }
}

/// Packs random weights of this shape.
fn pack(cpu: &Cpu, shape: &Shape, rng: &mut fastrand::Rng) -> PackedWeights {
    let parts: Vec<(Vec<u32>, Vec<f16>, Vec<f16>)> = shape
        .outputs
        .iter()
        .map(|&(n_rows, bits)| {
            let n = n_rows * shape.n_inputs;
            let first = rng.u32(..);
            let words = (0..n / 32 * bits).map(|i| first.wrapping_mul(i as u32 | 1)).collect();
            let scale = f16::from_f32(0.01);
            // As in llama.cpp's formats: those of 5 and 8 bits in these models have no biases.
            let centred = if matches!(bits, 5 | 8) { -f32::from(1u8 << (bits - 1)) } else { -1.0 };
            let bias = f16::from_f32(scale.to_f32() * centred);
            (words, vec![scale; n / shape.group_size], vec![bias; n / shape.group_size])
        })
        .collect();
    let matrices: Vec<Matrix> = shape
        .outputs
        .iter()
        .zip(&parts)
        .map(|(&(n_rows, bits), (words, scales, biases))| {
            let (scales, biases) = (Floats::F16(scales), Floats::F16(biases));
            let weights = Weights::Affine { words, scales, biases, bits, group_size: shape.group_size };
            Matrix { n_rows, n_cols: shape.n_inputs, weights }
        })
        .collect();
    let arrangement = if shape.gated { Arrangement::Gated(Activation::Silu) } else { Arrangement::Stacked };
    PackedWeights::pack(cpu, &matrices, arrangement).unwrap()
}
