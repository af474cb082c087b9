//! Tokens that moved in the cache against tokens computed where they are.

use runabout_kernels::*;

use crate::support::{cpus, normal};

const N_HEADS: usize = 3;

/// Appends tokens and returns their attention outputs.
fn feed(cpu: &Cpu, cache: &mut KvCache, rope: Rope, qkv: &[f32]) -> Vec<f32> {
    let dim = cache.shape().head_dim;
    let n_tokens = qkv.len() / (3 * N_HEADS * dim);
    let mut out = vec![0.0; n_tokens * N_HEADS * dim];
    let attention = Attention {
        qkv,
        n_heads: N_HEADS,
        scale: 0.3,
        q_norm: None,
        k_norm: None,
        rope: Some(rope),
        window: None,
        sinks: None,
    };
    attend(cpu, cache, &attention, &mut out).unwrap();
    out
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn tokens_that_moved_are_as_if_computed_where_they_are() {
    // The error of rounding numbers of about 1 twice, in the type that keys are stored in.
    let types = [(KvType::F32, 1e-4), (KvType::F16, 1e-2), (KvType::Bits8, 0.05), (KvType::Bits4, 0.6)];
    for (cpu, (kv_type, bound)) in cpus().iter().flat_map(|cpu| types.map(|it| (cpu, it))) {
        for (pairs, head_dim, n_dims) in
            [(RopePairs::Halves, 64, 64), (RopePairs::Adjacent, 32, 32), (RopePairs::Halves, 72, 24)]
        {
            let shape = KvShape { n_heads: N_HEADS, head_dim, kv_type };
            let frequencies = RopeTable::plain_frequencies(10_000.0, n_dims);
            let table = RopeTable::new(&frequencies, 1.0, 1000);
            let (rope, rotation) =
                (Rope { table: &table, pairs }, Rotation { frequencies: &frequencies, pairs });
            let per_token = 3 * N_HEADS * head_dim;
            // Tokens before the moved ones, in the source and in the target; how many move; and how many follow.
            for (n_from, n_to, n_moved, n_behind) in [
                (40, 7, 50, 9),
                (7, 40, 50, 0),
                (500, 3, 16, 1),
                (0, 16, 1, 0),
                (16, 32, 33, 2),
                (5, 0, 20, 0),
            ] {
                let moved = normal(n_moved * per_token, 1);
                let mut from = KvCache::new(shape, 0).unwrap();
                feed(cpu, &mut from, rope, &normal(n_from * per_token, 2));
                feed(cpu, &mut from, rope, &[moved.clone(), normal(n_behind * per_token, 3)].concat());
                let (mut cache, mut fresh) =
                    (KvCache::new(shape, 0).unwrap(), KvCache::new(shape, 0).unwrap());
                let before = normal(n_to * per_token, 4);
                feed(cpu, &mut cache, rope, &before);
                feed(cpu, &mut fresh, rope, &before);
                append_shifted(cpu, &mut cache, &from, n_from..n_from + n_moved, rotation).unwrap();
                feed(cpu, &mut fresh, rope, &moved);
                let what = format!("{} {kv_type:?} {pairs:?} {head_dim}: {n_from} to {n_to}", cpu.path());
                assert_eq!(cache.len(), fresh.len());
                // Each of these looks at all keys and values.
                let n_next = if matches!(kv_type, KvType::F16 | KvType::F32) { 8 } else { 1 };
                let next = normal(n_next * per_token, 5);
                let (got, expected) =
                    (feed(cpu, &mut cache, rope, &next), feed(cpu, &mut fresh, rope, &next));
                let error = largest_difference(&got, &expected);
                assert!(error < bound, "{what}: {error}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let cpu = cpus().pop().unwrap();
    let shape = KvShape { n_heads: 1, head_dim: 8, kv_type: KvType::F16 };
    let from = KvCache::new(shape, 16).unwrap();
    let frequencies = RopeTable::plain_frequencies(1e4, 16);
    let rotation = |n: usize| Rotation { frequencies: &frequencies[..n], pairs: RopePairs::Halves };
    let mut cache = KvCache::new(KvShape { kv_type: KvType::F32, ..shape }, 0).unwrap();
    let refused = append_shifted(&cpu, &mut cache, &from, 0..0, rotation(4));
    assert!(matches!(refused, Err(KernelError::Caches)));
    let mut cache = KvCache::new(shape, 0).unwrap();
    let refused = append_shifted(&cpu, &mut cache, &from, 0..1, rotation(4));
    assert!(matches!(refused, Err(KernelError::Row { row: 0, n_rows: 0 })));
    let refused = append_shifted(&cpu, &mut cache, &from, 0..0, rotation(8));
    assert!(matches!(refused, Err(KernelError::RotatedDims { .. })));
    append_shifted(&cpu, &mut cache, &from, 0..0, rotation(4)).unwrap();
    assert!(cache.is_empty());
}
