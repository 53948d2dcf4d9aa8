//! CPU kernels of one optimization step, on activations in blocks of 16 channels.
//!
//! Plain functions and structs: they know nothing of ONNX Runtime. `net/operators.rs` registers them there.
//!
//! | what | type | how |
//! |---|---|---|
//! | picture to the first features | [`FirstConv`] | direct; centring on the way, ReLU, pooling |
//! | 3x3 convolutions, both directions | [`Conv3x3`] | Winograd F(4x4, 3x3); ReLU, its mask, pooling and un-pooling at the output |
//! | style and content, values and gradient | [`Tap`] | upper blocks of the Gram matrix; at the first layer the gradient goes on to the picture in strips of rows, which stay in cache |
//! | gradient of the picture | [`LastConv`] | direct |
//!
//! Maps lie as floats, or as bfloat16 where the set rounds (`map.rs`).
//! Sizes are any (odd ones too), channels multiples of 16. The signs of a ReLU are kept as one bit a value (`u16` for a
//! block of 16 channels), which is all that the backward pass needs of a layer without a cost.

#![allow(clippy::needless_range_loop, reason = "in kernels the same index runs through several arrays of registers")]

mod blocked;
mod cache;
mod conv;
mod conv_output;
mod first_conv;
mod gram;
mod isa;
mod lanes;
#[cfg(target_arch = "aarch64")]
mod lanes_neon;
#[cfg(target_arch = "x86_64")]
mod lanes_x86;
mod last_conv;
mod map;
mod matrix;
mod parallel;
mod product;
#[cfg(test)]
mod reference;
mod tap;
mod tap_gradient;
mod winograd;

pub use blocked::{Aligned, FeatureShape, to_blocked, to_planar};
pub use conv::Conv3x3;
pub use conv_output::{Activations, Gradient};
pub use first_conv::FirstConv;
pub use isa::Isa;
pub use lanes::LANES;
pub use last_conv::LastConv;
pub use map::values;
pub use matrix::{View, to_column_blocks};
pub use parallel::{Machine, Scratch};
pub use product::floats_of;
pub use tap::{Factors, StyleTarget, Tap, Terms, Upstream, Values};
