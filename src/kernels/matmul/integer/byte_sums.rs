//! Products of bytes that are first summed in 16 bits: how many fit.

/// One in both halves of a lane: with it, `Simd::dot_pairs` adds up the halves.
pub(super) const HALVES: u32 = 0x0001_0001;

/// The number of quads whose products with weights of `bits` bits fit into a sum of 16 bits; 0 if two do not.
pub(super) const fn n_quads_summed(bits: usize) -> usize {
    match bits {
        0..=5 => 4,
        6 => 2,
        _ => 0,
    }
}

// A sum has two products of each quad.
const _: () = assert!(n_quads_summed(5) * 2 * ((1 << 5) - 1) * 127 < 1 << 15);
const _: () = assert!(n_quads_summed(6) * 2 * ((1 << 6) - 1) * 127 < 1 << 15);
