//! Tests attention against double precision: shapes, windows, sinks and growing caches, on every path.

use runabout_kernels::*;

use crate::support::{assert_close, cpus, normal};

/// A head shape: query heads, key-value heads, head size.
type Heads = (usize, usize, usize);

const KV_TYPES: [KvType; 4] = [KvType::F16, KvType::F32, KvType::Bits8, KvType::Bits4];

/// A head's key or value as the cache stores it.
fn kept(head: &[f32], kv_type: KvType) -> Vec<f64> {
    let n_codes = match kv_type {
        KvType::F16 => return head.iter().map(|&it| f16::from_f32(it).to_f64()).collect(),
        KvType::F32 => return head.iter().map(|&it| it.into()).collect(),
        KvType::Bits8 => 256.0,
        KvType::Bits4 => 16.0,
    };
    let groups = head.chunks(32).map(|group| {
        let lowest = group.iter().copied().reduce(f32::min).unwrap();
        let highest = group.iter().copied().reduce(f32::max).unwrap();
        let scale = f16::from_f32((highest - lowest) / (n_codes - 1.0));
        let bias = f16::from_f32(lowest);
        let code = |x: f32| {
            // Computed as in the cache, so that ties round the same way.
            let code = (x - bias.to_f32()) * (1.0 / scale.to_f32());
            f64::from(code.round_ties_even().clamp(0.0, n_codes - 1.0))
        };
        group.iter().map(|&it| scale.to_f64() * code(it) + bias.to_f64()).collect::<Vec<_>>()
    });
    groups.flatten().collect()
}

/// All outputs at once, in double precision; keys and values are rounded as the cache rounds them.
fn expected(
    qkv: &[f32],
    heads: Heads,
    kv_type: KvType,
    window: Option<Window>,
    sinks: Option<&[f32]>,
) -> Vec<f64> {
    let (n_heads, n_kv_heads, dim) = heads;
    let tokens: Vec<&[f32]> = qkv.chunks((n_heads + 2 * n_kv_heads) * dim).collect();
    // For each token, its keys and then its values.
    let kept: Vec<Vec<Vec<f64>>> = tokens
        .iter()
        .map(|token| token[n_heads * dim..].chunks(dim).map(|head| kept(head, kv_type)).collect())
        .collect();
    let mut out = Vec::new();
    for (p, token) in tokens.iter().enumerate() {
        for h in 0..n_heads {
            let kv_head = h / (n_heads / n_kv_heads);
            let q = &token[h * dim..][..dim];
            let seen: Vec<_> = (0..=p)
                .filter(|t| window.is_none_or(|it| t + it.size > p || *t < it.n_kept))
                .map(|t| {
                    let k = &kept[t][kv_head];
                    let v = &kept[t][n_kv_heads + kv_head];
                    let score: f64 = q.iter().zip(k).map(|(&q, k)| f64::from(q) * k).sum();
                    (score * f64::from(scale(dim)), v)
                })
                .collect();
            let sink = sinks.map(|it| f64::from(it[h]));
            let greatest = seen.iter().map(|it| it.0).fold(sink.unwrap_or(f64::MIN), f64::max);
            let total: f64 = seen.iter().map(|it| (it.0 - greatest).exp()).sum::<f64>()
                + sink.map_or(0.0, |it| (it - greatest).exp());
            out.extend(
                (0..dim).map(|d| {
                    seen.iter().map(|(score, v)| (score - greatest).exp() / total * v[d]).sum::<f64>()
                }),
            );
        }
    }
    out
}

fn scale(dim: usize) -> f32 {
    // Larger than usual, so that the softmax is not uniform.
    2.0 / (dim as f32).sqrt()
}

fn plain(qkv: &[f32], n_heads: usize, dim: usize) -> Attention<'_> {
    Attention {
        qkv,
        n_heads,
        scale: scale(dim),
        q_norm: None,
        k_norm: None,
        rope: None,
        window: None,
        sinks: None,
    }
}

/// Feeds tokens, in the given portions, to an empty cache.
fn feed(
    cpu: &Cpu,
    shape: KvShape,
    attention: &Attention,
    portions: impl IntoIterator<Item = usize>,
) -> (KvCache, Vec<f32>) {
    let n_per_token = (attention.n_heads + 2 * shape.n_heads) * shape.head_dim;
    let mut cache = KvCache::new(shape, 0).unwrap();
    let mut out = Vec::new();
    for n in portions {
        let qkv = &attention.qkv[cache.len() * n_per_token..][..n * n_per_token];
        let mut part = vec![f32::NAN; n * attention.n_heads * shape.head_dim];
        attend(cpu, &mut cache, &Attention { qkv, ..*attention }, &mut part).unwrap();
        out.extend(part);
    }
    (cache, out)
}

/// Feeds the tokens in the given portions on every path and compares all outputs.
fn check(heads: Heads, kv_type: KvType, portions: &[usize], window: Option<Window>, sinks: Option<&[f32]>) {
    let (n_heads, n_kv_heads, dim) = heads;
    let n_tokens: usize = portions.iter().sum();
    let qkv = normal(n_tokens * (n_heads + 2 * n_kv_heads) * dim, n_tokens as u64);
    let expected = expected(&qkv, heads, kv_type, window, sinks);
    let shape = KvShape { n_heads: n_kv_heads, head_dim: dim, kv_type };
    let attention = Attention { window, sinks, ..plain(&qkv, n_heads, dim) };
    for cpu in cpus() {
        let (cache, out) = feed(&cpu, shape, &attention, portions.iter().copied());
        assert_eq!(cache.len(), n_tokens);
        let what =
            format!("{} {heads:?} {kv_type:?} {portions:?} {window:?} {}", cpu.path(), sinks.is_some());
        assert_close(&out, &expected, 2e-6, &what);
    }
}

#[test]
fn prefill_and_decode_agree_with_double_precision_for_all_head_shapes() {
    for heads in [(3, 1, 64), (4, 2, 80), (2, 2, 96), (7, 1, 128), (2, 1, 256), (13, 1, 8), (6, 2, 24)] {
        for kv_type in KV_TYPES {
            check(heads, kv_type, &[21, 1, 1, 5, 16, 1], None, None);
        }
    }
}

#[test]
fn long_caches_are_split_and_merged() {
    check((3, 1, 64), KvType::F16, &[500, 1, 1, 3], None, None);
    check((14, 2, 16), KvType::F16, &[330, 1, 4], None, None);
    check((3, 1, 64), KvType::Bits8, &[300, 1, 3], None, None);
}

#[test]
fn codes_take_half_and_a_third_of_the_memory_and_lose_little() {
    let (n_heads, head_dim, n_tokens) = (3, 64, 200);
    let qkv = normal(n_tokens * 5 * head_dim, 4);
    let attention = plain(&qkv, n_heads, head_dim);
    let shape = |kv_type| KvShape { n_heads: 1, head_dim, kv_type };
    let exact = expected(&qkv, (n_heads, 1, head_dim), KvType::F32, None, None);
    for (kv_type, bits, limit) in
        [(KvType::F16, 16, 1e-3), (KvType::Bits8, 9, 2e-2), (KvType::Bits4, 5, 3e-1)]
    {
        assert_eq!(shape(kv_type).bytes_per_token(), 2 * head_dim * bits / 8);
        for cpu in cpus() {
            let (cache, out) = feed(&cpu, shape(kv_type), &attention, [n_tokens]);
            assert_close(&out, &exact, limit, &format!("{} {kv_type:?}", cpu.path()));
            assert_eq!(cache.n_bytes(), shape(kv_type).bytes_per_token() * cache.capacity());
        }
    }
}

#[test]
fn a_head_of_equal_numbers_or_of_none_is_kept() {
    for kv_type in [KvType::Bits8, KvType::Bits4] {
        let shape = KvShape { n_heads: 1, head_dim: 8, kv_type };
        let mut qkv = vec![0.5; 3 * 8];
        for cpu in cpus() {
            let (_, out) = feed(&cpu, shape, &plain(&qkv, 1, 8), [1]);
            assert_eq!(out, [0.5; 8]);
        }
        qkv[10] = f32::NAN;
        for cpu in cpus() {
            // The output does not matter: nothing panics, and the cache remains usable.
            assert_eq!(feed(&cpu, shape, &plain(&qkv, 1, 8), [1]).0.len(), 1);
        }
    }
}

#[test]
fn a_token_comes_out_the_same_to_the_last_bit_whatever_is_computed_beside_it() {
    const N_TOKENS: usize = 700;
    let windows = [None, Some(Window { size: 90, n_kept: 4 }), Some(Window { size: 300, n_kept: 140 })];
    for (n_heads, n_kv_heads, head_dim) in [(3, 1, 64), (14, 2, 16), (2, 1, 24)] {
        let qkv = normal(N_TOKENS * (n_heads + 2 * n_kv_heads) * head_dim, 5);
        let sinks = normal(n_heads, 6);
        for kv_type in KV_TYPES {
            let shape = KvShape { n_heads: n_kv_heads, head_dim, kv_type };
            for window in windows {
                let sinks = window.is_some().then_some(&sinks[..]);
                let attention = Attention { window, sinks, ..plain(&qkv, n_heads, head_dim) };
                for cpu in cpus() {
                    let (_, together) = feed(&cpu, shape, &attention, [N_TOKENS]);
                    let one_by_one = std::iter::repeat_n(1, N_TOKENS);
                    let uneven = [1, 2, 300, 3, 5, 16, 1, 1, 129, 40, 7, 195];
                    for out in
                        [feed(&cpu, shape, &attention, one_by_one), feed(&cpu, shape, &attention, uneven)]
                    {
                        let at = together.iter().zip(&out.1).position(|(a, b)| a.to_bits() != b.to_bits());
                        assert_eq!(at, None, "{} {n_heads} {kv_type:?} {window:?}", cpu.path());
                    }
                }
            }
        }
    }
}

#[test]
fn a_window_and_its_kept_beginning_are_all_that_is_seen() {
    for size in [1, 7, 16, 33, 100] {
        for n_kept in [0, 1, 16, 40] {
            let window = Some(Window { size, n_kept });
            check((2, 1, 8), KvType::F32, &[70, 1, 1, 30, 1], window, None);
        }
    }
    check((3, 1, 16), KvType::F32, &[500, 1, 2], Some(Window { size: 300, n_kept: 4 }), None);
}

#[test]
fn sinks_take_their_share_of_the_softmax() {
    let sinks = [0.5, -3.0, 4.0, 30.0];
    check((4, 2, 64), KvType::F32, &[20, 1, 3], None, Some(&sinks));
    check((4, 1, 16), KvType::F32, &[400, 1], None, Some(&sinks));
}

#[test]
fn norms_and_rotation_come_before_the_scores() {
    let (n_heads, n_kv_heads, dim) = (4, 2, 64);
    let n_per_token = (n_heads + 2 * n_kv_heads) * dim;
    let table = RopeTable::new(&RopeTable::plain_frequencies(1e4, dim), 1.0, 64);
    let rope = Rope { table: &table, pairs: RopePairs::Halves };
    let (q_weight, k_weight) = (normal(dim, 8), normal(dim, 9));
    let shape = KvShape { n_heads: n_kv_heads, head_dim: dim, kv_type: KvType::F32 };
    for cpu in cpus() {
        let qkv = normal(30 * n_per_token, 3);
        let mut by_hand = qkv.clone();
        for (position, token) in by_hand.chunks_mut(n_per_token).enumerate() {
            for (h, head) in token.chunks_mut(dim).take(n_heads + n_kv_heads).enumerate() {
                let weight = if h < n_heads { &q_weight } else { &k_weight };
                let mut normed = vec![0.0; dim];
                runabout_kernels::rms_norm(&cpu, head, Norm { weight, eps: 1e-6 }, &mut normed).unwrap();
                runabout_kernels::rope(&cpu, rope, &mut normed, 1, dim, position).unwrap();
                head.copy_from_slice(&normed);
            }
        }
        let attention = Attention {
            q_norm: Some(Norm { weight: &q_weight, eps: 1e-6 }),
            k_norm: Some(Norm { weight: &k_weight, eps: 1e-6 }),
            rope: Some(rope),
            ..plain(&qkv, n_heads, dim)
        };
        let mut out = vec![f32::NAN; 30 * n_heads * dim];
        attend(&cpu, &mut KvCache::new(shape, 0).unwrap(), &attention, &mut out).unwrap();
        let expected = expected(&by_hand, (n_heads, n_kv_heads, dim), KvType::F32, None, None);
        assert_close(&out, &expected, 2e-6, &cpu.path().to_string());
    }
}

#[test]
fn a_truncated_or_copied_cache_goes_on_as_if_the_rest_had_never_been() {
    let (n_heads, dim) = (2, 40);
    let n_per_token = 4 * dim;
    let qkv = normal(60 * n_per_token, 1);
    let other = vec![f32::INFINITY; 20 * n_per_token];
    for (cpu, kv_type) in cpus().iter().flat_map(|cpu| KV_TYPES.map(|it| (cpu, it))) {
        let shape = KvShape { n_heads: 1, head_dim: dim, kv_type };
        let feed = |cache: &mut KvCache, qkv: &[f32]| {
            let mut out = vec![f32::NAN; qkv.len() / n_per_token * n_heads * dim];
            attend(cpu, cache, &plain(qkv, n_heads, dim), &mut out).unwrap();
            out
        };
        let mut whole = KvCache::new(shape, 0).unwrap();
        feed(&mut whole, &qkv[..37 * n_per_token]);
        let mut branch = whole.copy_prefix(30, 100).unwrap();
        assert!(branch.capacity() >= 100);
        assert_eq!(branch.len(), 30);
        let expected = feed(&mut whole, &qkv[37 * n_per_token..]);

        feed(&mut branch, &qkv[30 * n_per_token..37 * n_per_token]);
        feed(&mut branch, &other);
        branch.truncate(37);
        assert_eq!(feed(&mut branch, &qkv[37 * n_per_token..]), expected, "{}", cpu.path());
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let cpu = cpus().pop().unwrap();
    let shape = KvShape { n_heads: 2, head_dim: 8, kv_type: KvType::F32 };
    assert!(matches!(
        KvCache::new(KvShape { head_dim: 12, ..shape }, 1),
        Err(KernelError::HeadSize { got: 12 })
    ));
    assert!(KvCache::new(KvShape { n_heads: 0, ..shape }, 1).is_err());
    assert!(KvCache::new(shape, usize::MAX / 2).is_err());

    let mut cache = KvCache::new(shape, 1).unwrap();
    let qkv = [0.0; 64];
    let mut out = [0.0; 32];
    assert!(attend(&cpu, &mut cache, &plain(&qkv, 3, 8), &mut out).is_err());
    assert!(attend(&cpu, &mut cache, &plain(&qkv, 4, 8), &mut out[1..]).is_err());
    assert!(attend(&cpu, &mut cache, &plain(&qkv[1..], 4, 8), &mut out).is_err());
    let empty = Some(Window { size: 0, n_kept: 4 });
    assert!(attend(&cpu, &mut cache, &Attention { window: empty, ..plain(&qkv, 4, 8) }, &mut out).is_err());
    let sinks = Some(&qkv[..3]);
    assert!(attend(&cpu, &mut cache, &Attention { sinks, ..plain(&qkv, 4, 8) }, &mut out).is_err());
    assert!(cache.is_empty());
    assert!(attend(&cpu, &mut cache, &plain(&qkv, 4, 8), &mut out).is_ok());
}
