//! Language models on MLX, the only crate that uses mlx-rs.
